//! Push notifications: each event of a task posted to each place that was configured for it, in order, at least once.
//!
//! How far a place has got is stored, so posting goes on after a restart, from any process. A place that fails is tried again after a
//! pause that doubles; one that failed too often is given up, which the log and `store::a2a::PushBacklog` show.

mod address;
mod poster;
mod signer;

use std::sync::Arc;
use std::time::Duration;

use a2a::{A2aError, AgentCard, ErrorKind, ListTaskPushNotificationConfigsResponse, TaskPushNotificationConfig};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use store::a2a::{ClaimedPush, PushOutcome};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::Executor;
use crate::core::{Core, chain};
use crate::engine::Inner;
use crate::limits::{EVENT_BYTES_MAX, Limits};
use crate::subscription;

pub use address::Targets;
pub(crate) use poster::Poster;
pub use signer::{PushSigner, SignerError};

/// How events are posted.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// Where to.
    pub targets: Targets,
    /// Signs each post, if receivers are to check where it comes from.
    pub signer: Option<PushSigner>,
}

pub(crate) fn check_supported(card: &AgentCard) -> Result<(), A2aError> {
    let is_supported = card.is_pushing();
    let refusal = || A2aError::new(ErrorKind::PushNotificationNotSupported, "the agent posts no notifications");
    is_supported.then_some(()).ok_or_else(refusal)
}

pub(crate) fn too_many() -> A2aError {
    A2aError::resource_exhausted("the task has too many configurations for push notifications", None)
}

/// A stored configuration.
pub(crate) fn read(config: &str) -> Result<TaskPushNotificationConfig, A2aError> {
    // The error would quote what is in it.
    serde_json::from_str(config).map_err(|_| A2aError::internal("a stored configuration cannot be read"))
}

/// One page of a task's configurations, which are sorted by id. The token is the id of the last one on the page before.
pub(crate) fn page(
    all: Vec<TaskPushNotificationConfig>,
    size: Option<u32>,
    token: Option<&str>,
) -> Result<ListTaskPushNotificationConfigsResponse, A2aError> {
    let after = token.map(read_token).transpose()?;
    let is_new = |config: &TaskPushNotificationConfig| after.is_none() || config.id > after;
    let mut configs: Vec<_> = all.into_iter().filter(is_new).collect();
    let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
    let has_more = configs.len() > size;
    configs.truncate(size);
    let last = configs.last().filter(|_| has_more).and_then(|config| config.id.as_deref());
    let next_page_token = last.map(|id| URL_SAFE_NO_PAD.encode(id));
    Ok(ListTaskPushNotificationConfigsResponse { configs, next_page_token })
}

fn read_token(token: &str) -> Result<String, A2aError> {
    let id = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    id.ok_or_else(|| A2aError::invalid_field("pageToken", "is not of this listing"))
}

/// Posts until the engine stops.
pub(crate) async fn run<E: Executor>(engine: Arc<Inner<E>>) {
    let core = &engine.core;
    let mut posts = JoinSet::new();
    // Whose posts are under way.
    let mut under_way: Vec<(String, AbortHandle)> = vec![];
    loop {
        while posts.try_join_next().is_some() {}
        under_way.retain(|(_, post)| !post.is_finished());
        let room = core.limits.posts_at_once_max.saturating_sub(posts.len());
        let claimed = claim(core, room, &under_way).await;
        let is_all = claimed.len() < room;
        for push in claimed {
            let tenant = push.key.task.tenant.clone();
            let post = posts.spawn(deliver(Arc::clone(&engine), push));
            under_way.push((tenant, post));
        }
        tokio::select! {
            () = core.stopping.cancelled() => break,
            () = core.posts.notified(), if room > 0 => {}
            () = tokio::time::sleep(core.limits.look_every), if is_all => {}
            Some(_) = posts.join_next(), if !is_all => {}
        }
    }
    // A turn ends with the post that is under way. One that is cut off is posted again by whoever comes next.
    let ended = tokio::time::timeout(core.limits.stop_max, async { while posts.join_next().await.is_some() {} });
    if ended.await.is_err() {
        posts.shutdown().await;
    }
}

async fn claim(core: &Core, room: usize, under_way: &[(String, AbortHandle)]) -> Vec<ClaimedPush> {
    let now = core.surroundings.now();
    let limit = u32::try_from(room).unwrap_or(u32::MAX);
    if limit == 0 {
        return vec![];
    }
    let tenants: Vec<&str> = under_way.iter().map(|(tenant, _)| tenant.as_str()).collect();
    match core.store.claim_pushes(&core.agent, now, now + lease(&core.limits), limit, &tenants).await {
        Ok(claimed) => claimed,
        Err(error) => {
            tracing::warn!(error = chain(&error), "push notifications could not be looked for");
            vec![]
        }
    }
}

/// A turn takes as long as one post, and one more post may begin at its very end.
fn lease(limits: &Limits) -> Duration {
    limits.post_max * 3
}

/// One place's turn: its events in order, until all arrived, one failed, or others shall have their turn.
async fn deliver<E: Executor>(engine: Arc<Inner<E>>, push: ClaimedPush) {
    let core = &engine.core;
    let mut cursor = push.cursor;
    let failure = post_all(&engine, &push, &mut cursor).await.err();
    let attempts = if cursor > push.cursor { 1 } else { push.attempts + 1 };
    let (tenant, task, config) = (&push.key.task.tenant, &push.key.task.id, &push.key.id);
    let outcome = match failure {
        None => PushOutcome::Delivered,
        Some(reason) if reason.is_final || attempts >= core.limits.post_attempts_max => {
            tracing::error!(
                tenant,
                task.id = task,
                push.id = config,
                attempts,
                reason = reason.text,
                "push notifications given up"
            );
            PushOutcome::GivenUp
        }
        Some(reason) => {
            tracing::info!(
                tenant,
                task.id = task,
                push.id = config,
                attempts,
                reason = reason.text,
                "a push notification failed"
            );
            PushOutcome::Failed(core.surroundings.now() + pause(attempts, &core.limits))
        }
    };
    if let Err(error) = core.store.settle_push(&core.agent, &push, cursor, outcome, core.surroundings.now()).await {
        tracing::warn!(error = chain(&error), "what was posted could not be written down; it will be posted again");
    }
    core.posts.notify_one();
}

/// Why a post did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) text: String,
    /// Trying again is useless.
    pub(crate) is_final: bool,
}

impl Failure {
    fn passing(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_final: false }
    }
}

async fn post_all<E: Executor>(engine: &Inner<E>, push: &ClaimedPush, cursor: &mut i64) -> Result<(), Failure> {
    let core = &engine.core;
    let config = read(&push.config).map_err(|error| Failure { text: error.message, is_final: true })?;
    let until = Instant::now() + core.limits.post_max;
    loop {
        let rows = core.store.task_events(&core.agent, &push.key.task, *cursor, EVENT_BYTES_MAX).await;
        let rows = rows.map_err(|error| Failure::passing(chain(&error)))?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            let events = subscription::read(&row.events).map_err(|error| Failure { text: error.message, is_final: true })?;
            let first = row.seq - i64::try_from(events.len()).unwrap_or(i64::MAX) + 1;
            for (seq, event) in (first..).zip(events).filter(|(seq, _)| *seq > *cursor).collect::<Vec<_>>() {
                if Instant::now() >= until || core.stopping.is_cancelled() {
                    return Ok(());
                }
                engine.poster.post(&config, &push.key, seq, &event, core.surroundings.now()).await?;
                *cursor = seq;
            }
        }
    }
}

/// How long to leave a place alone that failed so often in a row.
fn pause(attempts: u32, limits: &Limits) -> Duration {
    let factor = 2_u32.saturating_pow(attempts.saturating_sub(1).min(30));
    limits.post_pause.saturating_mul(factor).min(limits.post_pause_max)
}

#[cfg(test)]
mod tests;
