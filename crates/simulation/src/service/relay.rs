//! The relay: publishes what the outbox owes and performs its effects. What fails stays owed, and whoever holds a row may lose it to
//! another process: the number of its claim tells.

use chrono::TimeDelta;
use incident::agent::{Agent, Content, Failure, Locator, Message};
use incident::fact::What;
use incident::handling::Input;
use incident::task::Role;
use std::rc::Rc;

use super::{Item, Job, LEASE, Queue, Reply, Service};
use crate::env::{Env, Event, StoreFate};
use crate::faults::Site;
use crate::mutation::Mutation;
use crate::outside::Fate;
use crate::perform::{Call, Fault, Perform, Progress};
use crate::scene::{Time, ms};
use crate::store::{Owed, Row};

/// Facts wait this long, so that many go together.
const FACTS_WAIT: TimeDelta = TimeDelta::milliseconds(100);
const FORGET_AFTER: TimeDelta = TimeDelta::milliseconds(100);
/// An effect's lease is renewed each third of it.
const RENEWALS_PER_LEASE: i32 = 3;
const BACKOFF_FIRST: TimeDelta = TimeDelta::milliseconds(500);
const BACKOFF_MAX: TimeDelta = TimeDelta::minutes(1);
/// A provider that does not answer is given up after this.
const CALL_WITHIN: TimeDelta = TimeDelta::seconds(20);

/// A call of a provider.
pub(super) struct UnderWay<A: Agent> {
    pub(super) row: Row<A::Effect>,
    replica: usize,
    life: u32,
    skew: TimeDelta,
    /// How often the provider was looked at for what an earlier try did.
    looks: u32,
    fate: Option<Fate>,
    result: Option<Result<A::Outcome, Fault>>,
    /// What the agent is told.
    outcome: Option<Result<A::Outcome, Failure>>,
}

impl<A: Agent, P: Perform<A>> Service<A, P> {
    /// Hands rows that this process holds to those who do them.
    pub(super) fn relay(&mut self, env: &mut Env, n: usize, rows: Vec<Row<A::Effect>>) {
        for row in rows {
            let (counted, id) = (self.counted + 1, row.id.clone());
            let (publish, facts, begin) =
                (self.work_of(n, Job::Publish(Queue::Messages)), self.work_of(n, Job::Publish(Queue::Facts)), Job::Try(counted));
            let begin = self.work_of(n, begin);
            let Some(replica) = self.replicas.get_mut(n) else { return };
            match &row.owed {
                Owed::Message { .. } => {
                    replica.messages.push_back(row);
                    env.soon(&id, publish);
                }
                Owed::Fact { .. } => {
                    if replica.facts.is_empty() {
                        env.at(env.now + FACTS_WAIT, facts);
                    }
                    replica.facts.push_back(row);
                }
                Owed::Effect { .. } => {
                    self.counted = counted;
                    replica.tries.insert(counted, (row, env.now));
                    env.soon(&id, begin);
                }
            }
        }
    }

    /// Who hears of a fact besides the ledger.
    fn also_heard(env: &mut Env, message: &Rc<Message>) {
        let is_opened = matches!(&message.content, Content::Fact(fact) if matches!(fact.what, What::Opened { .. }));
        if is_opened {
            let number = env.log.store(Role::Communication, message.clone());
            env.soon(&message.id, Event::Delivery(number));
        }
    }

    pub(super) fn publish(&mut self, env: &mut Env, n: usize, queue: Queue) {
        let Some(replica) = self.replicas.get_mut(n) else { return };
        let rows = match queue {
            Queue::Messages => std::mem::take(&mut replica.messages),
            Queue::Facts => std::mem::take(&mut replica.facts),
        };
        for row in rows {
            let about = format!("{}: publish {}", self.name(n), row.id);
            let dies = env.draw(Site::Crash, 1, &about);
            if dies > 0 {
                return self.dies(env, n, TimeDelta::seconds(2));
            }
            if !env.bus_stores() || env.strikes(Site::PublishRefused, &row.id) {
                continue;
            }
            let (to, message) = match &row.owed {
                Owed::Message { to, message } => (*to, message.clone()),
                Owed::Fact { message } => {
                    Self::also_heard(env, message);
                    (Role::Ledger, message.clone())
                }
                Owed::Effect { .. } => continue,
            };
            let message = if row.attempts > 1 && env.mutation == Some(Mutation::ResentAsNew) {
                Rc::new(Message { id: format!("{}#{}", message.id, row.attempts), ..(*message).clone() })
            } else {
                message
            };
            if let Content::Voted(signed) = &message.content {
                env.outside.people.newest_vote = Some(signed.clone());
            }
            let number = env.log.store(to, message);
            env.soon(&row.id, Event::Delivery(number));
            if env.strikes(Site::PublishUnconfirmed, &row.id) {
                continue;
            }
            let forget = self.work_of(n, Job::Forget);
            let Some(replica) = self.replicas.get_mut(n) else { return };
            if replica.published.is_empty() {
                env.at(env.now + FORGET_AFTER, forget);
            }
            replica.published.push(row.seq);
        }
    }

    /// What cannot be removed is sent again by whoever claims it.
    pub(super) fn forget(&mut self, env: &Env, n: usize) {
        let Some(replica) = self.replicas.get_mut(n) else { return };
        let published = std::mem::take(&mut replica.published);
        if env.store_fate() != StoreFate::Away {
            self.store.delete_published(&published);
        }
    }

    /// Renews the row's lease. A store that does not answer has not given it to anybody else either.
    fn is_still_held(&mut self, env: &Env, row: &Row<A::Effect>, until: Time) -> bool {
        match env.store_fate() {
            StoreFate::Well => self.store.renew(row, until),
            StoreFate::Away => true,
            StoreFate::Unanswered => {
                self.store.renew(row, until);
                true
            }
        }
    }

    /// Begins an effect, if it is still this process's.
    pub(super) fn begin(&mut self, env: &mut Env, n: usize, number: u64) {
        let now = self.clock(env, n);
        let Some(replica) = self.replicas.get_mut(n) else { return };
        let Some((row, held_since)) = replica.tries.remove(&number) else { return };
        let may_be_lost = env.now - held_since > LEASE / RENEWALS_PER_LEASE;
        let is_checked = env.mutation != Some(Mutation::LeaseUnchecked);
        if may_be_lost && is_checked && !self.is_still_held(env, &row, now + LEASE) {
            return env.trace.say(env.now, || format!("{}-{n} leaves {} to who holds it now", self.role, row.id));
        }
        let Some(replica) = self.replicas.get_mut(n) else { return };
        replica.calls.insert(number);
        let (life, skew, id) = (replica.life, replica.skew, row.id.clone());
        let call = UnderWay { row, replica: n, life, skew, looks: 0, fate: None, result: None, outcome: None };
        self.calls.insert(number, call);
        env.soon(&id, Event::Arrives(self.role, number));
        let keep = self.work_of(n, Job::Keep(number));
        env.at(env.now + LEASE / RENEWALS_PER_LEASE, keep);
    }

    /// The call is at the provider, whatever has become of the caller.
    pub(super) fn perform(&mut self, env: &mut Env, number: u64) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        let Owed::Effect { body, .. } = &call.row.owed else { return };
        let about = format!("{}, attempt {}", call.row.id, call.row.attempts);
        let is_first = call.fate.is_none();
        let fate = match (call.fate, self.performer.provider(body)) {
            (Some(fate), _) => fate,
            (None, Some(provider)) => env.fate(provider, &about),
            (None, None) => Fate::Well,
        };
        call.fate = Some(fate);
        if let (Fate::Late(late), true) = (fate, is_first) {
            return env.at(env.now + late, Event::Arrives(self.role, number));
        }
        let again = |reason: &str| Err(Fault::Again { reason: reason.to_owned() });
        let (result, after) = match fate {
            Fate::Refused => (again("503"), TimeDelta::zero()),
            Fate::Silent => (again("no answer"), CALL_WITHIN),
            Fate::Well | Fate::Late(_) | Fate::Unanswered => {
                let has_key = env.mutation != Some(Mutation::CalledWithoutKey);
                let attempt = if has_key { call.row.attempts } else { 1 };
                let now = env.now + call.skew;
                let asked = Call { id: &call.row.id, tenant: &call.row.tenant, body, attempt, looks: call.looks, now };
                match self.performer.perform(env, &asked) {
                    Progress::LooksAgain(after) => {
                        call.looks += 1;
                        return env.at(env.now + after, Event::Arrives(self.role, number));
                    }
                    Progress::Ends { .. } if fate == Fate::Unanswered => (again("the answer was lost"), CALL_WITHIN),
                    Progress::Ends { result, after } => (result, after),
                }
            }
        };
        call.result = Some(result);
        let (n, life) = (call.replica, call.life);
        let is_waited_for = self.replicas.get(n).is_some_and(|replica| replica.life == life && replica.calls.contains(&number));
        if is_waited_for {
            let event = self.work_of(n, Job::Ended(number));
            env.at(env.now + after + ms(1), event);
        } else {
            self.calls.remove(&number);
        }
    }

    /// The provider has answered, or was given up.
    pub(super) fn ended(&mut self, env: &mut Env, n: usize, number: u64) {
        let now = self.clock(env, n);
        let is_waited_for = self.replicas.get(n).is_some_and(|replica| replica.calls.contains(&number));
        let Some(call) = self.calls.get_mut(&number).filter(|_| is_waited_for) else { return };
        let Owed::Effect { body, .. } = &call.row.owed else { return };
        let waited = now - call.row.created_at;
        let outcome = match call.result.take() {
            None => return,
            Some(Ok(outcome)) => Ok(outcome),
            Some(Err(Fault::Again { reason })) if waited < self.performer.patience(body) => {
                let doublings = call.row.attempts.saturating_sub(1).min(7);
                let wait = ms(BACKOFF_FIRST.num_milliseconds() << doublings).min(BACKOFF_MAX);
                if env.store_fate() != StoreFate::Away {
                    self.store.renew(&call.row, now + wait);
                }
                env.trace.say(env.now, || format!("{} is tried again later: {reason}", call.row.id));
                return self.settled(n, number);
            }
            Some(Err(Fault::Again { reason })) => {
                Err(Failure { reason: format!("{reason} (given up after {} s)", waited.num_seconds()) })
            }
            Some(Err(Fault::Never { reason })) => Err(Failure { reason }),
        };
        call.outcome = Some(outcome);
        self.hand_back(env, n, number);
    }

    /// Gives the outcome to the agent.
    pub(super) fn hand_back(&mut self, env: &mut Env, n: usize, number: u64) {
        let is_waited_for = self.replicas.get(n).is_some_and(|replica| replica.calls.contains(&number));
        let Some(call) = self.calls.get(&number).filter(|_| is_waited_for) else { return };
        let (Owed::Effect { name, .. }, Some(result)) = (&call.row.owed, call.outcome.clone()) else { return };
        let input = Input::Outcome { effect: name.clone(), claim: call.row.attempts, result };
        let (tenant, locator) = (call.row.tenant.clone(), Locator::Id(call.row.entity.clone()));
        self.enqueue(env, n, Item { tenant, locator, input, reply: Reply::Effect(number) });
    }

    pub(super) fn hand_back_later(&self, env: &mut Env, n: usize, number: u64) {
        let event = self.work_of(n, Job::HandBack(number));
        env.at(env.now + BACKOFF_FIRST, event);
    }

    /// Nobody waits for the call any more.
    pub(super) fn settled(&mut self, n: usize, number: u64) {
        self.calls.remove(&number);
        if let Some(replica) = self.replicas.get_mut(n) {
            replica.calls.remove(&number);
        }
    }

    /// Renews the lease of an effect that takes its time; somebody else's is let go.
    pub(super) fn keep(&mut self, env: &mut Env, n: usize, number: u64) {
        let until: Time = self.clock(env, n) + LEASE;
        let is_waited_for = self.replicas.get(n).is_some_and(|replica| replica.calls.contains(&number));
        let Some(call) = self.calls.get(&number).filter(|_| is_waited_for) else { return };
        let row = call.row.clone();
        let is_held = self.is_still_held(env, &row, until) || env.mutation == Some(Mutation::LeaseUnchecked);
        if is_held {
            let event = self.work_of(n, Job::Keep(number));
            env.at(env.now + LEASE / RENEWALS_PER_LEASE, event);
        } else if let Some(replica) = self.replicas.get_mut(n) {
            replica.calls.remove(&number);
        }
    }
}
