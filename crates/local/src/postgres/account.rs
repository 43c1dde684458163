//! Which user runs PostgreSQL, and where that user can keep data: the server refuses to run as root.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Where data go when the wanted folder is out of the user's reach.
const FALLBACK_PARENT: &str = "/var/lib";
/// Bits of the wish's digest in the fallback's name: enough that two checkouts do not meet.
const DIGEST_BYTES: usize = 6;

/// `None` when we are not root and can run PostgreSQL ourselves.
pub(super) fn unprivileged() -> Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let known = |name| User::from_name(name).ok().flatten();
    known("postgres").or_else(|| known("nobody")).map(Some).ok_or(Error::NoUnprivilegedUser)
}

/// `wanted` when `user` can get there, else a folder below /var/lib that is the same each time for the same wish.
pub(super) fn reachable_dir(wanted: &Path, user: Option<&User>) -> Result<PathBuf> {
    let wanted = std::path::absolute(wanted).map_err(Error::file("finding", wanted))?;
    let Some(user) = user else { return Ok(wanted) };
    if wanted.ancestors().skip(1).all(|parent| traversable(parent, user)) {
        return Ok(wanted);
    }
    let digest = Sha256::digest(wanted.as_os_str().as_encoded_bytes());
    let name: String = hex::encode(digest).chars().take(2 * DIGEST_BYTES).collect();
    let dir = Path::new(FALLBACK_PARENT).join(format!("paramedic-{name}"));
    tracing::info!(user = user.name, wanted = %wanted.display(), dir = %dir.display(), "PostgreSQL's data go elsewhere: its user cannot reach the folder");
    Ok(dir)
}

/// Hands a file or folder to `user`.
pub(super) fn give(path: &Path, user: Option<&User>) -> Result<()> {
    let Some(user) = user else { return Ok(()) };
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(Error::file("changing the owner of", path))
}

/// Folders that do not exist yet are made by us, open to all.
fn traversable(dir: &Path, user: &User) -> bool {
    const OWNER: u32 = 0o100;
    const GROUP: u32 = 0o010;
    const OTHERS: u32 = 0o001;
    let Ok(metadata) = dir.metadata() else {
        return true;
    };
    let bit = if metadata.uid() == user.uid.as_raw() {
        OWNER
    } else if metadata.gid() == user.gid.as_raw() {
        GROUP
    } else {
        OTHERS
    };
    metadata.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_closed_parent_sends_the_data_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let wanted = root.path().join("closed/postgres");
        std::fs::create_dir(root.path().join("closed")).unwrap();
        let nobody = User::from_name("nobody").unwrap().unwrap();
        let open = |dir: &Path, mode| {
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        open(root.path(), 0o711);
        open(&root.path().join("closed"), 0o700);

        let elsewhere = reachable_dir(&wanted, Some(&nobody)).unwrap();
        assert!(elsewhere.starts_with(FALLBACK_PARENT), "{elsewhere:?}");
        assert_eq!(elsewhere, reachable_dir(&wanted, Some(&nobody)).unwrap());
        assert_eq!(wanted, reachable_dir(&wanted, None).unwrap());

        open(&root.path().join("closed"), 0o711);
        assert_eq!(wanted, reachable_dir(&wanted, Some(&nobody)).unwrap());
    }
}
