//! Starting and stopping: no task runs unwatched, a soft stop lets work end, a hard stop does not wait for ever.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After a stop is asked for, work under way gets this long; Kubernetes kills after 30 s by default.
const GRACE: Duration = Duration::from_secs(20);

/// The life of a process: every task is spawned through it.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    tracker: TaskTracker,
    stopping: CancellationToken,
    failed: CancellationToken,
}

impl Lifecycle {
    /// Spawns a task that lives as long as the process. If it ends before a stop is asked for, or with an error, the process stops
    /// with a failing code: a role that has quietly lost a part of itself is worse than one that is restarted.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let life = self.clone();
        self.tracker.spawn(async move {
            let result = tokio::spawn(task).await;
            match result {
                Ok(Ok(())) if life.stopping.is_cancelled() => {}
                Ok(Ok(())) => life.fail(name, "ended before a stop was asked for"),
                Ok(Err(error)) => life.fail(name, &format!("{error:#}")),
                Err(panic) => life.fail(name, &panic.to_string()),
            }
        });
    }

    /// Spawns a piece of work that ends by itself and reports for itself.
    pub fn spawn_work<F>(&self, work: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(work)
    }

    fn fail(&self, task: &'static str, error: &str) {
        tracing::error!(task, error, "a task ended that must not; stopping the process");
        self.failed.cancel();
        self.stopping.cancel();
    }

    /// Resolves when a stop is asked for.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// Whether a stop was asked for.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Asks for a stop.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits for SIGINT, SIGTERM or a failed task, then lets the work end.
    ///
    /// # Errors
    /// If a task failed, or work did not end within the grace period.
    pub async fn run_until_stopped(&self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
            () = self.stopping() => {}
        }
        self.finish().await
    }

    /// Asks for a stop and waits until all tasks have ended.
    ///
    /// # Errors
    /// If a task failed, or work did not end within the grace period.
    pub async fn finish(&self) -> anyhow::Result<()> {
        self.stop();
        self.tracker.close();
        let ended = tokio::time::timeout(GRACE, self.tracker.wait()).await;
        anyhow::ensure!(
            ended.is_ok(),
            "work did not end within {} s; what was not committed will be delivered again",
            GRACE.as_secs()
        );
        anyhow::ensure!(!self.failed.is_cancelled(), "a task failed; the log says which");
        Ok(())
    }
}
