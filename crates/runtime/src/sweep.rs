//! The sweep: takes timers that are due, and outbox rows whose holder went away, and puts them to work.

use std::sync::Arc;
use std::time::Duration;

use incident::agent::{Agent, Locator};
use incident::handling::Input;
use store::Owed;

use crate::core::Core;
use crate::lanes::{Reply, Work};
use crate::perform::chain;
use crate::{clock, metrics};

/// How late a timer may fire. Ours wait seconds and minutes.
const EVERY: Duration = Duration::from_millis(250);
/// Taken in one sweep, so that one process does not take what it cannot do within a lease.
const ROWS_MAX: u32 = 64;

/// Sweeps between two counts of what is owed: every ten seconds, for a gauge that people look at every minute.
const SWEEPS_PER_COUNT: u32 = 40;

/// Sweeps until the process stops.
pub(crate) async fn run<A: Agent>(core: Arc<Core<A>>) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for sweeps in (0..SWEEPS_PER_COUNT).cycle() {
        tokio::select! {
            _ = tick.tick() => {}
            () = core.life.stopping() => break,
        }
        if sweeps == 0 {
            count(&core).await;
            core.store.close_idle();
        }
        // A full sweep left something behind: a backlog goes as fast as lanes and bus take it.
        while !core.life.is_stopping() {
            match sweep(&core).await {
                Ok(Swept::Full) => {}
                Ok(Swept::All) => break,
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(role = core.role.as_str(), error, "the store could not be swept; trying again");
                    break;
                }
            }
        }
    }
    Ok(())
}

/// What is still to be done, for people: a backlog that only grows means that something owed is not delivered.
async fn count<A: Agent>(core: &Core<A>) {
    // A store that does not answer shows in the sweep that follows.
    let Ok(backlog) = core.store.backlog().await else { return };
    for (part, rows) in [("outbox", backlog.outbox), ("timers", backlog.timers)] {
        metrics::BACKLOG.with_label_values(&[core.role.as_str(), part]).set(i64::try_from(rows).unwrap_or(i64::MAX));
    }
}

/// Whether there may be more.
enum Swept {
    All,
    Full,
}

async fn sweep<A: Agent>(core: &Core<A>) -> Result<Swept, store::StoreError> {
    if !core.store.is_due(clock::now()).await? {
        return Ok(Swept::All);
    }
    let timers = core.store.claim_timers(ROWS_MAX, core.lease, clock::now()).await?;
    let full = usize::try_from(ROWS_MAX).unwrap_or(usize::MAX);
    let mut is_full = timers.len() >= full;
    for timer in timers {
        let work = Work {
            tenant: timer.tenant,
            locator: Locator::Id(timer.entity),
            input: Input::Timer { name: timer.name, due: timer.due },
            trace: timer.trace,
            reply: Reply::Row,
        };
        core.enqueue(work).await;
    }
    let left = core.store.claim_outbox(ROWS_MAX, core.lease, clock::now()).await?;
    metrics::SWEPT.with_label_values(&[core.role.as_str()]).inc_by(u64::try_from(left.len()).unwrap_or(0));
    // Effects wait for a place meanwhile. Who looked again at once would claim those that wait, and nobody would ever do them.
    is_full |= left.iter().filter(|row| matches!(row.owed, Owed::Publication(_))).count() >= full;
    core.relay(left).await;
    Ok(if is_full { Swept::Full } else { Swept::All })
}
