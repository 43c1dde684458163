//! Lanes: everything about one entity goes down one lane of a process, in order; what has piled up there is handled together. Each call
//! takes one step of the handling machine.

use std::collections::VecDeque;

use chrono::TimeDelta;
use incident::agent::Agent;
use incident::handling::{self, Answer, Committed, Input, Loaded, Step};
use incident::id::TenantId;
use std::rc::Rc;
use std::sync::Arc;

use incident::agent::{Content, Locator, Message};

use super::{BESIDE_FOR, Item, Job, KEPT_FOR, LEASE, Reply, Service, name_of, redeliver};
use crate::env::{Env, StoreFate};
use crate::faults::Site;
use crate::log::{ACK_WAIT, letter};
use crate::mutation::Mutation;
use crate::perform::Perform;
use crate::store::{Outcome, Owed, Row, Writer};

/// Inputs that one commit handles.
const GROUP_INPUTS_MAX: usize = 64;
/// What could not be handled comes again after this.
const AGAIN_AFTER: TimeDelta = TimeDelta::seconds(1);

pub(super) struct Lane<A: Agent> {
    pub(super) waiting: VecDeque<Item<A>>,
    at_work: Option<Group<A>>,
    /// Whether its next step is on the agenda.
    pub(super) is_going: bool,
}

impl<A: Agent> Default for Lane<A> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), at_work: None, is_going: false }
    }
}

/// Inputs about one entity, and where the machine is with them.
struct Group<A: Agent> {
    tenant: TenantId,
    locator: Locator,
    step: Step<A>,
    replies: VecDeque<Reply>,
    /// The first input's, for traces and schedules.
    name: String,
}

impl<A: Agent> Lane<A> {
    /// Who waits for something in this lane.
    pub(super) fn replies(&self) -> Vec<Reply> {
        let at_work = self.at_work.iter().flat_map(|group| group.replies.iter().copied());
        at_work.chain(self.waiting.iter().map(|item| item.reply)).collect()
    }

    fn take_group(&mut self) -> Option<Group<A>> {
        let first = self.waiting.front()?;
        let (tenant, locator, name) = (first.tenant.clone(), first.locator.clone(), name_of(&first.input));
        let (mut inputs, mut replies, mut rest) = (vec![], VecDeque::new(), VecDeque::new());
        for item in self.waiting.drain(..) {
            if inputs.len() < GROUP_INPUTS_MAX && item.tenant == tenant && item.locator == locator {
                inputs.push(item.input);
                replies.push_back(item.reply);
            } else {
                rest.push_back(item);
            }
        }
        self.waiting = rest;
        let step = Step::Load(handling::begin(tenant.clone(), locator.clone(), inputs));
        Some(Group { tenant, locator, step, replies, name })
    }

    fn about(&self) -> String {
        match &self.at_work {
            None => format!("load for {}", self.waiting.front().map(|item| name_of(&item.input)).unwrap_or_default()),
            Some(Group { step: Step::Load(_), name, .. }) => format!("load for {name}"),
            Some(Group { step: Step::Commit(..), name, .. }) => format!("commit of {name}"),
            Some(Group { step: Step::Answer { .. }, name, .. }) => format!("answer to {name}"),
        }
    }
}

impl<A: Agent, P: Perform<A>> Service<A, P> {
    /// Names a step in traces and schedules.
    pub(super) fn about(&self, n: usize, job: Job) -> String {
        let replica = self.replicas.get(n);
        let of_call = |call: u64| self.calls.get(&call).map_or("", |call| &call.row.id);
        let what = match job {
            Job::Handle(lane) => replica.and_then(|replica| replica.lanes.get(lane)).map(Lane::about).unwrap_or_default(),
            Job::Publish(_) => "publish".to_owned(),
            Job::Forget => "remove what was published".to_owned(),
            Job::Try(number) => {
                let row = replica.and_then(|replica| replica.tries.get(&number));
                format!("begin {}", row.map_or("", |(row, _)| &row.id))
            }
            Job::Ended(call) => format!("hear the end of {}", of_call(call)),
            Job::HandBack(call) => format!("hand back {}", of_call(call)),
            Job::Keep(call) => format!("keep {}", of_call(call)),
            Job::Sweep => "sweep".to_owned(),
        };
        format!("{}: {what}", self.name(n))
    }

    /// One step of what is at work in this lane.
    pub(super) fn handle(&mut self, env: &mut Env, n: usize, number: usize) {
        let Some(replica) = self.replicas.get_mut(n) else { return };
        let Some(lane) = replica.lanes.get_mut(number) else { return };
        let Some(group) = lane.at_work.take().or_else(|| lane.take_group()) else {
            lane.is_going = false;
            return;
        };
        let name = group.name.clone();
        let next = self.step(env, n, group);
        let Some(lane) = self.replicas.get_mut(n).and_then(|replica| replica.lanes.get_mut(number)) else { return };
        lane.at_work = next;
        if lane.at_work.is_some() || !lane.waiting.is_empty() {
            let event = self.work_of(n, Job::Handle(number));
            env.soon(&name, event);
        } else {
            lane.is_going = false;
        }
    }

    fn step(&mut self, env: &mut Env, n: usize, group: Group<A>) -> Option<Group<A>> {
        let Group { tenant, locator, step, mut replies, name } = group;
        let now = self.clock(env, n);
        let step = match step {
            Step::Load(_) if env.store_fate() != StoreFate::Well || env.strikes(Site::StoreAway, &name) => {
                self.give_up(env, n, &replies);
                return None;
            }
            Step::Commit(..) if env.store_fate() == StoreFate::Away || env.strikes(Site::StoreAway, &name) => {
                self.give_up(env, n, &replies);
                return None;
            }
            Step::Load(load) => {
                let loaded = self.look(env, n, &load);
                let step = load.loaded(&self.agent, loaded, now);
                acknowledge_too_early(env, &step, &replies);
                step
            }
            Step::Commit(commit, pending) => {
                let writer = Writer { tenant: tenant.clone(), now, lease: LEASE };
                let committed = self.commit(env, n, writer, *commit, &name);
                if env.store_fate() == StoreFate::Unanswered || env.strikes(Site::CommitUnconfirmed, &name) {
                    self.forget_guess(n, &tenant, &locator);
                    self.give_up(env, n, &replies);
                    return None;
                }
                let rows = match committed {
                    Outcome::Done(rows) => {
                        self.relay(env, n, rows);
                        Committed::Done
                    }
                    Outcome::Lost => Committed::Lost,
                };
                pending.committed(rows)
            }
            Step::Answer { answers, rest } => {
                for answer in answers {
                    if let Some(reply) = replies.pop_front() {
                        self.reply(env, n, reply, &answer);
                    }
                }
                if rest.is_empty() {
                    return None;
                }
                Step::Load(handling::begin(tenant.clone(), locator.clone(), rest))
            }
        };
        Some(Group { tenant, locator, step, replies, name })
    }

    /// What this process takes for the time.
    pub(super) fn clock(&self, env: &Env, n: usize) -> crate::scene::Time {
        env.now + self.replicas.get(n).map_or_else(TimeDelta::zero, |replica| replica.skew)
    }

    fn look(&mut self, env: &Env, n: usize, load: &handling::Load<A>) -> Loaded<A::State> {
        let guess = match (&load.locator, self.replicas.get_mut(n)) {
            (Locator::Id(id), Some(replica)) => replica.recent.remove(&(load.tenant.clone(), id.clone())),
            (Locator::Id(_) | Locator::Open(_) | Locator::Last(_), _) => None,
        };
        let beside = self.beside(env, n, &load.tenant);
        match guess {
            Some((stored, since)) if env.now - since < KEPT_FOR => {
                Loaded { stored: Some(stored), handled: vec![false; load.inputs.len()], beside }
            }
            _ if let Some(guess) = load.guess(&self.agent) => Loaded { beside, ..guess },
            _ => Loaded { beside, ..self.store.load(&load.tenant, &load.locator, &load.inputs) },
        }
    }

    /// The entity that decisions may read beside their own, as this process has it.
    fn beside(&mut self, env: &Env, n: usize, tenant: &TenantId) -> Option<Arc<A::State>> {
        let id = self.agent.beside()?;
        let replica = self.replicas.get_mut(n)?;
        if let Some((state, since)) = replica.beside.get(tenant)
            && env.now - *since < BESIDE_FOR
        {
            return state.clone();
        }
        let state = self.store.state(tenant, id).map(Arc::new);
        replica.beside.insert(tenant.clone(), (state.clone(), env.now));
        state
    }

    fn forget_guess(&mut self, n: usize, tenant: &TenantId, locator: &Locator) {
        if let (Some(replica), Locator::Id(id)) = (self.replicas.get_mut(n), locator) {
            replica.recent.remove(&(tenant.clone(), id.clone()));
        }
    }

    /// The store does not answer, or not in time: everything comes again.
    fn give_up(&mut self, env: &mut Env, n: usize, replies: &VecDeque<Reply>) {
        for reply in replies {
            self.reply(env, n, *reply, &Answer::Retry);
        }
    }

    fn commit(
        &mut self,
        env: &mut Env,
        n: usize,
        writer: Writer,
        commit: handling::CommitOf<A>,
        name: &str,
    ) -> Outcome<A::Effect> {
        let mut owed: Vec<(String, Owed<A::Effect>)> = vec![];
        for outgoing in &commit.outgoing {
            let (to, message) = letter(outgoing);
            owed.push((message.id.clone(), Owed::Message { to, message: Rc::new(message) }));
        }
        for fact in &commit.facts {
            let content = Content::Fact(Box::new(fact.clone()));
            let message = Message { id: fact.id.clone(), tenant: fact.tenant.clone(), trace: None, content };
            owed.push((fact.id.clone(), Owed::Fact { message: Rc::new(message) }));
        }
        for effect in &commit.effects {
            let owe = Owed::Effect { name: effect.name.clone(), body: effect.body.clone() };
            owed.push((format!("{}/{}", commit.id, effect.name), owe));
        }
        let (facts, expected, next) = (commit.facts.clone(), commit.expected, commit.next.clone());
        let outcome = self.store.commit(&writer, commit, owed);
        let who = self.name(n);
        match &outcome {
            Outcome::Done(rows) => {
                let acting = rows.iter().filter(|row| !matches!(row.owed, Owed::Fact { .. }));
                let acting: Vec<&str> = acting.map(|row| &*row.id).collect();
                env.trace.say(env.now, || format!("{who} commits {name}{}", told(&facts, &acting)));
                env.witness.saw(self.role, &writer.tenant, facts);
                if let (Some(entity), Some(replica)) = (next, self.replicas.get_mut(n)) {
                    let key = (writer.tenant, entity.id.clone());
                    let stored = handling::Stored { entity, revision: expected.unwrap_or(0) + 1 };
                    replica.recent.insert(key, (stored, env.now));
                }
            }
            Outcome::Lost => env.trace.say(env.now, || format!("{who} loses the race for {name}")),
        }
        outcome
    }

    fn reply(&mut self, env: &mut Env, n: usize, reply: Reply, answer: &Answer) {
        match (reply, answer) {
            (Reply::Row, _) => {}
            (Reply::Person(person), Answer::Done { .. }) => env.outside.people.answered(person),
            (Reply::Person(person), Answer::Retry) => env.outside.people.hang_up(person),
            (Reply::Effect(call), Answer::Done { .. }) => self.settled(n, call),
            (Reply::Effect(call), Answer::Retry) => self.hand_back_later(env, n, call),
            (Reply::Bus(number), Answer::Retry) => redeliver(env, number, AGAIN_AFTER),
            (Reply::Bus(number), Answer::Done { refused, .. }) => {
                let Some(letter) = env.log.get(number) else { return };
                let id = letter.message.id.clone();
                let is_heard = if refused.is_some() { env.bus_stores() } else { env.bus_is_there() };
                if !is_heard {
                    return redeliver(env, number, ACK_WAIT);
                }
                if let Some(refusal) = refused {
                    env.trace.say(env.now, || format!("{id} is refused: {refusal}"));
                    env.log.bury(number);
                    if env.strikes(Site::BuriedTwice, &id) {
                        return redeliver(env, number, ACK_WAIT);
                    }
                }
                if env.strikes(Site::AckLost, &id) {
                    return redeliver(env, number, ACK_WAIT);
                }
                env.log.acknowledge(number);
            }
        }
    }

    /// Timers and rows that are due go to work.
    pub(super) fn sweep(&mut self, env: &mut Env, n: usize) {
        let now = self.clock(env, n);
        if let Some(replica) = self.replicas.get_mut(n) {
            replica.sweeps_at = None;
        }
        if env.store_fate() == StoreFate::Away {
            return;
        }
        let timers = self.store.claim_timers(now, LEASE);
        if env.store_fate() == StoreFate::Unanswered {
            return;
        }
        for timer in timers {
            let input = Input::Timer { name: timer.name, due: timer.due };
            let item = Item { tenant: timer.tenant, locator: Locator::Id(timer.entity), input, reply: Reply::Row };
            self.enqueue(env, n, item);
        }
        let rows: Vec<Row<A::Effect>> = self.store.claim_outbox(now, LEASE);
        self.relay(env, n, rows);
    }
}

/// A mistake, if it is the one to be made.
fn acknowledge_too_early<A: Agent>(env: &mut Env, step: &Step<A>, replies: &VecDeque<Reply>) {
    if env.mutation == Some(Mutation::AckBeforeCommit) && matches!(step, Step::Commit(..)) {
        for reply in replies {
            if let Reply::Bus(number) = reply {
                env.log.acknowledge(*number);
            }
        }
    }
}

/// What a commit says and owes, for the trace.
fn told(facts: &[incident::fact::Fact], owes: &[&str]) -> String {
    let facts = facts.iter().filter(|fact| !matches!(fact.what, incident::fact::What::Cost { .. }));
    let mut lines: Vec<(String, usize)> = vec![];
    for sentence in facts.map(|fact| fact.what.sentence()) {
        let line = sentence.lines().next().unwrap_or_default();
        match lines.last_mut() {
            Some((last, times)) if last == line => *times += 1,
            _ => lines.push((line.to_owned(), 1)),
        }
    }
    let times = |n: usize| if n > 1 { format!(" ({n} times)") } else { String::new() };
    let lines: Vec<String> = lines.into_iter().map(|(line, n)| format!("\n              . {line}{}", times(n))).collect();
    let owes = if owes.is_empty() { String::new() } else { format!("\n              > {}", owes.join(", ")) };
    format!("{}{owes}", lines.concat())
}
