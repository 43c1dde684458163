//! Looking for what an earlier attempt may have left with a provider.
//!
//! A request whose answer did not come may still be under way: a provider that is slow does it after its caller has gone. So one look
//! proves nothing; only after a while without a find may it be done again.

use std::time::Duration;

use mcp::{FaultKind, ToolFault};
use tokio::time::Instant;

/// How long a provider may take to do what it was asked, after its caller has gone, in milliseconds. It is counted from the attempt
/// that looks, so from the first one it is a little more.
pub(crate) fn settle_ms() -> u64 {
    10_000
}

/// Pause between two looks: a fifth of the time, within these.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(50);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(2);

/// How long to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) time: Duration,
    /// The settings it comes from, for the caller who has less.
    pub(crate) settings: &'static str,
}

/// Looks until something is found or the time is over; none then. If the caller waits too briefly for that, nothing may be done
/// either.
pub(crate) async fn until_settled<T, F>(
    patience: Patience,
    deadline: Instant,
    look: impl Fn() -> F,
) -> Result<Option<T>, ToolFault>
where
    F: Future<Output = Result<Option<T>, ToolFault>>,
{
    let Patience { time, settings } = patience;
    let settled = Instant::now() + time;
    if settled >= deadline {
        let hint = format!(
            "the caller waits too briefly to look for what an earlier attempt did: allow more than {} ms ({settings})",
            time.as_millis()
        );
        return Err(ToolFault::new(FaultKind::Unavailable, "lookup_needs_time", hint));
    }
    let pause = (time / 5).clamp(LOOK_AGAIN_MIN, LOOK_AGAIN_MAX);
    loop {
        // Asked before the look, so that the last look is after the time.
        let is_last = Instant::now() >= settled;
        if let Some(found) = look().await? {
            return Ok(Some(found));
        }
        if is_last {
            return Ok(None);
        }
        tokio::time::sleep_until((Instant::now() + pause).min(settled)).await;
    }
}

/// There was more to look through than is looked through: it may be there or not.
pub(crate) fn incomplete(hint: &str) -> ToolFault {
    ToolFault::new(FaultKind::Conflict, "lookup_incomplete", hint).outcome_unknown()
}
