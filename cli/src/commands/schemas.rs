//! `paramedic schemas`: JSON Schemas of what travels and of what people write, from the very types that read them.

use std::path::Path;

use anyhow::Context as _;
use schemars::{JsonSchema, Schema, schema_for};

use crate::output::line;

/// File name and schema of each.
fn all() -> Vec<(&'static str, Schema)> {
    fn of<T: JsonSchema>() -> Schema {
        schema_for!(T)
    }
    vec![
        ("a2a-send-message-request.json", of::<a2a::SendMessageRequest>()),
        ("a2a-cancel-task-request.json", of::<a2a::CancelTaskRequest>()),
        ("a2a-stream-response.json", of::<a2a::StreamResponse>()),
        ("approval-request.json", of::<incident::approval::ApprovalRequest>()),
        ("approval-closed.json", of::<incident::approval::ApprovalClosed>()),
        ("artifact.json", of::<incident::task::Artifact>()),
        ("errand.json", of::<incident::task::Errand>()),
        ("fact.json", of::<incident::fact::Fact>()),
        ("notification.json", of::<incident::alert::Notification>()),
        ("plan.json", of::<incident::plan::Plan>()),
        ("policy.json", of::<incident::approval::Policy>()),
        ("record.json", of::<incident::record::Record>()),
        ("runbook.json", of::<incident::runbook::Runbook>()),
        ("order.json", of::<incident::order::Order>()),
        ("silences.json", of::<incident::silence::Silences>()),
        ("topology.json", of::<incident::topology::Topology>()),
        ("signed-vote.json", of::<incident::approval::SignedVote>()),
        ("watch.json", of::<incident::watch::rule::WatchFile>()),
    ]
}

/// Writes them all to `folder`.
pub(crate) fn write(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    for (name, schema) in all() {
        let path = folder.join(name);
        let text = format!("{}\n", serde_json::to_string_pretty(&schema)?);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        line(&path.display().to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_schemas_are_fresh() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
        for (name, schema) in all() {
            let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            let fresh = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
            assert!(text == fresh, "schemas/{name} is stale: run `paramedic schemas`");
        }
    }
}
