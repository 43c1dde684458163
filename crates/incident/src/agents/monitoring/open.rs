//! An incident that is not over: its alerts, where it is on its way, how it reads. It changes nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::flap::{Flapping, Swings};
use super::hush::Kin;
use super::orders::Overruled;
use super::{StepName, heartbeat};
use crate::alert::{Alert, AlertStatus, CorrelationKey, Severity};
use crate::approval::ApprovalRequest;
use crate::evidence::{Diagnosis, Verdict};
use crate::id::{IncidentId, TenantId};
use crate::order::Attendance;
use crate::silence::Muted;
use crate::task::{Errand, Phase, Role, TaskRequest};
use crate::workflow::Workflow;
use crate::workload::Workload;

/// Alerts that are handed to other agents: enough to diagnose and verify, small enough for a message.
const ALERTS_TOLD_MAX: usize = 20;

/// An incident that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenIncident {
    pub(super) id: IncidentId,
    pub(super) tenant: TenantId,
    pub(super) key: CorrelationKey,
    pub(super) opened_at: DateTime<Utc>,
    /// The one of the same key that ended before.
    #[serde(default)]
    pub(super) follows: Option<IncidentId>,
    pub(super) alerts: BTreeMap<String, Alert>,
    /// Keys of those among them that came from another incident by a person's word, by fingerprint.
    #[serde(default)]
    pub(super) origins: BTreeMap<String, CorrelationKey>,
    /// Of the alerts that fire, or of those that fired last.
    #[serde(default = "warning")]
    pub(super) severity: Severity,
    #[serde(default)]
    pub(super) swings: Swings,
    #[serde(default)]
    pub(super) flapping: Option<Flapping>,
    pub(super) workflow: Workflow<StepName>,
    /// Of diagnosis and remedy, from 1.
    pub(super) round: u32,
    /// Rounds that were in vain because their target changed, since the incident was opened or opened again.
    #[serde(default)]
    pub(super) outdated: u32,
    pub(super) diagnosis: Option<Diagnosis>,
    pub(super) remedy: Remedy,
    /// Whether the remedy that is worked on was taken back, because nothing fired any more.
    #[serde(default)]
    pub(super) is_withdrawn: bool,
    pub(super) gaps: Vec<String>,
    pub(super) bulletins: u32,
    /// Until then the first bulletin may wait for the plan.
    #[serde(default)]
    pub(super) announce_by: Option<DateTime<Utc>>,
    /// Set while all that fires is muted.
    #[serde(default)]
    pub(super) muted: Option<Muted>,
    /// What mutes until no later than this is over, whatever a clock that is a little behind says.
    #[serde(default)]
    pub(super) unmuted_for: Option<DateTime<Utc>>,
    /// Set if others depend on what it is about, or that depends on others.
    #[serde(default)]
    pub(super) kin: Option<Kin>,
    /// Who has it.
    #[serde(default)]
    pub(super) attendance: Attendance,
    /// When who acknowledged it is reminded.
    #[serde(default)]
    pub(super) remind_at: Option<DateTime<Utc>>,
    /// Set if a person said that it is over.
    #[serde(default)]
    pub(super) overruled: Option<Overruled>,
}

/// How the repair stands, as remediation told it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "remedy", rename_all = "snake_case")]
pub(super) enum Remedy {
    /// Nothing is known yet.
    Unknown,
    /// A plan waits for people.
    Asked { request: Box<ApprovalRequest> },
    /// It is being carried out.
    Running,
    /// It helped.
    Recovered { summary: String },
    /// There is none, or it did not help.
    None { reason: String },
}

/// What was stored before there was a severity of its own.
fn warning() -> Severity {
    Severity::Warning
}

impl OpenIncident {
    /// Alerts that fire, but those that a person knew of who said that it is over all the same.
    pub(super) fn firing(&self) -> impl Iterator<Item = &Alert> {
        let is_held = |alert: &Alert| self.overruled.as_ref().is_some_and(|overruled| overruled.covers(alert));
        self.alerts.values().filter(move |alert| alert.status == AlertStatus::Firing && !is_held(alert))
    }

    /// Whether nothing is left to repair, and nothing of ours is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.firing().next().is_none() && !matches!(self.remedy, Remedy::Running)
    }

    /// Fingerprints of the alerts that fire in it.
    pub fn fingerprints_firing(&self) -> impl Iterator<Item = &str> {
        self.firing().map(|alert| alert.fingerprint.as_str())
    }

    pub(super) fn id(&self) -> &IncidentId {
        &self.id
    }

    pub(super) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// How bad the worst alert is that fires.
    pub(super) fn worst_firing(&self) -> Option<Severity> {
        self.firing().map(Alert::severity).max()
    }

    /// Names of the rules that fire.
    pub(super) fn firing_names(&self) -> String {
        names(self.firing())
    }

    pub(super) fn workload(&self) -> Option<Workload> {
        self.firing().chain(self.alerts.values()).find_map(Alert::workload)
    }

    pub(super) fn title(&self) -> String {
        if let Some(silence) = self.alerts.values().find_map(heartbeat::silence) {
            return silence.to_owned();
        }
        let names = names(self.alerts.values());
        let again = if self.follows.is_some() { "Again: " } else { "" };
        match self.workload() {
            Some(workload) => format!("{again}{names} on {}/{}", workload.namespace, workload.name),
            None if names.is_empty() => format!("{again}moved alerts ({})", self.key.0),
            None => format!("{again}{names} ({})", self.key.0),
        }
    }

    pub(super) fn told_alerts(&self) -> Vec<Alert> {
        self.firing()
            .chain(self.alerts.values().filter(|a| a.status == AlertStatus::Resolved))
            .take(ALERTS_TOLD_MAX)
            .cloned()
            .collect()
    }

    pub(super) fn phase(&self) -> Phase {
        match (&self.remedy, self.workflow.state(StepName::Diagnose)) {
            (Remedy::Asked { .. }, _) => Phase::AwaitingApproval,
            (Remedy::Running, _) => Phase::Repairing,
            _ if self.muted.is_some() => Phase::Silenced,
            _ if self.origin().is_some() => Phase::PartOfAnother,
            _ if self.flapping.is_some() => Phase::Flapping,
            (Remedy::Recovered { .. }, _) => Phase::Repairing,
            (Remedy::None { .. }, _) => Phase::NeedsPeople,
            (Remedy::Unknown, state) if state.is_over() => Phase::Planning,
            (Remedy::Unknown, _) => Phase::Diagnosing,
        }
    }

    pub(super) fn request(&self, name: StepName, message_id: String, errand: Errand) -> TaskRequest {
        let (tenant, incident) = (self.tenant.clone(), self.id.clone());
        TaskRequest { message_id, tenant, from: Role::Monitoring, to: name.agent(), incident, client: None, errand }
    }

    pub(super) fn findings(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.callers().into_iter().collect();
        match self.diagnosis.as_ref().map(|d| (&d.verdict, &d.evidence)) {
            None => {}
            Some((Verdict::Inconclusive { reason }, _)) => lines.push(format!("Cause not found: {reason}")),
            Some((Verdict::Hypothesis(found), evidence)) => {
                lines.push(format!("{} (confidence {} %)", found.summary, found.confidence_percent));
                let cited = evidence.iter().filter(|e| found.cites.contains(&e.id));
                lines.extend(cited.map(|e| format!("{}: {}", e.id, e.finding.line())));
            }
        }
        lines
    }
}

/// Names of the rules, three at most.
fn names<'a>(alerts: impl Iterator<Item = &'a Alert>) -> String {
    let mut names: Vec<&str> = alerts.map(Alert::name).collect();
    names.dedup();
    let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
    names.truncate(3);
    format!("{}{more}", names.join(", "))
}
