//! Monitoring: runs `incident::agents::monitoring` on the bus and the store. It has no effects of its own: all it does is ask others.

use incident::agents::monitoring::Monitoring;
use runtime::{Context, NoEffects};

/// Runs the role until the process stops.
///
/// # Errors
/// If it cannot start.
pub async fn run(context: Context) -> anyhow::Result<()> {
    runtime::serve(context, Monitoring, NoEffects).await
}
