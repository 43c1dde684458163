//! A folder for one test's servers.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A temporary folder that other users may pass through (PostgreSQL runs as one when the tests run as root). It goes
/// when it is dropped.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// An empty one.
    pub fn new() -> Result<Self> {
        let passable = std::fs::Permissions::from_mode(0o711);
        let folder = tempfile::Builder::new().prefix("paramedic-test-").permissions(passable).tempdir();
        folder.map(Self).context("creating a temporary folder")
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}
