//! Operations with one answer: sent again, as they are, until there is one or the time is over.

use std::sync::Arc;

use a2a::{A2aError, Caller, ErrorKind};
use bytes::Bytes;
use tokio::time::timeout_at;

use super::exchange::Heard;
pub(super) use super::failure::Repeat;
use super::failure::{Failure, Persistence};
use super::link::{Link, Question};
use crate::method::Method;

/// The answer's body.
pub(super) async fn call(
    link: &Arc<Link>,
    caller: &Caller,
    method: Method,
    body: Bytes,
    repeat: Repeat,
) -> Result<Bytes, A2aError> {
    let mut persistence = Persistence::new(&link.options, link.options.deadline);
    loop {
        let question = Question { caller, method, body: body.clone(), within: persistence.rest(), window: None };
        let failure = match timeout_at(persistence.end, attempt(link, question)).await {
            Ok(Ok(body)) => return Ok(body),
            Ok(Err(failure)) => failure,
            Err(_) => {
                let millis = link.options.deadline.as_millis();
                return Err(A2aError::unavailable(format!("{method} was not answered within {millis} ms")));
            }
        };
        tracing::debug!(%method, ?failure, "no answer, trying again if that makes sense");
        persistence.wait(failure, repeat).await?;
    }
}

async fn attempt(link: &Arc<Link>, question: Question<'_>) -> Result<Bytes, Failure> {
    let mut exchange = link.ask(question).await?;
    loop {
        match exchange.hear(link.silence_max()).await? {
            Heard::Answer(body) => return Ok(body),
            Heard::Error(error) => return Err(Failure::Told(error)),
            Heard::Unproved(error) => return Err(Failure::Unfit(error)),
            Heard::Broken => return Err(Failure::Broken),
            Heard::Resume => return Err(Failure::Moved),
            Heard::Beat(_) | Heard::Continue => {}
            Heard::Frame(..) => {
                let error = A2aError::new(ErrorKind::InvalidAgentResponse, "the agent answers with a stream");
                return Err(Failure::Unfit(error));
            }
        }
    }
}
