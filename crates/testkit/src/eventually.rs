//! Waiting for a condition, with a deadline.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// Short beside what is waited for, long beside what a look costs.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `look` finds something, and gives that back. `what` completes "… did not happen within".
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("{what} did not happen within {} s", within.as_secs_f32());
        }
        sleep(LOOK_EVERY).await;
    }
}
