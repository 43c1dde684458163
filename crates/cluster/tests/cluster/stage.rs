//! A namespace with the shop in it, and the crate's connection to it.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use cluster::kubernetes::{Applied, ApplyFault, Kubernetes, KubernetesConfig, Rollout};
use incident::approval::Approved;
use incident::workload::{Workload, WorkloadKind};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use local::shop::{self, Shop};
use testkit::{Cluster, eventually};

/// Rollouts here take two seconds; a loaded machine is slower.
pub(crate) const ROLLOUT_WITHIN: Duration = Duration::from_mins(1);

pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) workload: Workload,
    pub(crate) shop: Shop,
}

#[expect(clippy::disallowed_methods, reason = "a test is a process edge")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

pub(crate) fn config(cluster: &Cluster) -> KubernetesConfig {
    KubernetesConfig { cluster: "default".to_owned(), kubeconfig: Some(cluster.kubeconfig.clone()), context: None }
}

impl Stage {
    /// The shop with one revision a given image, all rolled out, in order.
    pub(crate) async fn with(images: &[&str]) -> Result<Self> {
        let cluster = testkit::kubernetes().await?;
        let namespace = cluster.namespace("cluster").await?;
        let shop = Shop::start(cluster.client.clone(), [namespace.clone()]).await?;
        let kubernetes = Kubernetes::connect(&config(&cluster)).await?;
        let workload = Workload {
            cluster: "default".to_owned(),
            namespace,
            kind: WorkloadKind::Deployment,
            name: shop::DEPLOYMENT.to_owned(),
        };
        let stage = Self { cluster, kubernetes, workload, shop };
        let (first, later) = images.split_first().context("no image")?;
        shop::deploy(&stage.cluster.client, &stage.workload.namespace, first).await?;
        stage.rolled_out().await?;
        for image in later {
            stage.set_image(image).await?;
            stage.rolled_out().await?;
        }
        Ok(stage)
    }

    pub(crate) async fn set_image(&self, image: &str) -> Result<()> {
        Ok(shop::set_image(&self.cluster.client, &self.workload.namespace, image).await?)
    }

    pub(crate) async fn rolled_out(&self) -> Result<()> {
        let complete = async || {
            let rollout = self.kubernetes.rollout(&self.workload).await.ok()?;
            (rollout == Rollout::Complete).then_some(())
        };
        eventually("the rollout's end", ROLLOUT_WITHIN, complete).await
    }

    pub(crate) fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.cluster.client.clone(), &self.workload.namespace)
    }

    pub(crate) async fn deployment(&self) -> Result<Deployment> {
        Ok(self.deployments().get(shop::DEPLOYMENT).await?)
    }

    pub(crate) async fn image(&self) -> Result<String> {
        let deployment = self.deployment().await?;
        let pod = deployment.spec.template.spec.context("no pod template")?;
        pod.containers.into_iter().next().and_then(|container| container.image).context("no image")
    }

    /// Looks, and applies to what was seen.
    pub(crate) async fn apply(&self, approved: &Approved) -> Result<Applied, ApplyFault> {
        let seen = self.kubernetes.look(approved.plan()).await?;
        self.kubernetes.apply(approved, seen).await
    }

    pub(crate) async fn draft(&self, to_revision: u64) -> Result<Approved> {
        testkit::approved(self.kubernetes.draft_rollback(&self.workload, to_revision).await?, now())
    }
}
