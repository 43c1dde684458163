//! What incidents of one tenant tell each other: who fails, and who fails because another does. Monitoring tells it itself, over the bus,
//! so that what was told is durable and heard once.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::CorrelationKey;
use crate::id::{IncidentId, TenantId};
use crate::order::Order;
use crate::route::Of;
use crate::topology::Failing;

/// One thing told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Related {
    /// Unique; telling it twice is telling it once.
    pub message_id: String,
    /// Whose.
    pub tenant: TenantId,
    /// What.
    pub told: Told,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "told", rename_all = "snake_case")]
pub enum Told {
    /// An incident is about this service, to the tenant's book.
    Fails {
        /// The service.
        failing: Failing,
        /// The incident.
        incident: IncidentId,
        /// Since when.
        since: DateTime<Utc>,
        /// The incident's key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<CorrelationKey>,
    },
    /// That is over, to the tenant's book.
    Over {
        /// The incident.
        incident: IncidentId,
        /// Since when it had been so.
        since: DateTime<Utc>,
    },
    /// Where an incident's trouble comes from, to that incident.
    Origin {
        /// Which.
        incident: IncidentId,
        /// Counts up with all that the book tells: what has a lower number is old.
        number: u64,
        /// The one that it is part of; none: it stands for itself.
        origin: Option<Relative>,
    },
    /// Who fails because of an incident, to that incident.
    Callers {
        /// Which.
        incident: IncidentId,
        /// As above.
        number: u64,
        /// All of them.
        callers: Vec<Relative>,
    },
    /// A person wants these in another incident, to that incident: it knows its key, and whether it is over.
    Move {
        /// The other one.
        to: IncidentId,
        /// What the person said, to the incident where they are.
        order: Order,
        /// What is to be moved.
        of: Vec<Of>,
    },
    /// A person said where these belong, to the tenant's book.
    Route {
        /// These.
        of: Vec<Of>,
        /// To the incident of this key.
        to: CorrelationKey,
        /// Since when.
        at: DateTime<Utc>,
    },
    /// A person said that a key stands for itself, to the tenant's book.
    Alone {
        /// Which.
        key: CorrelationKey,
        /// Since when.
        at: DateTime<Utc>,
    },
}

/// An incident that another is related to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Relative {
    /// Which.
    pub incident: IncidentId,
    /// The service that it is about.
    pub service: String,
}
