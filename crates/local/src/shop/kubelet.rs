//! Plays the kubelet of one namespace: reports on its pods and lets go of deleted ones.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::behaviour::Behaviour;
use super::status;
use super::traffic::{Pod as TrafficPod, Traffic, Workload, lock};

/// Before the API is asked again after a failure.
const RETRY_AFTER: Duration = Duration::from_millis(300);
/// How often crashing containers are looked at.
const CRASH_TICK: Duration = Duration::from_millis(500);
/// A real kubelet waits 10 s, then twice as long each time, up to 300 s; a demo has less time.
const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(20);

/// A pod whose container crashes.
struct Crashing {
    pod: Pod,
    restarts: i32,
    wait: Duration,
    due: Instant,
}

struct Kubelet {
    namespace: String,
    pods: Api<Pod>,
    events: Api<Event>,
    traffic: Arc<Mutex<Traffic>>,
    crashing: BTreeMap<String, Crashing>,
}

/// Runs for ever; failures of the API are waited out.
pub(super) async fn run(client: Client, namespace: String, traffic: Arc<Mutex<Traffic>>) {
    let mut kubelet = Kubelet {
        pods: Api::namespaced(client.clone(), &namespace),
        events: Api::namespaced(client, &namespace),
        namespace,
        traffic,
        crashing: BTreeMap::new(),
    };
    loop {
        if let Err(error) = kubelet.follow().await {
            tracing::warn!(
                k8s.namespace = kubelet.namespace,
                error = &error as &dyn std::error::Error,
                "the shop's kubelet lost the API, trying again"
            );
            sleep(RETRY_AFTER).await;
        }
    }
}

impl Kubelet {
    /// One list and the watch that follows it, until that ends. (List, then watch: servers before 1.27 know no
    /// streaming lists.)
    async fn follow(&mut self) -> kube::Result<()> {
        let listed = self.pods.list(&ListParams::default()).await?;
        lock(&self.traffic).clear(&self.namespace);
        self.crashing.clear();
        let version = listed.metadata.resource_version.clone().unwrap_or_default();
        for pod in listed.items {
            self.tend(pod).await?;
        }
        let mut changes = pin!(self.pods.watch(&WatchParams::default(), &version).await?);
        let mut tick = interval(CRASH_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                change = changes.next() => match change.transpose()? {
                    Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => self.tend(pod).await?,
                    Some(WatchEvent::Deleted(pod)) => self.forget(&pod.name_any()),
                    Some(WatchEvent::Bookmark(_)) => {}
                    // The version is too old, or the server has had enough: list again.
                    Some(WatchEvent::Error(_)) | None => return Ok(()),
                },
                _ = tick.tick() => self.restart_crashed().await?,
            }
        }
    }

    async fn tend(&mut self, pod: Pod) -> kube::Result<()> {
        let name = pod.name_any();
        if pod.metadata.deletion_timestamp.is_some() {
            // The container stops at once, which for a kubelet is the moment to confirm the deletion.
            self.forget(&name);
            return self.pods.delete(&name, &DeleteParams::default().grace_period(0)).await.map(drop).or_else(gone_is_fine);
        }
        let Some(ready) = status::ready(&pod) else {
            return self.report(&name, &status::report(&pod, 0, Timestamp::now())).await;
        };
        let behaviour = status::behaviour(&pod);
        if let Some(workload) = workload(&pod) {
            lock(&self.traffic).put(&self.namespace, &name, TrafficPod { workload, behaviour, ready });
        }
        if behaviour == Behaviour::Crashes && !self.crashing.contains_key(&name) {
            let restarts = status::restarts(&pod);
            let crashing = Crashing { pod, restarts, wait: BACK_OFF_FIRST, due: Instant::now() + BACK_OFF_FIRST };
            self.crashing.insert(name, crashing);
        }
        Ok(())
    }

    fn forget(&mut self, name: &str) {
        lock(&self.traffic).remove(&self.namespace, name);
        self.crashing.remove(name);
    }

    /// Starts crashed containers again, which crash again.
    async fn restart_crashed(&mut self) -> kube::Result<()> {
        let now = Instant::now();
        let mut reports = Vec::new();
        for (name, crashing) in self.crashing.iter_mut().filter(|(_, crashing)| crashing.due <= now) {
            crashing.restarts += 1;
            crashing.wait = (crashing.wait * 2).min(BACK_OFF_MAX);
            crashing.due = now + crashing.wait;
            reports.push((name.clone(), crashing.pod.clone(), crashing.restarts));
        }
        for (name, pod, restarts) in reports {
            let now = Timestamp::now();
            self.report(&name, &status::report(&pod, restarts, now)).await?;
            self.warn(&pod, restarts, now).await?;
        }
        Ok(())
    }

    async fn report(&self, name: &str, report: &Value) -> kube::Result<()> {
        let patch = Patch::Strategic(report);
        self.pods.patch_status(name, &PatchParams::default(), &patch).await.map(drop).or_else(gone_is_fine)
    }

    /// One event per pod, counted up, as the API's event recorders do.
    async fn warn(&self, pod: &Pod, count: i32, now: Timestamp) -> kube::Result<()> {
        let again = Patch::Merge(status::back_off_again(count, now));
        match self.events.patch(&status::event_name(pod), &PatchParams::default(), &again).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => {}
            other => return other.map(drop),
        }
        let Ok(event) = serde_json::from_value(status::back_off_event(pod, count, now)) else {
            return Ok(());
        };
        self.events.create(&PostParams::default(), &event).await.map(drop).or_else(gone_is_fine)
    }
}

/// Only pods that a Deployment made serve customers.
fn workload(pod: &Pod) -> Option<Workload> {
    let replica_set = pod.owner_references().iter().find(|owner| owner.kind == "ReplicaSet")?;
    let hash = pod.labels().get("pod-template-hash")?;
    let deployment = replica_set.name.strip_suffix(hash)?.strip_suffix('-')?.to_owned();
    let service = pod.labels().get("service").unwrap_or(&deployment).clone();
    Some(Workload { namespace: pod.namespace()?, deployment, service })
}

/// A pod that is gone (404), or whose namespace is going (403, 409), needs no report.
fn gone_is_fine(error: kube::Error) -> kube::Result<()> {
    match error {
        kube::Error::Api(refusal) if matches!(refusal.code, 403 | 404 | 409) => Ok(()),
        other => Err(other),
    }
}
