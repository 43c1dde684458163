//! The one loop of every service, without IO: what to load, what to commit, and only then what to answer (P1, P2).
//!
//! ```text
//! begin ──Load──► loaded ──Commit──► committed ──Answer──► (relay)
//!            ▲                 │ lost the race
//!            └─────────────────┘
//! ```
//! A shell performs the steps on JetStream and Postgres; the simulation performs them in memory. Neither can get the order wrong,
//! because each step is what the one before returns.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::agent::{AUDIT, Agent, Decision, Effect, Entity, Event, Failure, Locator, Message, Outgoing, Timer};
use crate::approval::Refusal;
use crate::fact::{Fact, What};
use crate::id::TenantId;
use crate::record::Record;
use crate::task::Role;

/// How often a lost race is run again at once before the input is handed back to the bus.
const RACES_MAX: u32 = 8;
/// How old the entity that is read beside others may be, in milliseconds: so it is asked for ten times a second at most, whatever goes on.
pub const BESIDE_MS_MAX: u64 = 100;

/// Something that wants to be handled.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<O> {
    /// From the bus, or from a person at the gateway.
    Message(Message),
    /// A timer row that is due.
    Timer {
        /// Name within the entity.
        name: String,
        /// The due time it was claimed with: if the row says otherwise by now, the timer was moved.
        due: DateTime<Utc>,
    },
    /// An effect that ended.
    Outcome {
        /// Name within the entity.
        effect: String,
        /// Number of the claim under which it was performed: if somebody else has claimed it since, their outcome is the one that counts.
        claim: u32,
        /// How.
        result: Result<O, Failure>,
    },
}

/// An entity as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<S> {
    /// The entity.
    pub entity: Entity<S>,
    /// Counts its commits.
    pub revision: u64,
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded<S> {
    /// The entity, if there is one.
    pub stored: Option<Stored<S>>,
    /// For each input in order: whether the inbox (or the timer, or the outbox) says that it was handled before.
    pub handled: Vec<bool>,
    /// The entity that the agent reads beside this one, if it does and there is one.
    pub beside: Option<Arc<S>>,
}

/// What is written in one transaction, or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit<S, E, O> {
    /// Revision that was read; none: the entity must not exist.
    pub expected: Option<u64>,
    /// The entity as it shall be; none leaves it alone.
    pub next: Option<Entity<S>>,
    /// Inputs that are thereby handled: inbox rows to add, timer and outbox rows to remove.
    pub handled: Vec<Input<O>>,
    /// Id of the entity that timers, effects and facts belong to.
    pub id: String,
    /// Messages to send.
    pub outgoing: Vec<Outgoing>,
    /// Effects to perform.
    pub effects: Vec<Effect<E>>,
    /// Timers to set or take back.
    pub timers: Vec<Timer>,
    /// Facts to tell.
    pub facts: Vec<Fact>,
    /// Records to append to the audit chain.
    pub records: Vec<Record>,
    /// Whether every open entity of the tenant gets the timer [`LOOK`](crate::agent::LOOK).
    pub rouses: bool,
}

/// What agent `A` commits.
pub type CommitOf<A> = Commit<<A as Agent>::State, <A as Agent>::Effect, <A as Agent>::Outcome>;

/// What a transaction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is durable.
    Done,
    /// Somebody else changed the entity, or handled an input, since it was loaded.
    Lost,
}

/// What the bus, or the person, is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is handled, and durable.
    Done {
        /// Why it came out so.
        why: String,
        /// Set when a person's answer does not count.
        refused: Option<Refusal>,
    },
    /// Not now.
    Retry,
}

/// What to do next.
pub enum Step<A: Agent> {
    /// Load the entity and look the inputs up.
    Load(Load<A>),
    /// Commit, then tell how it went.
    Commit(Box<CommitOf<A>>, Pending<A>),
    /// Answer these, in order of the inputs. `rest` was not handled, because the entity ended on the way: handle it anew.
    Answer {
        /// One for each handled input.
        answers: Vec<Answer>,
        /// Inputs that were not reached.
        rest: Vec<Input<A::Outcome>>,
    },
}

/// Inputs about one entity, in the order in which they came.
#[derive(Debug)]
pub struct Load<A: Agent> {
    /// Whose.
    pub tenant: TenantId,
    /// Which entity.
    pub locator: Locator,
    /// What happened to it.
    pub inputs: Vec<Input<A::Outcome>>,
    races: u32,
}

/// A commit under way.
#[derive(Debug)]
pub struct Pending<A: Agent> {
    load: Load<A>,
    answers: Vec<Answer>,
    rest: Vec<Input<A::Outcome>>,
}

/// Starts handling `inputs`, which are all about the entity at `locator`.
pub fn begin<A: Agent>(tenant: TenantId, locator: Locator, inputs: Vec<Input<A::Outcome>>) -> Load<A> {
    Load { tenant, locator, inputs, races: 0 }
}

impl<A: Agent> Load<A> {
    /// What may be taken for loaded without asking: that nothing is there yet. A guess that is wrong loses its race, and is not made again.
    pub fn guess(&self, agent: &A) -> Option<Loaded<A::State>> {
        let Some(Input::Message(first)) = self.inputs.first() else { return None };
        let nothing = || Loaded { stored: None, handled: vec![false; self.inputs.len()], beside: None };
        (self.races == 0 && agent.begins(&first.content)).then(nothing)
    }

    /// The entity was loaded: decide.
    pub fn loaded(self, agent: &A, loaded: Loaded<A::State>, now: DateTime<Utc>) -> Step<A> {
        let mut fold = Fold::<A>::new(&self, loaded.stored, now);
        fold.beside = loaded.beside;
        let mut reached = 0;
        for (input, handled) in self.inputs.iter().zip(loaded.handled) {
            if fold.ended_early(&self.locator) {
                break;
            }
            reached += 1;
            if handled || fold.has_moved(input) {
                fold.answers.push(Answer::Done { why: "handled before".to_owned(), refused: None });
            } else {
                fold.take(agent, input.clone());
            }
        }
        let rest = self.inputs.get(reached..).unwrap_or_default().to_vec();
        let (commit, answers) = fold.finish();
        if commit.handled.is_empty() {
            return Step::Answer { answers, rest };
        }
        Step::Commit(Box::new(commit), Pending { load: self, answers, rest })
    }
}

impl<A: Agent> Pending<A> {
    /// The commit ended: answer, or run the race again.
    pub fn committed(self, committed: Committed) -> Step<A> {
        match committed {
            Committed::Done => Step::Answer { answers: self.answers, rest: self.rest },
            Committed::Lost if self.load.races < RACES_MAX => Step::Load(Load { races: self.load.races + 1, ..self.load }),
            Committed::Lost => {
                let answers = self.load.inputs.iter().map(|_| Answer::Retry).collect();
                Step::Answer { answers, rest: vec![] }
            }
        }
    }
}

/// Decisions about one entity, taken one after the other and committed together.
struct Fold<A: Agent> {
    tenant: TenantId,
    now: DateTime<Utc>,
    current: Option<Entity<A::State>>,
    beside: Option<Arc<A::State>>,
    changed: bool,
    answers: Vec<Answer>,
    commit: CommitOf<A>,
}

impl<A: Agent> Fold<A> {
    fn new(load: &Load<A>, stored: Option<Stored<A::State>>, now: DateTime<Utc>) -> Self {
        let id = match (&stored, &load.locator) {
            (Some(stored), _) => stored.entity.id.clone(),
            (None, Locator::Id(id)) => id.clone(),
            (None, Locator::Open(_) | Locator::Last(_)) => String::new(),
        };
        let commit = Commit {
            expected: stored.as_ref().map(|stored| stored.revision),
            next: None,
            handled: vec![],
            id,
            outgoing: vec![],
            effects: vec![],
            timers: vec![],
            facts: vec![],
            records: vec![],
            rouses: false,
        };
        let current = stored.map(|s| s.entity);
        Self { tenant: load.tenant.clone(), now, current, beside: None, changed: false, answers: vec![], commit }
    }

    /// Whether the open entity that the inputs are about was closed on the way, so that the rest belongs to another one.
    fn ended_early(&self, locator: &Locator) -> bool {
        let is_over = self.current.as_ref().is_some_and(|e| e.open_key.is_none());
        let is_of_a_key = match locator {
            Locator::Id(_) => false,
            Locator::Open(_) | Locator::Last(_) => true,
        };
        self.changed && is_over && is_of_a_key
    }

    /// Whether an earlier input of the same group has moved this timer or taken it back: then it must not fire.
    fn has_moved(&self, input: &Input<A::Outcome>) -> bool {
        matches!(input, Input::Timer { name, .. } if self.commit.timers.iter().any(|timer| timer.name == *name))
    }

    fn take(&mut self, agent: &A, input: Input<A::Outcome>) {
        let event = match &input {
            Input::Message(message) => Event::Message(message.content.clone()),
            Input::Timer { name, .. } => Event::Timer(name.clone()),
            Input::Outcome { effect, result, .. } => Event::Outcome { effect: effect.clone(), result: result.clone() },
        };
        let stuck = matches!(&input, Input::Timer { name, .. } if name == AUDIT).then_some(self.current.as_ref()).flatten();
        let stuck = stuck.and_then(|entity| agent.incident(&entity.state));
        let mut decision = agent.decide_beside(self.current.clone(), self.beside.as_deref(), event, self.now);
        decision.facts.extend(stuck.map(|incident| (incident, What::SetGoing { what: decision.why.clone() })));
        self.answers.push(Answer::Done { why: decision.why.clone(), refused: decision.refused });
        self.add(agent.role(), &self.cause(&input), decision);
        self.commit.handled.push(input);
    }

    /// Names the input; it is handled once, so what follows from it can be named after it.
    fn cause(&self, input: &Input<A::Outcome>) -> String {
        match input {
            Input::Message(message) => message.id.clone(),
            Input::Timer { name, due } => format!("{}/{name}/{}", self.commit.id, due.timestamp_millis()),
            Input::Outcome { effect, .. } => format!("{}/{effect}", self.commit.id),
        }
    }

    fn add(&mut self, by: Role, cause: &str, decision: Decision<A::State, A::Effect>) {
        if let Some(entity) = decision.next {
            // The earlier one was only a memory.
            if self.commit.id != entity.id {
                self.commit.expected = None;
                self.commit.id.clone_from(&entity.id);
            }
            self.current = Some(entity);
            self.changed = true;
        }
        self.commit.outgoing.extend(decision.outgoing);
        self.commit.effects.extend(decision.effects);
        self.commit.records.extend(decision.records);
        self.commit.rouses |= decision.rouses;
        for timer in decision.timers {
            self.commit.timers.retain(|earlier| earlier.name != timer.name);
            self.commit.timers.push(timer);
        }
        for (n, (incident, what)) in decision.facts.into_iter().enumerate() {
            let id = format!("{by}/{cause}/{n}");
            self.commit.facts.push(Fact { id, tenant: self.tenant.clone(), incident, by, at: self.now, what });
        }
    }

    fn finish(mut self) -> (CommitOf<A>, Vec<Answer>) {
        self.commit.next = if self.changed { self.current } else { None };
        (self.commit, self.answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Content;
    use crate::agents::diagnostics::Diagnostician;
    use crate::task::{Errand, TaskRequest};

    fn message(content: Content) -> Input<<Diagnostician as Agent>::Outcome> {
        Input::Message(Message { id: "m".to_owned(), tenant: "acme".parse().unwrap(), trace: None, content })
    }

    #[test]
    fn nothing_is_expected_of_what_begins_and_only_once() {
        let request = TaskRequest {
            message_id: "m".to_owned(),
            tenant: "acme".parse().unwrap(),
            from: Role::Monitoring,
            to: Role::Diagnostics,
            incident: "inc_1".parse().unwrap(),
            client: None,
            errand: Errand::Diagnose { workload: None, alerts: vec![] },
        };
        let (agent, now) = (Diagnostician, DateTime::UNIX_EPOCH);
        let locator = agent.locate(&Content::Request(request.clone())).unwrap();
        let load = |inputs| begin::<Diagnostician>("acme".parse().unwrap(), locator.clone(), inputs);
        let ended = Input::Outcome { effect: "collect".to_owned(), claim: 1, result: Ok(vec![]) };
        assert_eq!(load(vec![ended.clone(), message(Content::Request(request.clone()))]).guess(&agent), None);

        let begun = load(vec![message(Content::Request(request)), ended]);
        let guess = begun.guess(&agent).unwrap();
        assert_eq!((guess.stored.is_none(), guess.handled.len()), (true, 2));
        let Step::Commit(commit, pending) = begun.loaded(&agent, guess, now) else { panic!("nothing is committed") };
        assert_eq!(commit.expected, None, "it loses if there is one");
        let Step::Load(again) = pending.committed(Committed::Lost) else { panic!("it is not loaded") };
        assert_eq!(again.guess(&agent), None);
    }
}
