//! What the parts of a running service share.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use bus::Bus;
use incident::agent::Agent;
use incident::task::Role;
use store::{OutboxRow, Owed, Store};
use tokio::sync::mpsc;

use crate::beside::Beside;
use crate::lanes::Work;
use crate::lifecycle::Lifecycle;
use crate::recent::Recent;

/// Where facts are published.
const FACTS: &str = "fact.";

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
    /// Messages that somebody waits for, with the moment from which their leases count.
    pub(crate) messages: mpsc::Sender<(Vec<OutboxRow>, Instant)>,
    /// What happened, which nobody waits for.
    pub(crate) facts: mpsc::Sender<(Vec<OutboxRow>, Instant)>,
    /// The same of what is to be done.
    pub(crate) effects: mpsc::Sender<(OutboxRow, Instant)>,
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
        if !messages.is_empty() {
            let _ = self.messages.send((messages, claimed)).await;
        }
        for effect in effects {
            let _ = self.effects.send((effect, claimed)).await;
        }
        if !facts.is_empty() {
            let _ = self.facts.send((facts, claimed)).await;
        }
    }
}
