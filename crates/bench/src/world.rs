//! What incidents are about: Deployments of a real Kubernetes, each with a bad new revision, and a real Prometheus that sees it.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use futures::StreamExt as _;
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use local::install::{self, Environment};
use local::kubernetes::{ControlPlane, Durability, await_service_account};
use local::prometheus::Prometheus;
use local::shop::Shop;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::audit::Audit;
use crate::figures::note;
use crate::machine::now_ns;
use crate::tap::Tap;

pub(crate) const NAMESPACE: &str = "bench";
const GOOD: &str = "shop:v1";
const BAD: &str = "shop:v2";
/// What the gauge shows of a good and of a bad revision.
const RATIO_GOOD: f64 = 0.01;
const RATIO_BAD: f64 = 0.3;
/// Often, so that recovery is seen soon: the bench waits for it between incidents.
const SCRAPE_EVERY: &str = "200ms";
/// Values before the change, so that it is one.
const SCRAPED_FOR: Duration = Duration::from_secs(3);
/// Rollouts of all Deployments at once, on two cores.
const ROLLED_OUT_WITHIN: Duration = Duration::from_mins(3);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The API server ends a watch after this; a run is shorter.
const WATCH_SECONDS: u32 = 290;

/// When the watch told that a Deployment has its good revision back, in nanoseconds since 1970.
pub(crate) type Patched = BTreeMap<String, u64>;

/// All that runs.
pub(crate) struct World {
    pub(crate) kubernetes: Tap,
    pub(crate) prometheus: Tap,
    /// For Paramedic: through the tap.
    pub(crate) kubeconfig: PathBuf,
    /// When it patched what, as the API server says.
    pub(crate) audit: Audit,
    /// Told by the API server's watch.
    pub(crate) patched: watch::Receiver<Patched>,
    following: AbortHandle,
    _plane: ControlPlane,
    _prometheus: Prometheus,
    _shop: Shop,
}

impl Drop for World {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// The Deployments' names.
pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("svc-{n:03}")).collect()
}

/// The expression behind the alert about one of them.
pub(crate) fn expression(name: &str) -> String {
    format!("bench_error_ratio{{namespace=\"{NAMESPACE}\",deployment=\"{name}\"}} > 0.1")
}

impl World {
    /// Starts everything and breaks `count` Deployments.
    pub(crate) async fn start(dir: &Path, count: usize) -> Result<Self> {
        let environment = Environment::from_process();
        note("path: starting Kubernetes and Prometheus");
        let mut programs = install::kubernetes(&environment, &|line| note(line)).await?;
        let audit = Audit::prepare(dir)?;
        programs.etcd = stand_back(dir, &programs.etcd, &[])?;
        programs.apiserver = stand_back(dir, &programs.apiserver, &audit.arguments())?;
        programs.controller_manager = stand_back(dir, &programs.controller_manager, &[])?;
        let options = local::kubernetes::Options { programs, dir: dir.join("kubernetes"), durability: Durability::Durable };
        let plane = ControlPlane::start(options).await?;
        let client = plane.client();
        let upstream: SocketAddr = plane.url().trim_start_matches("https://").parse().context("the API server's address")?;
        let kubernetes = Tap::open(upstream).await?;
        let kubeconfig = dir.join("tapped.kubeconfig");
        let text = std::fs::read_to_string(plane.kubeconfig()).context("reading the kubeconfig")?;
        let tapped = text.replace(&upstream.to_string(), &kubernetes.address().to_string());
        ensure!(tapped != text, "the kubeconfig does not name the API server at {upstream}");
        std::fs::write(&kubeconfig, tapped).context("writing a kubeconfig")?;
        create_namespace(&client).await?;
        let shop = Shop::start(client.clone(), [NAMESPACE.to_owned()]).await?;
        let ratios = Ratios::default();
        let prometheus = prometheus(dir, &environment, ratios.clone()).await?;
        let upstream = prometheus.url().trim_start_matches("http://").parse().context("Prometheus' address")?;
        let tapped = Tap::open(upstream).await?;
        break_all(&client, &names(count), &ratios).await?;
        let (patched, following) = follow(client, ratios).await?;
        Ok(Self {
            kubernetes,
            prometheus: tapped,
            kubeconfig,
            audit,
            patched,
            following,
            _plane: plane,
            _prometheus: prometheus,
            _shop: shop,
        })
    }
}

/// The program, with some arguments more, where it runs only when nothing else wants to (SCHED_IDLE). Elsewhere it has machines of its own;
/// here what it does between calls, such as collecting garbage on both cores, would count as time of ours.
fn stand_back(dir: &Path, program: &Path, more: &[String]) -> Result<PathBuf> {
    let name = program.file_name().context("a program has a name")?;
    let script = dir.join(format!("idle-{}", name.display()));
    let more = more.join("' '");
    let more = if more.is_empty() { String::new() } else { format!(" '{more}'") };
    let text = format!("#!/bin/sh\nexec chrt --idle 0 '{}' \"$@\"{more}\n", program.display());
    let written = std::fs::write(&script, text).and_then(|()| std::fs::set_permissions(&script, Permissions::from_mode(0o755)));
    written.with_context(|| format!("writing {}", script.display()))?;
    Ok(script)
}

async fn create_namespace(client: &Client) -> Result<()> {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(NAMESPACE.to_owned());
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.context("creating the namespace")?;
    await_service_account(client, NAMESPACE).await.context("waiting for the namespace")
}

/// The gauges, by Deployment.
#[derive(Clone, Default)]
struct Ratios(Arc<Mutex<BTreeMap<String, f64>>>);

impl Ratios {
    fn set(&self, name: &str, ratio: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), ratio);
    }

    fn set_all(&self, names: &[String], ratio: f64) {
        for name in names {
            self.set(name, ratio);
        }
    }

    fn text(&self) -> String {
        let ratios = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(name, ratio): (&String, &f64)| {
            format!("bench_error_ratio{{namespace=\"{NAMESPACE}\",deployment=\"{name}\"}} {ratio}\n")
        };
        ratios.iter().map(line).collect()
    }
}

async fn prometheus(dir: &Path, environment: &Environment, ratios: Ratios) -> Result<Prometheus> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("serving the gauges")?;
    let target = listener.local_addr().context("serving the gauges")?;
    let routes = Router::new().route("/metrics", get(async |State(ratios): State<Ratios>| ratios.text())).with_state(ratios);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let program = stand_back(dir, &install::monitoring(environment, &|line| note(line)).await?.prometheus, &[])?;
    let config = format!(
        "global: {{ scrape_interval: {SCRAPE_EVERY} }}\nscrape_configs:\n- job_name: bench\n  honor_labels: true\n\
         \x20 static_configs: [{{ targets: [\"{target}\"] }}]\n"
    );
    let options = local::prometheus::Options { program, dir: dir.join("prometheus"), port: None, config };
    Ok(Prometheus::start(options).await?)
}

/// A good revision everywhere, some seconds of good values, then the bad one.
async fn break_all(client: &Client, names: &[String], ratios: &Ratios) -> Result<()> {
    note(&format!("path: rolling out {} Deployments twice", names.len()));
    let deployments = Api::<Deployment>::namespaced(client.clone(), NAMESPACE);
    let apply = async |image: &'static str, ratio: f64| -> Result<()> {
        let params = PatchParams::apply("bench").force();
        let patches = names.iter().map(|name| {
            let deployment = Patch::Apply(deployment(name, image));
            let (deployments, params) = (&deployments, &params);
            async move { deployments.patch(name, params, &deployment).await }
        });
        try_join_all(patches).await.context("applying a Deployment")?;
        ratios.set_all(names, ratio);
        rolled_out(&deployments, names.len()).await
    };
    apply(GOOD, RATIO_GOOD).await?;
    // Values of before must be there for the time that was waited.
    tokio::time::sleep(SCRAPED_FOR).await;
    apply(BAD, RATIO_BAD).await
}

fn deployment(name: &str, image: &str) -> Value {
    let labels = json!({ "app": name });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{
                    "name": "shop", "image": image,
                    "resources": { "requests": { "cpu": "50m", "memory": "64Mi" } },
                }] },
            },
        },
    })
}

async fn rolled_out(deployments: &Api<Deployment>, count: usize) -> Result<()> {
    let deadline = Instant::now() + ROLLED_OUT_WITHIN;
    loop {
        let all = deployments.list(&ListParams::default()).await.context("listing Deployments")?;
        let done = all.items.iter().filter(|one| is_rolled_out(one)).count();
        if done == count {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{done} of {count} Deployments rolled out within {} s", ROLLED_OUT_WITHIN.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn is_rolled_out(one: &Deployment) -> bool {
    let Some(status) = &one.status else { return false };
    status.observed_generation == one.metadata.generation
        && [status.replicas, status.updated_replicas, status.available_replicas] == [Some(1); 3]
}

fn image(one: &Deployment) -> Option<&str> {
    one.spec.template.spec.as_ref()?.containers.first()?.image.as_deref()
}

/// Watches for good revisions, notes when each came, and lets the gauges follow.
async fn follow(client: Client, ratios: Ratios) -> Result<(watch::Receiver<Patched>, AbortHandle)> {
    let deployments = Api::<Deployment>::namespaced(client, NAMESPACE);
    let listed = deployments.list(&ListParams::default()).await.context("listing Deployments")?;
    let version = listed.metadata.resource_version.context("a list has a version")?;
    let (sender, receiver) = watch::channel(Patched::new());
    let following = tokio::spawn(async move {
        if let Err(error) = watch_from(&deployments, version, &sender, &ratios).await {
            // Whoever waits for a Deployment then waits in vain, and says so.
            note(&format!("the watch of Deployments broke: {error:#}"));
        }
    });
    Ok((receiver, following.abort_handle()))
}

async fn watch_from(
    deployments: &Api<Deployment>,
    mut version: String,
    patched: &watch::Sender<Patched>,
    ratios: &Ratios,
) -> Result<()> {
    loop {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let mut changes = deployments.watch(&params, &version).await.context("watching Deployments")?.boxed();
        while let Some(change) = changes.next().await {
            let at = now_ns();
            let one = match change.context("watching Deployments")? {
                WatchEvent::Added(one) | WatchEvent::Modified(one) => one,
                WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(status) => bail!("{}", status.message),
            };
            version = one.resource_version().unwrap_or(version);
            let name = one.name_any();
            if image(&one) == Some(GOOD) && !patched.borrow().contains_key(&name) {
                ratios.set(&name, RATIO_GOOD);
                patched.send_modify(|all| {
                    all.insert(name, at);
                });
            }
        }
    }
}
