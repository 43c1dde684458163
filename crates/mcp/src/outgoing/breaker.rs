//! Leaving a failing provider alone.
//!
//! Counts failures in a row (5xx, timeouts, transport). A rate limit is no failure, and wrong
//! credentials are none either. After the pause a single request probes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Breaker {
    failures_max: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing { since: Instant },
}

/// Why a request may not go out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Open(Instant),
    /// Another request probes; its outcome is known by then.
    Probing(Instant),
}

/// The right to send one request, and the duty to say how it went. Dropped without a word (the
/// caller went away), it counts as nothing, and a probe gives its place to the next.
#[must_use]
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
    is_settled: bool,
}

impl Breaker {
    pub(super) fn new(failures_max: u32, pause: Duration) -> Self {
        // Zero would refuse everything; one is the strictest that can work.
        let failures_max = failures_max.max(1);
        Self { failures_max, pause, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    pub(super) fn enter(&self, now: Instant) -> Result<Permit<'_>, Refusal> {
        let mut state = self.state();
        let is_probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if now < until => return Err(Refusal::Open(until)),
            State::Open { .. } => true,
            State::Probing { since } => return Err(Refusal::Probing(since + self.pause)),
        };
        if is_probe {
            *state = State::Probing { since: now };
        }
        Ok(Permit { breaker: self, is_probe, is_settled: false })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is one plain value: it cannot be left half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    pub(super) fn worked(mut self) {
        self.is_settled = true;
        *self.breaker.state() = State::Closed { failures: 0 };
    }

    pub(super) fn failed(mut self, now: Instant) {
        self.is_settled = true;
        let mut state = self.breaker.state();
        let failures = match *state {
            State::Closed { failures } => failures + 1,
            State::Probing { .. } if self.is_probe => self.breaker.failures_max,
            // A request sent before the breaker opened adds nothing.
            State::Open { .. } | State::Probing { .. } => return,
        };
        *state = if failures >= self.breaker.failures_max {
            State::Open { until: now + self.breaker.pause }
        } else {
            State::Closed { failures }
        };
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_probe && !self.is_settled {
            let mut state = self.breaker.state();
            if let State::Probing { since } = *state {
                *state = State::Open { until: since };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, Refusal};
    use std::time::Duration;
    use tokio::time::Instant;

    const PAUSE: Duration = Duration::from_secs(5);

    fn tripped(now: Instant) -> Breaker {
        let breaker = Breaker::new(3, PAUSE);
        for _ in 0..3 {
            breaker.enter(now).expect("closed").failed(now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let now = Instant::now();
        let breaker = Breaker::new(3, PAUSE);
        for outcome in [false, false, true, false, false] {
            let permit = breaker.enter(now).expect("closed");
            if outcome {
                permit.worked();
            } else {
                permit.failed(now);
            }
        }
        assert!(breaker.enter(now).is_ok());
        assert_eq!(tripped(now).enter(now).err(), Some(Refusal::Open(now + PAUSE)));
    }

    #[test]
    fn after_the_pause_one_request_probes() {
        let now = Instant::now();
        let later = now + PAUSE;
        let breaker = tripped(now);
        let probe = breaker.enter(later).expect("the probe");
        assert_eq!(breaker.enter(later).err(), Some(Refusal::Probing(later + PAUSE)));
        probe.failed(later);
        assert_eq!(breaker.enter(later).err(), Some(Refusal::Open(later + PAUSE)));
        breaker.enter(later + PAUSE).expect("the next probe").worked();
        assert!(breaker.enter(later + PAUSE).is_ok());
    }

    #[test]
    fn an_abandoned_probe_gives_its_place_away() {
        let now = Instant::now();
        let breaker = tripped(now);
        drop(breaker.enter(now + PAUSE).expect("the probe"));
        assert!(breaker.enter(now + PAUSE).is_ok());
    }
}
