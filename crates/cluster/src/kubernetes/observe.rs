//! What a workload's cluster shows: its revisions, the pods of each, and the warnings that still hold. Read only.

use chrono::{DateTime, Utc};
use incident::evidence::Finding;
use incident::workload::Workload;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, DynamicObject, ListParams};

use super::findings::{self, Objects};
use super::live::Live;
use super::{Fault, Kubernetes, Listed, list};
use crate::Observation;

/// What was asked, as paths of the API: anyone can ask again with `kubectl get --raw`.
struct Paths {
    sets: String,
    pods: String,
    events: String,
}

impl Kubernetes {
    /// Looks at the workload: its newest revision changes, how the pods of the revisions around it are, and warnings last seen between
    /// `from` and `to` that still hold. What could not be read is a [`Finding::Gap`].
    ///
    /// # Errors
    /// If not even the Deployment can be read.
    pub async fn observe(&self, workload: &Workload, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<Observation>, Fault> {
        let deployment = self.deployment(workload).await?;
        let paths = Paths::of(workload, &deployment);
        let (sets, pods, events) = tokio::join!(
            self.replica_sets(workload, &deployment),
            self.pods(workload, &deployment),
            self.warnings(&workload.namespace)
        );
        let mut seen = Vec::new();
        let sets: Vec<DynamicObject> = take(sets, &paths.sets, &mut seen);
        let pods: Option<Vec<Pod>> = take_if_read(pods, &paths.pods, &mut seen);
        let events: Vec<Event> = take(events, &paths.events, &mut seen);

        let revisions = findings::revisions(&sets);
        let changes = findings::revision_changes(workload, &deployment, &revisions, from);
        let compared = changes.first().and_then(|change| change.from_revision);
        seen.extend(changes.into_iter().map(|change| observation(&paths.sets, Finding::Revision(change))));
        if let Some(pods) = &pods {
            let states = findings::pods_states(&revisions, compared, pods);
            seen.extend(states.into_iter().map(|finding| observation(&paths.pods, finding)));
        }
        let objects = Objects { deployment: &deployment, sets: &sets, pods: pods.as_deref().unwrap_or_default() };
        seen.extend(
            findings::standing_events(&objects, &events, from, to).into_iter().map(|finding| observation(&paths.events, finding)),
        );
        Ok(seen)
    }

    async fn pods(&self, workload: &Workload, deployment: &Live) -> Result<Listed<Pod>, Fault> {
        let api = Api::namespaced(self.client.clone(), &workload.namespace);
        list(&format!("listing the pods of {workload}"), &api, ListParams::default().labels(&deployment.selector())).await
    }

    async fn warnings(&self, namespace: &str) -> Result<Listed<Event>, Fault> {
        let api = Api::namespaced(self.client.clone(), namespace);
        list(&format!("listing the warnings in namespace {namespace}"), &api, ListParams::default().fields("type=Warning")).await
    }
}

impl Paths {
    fn of(workload: &Workload, deployment: &Live) -> Self {
        let (namespace, selector) = (&workload.namespace, deployment.selector());
        Self {
            sets: format!("/apis/apps/v1/namespaces/{namespace}/replicasets?labelSelector={selector}"),
            pods: format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}"),
            events: format!("/api/v1/namespaces/{namespace}/events?fieldSelector=type=Warning"),
        }
    }
}

fn observation(query: &str, finding: Finding) -> Observation {
    Observation { query: query.to_owned(), finding }
}

fn take<K>(listed: Result<Listed<K>, Fault>, query: &str, seen: &mut Vec<Observation>) -> Vec<K> {
    take_if_read(listed, query, seen).unwrap_or_default()
}

/// A list that could not be read, or not to its end, is a gap in what was seen.
fn take_if_read<K>(listed: Result<Listed<K>, Fault>, query: &str, seen: &mut Vec<Observation>) -> Option<Vec<K>> {
    let mut gap = |reason: String| seen.push(observation(query, Finding::Gap { reason }));
    match listed {
        Ok(Listed { items, cut }) => {
            if cut {
                gap(format!("only the first {} were looked at", items.len()));
            }
            Some(items)
        }
        Err(fault) => {
            gap(chain(&fault));
            None
        }
    }
}

fn chain(fault: &Fault) -> String {
    let causes = std::iter::successors(std::error::Error::source(fault), |cause| cause.source());
    std::iter::once(fault.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}
