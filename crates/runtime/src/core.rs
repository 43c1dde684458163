//! What the parts of a running service share.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use bus::Bus;
use incident::agent::Agent;
use incident::task::Role;
use store::{OutboxRow, Owed, Store};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::beside::Beside;
use crate::lanes::Work;
use crate::lifecycle::Lifecycle;
use crate::recent::Recent;
use crate::room::Room;

/// Where facts are published.
const FACTS: &str = "fact.";
/// Commits whose messages wait to be published; past that, committing waits, and the lanes with it.
const COMMITS_WAITING_MAX: usize = 64;
/// The same of their size: one commit may have some hundred facts of some kilobytes, and the bus may be slow.
const KIB_WAITING_MAX: u32 = 256;

pub(crate) struct Core<A: Agent> {
    pub(crate) role: Role,
    pub(crate) agent: A,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) life: Lifecycle,
    pub(crate) recent: Recent<A::State>,
    pub(crate) beside: Beside<A::State>,
    /// How long outbox rows and timers stay with this process before another may take them.
    pub(crate) lease: Duration,
    /// Between two audits.
    pub(crate) audit_every: Duration,
    pub(crate) lanes: Vec<mpsc::Sender<Work<A>>>,
    /// Messages that somebody waits for.
    pub(crate) messages: Outlet,
    /// What happened, which nobody waits for.
    pub(crate) facts: Outlet,
    /// What is to be done, with the moment from which its lease counts.
    pub(crate) effects: mpsc::Sender<(OutboxRow, Instant)>,
}

/// What one commit wants published.
pub(crate) struct Claimed {
    pub(crate) rows: Vec<OutboxRow>,
    /// The leases count from here.
    pub(crate) at: Instant,
    _place: OwnedSemaphorePermit,
}

/// The way to a publisher.
pub(crate) struct Outlet {
    publisher: mpsc::Sender<Claimed>,
    room: Room,
}

impl Outlet {
    /// And its other end.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Claimed>) {
        let (publisher, waiting) = mpsc::channel(COMMITS_WAITING_MAX);
        (Self { publisher, room: Room::new(KIB_WAITING_MAX) }, waiting)
    }

    /// Waits while there is no room, which holds the lane back.
    async fn put(&self, rows: Vec<OutboxRow>, at: Instant) {
        if rows.is_empty() {
            return;
        }
        let body = |row: &OutboxRow| match &row.owed {
            Owed::Publication(publication) => publication.body.len(),
            Owed::Effect { .. } => 0,
        };
        let place = self.room.place(rows.iter().map(body).sum()).await;
        let _ = self.publisher.send(Claimed { rows, at, _place: place }).await;
    }
}

impl<A: Agent> Core<A> {
    /// Puts an input on its entity's lane; waits while the lane is full, which holds the bus back.
    pub(crate) async fn enqueue(&self, work: Work<A>) {
        let mut hash = DefaultHasher::new();
        (&work.tenant, &work.locator).hash(&mut hash);
        let lanes = u64::try_from(self.lanes.len()).unwrap_or(1).max(1);
        let lane = usize::try_from(hash.finish() % lanes).ok().and_then(|n| self.lanes.get(n));
        if let Some(lane) = lane {
            // Closed only when the process stops; the bus or the row keeps the input.
            let _ = lane.send(work).await;
        }
    }

    /// Hands rows that this process holds to those who do them. If the process stops first, the leases run out.
    pub(crate) async fn relay(&self, rows: Vec<OutboxRow>) {
        let (mut messages, mut facts, mut effects) = (vec![], vec![], vec![]);
        for row in rows {
            match &row.owed {
                Owed::Publication(publication) if publication.subject.starts_with(FACTS) => facts.push(row),
                Owed::Publication(_) => messages.push(row),
                Owed::Effect { .. } => effects.push(row),
            }
        }
        let claimed = Instant::now();
        self.messages.put(messages, claimed).await;
        for effect in effects {
            let _ = self.effects.send((effect, claimed)).await;
        }
        self.facts.put(facts, claimed).await;
    }
}
