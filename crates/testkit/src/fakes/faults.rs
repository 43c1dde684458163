//! What a fake does wrong, and when.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// One way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Does nothing and answers with this HTTP status.
    Status(u16),
    /// Does nothing and answers 429 with this `Retry-After` in seconds.
    RateLimited(u32),
    /// Waits before doing anything, then goes on. If the caller has gone away by then, nothing
    /// happens.
    Hang(Duration),
    /// Does nothing and cuts the connection.
    DropBeforeCommit,
    /// Does it, then cuts the connection before the answer.
    DropAfterCommit,
    /// Keeps the caller waiting, does it then, whether or not anybody still waits, and cuts the
    /// connection: a provider that is slow and not lost.
    HangAndCommit(Duration),
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    by_method: HashMap<String, VecDeque<Failure>>,
    outage: Option<Failure>,
}

impl Faults {
    /// The next call of `method` not yet spoken for fails so.
    pub(crate) fn push(&mut self, method: &str, failure: Failure) {
        self.by_method.entry(method.to_owned()).or_default().push_back(failure);
    }

    /// Every call fails so, until told otherwise.
    pub(crate) fn outage(&mut self, failure: Option<Failure>) {
        self.outage = failure;
    }

    /// Forgets everything planned.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn next(&mut self, method: &str) -> Option<Failure> {
        self.by_method.get_mut(method).and_then(VecDeque::pop_front).or(self.outage)
    }
}
