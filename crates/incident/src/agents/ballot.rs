//! Ballot: the gateway's side of approvals. It knows what waits for an answer, whether this person may give one, and vouches for it
//! with its signature. Whether the plan may run is remediation's to decide.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::{Agent, Content, Decision, Entity, Event, Locator, Misdirected, Outgoing, PersonsAnswer, Timer};
use crate::approval::{Answer, ApprovalRequest, Directory, Refusal, SignedVote, Vote};
use crate::fact::What;
use crate::id::{IncidentId, PersonId, TenantId};
use crate::task::Role;

const EXPIRE: &str = "expire";

/// One request to people. The entity is the request, so that an answer to one that is over still finds whose it was, and is recorded. A
/// plan made anew is another request; the one before it was answered, or there would be no need for another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "ballot", rename_all = "snake_case")]
pub enum Ballot {
    /// Waits for answers.
    Open {
        /// To this.
        request: Box<ApprovalRequest>,
        /// Who has answered yes.
        agreed: BTreeSet<PersonId>,
    },
    /// Waits no more.
    Closed {
        /// Why.
        why: String,
        /// Of which incident it was; none if the end came before the request itself.
        #[serde(default)]
        incident: Option<IncidentId>,
    },
}

/// The gateway's behaviour as to approvals.
#[derive(Debug, Clone)]
pub struct BallotKeeper {
    /// Who is in which group, for each tenant.
    pub directories: BTreeMap<TenantId, Directory>,
    /// Signs what the gateway vouches for.
    pub key: SigningKey,
}

type Outcome = Decision<Ballot, ()>;

impl Agent for BallotKeeper {
    type State = Ballot;
    type Effect = ();
    type Outcome = ();

    fn role(&self) -> Role {
        Role::Gateway
    }

    fn locate(&self, content: &Content) -> Result<Locator, Misdirected> {
        match content {
            Content::ApprovalRequested(request) => Ok(Locator::Id(request.approval.to_string())),
            Content::ApprovalClosed(closed) => Ok(Locator::Id(closed.approval.to_string())),
            Content::Answered(answer) => Ok(Locator::Id(answer.approval.to_string())),
            other => Err(other.misdirected(Role::Gateway)),
        }
    }

    fn begins(&self, content: &Content) -> bool {
        matches!(content, Content::ApprovalRequested(_))
    }

    fn incident(&self, state: &Ballot) -> Option<IncidentId> {
        state.incident().cloned()
    }

    fn decide(&self, entity: Option<Entity<Ballot>>, event: Event<()>, now: DateTime<Utc>) -> Outcome {
        match (event, entity) {
            (Event::Message(Content::ApprovalRequested(request)), None) => open(request, BTreeSet::new()),
            (Event::Message(Content::ApprovalRequested(_)), Some(_)) => Decision::unchanged("the request, or its end, is known"),
            (Event::Message(Content::Answered(answer)), Some(Entity { id, state: Ballot::Open { request, agreed }, .. })) => {
                self.answered(id, request, agreed, &answer, now)
            }
            (Event::Message(Content::Answered(answer)), Some(Entity { state: Ballot::Closed { incident, .. }, .. })) => {
                refuse(incident.as_ref(), &answer, Refusal::NotPending)
            }
            (Event::Message(Content::Answered(answer)), None) => refuse(None, &answer, Refusal::NotPending),
            (Event::Message(Content::ApprovalClosed(closed)), entity) => {
                let incident = entity.and_then(|entity| entity.state.incident().cloned());
                close(closed.approval.to_string(), closed.why, incident)
            }
            (Event::Timer(_), Some(Entity { id, state: Ballot::Open { request, .. }, .. })) if now >= request.plan.expires_at => {
                close(id, "expired".to_owned(), Some(request.plan.incident))
            }
            (Event::Timer(_), Some(Entity { state: Ballot::Open { request, agreed }, .. })) => open(request, agreed),
            (Event::Message(_) | Event::Timer(_) | Event::Outcome { .. }, _) => Decision::unchanged("nothing waits for this"),
        }
    }
}

impl Ballot {
    fn incident(&self) -> Option<&IncidentId> {
        match self {
            Self::Open { request, .. } => Some(&request.plan.incident),
            Self::Closed { incident, .. } => incident.as_ref(),
        }
    }
}

fn open(request: Box<ApprovalRequest>, agreed: BTreeSet<PersonId>) -> Outcome {
    let timers = vec![Timer { name: EXPIRE.to_owned(), at: Some(request.plan.expires_at) }];
    let id = request.approval.to_string();
    let entity = Entity { open_key: Some(id.clone()), id, state: Ballot::Open { request, agreed } };
    Decision { timers, ..Decision::put(entity, "a plan waits for people") }
}

fn close(id: String, why: String, incident: Option<IncidentId>) -> Outcome {
    let entity = Entity { id, open_key: None, state: Ballot::Closed { why, incident } };
    Decision { timers: vec![Timer { name: EXPIRE.to_owned(), at: None }], ..Decision::put(entity, "the request waits no more") }
}

/// An answer that does not count is recorded in the incident that it is about, if there is one (P3).
fn refuse(incident: Option<&IncidentId>, answer: &PersonsAnswer, refusal: Refusal) -> Outcome {
    let fact = |incident: &IncidentId| {
        let (approval, person, why) = (answer.approval.clone(), answer.person.to_string(), refusal.to_string());
        (incident.clone(), What::VoteRefused { approval, person, why })
    };
    let facts = incident.map(fact).into_iter().collect();
    Decision { facts, refused: Some(refusal), ..Decision::unchanged(refusal.to_string()) }
}

impl BallotKeeper {
    fn answered(
        &self,
        id: String,
        request: Box<ApprovalRequest>,
        mut agreed: BTreeSet<PersonId>,
        answer: &PersonsAnswer,
        now: DateTime<Utc>,
    ) -> Outcome {
        if let Err(refusal) = self.admit(&request, &agreed, answer, now) {
            return refuse(Some(&request.plan.incident), answer, refusal);
        }
        let vote = Vote {
            tenant: request.plan.tenant.clone(),
            approval: request.approval.clone(),
            task: request.plan.task.clone(),
            digest: request.digest.clone(),
            answer: answer.answer.clone(),
            person: answer.person.clone(),
            channel: answer.channel,
            decided_at: now,
        };
        let Ok(signed) = SignedVote::sign(vote, &self.key) else { return Decision::unchanged("the answer cannot be signed") };
        let signed = SignedVote { trace: request.trace.clone(), ..signed };
        let outgoing = vec![Outgoing::Voted(signed)];
        agreed.insert(answer.person.clone());
        let is_last = match &answer.answer {
            Answer::Reject { .. } => true,
            Answer::Approve => agreed.len() >= usize::from(request.needs.quorum),
        };
        if is_last {
            return Decision { outgoing, ..close(id, "answered".to_owned(), Some(request.plan.incident)) };
        }
        let open_key = Some(request.approval.to_string());
        let entity = Entity { id, open_key, state: Ballot::Open { request, agreed } };
        Decision { outgoing, ..Decision::put(entity, "counted; more people must agree") }
    }

    fn admit(
        &self,
        request: &ApprovalRequest,
        agreed: &BTreeSet<PersonId>,
        answer: &PersonsAnswer,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        if answer.digest.as_ref().is_some_and(|seen| *seen != request.digest) {
            return Err(Refusal::OtherPlan);
        }
        if now >= request.plan.expires_at {
            return Err(Refusal::Expired);
        }
        let directory = self.directories.get(&request.plan.tenant);
        if !directory.is_some_and(|directory| request.may_answer(&answer.person, directory)) {
            return Err(Refusal::NotAuthorised);
        }
        // Nobody agrees to their own proposal. Another client, or the person themselves, may.
        if answer.client.is_some() && answer.client == request.plan.requested_by {
            return Err(Refusal::NotAuthorised);
        }
        if agreed.contains(&answer.person) {
            return Err(Refusal::AnsweredAlready);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::approval::{ApprovalClosed, Channel, Needs};
    use crate::plan::{Action, Digest, Plan, Target, Undo, Verification};
    use crate::workload::{Workload, WorkloadKind};

    fn request() -> ApprovalRequest {
        let template = || Digest::of(b"template");
        let (cluster, namespace, name) = ("default".to_owned(), "shop".to_owned(), "checkout".to_owned());
        let workload = Workload { cluster, namespace, kind: WorkloadKind::Deployment, name };
        let plan = Plan {
            tenant: "acme".parse().unwrap(),
            incident: "inc_1".parse().unwrap(),
            task: "task_1".parse().unwrap(),
            requested_by: None,
            generation: 1,
            runbook: "rollback".to_owned(),
            target: Target { workload, uid: "u".to_owned(), resource_version: "1".to_owned(), spec_digest: Digest::of(b"spec") },
            action: Action::RollBack { from_revision: 2, to_revision: 1, template: template() },
            undo: Undo::RestoreTemplate { template: template() },
            diff: vec![],
            verification: Verification { expressions: BTreeSet::new(), settle_s: 30, deadline_s: 300 },
            risk: "none".to_owned(),
            proposed_at: DateTime::UNIX_EPOCH,
            expires_at: DateTime::UNIX_EPOCH + TimeDelta::minutes(10),
        };
        let digest = plan.digest().unwrap();
        let needs = Needs { quorum: 1, groups: BTreeSet::from(["sre".to_owned()]) };
        ApprovalRequest { approval: "apr_1".parse().unwrap(), plan, digest, needs, trace: None }
    }

    fn asked() -> Event<()> {
        Event::Message(Content::ApprovalRequested(Box::new(request())))
    }

    fn taken_back() -> Event<()> {
        let ApprovalRequest { approval, plan: Plan { tenant, task, .. }, .. } = request();
        Event::Message(Content::ApprovalClosed(ApprovalClosed { tenant, approval, task, why: "over".to_owned() }))
    }

    fn yes() -> Content {
        let (approval, person) = (request().approval, "ann".parse().unwrap());
        let (channel, client, answer) = (Channel::Slack, None, Answer::Approve);
        Content::Answered(PersonsAnswer { approval, digest: None, person, channel, client, answer })
    }

    fn keeper() -> BallotKeeper {
        let directory = Directory::from([("ann".parse().unwrap(), BTreeSet::from(["sre".to_owned()]))]);
        BallotKeeper { directories: [("acme".parse().unwrap(), directory)].into(), key: SigningKey::from_bytes(&[7; 32]) }
    }

    #[test]
    fn an_answer_that_comes_too_late_is_recorded_where_it_belongs() {
        let expired = || Event::Timer(EXPIRE.to_owned());
        let answered = || Event::Message(yes());
        let cases: [(&str, Vec<Event<()>>, usize); 7] = [
            ("answered", vec![asked(), answered()], 1),
            ("expired", vec![asked(), expired()], 1),
            ("taken back", vec![asked(), taken_back()], 1),
            ("answered, and its task over", vec![asked(), answered(), taken_back()], 1),
            ("asked again after its end", vec![asked(), taken_back(), asked()], 1),
            ("taken back before it was asked", vec![taken_back(), asked()], 0),
            ("never heard of", vec![], 0),
        ];
        for (case, events, recorded) in cases {
            let mut entity = None;
            for event in events {
                let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(if matches!(event, Event::Timer(_)) { 10 } else { 1 });
                entity = keeper().decide(entity.clone(), event, at).next.or(entity);
            }
            let late = keeper().decide(entity, Event::Message(yes()), DateTime::UNIX_EPOCH + TimeDelta::minutes(11));
            assert_eq!((late.refused, late.outgoing.len()), (Some(Refusal::NotPending), 0), "{case}");
            assert_eq!(late.facts.len(), recorded, "{case}");
            for (incident, what) in late.facts {
                assert_eq!(incident.as_str(), "inc_1", "{case}");
                assert!(matches!(what, What::VoteRefused { .. }), "{case}: {what:?}");
            }
        }
    }

    #[test]
    fn who_asked_for_a_plan_cannot_agree_to_it() {
        let cases = [
            (None, None, None),
            (None, Some("bot"), None),
            (Some("bot"), None, None),
            (Some("bot"), Some("other"), None),
            (Some("bot"), Some("bot"), Some(Refusal::NotAuthorised)),
        ];
        for (requested_by, client, expected) in cases {
            let mut request = request();
            request.plan.requested_by = requested_by.map(str::to_owned);
            request.digest = request.plan.digest().unwrap();
            let opened = open(Box::new(request), BTreeSet::new()).next;
            let Content::Answered(answer) = yes() else { panic!("an answer") };
            let answer = PersonsAnswer { client: client.map(str::to_owned), ..answer };
            let decision = keeper().decide(opened, Event::Message(Content::Answered(answer)), DateTime::UNIX_EPOCH);
            assert_eq!(decision.refused, expected, "{requested_by:?} {client:?}");
        }
    }

    #[test]
    fn all_about_one_request_is_about_one_entity() {
        let of = |event| match event {
            Event::Message(content) => keeper().locate(&content).unwrap(),
            other => panic!("{other:?}"),
        };
        let expected = Locator::Id("apr_1".to_owned());
        assert_eq!([of(asked()), of(taken_back()), of(Event::Message(yes()))], [expected.clone(), expected.clone(), expected]);
    }
}
