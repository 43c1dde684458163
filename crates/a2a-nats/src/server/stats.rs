//! What `$SRV.STATS` tells.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use a2a::A2aError;
use chrono::{DateTime, Utc};

/// Counts requests. Streams count when they end.
pub(super) struct Stats {
    pub(super) started: DateTime<Utc>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) last_error: String,
    pub(super) processing: Duration,
}

impl Stats {
    pub(super) fn new(started: DateTime<Utc>) -> Self {
        Self { started, counts: Mutex::default() }
    }

    pub(super) fn note(&self, took: Duration, error: Option<&A2aError>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.requests += 1;
        counts.processing += took;
        if let Some(error) = error {
            counts.errors += 1;
            // The kind only: messages may speak of one sender's data, and anybody may ask for statistics.
            error.codes().reason.clone_into(&mut counts.last_error);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
