//! Heartbeats: alerts that always fire, such as the Watchdog of most Prometheus installations. One that is heard is no trouble; one that is
//! no longer heard means that alerts may not reach us. What follows from that is monitoring's: [`crate::agents::monitoring`].

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertStatus, CorrelationKey, Labels, Notification};
use crate::id::{HeartbeatName, TenantId};
use crate::matcher::{Matcher, all_satisfied};

/// A shorter silence is one late evaluation, or one slow network.
const SILENT_AFTER_S_MIN: u32 = 30;
/// Whoever waits longer than a day to hear that alerts do not come has no use for hearing it.
const SILENT_AFTER_S_MAX: u32 = 86_400;

/// One heartbeat, as the configuration says: `[tenants.ID.heartbeat.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Alertmanager matchers; an alert that satisfies all of them is this heartbeat, and never opens an incident.
    pub matchers: Vec<Matcher>,
    /// After so many seconds without it alerts may not reach us: three times what Alertmanager's `repeat_interval` for it is.
    pub silent_after_s: u32,
}

/// The heartbeats of a tenant, by name.
pub type Heartbeats = BTreeMap<HeartbeatName, Heartbeat>;

/// A heartbeat that cannot be listened for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("heartbeat {name}: {field} {rule}")]
pub struct HeartbeatError {
    name: HeartbeatName,
    field: &'static str,
    rule: &'static str,
}

/// That a heartbeat was heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Beat {
    /// Which.
    pub name: HeartbeatName,
    /// When the gateway took it.
    pub heard_at: DateTime<Utc>,
}

impl Heartbeat {
    /// After so long a silence alerts may not reach us.
    pub fn silent_after(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.silent_after_s))
    }
}

/// Checks what the types cannot say.
///
/// # Errors
/// The first field that breaks a rule.
pub fn check(heartbeats: &Heartbeats) -> Result<(), HeartbeatError> {
    for (name, heartbeat) in heartbeats {
        let is_narrow = heartbeat.matchers.iter().any(|matcher| matcher.pins().is_some());
        let is_timely = (SILENT_AFTER_S_MIN..=SILENT_AFTER_S_MAX).contains(&heartbeat.silent_after_s);
        let rules = [
            (is_narrow, "matchers", "must hold at least one that asks for one value, such as alertname=\"Watchdog\""),
            (is_timely, "silent_after_s", "must be 30 to 86400"),
        ];
        if let Some((_, field, rule)) = rules.into_iter().find(|(holds, ..)| !holds) {
            return Err(HeartbeatError { name: name.clone(), field, rule });
        }
    }
    Ok(())
}

/// The heartbeat that an alert with these labels is, if it is one.
fn named<'a>(heartbeats: &'a Heartbeats, labels: &Labels) -> Option<&'a HeartbeatName> {
    let is_it = |heartbeat: &Heartbeat| all_satisfied(&heartbeat.matchers, labels);
    heartbeats.iter().find(|(_, heartbeat)| is_it(heartbeat)).map(|(name, _)| name)
}

/// Takes heartbeats out of a call's `alerts`: one notification for each that fires, heard `now`. One that is resolved is not heard, and is
/// no trouble either: its absence will tell.
pub fn take(heartbeats: &Heartbeats, tenant: &TenantId, alerts: &mut Vec<Alert>, now: DateTime<Utc>) -> Vec<Notification> {
    if heartbeats.is_empty() {
        return vec![];
    }
    let mut heard: BTreeMap<&HeartbeatName, Alert> = BTreeMap::new();
    alerts.retain(|alert| match named(heartbeats, &alert.labels) {
        None => true,
        Some(name) => {
            if alert.status == AlertStatus::Firing {
                heard.insert(name, alert.clone());
            }
            false
        }
    });
    let notification = |(name, alert): (&HeartbeatName, Alert)| Notification {
        tenant: tenant.clone(),
        origin: None,
        group_key: String::new(),
        key: CorrelationKey(format!("heartbeat {name}")),
        alerts: vec![alert],
        truncated_alerts: 0,
        heartbeat: Some(Beat { name: name.clone(), heard_at: now }),
        received_at: None,
    };
    heard.into_iter().map(notification).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::tests::alert;

    fn heartbeats(matcher: &str, silent_after_s: u32) -> Heartbeats {
        let heartbeat = Heartbeat { matchers: vec![matcher.parse().unwrap()], silent_after_s };
        [("alertmanager".parse().unwrap(), heartbeat)].into()
    }

    #[test]
    fn a_heartbeat_that_cannot_be_one_is_refused() {
        for (matcher, silent_after_s, field) in [
            ("alertname=\"Watchdog\"", 300, None),
            ("alertname=~\".*\"", 300, Some("matchers")),
            ("alertname!=\"Other\"", 300, Some("matchers")),
            ("alertname=\"Watchdog\"", 29, Some("silent_after_s")),
            ("alertname=\"Watchdog\"", 86_401, Some("silent_after_s")),
        ] {
            let found = check(&heartbeats(matcher, silent_after_s)).err().map(|error| error.field);
            assert_eq!(found, field, "{matcher} {silent_after_s}");
        }
    }

    #[test]
    fn heartbeats_are_taken_out_of_a_call_and_each_time_is_another_message() {
        let (tenant, heartbeats): (TenantId, _) = ("acme".parse().unwrap(), heartbeats("alertname=\"Watchdog\"", 300));
        let (firing, resolved) = (AlertStatus::Firing, AlertStatus::Resolved);
        let at = |s: i64| DateTime::from_timestamp(s, 0).unwrap();
        let heard = |alerts: &mut Vec<Alert>, s| take(&heartbeats, &tenant, alerts, at(s));
        let mut mixed = vec![alert("Watchdog", firing, 0), alert("DiskFull", firing, 0)];
        let first = heard(&mut mixed, 60).remove(0);
        assert_eq!(first.heartbeat, Some(Beat { name: "alertmanager".parse().unwrap(), heard_at: at(60) }));
        assert_eq!(mixed.iter().map(Alert::name).collect::<Vec<_>>(), ["DiskFull"]);
        let second = heard(&mut vec![alert("Watchdog", firing, 0)], 120).remove(0);
        assert_ne!(first.message_id(), second.message_id(), "the same alert, heard again");
        let mut over = vec![alert("Watchdog", resolved, 0)];
        assert_eq!((heard(&mut over, 180), over), (vec![], vec![]));
    }
}
