//! Listening for heartbeats. One that is silent for too long becomes an alert of our own, which opens, keeps and ends an incident like any
//! other; so there is one incident, however many replicas notice. A heartbeat that is configured and was never heard counts from when
//! somebody first listened.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Incident, Monitoring, Outcome};
use crate::agent::{Content, Decision, Entity, Event, Locator, Outgoing, Timer};
use crate::alert::{Alert, AlertStatus, CorrelationKey, Labels, Notification};
use crate::heartbeat::{Beat, Heartbeat};
use crate::id::{HeartbeatName, TenantId, fingerprint};

/// The rule that our own alert names.
const ALERT: &str = "HeartbeatMissing";
/// The label that names the heartbeat.
const LABEL: &str = "heartbeat";
/// The annotation with what people read.
const SUMMARY: &str = "summary";
const SILENT: &str = "silent";
/// Timers fire within moments. One that is later than this stood in a store that nobody looked at: so nobody listened either, and what was
/// said meanwhile may still be on its way.
const LATE: TimeDelta = TimeDelta::seconds(60);
/// A heartbeat that is silent is looked at again after this, in case that nobody waits for it any more.
const AGAIN: TimeDelta = TimeDelta::minutes(15);

/// A heartbeat, and whether it is heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listening {
    tenant: TenantId,
    name: HeartbeatName,
    /// Since when it is listened for.
    since: DateTime<Utc>,
    /// When it was heard last.
    heard_at: Option<DateTime<Utc>>,
    ear: Ear,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "ear", rename_all = "snake_case")]
enum Ear {
    /// It was heard, or not listened for long enough.
    Open {
        /// If it is not heard until then, it is silent.
        until: DateTime<Utc>,
    },
    /// It is silent, and an alert says so.
    Alarmed {
        /// The alert, as it fires.
        alert: Box<Alert>,
    },
    /// It is configured no more.
    Closed,
}

/// Where a heartbeat is remembered.
pub(super) fn locator(name: &HeartbeatName) -> Locator {
    Locator::Id(format!("heartbeat_{name}"))
}

/// What people read, if this is an alert of ours about a heartbeat.
pub(super) fn silence(alert: &Alert) -> Option<&str> {
    let is_ours = alert.name() == ALERT && alert.labels.contains_key(LABEL);
    alert.annotations.get(SUMMARY).filter(|_| is_ours).map(String::as_str)
}

/// What follows from `event` for a heartbeat.
pub(super) fn decide(agent: &Monitoring, known: Option<Listening>, event: Event<()>, now: DateTime<Utc>) -> Outcome {
    let settings = |tenant: &TenantId, name: &HeartbeatName| agent.heartbeats.get(tenant)?.get(name);
    match (event, known) {
        (Event::Message(Content::Alerts(Notification { tenant, heartbeat: Some(Beat { name, heard_at }), .. })), known) => {
            match settings(&tenant, &name) {
                // The gateway was told of it sooner; this process hears of it at its next start.
                None => Decision::unchanged("this heartbeat is not configured here"),
                Some(heartbeat) => {
                    known.unwrap_or_else(|| Listening::new(tenant, name, heartbeat, now)).heard(heartbeat, heard_at, now)
                }
            }
        }
        (Event::Message(Content::Listen { tenant, name }), known) => match settings(&tenant, &name) {
            None => Decision::unchanged("this heartbeat is not configured here"),
            Some(heartbeat) => match known {
                Some(listening) if listening.ear != Ear::Closed => listening.within(heartbeat, now),
                Some(_) | None => Listening::new(tenant, name, heartbeat, now).put(now, "listened for from now on"),
            },
        },
        (Event::Timer(_), Some(listening)) => match settings(&listening.tenant, &listening.name) {
            None => listening.forgotten(now),
            Some(heartbeat) => listening.looked_at(heartbeat, now),
        },
        (Event::Message(_) | Event::Timer(_) | Event::Outcome { .. }, _) => Decision::unchanged("this is not about a heartbeat"),
    }
}

impl Listening {
    fn new(tenant: TenantId, name: HeartbeatName, heartbeat: &Heartbeat, now: DateTime<Utc>) -> Self {
        Self { tenant, name, since: now, heard_at: None, ear: Ear::Open { until: now + heartbeat.silent_after() } }
    }

    /// A beat came; it may be an old one that waited somewhere.
    fn heard(mut self, heartbeat: &Heartbeat, at: DateTime<Utc>, now: DateTime<Utc>) -> Outcome {
        if self.heard_at.is_some_and(|heard| heard >= at) {
            return Decision::unchanged("a later beat was heard");
        }
        self.heard_at = Some(at);
        let until = at + heartbeat.silent_after();
        match self.ear.clone() {
            Ear::Open { until: before } => {
                self.ear = Ear::Open { until: until.max(before) };
                self.put(now, "the heartbeat is heard")
            }
            Ear::Alarmed { .. } if until <= now => self.put(now, "an old beat; the heartbeat is silent since"),
            Ear::Alarmed { alert } => {
                self.ear = Ear::Open { until };
                self.tell(over(*alert, now), now, "the heartbeat is heard again")
            }
            Ear::Closed => {
                self.ear = Ear::Open { until };
                self.put(now, "the heartbeat is heard")
            }
        }
    }

    /// A process begins to listen. Where less patience is configured than before, it counts from now.
    fn within(mut self, heartbeat: &Heartbeat, now: DateTime<Utc>) -> Outcome {
        match self.ear {
            Ear::Open { until } if until > now + heartbeat.silent_after() => {
                self.ear = Ear::Open { until: now + heartbeat.silent_after() };
                self.put(now, "its silence is noticed sooner from now on")
            }
            Ear::Open { .. } | Ear::Alarmed { .. } | Ear::Closed => Decision::unchanged("it is listened for already"),
        }
    }

    /// Its timer ran out.
    fn looked_at(mut self, heartbeat: &Heartbeat, now: DateTime<Utc>) -> Outcome {
        match self.ear {
            Ear::Open { until } if now < until => self.put(now, "not silent for long enough"),
            Ear::Open { until } if now > until + LATE => {
                self.ear = Ear::Open { until: now + heartbeat.silent_after() };
                self.put(now, "nobody was here to listen; it counts from now")
            }
            Ear::Open { .. } => {
                let alert = self.missing(now);
                self.ear = Ear::Alarmed { alert: Box::new(alert.clone()) };
                self.tell(alert, now, "the heartbeat is silent")
            }
            Ear::Alarmed { .. } => self.put(now, "still silent"),
            Ear::Closed => Decision::unchanged("nobody listens for it"),
        }
    }

    /// It is not configured any more: what was said of it is taken back.
    fn forgotten(mut self, now: DateTime<Utc>) -> Outcome {
        match std::mem::replace(&mut self.ear, Ear::Closed) {
            Ear::Alarmed { alert } => self.tell(over(*alert, now), now, "the heartbeat is not configured any more"),
            Ear::Open { .. } | Ear::Closed => self.put(now, "the heartbeat is not configured any more"),
        }
    }

    /// The alert that says that it is silent.
    fn missing(&self, now: DateTime<Utc>) -> Alert {
        let name = self.name.as_str();
        let minutes = (now - self.heard_at.unwrap_or(self.since)).num_minutes();
        let since = if self.heard_at.is_some() { "" } else { " (never since it was configured)" };
        let summary = format!("no heartbeat from {name} for {minutes} minutes{since}: alerts may not reach us");
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Labels>();
        Alert {
            fingerprint: fingerprint(&[ALERT, self.tenant.as_str(), name]),
            status: AlertStatus::Firing,
            labels: owned(&[("alertname", ALERT), (LABEL, name), ("severity", "critical")]),
            annotations: owned(&[(SUMMARY, &summary)]),
            starts_at: now,
            ends_at: None,
            expression: None,
        }
    }

    fn tell(self, alert: Alert, now: DateTime<Utc>, why: &str) -> Outcome {
        let notification = Notification {
            tenant: self.tenant.clone(),
            group_key: format!("{ALERT} {}", self.name),
            key: CorrelationKey(format!("{LABEL}={}", self.name)),
            origin: None,
            alerts: vec![alert],
            truncated_alerts: 0,
            heartbeat: None,
            received_at: None,
        };
        let outgoing = vec![Outgoing::Alerts(Box::new(notification))];
        Decision { outgoing, ..self.put(now, why) }
    }

    /// As long as anybody listens there is a timer, so that what is configured no more is found.
    fn put(self, now: DateTime<Utc>, why: &str) -> Outcome {
        let id = format!("heartbeat_{}", self.name);
        let at = match &self.ear {
            Ear::Open { until } => Some(*until),
            Ear::Alarmed { .. } => Some(now + AGAIN),
            Ear::Closed => None,
        };
        // Not a correlation key, which has an equals sign in it.
        let open_key = at.map(|_| id.clone());
        let timers = vec![Timer { name: SILENT.to_owned(), at }];
        Decision { timers, ..Decision::put(Entity { id, open_key, state: Incident::Heartbeat(self) }, why) }
    }
}

/// The same alert, over.
fn over(alert: Alert, now: DateTime<Utc>) -> Alert {
    Alert { status: AlertStatus::Resolved, ends_at: Some(now), ..alert }
}

#[cfg(test)]
mod tests;
