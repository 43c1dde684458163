//! Why a request was not answered, and whether to send it again.

use std::time::Duration;

use a2a::{A2aError, ErrorKind};
use tokio::time::{Instant, sleep};

use super::options::ClientOptions;

/// First pause; doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(20);
/// A returning agent is noticed within a second.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Which failures a request may be sent again after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Doing it twice is doing it once.
    Always,
    /// Only if it is certain that nobody took it.
    IfUntaken,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody serves the agent.
    Nobody,
    /// Nothing was heard for too long.
    Silent,
    /// The connection was lost meanwhile, and the answer with it.
    Cut,
    /// The replica stops, or has forgotten the stream.
    Moved,
    /// Pieces are missing, or the digest is another.
    Broken,
    /// The agent says so.
    Told(A2aError),
    /// It makes no sense to go on.
    Unfit(A2aError),
}

impl From<Failure> for A2aError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Nobody => Self::unavailable("nobody serves this agent on NATS"),
            Failure::Silent => Self::unavailable("the agent does not answer"),
            Failure::Cut => Self::unavailable("the connection to NATS was lost"),
            Failure::Moved => Self::unavailable("the agent stops"),
            Failure::Broken => Self::unavailable("the answer came incomplete"),
            Failure::Told(error) | Failure::Unfit(error) => error,
        }
    }
}

/// How long something is tried.
#[derive(Debug)]
pub(super) struct Persistence {
    pub(super) end: Instant,
    /// How long nobody need be there.
    pub(super) absent_max: Duration,
    absent_since: Option<Instant>,
    pause: Duration,
}

impl Persistence {
    pub(super) fn new(options: &ClientOptions, within: Duration) -> Self {
        let (end, absent_max) = (Instant::now() + within, options.absent_max);
        Self { end, absent_max, absent_since: None, pause: PAUSE_FIRST }
    }

    /// What is left of the time.
    pub(super) fn rest(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Waits until it is worth trying again.
    ///
    /// # Errors
    /// What to tell the caller, if it is not.
    pub(super) async fn wait(&mut self, failure: Failure, repeat: Repeat) -> Result<(), A2aError> {
        if failure != Failure::Nobody {
            self.absent_since = None;
        }
        let Some(pause) = self.pause_after(&failure, repeat) else { return Err(failure.into()) };
        if pause >= self.rest() {
            return Err(failure.into());
        }
        sleep(pause).await;
        Ok(())
    }

    fn pause_after(&mut self, failure: &Failure, repeat: Repeat) -> Option<Duration> {
        let is_repeated = match failure {
            Failure::Nobody => self.absent_since.get_or_insert_with(Instant::now).elapsed() < self.absent_max,
            Failure::Told(error) => match &error.kind {
                // Refused before anything was done.
                ErrorKind::ResourceExhausted { retry_after: Some(after) } => return Some(*after),
                ErrorKind::Unavailable => repeat == Repeat::Always,
                _ => false,
            },
            Failure::Silent | Failure::Cut | Failure::Moved | Failure::Broken => repeat == Repeat::Always,
            Failure::Unfit(_) => false,
        };
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        is_repeated.then_some(pause)
    }
}
