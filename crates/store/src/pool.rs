//! Connections that stay open: bounded in number and in every wait, and opened anew after Postgres was away.
//!
//! sqlx's own pool asks the server a question of its own after every use, which is half of all that Postgres is asked here. This
//! one knows instead whether the last statement on a connection came to its end; one that did not is closed.
//!
//! Opening a connection and planning its first statements takes as long as twenty statements on one that is in use already. So one serves
//! all while they need not wait for long, and another is opened behind the back of those who wait.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{self, Manager, Metrics, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSeverity};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// How long a caller waits for a connection, also while Postgres is away: shorter than the bus waits for an answer.
const ACQUIRE_MAX: Duration = Duration::from_secs(3);
/// Who waits for longer has another connection opened: some statements of others take this.
const CALM_WAIT_MAX: Duration = Duration::from_millis(5);
/// A connection that slept longer than this is tried before use: the server, or something between, may have closed it.
const IDLE_UNTESTED_MAX: Duration = Duration::from_secs(30);
/// An idle connection is closed after this.
const IDLE_MAX: Duration = Duration::from_mins(5);

#[derive(Debug, Clone)]
pub(crate) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    links: managed::Pool<Opener>,
    /// Who has one of these may use a link: at rest one, and one more for each link that was opened because of a wait.
    places: Semaphore,
    /// How many there are.
    places_count: AtomicUsize,
    /// One is opened at a time.
    opening: Semaphore,
}

/// Opens connections and says which may be used again.
#[derive(Debug)]
struct Opener(PgConnectOptions);

/// A connection and whether it rests between two statements.
#[derive(Debug)]
struct Link {
    connection: PgConnection,
    is_at_rest: bool,
}

impl Manager for Opener {
    type Type = Link;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Link, sqlx::Error> {
        Ok(Link { connection: PgConnection::connect_with(&self.0).await?, is_at_rest: true })
    }

    async fn recycle(&self, link: &mut Link, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if !link.is_at_rest {
            return Err(RecycleError::message("its last statement did not end"));
        }
        if metrics.last_used() > IDLE_UNTESTED_MAX {
            link.connection.ping().await?;
        }
        Ok(())
    }
}

impl Pool {
    /// Opens no connection yet.
    #[expect(clippy::expect_used, reason = "a pool cannot be made if it shall keep time without a runtime, and this one has one")]
    pub(crate) fn open(address: PgConnectOptions, connections_max: u32) -> Self {
        let size = usize::try_from(connections_max).unwrap_or(usize::MAX).max(1);
        let pool = managed::Pool::builder(Opener(address)).max_size(size).runtime(Runtime::Tokio1);
        let pool = pool.wait_timeout(Some(ACQUIRE_MAX)).create_timeout(Some(ACQUIRE_MAX)).recycle_timeout(Some(ACQUIRE_MAX));
        // The connection used last has its server process and its statements at hand.
        let links = pool.queue_mode(QueueMode::Lifo).build().expect("a runtime was named");
        let (places, places_count, opening) = (Semaphore::new(1), AtomicUsize::new(1), Semaphore::new(1));
        Self(Arc::new(Shared { links, places, places_count, opening }))
    }

    /// Lends a connection for one piece of work. If the work is dropped, or fails for another reason than the server's word, the
    /// connection is not used again.
    pub(crate) async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let _place = self.place().await?;
        let mut link = self.0.links.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Closed => sqlx::Error::PoolClosed,
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => sqlx::Error::PoolTimedOut,
        })?;
        link.is_at_rest = false;
        let result = work(&mut link.connection).await;
        link.is_at_rest = result.as_ref().err().is_none_or(leaves_at_rest);
        if !link.is_at_rest {
            // Most likely the server was restarted, and the others are gone as well: nobody need find that out one by one.
            self.0.links.retain(|_, _| false);
        }
        result
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, sqlx::Error> {
        let mut place = pin!(self.0.places.acquire());
        let asked = Instant::now();
        while asked.elapsed() < ACQUIRE_MAX {
            if let Ok(place) = timeout(CALM_WAIT_MAX, &mut place).await {
                return place.map_err(|_| sqlx::Error::PoolClosed);
            }
            tokio::spawn(self.clone().grow());
        }
        Err(sqlx::Error::PoolTimedOut)
    }

    /// Opens one more connection, and makes place for who uses it. If that fails, those who wait find out by themselves.
    async fn grow(self) {
        let Ok(_opening) = self.0.opening.try_acquire() else { return };
        let before = self.0.links.status();
        if before.size < before.max_size && self.0.links.get().await.is_ok() && self.0.links.status().size > before.size {
            self.0.places_count.fetch_add(1, Ordering::Relaxed);
            self.0.places.add_permits(1);
        }
    }

    /// Closes what was idle for long.
    pub(crate) fn close_idle(&self) {
        self.0.links.retain(|_, metrics| metrics.last_used() < IDLE_MAX);
        let surplus = self.0.places_count.load(Ordering::Relaxed).saturating_sub(self.0.links.status().size.max(1));
        self.0.places_count.fetch_sub(self.0.places.forget_permits(surplus), Ordering::Relaxed);
    }
}

/// Whether the server said no and waits for the next statement. After anything worse it has hung up, or still talks about the last one.
fn leaves_at_rest(error: &sqlx::Error) -> bool {
    let said_no = |error: &PgDatabaseError| matches!(error.severity(), PgSeverity::Error);
    error.as_database_error().and_then(|error| error.try_downcast_ref()).is_some_and(said_no)
}
