//! Memory of `paramedic up`: all roles in one process, NATS and Postgres apart.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinHandle;

use crate::body::{self, Template};
use crate::figures::{line, note, verdict};
use crate::load::{self, Plan, Target};
use crate::path::Scene;
use crate::process::{self, Memory};
use crate::stage::Stage;

/// The goal, also of a storm of alerts.
pub(crate) const MIB_MAX: f64 = 80.0;
/// After its start, for whatever it still does.
const IDLE_AFTER: Duration = Duration::from_secs(3);
const SAMPLE_EVERY: Duration = Duration::from_millis(200);
/// What an alert storm looks like: many senders, 256 services.
const STORM: Plan = Plan { connections: 64, warm_up: Duration::from_millis(500), measure: Duration::from_secs(10) };

/// Memory over a time: the largest values seen.
pub(crate) struct Watch {
    peak: Arc<Mutex<Memory>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Looks again and again.
    pub(crate) fn start(pid: u32) -> Self {
        let peak = Arc::new(Mutex::new(Memory::default()));
        let seen = Arc::clone(&peak);
        let task = tokio::spawn(async move {
            while let Ok(now) = process::memory(pid) {
                {
                    let mut peak = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    *peak = Memory { rss: peak.rss.max(now.rss), pss: peak.pss.max(now.pss) };
                }
                tokio::time::sleep(SAMPLE_EVERY).await;
            }
        });
        Self { peak, task }
    }

    /// What was the most until now.
    pub(crate) fn so_far(&self) -> Memory {
        *self.peak.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was the most.
    pub(crate) fn peak(self) -> Memory {
        self.task.abort();
        self.so_far()
    }
}

/// Memory of a process that has just started.
pub(crate) async fn idle(scene: &Scene) -> Result<Memory> {
    tokio::time::sleep(IDLE_AFTER).await;
    process::memory(scene.process.pid())
}

/// Sends a storm of alerts and prints what all came to.
pub(crate) async fn run(scene: &Scene, idle: Memory, path: Memory) -> Result<()> {
    note("memory: a storm of alerts");
    let body = body::notification("storm");
    let template = Arc::new(Template::post(Stage::webhook_path(), &scene.stage.webhook, &body));
    let watch = Watch::start(scene.process.pid());
    let outcome = load::run(&Target { address: scene.stage.listen(), template, says: None }, STORM, || Ok(())).await?;
    ensure!(scene.is_alive(), "Paramedic did not survive the storm:\n{}", scene.process.tail());
    let storm = watch.peak();
    line("\n3. Memory of `paramedic up`, all roles in one process; the most that was seen every 200 ms");
    let storm_name = format!("storm: {:.0} webhooks/s for 10 s", outcome.per_second);
    for (what, memory) in [("idle", idle), ("while incidents are handled", path), (storm_name.as_str(), storm)] {
        let verdict = verdict(memory.rss < MIB_MAX);
        line(&format!(
            "   {what:<38} RSS {:>6.1} MiB   PSS {:>6.1} MiB   goal: below {MIB_MAX:.0} MiB {verdict}",
            memory.rss, memory.pss
        ));
    }
    if outcome.refused > 0 {
        line(&format!("   (of the storm, {} webhooks were answered otherwise than 2xx)", outcome.refused));
    }
    Ok(())
}
