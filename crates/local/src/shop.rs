//! The world of the demo and the tests: a shop whose pods "run" and whose error ratio follows them.
//!
//! A private control plane has no nodes, so nobody runs pods or reports on them. The shop does both: it plays the kubelet
//! for its namespaces and serves the counters that the pods would serve. What a pod does is written in its image's tag
//! ([`Behaviour`]), so a rollback to an older image really brings the error ratio down. It must never run against a
//! cluster that has nodes: it would lie about their pods.

mod behaviour;
mod exposition;
mod kubelet;
mod status;
mod traffic;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::behaviour::Behaviour;
use self::traffic::Traffic;
use crate::{Error, Result};

/// The shop's usual Deployment, its container, and the value of the label `service`.
pub const DEPLOYMENT: &str = "checkout";
const FIELD_MANAGER: &str = "shop";
/// Enough for a rollout to have old and new pods at once.
const REPLICAS: i32 = 3;
/// A rollout that gets nowhere is declared failed this soon (Kubernetes' default is 600 s: no demo waits that long).
const PROGRESS_DEADLINE_SECONDS: i32 = 10;

/// A Deployment of the shop; its container and the label `service` are called as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Where.
    pub namespace: &'a str,
    /// What it is called.
    pub name: &'a str,
}

/// A running shop: kubelet, customers and counters. Dropping it ends them.
pub struct Shop {
    address: SocketAddr,
    tasks: TaskTracker,
    cancel: CancellationToken,
    _cancel_on_drop: DropGuard,
}

impl Shop {
    /// Plays the kubelet in `namespaces` and serves their counters on a free port.
    pub async fn start(client: Client, namespaces: impl IntoIterator<Item = String>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::Port)?;
        let address = listener.local_addr().map_err(Error::Port)?;
        let traffic = Arc::new(Mutex::new(Traffic::default()));
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        for namespace in namespaces {
            let kubelet = kubelet::run(client.clone(), namespace, Arc::clone(&traffic));
            tasks.spawn(cancel.clone().run_until_cancelled_owned(kubelet));
        }
        tasks.spawn(cancel.clone().run_until_cancelled_owned(traffic::run(Arc::clone(&traffic))));
        tasks.spawn(exposition::serve(listener, traffic, cancel.clone()));
        tasks.close();
        Ok(Self { address, tasks, _cancel_on_drop: cancel.clone().drop_guard(), cancel })
    }

    /// Where Prometheus finds `/metrics`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends everything and waits for the end. Pods stay as they are.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.tasks.wait().await;
    }
}

/// Creates the usual Deployment with `image`, or brings an existing one back to it.
pub async fn deploy(client: &Client, namespace: &str, image: &str) -> Result<()> {
    Place { namespace, name: DEPLOYMENT }.deploy(client, image).await
}

/// Changes the image of the usual Deployment, as a release does: a new revision rolls out.
pub async fn set_image(client: &Client, namespace: &str, image: &str) -> Result<()> {
    Place { namespace, name: DEPLOYMENT }.set_image(client, image).await
}

impl Place<'_> {
    /// Creates the Deployment with `image`, or brings an existing one back to it.
    pub async fn deploy(self, client: &Client, image: &str) -> Result<()> {
        let name = self.name;
        let labels = json!({"app": name, "service": name});
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": name,
                "labels": labels,
                "annotations": {"kubernetes.io/change-cause": format!("deploy {image}")},
            },
            "spec": {
                "replicas": REPLICAS,
                "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": PROGRESS_DEADLINE_SECONDS,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{
                        "name": name,
                        "image": image,
                        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                    }]},
                },
            },
        });
        self.patch(client, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(deployment)).await
    }

    /// Changes the image, as a release does: a new revision rolls out.
    pub async fn set_image(self, client: &Client, image: &str) -> Result<()> {
        let change = json!({
            "metadata": {"annotations": {"kubernetes.io/change-cause": format!("set image {image}")}},
            "spec": {"template": {"spec": {"containers": [{"name": self.name, "image": image}]}}},
        });
        self.patch(client, &PatchParams::default(), &Patch::Strategic(change)).await
    }

    async fn patch(self, client: &Client, params: &PatchParams, change: &Patch<serde_json::Value>) -> Result<()> {
        let Place { namespace, name } = self;
        let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
        let failed = Error::kubernetes(format!("changing the Deployment {namespace}/{name}"));
        deployments.patch(name, params, change).await.map(drop).map_err(failed)
    }
}
