//! Alertmanager's webhook, version "4", as it is sent: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.
//!
//! Keys that we do not know are ignored, because releases add some (0.33 added `notification_reason`). Keys that we need are optional
//! here, so that one that is missing is named like any other broken rule.

use std::fmt;

use chrono::{DateTime, Utc};
use incident::alert::{AlertStatus, Labels};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::ALERTS_MAX;

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
    pub(super) alerts: Option<Entries>,
}

/// The alerts of a call. Those beyond [`ALERTS_MAX`] are counted and not kept: a body has room for a million that say nothing, which
/// would take a hundred times its size.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) kept: Vec<Entry>,
    pub(super) count: usize,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counted;
        impl<'de> Visitor<'de> for Counted {
            type Value = Entries;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < ALERTS_MAX {
                    let Some(entry) = list.next_element()? else { return Ok(Entries { count: kept.len(), kept }) };
                    kept.push(entry);
                }
                let mut count = kept.len();
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Entries { kept, count })
            }
        }
        deserializer.deserialize_seq(Counted)
    }
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
