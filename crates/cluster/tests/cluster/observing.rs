//! What is seen of a workload.

use anyhow::Result;
use chrono::TimeDelta;
use cluster::Observation;
use incident::evidence::{FieldChange, Finding, KubeEvent, PodsState, RevisionChange};
use k8s_openapi::api::core::v1::{Event, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{ListParams, ObjectMeta, PostParams};
use testkit::eventually;

use crate::stage::{ROLLOUT_WITHIN, Stage, now};

const WARNING: &str = "it does not work";

#[derive(Default)]
struct Seen {
    changes: Vec<RevisionChange>,
    pods: Vec<PodsState>,
    events: Vec<KubeEvent>,
    gaps: Vec<String>,
}

impl Stage {
    async fn look(&self) -> Result<Seen> {
        let now = now();
        let mut seen = Seen::default();
        for Observation { query, finding } in self.kubernetes.observe(&self.workload, now - TimeDelta::hours(1), now).await? {
            assert!(query.contains(&self.workload.namespace), "{query}");
            match finding {
                Finding::Revision(change) => seen.changes.push(change),
                Finding::Pods(state) => seen.pods.push(state),
                Finding::Event(event) => seen.events.push(event),
                Finding::Gap { reason } => seen.gaps.push(reason),
                Finding::Expression(change) => anyhow::bail!("kubernetes knows no expressions: {change:?}"),
            }
        }
        Ok(seen)
    }

    async fn warn(&self, about: &ObjectReference, reason: &str) -> Result<()> {
        let namespace = Some(self.workload.namespace.clone());
        let last = now().timestamp();
        let event = Event {
            metadata: ObjectMeta { generate_name: Some("warning-".to_owned()), namespace, ..ObjectMeta::default() },
            involved_object: about.clone(),
            reason: Some(reason.to_owned()),
            message: Some(WARNING.to_owned()),
            type_: Some("Warning".to_owned()),
            count: Some(3),
            last_timestamp: Some(Time(k8s_openapi::jiff::Timestamp::from_second(last)?)),
            ..Event::default()
        };
        Api::<Event>::namespaced(self.cluster.client.clone(), &self.workload.namespace)
            .create(&PostParams::default(), &event)
            .await?;
        Ok(())
    }

    fn reference(&self, name: &str, uid: &str) -> ObjectReference {
        ObjectReference {
            kind: Some("Pod".to_owned()),
            name: Some(name.to_owned()),
            uid: Some(uid.to_owned()),
            namespace: Some(self.workload.namespace.clone()),
            ..ObjectReference::default()
        }
    }
}

#[tokio::test]
async fn a_bad_deploy_shows_in_revisions_pods_and_warnings() -> Result<()> {
    let began = now();
    let stage = Stage::with(&["shop:v1"]).await?;
    stage.set_image("shop:v2-bad-crash").await?;
    let crashing = async || {
        let seen = stage.look().await.ok()?;
        seen.pods.iter().any(|state| state.revision == 2 && state.restarts > 0).then_some(seen)
    };
    let seen = eventually("a crash", ROLLOUT_WITHIN, crashing).await?;
    assert_eq!(seen.gaps, Vec::<String>::new());
    let [change] = seen.changes.as_slice() else { panic!("{:?}", seen.changes) };
    assert_eq!((change.from_revision, change.to_revision, change.restores), (Some(1), 2, None));
    let image = FieldChange {
        path: "containers[checkout].image".to_owned(),
        from: Some("shop:v1".to_owned()),
        to: Some("shop:v2-bad-crash".to_owned()),
    };
    assert_eq!(change.changes, [image]);
    assert!(change.changed_at >= began - TimeDelta::seconds(1) && change.changed_at <= now(), "{}", change.changed_at);
    let [new, old] = seen.pods.as_slice() else { panic!("{:?}", seen.pods) };
    assert_eq!((new.revision, new.ready), (2, 0));
    assert!(new.pods > 0 && new.reasons.contains(&"CrashLoopBackOff".to_owned()), "{new:?}");
    assert!(old.revision == 1 && old.ready > 0 && old.ready == old.pods && old.reasons.is_empty(), "{old:?}");

    let pods =
        Api::<Pod>::namespaced(stage.cluster.client.clone(), &stage.workload.namespace).list(&ListParams::default()).await?;
    let named = |crashes: bool| {
        let bad = |pod: &&Pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("shop:v2-bad-crash");
        let pod = pods.items.iter().find(|pod| bad(pod) == crashes).unwrap();
        stage.reference(pod.metadata.name.as_deref().unwrap(), pod.metadata.uid.as_deref().unwrap())
    };
    stage.warn(&named(true), "BackOff").await?;
    stage.warn(&named(false), "Unhealthy").await?;
    stage.warn(&stage.reference("gone", "00000000-0000-0000-0000-000000000000"), "BackOff").await?;
    let mut seen = stage.look().await?;
    // The kubelet warns as well.
    seen.events.retain(|event| event.message == WARNING);
    let [event] = seen.events.as_slice() else { panic!("only the crashing pod's warning holds: {:?}", seen.events) };
    assert_eq!((event.reason.as_str(), event.count), ("BackOff", 3));
    Ok(())
}

#[tokio::test]
async fn a_revision_taken_up_again_says_what_it_restores() -> Result<()> {
    let stage = Stage::with(&["shop:v1", "shop:v2"]).await?;
    let before_undo = now();
    stage.apply(&stage.draft(1).await?).await?;
    stage.rolled_out().await?;
    let seen = stage.look().await?;
    let [change] = seen.changes.as_slice() else { panic!("{:?}", seen.changes) };
    assert_eq!((change.from_revision, change.to_revision, change.restores), (Some(2), 3, Some(1)));
    assert!(change.changed_at >= before_undo - TimeDelta::seconds(1), "{} is before {before_undo}", change.changed_at);
    Ok(())
}

#[tokio::test]
async fn a_revision_that_never_served_is_passed_over() -> Result<()> {
    let stage = Stage::with(&["shop:v1"]).await?;
    for (image, revision) in [("shop:v2-bad-crash", 2), ("shop:v3-bad-crash", 3)] {
        stage.set_image(image).await?;
        let crashing = async || {
            let seen = stage.look().await.ok()?;
            seen.pods.iter().any(|state| state.revision == revision && state.restarts > 0).then_some(())
        };
        eventually("a crash", ROLLOUT_WITHIN, crashing).await?;
    }
    let seen = stage.look().await?;
    let [change, meant_to_mend] = seen.changes.as_slice() else { panic!("{:?}", seen.changes) };
    assert_eq!((meant_to_mend.from_revision, meant_to_mend.to_revision), (Some(1), 2));
    assert_eq!((change.from_revision, change.to_revision, change.passed_over.as_slice()), (Some(1), 3, [2].as_slice()));
    assert!(change.from_ran_s.is_some(), "{change:?}");
    assert!(change.changes.iter().any(|c| c.from.as_deref() == Some("shop:v1")), "{:?}", change.changes);
    assert!(seen.pods.iter().any(|state| state.revision == 1 && state.ready > 0), "{:?}", seen.pods);
    Ok(())
}

#[tokio::test]
async fn a_first_revision_has_nothing_before_it() -> Result<()> {
    let stage = Stage::with(&["shop:v1"]).await?;
    let seen = stage.look().await?;
    let [change] = seen.changes.as_slice() else { panic!("{:?}", seen.changes) };
    assert_eq!((change.from_revision, change.to_revision, change.changes.len()), (None, 1, 0));
    assert_eq!(seen.pods, [PodsState { revision: 1, pods: 3, ready: 3, restarts: 0, reasons: Vec::new() }]);
    Ok(())
}
