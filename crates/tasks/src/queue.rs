//! Tasks with something to write, waiting for a writer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::case::Case;
use crate::limits::{BATCH_BYTES_MAX, BATCH_MAX};
use crate::live::Live;

/// The queue of an engine. It is no longer than there are tasks in memory, because none stands in it twice.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<VecDeque<Arc<Live>>>,
    wake: Notify,
    closed: CancellationToken,
}

impl Queue {
    pub(crate) fn push(&self, live: Arc<Live>) {
        self.waiting().push_back(live);
        self.wake.notify_one();
    }

    /// Everything that waits, up to a batch; a single one goes at once. None when the queue was closed and is empty.
    pub(crate) async fn take(&self) -> Option<Vec<Arc<Live>>> {
        loop {
            if let Some(batch) = self.batch() {
                return Some(batch);
            }
            tokio::select! {
                // What was pushed before the queue was closed is taken before it ends.
                biased;
                () = self.wake.notified() => {}
                () = self.closed.cancelled() => return self.batch(),
            }
        }
    }

    fn batch(&self) -> Option<Vec<Arc<Live>>> {
        let mut batch = vec![];
        let mut bytes = 0;
        while batch.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
            // One by one: whoever pushes holds the task, so it must not be looked at while the queue is held.
            let Some(live) = self.waiting().pop_front() else { break };
            bytes += live.look(Case::unwritten_bytes);
            batch.push(live);
        }
        // What is left is for the other writer, which may have been told once for all of it.
        if !self.waiting().is_empty() {
            self.wake.notify_one();
        }
        (!batch.is_empty()).then_some(batch)
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Arc<Live>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the writers when all is written.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Resolves when the queue is closed.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }
}
