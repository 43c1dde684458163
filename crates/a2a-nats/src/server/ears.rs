//! Several subscriptions as one, which can be drained: what the server has handed out is still heard.

use std::future::poll_fn;
use std::task::Poll;

use async_nats::{Client, Message, Subscriber};
use futures::StreamExt as _;

use super::ServeError;

/// Subscriptions, by the place in which they were made.
pub(super) struct Ears {
    ears: Vec<Subscriber>,
    /// Whom to ask first, so that a busy subscription does not drown the others.
    first: usize,
}

impl Ears {
    pub(super) const fn new() -> Self {
        Self { ears: vec![], first: 0 }
    }

    pub(super) async fn subscribe(&mut self, client: &Client, subject: String, queue: Option<&str>) -> Result<(), ServeError> {
        let subscribed = match queue {
            Some(queue) => client.queue_subscribe(subject.clone(), queue.to_owned()).await,
            None => client.subscribe(subject.clone()).await,
        };
        self.ears.push(subscribed.map_err(|source| ServeError::Subscribe { subject, source })?);
        Ok(())
    }

    /// The next message and which subscription heard it. `None` when all have ended.
    pub(super) async fn next(&mut self) -> Option<(usize, Message)> {
        poll_fn(|context| {
            let count = self.ears.len();
            let mut ended = 0;
            for place in (self.first..count).chain(0..self.first) {
                match self.ears.get_mut(place).map(|ear| ear.poll_next_unpin(context)) {
                    Some(Poll::Ready(Some(message))) => {
                        self.first = (place + 1) % count;
                        return Poll::Ready(Some((place, message)));
                    }
                    Some(Poll::Ready(None)) | None => ended += 1,
                    Some(Poll::Pending) => {}
                }
            }
            if ended == count { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// Asks for nothing new; what is on its way is still heard.
    pub(super) async fn drain(&mut self) {
        for ear in &mut self.ears {
            // If the client is closed there is nothing to drain.
            let _ = ear.drain().await;
        }
    }
}
