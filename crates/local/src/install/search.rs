//! Looking for programs that the machine already has.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{KubernetesPrograms, MonitoringPrograms, PostgresPrograms};

/// Where Debian's postgresql packages keep the programs of each version.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// Where to look, and where to keep what is installed.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The search path, as in PATH.
    pub path: OsString,
    /// Where Kubernetes developers keep a control plane, if set.
    pub kubebuilder_assets: Option<PathBuf>,
    /// The cache of installed tools.
    pub tools: PathBuf,
}

impl Environment {
    /// As this process was started: PATH, KUBEBUILDER_ASSETS, and the cache from PARAMEDIC_TOOLS, else
    /// `$XDG_CACHE_HOME/paramedic/tools`, else `$HOME/.cache/paramedic/tools`. The scripts use the same default.
    pub fn from_process() -> Self {
        // These variables describe the machine, not Paramedic, and this crate runs on a developer's machine only.
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let tools = set("PARAMEDIC_TOOLS").map_or_else(
            || {
                let home = || PathBuf::from(set("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache");
                set("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("paramedic/tools")
            },
            PathBuf::from,
        );
        Self {
            path: set("PATH").unwrap_or_default(),
            kubebuilder_assets: set("KUBEBUILDER_ASSETS").map(PathBuf::from),
            tools: std::path::absolute(&tools).unwrap_or(tools),
        }
    }

    /// The first program of that name on PATH.
    pub(super) fn on_path(&self, name: &str) -> Option<PathBuf> {
        self.path_dirs().map(|dir| dir.join(name)).find(|path| is_program(path))
    }

    fn path_dirs(&self) -> impl Iterator<Item = PathBuf> {
        std::env::split_paths(&self.path).filter(|dir| dir.is_absolute())
    }
}

/// The first folder that holds both programs: on PATH, then Debian's, the newest version first.
pub(super) fn postgres(environment: &Environment) -> Option<PostgresPrograms> {
    let mut debian: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIAN_POSTGRES)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    debian.sort_unstable_by(|left, right| right.cmp(left));
    environment
        .path_dirs()
        .chain(debian.into_iter().map(|(_, dir)| dir))
        .chain(["/usr/local/bin".into()])
        .map(|dir| PostgresPrograms { initdb: dir.join("initdb"), postgres: dir.join("postgres") })
        .find(|found| is_program(&found.initdb) && is_program(&found.postgres))
}

/// Both on PATH. Debian names Alertmanager's program differently.
pub(super) fn monitoring(environment: &Environment) -> Option<MonitoringPrograms> {
    let alertmanager = environment.on_path("alertmanager").or_else(|| environment.on_path("prometheus-alertmanager"))?;
    Some(MonitoringPrograms { prometheus: environment.on_path("prometheus")?, alertmanager })
}

/// All three in KUBEBUILDER_ASSETS, or all three on PATH.
pub(super) fn kubernetes(environment: &Environment) -> Option<KubernetesPrograms> {
    let complete = |found: &KubernetesPrograms| {
        is_program(&found.etcd) && is_program(&found.apiserver) && is_program(&found.controller_manager)
    };
    let on_path = || {
        Some(KubernetesPrograms {
            etcd: environment.on_path("etcd")?,
            apiserver: environment.on_path("kube-apiserver")?,
            controller_manager: environment.on_path("kube-controller-manager")?,
        })
    };
    environment.kubebuilder_assets.as_deref().map(kubernetes_in).filter(complete).or_else(on_path)
}

pub(super) fn kubernetes_in(bin: &Path) -> KubernetesPrograms {
    KubernetesPrograms {
        etcd: bin.join("etcd"),
        apiserver: bin.join("kube-apiserver"),
        controller_manager: bin.join("kube-controller-manager"),
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder(programs: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in programs {
            let path = dir.path().join(name);
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        dir
    }

    fn environment(path: &Path, assets: Option<&Path>) -> Environment {
        Environment { path: path.into(), kubebuilder_assets: assets.map(Into::into), tools: "/nowhere".into() }
    }

    #[test]
    fn kubernetes_is_taken_whole_or_not_at_all() {
        let whole = folder(&["etcd", "kube-apiserver", "kube-controller-manager"]);
        let envtest = folder(&["etcd", "kube-apiserver", "kubectl"]);
        let found = kubernetes(&environment(whole.path(), Some(envtest.path()))).unwrap();
        assert_eq!(found.etcd, whole.path().join("etcd"), "an incomplete KUBEBUILDER_ASSETS must not mix with PATH");
        let found = kubernetes(&environment(envtest.path(), Some(whole.path()))).unwrap();
        assert_eq!(found.apiserver, whole.path().join("kube-apiserver"));
        assert!(kubernetes(&environment(envtest.path(), None)).is_none());
    }

    #[test]
    fn alertmanager_is_found_under_debians_name() {
        let debian = folder(&["prometheus", "prometheus-alertmanager"]);
        let found = monitoring(&environment(debian.path(), None)).unwrap();
        assert_eq!(found.alertmanager, debian.path().join("prometheus-alertmanager"));
    }

    #[test]
    fn a_file_that_cannot_run_is_not_a_program() {
        let dir = folder(&["prometheus", "alertmanager"]);
        std::fs::set_permissions(dir.path().join("prometheus"), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(monitoring(&environment(dir.path(), None)).is_none());
    }
}
