//! Tasks with something to write, waiting for a writer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::limits::BATCH_MAX;
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
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(live);
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
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(BATCH_MAX);
        let batch: Vec<_> = waiting.drain(..count).collect();
        // What is left is for the other writer, which may have been told once for all of it.
        if !waiting.is_empty() {
            self.wake.notify_one();
        }
        (!batch.is_empty()).then_some(batch)
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
