//! How much is done at once, in all and for one sender.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use a2a::A2aError;

use super::options::Limits;
use crate::method::Method;

/// Counts what is under way.
pub(super) struct Gate {
    operations: Arc<Meter>,
    streams: Arc<Meter>,
    bytes: Arc<Meter>,
    retry_after: Duration,
}

/// How much of one thing is taken, and how much may be.
struct Meter {
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

/// What a sender has taken of one thing. It is given back when dropped.
pub(super) struct Share {
    meter: Arc<Meter>,
    sender: String,
    amount: usize,
}

/// What a request takes while it is under way.
pub(super) struct Pass {
    /// Until everything is answered.
    pub(super) place: Share,
    /// Until the service has the request: a stream may last for days.
    pub(super) body: Share,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Self {
        let meter =
            |what, in_all_max, per_sender_max| Arc::new(Meter { what, in_all_max, per_sender_max, counts: Mutex::default() });
        Self {
            operations: meter("operations", limits.operations_max, limits.operations_per_sender_max),
            streams: meter("streams", limits.streams_max, limits.streams_per_sender_max),
            bytes: meter("bytes of requests", limits.requests_bytes_max, limits.requests_bytes_per_sender_max),
            retry_after: limits.retry_after,
        }
    }

    /// Lets a request of so many bytes in, or says when to come again. `sender` is `<tenant>.<sender>`.
    pub(super) fn enter(&self, method: Method, sender: &str, bytes: usize) -> Result<Pass, A2aError> {
        let places = if method.is_streaming() { &self.streams } else { &self.operations };
        let place = places.take(sender, 1).map_err(|what| self.busy(&what))?;
        let body = self.bytes.take(sender, bytes).map_err(|what| self.busy(&what))?;
        Ok(Pass { place, body })
    }

    pub(super) fn busy(&self, what: &str) -> A2aError {
        A2aError::resource_exhausted(format!("{what} at once; come again later"), Some(self.retry_after))
    }

    /// Operations and streams under way.
    pub(super) fn under_way(&self) -> (usize, usize) {
        (self.operations.counts().in_all, self.streams.counts().in_all)
    }
}

impl Meter {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So much for a sender, or what there is too much of.
    fn take(self: &Arc<Self>, sender: &str, amount: usize) -> Result<Share, String> {
        let mut counts = self.counts();
        let of_sender = counts.by_sender.get(sender).copied().unwrap_or_default();
        if amount > self.in_all_max.saturating_sub(counts.in_all) {
            return Err(format!("too many {}", self.what));
        }
        if amount > self.per_sender_max.saturating_sub(of_sender) {
            return Err(format!("too many {} of this sender", self.what));
        }
        counts.in_all += amount;
        counts.by_sender.insert(sender.to_owned(), of_sender + amount);
        Ok(Share { meter: self.clone(), sender: sender.to_owned(), amount })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.meter.counts();
        counts.in_all -= self.amount;
        if let Some(count) = counts.by_sender.get_mut(&self.sender) {
            *count -= self.amount;
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
        let limits = Limits { operations_max: 3, operations_per_sender_max: 2, ..Limits::default() };
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
        assert!(gate.enter(send, "acme.a", 1).is_ok());
    }

    #[test]
    fn bytes_are_bounded_in_all_and_per_sender_and_come_back_by_themselves() {
        let limits = Limits { requests_bytes_max: 10, requests_bytes_per_sender_max: 6, ..Limits::default() };
        let gate = Gate::new(&limits);
        let subscribe = Method::Operation(Operation::SubscribeToTask);
        let is_in = |sender: &str, bytes: usize| gate.enter(subscribe, sender, bytes).is_ok();
        let Pass { place: _place, body } = gate.enter(subscribe, "acme.a", 6).unwrap();
        assert!(!is_in("acme.a", 1), "one sender has so much");
        assert!(is_in("acme.a", 0) && is_in("acme.b", 4), "and keeps nobody out");
        assert!(!is_in("acme.b", 5), "all together have so much");
        assert_eq!(gate.under_way(), (0, 1), "who is refused takes nothing");
        drop(body);
        assert!(is_in("acme.a", 6), "a stream goes on without its request");
        assert_eq!(gate.under_way(), (0, 1));
    }
}
