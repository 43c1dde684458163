//! What is looked after regularly: that this process counts as alive, that work of dead ones goes on, and that what other processes
//! did to tasks which are watched here is noticed.

use std::sync::Arc;

use a2a::A2aError;
use store::StoreError;
use store::a2a::TaskKey;
use tokio::time::{Instant, MissedTickBehavior};

use crate::case::Case;
use crate::core::{Core, chain};
use crate::engine::Inner;
use crate::limits::{COMPARED_MAX, HELD_MAX, TAKE_OVER_MAX};
use crate::live::Live;
use crate::{Executor, execution};

/// A process says that it is alive this many times before its lease is over.
const BEATS_PER_LEASE: u32 = 3;

/// Says that this process is alive.
pub(crate) async fn beat(core: &Core) -> Result<(), StoreError> {
    core.store.beat(&core.agent, &core.us, core.surroundings.now() + core.limits.lease).await
}

/// Goes on saying that this process is alive until all work under way has ended. Waits for nothing else: whoever is late is taken for
/// dead.
pub(crate) async fn keep_alive<E: Executor>(engine: Arc<Inner<E>>) {
    let core = &engine.core;
    let mut pause = core.limits.lease / BEATS_PER_LEASE;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = core.queue.closed() => return,
        }
        pause = core.limits.lease / BEATS_PER_LEASE;
        if let Err(error) = beat(core).await {
            tracing::warn!(error = chain(&error), "this process could not say that it is alive");
            pause = pause.min(core.limits.look_every);
        }
    }
}

/// Looks until the engine stops.
pub(crate) async fn run<E: Executor>(engine: Arc<Inner<E>>) {
    let core = &engine.core;
    let mut ticks = tokio::time::interval(core.limits.look_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut remembered = Instant::now();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = core.stopping.cancelled() => return,
        }
        let look = core.look();
        // Rarer, because nothing should be found.
        let is_forgetful = remembered.elapsed() >= core.limits.lease;
        if let Err(error) = look_around(&engine, look, is_forgetful).await {
            tracing::warn!(error = chain(&error), "other processes could not be looked for");
        }
        if is_forgetful {
            remembered = Instant::now();
        }
    }
}

async fn look_around<E: Executor>(engine: &Arc<Inner<E>>, look: u64, is_forgetful: bool) -> Result<(), StoreError> {
    take_over(engine).await?;
    notice(engine, look).await?;
    if is_forgetful { remember(engine).await } else { Ok(()) }
}

/// Begins anew what dead processes left behind.
async fn take_over<E: Executor>(engine: &Arc<Inner<E>>) -> Result<(), StoreError> {
    let core = &engine.core;
    let keys = core.store.take_over(&core.agent, &core.us, core.surroundings.now(), TAKE_OVER_MAX).await?;
    if !keys.is_empty() {
        tracing::info!(tasks = keys.len(), "took tasks over from a dead process");
    }
    begin_all(engine, keys).await;
    Ok(())
}

/// Begins what this process is to work on and does not, because something went wrong between the table and here.
async fn remember<E: Executor>(engine: &Arc<Inner<E>>) -> Result<(), StoreError> {
    let core = &engine.core;
    let mut keys = core.store.held_tasks(&core.us, HELD_MAX).await?;
    keys.retain(|key| core.registry.find(key).is_none_or(|live| live.look(Case::is_free)));
    begin_all(engine, keys).await;
    Ok(())
}

async fn begin_all<E: Executor>(engine: &Arc<Inner<E>>, keys: Vec<TaskKey>) {
    for key in keys {
        if let Err(error) = begin(engine, &key).await {
            tracing::warn!(error = error.message, task.id = key.id, "a task could not be read; its work begins later");
        }
    }
}

async fn begin<E: Executor>(engine: &Arc<Inner<E>>, key: &TaskKey) -> Result<(), A2aError> {
    let Some(live) = engine.core.live(key).await? else { return Ok(()) };
    // It may have been in memory before, as it was then.
    engine.read(&live).await?;
    if let Some(start) = live.start() {
        execution::spawn(engine, live, start);
    }
    Ok(())
}

/// Reads what others wrote of the tasks in memory.
async fn notice<E: Executor>(engine: &Arc<Inner<E>>, look: u64) -> Result<(), StoreError> {
    let core = &engine.core;
    let lives: Vec<(Arc<Live>, i64)> =
        core.registry.all().into_iter().filter_map(|live| live.is_stale(look).map(|revision| (live, revision))).collect();
    for some in lives.chunks(COMPARED_MAX) {
        let known: Vec<_> = some.iter().map(|(live, revision)| (&**live.key(), *revision)).collect();
        for place in core.store.changed_tasks(&core.agent, &known).await? {
            let Some((live, _)) = some.get(place) else { continue };
            match core.load(live.key()).await {
                Ok(Some(loaded)) => engine.refresh(live, loaded),
                Ok(None) => {}
                Err(error) => tracing::warn!(error = error.message, task.id = live.key().id, "a task could not be read"),
            }
        }
    }
    Ok(())
}
