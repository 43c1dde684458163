//! The beginning of an incident, and what was heard before it: ends of alerts may overtake their beginnings.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::ALERTS_MAX;
use super::around::Rules;
use super::open::{OpenIncident, Remedy};
use super::orders::{refused, too_late};
use super::turn::{DEADLINE, Turn};
use super::{GRAPH, Incident, Outcome};
use crate::agent::{Content, Decision, Entity, Event, LOOK, Timer};
use crate::alert::{Alert, AlertStatus, Labels, Notification, Severity};
use crate::fact::What;
use crate::id::{IncidentId, TenantId};
use crate::order::Attendance;
use crate::related::{Related, Told};
use crate::workflow::Workflow;

/// What people are told who want something of it.
const NOT_YET: &str = "nothing of it fired yet";

/// Ends of alerts that nobody heard the beginnings of. If they come, it is an incident that was over before anybody knew of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Early {
    /// By fingerprint.
    resolved: BTreeMap<String, Alert>,
    /// The incident of the same key that ended before.
    follows: Option<IncidentId>,
}

/// What an incident begins with.
pub(super) struct Start {
    id: IncidentId,
    early: Early,
}

impl Early {
    /// Alerts come; or the time is over in which their beginnings were waited for.
    pub(super) fn hears(self, id: String, event: Event<()>, rules: impl Fn(&TenantId) -> Rules, now: DateTime<Utc>) -> Outcome {
        match (event, id.parse()) {
            (Event::Message(Content::Alerts(notification)), Ok(id)) => {
                let rules = rules(&notification.tenant);
                Start { id, early: self }.begin(notification, rules, now)
            }
            (Event::Message(Content::Order(order)), _) => too_late(&order, NOT_YET),
            (Event::Message(Content::Related(Related { told: Told::Move { order, .. }, .. })), _) => refused(&order, NOT_YET),
            (Event::Timer(name), _) if name == LOOK => Decision::unchanged("there is nothing to be told yet"),
            (Event::Timer(_), _) => {
                let entity = Entity { id, open_key: None, state: Incident::Early(self) };
                let timers = vec![Timer { name: DEADLINE.to_owned(), at: None }];
                Decision { timers, ..Decision::put(entity, "their beginnings did not come") }
            }
            (Event::Message(_) | Event::Outcome { .. }, _) => Decision::unchanged("there is no incident yet"),
        }
    }
}

impl Start {
    /// Of an incident that this notification is the first of.
    pub(super) fn of(notification: &Notification, follows: Option<IncidentId>) -> Self {
        let id = IncidentId::derive(&[notification.tenant.as_str(), &notification.key.0, &notification.message_id()]);
        Self { id, early: Early { resolved: BTreeMap::new(), follows } }
    }

    /// Opens the incident if something fires, or fired; else remembers what is over already.
    pub(super) fn begin(self, notification: Notification, rules: Rules, now: DateTime<Utc>) -> Outcome {
        if notification.alerts.iter().all(|alert| alert.status == AlertStatus::Resolved) {
            return self.waits(notification, &rules, now);
        }
        let Self { id, early: Early { resolved, follows } } = self;
        let worst = resolved.values().chain(&notification.alerts).map(Alert::severity).max().unwrap_or(Severity::Warning);
        let known = |alert: &Alert| What::AlertChanged {
            alert: alert.name().to_owned(),
            fingerprint: alert.fingerprint.clone(),
            firing: false,
            labels: Labels::new(),
        };
        let facts: Vec<What> = resolved.values().map(known).collect();
        let open = OpenIncident {
            id,
            tenant: notification.tenant.clone(),
            key: notification.key.clone(),
            opened_at: now,
            follows,
            alerts: resolved,
            origins: BTreeMap::new(),
            severity: worst,
            swings: super::flap::Swings::default(),
            flapping: None,
            workflow: Workflow::new(GRAPH),
            round: 1,
            outdated: 0,
            diagnosis: None,
            remedy: Remedy::Unknown,
            is_withdrawn: false,
            gaps: vec![],
            bulletins: 0,
            announce_by: None,
            muted: None,
            unmuted_for: None,
            kin: None,
            attendance: Attendance::default(),
            remind_at: None,
            overruled: None,
        };
        let mut turn = Turn::of(open, None, rules, now);
        turn.facts = facts;
        turn.attach(&notification);
        turn.enter();
        turn.open.severity = turn.open.worst_firing().unwrap_or(worst);
        let (title, severity, follows) = (turn.open.title(), turn.open.severity, turn.open.follows.clone());
        turn.facts.insert(0, What::Opened { title, severity, follows });
        turn.finish("a new incident")
    }

    fn waits(mut self, notification: Notification, rules: &Rules, now: DateTime<Utc>) -> Outcome {
        let resolved = &mut self.early.resolved;
        for alert in notification.alerts {
            let is_new = resolved.get(&alert.fingerprint).is_none_or(|known| alert.starts_at > known.starts_at);
            if is_new && (resolved.len() < ALERTS_MAX || resolved.contains_key(&alert.fingerprint)) {
                resolved.insert(alert.fingerprint.clone(), alert);
            }
        }
        let timers = vec![Timer { name: DEADLINE.to_owned(), at: Some(now + rules.reopen()) }];
        let (id, open_key) = (self.id.to_string(), Some(notification.key.0));
        let entity = Entity { id, open_key, state: Incident::Early(self.early) };
        Decision { timers, ..Decision::put(entity, "resolved alerts of no incident: their beginnings may still come") }
    }
}
