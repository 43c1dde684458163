//! One service's memory, as Postgres keeps it: each call is one transaction, whole or not at all. The rules are those of
//! `commit_decision` and of the claims in `crates/store`; a lost race writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use chrono::TimeDelta;
use incident::agent::{Agent, LOOK, Locator, Message};
use incident::handling::{CommitOf, Input, Loaded, Stored};
use incident::id::TenantId;
use incident::record::Record;
use incident::task::Role;

use crate::mutation::Mutation;
use crate::scene::Time;

/// Taken in one sweep.
const ROWS_MAX: usize = 64;

/// An id within its tenant.
type Id = (TenantId, String);

/// What is owed to the outside.
#[derive(Debug, Clone)]
pub(crate) enum Owed<E> {
    /// A message, published at once.
    Message { to: Role, message: Rc<Message> },
    /// A fact, published a little later.
    Fact { message: Rc<Message> },
    /// An effect.
    Effect { name: String, body: E },
}

/// A row of the outbox as its holder has it.
#[derive(Debug, Clone)]
pub(crate) struct Row<E> {
    /// Its place, and what it is known by.
    pub(crate) seq: u64,
    pub(crate) tenant: TenantId,
    pub(crate) id: String,
    pub(crate) entity: String,
    /// How often it was claimed: the token of the lease.
    pub(crate) attempts: u32,
    pub(crate) created_at: Time,
    pub(crate) owed: Owed<E>,
    lease_until: Time,
}

#[derive(Debug, Clone, Copy)]
struct TimerRow {
    due: Time,
    lease_until: Time,
}

/// A timer that is due.
#[derive(Debug, Clone)]
pub(crate) struct DueTimer {
    pub(crate) tenant: TenantId,
    pub(crate) entity: String,
    pub(crate) name: String,
    pub(crate) due: Time,
}

/// What a commit came to.
pub(crate) enum Outcome<E> {
    /// Durable, with the outbox rows that are new.
    Done(Vec<Row<E>>),
    /// Somebody was faster.
    Lost,
}

/// What comes with a commit from its process.
pub(crate) struct Writer {
    pub(crate) tenant: TenantId,
    pub(crate) now: Time,
    pub(crate) lease: TimeDelta,
}

pub(crate) struct Store<A: Agent> {
    entities: BTreeMap<Id, Stored<A::State>>,
    /// Which entity is open under a key.
    open: BTreeMap<Id, String>,
    /// Which was the last that was.
    past: BTreeMap<Id, String>,
    inbox: HashSet<Id>,
    timers: BTreeMap<(TenantId, String, String), TimerRow>,
    outbox: BTreeMap<u64, Row<A::Effect>>,
    next: u64,
    records: BTreeMap<TenantId, Vec<Record>>,
    mutation: Option<Mutation>,
}

impl<A: Agent> Store<A> {
    pub(crate) fn new(mutation: Option<Mutation>) -> Self {
        Self {
            entities: BTreeMap::new(),
            open: BTreeMap::new(),
            past: BTreeMap::new(),
            inbox: HashSet::new(),
            timers: BTreeMap::new(),
            outbox: BTreeMap::new(),
            next: 0,
            records: BTreeMap::new(),
            mutation,
        }
    }

    fn lacks(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    pub(crate) fn load(&self, tenant: &TenantId, locator: &Locator, inputs: &[Input<A::Outcome>]) -> Loaded<A::State> {
        let id = match locator {
            Locator::Id(id) => Some(id.clone()),
            Locator::Open(key) => self.open.get(&(tenant.clone(), key.clone())).cloned(),
            Locator::Last(key) => {
                let key = (tenant.clone(), key.clone());
                self.open.get(&key).or_else(|| self.past.get(&key)).cloned()
            }
        };
        let stored = id.as_ref().and_then(|id| self.entities.get(&(tenant.clone(), id.clone()))).cloned();
        let entity = id.unwrap_or_default();
        let mut before: BTreeSet<&str> = BTreeSet::new();
        let mut handled = vec![];
        for input in inputs {
            handled.push(match input {
                Input::Message(message) => {
                    let again = !before.insert(&message.id) || self.inbox.contains(&(tenant.clone(), message.id.clone()));
                    again && !self.lacks(Mutation::InboxUnchecked)
                }
                Input::Timer { name, due } => !self.stands(tenant, &entity, name, *due),
                Input::Outcome { effect, claim, .. } => self.owed(tenant, &entity, (effect, *claim)).is_none(),
            });
        }
        Loaded { stored, handled, beside: None }
    }

    fn stands(&self, tenant: &TenantId, entity: &str, name: &str, due: Time) -> bool {
        let row = self.timers.get(&(tenant.clone(), entity.to_owned(), name.to_owned()));
        self.lacks(Mutation::TimerUnchecked) || row.is_some_and(|row| row.due == due)
    }

    /// The effect's row, if it is still held under this claim.
    fn owed(&self, tenant: &TenantId, entity: &str, (effect, claim): (&str, u32)) -> Option<u64> {
        let is_held = |row: &Row<A::Effect>| row.attempts == claim;
        let is_it = |row: &&Row<A::Effect>| {
            row.entity == entity
                && row.tenant == *tenant
                && is_held(row)
                && matches!(&row.owed, Owed::Effect { name, .. } if name == effect)
        };
        self.outbox.values().find(is_it).map(|row| row.seq)
    }

    /// Writes a decision, if nothing that it rests on has changed.
    pub(crate) fn commit(
        &mut self,
        writer: &Writer,
        commit: CommitOf<A>,
        owed: Vec<(String, Owed<A::Effect>)>,
    ) -> Outcome<A::Effect> {
        if !self.holds(&writer.tenant, &commit) {
            return Outcome::Lost;
        }
        let id = (writer.tenant.clone(), commit.id.clone());
        for input in &commit.handled {
            match input {
                Input::Message(message) => {
                    self.inbox.insert((writer.tenant.clone(), message.id.clone()));
                }
                Input::Timer { name, .. } => {
                    self.timers.remove(&(writer.tenant.clone(), commit.id.clone(), name.clone()));
                }
                Input::Outcome { effect, claim, .. } => {
                    if let Some(seq) = self.owed(&writer.tenant, &commit.id, (effect, *claim)) {
                        self.outbox.remove(&seq);
                    }
                }
            }
        }
        if let Some(entity) = commit.next {
            let before = self.entities.get(&id);
            if let Some(key) = before.and_then(|before| before.entity.open_key.clone()) {
                let key = (writer.tenant.clone(), key);
                self.open.remove(&key);
                if entity.open_key.is_none() {
                    self.past.insert(key, entity.id.clone());
                }
            }
            if let Some(key) = &entity.open_key {
                self.open.insert((writer.tenant.clone(), key.clone()), entity.id.clone());
            }
            let revision = before.map_or(0, |before| before.revision) + 1;
            self.entities.insert(id, Stored { entity, revision });
        }
        if commit.rouses {
            self.rouse(writer);
        }
        let timers = if self.lacks(Mutation::TimersLost) { vec![] } else { commit.timers };
        for timer in timers {
            let key = (writer.tenant.clone(), commit.id.clone(), timer.name);
            match timer.at {
                Some(due) => self.timers.insert(key, TimerRow { due, lease_until: Time::UNIX_EPOCH }),
                None => self.timers.remove(&key),
            };
        }
        self.records.entry(writer.tenant.clone()).or_default().extend(commit.records);
        Outcome::Done(self.owe(writer, &commit.id, owed))
    }

    /// Every open entity of the tenant looks again.
    fn rouse(&mut self, writer: &Writer) {
        let open = self.entities.iter().filter(|((of, _), stored)| *of == writer.tenant && stored.entity.open_key.is_some());
        let keys: Vec<_> = open.map(|((tenant, id), _)| (tenant.clone(), id.clone(), LOOK.to_owned())).collect();
        for key in keys {
            self.timers.insert(key, TimerRow { due: writer.now, lease_until: Time::UNIX_EPOCH });
        }
    }

    /// Whether the race is won: the entity is as it was read, no other is open under its key, and no input was handled.
    fn holds(&self, tenant: &TenantId, commit: &CommitOf<A>) -> bool {
        let revision = self.entities.get(&(tenant.clone(), commit.id.clone())).map(|stored| stored.revision);
        if revision != commit.expected && !self.lacks(Mutation::RevisionUnchecked) {
            return false;
        }
        let key = commit.next.as_ref().and_then(|next| next.open_key.clone());
        let holder = key.and_then(|key| self.open.get(&(tenant.clone(), key)));
        if holder.is_some_and(|holder| *holder != commit.id) {
            return false;
        }
        let mut seen = BTreeSet::new();
        commit.handled.iter().all(|input| match input {
            Input::Message(message) => {
                let is_new = seen.insert(&message.id) && !self.inbox.contains(&(tenant.clone(), message.id.clone()));
                is_new || self.lacks(Mutation::InboxUnchecked)
            }
            Input::Timer { name, due } => self.stands(tenant, &commit.id, name, *due),
            Input::Outcome { effect, claim, .. } => self.owed(tenant, &commit.id, (effect, *claim)).is_some(),
        })
    }

    fn owe(&mut self, writer: &Writer, entity: &str, owed: Vec<(String, Owed<A::Effect>)>) -> Vec<Row<A::Effect>> {
        let mut rows = vec![];
        for (id, owed) in owed {
            if self.outbox.values().any(|row| row.id == id && row.tenant == writer.tenant) {
                continue;
            }
            self.next += 1;
            let row = Row {
                seq: self.next,
                tenant: writer.tenant.clone(),
                id,
                entity: entity.to_owned(),
                attempts: 1,
                created_at: writer.now,
                owed,
                lease_until: writer.now + writer.lease,
            };
            self.outbox.insert(row.seq, row.clone());
            rows.push(row);
        }
        rows
    }

    /// Rows that nobody holds at `now`, oldest lease first; held by the caller from here on.
    pub(crate) fn claim_outbox(&mut self, now: Time, lease: TimeDelta) -> Vec<Row<A::Effect>> {
        let mut due: Vec<(Time, u64)> =
            self.outbox.values().filter(|row| row.lease_until <= now).map(|row| (row.lease_until, row.seq)).collect();
        due.sort_unstable();
        due.truncate(ROWS_MAX);
        due.sort_unstable_by_key(|(_, seq)| *seq);
        let mut rows = vec![];
        for (_, seq) in due {
            if let Some(row) = self.outbox.get_mut(&seq) {
                row.attempts += 1;
                row.lease_until = now + lease;
                rows.push(row.clone());
            }
        }
        rows
    }

    /// Holds the row until then, if the caller still holds it.
    pub(crate) fn renew(&mut self, row: &Row<A::Effect>, until: Time) -> bool {
        match self.outbox.get_mut(&row.seq) {
            Some(held) if held.attempts == row.attempts => {
                held.lease_until = until;
                true
            }
            _ => false,
        }
    }

    /// Removes what was published, whoever holds it.
    pub(crate) fn delete_published(&mut self, published: &[u64]) {
        for seq in published {
            self.outbox.remove(seq);
        }
    }

    /// Timers that are due at `now` and that nobody holds; held by the caller from here on.
    pub(crate) fn claim_timers(&mut self, now: Time, lease: TimeDelta) -> Vec<DueTimer> {
        let mut timers: Vec<DueTimer> = vec![];
        for ((tenant, entity, name), row) in &mut self.timers {
            if row.due <= now && row.lease_until <= now {
                row.lease_until = now + lease;
                timers.push(DueTimer { tenant: tenant.clone(), entity: entity.clone(), name: name.clone(), due: row.due });
            }
        }
        timers.sort_by_key(|timer| timer.due);
        timers
    }

    /// When a sweep finds something next.
    pub(crate) fn next_due(&self) -> Option<Time> {
        let timers = self.timers.values().map(|row| row.due.max(row.lease_until));
        timers.chain(self.outbox.values().map(|row| row.lease_until)).min()
    }

    pub(crate) fn has_handled(&self, tenant: &TenantId, id: &str) -> bool {
        self.inbox.contains(&(tenant.clone(), id.to_owned()))
    }

    pub(crate) fn owes(&self) -> bool {
        !self.outbox.is_empty()
    }

    pub(crate) fn entities(&self) -> impl Iterator<Item = (&TenantId, &Stored<A::State>)> {
        self.entities.iter().map(|((tenant, _), stored)| (tenant, stored))
    }

    /// When the first timer of the entity is due.
    fn deadline(&self, tenant: &TenantId, entity: &str) -> Option<Time> {
        let from = (tenant.clone(), entity.to_owned(), String::new());
        let of = self.timers.range(from..).take_while(|((t, e, _), _)| t == tenant && e == entity);
        of.map(|(_, row)| row.due).min()
    }

    /// Each open entity, when its first timer is due, and whether anything is owed for it.
    pub(crate) fn waiting(&self) -> Vec<(String, Option<Time>, bool)> {
        let open = self.entities.iter().filter(|(_, stored)| stored.entity.open_key.is_some());
        let waiting = open.map(|((tenant, id), _)| {
            let is_owed = self.outbox.values().any(|row| row.entity == *id && row.tenant == *tenant);
            (id.clone(), self.deadline(tenant, id), is_owed)
        });
        waiting.collect()
    }

    /// The state of an entity.
    pub(crate) fn state(&self, tenant: &TenantId, entity: &str) -> Option<A::State> {
        self.entities.get(&(tenant.clone(), entity.to_owned())).map(|stored| stored.entity.state.clone())
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (&TenantId, &[Record])> {
        self.records.iter().map(|(tenant, records)| (tenant, records.as_slice()))
    }
}
