//! Ledger: runs `incident::agents::ledger` on the bus and the store. It only ever appends.

use incident::agents::ledger::Ledger;
use runtime::{Context, NoEffects};

/// Runs the role until the process stops.
///
/// # Errors
/// If it cannot start.
pub async fn run(context: Context) -> anyhow::Result<()> {
    runtime::serve(context, Ledger, NoEffects).await
}
