//! A control group for the bench and all that it starts.
//!
//! Where processes are in none, Linux shares time between sessions first (`sched_autogroup_enabled`). Postgres makes each of its processes a
//! session, so what shall stand back for all others (the cluster, in our session) takes from Paramedic alone. Services of systemd and of
//! containers have control groups, where this does not hold.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::figures::line;

const AUTOGROUP: &str = "/proc/sys/kernel/sched_autogroup_enabled";
const MEMBERS: &str = "cgroup.procs";
/// Where version 1 has the groups that share processors, and version 2 all of them.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"];
/// Who was in it and is being killed has ended after so many looks.
const LOOKS_MAX: u32 = 100;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The group; when it is dropped we leave it, and it goes once it is empty.
pub(crate) struct Group(PathBuf);

/// Joins a group where time would be shared between sessions. If that is not allowed, says what is to be expected.
pub(crate) fn join() -> Option<Group> {
    if fs::read_to_string(AUTOGROUP).ok()?.trim() != "1" {
        return None;
    }
    let joined = ROOTS.iter().find_map(|root| Group::join(Path::new(root)).ok());
    if let Some(Group(path)) = &joined {
        line(&format!("scheduler   in a control group of its own, as services are: {}", path.display()));
    } else {
        line("scheduler   shares time between sessions: delays are longer than on servers. As root, for the time of the run:");
        line("            sysctl kernel.sched_autogroup_enabled=0");
    }
    joined
}

impl Group {
    fn join(root: &Path) -> io::Result<Self> {
        // Where groups are of another kind, or none at all, this is not there.
        fs::metadata(root.join(MEMBERS))?;
        let version_2 = root.join("cgroup.subtree_control");
        if version_2.exists() {
            fs::write(version_2, "+cpu")?;
        }
        let path = root.join(format!("paramedic-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        let group = Self(path);
        enter(&group.0)?;
        Ok(group)
    }
}

/// Moves this process, whose children are born where it is.
fn enter(group: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(group.join(MEMBERS))?.write_all(b"0")
}

impl Drop for Group {
    fn drop(&mut self) {
        // What cannot be left or removed harms nobody: an empty group takes nothing.
        let _ = self.0.parent().map(enter);
        for _ in 0..LOOKS_MAX {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            sleep(LOOK_EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_groups() -> String {
        fs::read_to_string("/proc/self/cgroup").unwrap()
    }

    #[test]
    fn a_group_is_joined_and_left() {
        let before = own_groups();
        let Some(group) = ROOTS.iter().find_map(|root| Group::join(Path::new(root)).ok()) else {
            eprintln!("skipped: this user may make no control groups here");
            return;
        };
        let path = group.0.clone();
        assert!(own_groups().contains("/paramedic-bench-"));
        drop(group);
        assert_eq!((own_groups(), path.exists()), (before, false));
    }
}
