//! Writing: whatever waits goes into one statement. A task that loses its race is taken out and decided on again; the others are
//! stored.

use std::sync::Arc;
use std::time::Duration;

use a2a::{A2aError, Part, TaskState};
use store::StoreError;
use store::a2a::TaskWrite;

use crate::case::Found;
use crate::core::{Core, chain};
use crate::engine::Inner;
use crate::live::Live;
use crate::{Executor, Update, Updates, execution};

/// While Postgres is away, it is asked again after this; the pause doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A task on its way to the table.
type Item = (Arc<Live>, TaskWrite);

/// Writes until the queue is closed.
pub(crate) async fn run<E: Executor>(engine: Arc<Inner<E>>) {
    while let Some(lives) = engine.core.queue.take().await {
        let mut items: Vec<Item> = lives.into_iter().filter_map(prepare).collect();
        // In one order everywhere, so that two writers cannot block each other.
        items.sort_unstable_by(|(one, _), (other, _)| one.key().cmp(other.key()));
        if !items.is_empty() {
            write(&engine, items).await;
        }
    }
}

fn prepare(live: Arc<Live>) -> Option<Item> {
    let drafted = live.draft().and_then(|draft| {
        let Some(draft) = draft else { return Ok(None) };
        let document = draft.document.map(|task| serde_json::to_string(&*task)).transpose();
        let document = document.map_err(|error| A2aError::internal(error.to_string()))?;
        Ok(Some(TaskWrite { document, ..draft.write }))
    });
    match drafted {
        Ok(write) => write.map(|write| (live, write)),
        Err(error) => {
            // Values that were read from JSON can be written as JSON.
            tracing::error!(task.id = live.key().id, error = error.message, "a task cannot be written as JSON");
            None
        }
    }
}

async fn write<E: Executor>(engine: &Arc<Inner<E>>, items: Vec<Item>) {
    let (lives, batch): (Vec<_>, Vec<_>) = items.into_iter().unzip();
    match submit(engine, &batch).await {
        Ok(lost) => {
            let mut is_posted = false;
            for (place, (live, write)) in lives.into_iter().zip(batch).enumerate() {
                if lost.iter().any(|lost| lost.place == place) {
                    recover(engine, live, write);
                    continue;
                }
                is_posted |= write.pushes > 0 && write.events.is_some();
                if let Some(start) = live.committed(write.document.as_ref().map(String::len)) {
                    execution::spawn(engine, live, start);
                }
            }
            if is_posted {
                engine.core.posts.notify_one();
            }
        }
        Err(error) => give_up(engine, lives, batch, &error).await,
    }
}

/// Tries until Postgres answers, or this process stops for good; not again what is too much for one statement. What went through without an answer shows as lost the next time, and
/// is found then.
async fn submit<E: Executor>(engine: &Inner<E>, batch: &[TaskWrite]) -> Result<Vec<store::a2a::Lost>, StoreError> {
    let core = &engine.core;
    let mut pause = PAUSE;
    loop {
        match core.store.write_tasks(&core.agent, core.surroundings.now(), batch).await {
            Err(error) if error.is_transient() && !is_too_much(&error, batch) && !core.hard_stop.is_cancelled() => {
                tracing::warn!(error = chain(&error), tasks = batch.len(), "tasks could not be written; trying again");
            }
            answered => return answered,
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = core.hard_stop.cancelled() => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Whether fewer tasks at once might go through.
fn is_too_much(error: &StoreError, batch: &[TaskWrite]) -> bool {
    error.is_cut_off() && batch.len() > 1
}

/// Something in the batch cannot be stored, or all of it takes too long: each task is tried alone, so that only the one to blame suffers.
async fn give_up<E: Executor>(engine: &Arc<Inner<E>>, lives: Vec<Arc<Live>>, batch: Vec<TaskWrite>, error: &StoreError) {
    if error.is_transient() && !is_too_much(error, &batch) {
        // This process stops; another goes on from what is stored.
        tracing::warn!(error = chain(error), tasks = lives.len(), "tasks could not be written before the stop");
        return;
    }
    if batch.len() > 1 {
        for item in lives.into_iter().zip(batch) {
            Box::pin(write(engine, vec![item])).await;
        }
        return;
    }
    for (live, write) in lives.into_iter().zip(batch) {
        tracing::error!(task.id = live.key().id, error = chain(error), "a task could not be written");
        forsake(engine, live, write);
    }
}

/// Takes back what cannot be stored, and lets the task fail: nobody could go on with it.
fn forsake<E: Executor>(engine: &Arc<Inner<E>>, live: Arc<Live>, write: TaskWrite) {
    let inner = Arc::clone(engine);
    engine.executions.spawn(async move {
        let Some(found) = found(&inner, &live, &write).await else { return };
        let is_there = found.task.is_some();
        live.forsake(found);
        // If not even that can be stored, it is left alone.
        if is_there && write.state != TaskState::Failed.as_str() {
            let updates = Updates::outside(live);
            let message = updates.message(vec![Part::text("the task could not be stored")]);
            if let Err(refused) = updates.report(Update::say(TaskState::Failed, message)).await {
                tracing::info!(error = refused.message, "the failure could not be reported");
            }
        }
    });
}

/// Finds out what happened to a write that was refused, and goes on from there. In the background: others wait for the writer.
fn recover<E: Executor>(engine: &Arc<Inner<E>>, live: Arc<Live>, write: TaskWrite) {
    tracing::debug!(task.id = live.key().id, "a write lost its race");
    let inner = Arc::clone(engine);
    engine.executions.spawn(async move {
        let Some(found) = found(&inner, &live, &write).await else { return };
        if let Some(start) = live.recover(&write, found) {
            execution::spawn(&inner, live, start);
        }
    });
}

/// What the table says after a write was refused. None if this process stops first.
async fn found<E: Executor>(engine: &Inner<E>, live: &Live, write: &TaskWrite) -> Option<Found> {
    let mut pause = PAUSE;
    loop {
        match find(&engine.core, live, write).await {
            Ok(found) => return Some(found),
            Err(error) => tracing::warn!(error = error.message, task.id = live.key().id, "a task could not be read again"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = engine.core.hard_stop.cancelled() => return None,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The message first: whatever is true of it then, the task that is read after it knows.
async fn find(core: &Core, live: &Live, write: &TaskWrite) -> Result<Found, A2aError> {
    let fault = |error: StoreError| crate::core::fault(&error);
    let message = match &write.message {
        Some(key) => {
            let record = core.store.taken_message(&core.agent, &write.key.tenant, &key.sender, &key.message_id);
            record.await.map_err(fault)?
        }
        None => None,
    };
    let after = live.look(|case| case.stored().seq);
    let next = match &write.events {
        Some(_) => core.store.task_events(&core.agent, &write.key, after, 1).await.map_err(fault)?.pop(),
        None => None,
    };
    Ok(Found { task: core.load(&write.key).await?, next, message })
}
