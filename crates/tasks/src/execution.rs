//! Calling the executor: one call per task at a time, each of which ends, whatever the executor does.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use a2a::{A2aError, Caller, Part, TaskState};
use futures::FutureExt as _;
use tracing::Instrument as _;

use crate::case::{Case, Reporter, Start};
use crate::engine::Inner;
use crate::live::Live;
use crate::{Executor, Update, Updates, Work};

/// How a call ended.
enum Ended {
    /// It returned, or took too long.
    ByItself(Result<(), A2aError>),
    /// It was asked to stop and did not.
    BrokenOff,
}

/// Works on a task until nothing more is to be done on it.
pub(crate) fn spawn<E: Executor>(engine: &Arc<Inner<E>>, live: Arc<Live>, start: Start) {
    let inner = Arc::clone(engine);
    let span = tracing::info_span!("execute", tenant = live.key().tenant, task.id = live.key().id, attempt = start.attempt);
    engine.executions.spawn(
        async move {
            let mut next = Some(start);
            while let Some(start) = next {
                let updates = Updates::new(Arc::clone(&live), Reporter::Execution(start.number));
                let number = start.number;
                let ended = call(&inner, &live, start, updates).await;
                finish(&live, number, ended).await;
                next = live.start();
            }
        }
        .instrument(span),
    );
}

async fn call<E: Executor>(engine: &Inner<E>, live: &Arc<Live>, start: Start, updates: Updates) -> Ended {
    let limits = &engine.core.limits;
    if start.attempt > limits.attempts_max {
        return Ended::ByItself(Err(A2aError::internal(format!(
            "the work was begun {} times and never ended",
            limits.attempts_max
        ))));
    }
    let watch = Updates::new(Arc::clone(live), Reporter::Execution(start.number));
    let work = engine.executor.execute(work(live, start), updates);
    let overdue = async {
        watch.stopped().await;
        tokio::time::sleep(limits.stop_max).await;
    };
    tokio::select! {
        // A call that is ready has ended, also if it was asked to stop.
        biased;
        result = tokio::time::timeout(limits.execution_max, AssertUnwindSafe(work).catch_unwind()) => Ended::ByItself(match result {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => {
                tracing::error!("the executor panicked");
                Err(A2aError::internal("the agent failed"))
            }
            Err(_) => Err(A2aError::internal(format!("the work took longer than {} s", limits.execution_max.as_secs()))),
        }),
        () = overdue => Ended::BrokenOff,
    }
}

fn work(live: &Live, start: Start) -> Work {
    let errand = start.errand;
    Work {
        caller: Caller { tenant: live.key().tenant.clone(), sender: live.owner.to_string(), extensions: errand.extensions },
        task: start.task,
        message: start.message,
        accepted_output_modes: errand.accepted_output_modes,
        metadata: errand.metadata,
        attempt: start.attempt,
    }
}

/// Writes down how a call ended. When this process stops, what did not come to rest is left to another.
async fn finish(live: &Arc<Live>, number: u64, ended: Ended) {
    let is_unfinished = live.core().stopping.is_cancelled() && !live.look(Case::has_rested);
    if is_unfinished {
        return live.take_part(|case| case.break_off(number));
    }
    match ended {
        Ended::ByItself(Ok(())) => {}
        Ended::ByItself(Err(error)) => fail(live, number, &error).await,
        Ended::BrokenOff => tracing::warn!("the executor did not stop when asked to; its call was broken off"),
    }
    live.take_part(|case| case.finish(number));
}

/// The task fails, unless the call has brought it to rest before.
async fn fail(live: &Arc<Live>, number: u64, error: &A2aError) {
    if live.look(Case::has_rested) {
        tracing::warn!(error = error.message, "the executor failed after the task came to rest");
        return;
    }
    tracing::warn!(error = error.message, kind = ?error.kind, "the executor failed");
    let updates = Updates::new(Arc::clone(live), Reporter::Execution(number));
    let message = updates.message(vec![Part::text(&error.message)]);
    if let Err(refused) = updates.report(Update::say(TaskState::Failed, message)).await {
        // It has ended meanwhile, or goes on elsewhere.
        tracing::info!(error = refused.message, "the failure could not be reported");
    }
}
