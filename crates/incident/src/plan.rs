//! Plans: exactly what would be done, immutable, with a digest that approvals are bound to (P4).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::id::{IncidentId, TaskId, TenantId};
use crate::workload::Workload;

/// SHA-256 over the canonical JSON (RFC 8785) of a plan, in hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Digest(#[schemars(regex(pattern = r"^[0-9a-f]{64}$"))] pub String);

impl Digest {
    /// Digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// The first 12 characters: what people compare by eye.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// The object a plan changes, as it was when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Which workload.
    pub workload: Workload,
    /// Kubernetes uid: a deleted and recreated object is another one.
    pub uid: String,
    /// resourceVersion that was read. It moves with every status write, so what must still be equal at execution is `spec_digest`;
    /// the change itself then carries the resourceVersion just read, so nothing slips in between.
    pub resource_version: String,
    /// Digest of the object's `spec`.
    pub spec_digest: Digest,
}

/// A pod template as canonical JSON text: data that is carried, compared and applied, never interpreted here. It may hold secrets that
/// somebody wrote into it, so it never leaves the remediation service and its cluster; everybody else sees its digest and a diff.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Template(pub String);

impl Template {
    /// What a plan knows the template by.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({})", self.digest().short())
    }
}

/// The two templates of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Templates {
    /// What the plan puts there.
    pub after: Template,
    /// What ran before: the undo puts it back.
    pub before: Template,
}

/// What is done to the target. The list is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Put the pod template of an earlier revision back.
    RollBack {
        /// Revision that runs now.
        from_revision: u64,
        /// Revision whose template is put back.
        to_revision: u64,
        /// Digest of that template.
        template: Digest,
    },
}

/// How the plan is taken back if it does not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "undo", rename_all = "snake_case")]
pub enum Undo {
    /// Put the template back that ran before the plan.
    RestoreTemplate {
        /// Digest of that template.
        template: Digest,
    },
}

/// What a rollback would be, as the cluster answered: all of a plan that the cluster knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackDraft {
    /// The object as it was read.
    pub target: Target,
    /// Revision that runs now.
    pub from_revision: u64,
    /// Revision to go back to.
    pub to_revision: u64,
    /// The template of that one, and the one that runs now.
    pub templates: Templates,
    /// What changes, line by line, from the API server's dry run.
    pub diff: Vec<String>,
    /// Expressions whose results cannot be told to be about the alerts, now or when these began: they cannot show recovery.
    pub unmatched: BTreeSet<String>,
}

/// How recovery is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// The alerts' own PromQL expressions: all of them must stop holding. None where the alerts told none that can be matched to them:
    /// then the rollout alone decides.
    pub expressions: BTreeSet<String>,
    /// For how long it must hold no more, in seconds.
    pub settle_s: u32,
    /// How long after the change recovery must have been reached, in seconds.
    pub deadline_s: u32,
}

impl Verification {
    /// For people.
    pub fn sentence(&self) -> String {
        let Self { expressions, settle_s, deadline_s } = self;
        match expressions.len() {
            0 => format!(
                "the rollout alone, complete for {settle_s} s within {deadline_s} s: no expression tells whether the alert holds"
            ),
            1 => format!("the alert's own expression, no longer true for {settle_s} s within {deadline_s} s"),
            n => format!("the alerts' own {n} expressions, none of them true for {settle_s} s within {deadline_s} s"),
        }
    }
}

/// One immutable, complete proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Whose.
    pub tenant: TenantId,
    /// For which incident.
    pub incident: IncidentId,
    /// Of which remediation task.
    pub task: TaskId,
    /// The A2A client that asked for it, which cannot agree to it; none: Paramedic's own monitoring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// 1 for the first proposal of the task; a plan made anew counts up.
    pub generation: u32,
    /// Name of the runbook that it follows.
    pub runbook: String,
    /// What is changed.
    pub target: Target,
    /// How.
    pub action: Action,
    /// How it is taken back.
    pub undo: Undo,
    /// What changes, line by line, as the API server's dry run answered: what people see is what the server would do.
    pub diff: Vec<String>,
    /// How recovery is judged.
    pub verification: Verification,
    /// One sentence on what may go wrong.
    pub risk: String,
    /// When it was made.
    pub proposed_at: DateTime<Utc>,
    /// After this moment no approval counts.
    pub expires_at: DateTime<Utc>,
}

impl Plan {
    /// Canonical JSON: the very bytes that the digest covers.
    ///
    /// # Errors
    /// Never for plans made here: all their values are strings, integers and lists.
    pub fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json_canonicalizer::to_vec(self)
    }

    /// What approvals are bound to.
    ///
    /// # Errors
    /// As [`Plan::canonical`].
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Ok(Digest::of(&self.canonical()?))
    }

    /// Whether these are the templates that the plan means.
    pub fn fits(&self, templates: &Templates) -> bool {
        let Action::RollBack { template: after, .. } = &self.action;
        let Undo::RestoreTemplate { template: before } = &self.undo;
        *after == templates.after.digest() && *before == templates.before.digest()
    }

    /// One line for people.
    pub fn headline(&self) -> String {
        let Action::RollBack { from_revision, to_revision, .. } = &self.action;
        format!("Roll {} back from revision {from_revision} to {to_revision}", self.target.workload)
    }
}
