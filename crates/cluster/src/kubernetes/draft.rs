//! What a rollback would be: the template to put back, the way to take it back, and the diff that the API server's own dry run shows.
//! Nothing is changed here.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use incident::evidence::FieldChange;
use incident::plan::{Digest, RollbackDraft, Templates};
use incident::workload::Workload;
use kube::api::DynamicObject;
use serde_json::Value;

use super::apply::{Change, Mark, Run};
use super::live::{Live, REVISION};
use super::{Fault, Kubernetes, template};

/// A diff that nobody reads to its end must not be approved.
const DIFF_LINES_MAX: usize = 200;
/// The status is written all the time, so a dry run may lose its race; one that always loses is a busy cluster.
const TRIES_MAX: u32 = 5;
/// Stands for the plan's digest in the dry run, because the digest covers the diff that the dry run answers.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why no rollback is proposed.
#[derive(Debug, thiserror::Error)]
pub enum DraftFault {
    /// The cluster could not be asked, or refuses the change.
    #[error(transparent)]
    Cluster(#[from] Fault),
    /// There is no ReplicaSet of that revision any more, or never was.
    #[error(
        "{workload} has no revision {revision} to go back to, only {known:?}; its revisionHistoryLimit says how many are kept"
    )]
    NoSuchRevision {
        /// Whose revision.
        workload: Workload,
        /// The one that was asked for.
        revision: u64,
        /// Those that exist.
        known: Vec<u64>,
    },
    /// The rollback would change nothing.
    #[error("{workload} already runs the template of revision {revision}")]
    SameTemplate {
        /// Whose template.
        workload: Workload,
        /// The revision that was asked for.
        revision: u64,
    },
    /// Somebody has paused the rollout: a new template would wait for them.
    #[error("the rollout of {workload} is paused; resume it first")]
    Paused {
        /// Whose rollout.
        workload: Workload,
    },
    /// What we change, its owner would change back.
    #[error("{workload} is managed by {by}; change it there")]
    ManagedElsewhere {
        /// The workload.
        workload: Workload,
        /// What manages it, and how that shows.
        by: String,
    },
    /// The Deployment controller has not yet worked on the newest change, so nobody knows what runs.
    #[error("the newest change of {workload} is not rolled out yet; try again when its controller has seen it")]
    NotSettled {
        /// The workload.
        workload: Workload,
    },
    /// Too much to be judged by a person.
    #[error("the rollback of {workload} would change {lines} fields, more than the {DIFF_LINES_MAX} that a person can judge")]
    TooLarge {
        /// The workload.
        workload: Workload,
        /// How many lines the diff has.
        lines: usize,
    },
}

impl Kubernetes {
    /// Asks the API server what putting the template of an earlier revision back would change.
    ///
    /// # Errors
    /// Why no rollback can be proposed. [`DraftFault::NotSettled`] and retryable cluster faults pass with time.
    pub async fn draft_rollback(&self, workload: &Workload, to_revision: u64) -> Result<RollbackDraft, DraftFault> {
        let doing = || format!("trying the rollback of {workload} to revision {to_revision}");
        for _ in 0..TRIES_MAX {
            let live = self.deployment(workload).await?;
            let from_revision = may_be_changed(workload, &live)?;
            let earlier = self.earlier_template(workload, &live, to_revision).await?;
            let mark = Mark { key: super::apply::PLAN, digest: &Digest(NO_DIGEST.to_owned()), cause: "dry run" };
            let Some(answer) = self.patch(workload, &live, &Change { template: &earlier, mark }, Run::Dry).await? else {
                continue;
            };
            let diff = diff(workload, to_revision, &live, &answer)?;
            let unreadable = |message| Fault::Invalid { doing: doing(), message };
            let (after, before) = (answer.template_text().map_err(unreadable)?, live.template_text().map_err(unreadable)?);
            return Ok(RollbackDraft {
                target: live.target(workload).map_err(unreadable)?,
                from_revision,
                to_revision,
                templates: Templates { after, before },
                diff,
                unmatched: BTreeSet::new(),
            });
        }
        Err(Fault::Conflict { doing: doing(), message: format!("it changed {TRIES_MAX} times in a row") }.into())
    }

    async fn earlier_template(&self, workload: &Workload, live: &Live, revision: u64) -> Result<Value, DraftFault> {
        let sets = self.replica_sets(workload, live).await?.items;
        let same = || DraftFault::SameTemplate { workload: workload.clone(), revision };
        let found = sets.iter().find(|set| revision_of(set) == Some(revision));
        let earlier = found.and_then(|set| template::of_replica_set(&set.data));
        let Some(earlier) = earlier else {
            let mut known: Vec<u64> = sets.iter().filter_map(revision_of).collect();
            known.sort_unstable();
            return Err(DraftFault::NoSuchRevision { workload: workload.clone(), revision, known });
        };
        if earlier == *live.template() { Err(same()) } else { Ok(earlier) }
    }
}

/// The revision in a ReplicaSet's annotation.
pub(super) fn revision_of(set: &DynamicObject) -> Option<u64> {
    set.metadata.annotations.as_ref()?.get(REVISION)?.parse().ok()
}

/// When a ReplicaSet was created.
pub(super) fn created(set: &DynamicObject) -> Option<DateTime<Utc>> {
    let time = set.metadata.creation_timestamp.as_ref()?;
    super::findings::utc(time)
}

fn may_be_changed(workload: &Workload, live: &Live) -> Result<u64, DraftFault> {
    let workload = workload.clone();
    if let Some(by) = manager(live) {
        return Err(DraftFault::ManagedElsewhere { workload, by });
    }
    if live.is_paused() {
        return Err(DraftFault::Paused { workload });
    }
    let revision = live.revision().filter(|_| live.is_observed());
    revision.ok_or(DraftFault::NotSettled { workload })
}

/// Marks that tell who owns the object, by the documentation of each: Argo CD's resource tracking, Flux's inventory labels, Helm's
/// release labels; who wrote its spec, by the server's own record; and any controller that owns it.
fn manager(live: &Live) -> Option<String> {
    let metadata = live.metadata();
    let marks = metadata.labels.iter().flatten().chain(metadata.annotations.iter().flatten());
    let named = marks.filter_map(|(key, value)| {
        let who = match key.split_once('/').map_or("", |(domain, _)| domain) {
            "argocd.argoproj.io" => "Argo CD",
            "kustomize.toolkit.fluxcd.io" | "helm.toolkit.fluxcd.io" => "Flux",
            "meta.helm.sh" => "Helm",
            "app.kubernetes.io" if key.ends_with("/managed-by") && value == "Helm" => "Helm",
            _ => return None,
        };
        Some(format!("{who} ({key}: {})", template::plain(value)))
    });
    let owner = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    // Flux installs Helm releases: its marks say more than Helm's, so the order decides.
    named.chain(writers(live)).min().or_else(|| owner.map(|owner| format!("the controller of {} {}", owner.kind, owner.name)))
}

/// Argo CD up to 2.x tracks by the label `app.kubernetes.io/instance` alone, which half the world's plain manifests carry as well. The
/// names are the field managers under which each tool writes, or the names of their programs, which the server takes by default.
fn writers(live: &Live) -> impl Iterator<Item = String> {
    live.metadata().managed_fields.iter().flatten().filter_map(|entry| {
        let manager = entry.manager.as_deref()?;
        let who = match manager {
            "argocd-controller" | "argocd-application-controller" => "Argo CD",
            "kustomize-controller" | "helm-controller" => "Flux",
            "helm" | "Helm" => "Helm",
            _ => return None,
        };
        // One that only notes something in the metadata would not change the spec back.
        entry.fields_v1.as_ref()?.0.get("f:spec")?;
        Some(format!("{who} (field manager {manager})"))
    })
}

fn diff(workload: &Workload, revision: u64, live: &Live, answer: &Live) -> Result<Vec<String>, DraftFault> {
    let lines: Vec<String> = template::changes(live.template(), answer.template()).iter().map(FieldChange::line).collect();
    match lines.len() {
        0 => Err(DraftFault::SameTemplate { workload: workload.clone(), revision }),
        1..=DIFF_LINES_MAX => Ok(lines),
        lines => Err(DraftFault::TooLarge { workload: workload.clone(), lines }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(metadata: &Value, expected: Option<&str>) {
        let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {}},
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "1"}});
        object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        let live = Live::parse(serde_json::from_value(object).unwrap()).unwrap();
        let by = manager(&live);
        assert_eq!(by.is_some(), expected.is_some(), "{metadata}");
        assert!(by.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{metadata}");
    }

    #[test]
    fn owners_are_known_by_their_marks() {
        check(&json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), Some("Helm"));
        check(&json!({"labels": {"app.kubernetes.io/managed-by": "alice"}}), None);
        check(&json!({"annotations": {"meta.helm.sh/release-name": "shop"}}), Some("Helm"));
        check(&json!({"labels": {"argocd.argoproj.io/instance": "shop"}}), Some("Argo CD"));
        check(&json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/a"}}), Some("Argo CD"));
        check(&json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}), Some("Flux"));
        check(&json!({"labels": {"helm.toolkit.fluxcd.io/name": "x", "app.kubernetes.io/managed-by": "Helm"}}), Some("Flux"));
        let owner = json!({"apiVersion": "v1", "kind": "Shop", "name": "s", "uid": "1", "controller": true});
        check(&json!({"ownerReferences": [owner]}), Some("the controller of Shop s"));
        check(&json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}), None);
        check(&json!({"labels": {"app.kubernetes.io/instance": "shop"}}), None);
    }

    #[test]
    fn owners_are_known_by_what_they_wrote() {
        let wrote = |manager: &str, field: &str| {
            let entry = json!({"manager": manager, "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": {field: {}}});
            json!({"labels": {"app.kubernetes.io/instance": "shop"}, "managedFields": [
                {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:spec": {}}}, entry]})
        };
        check(&wrote("argocd-controller", "f:spec"), Some("Argo CD"));
        check(&wrote("argocd-application-controller", "f:spec"), Some("Argo CD"));
        check(&wrote("kustomize-controller", "f:spec"), Some("Flux"));
        check(&wrote("helm-controller", "f:spec"), Some("Flux"));
        check(&wrote("helm", "f:spec"), Some("Helm"));
        check(&wrote("argocd-controller", "f:metadata"), None);
        check(&wrote("kube-controller-manager", "f:status"), None);
        check(&wrote("paramedic", "f:spec"), None);
    }
}
