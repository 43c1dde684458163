//! The home folder of `up` and `demo`: configuration, data and logs, for one process at a time.

use std::fs::{File, TryLockError};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::settings::{self, CONFIG_FILE};
use crate::args::Up;
use crate::config::Config;
use crate::output::line;

const LOCK_FILE: &str = "lock";

/// The folder, held for as long as this lives.
pub(crate) struct Home {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What is configured in it, with what the command line adds.
    pub(crate) config: Config,
    _lock: File,
}

impl Home {
    /// Makes the folder and a first configuration where there is none, and sees to it that the gateway will have its address.
    pub(crate) fn open(arguments: &Up) -> anyhow::Result<Self> {
        let path = arguments.home.clone();
        std::fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        let lock = lock(&path)?;
        let file = path.join(CONFIG_FILE);
        if !file.exists() {
            settings::write_first(&file)?;
            line(&format!("Wrote a first configuration: {}", file.display()));
        }
        let mut config = Config::load(&file)?;
        let gateway = config.gateway.as_mut().with_context(|| format!("{} has no [gateway]", file.display()))?;
        gateway.listen = free(arguments.listen.unwrap_or(gateway.listen), &file)?;
        Ok(Self { path, config, _lock: lock })
    }
}

/// Two processes in one folder would start two servers on the same data.
fn lock(home: &Path) -> anyhow::Result<File> {
    let path = home.join(LOCK_FILE);
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another `paramedic up` or `paramedic demo` runs in {}: stop that one first, with Ctrl-C where it runs",
                home.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

/// Asks for the address before anything is started: a port in use is the most common reason why a start fails. Port 0 becomes a free
/// one.
fn free(listen: SocketAddr, file: &Path) -> anyhow::Result<SocketAddr> {
    let bound = TcpListener::bind(listen).and_then(|listener| listener.local_addr());
    bound.with_context(|| {
        format!(
            "the gateway cannot listen on {listen}; choose another address with --listen 127.0.0.1:PORT (0: any free one), or with \
             gateway.listen in {}",
            file.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(home: &Path, listen: &str) -> Up {
        Up { home: home.to_owned(), listen: Some(listen.parse().unwrap()) }
    }

    #[test]
    fn a_home_is_one_process_s() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&arguments(folder.path(), "127.0.0.1:0")).unwrap();
        assert_ne!(home.config.gateway.as_ref().unwrap().listen.port(), 0);
        let second = Home::open(&arguments(folder.path(), "127.0.0.1:0")).err().unwrap();
        assert!(second.to_string().contains("another"), "{second:#}");
        drop(home);
        Home::open(&arguments(folder.path(), "127.0.0.1:0")).unwrap();
    }

    #[test]
    fn a_port_in_use_is_told_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = taken.local_addr().unwrap().to_string();
        let error = Home::open(&arguments(folder.path(), &listen)).err().unwrap();
        assert!(error.to_string().contains("--listen"), "{error:#}");
    }
}
