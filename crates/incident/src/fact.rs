//! What happened, for the record (P11). Facts are only ever added.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::{CorrelationKey, Labels, Severity};
use crate::evidence::{Diagnosis, Verdict};
use crate::id::{ApprovalId, IncidentId, OrderId, PersonId, SilenceId, TenantId};
use crate::order::{Attendance, Want};
use crate::plan::{Digest, Plan};
use crate::silence::Silence;
use crate::task::{Phase, Role};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// Unique; telling it twice is telling it once.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// In which incident.
    pub incident: IncidentId,
    /// Who says so.
    pub by: Role,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub what: What,
}

/// The kinds of facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// An incident was opened.
    Opened {
        /// What is wrong with what.
        title: String,
        /// How bad.
        severity: Severity,
        /// The incident of the same alerts that ended before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        follows: Option<IncidentId>,
    },
    /// It was over, and is not any more.
    Reopened {
        /// Why.
        why: String,
    },
    /// It is worse than it was, or not as bad any more.
    SeverityChanged {
        /// How bad it was.
        from: Severity,
        /// How bad it is.
        to: Severity,
        /// Why.
        why: String,
    },
    /// An alert joined, or changed its state.
    AlertChanged {
        /// Name of the rule.
        alert: String,
        /// Alertmanager's digest of its labels.
        fingerprint: String,
        /// Whether it fires now.
        firing: bool,
        /// What it is about; told when it begins to fire.
        #[serde(default, skip_serializing_if = "Labels::is_empty")]
        labels: Labels,
    },
    /// The incident moved on.
    PhaseChanged {
        /// To where.
        phase: Phase,
        /// Why.
        why: String,
    },
    /// A step of the workflow ended or is tried again.
    StepChanged {
        /// Which.
        step: String,
        /// How.
        how: String,
    },
    /// The cause was looked for.
    Diagnosed {
        /// Verdict and evidence.
        diagnosis: Diagnosis,
    },
    /// A plan was proposed.
    Proposed {
        /// Request that people answer.
        approval: ApprovalId,
        /// Digest of the plan.
        digest: Digest,
        /// The plan, whole.
        plan: Box<Plan>,
    },
    /// People were reminded that a plan waits.
    Reminded {
        /// Of which request.
        approval: ApprovalId,
    },
    /// A person's answer was counted.
    Voted {
        /// To which request.
        approval: ApprovalId,
        /// Who.
        person: PersonId,
        /// Through what, and yes or no.
        answer: String,
    },
    /// An answer was refused.
    VoteRefused {
        /// To which request.
        approval: ApprovalId,
        /// As whom it came.
        person: String,
        /// Why it does not count.
        why: String,
    },
    /// The cluster was changed.
    Executed {
        /// By which plan.
        digest: Digest,
        /// What was done.
        summary: String,
    },
    /// Recovery was looked for.
    Verified {
        /// Whether it was found.
        recovered: bool,
        /// What was seen.
        summary: String,
    },
    /// The change was taken back.
    Undone {
        /// Of which plan.
        digest: Digest,
        /// Why, and what was done.
        summary: String,
    },
    /// A remedy came to its end without a change, or with one that did not help.
    RemedyEnded {
        /// How and why.
        summary: String,
    },
    /// People were told, in a place.
    Told {
        /// Slack message, Jira issue, or the log.
        place: String,
        /// What they were told.
        summary: String,
    },
    /// Something owed could not be done: said, not hidden (P9).
    Gap {
        /// What and why.
        reason: String,
    },
    /// A silence was made, or made anew.
    SilenceMade {
        /// The silence, whole.
        silence: Box<Silence>,
    },
    /// A silence was ended before its time.
    SilenceExpired {
        /// Which.
        silence: SilenceId,
        /// By whom.
        by: PersonId,
    },
    /// All alerts of the incident are muted: nobody is told of it.
    Muted {
        /// Until then, if nothing changes.
        until: DateTime<Utc>,
        /// By what and why.
        why: String,
    },
    /// The incident is muted no more.
    Unmuted {
        /// Why.
        why: String,
    },
    /// The incident is part of another: what it depends on fails.
    PartOf {
        /// Of which.
        origin: IncidentId,
        /// The service that fails there.
        service: String,
    },
    /// Another incident is part of this one.
    Joined {
        /// Which.
        incident: IncidentId,
        /// The service that fails there.
        service: String,
    },
    /// A person wanted something of the incident, and it is done.
    Ordered {
        /// The order's name.
        order: OrderId,
        /// Who.
        by: PersonId,
        /// What.
        what: Want,
    },
    /// A person wanted something of the incident that cannot be done.
    OrderRefused {
        /// The order's name.
        order: OrderId,
        /// Who.
        by: PersonId,
        /// What.
        what: Want,
        /// Why not.
        why: String,
    },
    /// Others have the incident than before, or nobody has.
    AttendanceChanged {
        /// Who has it.
        attendance: Attendance,
        /// Why.
        why: String,
    },
    /// Alerts left the incident by a person's word.
    MovedAway {
        /// Their names.
        alerts: Vec<String>,
        /// To the incident of this key.
        to: CorrelationKey,
    },
    /// An agent had come to wait for nothing, which the auditor noticed; it was made to decide afresh.
    SetGoing {
        /// What it came to.
        what: String,
    },
    /// What something cost.
    Cost {
        /// Provider and operation, such as `slack.post_message`.
        item: String,
        /// How many calls.
        calls: u32,
    },
    /// The incident is over, unless it is opened again.
    Closed {
        /// How it ended.
        outcome: String,
    },
}

impl What {
    /// The `kind` as subjects and listings name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Reopened { .. } => "reopened",
            Self::SeverityChanged { .. } => "severity_changed",
            Self::AlertChanged { .. } => "alert_changed",
            Self::PhaseChanged { .. } => "phase_changed",
            Self::StepChanged { .. } => "step_changed",
            Self::Diagnosed { .. } => "diagnosed",
            Self::Proposed { .. } => "proposed",
            Self::Reminded { .. } => "reminded",
            Self::Voted { .. } => "voted",
            Self::VoteRefused { .. } => "vote_refused",
            Self::Executed { .. } => "executed",
            Self::Verified { .. } => "verified",
            Self::Undone { .. } => "undone",
            Self::RemedyEnded { .. } => "remedy_ended",
            Self::Told { .. } => "told",
            Self::Gap { .. } => "gap",
            Self::SilenceMade { .. } => "silence_made",
            Self::SilenceExpired { .. } => "silence_expired",
            Self::Muted { .. } => "muted",
            Self::Unmuted { .. } => "unmuted",
            Self::PartOf { .. } => "part_of",
            Self::Joined { .. } => "joined",
            Self::Ordered { .. } => "ordered",
            Self::OrderRefused { .. } => "order_refused",
            Self::AttendanceChanged { .. } => "attendance_changed",
            Self::MovedAway { .. } => "moved_away",
            Self::SetGoing { .. } => "set_going",
            Self::Cost { .. } => "cost",
            Self::Closed { .. } => "closed",
        }
    }

    /// What happened, in a sentence. The evidence that it cites follows on lines of its own.
    pub fn sentence(&self) -> String {
        match self {
            Self::Opened { title, follows: None, .. } => format!("incident opened: {title}"),
            Self::Opened { title, follows: Some(before), .. } => format!("incident opened: {title} (follows {before})"),
            Self::Reopened { why } => format!("incident opened again: {why}"),
            Self::SeverityChanged { from, to, why } => format!("severity is {to}, was {from}: {why}"),
            Self::AlertChanged { alert, firing: true, .. } => format!("alert fires: {alert}"),
            Self::AlertChanged { alert, firing: false, .. } => format!("alert resolved: {alert}"),
            Self::PhaseChanged { phase, why } => format!("now {}: {why}", phase.label()),
            Self::StepChanged { step, how } => format!("{step}: {how}"),
            Self::Diagnosed { diagnosis } => diagnosed(diagnosis),
            Self::Proposed { approval, digest, plan } => {
                format!("plan {} proposed ({approval}): {}", digest.short(), plan.headline())
            }
            Self::Reminded { approval } => format!("people were reminded of {approval}"),
            Self::Voted { approval, person, answer } => format!("{person} {answer} ({approval})"),
            Self::VoteRefused { approval, person, why } => format!("an answer of {person} to {approval} does not count: {why}"),
            Self::Executed { digest, summary } => format!("executed plan {}: {summary}", digest.short()),
            Self::Verified { recovered: true, summary } => format!("recovery verified: {summary}"),
            Self::Verified { recovered: false, summary } => format!("no recovery: {summary}"),
            Self::Undone { digest, summary } => format!("undo of plan {}: {summary}", digest.short()),
            Self::RemedyEnded { summary } => format!("remedy ended: {summary}"),
            Self::Told { place, summary } => format!("told ({place}): {summary}"),
            Self::Gap { reason } => format!("gap: {reason}"),
            Self::SilenceMade { silence } => {
                let matchers: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
                format!("{} silenced {} until {}: {}", silence.owner, matchers.join(", "), silence.ends_at, silence.reason)
            }
            Self::SilenceExpired { silence, by } => format!("{by} ended {silence}"),
            Self::Muted { until, why } => format!("silenced until {until} ({why}): it is kept, and nobody is told"),
            Self::Unmuted { why } => format!("silenced no more: {why}"),
            Self::PartOf { origin, service } => format!("part of {origin}: it depends on {service}, which fails there"),
            Self::Joined { incident, service } => format!("{service} fails because of this ({incident})"),
            Self::Ordered { by, what, .. } => format!("{by} {}", what.sentence()),
            Self::OrderRefused { by, what, why, .. } => format!("{by} would have {}, but {why}", what.sentence()),
            Self::AttendanceChanged { attendance, why } => {
                format!("{} ({why})", attendance.sentence().as_deref().unwrap_or("nobody has it"))
            }
            Self::MovedAway { alerts, to } => format!("{} belongs to {} now", alerts.join(", "), to.0),
            Self::SetGoing { what } => format!("was stuck and is set going again by the auditor: {what}"),
            Self::Cost { item, calls } => format!("cost: {item} × {calls}"),
            Self::Closed { outcome } => format!("closed: {outcome}"),
        }
    }
}

fn diagnosed(diagnosis: &Diagnosis) -> String {
    match &diagnosis.verdict {
        Verdict::Inconclusive { reason } => format!("cause not found: {reason}"),
        Verdict::Hypothesis(found) => {
            let cited = diagnosis.evidence.iter().filter(|e| found.cites.contains(&e.id));
            let lines: Vec<String> = cited.map(|e| format!("\n{}: {}", e.id, e.finding.line())).collect();
            format!("cause: {} (confidence {} %){}", found.summary, found.confidence_percent, lines.concat())
        }
    }
}
