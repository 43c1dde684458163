//! What people want of incidents, as scenarios say it: an incident is named by the workload that it is about.

use incident::id::{IncidentId, PersonId};
use incident::order::Want;
use serde::Deserialize;

use super::Place;

/// A person's order, by the fields of the API but for the incidents.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// Who.
    pub who: PersonId,
    /// Of the incident about this workload. Who finds none looks again.
    pub of: Place,
    says: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "want", rename_all = "snake_case", deny_unknown_fields)]
enum Wanted {
    Acknowledge {
        minutes: u32,
    },
    Unacknowledge,
    Own {
        owner: Option<PersonId>,
    },
    Release,
    Note {
        text: String,
    },
    Resolve {
        reason: String,
        #[serde(default)]
        while_firing: bool,
    },
    Merge {
        into: Place,
    },
    Attach {
        alerts: Vec<String>,
        to: Place,
    },
    Detach {
        #[serde(default)]
        alerts: Vec<String>,
    },
}

impl Orders {
    /// The other workload whose incident it needs.
    pub fn other(&self) -> Option<&Place> {
        match &self.says {
            Wanted::Merge { into: other } | Wanted::Attach { to: other, .. } => Some(other),
            Wanted::Acknowledge { .. }
            | Wanted::Unacknowledge
            | Wanted::Own { .. }
            | Wanted::Release
            | Wanted::Note { .. }
            | Wanted::Resolve { .. }
            | Wanted::Detach { .. } => None,
        }
    }

    /// What is wanted, where `other` is that incident.
    pub fn want(&self, other: Option<IncidentId>) -> Option<Want> {
        Some(match self.says.clone() {
            Wanted::Acknowledge { minutes } => Want::Acknowledge { minutes },
            Wanted::Unacknowledge => Want::Unacknowledge,
            Wanted::Own { owner } => Want::Own { owner },
            Wanted::Release => Want::Release,
            Wanted::Note { text } => Want::Note { text },
            Wanted::Resolve { reason, while_firing } => Want::Resolve { reason, while_firing },
            Wanted::Merge { .. } => Want::Merge { into: other? },
            Wanted::Attach { alerts, .. } => Want::Attach { alerts, to: other? },
            Wanted::Detach { alerts } => Want::Detach { alerts },
        })
    }
}
