//! What all parts of an engine share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use a2a::A2aError;
use store::a2a::TaskKey;
use store::{Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Surroundings;
use crate::case::{self, Loaded};
use crate::limits::Limits;
use crate::live::Live;
use crate::queue::Queue;
use crate::registry::Registry;

/// The engine without its executor.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) agent: String,
    /// This process, among those that work on the agent's tasks.
    pub(crate) us: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) surroundings: Surroundings,
    pub(crate) registry: Registry,
    pub(crate) queue: Queue,
    /// Something is to be posted.
    pub(crate) posts: Notify,
    /// Work shall end.
    pub(crate) stopping: CancellationToken,
    /// Nothing is waited for any more.
    pub(crate) hard_stop: CancellationToken,
    looks: AtomicU64,
}

impl Core {
    pub(crate) fn new(store: Store, agent: String, limits: Limits, surroundings: Surroundings) -> Self {
        Self {
            store,
            agent,
            us: surroundings.id().into(),
            limits,
            surroundings,
            registry: Registry::default(),
            queue: Queue::default(),
            posts: Notify::new(),
            stopping: CancellationToken::new(),
            hard_stop: CancellationToken::new(),
            looks: AtomicU64::new(0),
        }
    }

    /// How often the keeper has looked: a clock that costs nothing to read.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    pub(crate) fn look(&self) -> u64 {
        self.looks.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Reads a task; none if there is none.
    pub(crate) async fn load(&self, key: &TaskKey) -> Result<Option<Loaded>, A2aError> {
        let row = self.store.task(&self.agent, key).await.map_err(|error| fault(&error))?;
        row.map(|row| case::load(row, &self.limits)).transpose()
    }

    /// The task in memory, read if it is not there yet; none if there is none.
    pub(crate) async fn live(self: &Arc<Self>, key: &TaskKey) -> Result<Option<Arc<Live>>, A2aError> {
        if let Some(live) = self.registry.find(key) {
            return Ok(Some(live));
        }
        let Some(loaded) = self.load(key).await? else { return Ok(None) };
        Ok(Some(self.registry.add(Live::known(Arc::clone(self), key.clone(), loaded))))
    }
}

/// What callers are told when the store fails; what happened goes into the log.
pub(crate) fn fault(error: &StoreError) -> A2aError {
    if error.is_transient() {
        tracing::warn!(error = chain(error), "the task store does not answer");
        return A2aError::unavailable("the task store does not answer; try again");
    }
    tracing::error!(error = chain(error), "the task store refused");
    A2aError::internal("the task could not be stored or read")
}

/// The error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

pub(crate) fn stops() -> A2aError {
    A2aError::unavailable("this process stops; try again")
}
