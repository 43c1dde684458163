//! A task's events as a stream. A stream knows only how far it has got: the events themselves are in the table, and the newest ones,
//! for all of a task's streams together, in memory. So one that is slow holds up nobody and costs nothing.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use a2a::{A2aError, StreamResponse, Task};
use futures::Stream;
use tokio::sync::watch;

use crate::core::{Core, fault, stops};
use crate::limits::EVENT_BYTES_MAX;
use crate::live::{Live, Progress};
use crate::registry::Permit;

/// An event and its number within its task.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbered {
    /// The first event of a task has number 1. A task that begins a stream has the number of the last event that it holds.
    pub seq: u64,
    /// What happened.
    pub event: StreamResponse,
}

/// Numbered events, in order, the same for every stream of the task. Ends after the task's end, or with its first error.
pub type NumberedStream = Pin<Box<dyn Stream<Item = Result<Numbered, A2aError>> + Send>>;

/// Where a stream stands.
struct Subscription {
    live: Arc<Live>,
    progress: watch::Receiver<Progress>,
    position: i64,
    ready: VecDeque<(i64, Arc<StreamResponse>)>,
    has_failed: bool,
    _seat: Seat,
}

/// A stream's place among those of its task and of all.
pub(crate) struct Seat {
    live: Arc<Live>,
    _permit: Permit,
}

impl Seat {
    /// A place among all streams, if there is one.
    pub(crate) fn permit(core: &Core) -> Result<Permit, A2aError> {
        core.registry.subscriber(core.limits.subscribers_max).ok_or_else(|| too_many(core))
    }

    /// A place among those of the task, if there is one.
    pub(crate) fn take(live: &Arc<Live>, permit: Permit) -> Result<Self, A2aError> {
        if live.subscribe() { Ok(Self { live: Arc::clone(live), _permit: permit }) } else { Err(too_many(live.core())) }
    }
}

fn too_many(core: &Core) -> A2aError {
    A2aError::resource_exhausted("there are too many streams", Some(core.limits.look_every))
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.live.unsubscribe();
    }
}

/// All events after `position`, and before them the task, if one is given.
pub(crate) fn open(seat: Seat, position: i64, first: Option<Arc<Task>>) -> NumberedStream {
    let first = first.map(|task| (position, Arc::new(StreamResponse::Task(Arc::unwrap_or_clone(task)))));
    let live = Arc::clone(&seat.live);
    let subscription = Subscription {
        progress: live.progress(),
        live,
        position,
        ready: VecDeque::from_iter(first),
        has_failed: false,
        _seat: seat,
    };
    Box::pin(futures::stream::unfold(subscription, async |mut subscription| {
        let next = subscription.next().await?;
        Some((next, subscription))
    }))
}

impl Subscription {
    async fn next(&mut self) -> Option<Result<Numbered, A2aError>> {
        loop {
            if self.has_failed {
                return None;
            }
            if let Some((seq, event)) = self.ready.pop_front() {
                self.position = seq;
                return Some(Ok(Numbered { seq: seq.unsigned_abs(), event: Arc::unwrap_or_clone(event) }));
            }
            let (seq, has_ended) = {
                let progress = self.progress.borrow_and_update();
                (progress.stored.seq, progress.stored.has_ended)
            };
            if seq <= self.position && has_ended {
                return None;
            }
            let waited = if seq > self.position { self.fill().await } else { self.wait().await };
            if let Err(error) = waited {
                self.has_failed = true;
                return Some(Err(error));
            }
        }
    }

    /// Whoever stops says so: the stream can be taken up again elsewhere.
    async fn wait(&mut self) -> Result<(), A2aError> {
        tokio::select! {
            // The sender is in the task that is held here, so it cannot be gone.
            _ = self.progress.changed() => Ok(()),
            () = self.live.core().stopping.cancelled() => Err(stops()),
        }
    }

    async fn fill(&mut self) -> Result<(), A2aError> {
        if let Some(events) = self.live.recent(self.position) {
            self.ready.extend(events);
            return Ok(());
        }
        let core = self.live.core();
        let rows = core.store.task_events(&core.agent, self.live.key(), self.position, EVENT_BYTES_MAX).await;
        for row in rows.map_err(|error| fault(&error))? {
            let events = read(&row.events)?;
            let first = row.seq - i64::try_from(events.len()).unwrap_or(i64::MAX) + 1;
            let events = (first..).zip(events).filter(|(seq, _)| *seq > self.position);
            self.ready.extend(events.map(|(seq, event)| (seq, Arc::new(event))));
        }
        if self.ready.is_empty() {
            return Err(A2aError::internal("the task's events cannot be found"));
        }
        Ok(())
    }
}

/// The events of one row.
pub(crate) fn read(events: &str) -> Result<Vec<StreamResponse>, A2aError> {
    serde_json::from_str(events).map_err(|error| {
        tracing::error!(%error, "a task's events cannot be read");
        A2aError::internal("the task's events cannot be read")
    })
}
