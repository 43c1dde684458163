//! A real Kubernetes API for the test, shared where there is one, with namespaces of the test's own.

use std::path::PathBuf;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client};
use local::kubernetes::{ControlPlane, Durability};

use crate::{Folder, programs};

/// Where `testbed` says how to reach the shared control plane as administrator.
pub const KUBECONFIG_VARIABLE: &str = "TESTBED_KUBECONFIG";

/// A Kubernetes API, RBAC on, controllers running, no nodes.
pub struct Cluster {
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// A client with the administrator's rights.
    pub client: Client,
    private: Option<(ControlPlane, Folder)>,
}

/// The shared control plane, or a private one that lives as long as the result.
pub async fn kubernetes() -> Result<Cluster> {
    let Some(kubeconfig) = std::env::var_os(KUBECONFIG_VARIABLE).map(PathBuf::from) else {
        return private_kubernetes().await;
    };
    let client = local::kubernetes::client(&kubeconfig).await?;
    Ok(Cluster { kubeconfig, client, private: None })
}

/// A control plane for tests that stop or restart it.
pub async fn private_kubernetes() -> Result<Cluster> {
    let (environment, progress) = programs();
    let programs = local::install::kubernetes(&environment, &progress).await?;
    let folder = Folder::new()?;
    let dir = folder.join("kubernetes");
    let options = local::kubernetes::Options { programs, dir, durability: Durability::Volatile };
    let plane = ControlPlane::start(options).await.context("starting Kubernetes for a test")?;
    let (kubeconfig, client) = (plane.kubeconfig(), plane.client());
    Ok(Cluster { kubeconfig, client, private: Some((plane, folder)) })
}

impl Cluster {
    /// A fresh namespace, ready for pods, whose name begins with `prefix`.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let mut namespace = Namespace::default();
        namespace.metadata.generate_name = Some(format!("{prefix}-"));
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let created = namespaces.create(&PostParams::default(), &namespace).await;
        let name = created.context("creating a test's namespace")?.metadata.name;
        let name = name.context("the API gave a namespace without a name")?;
        local::kubernetes::await_service_account(&self.client, &name).await?;
        Ok(name)
    }

    /// The processes, when they are the test's own.
    pub fn control_plane(&mut self) -> Option<&mut ControlPlane> {
        self.private.as_mut().map(|(plane, _)| plane)
    }
}
