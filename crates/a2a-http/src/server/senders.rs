//! What each caller has under way, so that one of them cannot take the places of all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use a2a::{A2aError, Caller};

/// Operations are short; a second later one may have ended.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Streams end all the time; a few seconds later there may be a place.
pub(super) const STREAM_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Requests that are read or answered.
    Operations,
    /// Streams of events.
    Streams,
    /// Memory for requests.
    Kib,
}

/// So much of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) operations: usize,
    pub(super) streams: usize,
    pub(super) kib: usize,
}

impl Shares {
    const fn of(&self, what: What) -> usize {
        match what {
            What::Operations => self.operations,
            What::Streams => self.streams,
            What::Kib => self.kib,
        }
    }

    const fn of_mut(&mut self, what: What) -> &mut usize {
        match what {
            What::Operations => &mut self.operations,
            What::Streams => &mut self.streams,
            What::Kib => &mut self.kib,
        }
    }
}

/// Tenant and name.
type Sender = (String, String);

/// Everybody who has something under way.
#[derive(Debug)]
pub(super) struct Senders {
    max: Shares,
    taken: Mutex<HashMap<Sender, Shares>>,
}

impl Senders {
    /// Nobody may have more than this.
    pub(super) fn new(max: Shares) -> Self {
        Self { max, taken: Mutex::default() }
    }

    /// Takes so much of the caller's share.
    pub(super) fn take(self: &Arc<Self>, caller: &Caller, what: What, count: usize) -> Result<Held, A2aError> {
        let sender = (caller.tenant.clone(), caller.sender.clone());
        let mut taken = self.lock();
        let held = taken.get(&sender).map_or(0, |shares| shares.of(what));
        if held + count > self.max.of(what) {
            return Err(full(what));
        }
        *taken.entry(sender.clone()).or_default().of_mut(what) += count;
        Ok(Held { senders: self.clone(), sender, what, count })
    }

    fn give_back(&self, sender: &Sender, what: What, count: usize) {
        let mut taken = self.lock();
        let Some(shares) = taken.get_mut(sender) else { return };
        let held = shares.of_mut(what);
        *held = held.saturating_sub(count);
        // Names are as many as callers make them; only those who hold something are remembered.
        if *shares == Shares::default() {
            taken.remove(sender);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sender, Shares>> {
        // Nothing panics while it is held.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn full(what: What) -> A2aError {
    let (message, after) = match what {
        What::Operations => ("you have too many operations under way", AGAIN_AFTER),
        What::Streams => ("you have too many streams open", STREAM_AGAIN_AFTER),
        What::Kib => ("your requests under way are too large together", AGAIN_AFTER),
    };
    A2aError::resource_exhausted(message, Some(after))
}

/// A part of somebody's share; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    senders: Arc<Senders>,
    sender: Sender,
    what: What,
    count: usize,
}

impl Held {
    /// Gives back what is more than this.
    pub(super) fn keep(&mut self, count: usize) {
        let rest = self.count.saturating_sub(count);
        self.count -= rest;
        self.senders.give_back(&self.sender, self.what, rest);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.senders.give_back(&self.sender, self.what, self.count);
    }
}

#[cfg(test)]
mod tests {
    use a2a::ErrorKind;

    use super::*;

    fn caller(tenant: &str, sender: &str) -> Caller {
        Caller { tenant: tenant.to_owned(), sender: sender.to_owned(), ..Caller::default() }
    }

    #[test]
    fn everybody_has_a_share_of_each_and_nobody_is_remembered() {
        let senders = Arc::new(Senders::new(Shares { operations: 2, streams: 1, kib: 10 }));
        let (ann, bob, other_ann) = (caller("acme", "ann"), caller("acme", "bob"), caller("blue", "ann"));
        for (what, count, max) in [(What::Operations, 1, 2), (What::Streams, 1, 1), (What::Kib, 5, 2)] {
            let mut held: Vec<_> = (0..max).map(|_| senders.take(&ann, what, count).unwrap()).collect();
            let full = senders.take(&ann, what, count).unwrap_err();
            assert!(matches!(full.kind, ErrorKind::ResourceExhausted { retry_after: Some(_) }), "{what:?}");
            for other in [&bob, &other_ann] {
                assert!(senders.take(other, what, count).is_ok(), "{what:?}");
            }
            held.pop();
            assert!(senders.take(&ann, what, count).is_ok(), "{what:?}");
            drop(held);
            assert!(senders.lock().is_empty(), "{what:?}");
        }
        assert!(senders.take(&ann, What::Kib, 11).is_err());
        assert!(senders.lock().is_empty());
    }

    #[test]
    fn what_is_not_needed_is_given_back_early() {
        let senders = Arc::new(Senders::new(Shares { kib: 10, ..Shares::default() }));
        let ann = caller("acme", "ann");
        let mut held = senders.take(&ann, What::Kib, 10).unwrap();
        held.keep(4);
        held.keep(7);
        assert!(senders.take(&ann, What::Kib, 7).is_err());
        assert!(senders.take(&ann, What::Kib, 6).is_ok());
        drop(held);
        assert!(senders.lock().is_empty());
    }
}
