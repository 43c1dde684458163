//! Alerts as the pipeline knows them, whatever tool sent them, and which of them belong together.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heartbeat::Beat;
use crate::id::{TenantId, fingerprint};
use crate::workload::Workload;

/// Label names and values, sorted, as Prometheus gives them.
pub type Labels = BTreeMap<String, String>;

/// Whether the alert's condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// It holds.
    Firing,
    /// It no longer holds.
    Resolved,
}

/// One alert at one moment. `fingerprint` names the alert, `starts_at` the episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Alertmanager's digest of the label set.
    pub fingerprint: String,
    /// Whether it holds.
    pub status: AlertStatus,
    /// What the alert is about.
    pub labels: Labels,
    /// Text for people.
    pub annotations: Labels,
    /// When this episode began.
    pub starts_at: DateTime<Utc>,
    /// When it ended; none while it fires.
    pub ends_at: Option<DateTime<Utc>>,
    /// The PromQL expression behind the alert, where the sender told it.
    pub expression: Option<String>,
}

/// How bad it is, as the alert's `severity` label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Needs a look; the default where the label says nothing known.
    Warning,
    /// Needs a person now.
    Critical,
}

impl Severity {
    /// As labels and listings name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Alert {
    /// Name of the rule, or a dash.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("-", String::as_str)
    }

    /// Severity by the label's common spellings.
    pub fn severity(&self) -> Severity {
        match self.labels.get("severity").map(String::as_str) {
            Some("critical" | "page" | "fatal" | "emergency" | "P1" | "p1" | "sev1") => Severity::Critical,
            Some("info" | "none" | "low") => Severity::Info,
            _ => Severity::Warning,
        }
    }

    /// The workload that the labels name, if they do.
    pub fn workload(&self) -> Option<Workload> {
        Workload::from_labels(&self.labels)
    }

    /// Whether `self` tells something newer than `known` about the same alert. Deliveries come late, twice and out of order: a
    /// later episode wins, and within one episode "resolved" does, because an episode never comes back to life.
    pub fn supersedes(&self, known: &Alert) -> bool {
        match self.starts_at.cmp(&known.starts_at) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => known.status == AlertStatus::Firing && self.status == AlertStatus::Resolved,
        }
    }
}

/// What makes alerts one incident: values of the correlation labels, in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct CorrelationKey(pub String);

/// Which labels correlate. Each entry lists alternatives, of which the first present one counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Correlation(pub Vec<Vec<String>>);

impl Default for Correlation {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
        Self(vec![owned(&["cluster"]), owned(&["namespace"]), owned(&["service", "deployment"])])
    }
}

impl Correlation {
    /// The key of these labels. An alert that has none of the labels is its own incident, named by its rule.
    pub fn key(&self, labels: &Labels) -> CorrelationKey {
        let found = |names: &Vec<String>| {
            let name = names.iter().find(|n| labels.contains_key(*n))?;
            Some(format!("{}={}", names.first()?, labels.get(name)?))
        };
        let parts: Vec<String> = self.0.iter().filter_map(found).collect();
        if parts.is_empty() {
            return CorrelationKey(format!("alertname={}", labels.get("alertname").map_or("-", String::as_str)));
        }
        CorrelationKey(parts.join(","))
    }
}

/// What one webhook call said about one correlation key. A call about several keys becomes several of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// Whose alerts.
    pub tenant: TenantId,
    /// Alertmanager's name of the group.
    pub group_key: String,
    /// What the alerts share; or where they belong by a person's word.
    pub key: CorrelationKey,
    /// What they share, if they were moved by a person's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<CorrelationKey>,
    /// At least one.
    pub alerts: Vec<Alert>,
    /// How many more Alertmanager left out (`max_alerts`).
    pub truncated_alerts: u64,
    /// Set if it is no trouble but a heartbeat that was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Beat>,
    /// When the gateway had it; no part of what makes two calls the same.
    #[serde(default)]
    pub received_at: Option<DateTime<Utc>>,
}

impl Notification {
    /// The inbox key. Alertmanager sends no delivery id, retries, and its twins send the same thing twice: what makes two calls the
    /// same is the group and each alert's episode and state.
    ///
    /// A heartbeat is the same alert each time, so what counts is when it was heard.
    pub fn message_id(&self) -> String {
        if let Some(Beat { name, heard_at }) = &self.heartbeat {
            return format!("beat-{name}-{}", heard_at.timestamp_millis());
        }
        let episode = |a: &Alert| {
            let (began, ended) = (a.starts_at, a.ends_at.map(|t| t.to_string()).unwrap_or_default());
            format!("{}|{:?}|{began}|{ended}", a.fingerprint, a.status)
        };
        let mut alerts: Vec<String> = self.alerts.iter().map(episode).collect();
        alerts.sort_unstable();
        let truncated = self.truncated_alerts.to_string();
        let mut parts = vec![self.tenant.as_str(), &self.group_key, &self.key.0, &truncated];
        parts.extend(alerts.iter().map(String::as_str));
        format!("alert-{}", fingerprint(&parts))
    }

    /// Sorts the alerts of one call into one notification a key.
    pub fn split(tenant: &TenantId, group_key: &str, alerts: Vec<Alert>, truncated_alerts: u64, by: &Correlation) -> Vec<Self> {
        let mut keyed: BTreeMap<CorrelationKey, Vec<Alert>> = BTreeMap::new();
        for alert in alerts {
            keyed.entry(by.key(&alert.labels)).or_default().push(alert);
        }
        keyed
            .into_iter()
            .map(|(key, alerts)| {
                let (tenant, group_key) = (tenant.clone(), group_key.to_owned());
                Self { tenant, group_key, key, origin: None, alerts, truncated_alerts, heartbeat: None, received_at: None }
            })
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn alert(name: &str, status: AlertStatus, start_s: i64) -> Alert {
        let labels = [("alertname", name), ("namespace", "shop"), ("service", "checkout"), ("severity", "critical")];
        Alert {
            fingerprint: fingerprint(&[name]),
            status,
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            annotations: Labels::new(),
            starts_at: DateTime::from_timestamp(start_s, 0).unwrap(),
            ends_at: (status == AlertStatus::Resolved).then(|| DateTime::from_timestamp(start_s + 60, 0).unwrap()),
            expression: Some("ratio > 0.1".to_owned()),
        }
    }

    #[test]
    fn the_first_present_alternative_correlates() {
        let by = Correlation::default();
        let key = |pairs: &[(&str, &str)]| by.key(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()).0;
        assert_eq!(key(&[("namespace", "shop"), ("service", "cart")]), "namespace=shop,service=cart");
        assert_eq!(key(&[("namespace", "shop"), ("deployment", "cart")]), "namespace=shop,service=cart");
        assert_eq!(key(&[("alertname", "DiskFull")]), "alertname=DiskFull");
    }

    #[test]
    fn late_and_doubled_news_never_wins() {
        let firing = |t| alert("A", AlertStatus::Firing, t);
        let resolved = |t| alert("A", AlertStatus::Resolved, t);
        assert!(resolved(10).supersedes(&firing(10)));
        assert!(!firing(10).supersedes(&resolved(10)));
        assert!(!firing(10).supersedes(&firing(10)));
        assert!(firing(20).supersedes(&resolved(10)));
        assert!(!resolved(10).supersedes(&firing(20)));
    }

    #[test]
    fn twins_and_retries_get_one_message_id() {
        let tenant: TenantId = "acme".parse().unwrap();
        let make = |alerts| Notification::split(&tenant, "{}:{}", alerts, 0, &Correlation::default()).remove(0).message_id();
        let (a, b) = (alert("A", AlertStatus::Firing, 1), alert("B", AlertStatus::Firing, 1));
        assert_eq!(make(vec![a.clone(), b.clone()]), make(vec![b, a.clone()]));
        assert_ne!(make(vec![a.clone()]), make(vec![alert("A", AlertStatus::Resolved, 1)]));
        // Also from one release to the next: a retry may come to the new one.
        assert_eq!(make(vec![a]), "alert-fa55c4251f5087d935c7c482a97aae2d8831dc5d015b9720f8bd1f276598eb98");
    }
}
