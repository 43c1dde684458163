//! The demo's cluster: a private control plane, or a context of the person's kubeconfig that they named, and in it one namespace that is
//! made anew at each start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig, NamedCluster};
use kube::{Api, Client, Config};
use local::install::KubernetesPrograms;
use local::kubernetes::{ControlPlane, Durability};
use local::shop;
use serde_json::json;

use super::eventually;

/// The only namespace that the demo touches.
pub(crate) const NAMESPACE: &str = "paramedic-demo";
/// On every object of the demo that could be somebody else's.
const OURS: &str = "paramedic.dev/demo";
/// A namespace takes some seconds to go: its controllers delete what is in it first.
const NAMESPACE_WITHIN: Duration = Duration::from_secs(90);
const ROLLOUT_WITHIN: Duration = Duration::from_mins(1);

/// Which cluster.
pub(crate) enum Choice {
    /// A control plane of our own.
    Private(KubernetesPrograms),
    /// This context of the person's kubeconfig.
    Context(String),
}

/// A cluster with the demo's namespace in it.
pub(crate) struct Cluster {
    /// With the rights of whoever set the demo up; the roles have others.
    pub(crate) client: Client,
    /// How it is reached.
    pub(crate) address: NamedCluster,
    /// For people who want to look for themselves.
    pub(crate) kubectl: String,
}

/// Starts or finds the cluster. A private one is put into `plane` as soon as it runs, so that it is stopped whatever happens next.
pub(crate) async fn open(choice: Choice, folder: &Path, plane: &mut Option<ControlPlane>) -> anyhow::Result<Cluster> {
    match choice {
        Choice::Private(programs) => {
            // It begins empty each time, so nothing of it needs to outlive a power cut.
            let options =
                local::kubernetes::Options { programs, dir: folder.join("kubernetes"), durability: Durability::Volatile };
            let plane = plane.insert(ControlPlane::start(options).await?);
            let path = plane.kubeconfig();
            let file = Kubeconfig::read_from(&path)?;
            let kubectl = format!("kubectl --kubeconfig {}", shown(&path).display());
            Ok(Cluster { client: plane.client(), address: cluster_of(&file, None)?, kubectl })
        }
        Choice::Context(context) => {
            let file = Kubeconfig::read().context("reading your kubeconfig (KUBECONFIG, else ~/.kube/config)")?;
            let address = cluster_of(&file, Some(&context))?;
            let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
            let config = Config::from_custom_kubeconfig(file, &options).await.with_context(|| format!("context {context}"))?;
            Ok(Cluster { client: Client::try_from(config)?, address, kubectl: format!("kubectl --context {context}") })
        }
    }
}

fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}

/// The cluster that a context leads to.
fn cluster_of(file: &Kubeconfig, context: Option<&str>) -> anyhow::Result<NamedCluster> {
    let name = context.or(file.current_context.as_deref()).context("the kubeconfig names no current context")?;
    let found = file.contexts.iter().find(|named| named.name == name).and_then(|named| named.context.as_ref());
    let Some(found) = found else {
        let known: Vec<&str> = file.contexts.iter().map(|named| named.name.as_str()).collect();
        bail!("your kubeconfig has no context {name:?}; it has: {}", known.join(", "));
    };
    let cluster = file.clusters.iter().find(|named| named.name == found.cluster);
    cluster
        .cloned()
        .with_context(|| format!("the kubeconfig has no cluster {:?}, which its context {name:?} names", found.cluster))
}

impl Cluster {
    /// Makes the namespace, after deleting the one of an earlier demo. One of that name that is not ours is left alone.
    pub(crate) async fn fresh_namespace(&self) -> anyhow::Result<()> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        if let Some(found) = namespaces.get_opt(NAMESPACE).await.context("looking for the demo's namespace")? {
            anyhow::ensure!(
                found.metadata.labels.is_some_and(|labels| labels.contains_key(OURS)),
                "the cluster has a namespace {NAMESPACE} that no demo has made (label {OURS}); rename or delete it first"
            );
            self.drop_namespace().await?;
            eventually("the end of an earlier demo's namespace", NAMESPACE_WITHIN, async || {
                matches!(namespaces.get_opt(NAMESPACE).await, Ok(None)).then_some(())
            })
            .await?;
        }
        let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE, "labels": {OURS: "true"}}}))?;
        namespaces.create(&PostParams::default(), &namespace).await.context("creating the demo's namespace")?;
        Ok(local::kubernetes::await_service_account(&self.client, NAMESPACE).await?)
    }

    /// Deletes the namespace and does not wait for its end.
    pub(crate) async fn drop_namespace(&self) -> anyhow::Result<()> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        match namespaces.delete(NAMESPACE, &DeleteParams::background()).await {
            // Gone, or going already.
            Err(kube::Error::Api(refusal)) if matches!(refusal.code, 404 | 409) => Ok(()),
            other => other.map(drop).context("deleting the demo's namespace"),
        }
    }

    /// Deploys the shop. Its pods name a scheduler that does not exist, so that in a cluster with nodes none of them is given to a
    /// kubelet, and the shop speaks for its own pods alone.
    pub(crate) async fn deploy(&self, image: &str) -> anyhow::Result<()> {
        let labels = json!({"app": shop::DEPLOYMENT, "service": shop::DEPLOYMENT});
        let outline = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": shop::DEPLOYMENT},
            // Paused until it is complete, so that it begins with one revision.
            "spec": {"paused": true, "selector": {"matchLabels": {"app": shop::DEPLOYMENT}}, "template": {
                "metadata": {"labels": labels},
                "spec": {"schedulerName": "paramedic-demo", "containers": [{"name": shop::DEPLOYMENT, "image": image}]},
            }},
        });
        let deployments = self.deployments();
        deployments.patch(shop::DEPLOYMENT, &PatchParams::apply("paramedic-demo"), &Patch::Apply(outline)).await?;
        shop::deploy(&self.client, NAMESPACE, image).await?;
        let go = Patch::Merge(json!({"spec": {"paused": false}}));
        deployments.patch(shop::DEPLOYMENT, &PatchParams::default(), &go).await?;
        Ok(())
    }

    /// Waits until every pod of the shop runs `image` and is available, and says how many there are.
    pub(crate) async fn await_rollout(&self, image: &str) -> anyhow::Result<i32> {
        let deployments = self.deployments();
        eventually(&format!("the rollout of {image}"), ROLLOUT_WITHIN, async || {
            let deployment = deployments.get(shop::DEPLOYMENT).await.ok()?;
            let wanted = deployment.spec.replicas?;
            let status = deployment.status.as_ref()?;
            let all = [status.replicas, status.updated_replicas, status.available_replicas].iter().all(|n| *n == Some(wanted));
            (image_of(&deployment)? == image && status.observed_generation == deployment.metadata.generation && all)
                .then_some(wanted)
        })
        .await
    }

    /// The image that the shop's Deployment names now.
    pub(crate) async fn image(&self) -> anyhow::Result<String> {
        let deployment = self.deployments().get(shop::DEPLOYMENT).await.context("reading the shop's Deployment")?;
        image_of(&deployment).context("the shop's Deployment has no container")
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }
}

fn image_of(deployment: &Deployment) -> Option<String> {
    deployment.spec.template.spec.as_ref()?.containers.first()?.image.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_leads_to_its_cluster_or_to_an_error_that_lists_the_others() {
        let file: Kubeconfig = serde_json::from_value(json!({
            "clusters": [{"name": "a", "cluster": {"server": "https://a"}}, {"name": "b", "cluster": {"server": "https://b"}}],
            "contexts": [{"name": "one", "context": {"cluster": "a", "user": "u"}}, {"name": "two", "context": {"cluster": "b", "user": "u"}}],
            "users": [],
            "current-context": "one",
        }))
        .unwrap();
        assert_eq!(cluster_of(&file, None).unwrap().name, "a");
        assert_eq!(cluster_of(&file, Some("two")).unwrap().name, "b");
        let error = cluster_of(&file, Some("three")).unwrap_err().to_string();
        assert!(error.contains("one, two"), "{error}");
    }
}
