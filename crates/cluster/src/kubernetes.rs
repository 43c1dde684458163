//! The Kubernetes API, 1.20 and newer: one connection, bounded calls, typed faults.
//!
//! Objects that are changed are read as plain JSON: a typed copy would lose the fields that a newer server knows and this build does
//! not, and what was lost would be taken for a change.

mod apply;
mod draft;
mod fault;
mod findings;
mod live;
mod observe;
mod rollout;
mod secrets;
mod template;

use std::path::PathBuf;
use std::time::Duration;

use incident::workload::{Workload, WorkloadKind};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use apply::{Applied, ApplyFault, Seen, Undone};
pub use draft::DraftFault;
pub use fault::Fault;
pub use rollout::Rollout;

use live::Live;

/// A connection that does not come up in this time will not come up while people wait for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A healthy API server answers in well under a second; the client's own retries of 429 and 503 fit into this as well.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// One page of a list: what kubectl asks for is 500; pods of 250 kB each would then be 125 MB.
const PAGE_ITEMS: u32 = 250;
/// Pages of one list. A thousand pods of one workload show how it is; what was left out is said.
const PAGES_MAX: u32 = 4;

/// Which cluster, and how to get in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesConfig {
    /// Name of the cluster as the `cluster` label of its alerts says it.
    #[serde(default = "default_cluster")]
    pub cluster: String,
    /// Kubeconfig file; without one, the ServiceAccount of the pod that this runs in.
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of that file; without one, its current context.
    #[serde(default)]
    pub context: Option<String>,
}

fn default_cluster() -> String {
    "default".to_owned()
}

/// One cluster.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    cluster: String,
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernetes").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// A list that was read page by page.
struct Listed<K> {
    items: Vec<K>,
    /// Set if there were more items than we take.
    cut: bool,
}

impl Kubernetes {
    /// Reads the credentials. Nothing is asked of the cluster yet, so that a process can start while the cluster is away.
    ///
    /// # Errors
    /// [`Fault::Config`] if file, context or credentials are missing or unreadable.
    pub async fn connect(config: &KubernetesConfig) -> Result<Self, Fault> {
        let mut settings = match &config.kubeconfig {
            Some(path) => {
                let bad = |source: kube::config::KubeconfigError| Fault::Config {
                    what: format!("kubeconfig {} (context {})", path.display(), config.context.as_deref().unwrap_or("current")),
                    source: source.into(),
                };
                let file = Kubeconfig::read_from(path).map_err(bad)?;
                let options = KubeConfigOptions { context: config.context.clone(), ..KubeConfigOptions::default() };
                Config::from_custom_kubeconfig(file, &options).await.map_err(bad)?
            }
            None => Config::incluster().map_err(|source| Fault::Config {
                what: "the pod's ServiceAccount (set `kubeconfig` outside of a cluster)".to_owned(),
                source: source.into(),
            })?,
        };
        settings.connect_timeout = Some(CONNECT_TIMEOUT);
        settings.read_timeout = Some(CALL_TIMEOUT);
        settings.write_timeout = Some(CALL_TIMEOUT);
        let client = Client::try_from(settings).map_err(|source| Fault::Config {
            what: format!("the settings of cluster {}", config.cluster),
            source: source.into(),
        })?;
        Ok(Self { client, cluster: config.cluster.clone() })
    }

    /// Name of the cluster.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Asks for the server's version, such as `v1.20.2`: what a readiness check wants to know.
    ///
    /// # Errors
    /// As every call.
    pub async fn version(&self) -> Result<String, Fault> {
        let info = ask("reading the server's version", self.client.apiserver_version()).await?;
        Ok(info.git_version)
    }

    /// The Deployment as it is now.
    async fn deployment(&self, workload: &Workload) -> Result<Live, Fault> {
        let WorkloadKind::Deployment = workload.kind;
        if workload.cluster != self.cluster {
            return Err(Fault::Invalid {
                doing: format!("reading {workload}"),
                message: format!("it is in cluster {}, this connection is to cluster {}", workload.cluster, self.cluster),
            });
        }
        let object = ask(&format!("reading {workload}"), self.deployments(&workload.namespace).get(&workload.name)).await?;
        Live::parse(object).map_err(|message| Fault::Invalid { doing: format!("reading {workload}"), message })
    }

    fn deployments(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<Deployment>(&()))
    }

    /// The ReplicaSets that the Deployment owns.
    async fn replica_sets(&self, workload: &Workload, deployment: &Live) -> Result<Listed<DynamicObject>, Fault> {
        let api = Api::namespaced_with(self.client.clone(), &workload.namespace, &ApiResource::erase::<ReplicaSet>(&()));
        let params = ListParams::default().labels(&deployment.selector());
        let mut listed: Listed<DynamicObject> = list(&format!("listing the ReplicaSets of {workload}"), &api, params).await?;
        listed.items.retain(|set| deployment.owns(&set.metadata));
        Ok(listed)
    }
}

/// Every call is bounded, and its failure says what we were doing.
async fn ask<T>(doing: &str, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Fault> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => answer.map_err(|error| Fault::of(doing, error)),
        Err(elapsed) => Err(Fault::Unreachable { doing: doing.to_owned(), source: elapsed.into() }),
    }
}

async fn list<K>(doing: &str, api: &Api<K>, params: ListParams) -> Result<Listed<K>, Fault>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut params = params.limit(PAGE_ITEMS);
    let mut items = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = ask(doing, api.list(&params)).await?;
        items.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(Listed { items, cut: false }),
        }
    }
    Ok(Listed { items, cut: true })
}
