//! One decision of remediation in the making: what is told, done, timed and recorded, until the next state is put.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Act, AlertsNow, Done, EXPIRE, Job, Outcome, PROBE, Probe, REMIND, Remediation, Rollout, Standing, lease_key};
use crate::agent::{Decision, Effect, Entity, Failure, Outgoing, Timer};
use crate::approval::{ApprovalClosed, ApprovalRequest, Proposal, SignedVote};
use crate::fact::What;
use crate::plan::{Action, Plan, RollbackDraft, Undo, Verification};
use crate::task::{Artifact, Role, TaskEvent, TaskStatus};

/// How often a plan is made anew because its target changed, before people take over.
const GENERATIONS_MAX: u32 = 3;
/// Between two looks at a rollout and the alert's expression.
const PROBE_EVERY: TimeDelta = TimeDelta::seconds(1);

/// A rollout must be said to have failed for so long: the controller leaves the condition of the rollout before it in place until
/// something of the new one moves.
const FAILED_FOR: TimeDelta = TimeDelta::seconds(10);

/// For so long after the deadline a change is held that cannot be looked at: enough for a Prometheus or an API server to be started anew,
/// or for people to be there. Nothing says that the change is bad, so it is not undone; people have it after that.
const HELD_FOR: TimeDelta = TimeDelta::minutes(10);
/// Between two looks at it then: nobody waits for the second.
const HELD_PROBE_EVERY: TimeDelta = TimeDelta::seconds(10);

/// What is known while verifying.
pub(super) struct Looked {
    pub(super) proposal: Box<Proposal>,
    pub(super) votes: Vec<SignedVote>,
    pub(super) applied_at: DateTime<Utc>,
    pub(super) standing: Standing,
    pub(super) probes: u32,
}

/// What one look says.
enum Seen {
    Well(&'static str),
    NotYet(String),
    /// No more than that nothing can be seen.
    Nothing(String),
    Failed(String),
    NotOurs(String),
}

/// How a remediation ends without a recovery.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// By people or policy.
    Refused,
    /// By trouble.
    GaveUp,
    /// By a change of the target since the diagnosis.
    Outdated,
}

/// One decision in the making.
pub(super) struct Turn {
    pub(super) job: Job,
    pub(super) now: DateTime<Utc>,
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) effects: Vec<Effect<Act>>,
    pub(super) timers: Vec<Timer>,
    pub(super) facts: Vec<What>,
}

impl Turn {
    pub(super) fn new(job: Job, now: DateTime<Utc>) -> Self {
        Self { job, now, outgoing: vec![], effects: vec![], timers: vec![], facts: vec![] }
    }

    pub(super) fn tell(&mut self, status: TaskStatus) {
        self.job.told += 1;
        self.outgoing.push(Outgoing::Event(TaskEvent {
            tenant: self.job.tenant.clone(),
            task: self.job.task.clone(),
            message_id: self.job.message_id.clone(),
            incident: self.job.incident.clone(),
            from: Role::Remediation,
            to: self.job.asked_by,
            number: self.job.told,
            status,
        }));
    }

    pub(super) fn effect(&mut self, name: String, body: Act) {
        self.effects.push(Effect { name, body });
    }

    pub(super) fn draft(mut self, why: &str) -> Outcome {
        let (workload, to_revision) = (self.job.hypothesis.subject.clone(), self.job.hypothesis.previous_revision);
        let alerts = self.job.alerts.clone();
        self.effect(format!("draft-{}", self.job.generation), Act::Draft { workload, to_revision, alerts });
        self.tell(TaskStatus::Working { note: "working out a plan".to_owned() });
        let job = self.job.clone();
        self.put(Remediation::Drafting(job), why)
    }

    pub(super) fn plan(&self, draft: &RollbackDraft, expires_at: DateTime<Utc>) -> Plan {
        let job = &self.job;
        Plan {
            tenant: job.tenant.clone(),
            incident: job.incident.clone(),
            task: job.task.clone(),
            requested_by: job.client.clone(),
            generation: job.generation,
            runbook: job.runbook.name.clone(),
            target: draft.target.clone(),
            action: Action::RollBack {
                from_revision: draft.from_revision,
                to_revision: draft.to_revision,
                template: draft.templates.after.digest(),
            },
            undo: Undo::RestoreTemplate { template: draft.templates.before.digest() },
            diff: draft.diff.clone(),
            verification: job.runbook.verification(&job.alerts, &draft.unmatched),
            risk: job.runbook.risk.clone(),
            proposed_at: self.now,
            expires_at,
        }
    }

    /// Puts the question to people.
    pub(super) fn ask(mut self, proposal: Proposal, remind_s: u32) -> Outcome {
        let request = &proposal.request;
        let (approval, digest, plan) = (request.approval.clone(), request.digest.clone(), request.plan.clone());
        let expires_at = plan.expires_at;
        let remind_at = self.now + TimeDelta::seconds(i64::from(remind_s));
        self.job.asked = Some(approval.clone());
        self.facts.push(What::Proposed { approval, digest, plan: Box::new(plan) });
        self.timers.push(Timer { name: EXPIRE.to_owned(), at: Some(expires_at) });
        self.timers.push(Timer { name: REMIND.to_owned(), at: (remind_at < expires_at).then_some(remind_at) });
        let asked = Box::new(request.clone());
        // In this order, because people get their card by what monitoring hears.
        self.tell(TaskStatus::AuthRequired { request: asked.clone(), reminders: 0 });
        self.outgoing.push(Outgoing::ApprovalRequested(asked));
        let (job, proposal) = (self.job.clone(), Box::new(proposal));
        self.put(Remediation::Waiting { job, proposal, votes: vec![], reminders: 0 }, "the plan waits for people")
    }

    /// It waits on, until the plan expires.
    pub(super) fn waiting(mut self, proposal: Box<Proposal>, votes: Vec<SignedVote>, reminders: u32) -> Outcome {
        self.timers.push(Timer { name: EXPIRE.to_owned(), at: Some(proposal.request.plan.expires_at) });
        let job = self.job.clone();
        self.put(Remediation::Waiting { job, proposal, votes, reminders }, "the plan waits on, until it expires")
    }

    pub(super) fn apply(mut self, proposal: Box<Proposal>, votes: Vec<SignedVote>) -> Outcome {
        let act = Act::Apply { proposal: proposal.clone(), votes: votes.clone() };
        self.effect(format!("apply-{}", self.job.generation), act);
        for name in [EXPIRE, REMIND] {
            self.timers.push(Timer { name: name.to_owned(), at: None });
        }
        self.tell(TaskStatus::Working { note: "approved; making the change".to_owned() });
        let job = self.job.clone();
        self.put(Remediation::Applying { job, proposal, votes }, "enough people have approved")
    }

    pub(super) fn drifted(mut self, what: &str) -> Outcome {
        self.facts.push(What::RemedyEnded {
            summary: format!("the target changed since the plan was made ({what}); nothing was done"),
        });
        if self.job.generation >= GENERATIONS_MAX {
            return self.end(Ending::GaveUp, format!("the target keeps changing: {what}"));
        }
        self.job.generation += 1;
        self.draft("the target changed: the plan is made anew")
    }

    pub(super) fn applied(mut self, proposal: Box<Proposal>, votes: Vec<SignedVote>) -> Outcome {
        let request = &proposal.request;
        self.facts.push(What::Executed { digest: request.digest.clone(), summary: request.plan.headline() });
        self.tell(TaskStatus::Working { note: "the change is made; verifying recovery".to_owned() });
        let applied_at = self.now;
        self.look(Looked { proposal, votes, applied_at, standing: Standing::Open, probes: 0 })
    }

    pub(super) fn look(mut self, looked: Looked) -> Outcome {
        let probes = looked.probes + 1;
        let plan = Box::new(looked.proposal.request.plan.clone());
        self.effect(format!("probe-{}.{probes}", self.job.generation), Act::Probe { plan, alerts: self.job.alerts.clone() });
        self.verifying(Looked { probes, ..looked }, "looking for recovery")
    }

    pub(super) fn verifying(self, looked: Looked, why: &str) -> Outcome {
        let job = self.job.clone();
        let Looked { proposal, votes, applied_at, standing, probes } = looked;
        self.put(Remediation::Verifying { job, proposal, votes, applied_at, standing, probes }, why)
    }

    /// Well for the settling time is recovered. A rollout that stays failed is undone, and so is what is not well once the deadline has
    /// passed; what is well then may still settle, because it is no longer the change that is waited for. A look that brought no
    /// answer is not well, and no reason to undo: past the deadline the change is held, which is said, and then people have it.
    pub(super) fn probed(mut self, looked: Looked, result: Result<Done, Failure>) -> Outcome {
        let Verification { settle_s, deadline_s, .. } = looked.proposal.request.plan.verification;
        let is_late = self.now - looked.applied_at >= TimeDelta::seconds(i64::from(deadline_s));
        let (standing, seen) = match seen(result) {
            Seen::NotOurs(what) => return self.superseded(&looked, &what),
            Seen::Well(seen) => {
                let since = if let Standing::Well { since } = looked.standing { since } else { self.now };
                if self.now - since >= TimeDelta::seconds(i64::from(settle_s)) {
                    return self.recovered(&looked, seen);
                }
                (Standing::Well { since }, seen.to_owned())
            }
            Seen::Failed(reason) => {
                let since = if let Standing::Failed { since } = looked.standing { since } else { self.now };
                if is_late || self.now - since >= FAILED_FOR {
                    return self.undo(looked.proposal, format!("the rollout failed: {reason}"));
                }
                (Standing::Failed { since }, reason)
            }
            Seen::NotYet(seen) if is_late => {
                return self.undo(looked.proposal, format!("no recovery within {deadline_s} s: {seen}"));
            }
            Seen::Nothing(why) if is_late => return self.hold(looked, &why),
            Seen::NotYet(seen) | Seen::Nothing(seen) => (Standing::Open, seen),
        };
        self.timers.push(Timer { name: PROBE.to_owned(), at: Some(self.now + PROBE_EVERY) });
        self.verifying(Looked { standing, ..looked }, &seen)
    }

    /// Nothing says that the change is bad or good. That is said once, and looked at a while longer.
    fn hold(mut self, looked: Looked, why: &str) -> Outcome {
        let plan = &looked.proposal.request.plan;
        let deadline = TimeDelta::seconds(i64::from(plan.verification.deadline_s));
        if self.now - looked.applied_at >= deadline + HELD_FOR {
            let waited = (self.now - looked.applied_at).num_minutes();
            let headline = plan.headline();
            let summary =
                format!("{headline}: made, and {waited} minutes later it cannot be told whether it helped ({why}); it stays");
            return self.end(Ending::GaveUp, summary);
        }
        if looked.standing != Standing::Held {
            let note = format!("recovery cannot be told, the change stays for now: {why}");
            self.facts.push(What::Gap { reason: note.clone() });
            self.tell(TaskStatus::Working { note });
        }
        self.timers.push(Timer { name: PROBE.to_owned(), at: Some(self.now + HELD_PROBE_EVERY) });
        self.verifying(Looked { standing: Standing::Held, ..looked }, why)
    }

    /// Somebody else has taken the workload on: their change stays, and what is seen says nothing of ours.
    fn superseded(self, looked: &Looked, what: &str) -> Outcome {
        let headline = looked.proposal.request.plan.headline();
        self.end(Ending::GaveUp, format!("{headline}: made, but changed by somebody else before recovery was seen ({what})"))
    }

    pub(super) fn recovered(mut self, looked: &Looked, seen: &str) -> Outcome {
        let plan = &looked.proposal.request.plan;
        let took = (self.now - looked.applied_at).num_seconds();
        let summary =
            format!("{}: recovered, {seen} for {} s ({took} s after the change)", plan.headline(), plan.verification.settle_s);
        self.facts.push(What::Verified { recovered: true, summary: summary.clone() });
        self.tell(TaskStatus::Completed { artifact: Artifact::Recovery { summary: summary.clone() } });
        self.over(summary)
    }

    pub(super) fn undo(mut self, proposal: Box<Proposal>, why: String) -> Outcome {
        self.facts.push(What::Verified { recovered: false, summary: why.clone() });
        self.take_back(proposal, why)
    }

    pub(super) fn take_back(mut self, proposal: Box<Proposal>, why: String) -> Outcome {
        self.effect(format!("undo-{}", self.job.generation), Act::Undo { proposal: proposal.clone() });
        self.tell(TaskStatus::Working { note: format!("taking the change back: {why}") });
        self.timers.push(Timer { name: PROBE.to_owned(), at: None });
        let job = self.job.clone();
        self.put(Remediation::Undoing { job, proposal, why }, "it did not help")
    }

    pub(super) fn undone(mut self, request: &ApprovalRequest, why: &str, result: Result<Done, Failure>) -> Outcome {
        let how = match result {
            Ok(Done::Undone) => "the change was taken back".to_owned(),
            Ok(Done::NotUndone { what }) => {
                format!("the change was NOT taken back, somebody has changed the workload since ({what})")
            }
            Ok(other) => format!("the change was NOT taken back ({other:?})"),
            Err(failure) => format!("the change could NOT be taken back: {}", failure.reason),
        };
        let summary = format!("{why}; {how}");
        self.facts.push(What::Undone { digest: request.digest.clone(), summary: summary.clone() });
        self.tell(TaskStatus::Failed { reason: summary.clone() });
        self.over(summary)
    }

    pub(super) fn end(mut self, ending: Ending, summary: String) -> Outcome {
        self.facts.push(What::RemedyEnded { summary: summary.clone() });
        let reason = summary.clone();
        self.tell(match ending {
            Ending::Refused => TaskStatus::Rejected { reason },
            Ending::GaveUp => TaskStatus::Failed { reason },
            Ending::Outdated => TaskStatus::Outdated { reason },
        });
        self.over(summary)
    }

    pub(super) fn over(mut self, summary: String) -> Outcome {
        for name in [EXPIRE, REMIND, PROBE] {
            self.timers.push(Timer { name: name.to_owned(), at: None });
        }
        if let Some(approval) = self.job.asked.take() {
            let (tenant, task) = (self.job.tenant.clone(), self.job.task.clone());
            self.outgoing.push(Outgoing::ApprovalClosed(ApprovalClosed { tenant, approval, task, why: summary.clone() }));
        }
        let (incident, at) = (self.job.incident.clone(), self.now);
        self.put(Remediation::Ended { incident, at, summary }, "over")
    }

    pub(super) fn put(self, state: Remediation, why: &str) -> Outcome {
        let is_over = matches!(state, Remediation::Ended { .. });
        let open_key = (!is_over).then(|| lease_key(&self.job.hypothesis.subject));
        let entity = Entity { id: self.job.task.to_string(), open_key, state };
        let incident = self.job.incident.clone();
        Decision {
            outgoing: self.outgoing,
            effects: self.effects,
            timers: self.timers,
            facts: self.facts.into_iter().map(|what| (incident.clone(), what)).collect(),
            ..Decision::put(entity, why)
        }
    }
}

fn seen(result: Result<Done, Failure>) -> Seen {
    let Probe { rollout, alerts } = match result {
        Ok(Done::Probed(probe)) => probe,
        Ok(other) => return Seen::Nothing(format!("no look: {other:?}")),
        Err(failure) => return Seen::Nothing(failure.reason),
    };
    match (rollout, alerts) {
        (Rollout::Superseded { what }, _) => Seen::NotOurs(what),
        (Rollout::Failed { reason }, _) => Seen::Failed(reason),
        (Rollout::Progressing { how_far }, _) => Seen::NotYet(format!("still rolling out: {how_far}")),
        (Rollout::Complete, AlertsNow::NotWatched) => Seen::Well("the rollout is complete; there is no expression to ask"),
        (Rollout::Complete, AlertsNow::Quiet) => Seen::Well("the rollout is complete and the alert's expression no longer holds"),
        (Rollout::Complete, AlertsNow::Firing) => Seen::NotYet("the alert's expression still holds".to_owned()),
        (Rollout::Complete, AlertsNow::Unknown { why }) => {
            Seen::Nothing(format!("it cannot be told whether the alert holds: {why}"))
        }
    }
}
