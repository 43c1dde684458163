//! Monitoring: runs `incident::agents::monitoring` on the bus and the store. It has no effects of its own: all it does is ask others.

use std::collections::BTreeMap;

use incident::agents::monitoring::{Lifecycle, Monitoring};
use incident::id::TenantId;
use runtime::{Context, NoEffects};

/// Runs the role, with these numbers for each tenant, until the process stops.
///
/// # Errors
/// If it cannot start.
pub async fn run(context: Context, tenants: BTreeMap<TenantId, Lifecycle>) -> anyhow::Result<()> {
    runtime::serve(context, Monitoring { tenants }, NoEffects).await
}
