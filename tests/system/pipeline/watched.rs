//! Every version of the shops' Deployments, as the API tells of them: what was changed, and by which plan.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use incident::id::TenantId;
use incident::plan::Digest;
use incident::promises::world::Change;
use incident::workload::{Workload, WorkloadKind};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::Value;
use testkit::Cluster;
use tokio::task::JoinHandle;

/// The annotation that marks a change as made by a plan.
pub(super) const PLAN: &str = "paramedic.dev/plan";
/// The annotation that marks it as taken back.
pub(super) const UNDONE: &str = "paramedic.dev/undone";

/// A watch that was not answered is asked for again after this.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

type Versions = Arc<Mutex<Vec<DynamicObject>>>;

/// Looks at the shops for as long as it lives.
pub(crate) struct Watched {
    versions: Versions,
    watching: Vec<JoinHandle<()>>,
}

impl Watched {
    /// Begins to look.
    pub(super) async fn start(cluster: &Cluster, namespaces: &[String]) -> Result<Self> {
        let (versions, mut watching) = (Versions::default(), Vec::new());
        for namespace in namespaces {
            let deployment = ApiResource::erase::<Deployment>(&());
            let api = Api::<DynamicObject>::namespaced_with(cluster.client.clone(), namespace, &deployment);
            let list = api.list(&ListParams::default()).await.context("listing a shop's Deployments")?;
            let from = list.metadata.resource_version.context("a list has a version")?;
            versions.lock().unwrap_or_else(PoisonError::into_inner).extend(list.items);
            watching.push(tokio::spawn(watch(api, from, Arc::clone(&versions))));
        }
        Ok(Self { versions, watching })
    }

    /// What plans did in this namespace so far.
    pub(crate) fn changes(&self, tenant: &TenantId, namespace: &str) -> Result<Vec<Change>> {
        self.marked(tenant, namespace, PLAN)
    }

    /// What was taken back there.
    pub(crate) fn undone(&self, tenant: &TenantId, namespace: &str) -> Result<Vec<Change>> {
        self.marked(tenant, namespace, UNDONE)
    }

    /// The versions in which this annotation is new.
    fn marked(&self, tenant: &TenantId, namespace: &str, mark: &str) -> Result<Vec<Change>> {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let here: Vec<&DynamicObject> =
            versions.iter().filter(|version| version.metadata.namespace.as_deref() == Some(namespace)).collect();
        let mut found = Vec::new();
        for (n, after) in here.iter().enumerate() {
            let Some(digest) = annotation(after, mark) else { continue };
            let before = here.iter().take(n).rev().find(|before| before.metadata.uid == after.metadata.uid);
            let before = before.context("the first version that was seen was a change already")?;
            if annotation(before, mark) == Some(digest) {
                continue;
            }
            found.push(Change {
                tenant: tenant.clone(),
                workload: workload(after)?,
                uid: after.metadata.uid.clone().context("a uid")?,
                digest: Digest(digest.to_owned()),
                spec_before: canonical_digest(&spec(before)?)?,
                template_after: canonical_digest(spec(after)?.get("template").context("a template")?)?,
            });
        }
        Ok(found)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watching.iter().for_each(JoinHandle::abort);
    }
}

/// Looks until it is stopped. A watch ends after some minutes, and goes on from what it saw last.
async fn watch(api: Api<DynamicObject>, mut from: String, versions: Versions) {
    loop {
        let version = from.clone();
        let Ok(events) = api.watch(&WatchParams::default(), &version).await else {
            tokio::time::sleep(AGAIN_AFTER).await;
            continue;
        };
        let mut events = events.boxed();
        while let Ok(Some(event)) = events.try_next().await {
            if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                if let Some(version) = &object.metadata.resource_version {
                    from.clone_from(version);
                }
                versions.lock().unwrap_or_else(PoisonError::into_inner).push(object);
            }
        }
    }
}

fn annotation<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

fn workload(object: &DynamicObject) -> Result<Workload> {
    let (namespace, name) = (object.metadata.namespace.clone(), object.metadata.name.clone());
    Ok(Workload {
        cluster: "default".to_owned(),
        namespace: namespace.context("a namespace")?,
        kind: WorkloadKind::Deployment,
        name: name.context("a name")?,
    })
}

/// What a plan compares: everything but `replicas`, which autoscalers write.
fn spec(object: &DynamicObject) -> Result<Value> {
    let mut spec = object.data.get("spec").cloned().context("a spec")?;
    spec.as_object_mut().context("a spec is an object")?.remove("replicas");
    Ok(without_nulls(spec))
}

/// Servers differ in whether they write nulls, and they mean nothing.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect())
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn canonical_digest(value: &Value) -> Result<Digest> {
    Ok(Digest::of(&serde_json_canonicalizer::to_vec(value)?))
}
