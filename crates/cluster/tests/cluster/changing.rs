//! What is changed, exactly once, and what is refused.

use anyhow::Result;
use cluster::kubernetes::{ApplyFault, DraftFault, Fault, Kubernetes, Rollout};
use incident::workload::Workload;
use kube::api::{DeleteParams, Patch, PatchParams};
use local::shop;
use serde_json::{Value, json};
use testkit::eventually;

use crate::stage::{ROLLOUT_WITHIN, Stage, config, now};

const GOOD: &str = "shop:v1";
const BAD: &str = "shop:v2-err30";
/// Writes of someone else while the change is made.
const CHURN: i64 = 40;

impl Stage {
    async fn merge(&self, change: Value) -> Result<()> {
        self.deployments().patch(shop::DEPLOYMENT, &PatchParams::default(), &Patch::Merge(change)).await?;
        Ok(())
    }
}

/// What drifted; empty where nothing did.
fn drift<T>(result: Result<T, ApplyFault>) -> String {
    match result {
        Err(ApplyFault::Drift { what }) => what,
        Ok(_) | Err(ApplyFault::Cluster(_)) => String::new(),
    }
}

#[tokio::test]
async fn a_rollback_is_drafted_applied_once_and_undone_once() -> Result<()> {
    let stage = Stage::with(&[GOOD, BAD]).await?;
    let before = stage.deployment().await?;
    let draft = stage.kubernetes.draft_rollback(&stage.workload, 1).await?;
    assert_eq!((draft.from_revision, draft.to_revision), (2, 1));
    assert_eq!(draft.diff.len(), 1, "{:?}", draft.diff);
    assert!(draft.diff[0].contains(GOOD) && draft.diff[0].contains(BAD), "{:?}", draft.diff);
    let after_draft = stage.deployment().await?;
    assert_eq!(before.metadata.generation, after_draft.metadata.generation, "a draft changes nothing");

    let approved = testkit::approved(draft, now())?;
    assert!(!stage.apply(&approved).await?.already);
    stage.rolled_out().await?;
    assert_eq!(stage.image().await?, GOOD);
    let applied = stage.deployment().await?;
    assert!(stage.apply(&approved).await?.already);
    assert_eq!(stage.deployment().await?.metadata.generation, applied.metadata.generation);

    assert!(!stage.kubernetes.undo(approved.plan(), approved.templates()).await?.already);
    stage.rolled_out().await?;
    assert_eq!(stage.deployment().await?.spec, before.spec, "the undo restores the spec to the letter");
    let undone = stage.deployment().await?;
    assert!(stage.kubernetes.undo(approved.plan(), approved.templates()).await?.already);
    assert!(stage.apply(&approved).await?.already, "a late apply after the undo does nothing");
    let late = stage.deployment().await?;
    assert_eq!((late.spec, late.metadata.generation), (undone.spec, undone.metadata.generation));
    Ok(())
}

#[tokio::test]
async fn the_applied_template_is_the_one_in_the_plan() -> Result<()> {
    let stage = Stage::with(&[GOOD, BAD]).await?;
    let approved = stage.draft(1).await?;
    stage.apply(&approved).await?;
    let planned: Value = serde_json::from_str(&approved.templates().after.0)?;
    let again = serde_json::to_value(stage.deployment().await?.spec.template)?;
    for pointer in
        ["/spec/containers/0/image", "/spec/containers/0/resources", "/spec/terminationGracePeriodSeconds", "/metadata/labels"]
    {
        assert_eq!(planned.pointer(pointer), again.pointer(pointer), "{pointer}");
    }
    assert_eq!(planned.pointer("/metadata/labels/pod-template-hash"), None);
    Ok(())
}

#[tokio::test]
async fn writes_that_leave_the_spec_alone_are_no_drift() -> Result<()> {
    let stage = Stage::with(&[GOOD, BAD]).await?;
    let approved = stage.draft(1).await?;
    stage.merge(json!({"metadata": {"annotations": {"note": "someone looked"}}})).await?;
    let status = json!({"status": {"conditions": [{"type": "Noted", "status": "True"}]}});
    stage.deployments().patch_status(shop::DEPLOYMENT, &PatchParams::default(), &Patch::Merge(status)).await?;
    let live = stage.deployment().await?;
    assert_ne!(live.metadata.resource_version.as_deref(), Some(approved.plan().target.resource_version.as_str()));
    assert!(!stage.apply(&approved).await?.already);
    Ok(())
}

#[tokio::test]
async fn the_change_gets_through_a_busy_object_exactly_once() -> Result<()> {
    let stage = Stage::with(&[GOOD, BAD]).await?;
    let approved = stage.draft(1).await?;
    let before = stage.deployment().await?.metadata.generation.unwrap();
    let churn = async {
        for n in 0..CHURN {
            stage.merge(json!({"metadata": {"annotations": {"churn": n.to_string()}}})).await?;
        }
        anyhow::Ok(())
    };
    let apply = async || loop {
        match stage.apply(&approved).await {
            Ok(applied) => return applied.already,
            Err(ApplyFault::Cluster(fault)) if fault.is_retryable() => {}
            Err(fault) => panic!("{fault:?}"),
        }
    };
    let (churned, a, b, c) = tokio::join!(churn, apply(), apply(), apply());
    churned?;
    assert_eq!([a, b, c].iter().filter(|already| !**already).count(), 1, "one of three made the change");
    // A Deployment's generation counts annotations as well.
    assert_eq!(stage.deployment().await?.metadata.generation, Some(before + CHURN + 1));
    Ok(())
}

#[tokio::test]
async fn a_changed_spec_is_refused() -> Result<()> {
    let stage = Stage::with(&[GOOD, BAD]).await?;
    let approved = stage.draft(1).await?;
    stage.merge(json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 2}}}})).await?;
    assert_ne!(drift(stage.apply(&approved).await), "", "the strategy is a part of what was seen");
    stage.set_image("shop:v3").await?;
    let what = drift(stage.apply(&approved).await);
    assert!(what.contains("shop:v3"), "{what}");
    assert_eq!(stage.image().await?, "shop:v3", "nothing was changed");
    Ok(())
}

#[tokio::test]
async fn a_spec_that_changes_after_it_was_seen_is_refused() -> Result<()> {
    let stage = Stage::with(&[GOOD, BAD]).await?;
    let approved = stage.draft(1).await?;
    let seen = stage.kubernetes.look(approved.plan()).await?;
    stage.set_image("shop:v3").await?;
    let what = drift(stage.kubernetes.apply(&approved, seen).await);
    assert!(what.contains("shop:v3"), "{what}");
    assert_eq!(stage.image().await?, "shop:v3", "nothing was changed");
    Ok(())
}

#[tokio::test]
async fn another_object_that_was_seen_is_refused() -> Result<()> {
    let (stage, other) = (Stage::with(&[GOOD, BAD]).await?, Stage::with(&[GOOD, BAD]).await?);
    let approved = stage.draft(1).await?;
    let seen = other.kubernetes.look(other.draft(1).await?.plan()).await?;
    assert_ne!(drift(stage.kubernetes.apply(&approved, seen).await), "");
    assert_eq!((stage.image().await?, other.image().await?), (BAD.to_owned(), BAD.to_owned()), "nothing was changed");
    Ok(())
}

#[tokio::test]
async fn scaling_is_no_drift_and_is_kept() -> Result<()> {
    let stage = Stage::with(&[GOOD, BAD]).await?;
    let approved = stage.draft(1).await?;
    stage.merge(json!({"spec": {"replicas": 2}})).await?;
    assert!(!stage.apply(&approved).await?.already);
    stage.merge(json!({"spec": {"replicas": 4}})).await?;
    assert!(!stage.kubernetes.undo(approved.plan(), approved.templates()).await?.already);
    let live = stage.deployment().await?;
    assert_eq!((live.spec.replicas, stage.image().await?.as_str()), (Some(4), BAD));
    Ok(())
}

#[tokio::test]
async fn a_recreated_object_is_refused_even_if_it_looks_the_same() -> Result<()> {
    let stage = Stage::with(&[GOOD, BAD]).await?;
    let approved = stage.draft(1).await?;
    let mut copy = stage.deployment().await?;
    stage.deployments().delete(shop::DEPLOYMENT, &DeleteParams::background()).await?;
    let gone = async || stage.deployments().get_opt(shop::DEPLOYMENT).await.ok()?.is_none().then_some(());
    eventually("the Deployment's end", ROLLOUT_WITHIN, gone).await?;
    assert!(matches!(stage.apply(&approved).await, Err(ApplyFault::Cluster(Fault::NotFound { .. }))));

    // Even the mark of the plan itself does not make another object the approved one.
    let annotations = copy.metadata.annotations.get_or_insert_default();
    annotations.insert("paramedic.dev/plan".to_owned(), approved.digest().0.clone());
    copy.metadata =
        kube::core::ObjectMeta { name: copy.metadata.name, annotations: copy.metadata.annotations, ..Default::default() };
    copy.status = None;
    stage.deployments().create(&kube::api::PostParams::default(), &copy).await?;
    assert!(drift(stage.apply(&approved).await).contains("created anew"));
    assert!(drift(stage.kubernetes.undo(approved.plan(), approved.templates()).await).contains("created anew"));
    assert_eq!(stage.image().await?, BAD);
    Ok(())
}

#[tokio::test]
async fn an_undo_never_overwrites_someone_elses_change() -> Result<()> {
    let stage = Stage::with(&[GOOD, BAD]).await?;
    let approved = stage.draft(1).await?;
    assert!(
        drift(stage.kubernetes.undo(approved.plan(), approved.templates()).await).contains("does not carry"),
        "nothing to take back yet"
    );
    stage.apply(&approved).await?;
    assert!(!matches!(stage.kubernetes.rollout_of(approved.plan()).await?, Rollout::Superseded { .. }));
    stage.set_image("shop:v3").await?;
    assert!(matches!(stage.kubernetes.rollout_of(approved.plan()).await?, Rollout::Superseded { .. }));
    assert!(drift(stage.kubernetes.undo(approved.plan(), approved.templates()).await).contains("shop:v3"));
    assert_eq!(stage.image().await?, "shop:v3");
    Ok(())
}

#[tokio::test]
async fn what_must_not_be_rolled_back_is_not_drafted() -> Result<()> {
    let stage = Stage::with(&[GOOD, BAD]).await?;
    let draft = |revision| stage.kubernetes.draft_rollback(&stage.workload, revision);
    assert!(matches!(draft(9).await, Err(DraftFault::NoSuchRevision { known, .. }) if known == [1, 2]));
    assert!(matches!(draft(2).await, Err(DraftFault::SameTemplate { .. })));
    stage.merge(json!({"spec": {"paused": true}})).await?;
    assert!(matches!(draft(1).await, Err(DraftFault::Paused { .. })));
    stage.merge(json!({"spec": {"paused": null}})).await?;
    // Argo CD that tracks by label leaves no mark of its own; the server knows who wrote the spec.
    let argo = PatchParams { field_manager: Some("argocd-controller".to_owned()), ..PatchParams::default() };
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": shop::DEPLOYMENT, "image": "shop:v3"}]}}}});
    stage.deployments().patch(shop::DEPLOYMENT, &argo, &Patch::Strategic(image)).await?;
    assert!(matches!(draft(1).await, Err(DraftFault::ManagedElsewhere { by, .. }) if by.starts_with("Argo CD")));
    stage.merge(json!({"metadata": {"managedFields": [{}]}})).await?;
    stage.merge(json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}})).await?;
    assert!(matches!(draft(1).await, Err(DraftFault::ManagedElsewhere { by, .. }) if by.starts_with("Helm")));
    assert_eq!(stage.image().await?, "shop:v3");
    Ok(())
}

#[tokio::test]
async fn a_rollout_that_never_gets_ready_fails() -> Result<()> {
    let stage = Stage::with(&[GOOD]).await?;
    stage.set_image("shop:v2-bad-crash").await?;
    let failed = async || match stage.kubernetes.rollout(&stage.workload).await {
        Ok(Rollout::Failed { reason }) => Some(reason),
        Ok(Rollout::Complete) => panic!("complete with pods that crash"),
        Ok(Rollout::Progressing { .. } | Rollout::Superseded { .. }) | Err(_) => None,
    };
    let reason = eventually("the rollout's failure", ROLLOUT_WITHIN, failed).await?;
    assert!(reason.contains("ProgressDeadlineExceeded"), "{reason}");

    // And is helped by going back.
    stage.apply(&stage.draft(1).await?).await?;
    stage.rolled_out().await?;
    assert_eq!(stage.image().await?, GOOD);
    Ok(())
}

#[tokio::test]
async fn faults_say_what_the_caller_can_do() -> Result<()> {
    let stage = Stage::with(&[GOOD]).await?;
    let nothing = Workload { name: "nothing".to_owned(), ..stage.workload.clone() };
    assert!(matches!(stage.kubernetes.rollout(&nothing).await, Err(Fault::NotFound { .. })));
    let elsewhere = Workload { cluster: "other".to_owned(), ..stage.workload.clone() };
    assert!(matches!(stage.kubernetes.rollout(&elsewhere).await, Err(Fault::Invalid { .. })));

    let mut missing = config(&stage.cluster);
    missing.context = Some("no-such-context".to_owned());
    assert!(matches!(Kubernetes::connect(&missing).await, Err(Fault::Config { .. })));
    assert!(stage.kubernetes.version().await?.starts_with('v'));
    Ok(())
}

#[tokio::test]
async fn an_api_server_that_is_away_is_worth_another_try() -> Result<()> {
    let mut cluster = testkit::private_kubernetes().await?;
    let kubernetes = Kubernetes::connect(&config(&cluster)).await?;
    kubernetes.version().await?;
    cluster.control_plane().unwrap().stop().await?;
    let fault = kubernetes.version().await.unwrap_err();
    assert!(matches!(fault, Fault::Unreachable { .. }) && fault.is_retryable(), "{fault:?}");
    Ok(())
}
