//! Orders: what a person wants of an incident, beside the answers to plans (see [`crate::approval`]). Whether it can be had is monitoring's
//! to decide; either way the record says who wanted it and what came of it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{IncidentId, OrderId, PersonId, TenantId};

/// A shorter acknowledgement is over before anybody has opened a terminal.
pub const MINUTES_MIN: u32 = 5;
/// Nobody is awake for longer.
pub const MINUTES_MAX: u32 = 24 * 60;
/// Characters of a note or a reason: a few sentences.
pub const TEXT_CHARS_MAX: usize = 2_000;
/// Alerts that one order names.
pub const ALERTS_MAX: usize = 100;

/// What a person wants, with their identity verified by the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Its name; ordering twice with one id is ordering once.
    pub id: OrderId,
    /// Whose.
    pub tenant: TenantId,
    /// Of which incident.
    pub incident: IncidentId,
    /// Who.
    pub by: PersonId,
    /// What.
    pub want: Want,
}

/// What is wanted of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "want", rename_all = "snake_case", deny_unknown_fields)]
pub enum Want {
    /// Somebody looks at it: nobody else is reminded meanwhile.
    Acknowledge {
        /// For so long; they are reminded when a quarter of it is left, and then everybody is again.
        minutes: u32,
    },
    /// They do not any more.
    Unacknowledge,
    /// Somebody answers for it until it is over.
    Own {
        /// Who; none: who orders it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<PersonId>,
    },
    /// Nobody does any more.
    Release,
    /// Something to be remembered.
    Note {
        /// What.
        text: String,
    },
    /// It is over, by a person's judgement.
    Resolve {
        /// Why.
        reason: String,
        /// Whether that is meant even if its alerts still fire. It is then held: they do not open it again, unless they fire anew.
        #[serde(default)]
        while_firing: bool,
    },
    /// It is one with another: its alerts, and what comes under its key later, belong there.
    Merge {
        /// Into this one.
        into: IncidentId,
    },
    /// Some of its alerts belong to another incident, now and later.
    Attach {
        /// By name or fingerprint.
        alerts: Vec<String>,
        /// To this one.
        to: IncidentId,
    },
    /// Some of its alerts are an incident of their own, now and later. With none named it is the incident that stands for itself: it is part
    /// of no other whatever the topology says, and what was merged into it is not any more.
    Detach {
        /// By name or fingerprint.
        #[serde(default)]
        alerts: Vec<String>,
    },
}

/// An order that nobody can carry out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct OrderError {
    /// Which field.
    pub field: &'static str,
    /// The rule.
    pub rule: &'static str,
}

impl Want {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), OrderError> {
        let text = |field, text: &str| match text.trim().chars().count() {
            0 => Err(OrderError { field, rule: "must not be empty: others will wonder" }),
            n if n > TEXT_CHARS_MAX => Err(OrderError { field, rule: "must have at most 2000 characters" }),
            _ => Ok(()),
        };
        let several = |alerts: &[String]| {
            let is_short = alerts.iter().all(|alert| !alert.is_empty() && alert.chars().count() <= TEXT_CHARS_MAX);
            if alerts.len() <= ALERTS_MAX && is_short {
                Ok(())
            } else {
                Err(OrderError { field: "alerts", rule: "must be at most 100 names or fingerprints of alerts" })
            }
        };
        match self {
            Self::Acknowledge { minutes } if !(MINUTES_MIN..=MINUTES_MAX).contains(minutes) => Err(OrderError {
                field: "minutes",
                rule: "must be 5 to 1440: an acknowledgement ends, so that nothing is forgotten",
            }),
            Self::Note { text: note } => text("text", note),
            Self::Resolve { reason, .. } => text("reason", reason),
            Self::Attach { alerts, .. } if alerts.is_empty() => {
                Err(OrderError { field: "alerts", rule: "must name at least one; to have all of them there, merge" })
            }
            Self::Attach { alerts, .. } | Self::Detach { alerts } => several(alerts),
            Self::Acknowledge { .. } | Self::Unacknowledge | Self::Own { .. } | Self::Release | Self::Merge { .. } => Ok(()),
        }
    }

    /// What somebody did by it, for people: `ana` goes before it.
    pub fn sentence(&self) -> String {
        match self {
            Self::Acknowledge { minutes } => format!("acknowledged it for {minutes} minutes"),
            Self::Unacknowledge => "took the acknowledgement back".to_owned(),
            Self::Own { owner: Some(owner) } => format!("made {owner} its owner"),
            Self::Own { owner: None } => "took it".to_owned(),
            Self::Release => "released it: nobody owns it".to_owned(),
            Self::Note { text } => format!("noted: {text}"),
            Self::Resolve { reason, while_firing: false } => format!("resolved it: {reason}"),
            Self::Resolve { reason, while_firing: true } => format!("resolved it, whatever fires: {reason}"),
            Self::Merge { into } => format!("merged it into {into}"),
            Self::Attach { alerts, to } => format!("attached {} to {to}", alerts.join(", ")),
            Self::Detach { alerts } if alerts.is_empty() => "detached it: it stands for itself".to_owned(),
            Self::Detach { alerts } => format!("split {} off", alerts.join(", ")),
        }
    }
}

/// Who has an incident.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attendance {
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PersonId>,
    /// Who looks at it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
}

/// That somebody looks at an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledged {
    /// Who.
    pub by: PersonId,
    /// Until then, if they do not say so again.
    pub until: DateTime<Utc>,
}

impl Attendance {
    /// For people; none: nobody has it.
    pub fn sentence(&self) -> Option<String> {
        let owner = self.owner.as_ref().map(|owner| format!("owned by {owner}"));
        let acknowledged = self.acknowledged.as_ref();
        let acknowledged = acknowledged.map(|a| format!("acknowledged by {} until {}", a.by, a.until.format("%H:%M UTC")));
        let said: Vec<String> = [owner, acknowledged].into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_is_broken_is_named_with_its_field() {
        let names = |n: usize| vec!["A".to_owned(); n];
        let other = || IncidentId::derive(&["other"]);
        let table = [
            (Want::Acknowledge { minutes: 4 }, Some("minutes")),
            (Want::Acknowledge { minutes: 5 }, None),
            (Want::Acknowledge { minutes: 1_441 }, Some("minutes")),
            (Want::Note { text: " ".to_owned() }, Some("text")),
            (Want::Note { text: "x".repeat(2_001) }, Some("text")),
            (Want::Resolve { reason: String::new(), while_firing: true }, Some("reason")),
            (Want::Attach { alerts: vec![], to: other() }, Some("alerts")),
            (Want::Attach { alerts: names(101), to: other() }, Some("alerts")),
            (Want::Detach { alerts: vec![] }, None),
            (Want::Detach { alerts: vec![String::new()] }, Some("alerts")),
        ];
        for (want, field) in table {
            assert_eq!(want.check().err().map(|error| error.field), field, "{want:?}");
        }
    }
}
