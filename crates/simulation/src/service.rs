//! One role: its agent, its store, and its replicas. This is the shell of `crates/runtime` in memory: lanes, relay and sweep take the steps
//! of the real handling machine in the same order, and a process may die or stand still before any of them. It decides nothing.

mod handle;
mod relay;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chrono::TimeDelta;
use incident::agent::{Agent, Locator, Message};
use incident::handling::{Input, Stored};
use incident::id::TenantId;
use incident::task::Role;

use crate::choices::hash;
use crate::env::{Env, Event};
use crate::faults::Site;
use crate::log::ACK_WAIT;
use crate::perform::Perform;
use crate::scene::{Time, ms};
use crate::store::{Row, Store};
use handle::Lane;
use relay::UnderWay;

/// Two share each role's work.
pub(crate) const REPLICAS: usize = 2;
/// How long what a process holds stays its own if it goes away.
pub(crate) const LEASE: TimeDelta = TimeDelta::seconds(10);
const LANES: u64 = 8;
/// A sweep comes at these steps, each replica's a little apart.
const SWEEP_EVERY_MS: i64 = 250;
/// A message whose reader is away, or which a bus has that is away, is offered again after this.
const NOBODY_THERE: TimeDelta = TimeDelta::seconds(2);
/// A state that this process committed is taken for the newest for so long.
const KEPT_FOR: TimeDelta = TimeDelta::seconds(10);
/// What is read beside others may be so old.
const BESIDE_FOR: TimeDelta = TimeDelta::milliseconds(100);
/// How wrong a replica's clock may be, in milliseconds.
const SKEWS: [i64; 4] = [-900, -200, 300, 900];
/// Two replicas' clocks are no further apart than the first of these from the last.
pub(crate) const CLOCKS_APART_MAX: TimeDelta = TimeDelta::milliseconds(1_800);
/// How long a process stands still, in milliseconds: some longer than its leases.
const FREEZES: [i64; 5] = [300, 3_000, 9_000, 14_000, 26_000];
/// How long a process is gone, in milliseconds.
const GONE: [i64; 4] = [500, 2_000, 8_000, 20_000];

/// A step of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    replica: usize,
    /// The process that it belongs to: a new one knows nothing of it.
    life: u32,
    job: Job,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    /// The next step of what is at work in a lane.
    Handle(usize),
    /// Publish what waits.
    Publish(Queue),
    /// Remove what was published.
    Forget,
    /// Begin to perform an effect.
    Try(u64),
    /// The provider answers, or is given up.
    Ended(u64),
    /// Hand an effect's outcome to the agent.
    HandBack(u64),
    /// Renew the lease of an effect that takes its time.
    Keep(u64),
    /// Look for timers that are due and rows that nobody holds.
    Sweep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    Messages,
    Facts,
}

impl Work {
    pub(crate) const fn is_watching(&self) -> bool {
        matches!(self.job, Job::Sweep | Job::Keep(_))
    }
}

/// One input on its way through a process.
struct Item<A: Agent> {
    tenant: TenantId,
    locator: Locator,
    input: Input<A::Outcome>,
    reply: Reply,
}

/// Who waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Bus(u64),
    Effect(u64),
    Person(u64),
    /// Nobody: a row that stays until it is handled.
    Row,
}

type Recent<S> = BTreeMap<(TenantId, String), (Stored<S>, Time)>;

/// A process.
struct Replica<A: Agent> {
    life: u32,
    is_up: bool,
    frozen_until: Time,
    /// How wrong its clock is.
    skew: TimeDelta,
    lanes: Vec<Lane<A>>,
    messages: VecDeque<Row<A::Effect>>,
    facts: VecDeque<Row<A::Effect>>,
    published: Vec<u64>,
    /// Effects that wait to be begun, and since when they are held.
    tries: BTreeMap<u64, (Row<A::Effect>, Time)>,
    /// Calls that this process waits for.
    calls: BTreeSet<u64>,
    /// States that it committed, by tenant and entity, and since when it has them.
    recent: Recent<A::State>,
    /// What it reads beside others, by tenant, and since when it has that.
    beside: BTreeMap<TenantId, Read<A::State>>,
    /// When it sweeps next.
    sweeps_at: Option<Time>,
}

/// An entity as it was read, if there was one, and since when it is known.
type Read<S> = (Option<Arc<S>>, Time);

impl<A: Agent> Replica<A> {
    fn new(life: u32) -> Self {
        Self {
            life,
            is_up: true,
            frozen_until: Time::UNIX_EPOCH,
            skew: TimeDelta::zero(),
            lanes: (0..LANES).map(|_| Lane::default()).collect(),
            messages: VecDeque::new(),
            facts: VecDeque::new(),
            published: vec![],
            tries: BTreeMap::new(),
            calls: BTreeSet::new(),
            recent: BTreeMap::new(),
            beside: BTreeMap::new(),
            sweeps_at: None,
        }
    }
}

/// A role without its types, as the world sees it.
pub(crate) trait Part {
    /// The bus hands over a message.
    fn delivery(&mut self, env: &mut Env, number: u64);
    /// A person calls; false: nobody is there.
    fn call(&mut self, env: &mut Env, message: Message, person: u64) -> bool;
    /// A process takes a step.
    fn work(&mut self, env: &mut Env, work: Work);
    /// A call reaches its provider.
    fn arrives(&mut self, env: &mut Env, call: u64);
    /// A process begins.
    fn starts(&mut self, env: &mut Env, replica: usize);
    /// All processes end, and begin again after a while.
    fn leaves(&mut self, env: &mut Env, away: TimeDelta);
}

/// One role.
pub(crate) struct Service<A: Agent, P> {
    role: Role,
    pub(crate) agent: A,
    pub(crate) performer: P,
    pub(crate) store: Store<A>,
    replicas: Vec<Replica<A>>,
    /// Calls that providers have or will get, whoever waits for them.
    calls: BTreeMap<u64, UnderWay<A>>,
    /// Counts tries and calls.
    counted: u64,
}

impl<A: Agent, P: Perform<A>> Service<A, P> {
    pub(crate) fn new(agent: A, performer: P, env: &mut Env) -> Self {
        let (role, store) = (agent.role(), Store::new(env.mutation));
        let mut replicas: Vec<Replica<A>> = (0..REPLICAS).map(|_| Replica::new(0)).collect();
        for (n, replica) in replicas.iter_mut().enumerate() {
            replica.skew = pick(&SKEWS, env.draw(Site::Skew, count(&SKEWS), &format!("{role}-{n}")));
        }
        Self { role, agent, performer, store, replicas, calls: BTreeMap::new(), counted: 0 }
    }

    /// Whether anything is owed to the outside.
    pub(crate) fn owes(&self) -> bool {
        self.store.owes()
    }

    /// Whether any process is there.
    pub(crate) fn is_there(&self) -> bool {
        self.replicas.iter().any(|replica| replica.is_up)
    }

    fn name(&self, n: usize) -> String {
        format!("{}-{n}", self.role)
    }

    /// The replica that takes something now, if one is there.
    fn whose_turn(&self, env: &mut Env, turn: u64, about: &str) -> Option<usize> {
        let other = u64::from(env.draw(Site::OtherReplica, 1, about));
        let first = usize::try_from((turn + other) % u64::try_from(REPLICAS).unwrap_or(1)).unwrap_or(0);
        let order = (first..REPLICAS).chain(0..first);
        order.into_iter().find(|n| self.replicas.get(*n).is_some_and(|replica| replica.is_up))
    }

    fn work_of(&self, n: usize, job: Job) -> Event {
        let life = self.replicas.get(n).map_or(0, |replica| replica.life);
        Event::Works(self.role, Work { replica: n, life, job })
    }

    /// Puts an input on its entity's lane.
    fn enqueue(&mut self, env: &mut Env, n: usize, item: Item<A>) {
        let key = match &item.locator {
            Locator::Id(text) | Locator::Open(text) | Locator::Last(text) => text,
        };
        let number = hash(hash(0, item.tenant.as_str().as_bytes()), key.as_bytes()) % LANES;
        let number = usize::try_from(number).unwrap_or(0);
        let event = self.work_of(n, Job::Handle(number));
        let Some(lane) = self.replicas.get_mut(n).and_then(|replica| replica.lanes.get_mut(number)) else { return };
        let about = name_of(&item.input);
        lane.waiting.push_back(item);
        if !std::mem::replace(&mut lane.is_going, true) {
            env.soon(&about, event);
        }
    }

    /// What the process had in its memory is gone; what it held comes back later.
    fn dies(&mut self, env: &mut Env, n: usize, gone: TimeDelta) {
        let Some(replica) = self.replicas.get_mut(n) else { return };
        let next = Replica { is_up: false, skew: replica.skew, ..Replica::new(replica.life + 1) };
        let dead = std::mem::replace(replica, next);
        let replies = dead.lanes.iter().flat_map(Lane::replies);
        for reply in replies {
            match reply {
                Reply::Bus(number) => redeliver(env, number, ACK_WAIT),
                Reply::Person(person) => env.outside.people.hang_up(person),
                Reply::Effect(_) | Reply::Row => {}
            }
        }
        env.at(env.now + gone, Event::Starts(self.role, n));
    }

    /// What a process that stands still holds goes to others, and stays in its own hands as well.
    fn freezes(&mut self, env: &mut Env, n: usize, still: TimeDelta) {
        let Some(replica) = self.replicas.get_mut(n) else { return };
        replica.frozen_until = env.now + still;
        if still > ACK_WAIT {
            let held: Vec<Reply> = replica.lanes.iter().flat_map(Lane::replies).collect();
            for reply in held {
                if let Reply::Bus(number) = reply {
                    redeliver(env, number, ACK_WAIT);
                }
            }
        }
    }

    /// Lets the replicas sweep when there is something to find.
    fn arm(&mut self, env: &mut Env) {
        let Some(due) = self.store.next_due() else { return };
        for n in 0..self.replicas.len() {
            let Some(replica) = self.replicas.get_mut(n).filter(|replica| replica.is_up) else { continue };
            let offset = ms(125 * i64::try_from(n).unwrap_or(0));
            let at = next_sweep(due - replica.skew, env.now, offset);
            if replica.sweeps_at.is_none_or(|already| already > at || already < env.now) {
                replica.sweeps_at = Some(at);
                let event = self.work_of(n, Job::Sweep);
                env.at(at, event);
            }
        }
    }
}

/// The first step of the sweep's clock that is after now and not before `due`.
fn next_sweep(due: Time, now: Time, offset: TimeDelta) -> Time {
    let passed = (due.max(now + ms(1)) - Time::UNIX_EPOCH - offset).num_milliseconds();
    let steps = (passed + SWEEP_EVERY_MS - 1).div_euclid(SWEEP_EVERY_MS);
    Time::UNIX_EPOCH + ms(steps * SWEEP_EVERY_MS) + offset
}

fn redeliver(env: &mut Env, number: u64, after: TimeDelta) {
    if let Some(wait) = env.log.again(number, after) {
        env.at(env.now + wait, Event::Delivery(number));
    }
}

fn count<const N: usize>(of: &[i64; N]) -> u32 {
    u32::try_from(of.len()).unwrap_or(0)
}

/// The n-th, from 1, in milliseconds; 0 is none.
fn pick<const N: usize>(of: &[i64; N], n: u32) -> TimeDelta {
    usize::try_from(n).ok().and_then(|n| of.get(n.checked_sub(1)?)).map_or_else(TimeDelta::zero, |n| ms(*n))
}

/// What an input is called in traces and schedules.
fn name_of<O>(input: &Input<O>) -> String {
    match input {
        Input::Message(message) => message.id.clone(),
        Input::Timer { name, .. } => format!("timer {name}"),
        Input::Outcome { effect, .. } => format!("outcome of {effect}"),
    }
}

impl<A: Agent, P: Perform<A>> Part for Service<A, P> {
    fn delivery(&mut self, env: &mut Env, number: u64) {
        let Some(letter) = env.log.get(number) else { return };
        let message = (*letter.message).clone();
        if !env.bus_is_there() {
            return env.at(env.now + NOBODY_THERE, Event::Delivery(number));
        }
        let Some(n) = self.whose_turn(env, number, &message.id) else {
            return env.at(env.now + NOBODY_THERE, Event::Delivery(number));
        };
        let is_still = self.replicas.get(n).is_some_and(|replica| replica.frozen_until > env.now + ACK_WAIT);
        if is_still {
            redeliver(env, number, ACK_WAIT);
        }
        match self.agent.locate(&message.content) {
            Err(error) => {
                if !env.bus_stores() {
                    return redeliver(env, number, ACK_WAIT);
                }
                env.trace.say(env.now, || format!("{} ends as a dead letter: {error}", message.id));
                env.log.bury(number);
                env.log.acknowledge(number);
            }
            Ok(locator) => {
                let tenant = message.tenant.clone();
                let item = Item { tenant, locator, input: Input::Message(message), reply: Reply::Bus(number) };
                self.enqueue(env, n, item);
            }
        }
    }

    fn call(&mut self, env: &mut Env, message: Message, person: u64) -> bool {
        let Some(n) = self.whose_turn(env, person, &message.id) else { return false };
        let Ok(locator) = self.agent.locate(&message.content) else { return false };
        let tenant = message.tenant.clone();
        let item = Item { tenant, locator, input: Input::Message(message), reply: Reply::Person(person) };
        self.enqueue(env, n, item);
        true
    }

    fn work(&mut self, env: &mut Env, work: Work) {
        let Work { replica: n, life, job } = work;
        let Some(replica) = self.replicas.get_mut(n) else { return };
        if !replica.is_up || replica.life != life {
            return;
        }
        if replica.frozen_until > env.now {
            return env.at(replica.frozen_until, Event::Works(self.role, work));
        }
        if job == Job::Sweep && replica.sweeps_at != Some(env.now) && replica.sweeps_at.is_some_and(|at| at > env.now) {
            return;
        }
        let about = self.about(n, job);
        let dies = env.draw(Site::Crash, count(&GONE), &about);
        if dies > 0 {
            return self.dies(env, n, pick(&GONE, dies));
        }
        let freezes = env.draw(Site::Freeze, count(&FREEZES), &about);
        if freezes > 0 {
            self.freezes(env, n, pick(&FREEZES, freezes));
            return env.at(env.now + pick(&FREEZES, freezes), Event::Works(self.role, work));
        }
        match job {
            Job::Handle(lane) => self.handle(env, n, lane),
            Job::Publish(queue) => self.publish(env, n, queue),
            Job::Forget => self.forget(env, n),
            Job::Try(number) => self.begin(env, n, number),
            Job::Ended(call) => self.ended(env, n, call),
            Job::HandBack(call) => self.hand_back(env, n, call),
            Job::Keep(call) => self.keep(env, n, call),
            Job::Sweep => self.sweep(env, n),
        }
        self.arm(env);
    }

    fn arrives(&mut self, env: &mut Env, call: u64) {
        self.perform(env, call);
    }

    fn starts(&mut self, env: &mut Env, replica: usize) {
        if let Some(replica) = self.replicas.get_mut(replica) {
            replica.is_up = true;
        }
        self.arm(env);
    }

    fn leaves(&mut self, env: &mut Env, away: TimeDelta) {
        for n in 0..self.replicas.len() {
            self.dies(env, n, away);
        }
    }
}
