//! Monitoring: runs `incident::agents::monitoring` on the bus and the store, and watches metrics itself. It has no effects of its own:
//! all it does is ask others, and say what it sees as Alertmanager would.

pub mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use incident::agent::Content;
use incident::agents::monitoring::Monitoring;
use incident::handling::Answer;
use incident::id::{HeartbeatName, TenantId};
use runtime::{Context, Handle, NoEffects, clock};
use tokio::time::Instant;

/// How long the store may take to remember that a heartbeat is listened for, before it is asked again.
const LISTEN_WITHIN: Duration = Duration::from_secs(5);

/// What it works with.
#[derive(Debug, Default)]
pub struct Config {
    /// How it behaves, tenant by tenant.
    pub agent: Monitoring,
    /// Whose metrics are watched.
    pub watches: BTreeMap<TenantId, watch::Watch>,
}

/// Runs the role, as it is configured, until the process stops.
///
/// # Errors
/// If it cannot start.
pub async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    let life = context.life.clone();
    let mut expected: Vec<(TenantId, HeartbeatName)> = vec![];
    for (tenant, heartbeats) in &config.agent.heartbeats {
        expected.extend(heartbeats.keys().map(|name| (tenant.clone(), name.clone())));
    }
    for (tenant, watch) in config.watches {
        watch::start(&context, tenant, watch);
    }
    let handle = runtime::start(context, config.agent, NoEffects);
    tokio::select! {
        () = listen(&handle, expected) => life.stopping().await,
        () = life.stopping() => {}
    }
    Ok(())
}

/// Has it remembered that these heartbeats are listened for: one that is never heard counts from the first time. A store that is away is
/// asked until it answers.
async fn listen(handle: &Handle<Monitoring>, expected: Vec<(TenantId, HeartbeatName)>) {
    let since = clock::now().timestamp_millis();
    for (tenant, name) in expected {
        loop {
            let content = Content::Listen { tenant: tenant.clone(), name: name.clone() };
            // Each start says it anew, because what was configured no more may be configured again.
            let id = format!("listen-{name}-{since}");
            let answer = handle.submit(tenant.clone(), id, content, Instant::now() + LISTEN_WITHIN).await;
            if matches!(answer, Ok(Answer::Done { .. })) {
                break;
            }
            let heartbeat = name.as_str();
            tracing::warn!(tenant = tenant.as_str(), heartbeat, "it is not remembered yet that a heartbeat is listened for");
            tokio::time::sleep(LISTEN_WITHIN).await;
        }
    }
}
