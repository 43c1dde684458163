//! The gateway: ballots, and tasks that A2A clients from outside asked for. Of those it remembers only which news it has passed on; the
//! task itself is the task engine's.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::agent::{Agent, Content, Decision, Effect, Entity, Event, Locator, Misdirected};
use crate::agents::ballot::{Ballot, BallotKeeper};
use crate::agents::silences;
use crate::id::IncidentId;
use crate::silence::Silences;
use crate::task::{Role, TaskEvent};

/// What the gateway remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Kept {
    /// Of a question to people.
    Ballot(Ballot),
    /// Of a task that a client from outside asked for.
    Errand {
        /// Number of the last event that was passed on.
        told: u32,
    },
    /// All silences of a tenant.
    Silences {
        /// These.
        silences: Silences,
    },
}

/// The gateway's behaviour.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// As to approvals.
    pub ballots: BallotKeeper,
}

type Outcome = Decision<Kept, TaskEvent>;

impl Agent for Gateway {
    type State = Kept;
    /// News of a task, for the one who asked.
    type Effect = TaskEvent;
    type Outcome = ();

    fn role(&self) -> Role {
        Role::Gateway
    }

    fn locate(&self, content: &Content) -> Result<Locator, Misdirected> {
        match content {
            Content::Event(event) => Ok(Locator::Id(event.task.to_string())),
            Content::Silence { .. } => Ok(silences::locator()),
            other => self.ballots.locate(other),
        }
    }

    fn begins(&self, content: &Content) -> bool {
        self.ballots.begins(content)
    }

    fn incident(&self, state: &Kept) -> Option<IncidentId> {
        match state {
            Kept::Ballot(ballot) => self.ballots.incident(ballot),
            Kept::Errand { .. } | Kept::Silences { .. } => None,
        }
    }

    fn decide(&self, entity: Option<Entity<Kept>>, event: Event<()>, now: DateTime<Utc>) -> Outcome {
        match (event, entity) {
            (Event::Message(Content::Silence { tenant, order }), None) => silences::decide(None, tenant, order, now),
            (Event::Message(Content::Silence { tenant, order }), Some(Entity { state: Kept::Silences { silences }, .. })) => {
                silences::decide(Some(silences), tenant, order, now)
            }
            (Event::Message(Content::Event(event)), None) => pass_on(event, 0),
            (Event::Message(Content::Event(event)), Some(Entity { state: Kept::Errand { told }, .. })) => pass_on(event, told),
            // Nothing follows from it: the client asks again, and its task says how it stands.
            (Event::Outcome { result: Err(failure), .. }, _) => Decision::unchanged(failure.reason),
            (Event::Outcome { result: Ok(()), .. }, _) => Decision::unchanged("the client's task was told"),
            (_, Some(Entity { state: Kept::Errand { .. } | Kept::Silences { .. }, .. })) => {
                Decision::unchanged("nothing waits for this")
            }
            (event, None) => on_ballot(self.ballots.decide(None, event, now)),
            (event, Some(Entity { id, open_key, state: Kept::Ballot(state) })) => {
                on_ballot(self.ballots.decide(Some(Entity { id, open_key, state }), event, now))
            }
        }
    }
}

/// Events are whole states: an older one is no news.
fn pass_on(event: TaskEvent, told: u32) -> Outcome {
    if event.number <= told {
        return Decision::unchanged("this was passed on, or something newer");
    }
    let entity = Entity { id: event.task.to_string(), open_key: None, state: Kept::Errand { told: event.number } };
    let effects = vec![Effect { name: format!("tell-{}", event.number), body: event }];
    Decision { effects, ..Decision::put(entity, "news for a client") }
}

fn on_ballot(decision: Decision<Ballot, ()>) -> Outcome {
    let Decision { next, outgoing, effects: _, timers, records, rouses, facts, why, refused } = decision;
    let next = next.map(|Entity { id, open_key, state }| Entity { id, open_key, state: Kept::Ballot(state) });
    Decision { next, outgoing, effects: vec![], timers, records, rouses, facts, why, refused }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::task::TaskStatus;

    fn gateway() -> Gateway {
        Gateway { ballots: BallotKeeper { directories: [].into(), key: SigningKey::from_bytes(&[7; 32]) } }
    }

    fn news(number: u32) -> TaskEvent {
        TaskEvent {
            tenant: "acme".parse().unwrap(),
            task: "task_1".parse().unwrap(),
            message_id: "m".to_owned(),
            incident: "inc_1".parse().unwrap(),
            from: Role::Diagnostics,
            to: Role::Gateway,
            number,
            status: TaskStatus::Working { note: "looking".to_owned() },
        }
    }

    #[test]
    fn news_is_passed_on_once_and_never_backwards() {
        let mut entity = None;
        let mut told = vec![];
        for number in [1, 1, 3, 2, 3, 4] {
            let message = Event::Message(Content::Event(news(number)));
            let decision = gateway().decide(entity.clone(), message, DateTime::UNIX_EPOCH);
            told.extend(decision.effects.into_iter().map(|effect| effect.name));
            entity = decision.next.or(entity);
        }
        assert_eq!(told, ["tell-1", "tell-3", "tell-4"]);
    }

    #[test]
    fn what_is_stored_reads_back_as_what_it_is() {
        let closed = Kept::Ballot(Ballot::Closed { why: "answered".to_owned(), incident: None });
        for kept in [closed, Kept::Errand { told: 3 }, Kept::Silences { silences: Silences::default() }] {
            let text = serde_json::to_string(&kept).unwrap();
            assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept, "{text}");
        }
    }
}
