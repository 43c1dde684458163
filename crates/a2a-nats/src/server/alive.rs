//! The replica's own heartbeat, for who watches agents rather than tasks.

use serde_json::json;

use super::Server;

/// Says on every `a2a.<tenant>.<agent>.alive` that this replica lives, and how much it does.
pub(super) async fn tell<S>(server: &Server<S>) {
    let (operations, streams) = server.gate.under_way();
    let every_ms = u64::try_from(server.options.limits.alive_every.as_millis()).unwrap_or(u64::MAX);
    for address in &server.addresses {
        let told = json!({
            "agent": address.agent(),
            "tenant": address.tenant(),
            "replica": server.replica,
            "operations": operations,
            "streams": streams,
            "everyMs": every_ms,
        });
        server.post.tell(&address.alive(), &told).await;
    }
}
