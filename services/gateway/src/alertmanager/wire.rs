//! Alertmanager's webhook, version "4", as it is sent: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.
//!
//! Keys that we do not know are ignored, because releases add some (0.33 added `notification_reason`). Keys that we need are optional
//! here, so that one that is missing is named like any other broken rule.

use chrono::{DateTime, Utc};
use incident::alert::{AlertStatus, Labels};
use serde::Deserialize;

/// One call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Call {
    pub(super) version: Option<String>,
    pub(super) group_key: Option<String>,
    pub(super) status: Option<AlertStatus>,
    pub(super) truncated_alerts: Option<u64>,
    pub(super) receiver: Option<String>,
    #[serde(rename = "externalURL")]
    pub(super) external_url: Option<String>,
    pub(super) alerts: Option<Vec<Entry>>,
}

/// One alert of a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) fingerprint: Option<String>,
    pub(super) status: Option<AlertStatus>,
    pub(super) labels: Option<Labels>,
    pub(super) annotations: Option<Labels>,
    pub(super) starts_at: Option<DateTime<Utc>>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    #[serde(rename = "generatorURL")]
    pub(super) generator_url: Option<String>,
}
