//! What a remediation is at each point of its way, what it does outside, and what can come of that.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::approval::{Proposal, Refusal, SignedVote};
use crate::evidence::Hypothesis;
use crate::id::{ApprovalId, IncidentId, TaskId, TenantId};
use crate::plan::{Plan, RollbackDraft};
use crate::runbook::Runbook;
use crate::task::Role;
use crate::workload::Workload;

/// One remediation, by where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "remediation", rename_all = "snake_case")]
pub enum Remediation {
    /// The cluster is asked what the change would be.
    Drafting(Job),
    /// A plan waits for people.
    Waiting {
        /// The job.
        job: Job,
        /// What they are asked.
        proposal: Box<Proposal>,
        /// Who has said yes.
        votes: Vec<SignedVote>,
        /// How often they were reminded.
        reminders: u32,
    },
    /// Enough people have said yes; the change is being made.
    Applying {
        /// The job.
        job: Job,
        /// What was approved.
        proposal: Box<Proposal>,
        /// By whom.
        votes: Vec<SignedVote>,
    },
    /// The change is made; recovery is looked for.
    Verifying {
        /// The job.
        job: Job,
        /// What was approved.
        proposal: Box<Proposal>,
        /// By whom.
        votes: Vec<SignedVote>,
        /// When the change was made.
        applied_at: DateTime<Utc>,
        /// What the looks so far come to.
        standing: Standing,
        /// Looks taken.
        probes: u32,
    },
    /// It did not help; it is being taken back.
    Undoing {
        /// The job.
        job: Job,
        /// What was approved.
        proposal: Box<Proposal>,
        /// Why.
        why: String,
    },
    /// Over.
    Ended {
        /// For which incident.
        incident: IncidentId,
        /// When.
        at: DateTime<Utc>,
        /// How.
        summary: String,
    },
}

/// What looks at a change come to, so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// Neither well nor failed.
    Open,
    /// All looks well.
    Well {
        /// Since when, without a break.
        since: DateTime<Utc>,
    },
    /// It should be well by now, but cannot be looked at. That was said, and it is looked at for some time more.
    Held,
    /// The rollout is said to have failed.
    Failed {
        /// Since when, without a break.
        since: DateTime<Utc>,
    },
}

/// What the task is about, whatever its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    pub(super) tenant: TenantId,
    pub(super) incident: IncidentId,
    pub(super) task: TaskId,
    pub(super) message_id: String,
    pub(super) asked_by: Role,
    #[serde(default)]
    pub(super) client: Option<String>,
    pub(super) alerts: Vec<Alert>,
    pub(super) hypothesis: Hypothesis,
    pub(super) runbook: Runbook,
    pub(super) generation: u32,
    pub(super) told: u32,
    /// The newest request that people were asked to answer.
    pub(super) asked: Option<ApprovalId>,
}

/// What remediation does outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Act {
    /// Ask the cluster what a rollback would be.
    Draft {
        /// Of what.
        workload: Workload,
        /// To which revision.
        to_revision: u64,
        /// The alerts whose expressions shall show recovery.
        alerts: Vec<Alert>,
    },
    /// Make the change, after checking the approval once more.
    Apply {
        /// What was approved.
        proposal: Box<Proposal>,
        /// By whom.
        votes: Vec<SignedVote>,
    },
    /// Look whether the change still stands, at its rollout, and at the alerts' expressions.
    Probe {
        /// Of which plan.
        plan: Box<Plan>,
        /// Alerts that must not be among its expressions' results.
        alerts: Vec<Alert>,
    },
    /// Take the change back.
    Undo {
        /// What was done.
        proposal: Box<Proposal>,
    },
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// What the rollback would be.
    Drafted(Box<RollbackDraft>),
    /// There can be none.
    Undraftable {
        /// Why.
        reason: String,
    },
    /// The change is made, now or by an earlier try.
    Applied,
    /// The target is no longer what people saw; nothing was changed.
    Drifted {
        /// What differs.
        what: String,
    },
    /// The approval does not hold any more; nothing was changed.
    Refused(Refusal),
    /// How things look.
    Probed(Probe),
    /// The change is taken back, now or by an earlier try.
    Undone,
    /// It was not, because somebody else has changed the object since.
    NotUndone {
        /// What differs.
        what: String,
    },
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// How the rollout is.
    pub rollout: Rollout,
    /// What the plan's expressions say.
    pub alerts: AlertsNow,
}

/// What the expressions of a plan say of its alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertsNow {
    /// The plan has none.
    NotWatched,
    /// None of them holds.
    Quiet,
    /// One of them holds.
    Firing,
    /// It cannot be told.
    Unknown {
        /// Why.
        why: String,
    },
}

/// How a rollout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollout {
    /// All pods are of the new template and available.
    Complete,
    /// On its way.
    Progressing {
        /// How far, for people.
        how_far: String,
    },
    /// It will not complete by itself.
    Failed {
        /// Why.
        reason: String,
    },
    /// Something else runs by now: whatever is seen is not our doing.
    Superseded {
        /// What differs.
        what: String,
    },
}

impl Remediation {
    pub(super) fn incident(&self) -> &IncidentId {
        match self {
            Self::Drafting(job)
            | Self::Waiting { job, .. }
            | Self::Applying { job, .. }
            | Self::Verifying { job, .. }
            | Self::Undoing { job, .. } => &job.incident,
            Self::Ended { incident, .. } => incident,
        }
    }
}
