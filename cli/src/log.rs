//! The log of `up` and `demo`, which talk to a person on the terminal: it goes to a file in the home folder, so that no log line comes
//! between theirs.

use std::fs::{File, OpenOptions};
use std::io::IsTerminal as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// In the home folder.
const FILE: &str = "paramedic.log";
/// A log this long is put aside at the next start, and what was put aside before is dropped.
const BYTES_MAX: u64 = 16 << 20;

/// While this lives, standard error is the log file: ours, and whatever libraries write there.
#[must_use = "dropping it gives standard error back"]
pub(crate) struct LogFile {
    stderr: OwnedFd,
    path: PathBuf,
}

impl LogFile {
    /// Sends standard error to the log of this home folder.
    pub(crate) fn redirect(home: &Path) -> anyhow::Result<Self> {
        let path = home.join(FILE);
        let doing = || format!("writing the log to {}", path.display());
        if path.metadata().is_ok_and(|found| found.len() > BYTES_MAX) {
            std::fs::rename(&path, home.join(format!("{FILE}.1"))).with_context(doing)?;
        }
        let file: File = OpenOptions::new().create(true).append(true).open(&path).with_context(doing)?;
        let stderr = std::io::stderr().as_fd().try_clone_to_owned().with_context(doing)?;
        nix::unistd::dup2_stderr(&file).with_context(doing)?;
        Ok(Self { stderr, path })
    }

    /// As [`Self::redirect`], unless standard error already goes somewhere else than to a person.
    pub(crate) fn redirect_from_terminal(home: &Path) -> anyhow::Result<Option<Self>> {
        std::io::stderr().is_terminal().then(|| Self::redirect(home)).transpose()
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        // Were it refused, the last words would stand in the log.
        let _ = nix::unistd::dup2_stderr(&self.stderr);
    }
}
