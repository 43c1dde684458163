//! One stream of one replica, in order and without gaps: what was lost is asked for again.

use std::sync::Arc;
use std::time::Duration;

use a2a::StreamResponse;
use a2a::{A2aError, ErrorKind};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::exchange::{Content, Exchange, Heard, LOOK_EVERY};
use super::failure::Failure;
use super::link::Link;
use crate::header::Control;

/// What was asked for is on its way; asking at once again would only double it.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// After the connection was lost the replica may be reconnecting as well: for so long it does not count as gone.
const GRACE: Duration = Duration::from_secs(2);

/// What a frame says.
#[derive(Debug)]
pub(super) enum Item {
    Event(StreamResponse),
    Error(A2aError),
    End,
}

pub(super) struct Reader {
    exchange: Exchange,
    /// Number of the last frame that was read.
    last: u64,
    /// Number of the last frame that the reader of the stream has taken.
    acknowledged: u64,
    beat: Duration,
    silence_max: Duration,
    asked: Option<(u64, Instant)>,
    cut_at: Option<Instant>,
    look: Interval,
}

impl Reader {
    pub(super) fn new(link: &Arc<Link>, exchange: Exchange) -> Self {
        let mut look = interval(LOOK_EVERY.min(link.options.heartbeat));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            exchange,
            last: 0,
            acknowledged: 0,
            beat: link.options.heartbeat,
            silence_max: link.silence_max(),
            asked: None,
            cut_at: None,
            look,
        }
    }

    /// Number of the last frame that was read.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// The next frame. Nothing is lost if this is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Result<Item, Failure> {
        loop {
            tokio::select! {
                // What has come is heard before silence is judged: this process may have been the one that slept.
                biased;
                heard = self.exchange.next() => {
                    match heard {
                        Err(Failure::Nobody) if self.is_excused() => {}
                        Err(failure) => return Err(failure),
                        Ok(heard) => {
                            if let Some(item) = self.take(heard).await? {
                                return Ok(item);
                            }
                        }
                    }
                }
                _ = self.look.tick() => self.look_after().await?,
            }
        }
    }

    async fn take(&mut self, heard: Heard) -> Result<Option<Item>, Failure> {
        match heard {
            Heard::Frame(seq, content) if seq == self.last + 1 => {
                self.last = seq;
                self.asked = None;
                return Ok(Some(read(content)));
            }
            // All frames after a lost one show the gap. The agent ends what it sends again with a heartbeat, which shows if more was lost.
            Heard::Frame(seq, _) if seq > self.last && self.asked.is_none_or(|(after, _)| after != self.last) => {
                self.ask_again().await;
            }
            Heard::Beat(seq) => {
                // Also if there is nothing new to acknowledge: we live.
                self.exchange.say(Control::Ack, self.acknowledged).await;
                if seq > self.last {
                    self.ask_again().await;
                }
            }
            Heard::Error(error) => return Err(Failure::Told(error)),
            Heard::Resume => return Err(Failure::Moved),
            Heard::Answer(_) => {
                let error = A2aError::new(ErrorKind::InvalidAgentResponse, "the agent answers without a stream");
                return Err(Failure::Unfit(error));
            }
            Heard::Unproved(error) if self.last == 0 => return Err(Failure::Unfit(error)),
            // Lost as good as never sent: the numbers will show it.
            Heard::Unproved(_) | Heard::Broken | Heard::Frame(..) | Heard::Continue => {}
        }
        Ok(None)
    }

    /// Whether the connection or the replica shows signs of trouble.
    async fn look_after(&mut self) -> Result<(), Failure> {
        if self.exchange.is_cut() {
            self.cut_at = Some(Instant::now());
            self.asked = None;
        }
        let heard_at = self.exchange.heard_at();
        let quiet = heard_at.elapsed();
        if quiet > self.silence_max {
            return Err(Failure::Silent);
        }
        // Half a heartbeat late, or everything that was on its way is lost.
        if quiet > self.beat.mul_f32(1.5) || self.cut_at.is_some_and(|cut_at| heard_at < cut_at) {
            self.ask_again().await;
        }
        Ok(())
    }

    fn is_excused(&self) -> bool {
        self.cut_at.is_some_and(|cut_at| cut_at.elapsed() < GRACE.min(self.silence_max))
    }

    /// Wants everything after the last frame sent again.
    async fn ask_again(&mut self) {
        let now = Instant::now();
        if self.asked.is_some_and(|(after, at)| after == self.last && now - at < ASK_AGAIN_AFTER) {
            return;
        }
        self.asked = Some((self.last, now));
        tracing::debug!(after = self.last, "asking for frames again");
        self.exchange.say(Control::Resume, self.last).await;
    }

    /// The reader of the stream has this frame and all before it.
    pub(super) async fn acknowledge(&mut self, seq: u64) {
        self.acknowledged = seq;
        self.exchange.say(Control::Ack, seq).await;
    }

    /// Nobody reads the stream any more.
    pub(super) async fn cancel(&self) {
        self.exchange.say(Control::Cancel, self.last).await;
    }
}

fn read(content: Content) -> Item {
    match content {
        Content::Event(body) => match a2a::read(&body) {
            Ok(event) => Item::Event(event),
            Err(error) => Item::Error(error.in_response()),
        },
        Content::Error(error) => Item::Error(error),
        Content::End => Item::End,
    }
}
