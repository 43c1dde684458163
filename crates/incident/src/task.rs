//! What agents ask of each other. On the bus these are A2A tasks; here they are what the asking means.

use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Severity};
use crate::approval::ApprovalRequest;
use crate::evidence::Diagnosis;
use crate::id::{IncidentId, TaskId, TenantId};
use crate::workload::Workload;

/// A service of Paramedic, as subjects, database roles and logs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// HTTP edge.
    Gateway,
    /// Owns incidents and their workflow.
    Monitoring,
    /// Finds causes.
    Diagnostics,
    /// Talks to people.
    Communication,
    /// Changes clusters.
    Remediation,
    /// MCP servers of the providers.
    Connectors,
    /// Remembers.
    Ledger,
}

impl Role {
    /// All roles, in the order in which they start.
    pub const ALL: [Self; 7] = [
        Self::Ledger,
        Self::Connectors,
        Self::Diagnostics,
        Self::Communication,
        Self::Remediation,
        Self::Monitoring,
        Self::Gateway,
    ];

    /// The token used in subjects, schemas, users and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Monitoring => "monitoring",
            Self::Diagnostics => "diagnostics",
            Self::Communication => "communication",
            Self::Remediation => "remediation",
            Self::Connectors => "connectors",
            Self::Ledger => "ledger",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("unknown role {text:?}; roles are: {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// One thing asked of another agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskRequest {
    /// The asker's name for it; asking twice with one id is asking once.
    pub message_id: String,
    /// Whose.
    pub tenant: TenantId,
    /// Who asks; events go back there.
    pub from: Role,
    /// Who is asked.
    pub to: Role,
    /// For which incident (the A2A context).
    pub incident: IncidentId,
    /// The A2A client from outside for whom the gateway asks; none: it is our own.
    #[serde(default)]
    pub client: Option<String>,
    /// What is asked.
    pub errand: Errand,
}

impl TaskRequest {
    /// The task that this request starts: the same for every delivery of it.
    pub fn task(&self) -> TaskId {
        TaskId::derive(&[self.tenant.as_str(), self.from.as_str(), self.to.as_str(), &self.message_id])
    }
}

/// A request taken back, because what it asks for is no longer needed. It counts while nothing irreversible is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskCancel {
    /// The canceller's name for it.
    pub message_id: String,
    /// Whose.
    pub tenant: TenantId,
    /// Who takes back.
    pub from: Role,
    /// From whom.
    pub to: Role,
    /// Which task.
    pub task: TaskId,
    /// Why.
    pub reason: String,
}

/// The errands that our agents run. Each is one A2A skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "skill", rename_all = "snake_case")]
pub enum Errand {
    /// Find out what is wrong.
    Diagnose {
        /// What the alerts point at, if they do.
        workload: Option<Workload>,
        /// The alerts, as they are now.
        alerts: Vec<Alert>,
    },
    /// Repair it by the runbook that fits.
    Remediate {
        /// The alerts whose expressions tell whether it is repaired.
        alerts: Vec<Alert>,
        /// What is wrong, with its evidence.
        diagnosis: Diagnosis,
    },
    /// Show people how the incident stands: one card, edited in place, and a line in its thread.
    Announce {
        /// How it stands.
        bulletin: Bulletin,
    },
    /// Keep the ticket in step with the incident.
    Ticket {
        /// How it stands.
        bulletin: Bulletin,
    },
}

/// How an incident stands, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bulletin {
    /// Counts up with every bulletin of the incident; an older one never replaces a newer one.
    pub number: u32,
    /// One line: what is wrong with what.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// Where the incident is on its way.
    pub phase: Phase,
    /// What is new, one line for the thread; none if only the card changes.
    pub news: Option<String>,
    /// What is wrong as far as known, with evidence lines.
    pub findings: Vec<String>,
    /// The plan that waits for an answer, if one does.
    pub ask: Option<Ask>,
    /// What could not be done or asked so far.
    pub gaps: Vec<String>,
    /// When the incident began.
    pub opened_at: DateTime<Utc>,
    /// The one before it, if its alerts were an incident not long ago.
    #[serde(default)]
    pub follows: Option<IncidentId>,
    /// Who has it, in words; none: nobody.
    #[serde(default)]
    pub attended: Option<String>,
}

/// A plan that waits for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ask {
    /// What is asked: the request, whole.
    pub request: ApprovalRequest,
}

/// Where an incident is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Looking for the cause.
    Diagnosing,
    /// A remedy is being worked out.
    Planning,
    /// A plan waits for people.
    AwaitingApproval,
    /// The plan runs or is being verified.
    Repairing,
    /// Nothing automatic is left to do; people have it.
    NeedsPeople,
    /// Its alerts come and go: it is held until they stop.
    Flapping,
    /// All of its alerts are silenced: it is kept, and nobody is told.
    Silenced,
    /// What it depends on fails: it is worked on there.
    PartOfAnother,
    /// Over.
    Resolved,
}

impl Phase {
    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Diagnosing => "diagnosing",
            Self::Planning => "planning",
            Self::AwaitingApproval => "awaiting approval",
            Self::Repairing => "repairing",
            Self::NeedsPeople => "needs people",
            Self::Flapping => "flapping",
            Self::Silenced => "silenced",
            Self::PartOfAnother => "part of another",
            Self::Resolved => "resolved",
        }
    }
}

/// How a task stands, told to its asker. Each event is the whole state: a lost, doubled or late one does no harm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskEvent {
    /// Whose.
    pub tenant: TenantId,
    /// Which task.
    pub task: TaskId,
    /// The request that started it.
    pub message_id: String,
    /// For which incident (the A2A context).
    pub incident: IncidentId,
    /// Who works on it.
    pub from: Role,
    /// Who is told.
    pub to: Role,
    /// Counts up with every event of the task; a lower one is old news.
    pub number: u32,
    /// How it stands.
    pub status: TaskStatus,
}

/// The states of an A2A task, with what is true in each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TaskStatus {
    /// Being worked on.
    Working {
        /// What is being done.
        note: String,
    },
    /// Waits for people (`TASK_STATE_AUTH_REQUIRED`).
    AuthRequired {
        /// For an answer to this.
        request: Box<ApprovalRequest>,
        /// How often they were reminded of it.
        reminders: u32,
    },
    /// Done.
    Completed {
        /// What came of it.
        artifact: Artifact,
    },
    /// Given up.
    Failed {
        /// Why.
        reason: String,
    },
    /// Not taken on, or refused by people.
    Rejected {
        /// Why.
        reason: String,
    },
    /// Not carried out, because what was asked for rests on what is no longer so: find out anew, then ask again.
    Outdated {
        /// What changed.
        reason: String,
    },
}

/// What comes of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "artifact", rename_all = "snake_case")]
pub enum Artifact {
    /// Of `Diagnose`.
    Diagnosis {
        /// Verdict and evidence.
        diagnosis: Diagnosis,
    },
    /// Of `Remediate`: the change was made and recovery verified.
    Recovery {
        /// What was done and how recovery was seen.
        summary: String,
    },
    /// Of `Announce` and `Ticket`: where people find it, or why they find it only in log and CLI.
    Delivered {
        /// Such as a message link or issue key; none if the channel is not configured.
        place: Option<String>,
    },
}
