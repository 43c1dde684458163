//! Deliveries in somebody's hands. While a process lives and works on a message it tells the server so, and the server need not
//! deliver it to another; so the server may take back soon what a dead process held.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::{Client, Subject};
use tokio::time::Instant;

use crate::stream::ACK_WAIT;

/// Three chances to be heard within the server's wait.
const RENEW_EVERY: Duration = Duration::from_millis(1_500);
const _: () = assert!(RENEW_EVERY.as_millis() * 3 < ACK_WAIT.as_millis());
/// A message that was held for so long is stuck; let another process have it.
const HELD_MAX: Duration = Duration::from_mins(10);

/// What this process holds.
#[derive(Default)]
pub(crate) struct Held {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    last: u64,
    by_number: BTreeMap<u64, Entry>,
}

struct Entry {
    ack: Subject,
    since: Instant,
}

/// Ends the holding of one delivery when dropped.
pub(crate) struct Hold {
    held: Arc<Held>,
    number: u64,
}

impl Held {
    /// Holds a delivery that is acknowledged at `ack`, from now on.
    pub(crate) fn hold(self: &Arc<Self>, ack: Subject) -> Hold {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.last += 1;
        let number = entries.last;
        entries.by_number.insert(number, Entry { ack, since: Instant::now() });
        Hold { held: self.clone(), number }
    }

    /// Renews what is held, for ever.
    pub(crate) async fn renew(&self, client: &Client) {
        let mut tick = tokio::time::interval(RENEW_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            for ack in self.due(Instant::now()) {
                // Not connected: the messages are delivered again, and the inbox knows.
                let _ = client.publish(ack, AckKind::Progress.into()).await;
            }
        }
    }

    /// Held long enough to need renewal, not so long that it is stuck.
    fn due(&self, now: Instant) -> Vec<Subject> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |entry: &&Entry| (RENEW_EVERY..HELD_MAX).contains(&now.duration_since(entry.since));
        entries.by_number.values().filter(is_due).map(|entry| entry.ack.clone()).collect()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut entries = self.held.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renews_what_is_in_work_and_gives_up_what_is_stuck_or_done() {
        let held = Arc::new(Held::default());
        let in_work = held.hold("$JS.ACK.x".into());
        let now = Instant::now();
        assert!(held.due(now).is_empty());
        assert_eq!(held.due(now + RENEW_EVERY * 2).len(), 1);
        assert!(held.due(now + HELD_MAX * 2).is_empty());
        drop(in_work);
        assert!(held.due(now + RENEW_EVERY * 2).is_empty());
    }
}
