//! The diagnostics agent: collects evidence, and lets the core conclude from it. It reads and never changes anything.

pub mod collect;

use std::collections::BTreeMap;
use std::time::Duration;

use collect::{Sources, collect};
use incident::agents::diagnostics::{Collect, Diagnostician};
use incident::evidence::Evidence;
use incident::id::TenantId;
use runtime::{Call, Context, Fault, Perform, clock};

/// Collecting never fails, it finds gaps; so one try is enough, and the deadlines inside bound it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where each tenant's evidence comes from.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// By tenant.
    pub tenants: BTreeMap<TenantId, Sources>,
}

/// Runs the role until the process stops.
///
/// # Errors
/// If it cannot start.
pub async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    runtime::serve(context, Diagnostician, Collector(config)).await
}

struct Collector(Config);

impl Perform<Diagnostician> for Collector {
    async fn perform(&self, call: Call<Collect>) -> Result<Vec<Evidence>, Fault> {
        let none = Sources::default();
        let sources = self.0.tenants.get(&call.tenant).unwrap_or(&none);
        Ok(collect(sources, call.body.workload.as_ref(), &call.body.alerts, clock::now()).await)
    }

    fn patience(&self, _effect: &Collect) -> Duration {
        PATIENCE
    }
}
