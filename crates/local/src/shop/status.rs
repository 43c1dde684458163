//! What a kubelet writes into a pod's status, and the event it reports about one that keeps crashing.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::behaviour::Behaviour;

/// How a crashed container ended: the exit code of an uncaught failure.
const EXIT_CODE: i32 = 1;

/// What the pod's first container does; a pod has at least one.
pub(super) fn behaviour(pod: &Pod) -> Behaviour {
    let image = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.image.as_deref());
    Behaviour::of(image.unwrap_or_default())
}

/// Whether a kubelet has reported on this pod, and what it said: `None` before the first report.
pub(super) fn ready(pod: &Pod) -> Option<bool> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready").map(|condition| condition.status == "True")
}

/// How often the pod's containers were restarted, by its own account.
pub(super) fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).max().unwrap_or(0)
}

/// The report on a pod whose containers were restarted `restarts` times, as a patch.
pub(super) fn report(pod: &Pod, restarts: i32, now: Timestamp) -> Value {
    let serves = matches!(behaviour(pod), Behaviour::Serves { .. });
    let now = seconds(now);
    let state = || {
        if serves {
            return json!({"state": {"running": {"startedAt": now}}});
        }
        json!({
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}},
            "lastState": {"terminated": {
                "exitCode": EXIT_CODE, "reason": "Error", "startedAt": now, "finishedAt": now,
            }},
        })
    };
    let containers: Vec<Value> = pod
        .spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .map(|container| {
            let mut status = state();
            for (key, value) in [
                ("name", json!(container.name)),
                ("image", json!(container.image)),
                ("imageID", json!(container.image)),
                ("ready", json!(serves)),
                ("started", json!(serves)),
                ("restartCount", json!(restarts)),
            ] {
                if let Some(fields) = status.as_object_mut() {
                    fields.insert(key.to_owned(), value);
                }
            }
            status
        })
        .collect();
    let condition = |kind: &str, holds: bool| {
        let status = if holds { "True" } else { "False" };
        json!({"type": kind, "status": status, "lastTransitionTime": now})
    };
    json!({"status": {
        "phase": "Running",
        "startTime": now,
        "containerStatuses": containers,
        "conditions": [
            condition("Initialized", true),
            condition("PodScheduled", true),
            condition("ContainersReady", serves),
            condition("Ready", serves),
        ],
    }})
}

/// The warning of a kubelet that waits before it starts a crashing container again.
pub(super) fn back_off_event(pod: &Pod, count: i32, now: Timestamp) -> Value {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event_name(pod), "namespace": pod.metadata.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": name,
            "namespace": pod.metadata.namespace,
            "uid": pod.metadata.uid,
        },
        "type": "Warning",
        "reason": "BackOff",
        "message": "Back-off restarting failed container",
        "source": {"component": "kubelet"},
        "firstTimestamp": seconds(now),
        "lastTimestamp": seconds(now),
        "count": count,
    })
}

/// The same warning, seen again.
pub(super) fn back_off_again(count: i32, now: Timestamp) -> Value {
    json!({"count": count, "lastTimestamp": seconds(now)})
}

pub(super) fn event_name(pod: &Pod) -> String {
    format!("{}.backoff", pod.metadata.name.as_deref().unwrap_or_default())
}

/// Kubernetes' times have whole seconds.
fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
