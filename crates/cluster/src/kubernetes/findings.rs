//! From the objects of one workload to findings: pure, so that every rule has its test.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use incident::evidence::{FieldChange, Finding, KubeEvent, PodsState, RevisionChange};
use incident::workload::Workload;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;

use super::draft::{created, revision_of};
use super::live::Live;
use super::template;

/// Label by which the Deployment controller tells the pods of one revision from those of another.
const HASH_LABEL: &str = "pod-template-hash";
/// Set on a ReplicaSet that was taken up again: the revisions it was before.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Kubernetes' default for `progressDeadlineSeconds`.
const PROGRESS_DEADLINE_S: u32 = 600;
/// 2³¹-1 stands for "no deadline"; and what stood for an hour has served.
const PROVEN_AFTER_S_MAX: u32 = 3_600;
/// Changes that are told: the newest, and what it may have been meant to mend.
const REVISION_CHANGES_MAX: usize = 3;
/// More fields than this say "rewritten"; how many were left out is said.
const CHANGES_MAX: usize = 50;
/// The newest warnings; older ones repeat them.
const EVENTS_MAX: usize = 20;
/// Events carry text from anywhere.
const MESSAGE_CHARS_MAX: usize = 500;
/// What containers wait for while they start normally, and how they end normally.
const NORMAL_REASONS: [&str; 3] = ["ContainerCreating", "PodInitializing", "Completed"];

/// One revision and its ReplicaSet.
pub(super) struct Revision<'a> {
    number: u64,
    set: &'a DynamicObject,
}

impl Revision<'_> {
    fn hash(&self) -> Option<&str> {
        self.set.metadata.labels.as_ref()?.get(HASH_LABEL).map(String::as_str)
    }

    /// The number it had before it was taken up again.
    fn restores(&self) -> Option<u64> {
        let history = self.set.metadata.annotations.as_ref()?.get(REVISION_HISTORY)?;
        history.rsplit(',').next()?.trim().parse().ok()
    }
}

/// The objects of one workload as they are now.
pub(super) struct Objects<'a> {
    pub(super) deployment: &'a Live,
    pub(super) sets: &'a [DynamicObject],
    pub(super) pods: &'a [Pod],
}

/// Newest first.
pub(super) fn revisions(sets: &[DynamicObject]) -> Vec<Revision<'_>> {
    let mut found: Vec<Revision<'_>> = sets.iter().filter_map(|set| Some(Revision { number: revision_of(set)?, set })).collect();
    found.sort_by_key(|revision| std::cmp::Reverse(revision.number));
    found
}

/// The newest change, and those before it that were in force since `from`: the newest may have come after the trouble, as a fix that did
/// not help. None before one that put an earlier template back: there people have gone back already.
pub(super) fn revision_changes(
    workload: &Workload,
    deployment: &Live,
    revisions: &[Revision<'_>],
    from: DateTime<Utc>,
) -> Vec<RevisionChange> {
    let mut found: Vec<RevisionChange> = Vec::new();
    // When one that was taken up again came before is not told; only of the one that runs it is known.
    let is_told = |n: usize, revision: &Revision<'_>| n == 0 || revision.restores().is_none();
    let goes_on = |newer: &RevisionChange| newer.changed_at >= from && newer.restores.is_none();
    for (n, revision) in revisions.iter().enumerate().take(REVISION_CHANGES_MAX) {
        if !is_told(n, revision) || !found.last().is_none_or(goes_on) {
            break;
        }
        let change = revision_change(workload, deployment, revisions.get(n..).unwrap_or_default());
        // The first one ever is news only while it runs.
        found.extend(change.filter(|change| n == 0 || change.from_revision.is_some()));
    }
    found
}

/// The newest revision, and the earlier one that it is compared with and can be taken back to. That is the newest one that proved
/// itself: one that was taken up again, or that stood until its rollout would have been given up, and whose rollout did get through (its
/// pods are not all gone or unready while pods of an older one still serve). If none stood for long enough, it is the newest one whose
/// rollout got through. Whether a revision served well is not told by the API, so how long it stood goes with the evidence.
fn revision_change(workload: &Workload, deployment: &Live, revisions: &[Revision<'_>]) -> Option<RevisionChange> {
    let (newest, earlier) = revisions.split_first()?;
    let changed_at = changed_at(deployment, newest, earlier)?;
    let before = before(deployment, revisions, changed_at);
    let after = template::of_replica_set(&newest.set.data)?;
    let changes = match before.and_then(|revision| template::of_replica_set(&revision.set.data)) {
        Some(before) => bounded(template::changes(&before, &after)),
        None => Vec::new(),
    };
    let from_revision = before.map(|revision| revision.number);
    let ran = before.and_then(|revision| stood(revision, revisions, changed_at));
    Some(RevisionChange {
        workload: workload.clone(),
        from_revision,
        from_ran_s: ran.and_then(|time| u64::try_from(time.num_seconds()).ok()),
        passed_over: earlier.iter().map(|revision| revision.number).filter(|number| from_revision < Some(*number)).collect(),
        to_revision: newest.number,
        changed_at,
        restores: newest.restores(),
        changes,
    })
}

/// How the pods of the newest two revisions are, and those of `from`, which the newest one is compared with.
pub(super) fn pods_states(revisions: &[Revision<'_>], from: Option<u64>, pods: &[Pod]) -> Vec<Finding> {
    let state = |revision: &Revision<'_>| {
        let hash = revision.hash()?;
        let of_revision =
            |pod: &&Pod| pod.metadata.labels.as_ref().and_then(|labels| labels.get(HASH_LABEL)).is_some_and(|h| h == hash);
        // A pod that is being deleted fails in ways that mean nothing.
        let alive = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none();
        Some(Finding::Pods(pods_state(revision.number, pods.iter().filter(of_revision).filter(alive))))
    };
    let newest = revisions.iter().take(2);
    let compared = revisions.iter().skip(2).filter(|revision| Some(revision.number) == from);
    newest.chain(compared).filter_map(state).collect()
}

/// Warnings about these very objects, last seen between `from` and `to`, that still hold; newest first.
pub(super) fn standing_events(objects: &Objects<'_>, events: &[Event], from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Finding> {
    let mut standing: Vec<KubeEvent> = events.iter().filter(|event| still_holds(objects, event)).filter_map(read_event).collect();
    standing.retain(|event| event.last_seen >= from && event.last_seen <= to);
    standing.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| (&a.object, &a.reason).cmp(&(&b.object, &b.reason))));
    standing.truncate(EVENTS_MAX);
    standing.into_iter().map(Finding::Event).collect()
}

pub(super) fn utc(time: &Time) -> Option<DateTime<Utc>> {
    from_jiff(time.0)
}

fn from_jiff(time: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.as_second(), u32::try_from(time.subsec_nanosecond()).unwrap_or(0))
}

fn bounded(mut changes: Vec<FieldChange>) -> Vec<FieldChange> {
    let more = changes.len().saturating_sub(CHANGES_MAX);
    if more > 0 {
        changes.truncate(CHANGES_MAX);
        changes.push(FieldChange { path: "…".to_owned(), from: None, to: Some(format!("{more} more fields differ")) });
    }
    changes
}

/// When the newest revision came.
fn changed_at(deployment: &Live, newest: &Revision<'_>, earlier: &[Revision<'_>]) -> Option<DateTime<Utc>> {
    match newest.restores() {
        // The ReplicaSet is older than the change. The Deployment's own record of writes knows when its template was last written.
        Some(_) => template_written_at(deployment).or_else(|| created(earlier.first()?.set)),
        None => created(newest.set),
    }
}

/// The revision to compare with; see [`revision_change`].
fn before<'r, 'a>(deployment: &Live, revisions: &'r [Revision<'a>], changed_at: DateTime<Utc>) -> Option<&'r Revision<'a>> {
    let (_, earlier) = revisions.split_first()?;
    let enough = proven_after(deployment);
    let got_through = |revision: &&Revision<'_>| {
        serves(revision) || !earlier.iter().any(|other| other.number < revision.number && serves(other))
    };
    let proven = |revision: &&Revision<'_>| {
        revision.restores().is_some() || stood(revision, revisions, changed_at).is_some_and(|time| time >= enough)
    };
    let through = || earlier.iter().filter(got_through);
    through().find(proven).or_else(|| through().next())
}

/// For how long a revision stood until the next one came. Not known of one that was taken up again: its ReplicaSet is older than that.
fn stood(revision: &Revision<'_>, revisions: &[Revision<'_>], changed_at: DateTime<Utc>) -> Option<TimeDelta> {
    if revision.restores().is_some() {
        return None;
    }
    let began = created(revision.set)?;
    // One that has been taken up since first came at its creation, too: so all higher numbers count, whatever they were then.
    let later = revisions.iter().filter(|other| other.number > revision.number).filter_map(|other| created(other.set));
    let ended = later.filter(|at| *at >= began).chain([changed_at]).min()?;
    Some(ended - began)
}

fn serves(revision: &Revision<'_>) -> bool {
    count(revision.set, "/status/readyReplicas") > 0
}

/// A rollout that was replaced sooner than its own deadline was never seen to succeed.
fn proven_after(deployment: &Live) -> TimeDelta {
    let deadline_s = deployment.progress_deadline_s().unwrap_or(PROGRESS_DEADLINE_S).min(PROVEN_AFTER_S_MAX);
    TimeDelta::seconds(i64::from(deadline_s))
}

fn template_written_at(deployment: &Live) -> Option<DateTime<Utc>> {
    let fields = deployment.metadata().managed_fields.iter().flatten();
    let of_template = fields.filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| fields.pointer("/f:spec/f:template").is_some())
    });
    of_template.filter_map(|entry| utc(entry.time.as_ref()?)).max()
}

fn pods_state<'a>(revision: u64, pods: impl Iterator<Item = &'a Pod>) -> PodsState {
    let mut state = PodsState { revision, pods: 0, ready: 0, restarts: 0, reasons: Vec::new() };
    let mut reasons = BTreeSet::new();
    for pod in pods {
        state.pods += 1;
        state.ready += u32::from(is_ready(pod));
        if is_unschedulable(pod) {
            reasons.insert("Unschedulable".to_owned());
        }
        let Some(status) = &pod.status else { continue };
        reasons.extend(status.reason.clone());
        let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
        for container in containers {
            state.restarts = state.restarts.saturating_add(u32::try_from(container.restart_count).unwrap_or(0));
            reasons.extend(container_reasons(container));
        }
    }
    state.reasons = reasons.into_iter().filter(|reason| !NORMAL_REASONS.contains(&reason.as_str())).collect();
    state
}

/// Why a container waits or ended, now and the last time.
fn container_reasons(container: &ContainerStatus) -> impl Iterator<Item = String> {
    let states = [&container.state, &container.last_state];
    states.into_iter().flatten().flat_map(|state| {
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
        let ended = state.terminated.as_ref().and_then(|ended| ended.reason.clone());
        [waiting, ended].into_iter().flatten()
    })
}

fn condition_is(pod: &Pod, kind: &str, status: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.into_iter().flatten().any(|c| c.type_ == kind && c.status == status)
}

fn is_ready(pod: &Pod) -> bool {
    condition_is(pod, "Ready", "True")
}

fn is_unschedulable(pod: &Pod) -> bool {
    condition_is(pod, "PodScheduled", "False")
}

/// A warning is history once its object is gone, or does well.
fn still_holds(objects: &Objects<'_>, event: &Event) -> bool {
    let Some(uid) = event.involved_object.uid.as_deref() else { return false };
    if uid == objects.deployment.uid {
        return true;
    }
    if let Some(pod) = objects.pods.iter().find(|pod| pod.metadata.uid.as_deref() == Some(uid)) {
        let was_scheduling = event.reason.as_deref() == Some("FailedScheduling");
        let scheduled = !is_unschedulable(pod) && (condition_is(pod, "PodScheduled", "True") || is_ready(pod));
        return pod.metadata.deletion_timestamp.is_none() && !is_ready(pod) && !(was_scheduling && scheduled);
    }
    let set = objects.sets.iter().find(|set| set.metadata.uid.as_deref() == Some(uid));
    set.is_some_and(|set| count(set, "/status/replicas") < count(set, "/spec/replicas"))
}

fn count(set: &DynamicObject, pointer: &str) -> u64 {
    set.data.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

fn read_event(event: &Event) -> Option<KubeEvent> {
    let series = event.series.as_ref();
    let last_seen = series
        .and_then(|series| from_jiff(series.last_observed_time.as_ref()?.0))
        .or_else(|| utc(event.last_timestamp.as_ref()?))
        .or_else(|| from_jiff(event.event_time.as_ref()?.0))
        .or_else(|| utc(event.metadata.creation_timestamp.as_ref()?))?;
    let object = &event.involved_object;
    let count = series.and_then(|series| series.count).or(event.count).unwrap_or(1);
    let message: String = event.message.as_deref().unwrap_or("").chars().take(MESSAGE_CHARS_MAX).collect();
    Some(KubeEvent {
        object: format!("{}/{}", object.kind.as_deref().unwrap_or("?"), object.name.as_deref().unwrap_or("?")),
        reason: template::plain(event.reason.as_deref().unwrap_or("")),
        message: template::plain(&message),
        count: u32::try_from(count).unwrap_or(1),
        last_seen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Live {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "checkout", "uid": "d", "resourceVersion": "9", "managedFields": [
                {"manager": "kubectl", "operation": "Update", "time": "2026-01-01T12:00:00Z", "fieldsV1": {"f:spec": {"f:template": {}}}},
                {"manager": "kcm", "operation": "Update", "time": "2026-01-01T13:00:00Z", "fieldsV1": {"f:status": {}}}]},
            "spec": {"template": {}}});
        Live::parse(serde_json::from_value(object).unwrap()).unwrap()
    }

    fn set(name: &str, revision: &str, image: &str, history: Option<&str>) -> DynamicObject {
        let mut object = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": name, "uid": name, "creationTimestamp": format!("2026-01-01T1{revision}:00:00Z"),
                "labels": {"pod-template-hash": name}, "annotations": {"deployment.kubernetes.io/revision": revision}},
            "spec": {"replicas": 3, "template": {"metadata": {"labels": {"pod-template-hash": name}},
                "spec": {"containers": [{"name": "web", "image": image}]}}},
            "status": {"replicas": 3}});
        if let Some(history) = history {
            object["metadata"]["annotations"][REVISION_HISTORY] = json!(history);
            object["metadata"]["creationTimestamp"] = json!("2025-01-01T00:00:00Z");
        }
        serde_json::from_value(object).unwrap()
    }

    fn pod(name: &str, hash: &str, status: &Value) -> Pod {
        let object = json!({"metadata": {"name": name, "uid": name, "labels": {"pod-template-hash": hash}}, "status": status});
        serde_json::from_value(object).unwrap()
    }

    fn ready() -> Value {
        json!({"conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}]})
    }

    fn crashing() -> Value {
        json!({"conditions": [{"type": "Ready", "status": "False"}, {"type": "PodScheduled", "status": "True"}], "containerStatuses": [
            {"name": "web", "image": "", "imageID": "", "ready": false, "restartCount": 4,
             "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}},
            {"name": "side", "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"waiting": {"reason": "ContainerCreating"}}}]})
    }

    fn workload() -> Workload {
        Workload {
            cluster: "default".to_owned(),
            namespace: "shop".to_owned(),
            kind: incident::workload::WorkloadKind::Deployment,
            name: "checkout".to_owned(),
        }
    }

    #[test]
    fn the_newest_change_is_between_the_two_highest_revisions() {
        let sets = [set("b", "2", "shop:v2", None), set("c", "3", "shop:v3", None), set("a", "1", "shop:v1", None)];
        let Some(change) = revision_change(&workload(), &deployment(), &revisions(&sets)) else { panic!("no change") };
        assert_eq!((change.from_revision, change.to_revision, change.restores), (Some(2), 3, None));
        assert_eq!(change.changed_at.to_rfc3339(), "2026-01-01T13:00:00+00:00");
        let image =
            FieldChange { path: "containers[web].image".into(), from: Some("shop:v2".into()), to: Some("shop:v3".into()) };
        assert_eq!(change.changes, [image]);
    }

    #[test]
    fn a_revision_taken_up_again_is_dated_by_the_write_and_says_so() {
        let sets = [set("b", "2", "shop:v2", None), set("a", "3", "shop:v1", Some("1"))];
        let Some(change) = revision_change(&workload(), &deployment(), &revisions(&sets)) else { panic!("no change") };
        assert_eq!((change.from_revision, change.to_revision, change.restores), (Some(2), 3, Some(1)));
        assert_eq!(change.changed_at.to_rfc3339(), "2026-01-01T12:00:00+00:00");
    }

    /// A ReplicaSet as `set` makes it, that came at a minute of the day and has so many ready pods.
    fn set_at(revision: u64, minute: u32, ready: u32) -> DynamicObject {
        let name = format!("r{revision}");
        let mut set = set(&name, &revision.to_string(), &format!("shop:v{revision}"), None);
        set.metadata.creation_timestamp =
            serde_json::from_value(json!(format!("2026-01-01T{:02}:{:02}:00Z", minute / 60, minute % 60))).unwrap();
        set.data["status"]["readyReplicas"] = json!(ready);
        set
    }

    fn taken_up_again(mut set: DynamicObject) -> DynamicObject {
        set.metadata.annotations.as_mut().unwrap().insert(REVISION_HISTORY.to_owned(), "1".to_owned());
        set
    }

    /// `expected` is the revision to go back to, for how many minutes it stood, and those that were passed over.
    fn check_before(story: &str, sets: &[DynamicObject], expected: (u64, Option<u64>, &[u64])) {
        let Some(change) = revision_change(&workload(), &deployment(), &revisions(sets)) else { panic!("{story}: no change") };
        let (from, minutes, passed) = expected;
        assert_eq!((change.from_revision, change.from_ran_s), (Some(from), minutes.map(|m| m * 60)), "{story}");
        assert_eq!(change.passed_over, passed, "{story}");
        let old = Some(format!("shop:v{from}"));
        assert!(change.changes.iter().any(|c| c.from == old), "{story}: {:?}", change.changes);
    }

    #[test]
    fn the_revision_to_go_back_to_is_the_newest_that_proved_itself() {
        let good = || set_at(5, 0, 0);
        check_before("the one before", &[good(), set_at(6, 60, 0), set_at(7, 120, 0)], (6, Some(60), &[]));
        check_before("6 was replaced at once", &[good(), set_at(6, 60, 0), set_at(7, 65, 0)], (5, Some(60), &[6]));
        check_before("6 at its deadline", &[good(), set_at(6, 60, 0), set_at(7, 70, 0)], (6, Some(10), &[]));
        check_before("5 still serves", &[set_at(5, 0, 2), set_at(6, 60, 0), set_at(7, 120, 0)], (5, Some(60), &[6]));
        check_before("6 serves as well", &[set_at(5, 0, 1), set_at(6, 60, 2), set_at(7, 120, 0)], (6, Some(60), &[]));
        check_before("nothing stood for long", &[good(), set_at(6, 2, 0), set_at(7, 4, 0)], (6, Some(2), &[]));
        check_before("of those, 5 serves", &[set_at(5, 0, 3), set_at(6, 2, 0), set_at(7, 4, 0)], (5, Some(2), &[6]));
        let again = || taken_up_again(set_at(6, 0, 0));
        check_before("people went back to 6", &[set_at(5, 60, 0), again(), set_at(7, 65, 0)], (6, None, &[]));
        // 4 was replaced by what is 7 now, at its first time.
        let first = taken_up_again(set_at(7, 62, 0));
        check_before("4 stood shortly", &[set_at(3, 0, 0), set_at(4, 60, 0), first], (3, Some(60), &[4]));
    }

    #[test]
    fn changes_since_the_trouble_began_are_told_with_what_they_were_meant_to_mend() {
        let from = |minute: i64| DateTime::from_timestamp(1_767_225_600 + minute * 60, 0).unwrap();
        let told = |sets: &[DynamicObject], minute| {
            let changes = revision_changes(&workload(), &deployment(), &revisions(sets), from(minute));
            changes.iter().map(|change| change.to_revision).collect::<Vec<_>>()
        };
        let sets = [set_at(1, 0, 0), set_at(2, 60, 0), set_at(3, 120, 0)];
        assert_eq!(told(&sets, 150), [3], "nothing came since");
        assert_eq!(told(&sets, 90), [3, 2], "3 replaced what ran then");
        assert_eq!(told(&sets, 0), [3, 2], "there was nothing before 1");
        assert_eq!(told(&[set_at(2, 60, 0), taken_up_again(set_at(3, 0, 0))], 30), [3], "people have gone back");
        assert_eq!(told(&[taken_up_again(set_at(2, 0, 0)), set_at(3, 60, 0)], 30), [3], "when 2 came again is not known");
    }

    #[test]
    fn a_first_revision_has_no_change() {
        let sets = [set("a", "1", "shop:v1", None)];
        let Some(change) = revision_change(&workload(), &deployment(), &revisions(&sets)) else { panic!("no change") };
        assert_eq!((change.from_revision, change.changes), (None, Vec::new()));
        assert_eq!(revision_change(&workload(), &deployment(), &[]), None);
    }

    #[test]
    fn pods_are_summed_up_by_revision() {
        let sets = [set("b", "2", "shop:v2", None), set("a", "1", "shop:v1", None)];
        let mut dying = pod("x", "b", &crashing());
        dying.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        let pods =
            [pod("1", "b", &crashing()), pod("2", "b", &ready()), pod("3", "a", &ready()), pod("4", "other", &crashing()), dying];
        let states = pods_states(&revisions(&sets), Some(1), &pods);
        let new = PodsState {
            revision: 2,
            pods: 2,
            ready: 1,
            restarts: 4,
            reasons: vec!["CrashLoopBackOff".into(), "OOMKilled".into()],
        };
        let old = PodsState { revision: 1, pods: 1, ready: 1, restarts: 0, reasons: Vec::new() };
        assert_eq!(states, [Finding::Pods(new), Finding::Pods(old)]);
    }

    fn check_event(uid: &str, reason: &str, expected: bool) {
        let event: Event = serde_json::from_value(json!({"metadata": {}, "type": "Warning", "reason": reason, "count": 3,
            "lastTimestamp": "2026-01-01T13:05:00Z", "involvedObject": {"kind": "Pod", "name": uid, "uid": uid}}))
        .unwrap();
        let mut short = set("short", "2", "a", None);
        short.data["status"]["replicas"] = json!(1);
        let waiting = json!({"conditions": [{"type": "PodScheduled", "status": "False"}]});
        let sets = [set("full", "1", "a", None), short];
        let pods = [pod("good", "b", &ready()), pod("bad", "b", &crashing()), pod("waiting", "b", &waiting)];
        let deployment = deployment();
        let objects = Objects { deployment: &deployment, sets: &sets, pods: &pods };
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let seen =
            standing_events(&objects, std::slice::from_ref(&event), at("2026-01-01T13:00:00Z"), at("2026-01-01T14:00:00Z"));
        assert_eq!(seen.len(), usize::from(expected), "{uid} {reason}");
        let later = standing_events(&objects, &[event], at("2026-01-01T13:30:00Z"), at("2026-01-01T14:00:00Z"));
        assert_eq!(later, Vec::new(), "outside of the window");
    }

    #[test]
    fn a_warning_holds_while_its_object_lives_and_suffers() {
        check_event("d", "ReplicaSetCreateError", true);
        check_event("bad", "BackOff", true);
        check_event("bad", "FailedScheduling", false);
        check_event("waiting", "FailedScheduling", true);
        check_event("good", "Unhealthy", false);
        check_event("gone", "BackOff", false);
        check_event("short", "FailedCreate", true);
        check_event("full", "FailedCreate", false);
    }
}
