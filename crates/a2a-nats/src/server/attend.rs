//! Waiting for the service: heartbeats meanwhile, and an end to it.

use std::future::{Future, pending};

use a2a::A2aError;
use bytes::Bytes;
use tokio::time::{Instant, interval_at, sleep};

use super::envelope::Envelope;
use super::post::Letter;
use super::{Server, Stage, reached};
use crate::header::Status;

/// The work's result, or why it was not waited for any longer. What the service has promised it keeps either way: the sender may ask
/// again with the same message id.
pub(super) async fn attend<S, T>(
    server: &Server<S>,
    envelope: &Envelope,
    work: impl Future<Output = Result<T, A2aError>>,
) -> Result<T, A2aError> {
    tokio::pin!(work);
    let mut stage = server.stage.subscribe();
    let late = sleep(envelope.within);
    tokio::pin!(late);
    let mut beat = envelope.beat.map(|every| interval_at(Instant::now() + every, every));
    loop {
        let next_beat = async {
            match &mut beat {
                Some(beat) => drop(beat.tick().await),
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = next_beat => server.post.send(Letter::new(&envelope.inbox, Status::Heartbeat, Bytes::new())).await,
            () = &mut late => {
                let millis = envelope.within.as_millis();
                return Err(A2aError::unavailable(format!("no result within {millis} ms; ask again")));
            }
            () = reached(&mut stage, Stage::Over) => return Err(A2aError::unavailable("the agent stops; ask again")),
        }
    }
}
