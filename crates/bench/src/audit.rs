//! When the API server changed a Deployment, as it says itself: its audit log tells of every change when its answer is complete.
//!
//! A watch may tell of it later, by as long as it takes from the server to the bench; that is no time of Paramedic's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use serde::Deserialize;

/// Changes of Deployments and nothing else, each once, without what was changed: <https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/>.
const POLICY: &str = r"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- { level: Metadata, verbs: [patch], resources: [{ group: apps, resources: [deployments] }] }
- { level: None }
";

/// The log of one API server.
pub(crate) struct Audit {
    policy: PathBuf,
    log: PathBuf,
}

/// What of an audit event counts here (`audit.k8s.io/v1`, Event).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "requestURI")]
    request_uri: String,
    object_ref: Object,
    response_status: Status,
    stage_timestamp: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Object {
    name: String,
}

#[derive(Deserialize)]
struct Status {
    code: u16,
}

impl Audit {
    /// Writes the policy to `dir`, where the log will be.
    pub(crate) fn prepare(dir: &Path) -> Result<Self> {
        let audit = Self { policy: dir.join("audit-policy.yaml"), log: dir.join("audit.jsonl") };
        fs::write(&audit.policy, POLICY).with_context(|| format!("writing {}", audit.policy.display()))?;
        Ok(audit)
    }

    /// What the API server's command line needs more.
    pub(crate) fn arguments(&self) -> [String; 2] {
        [format!("--audit-policy-file={}", self.policy.display()), format!("--audit-log-path={}", self.log.display())]
    }

    /// When each Deployment was first changed by Paramedic, in nanoseconds since 1970.
    pub(crate) fn changed(&self) -> Result<BTreeMap<String, u64>> {
        let text = fs::read_to_string(&self.log).with_context(|| format!("reading {}", self.log.display()))?;
        changed(&text)
    }
}

fn changed(log: &str) -> Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for line in log.lines() {
        let event: Event = serde_json::from_str(line).with_context(|| format!("reading the API server's audit log: {line}"))?;
        let is_paramedics = event.request_uri.contains("fieldManager=paramedic") && !event.request_uri.contains("dryRun=");
        if is_paramedics && event.response_status.code == 200 {
            let at = event.stage_timestamp.timestamp_nanos_opt().and_then(|at| u64::try_from(at).ok());
            all.entry(event.object_ref.name).or_insert(at.context("a moment of the audit log is out of range")?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_that_were_made_count_and_of_them_the_first() {
        let line = |name: &str, query: &str, code: u16, at: &str| {
            let uri = format!("/apis/apps/v1/namespaces/bench/deployments/{name}?{query}");
            serde_json::json!({
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete", "verb": "patch",
                "requestURI": uri, "objectRef": { "resource": "deployments", "namespace": "bench", "name": name },
                "responseStatus": { "metadata": {}, "code": code }, "stageTimestamp": format!("2026-11-30T12:00:00.{at}Z"),
            })
            .to_string()
        };
        let log = [
            line("a", "fieldManager=bench&force=true", 200, "000001"),
            line("a", "dryRun=All&fieldManager=paramedic", 200, "000002"),
            line("a", "fieldManager=paramedic", 409, "000003"),
            line("a", "fieldManager=paramedic", 200, "000004"),
            line("a", "fieldManager=paramedic", 200, "000005"),
            line("b", "fieldManager=paramedic", 422, "000006"),
        ];
        let noon = u64::try_from("2026-11-30T12:00:00Z".parse::<DateTime<Utc>>().unwrap().timestamp()).unwrap() * 1_000_000_000;
        assert_eq!(changed(&log.join("\n")).unwrap(), BTreeMap::from([("a".to_owned(), noon + 4_000)]));
        changed("{}").unwrap_err();
    }
}
