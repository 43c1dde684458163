//! Remediation: from a hypothesis to a plan, from approvals to one change, from the change to a verified recovery or its undoing.
//!
//! ```text
//! Drafting ──► Waiting ──► Applying ──► Verifying ──► Ended
//!    ▲            │            │             └─► Undoing ─┘
//!    └────────────┼── drift ───┘
//!                 └─► Ended (rejected, expired, taken back, outdated)
//! ```

mod state;
mod turn;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::VerifyingKey;

use crate::agent::{AUDIT, Agent, Content, Decision, Entity, Event, Failure, Locator, Misdirected, Outgoing};
use crate::approval::{Answer, ApprovalRequest, Approved, Directory, Policy, PolicyRule, Proposal, Refusal, SignedVote, Trust};
use crate::evidence::{Diagnosis, Verdict};
use crate::fact::What;
use crate::id::{ApprovalId, IncidentId, TenantId};
use crate::plan::RollbackDraft;
use crate::runbook::Runbook;
use crate::task::{Errand, Role, TaskCancel, TaskEvent, TaskRequest, TaskStatus};
use crate::workload::Workload;
pub use state::{Act, AlertsNow, Done, Job, Probe, Remediation, Rollout, Standing};
use turn::{Ending, Looked, Turn};

const EXPIRE: &str = "expire";
const REMIND: &str = "remind";
const PROBE: &str = "probe";

/// Remediation's behaviour and what it is configured with.
#[derive(Debug, Clone)]
pub struct Remediator {
    /// What may be proposed; the first that applies is.
    pub runbooks: Vec<Runbook>,
    /// Who may let what run, for each tenant; a tenant that is not listed lets nothing run.
    pub tenants: BTreeMap<TenantId, Rules>,
    /// The gateway's public key.
    pub gateway_key: VerifyingKey,
}

/// One tenant's rules.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// What a proposal needs.
    pub policy: Policy,
    /// Who is in which group.
    pub directory: Directory,
}

type Outcome = Decision<Remediation, Act>;

impl Agent for Remediator {
    type State = Remediation;
    type Effect = Act;
    type Outcome = Done;

    fn role(&self) -> Role {
        Role::Remediation
    }

    fn locate(&self, content: &Content) -> Result<Locator, Misdirected> {
        match content {
            Content::Request(TaskRequest { errand: Errand::Remediate { diagnosis, .. }, tenant, .. }) => {
                Ok(lease(tenant, diagnosis))
            }
            Content::Cancel(cancel) => Ok(Locator::Id(cancel.task.to_string())),
            Content::Voted(signed) => Ok(Locator::Id(signed.vote.task.to_string())),
            other => Err(other.misdirected(Role::Remediation)),
        }
    }

    fn begins(&self, content: &Content) -> bool {
        matches!(content, Content::Request(_))
    }

    fn incident(&self, state: &Remediation) -> Option<IncidentId> {
        Some(state.incident().clone())
    }

    fn decide(&self, entity: Option<Entity<Remediation>>, event: Event<Done>, now: DateTime<Utc>) -> Outcome {
        match (event, entity.map(|e| e.state)) {
            (Event::Message(Content::Request(request)), None) => self.take_on(request, now),
            (Event::Message(Content::Request(request)), Some(_)) => busy(&request),
            (Event::Message(Content::Voted(signed)), state) => self.voted(state, signed, now),
            (Event::Message(Content::Cancel(cancel)), Some(state)) => cancelled(state, &cancel, now),
            (Event::Timer(name), Some(state)) => timer(state, &name, now),
            (Event::Outcome { result, .. }, Some(state)) => self.effect_ended(state, result, now),
            (Event::Message(_) | Event::Timer(_) | Event::Outcome { .. }, _) => Decision::unchanged("there is no such task"),
        }
    }
}

/// The lease on the workload: while a remediation is open under this key, the store admits no other (P7).
fn lease(tenant: &TenantId, diagnosis: &Diagnosis) -> Locator {
    match &diagnosis.verdict {
        Verdict::Hypothesis(found) => Locator::Open(lease_key(&found.subject)),
        Verdict::Inconclusive { .. } => Locator::Open(format!("nothing of {tenant}")),
    }
}

fn lease_key(workload: &Workload) -> String {
    format!("{}/{}/{:?}/{}", workload.cluster, workload.namespace, workload.kind, workload.name)
}

fn busy(request: &TaskRequest) -> Outcome {
    let reason = "another remediation works on the same workload".to_owned();
    turn_down(request, reason)
}

/// Answers a request that no task is started for.
fn turn_down(request: &TaskRequest, reason: String) -> Outcome {
    let event = TaskEvent {
        tenant: request.tenant.clone(),
        task: request.task(),
        message_id: request.message_id.clone(),
        incident: request.incident.clone(),
        from: Role::Remediation,
        to: request.from,
        number: 1,
        status: TaskStatus::Rejected { reason: reason.clone() },
    };
    let facts = vec![(request.incident.clone(), What::RemedyEnded { summary: reason.clone() })];
    Decision { outgoing: vec![Outgoing::Event(event)], facts, ..Decision::unchanged(reason) }
}

impl Remediator {
    fn rule_for(&self, tenant: &TenantId, workload: &Workload) -> Option<&PolicyRule> {
        self.tenants.get(tenant)?.policy.rule_for(&workload.namespace)
    }

    /// What votes for this tenant's plans are checked against.
    ///
    /// # Errors
    /// [`Refusal::NotAuthorised`] if the tenant has no rules: then nobody may decide.
    pub fn trust(&self, tenant: &TenantId, now: DateTime<Utc>) -> Result<Trust<'_>, Refusal> {
        let rules = self.tenants.get(tenant).ok_or(Refusal::NotAuthorised)?;
        Ok(Trust { gateway_key: &self.gateway_key, directory: &rules.directory, policy: &rules.policy, now })
    }

    fn take_on(&self, request: TaskRequest, now: DateTime<Utc>) -> Outcome {
        let task = request.task();
        let Errand::Remediate { alerts, diagnosis } = &request.errand else {
            return turn_down(&request, "remediation has no such skill".to_owned());
        };
        let Verdict::Hypothesis(hypothesis) = &diagnosis.verdict else {
            return turn_down(&request, "there is no hypothesis to act on".to_owned());
        };
        let Some(runbook) = self.runbooks.iter().find(|runbook| runbook.applies(hypothesis, alerts)) else {
            return turn_down(&request, "no runbook applies".to_owned());
        };
        if self.rule_for(&request.tenant, &hypothesis.subject).is_none() {
            return turn_down(&request, format!("no policy lets anything run in namespace {}", hypothesis.subject.namespace));
        }
        let job = Job {
            tenant: request.tenant.clone(),
            incident: request.incident.clone(),
            task,
            message_id: request.message_id.clone(),
            asked_by: request.from,
            client: request.client.clone(),
            alerts: alerts.clone(),
            hypothesis: hypothesis.clone(),
            runbook: runbook.clone(),
            generation: 1,
            told: 0,
            asked: None,
        };
        Turn::new(job, now).draft("a runbook applies")
    }

    fn effect_ended(&self, state: Remediation, result: Result<Done, Failure>, now: DateTime<Utc>) -> Outcome {
        match (state, result) {
            (Remediation::Drafting(job), Ok(Done::Drafted(draft))) => self.propose(Turn::new(job, now), *draft),
            (Remediation::Drafting(job), Ok(Done::Undraftable { reason }) | Err(Failure { reason })) => {
                Turn::new(job, now).end(Ending::GaveUp, reason)
            }
            (Remediation::Applying { job, proposal, votes }, Ok(Done::Applied)) => Turn::new(job, now).applied(proposal, votes),
            (Remediation::Applying { job, .. }, Ok(Done::Drifted { what })) => Turn::new(job, now).drifted(&what),
            (Remediation::Applying { job, .. }, Ok(Done::Refused(why))) => {
                Turn::new(job, now).end(Ending::Refused, format!("the approval did not hold at execution: {why}"))
            }
            (Remediation::Applying { job, .. }, Err(Failure { reason })) => {
                Turn::new(job, now).end(Ending::GaveUp, format!("the change could not be made, look at the workload: {reason}"))
            }
            (Remediation::Verifying { job, proposal, votes, applied_at, standing, probes }, result) => {
                let looked = Looked { proposal, votes, applied_at, standing, probes };
                Turn::new(job, now).probed(looked, result)
            }
            (Remediation::Undoing { job, proposal, why }, result) => Turn::new(job, now).undone(&proposal.request, &why, result),
            _ => Decision::unchanged("an outcome that nothing waits for"),
        }
    }

    fn propose(&self, turn: Turn, draft: RollbackDraft) -> Outcome {
        let Some(rule) = self.rule_for(&turn.job.tenant, &draft.target.workload) else {
            return turn.end(Ending::Refused, "no policy lets this run".to_owned());
        };
        let diagnosed = turn.job.hypothesis.running_revision;
        if draft.from_revision != diagnosed {
            let what = format!("revision {} runs, revision {diagnosed} ran when the cause was looked for", draft.from_revision);
            return turn.end(Ending::Outdated, what);
        }
        let expires_at = turn.now + TimeDelta::seconds(i64::from(rule.expires_s));
        let plan = turn.plan(&draft, expires_at);
        let Ok(digest) = plan.digest() else { return turn.end(Ending::GaveUp, "the plan cannot be written down".to_owned()) };
        let approval = ApprovalId::derive(&[turn.job.task.as_str(), &digest.0]);
        let request = ApprovalRequest { approval: approval.clone(), plan, digest, needs: rule.needs(), trace: None };
        turn.ask(Proposal { request, templates: draft.templates }, rule.remind_s)
    }

    fn voted(&self, state: Option<Remediation>, signed: SignedVote, now: DateTime<Utc>) -> Outcome {
        let Some(Remediation::Waiting { job, proposal, mut votes, reminders }) = state else {
            return refuse(state.as_ref().map(Remediation::incident), &signed, Refusal::NotPending);
        };
        let admitted = self.trust(&job.tenant, now).and_then(|trust| {
            proposal.request.admit(&signed, &votes, &trust)?;
            Ok(trust)
        });
        let trust = match admitted {
            Ok(trust) => trust,
            // No vote for this request can count any more.
            Err(refusal @ Refusal::PolicyChanged) => {
                let refused = refuse(Some(&job.incident), &signed, refusal);
                return also(refused, Turn::new(job, now).end(Ending::Refused, format!("the plan is denied: {refusal}")));
            }
            Err(refusal) => return refuse(Some(&job.incident), &signed, refusal),
        };
        let mut turn = Turn::new(job, now);
        let vote = &signed.vote;
        let answer = match &vote.answer {
            Answer::Approve => format!("approved through {}", vote.channel.label()),
            Answer::Reject { reason } => format!("rejected through {}: {reason}", vote.channel.label()),
        };
        turn.facts.push(What::Voted { approval: vote.approval.clone(), person: vote.person.clone(), answer });
        if let Answer::Reject { reason } = &vote.answer {
            return turn.end(Ending::Refused, format!("{} rejected the plan: {reason}", vote.person));
        }
        votes.push(signed);
        if Approved::check(&proposal, &votes, &trust).is_ok() {
            return turn.apply(proposal, votes);
        }
        let job = turn.job.clone();
        turn.put(Remediation::Waiting { job, proposal, votes, reminders }, "more people must agree")
    }
}

/// Records an answer that does not count. One that names a task nobody knows has no incident to be recorded in: it ends as a dead
/// letter.
fn refuse(incident: Option<&IncidentId>, signed: &SignedVote, refusal: Refusal) -> Outcome {
    let vote = &signed.vote;
    let what = What::VoteRefused { approval: vote.approval.clone(), person: vote.person.to_string(), why: refusal.to_string() };
    let facts = incident.map(|incident| (incident.clone(), what)).into_iter().collect();
    Decision { facts, refused: Some(refusal), ..Decision::unchanged(format!("answer refused: {refusal}")) }
}

/// A refused answer that also ends the task.
fn also(refused: Outcome, mut ended: Outcome) -> Outcome {
    ended.facts.splice(0..0, refused.facts);
    Decision { refused: refused.refused, ..ended }
}

fn cancelled(state: Remediation, cancel: &TaskCancel, now: DateTime<Utc>) -> Outcome {
    match state {
        Remediation::Drafting(job) | Remediation::Waiting { job, .. } => {
            Turn::new(job, now).end(Ending::Refused, format!("taken back: {}", cancel.reason))
        }
        Remediation::Applying { .. } | Remediation::Verifying { .. } | Remediation::Undoing { .. } => {
            Decision::unchanged("too late to take back: the change is under way")
        }
        Remediation::Ended { .. } => Decision::unchanged("over already"),
    }
}

fn timer(state: Remediation, name: &str, now: DateTime<Utc>) -> Outcome {
    match (name, state) {
        (AUDIT, state) => audited(state, now),
        (EXPIRE, Remediation::Waiting { job, .. }) => {
            Turn::new(job, now).end(Ending::Refused, "nobody answered in time: denied".to_owned())
        }
        (REMIND, Remediation::Waiting { job, proposal, votes, reminders }) => {
            let mut turn = Turn::new(job, now);
            let reminders = reminders + 1;
            let request = Box::new(proposal.request.clone());
            turn.facts.push(What::Reminded { approval: request.approval.clone() });
            turn.tell(TaskStatus::AuthRequired { request, reminders });
            let job = turn.job.clone();
            turn.put(Remediation::Waiting { job, proposal, votes, reminders }, "people are reminded")
        }
        (PROBE, Remediation::Verifying { job, proposal, votes, applied_at, standing, probes }) => {
            Turn::new(job, now).look(Looked { proposal, votes, applied_at, standing, probes })
        }
        _ => Decision::unchanged("a timer that nothing waits for"),
    }
}

/// Its next step was lost. Each step is named, and who performs it finds what an earlier try did; so it is taken again.
fn audited(state: Remediation, now: DateTime<Utc>) -> Outcome {
    match state {
        Remediation::Drafting(job) => Turn::new(job, now).draft("the plan is worked out again"),
        Remediation::Waiting { job, proposal, votes, reminders } => Turn::new(job, now).waiting(proposal, votes, reminders),
        Remediation::Applying { job, proposal, votes } => Turn::new(job, now).apply(proposal, votes),
        Remediation::Verifying { job, proposal, votes, applied_at, standing, probes } => {
            Turn::new(job, now).look(Looked { proposal, votes, applied_at, standing, probes })
        }
        Remediation::Undoing { job, proposal, why } => Turn::new(job, now).take_back(proposal, why),
        Remediation::Ended { .. } => Decision::unchanged("over already"),
    }
}
