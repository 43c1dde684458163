//! An engine: what it is made of, how it starts and how it stops.

use std::fmt;
use std::sync::Arc;

use a2a::{A2aError, AgentCard, Caller, Task, TaskPushNotificationConfig};
use store::a2a::{NewPush, PutPush, Putting, TaskKey};
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::case::Loaded;
use crate::core::{Core, chain, fault};
use crate::limits::{ID_BYTES_MAX, Limits, WRITERS};
use crate::live::Live;
use crate::push::{Poster, PushOptions};
use crate::subscription::{self, NumberedStream, Seat};
use crate::{Executor, Surroundings, Updates, execution, keeper, push, writer};

/// What an engine needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tells the engines of one schema apart.
    pub agent: String,
    /// What the agent says of itself. Operations that it does not declare are refused.
    pub card: AgentCard,
    /// Makes the card for a caller who is known, if the card declares one.
    pub extended_card: Option<ExtendedCard>,
    /// Time and chance.
    pub surroundings: Surroundings,
    /// How much of everything.
    pub limits: Limits,
    /// Where events may be posted, and by whom they are signed.
    pub push: PushOptions,
}

/// What an agent says of itself to a caller who is known, such as under which address they alone find it.
#[derive(Clone)]
pub struct ExtendedCard(Arc<MakeCard>);

type MakeCard = dyn Fn(&Caller) -> Result<AgentCard, A2aError> + Send + Sync;

impl ExtendedCard {
    /// Made anew for each call.
    pub fn new(make: impl Fn(&Caller) -> Result<AgentCard, A2aError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    pub(crate) fn of(&self, caller: &Caller) -> Result<AgentCard, A2aError> {
        (self.0)(caller)
    }
}

impl fmt::Debug for ExtendedCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExtendedCard")
    }
}

/// A task engine for one agent. Cheap to clone. Several processes may run one for the same agent on the same tables.
#[derive(Debug)]
pub struct Engine<E> {
    pub(crate) inner: Arc<Inner<E>>,
}

impl<E> Clone for Engine<E> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

/// What all parts share.
#[derive(Debug)]
pub(crate) struct Inner<E> {
    pub(crate) core: Arc<Core>,
    pub(crate) executor: E,
    pub(crate) card: AgentCard,
    pub(crate) extended_card: Option<ExtendedCard>,
    pub(crate) poster: Poster,
    /// Calls of the executor, and what goes on beside the writers.
    pub(crate) executions: TaskTracker,
    /// What runs as long as the engine does.
    loops: TaskTracker,
    broken: CancellationToken,
}

impl<E: Executor> Engine<E> {
    /// Starts an engine on a store whose schema was migrated. Tasks that another process left behind are worked on as soon as that
    /// one counts as dead.
    ///
    /// # Errors
    /// If Postgres does not answer. If the HTTP client for push notifications cannot be set up.
    pub async fn start(store: Store, executor: E, options: Options) -> Result<Self, StartError> {
        let Options { agent, card, extended_card, surroundings, limits, push } = options;
        let poster = Poster::new(push, &limits).map_err(StartError::Http)?;
        let core = Arc::new(Core::new(store, agent, limits, surroundings));
        keeper::beat(&core).await.map_err(StartError::Store)?;
        let inner = Arc::new(Inner {
            core,
            executor,
            card,
            extended_card,
            poster,
            executions: TaskTracker::new(),
            loops: TaskTracker::new(),
            broken: CancellationToken::new(),
        });
        for _ in 0..WRITERS {
            inner.run("writer", writer::run(Arc::clone(&inner)));
        }
        inner.run("heart", keeper::keep_alive(Arc::clone(&inner)));
        inner.run("keeper", keeper::run(Arc::clone(&inner)));
        inner.run("poster", push::run(Arc::clone(&inner)));
        Ok(Self { inner })
    }

    /// Where work on a task is reported that goes on outside of the executor's calls.
    ///
    /// # Errors
    /// TaskNotFound if there is none; if the store fails.
    pub async fn updates(&self, tenant: &str, task_id: &str) -> Result<Updates, A2aError> {
        let key = TaskKey { tenant: tenant.to_owned(), id: task_id.to_owned() };
        let missing = || A2aError::task_not_found(task_id);
        let live = match self.inner.core.registry.find(&key) {
            // Whoever reports decides on what other processes have written, too.
            Some(live) => self.inner.read(&live).await.map(|_| live)?,
            None => self.inner.core.live(&key).await?.ok_or_else(missing)?,
        };
        Ok(Updates::outside(live))
    }

    /// A task's events with their numbers, for bindings that can take up a stream again. Without `after`: the task as it is, then what
    /// happens from now on. With it: what happened after that event, also to a task that has ended.
    ///
    /// # Errors
    /// TaskNotFound; UnsupportedOperation if the task has ended and no `after` is given, or the card declares no streams;
    /// ResourceExhausted if there are too many.
    pub async fn watch(&self, caller: &Caller, task_id: &str, after: Option<u64>) -> Result<NumberedStream, A2aError> {
        let inner = &self.inner;
        inner.check_streaming()?;
        let live = inner.visible(caller, &TaskKey { tenant: caller.tenant.clone(), id: task_id.to_owned() }).await?;
        // A place first: whatever happens after the task was read is then kept at hand.
        let seat = Seat::take(&live, Seat::permit(&inner.core)?)?;
        let (task, seq) = inner.read(&live).await?;
        match after {
            Some(after) if after > seq.unsigned_abs() => Err(A2aError::invalid_field("after", "has not happened yet")),
            Some(after) => Ok(subscription::open(seat, after.cast_signed(), None)),
            None if task.status.state.is_terminal() => {
                Err(A2aError::unsupported_operation("the task has ended").with("taskId", task_id))
            }
            None => Ok(subscription::open(seat, seq, Some(task))),
        }
    }

    /// Resolves if a part of the engine has ended that must not: the process should stop.
    pub async fn broken(&self) {
        self.inner.broken.cancelled().await;
    }

    /// Stops: takes nothing more, asks work under way to stop, and writes down what was reported. What did not come to rest is left to
    /// another process, at once.
    pub async fn stop(&self) {
        let core = &self.inner.core;
        core.stopping.cancel();
        self.inner.executions.close();
        // Calls are broken off after `stop_max`; what is still there then waits for Postgres.
        let grace = core.limits.stop_max * 2;
        let is_quiet = tokio::time::timeout(grace, self.inner.executions.wait()).await.is_ok();
        if !is_quiet {
            tracing::warn!("work did not end in time; it will be begun again");
        }
        core.queue.close();
        self.inner.loops.close();
        if tokio::time::timeout(grace, self.inner.loops.wait()).await.is_err() {
            tracing::warn!("what was reported last could not be written in time; it will be found out again");
        }
        core.hard_stop.cancel();
        self.inner.loops.wait().await;
        if let Err(error) = core.store.release(&core.us, core.surroundings.now()).await {
            tracing::warn!(error = chain(&error), "other processes could not be told of the stop; they will notice");
        }
    }
}

impl<E: Executor> Inner<E> {
    /// Runs a part that ends with the engine and not before.
    fn run(self: &Arc<Self>, part: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let (broken, stopping) = (self.broken.clone(), self.core.stopping.clone());
        self.loops.spawn(async move {
            let ended = tokio::spawn(work).await;
            if ended.is_err() || !stopping.is_cancelled() {
                tracing::error!(part, "a part of the task engine ended that must not");
                broken.cancel();
            }
        });
    }

    /// The task, if the caller may see it.
    pub(crate) async fn visible(&self, caller: &Caller, key: &TaskKey) -> Result<Arc<Live>, A2aError> {
        let live = self.core.live(key).await?.filter(|live| *live.owner == *caller.sender);
        live.ok_or_else(|| A2aError::task_not_found(&key.id))
    }

    /// The task as it is stored, if the caller may see it, without keeping it in memory.
    pub(crate) async fn stored(&self, caller: &Caller, id: &str) -> Result<Loaded, A2aError> {
        let key = TaskKey { tenant: caller.tenant.clone(), id: id.to_owned() };
        let loaded = self.core.load(&key).await?.filter(|loaded| loaded.owner == caller.sender);
        loaded.ok_or_else(|| A2aError::task_not_found(id))
    }

    /// Reads the task anew: another process may have written it.
    pub(crate) async fn read(self: &Arc<Self>, live: &Arc<Live>) -> Result<(Arc<Task>, i64), A2aError> {
        let loaded = self.core.load(live.key()).await?.ok_or_else(|| A2aError::task_not_found(&live.key().id))?;
        let (task, seq) = (Arc::clone(&loaded.task), loaded.seq);
        self.refresh(live, loaded);
        Ok((task, seq))
    }

    pub(crate) fn refresh(self: &Arc<Self>, live: &Arc<Live>, loaded: Loaded) {
        if let Some(start) = live.refresh(loaded) {
            execution::spawn(self, Arc::clone(live), start);
        }
    }

    pub(crate) fn check_streaming(&self) -> Result<(), A2aError> {
        if self.card.is_streaming() { Ok(()) } else { Err(A2aError::unsupported_operation("the agent has no streams")) }
    }

    /// Makes a configuration complete, as it is to be stored. `field` is where its URL stands in the request.
    pub(crate) fn new_push(&self, config: &mut TaskPushNotificationConfig, field: &str) -> Result<NewPush, A2aError> {
        push::check_supported(&self.card)?;
        self.poster.check(&config.url).map_err(|reason| A2aError::invalid_field(field, reason))?;
        let id = config.id.get_or_insert_with(|| self.core.surroundings.id()).clone();
        if id.len() > ID_BYTES_MAX {
            return Err(A2aError::invalid_field("id", &format!("must have at most {ID_BYTES_MAX} bytes")));
        }
        let config = serde_json::to_string(config).map_err(|_| A2aError::internal("the configuration cannot be written"))?;
        Ok(NewPush { id, config })
    }

    /// Stores a configuration of a task that is there. Events after number `after` are posted; without it, those from now on.
    pub(crate) async fn put_push(
        &self,
        caller: &Caller,
        key: &TaskKey,
        push: &NewPush,
        after: Option<i64>,
    ) -> Result<(), A2aError> {
        let core = &self.core;
        let putting = Putting { limit: core.limits.pushes_per_task_max, after, now: core.surroundings.now() };
        let put = core.store.put_push(&core.agent, key, &caller.sender, push, putting).await;
        match put.map_err(|error| fault(&error))? {
            PutPush::Done => {
                core.posts.notify_one();
                Ok(())
            }
            PutPush::Missing => Err(A2aError::task_not_found(&key.id)),
            PutPush::Full => Err(push::too_many()),
        }
    }
}

/// Why an engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Postgres does not answer.
    #[error("registering with the task store")]
    Store(#[source] StoreError),
    /// No TLS roots on this machine, most likely.
    #[error("setting up the HTTP client for push notifications")]
    Http(#[source] reqwest::Error),
}
