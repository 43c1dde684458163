//! Why a private server could not be had.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Each text says what failed, where, and what to do about it where that is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An installer ended with an error.
    #[error("installing {what} failed; the installer's last lines:\n{tail}\n{advice}")]
    Install {
        /// What was being installed.
        what: String,
        /// The last lines the installer wrote.
        tail: String,
        /// What the person can do.
        advice: &'static str,
    },
    /// A program could not be run at all.
    #[error("running {program}")]
    Run {
        /// The program's path.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program that prepares a server's data failed.
    #[error("{program} failed ({status}):\n{tail}")]
    Failed {
        /// The program's path.
        program: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last lines it wrote.
        tail: String,
    },
    /// A file or folder could not be read or written.
    #[error("{doing} {}", path.display())]
    File {
        /// What we were doing with it.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A server ended while we waited for it.
    #[error("{server} ended before it was ready ({status}); {} ends with:\n{tail}", log.display())]
    Ended {
        /// Which server.
        server: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A server runs but does not answer.
    #[error("{server} was not ready within {} s; {} ends with:\n{tail}", within.as_secs(), log.display())]
    NotReady {
        /// Which server.
        server: &'static str,
        /// How long we waited.
        within: Duration,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The process could not be watched or signalled.
    #[error("{doing} {server}")]
    Process {
        /// What we were doing with it.
        doing: &'static str,
        /// Which server.
        server: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No port could be had.
    #[error("finding a free port on 127.0.0.1")]
    Port(#[source] io::Error),
    /// No randomness for a password.
    #[error("asking the system for random bytes")]
    Random(#[source] io::Error),
    /// There is no unprivileged user to run a server as.
    #[error("PostgreSQL refuses to run as root and this machine has neither a user postgres nor nobody; create one")]
    NoUnprivilegedUser,
    /// A certificate or key could not be made.
    #[error("making the cluster's certificates")]
    Certificate(#[source] rcgen::Error),
    /// A kubeconfig could not be read.
    #[error("reading the kubeconfig {}", path.display())]
    Kubeconfig {
        /// Which file.
        path: PathBuf,
        /// What was wrong with it.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// The Kubernetes API refused or did not answer.
    #[error("{doing}")]
    Kubernetes {
        /// What we were asking for.
        doing: String,
        /// What the API said.
        #[source]
        source: Box<kube::Error>,
    },
    /// A server's HTTP API did not answer.
    #[error("{doing}")]
    Http {
        /// What we were asking for.
        doing: &'static str,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// A server refused its new configuration.
    #[error("{server} refused its configuration: {answer}")]
    Configuration {
        /// Which server.
        server: &'static str,
        /// Its own words.
        answer: String,
    },
    /// Something that was to come true did not in time.
    #[error("{what} did not come true within {} s", within.as_secs())]
    Waited {
        /// What we waited for.
        what: String,
        /// How long.
        within: Duration,
    },
}

impl Error {
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }

    pub(crate) fn kubernetes(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Kubernetes { doing, source: Box::new(source) }
    }
}
