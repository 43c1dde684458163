//! Rate budgets: one token bucket per thing a provider limits.
//!
//! A lane is seeded with the published rate and closed by a 429 until the provider said; everyone
//! who waits for it waits then. Nobody waits past their deadline.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Deserialize;
use tokio::time::Instant;

/// Lanes kept at once. A lane can be per channel or per issue, whose number an outsider may
/// influence; beyond this the idle ones are forgotten, which costs at most one burst.
const LANES_MAX: usize = 4_096;

/// Longest single sleep of a waiter, after which it looks again: another's 429 may have closed the
/// lane meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A published rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Requests per minute, sustained.
    pub per_minute: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
}

impl Tier {
    /// `per_minute` sustained, `burst` at once; zero counts as one.
    pub const fn new(per_minute: u32, burst: u32) -> Self {
        Self { per_minute: at_least_one(per_minute), burst: at_least_one(burst) }
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// What is limited: a method or route, and within it perhaps one channel or issue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LaneKey {
    /// Method or route, from a fixed set.
    pub route: &'static str,
    /// The single thing (channel, issue) limited by itself; empty where the route is.
    pub object: String,
}

impl LaneKey {
    /// The whole route.
    pub fn route(route: &'static str) -> Self {
        Self { route, object: String::new() }
    }

    /// One object of the route.
    pub fn object(route: &'static str, object: &str) -> Self {
        Self { route, object: object.to_owned() }
    }
}

impl fmt::Display for LaneKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.route)?;
        if self.object.is_empty() { Ok(()) } else { write!(formatter, " {}", self.object) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    by_key: Mutex<HashMap<LaneKey, Arc<Lane>>>,
}

impl Lanes {
    pub(super) fn lane(&self, key: &LaneKey, tier: Tier) -> Arc<Lane> {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = by_key.get(key) {
            return Arc::clone(lane);
        }
        if by_key.len() >= LANES_MAX {
            let now = Instant::now();
            by_key.retain(|_, lane| Arc::strong_count(lane) > 1 || lane.is_closed(now));
        }
        let lane = Arc::new(Lane::new(tier));
        by_key.insert(key.clone(), Arc::clone(&lane));
        lane
    }
}

#[derive(Debug)]
pub(super) struct Lane {
    bucket: DefaultDirectRateLimiter,
    clock: DefaultClock,
    closed_until: Mutex<Option<Instant>>,
}

impl Lane {
    fn new(tier: Tier) -> Self {
        let quota = Quota::per_minute(tier.per_minute).allow_burst(tier.burst);
        let bucket = RateLimiter::direct(quota);
        Self { bucket, clock: DefaultClock::default(), closed_until: Mutex::new(None) }
    }

    /// Waits for a place. If there will be none by the deadline it does not wait at all, and says
    /// when there may be one.
    pub(super) async fn admit(&self, deadline: Instant) -> Result<(), Instant> {
        loop {
            let now = Instant::now();
            let open_at = match self.closed_at(now) {
                Some(until) => until,
                None => match self.bucket.check() {
                    Ok(()) => return Ok(()),
                    Err(not_until) => now + not_until.wait_time_from(self.clock.now()),
                },
            };
            if open_at > deadline {
                return Err(open_at);
            }
            tokio::time::sleep_until(open_at.min(now + LOOK_AGAIN)).await;
        }
    }

    /// Closes the lane; a later end wins.
    pub(super) fn close_until(&self, until: Instant) {
        let mut closed_until = self.closed_until();
        *closed_until = Some(closed_until.map_or(until, |before| before.max(until)));
    }

    fn closed_at(&self, now: Instant) -> Option<Instant> {
        self.closed_until().filter(|until| *until > now)
    }

    fn is_closed(&self, now: Instant) -> bool {
        self.closed_at(now).is_some()
    }

    fn closed_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.closed_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{LANES_MAX, Lane, LaneKey, Lanes, Tier};
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test]
    async fn the_burst_passes_and_the_rest_is_told_when() {
        let lane = Lane::new(Tier::new(60, 3));
        let now = Instant::now();
        for _ in 0..3 {
            lane.admit(now).await.expect("within the burst");
        }
        let open_at = lane.admit(now).await.expect_err("over the burst, no time to wait");
        let wait = open_at - now;
        assert!(wait > Duration::from_millis(800), "{wait:?}");
        assert!(wait < Duration::from_millis(1200), "{wait:?}");
    }

    #[tokio::test]
    async fn waiting_gets_a_place_when_there_is_time() {
        let lane = Lane::new(Tier::new(6_000, 1));
        let start = Instant::now();
        for _ in 0..4 {
            lane.admit(start + Duration::from_secs(5)).await.expect("soon");
        }
        assert!(start.elapsed() >= Duration::from_millis(25), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_closed_lane_stays_closed_for_everyone() {
        let lane = Lane::new(Tier::new(6_000, 100));
        let now = Instant::now();
        let until = now + Duration::from_secs(30);
        lane.close_until(until);
        lane.close_until(now + Duration::from_secs(1));
        assert_eq!(lane.admit(now + Duration::from_secs(5)).await, Err(until));
    }

    #[test]
    fn the_number_of_lanes_is_bounded() {
        let lanes = Lanes::default();
        let tier = Tier::new(60, 1);
        let closed = LaneKey::object("post", "C0");
        lanes.lane(&closed, tier).close_until(Instant::now() + Duration::from_mins(1));
        for channel in 0..LANES_MAX * 2 {
            lanes.lane(&LaneKey::object("post", &format!("D{channel}")), tier);
        }
        assert!(lanes.by_key.lock().expect("lock").len() <= LANES_MAX);
        assert!(lanes.lane(&closed, tier).is_closed(Instant::now()), "a closed lane is kept");
    }
}
