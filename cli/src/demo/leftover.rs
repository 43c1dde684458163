//! Incidents of demos that were stopped before their end. Their shop is gone and its alert with it, but the Alertmanager that would have
//! said so is gone too: so it is said here, through the same door.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use incident::fact::What;
use local::shop::DEPLOYMENT;
use serde_json::{Value, json};

use super::cluster::NAMESPACE;
use super::{eventually, watching};
use crate::api::Api;
use crate::commands::incidents::{Incident, all, timeline};

/// The cluster of the last demo: each has a name of its own, so that nothing left of one reaches into the next.
const CLUSTER_FILE: &str = "demo-cluster";
/// A change under way is finished first; it ends by itself, and nobody needs to wait for it.
const CLOSED_WITHIN: Duration = Duration::from_secs(3);

/// Where Alertmanager's door is.
pub(crate) struct Door<'a> {
    /// The webhook's address.
    pub(crate) webhook: &'a str,
    /// Its bearer token.
    pub(crate) token: &'a str,
}

/// The name that the last demo gave its cluster.
pub(crate) fn last_cluster(home: &Path) -> Option<String> {
    std::fs::read_to_string(file(home)).ok().filter(|name| !name.is_empty())
}

/// Remembers the name of this demo's.
pub(crate) fn remember(home: &Path, cluster: &str) -> anyhow::Result<()> {
    crate::up::write_private(&file(home), cluster)
}

fn file(home: &Path) -> PathBuf {
    home.join(CLUSTER_FILE)
}

/// Open incidents about the demo's shop, newest first.
pub(crate) async fn open(api: &Api) -> anyhow::Result<Vec<Incident>> {
    let open = all(api, "open", None).await?;
    let about = format!("{NAMESPACE}/{DEPLOYMENT}");
    Ok(open.items.into_iter().filter(|incident| incident.title.ends_with(&about)).collect())
}

/// Says that the alerts of `cluster` are over, and waits a moment for the incidents to close. How many were closed.
pub(crate) async fn close(api: &Api, door: &Door<'_>, cluster: &str, now: DateTime<Utc>) -> anyhow::Result<usize> {
    let incidents = open(api).await?;
    let mut alerts = Vec::new();
    for incident in &incidents {
        let entries = timeline(api, &incident.id, None).await?;
        alerts.extend(entries.items.iter().filter_map(|entry| match &entry.fact.what {
            What::AlertChanged { fingerprint, firing: true, .. } => Some(resolved(fingerprint, cluster, now)),
            _ => None,
        }));
    }
    if alerts.is_empty() {
        return Ok(0);
    }
    tell(door, alerts).await?;
    let before = incidents.len();
    let closed = eventually("the end of an earlier demo's incidents", CLOSED_WITHIN, async || {
        let left = open(api).await.ok()?.len();
        (left == 0).then_some(before)
    });
    Ok(closed.await.unwrap_or(0))
}

fn resolved(fingerprint: &str, cluster: &str, now: DateTime<Utc>) -> Value {
    json!({
        "status": "resolved", "labels": watching::labels(cluster), "annotations": {},
        "startsAt": now, "endsAt": now, "generatorURL": "", "fingerprint": fingerprint,
    })
}

async fn tell(door: &Door<'_>, alerts: Vec<Value>) -> anyhow::Result<()> {
    let call = json!({
        "version": "4", "groupKey": format!("{{}}:{{namespace=\"{NAMESPACE}\"}}"), "truncatedAlerts": 0, "status": "resolved",
        "receiver": "paramedic", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": alerts,
    });
    let client = reqwest::Client::builder().no_proxy().timeout(CLOSED_WITHIN).build()?;
    let answer = client.post(door.webhook).bearer_auth(door.token).json(&call).send().await.context("telling the gateway")?;
    answer.error_for_status().context("telling the gateway that the demo's alert is over")?;
    Ok(())
}
