//! The metric watch's shell: asks Prometheus at each moment of the grid, lets the core judge, keeps what it says, and sends its alerts to
//! where the gateway sends those of Alertmanager. It decides nothing.
//!
//! Every replica looks. They look at the same moments, remember in the same row, and give an alert the same id, so that it is one alert.

mod count;
mod history;
mod keep;
mod look;

use std::time::Duration;

use chrono::{DateTime, Utc};
use cluster::prometheus::Prometheus;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use incident::alert::Correlation;
use incident::id::TenantId;
use incident::watch::Grid;
use incident::watch::memory::Looked;
use incident::watch::rule::Rule;
use runtime::{Context, clock};
use tokio::time::Instant;
use tracing::Instrument as _;

use keep::Keeper;
use look::Watched;

/// Rules that are asked for at once: Prometheus has other users, and takes 20 queries at a time by default.
const ASKED_AT_ONCE: usize = 4;
/// After the moment that is looked at, samples may still come in: scrapes end within a second, remote writes within some. No longer than
/// a quarter of the interval.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// All rules together are given up after this, so that a slow Prometheus does not make the next look late. No longer than three quarters
/// of the interval.
const LOOK_MAX: Duration = Duration::from_secs(45);

/// What one tenant has watched.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Where its metrics are.
    pub prometheus: Prometheus,
    /// What is watched.
    pub rules: Vec<Rule>,
    /// Seconds from one look to the next.
    pub interval_s: u32,
    /// What makes alerts one incident; as the gateway has it.
    pub correlation: Correlation,
}

/// Watches until the process stops.
pub(crate) fn start(context: &Context, tenant: TenantId, watch: Watch) {
    let Watch { prometheus, rules, interval_s, correlation } = watch;
    let (store, bus, lease) = (context.store.clone(), context.bus.clone(), context.lease);
    let grid = Grid::new(interval_s);
    let keeper = Keeper { tenant: tenant.clone(), grid, store, bus, lease, correlation };
    let rules = rules.into_iter().map(Watched::new).collect();
    let life = context.life.clone();
    let watcher = Watcher { prometheus, rules, grid, keeper };
    let watching = async move {
        tokio::select! {
            () = watcher.run() => {}
            () = life.stopping() => {}
        }
        Ok(())
    };
    let span = tracing::info_span!("watch", tenant = %tenant);
    context.life.spawn("watch", watching.instrument(span));
}

struct Watcher {
    prometheus: Prometheus,
    rules: Vec<Watched>,
    grid: Grid,
    keeper: Keeper,
}

impl Watcher {
    /// Cut off anywhere it loses nothing: what was not kept is seen again at the next look.
    async fn run(mut self) {
        tracing::info!(rules = self.rules.len(), "watching metrics");
        let interval = self.grid.interval().to_std().unwrap_or_default();
        let settle = SETTLE_MAX.min(interval / 4);
        let mut last = self.grid.last(clock::now());
        loop {
            let due = last + self.grid.interval() + settle;
            tokio::time::sleep((due - clock::now()).to_std().unwrap_or_default()).await;
            // Looks that were missed are not made up for: what they would have seen shows in this one.
            let at = self.grid.last(clock::now() - settle);
            if at > last {
                self.look(at, Instant::now() + LOOK_MAX.min(interval * 3 / 4)).await;
                last = at;
            }
        }
    }

    async fn look(&mut self, at: DateTime<Utc>, deadline: Instant) {
        let (prometheus, grid, tenant) = (&self.prometheus, self.grid, &self.keeper.tenant);
        let mut asked: Vec<BoxFuture<'_, Looked<'_>>> = Vec::with_capacity(self.rules.len());
        for watched in &mut self.rules {
            asked.push(Box::pin(watched.look(tenant, prometheus, grid, at, deadline)));
        }
        let looked: Vec<Looked<'_>> = futures::stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
        if let Err(error) = self.keeper.keep(&looked, at).await {
            count::KEPT.with_label_values(&[tenant.as_str(), "failed"]).inc();
            tracing::warn!(
                error = format!("{error:#}"),
                "what the watch saw could not be kept; it is seen again at the next look"
            );
        } else {
            count::KEPT.with_label_values(&[tenant.as_str(), "done"]).inc();
        }
    }
}
