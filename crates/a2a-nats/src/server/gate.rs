//! How much is done at once, in all and for one sender.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use a2a::A2aError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::options::Limits;
use crate::method::Method;

/// Counts what is under way.
pub(super) struct Gate {
    operations: Arc<Queue>,
    streams: Arc<Queue>,
    bytes: Arc<Semaphore>,
    retry_after: Duration,
}

struct Queue {
    what: &'static str,
    in_all_max: usize,
    per_sender_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    in_all: usize,
    by_sender: HashMap<String, usize>,
}

/// Is given back when dropped.
pub(super) struct Pass {
    queue: Arc<Queue>,
    sender: String,
    _bytes: OwnedSemaphorePermit,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Self {
        let queue =
            |what, in_all_max, per_sender_max| Arc::new(Queue { what, in_all_max, per_sender_max, counts: Mutex::default() });
        Self {
            operations: queue("operations", limits.operations_max, limits.operations_per_sender_max),
            streams: queue("streams", limits.streams_max, limits.streams_per_sender_max),
            bytes: Arc::new(Semaphore::new(limits.requests_bytes_max)),
            retry_after: limits.retry_after,
        }
    }

    /// Lets a request of so many bytes in, or says when to come again. `sender` is `<tenant>.<sender>`.
    pub(super) fn enter(&self, method: Method, sender: &str, bytes: usize) -> Result<Pass, A2aError> {
        let permits = u32::try_from(bytes).ok();
        let room = permits.and_then(|permits| self.bytes.clone().try_acquire_many_owned(permits).ok());
        let room = room.ok_or_else(|| self.busy("too many bytes of requests"))?;
        let queue = if method.is_streaming() { &self.streams } else { &self.operations };
        let mut counts = queue.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.in_all >= queue.in_all_max {
            return Err(self.busy(&format!("too many {}", queue.what)));
        }
        if counts.by_sender.get(sender).is_some_and(|count| *count >= queue.per_sender_max) {
            return Err(self.busy(&format!("too many {} of this sender", queue.what)));
        }
        counts.in_all += 1;
        *counts.by_sender.entry(sender.to_owned()).or_default() += 1;
        Ok(Pass { queue: queue.clone(), sender: sender.to_owned(), _bytes: room })
    }

    pub(super) fn busy(&self, what: &str) -> A2aError {
        A2aError::resource_exhausted(format!("{what} at once; come again later"), Some(self.retry_after))
    }

    /// Operations and streams under way.
    pub(super) fn under_way(&self) -> (usize, usize) {
        let count = |queue: &Queue| queue.counts.lock().unwrap_or_else(PoisonError::into_inner).in_all;
        (count(&self.operations), count(&self.streams))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.queue.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.in_all -= 1;
        if let Some(count) = counts.by_sender.get_mut(&self.sender) {
            *count -= 1;
            if *count == 0 {
                counts.by_sender.remove(&self.sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use a2a::{ErrorKind, Operation};

    #[test]
    fn passes_are_bounded_in_all_and_per_sender_and_come_back() {
        let limits = Limits { operations_max: 3, operations_per_sender_max: 2, requests_bytes_max: 10, ..Limits::default() };
        let gate = Gate::new(&limits);
        let send = Method::Operation(Operation::SendMessage);
        let mut passes: Vec<Pass> = (0..2).map(|_| gate.enter(send, "acme.a", 1).unwrap()).collect();
        let refused = gate.enter(send, "acme.a", 1).err().unwrap();
        assert_eq!(refused.kind, ErrorKind::ResourceExhausted { retry_after: Some(limits.retry_after) });
        passes.push(gate.enter(send, "acme.b", 1).unwrap());
        assert!(gate.enter(send, "acme.c", 1).is_err());
        assert!(gate.enter(Method::Operation(Operation::SubscribeToTask), "acme.a", 1).is_ok());
        assert_eq!(gate.under_way(), (3, 0));
        passes.clear();
        assert_eq!(gate.under_way(), (0, 0));
        assert!(gate.enter(send, "acme.a", 10).is_ok());
        assert!(gate.enter(send, "acme.a", 11).is_err());
    }
}
