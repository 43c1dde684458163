//! The relay: publishes what the outbox owes and performs its effects. What cannot be done now stays owed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use incident::agent::{Agent, Failure, Locator};
use incident::handling::{Answer, Input};
use store::{Lease, OutboxRow, Owed};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::Instrument as _;

use crate::core::{Claimed, Core};
use crate::lanes::{Reply, Work};
use crate::perform::{Call, Fault, Perform, chain};
use crate::{clock, metrics, telemetry};

/// Messages published together.
const PUBLISH_MAX: usize = 128;
/// Batches on their way at once; past that, rows wait and go together.
const BATCHES_MAX: usize = 8;
/// Facts wait this long, so that those of several decisions reach the disk and the ledger together, after the messages that act. People
/// read a timeline later, and what happened is durable already.
pub(crate) const FACTS_WAIT: Duration = Duration::from_millis(100);
/// Between two removals of published rows: much shorter than a lease, after which they would be sent again.
const FORGET_EVERY: Duration = Duration::from_millis(100);
/// Effects under way at once: providers and API servers are shared with others.
pub(crate) const EFFECTS_MAX: usize = 32;
/// One try takes no longer: far above what any performer allows itself, so that one that hangs does not keep its place for ever.
const TRY_WITHIN: Duration = Duration::from_mins(5);
/// Wait before the second try; doubles with each one.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// Longest wait between tries.
const BACKOFF_MAX: Duration = Duration::from_mins(1);
/// Between two renewals of the leases of effects that take their time, as a part of the lease.
const RENEWALS_PER_LEASE: u32 = 3;

/// Publishes rows until the process stops: sends them in order, and while the bus writes some it gets the next. What was published
/// leaves the outbox a little later, many rows at once, because nobody waits for that. After `wait`, what came meanwhile goes with the
/// first row.
pub(crate) async fn publish<A: Agent>(
    core: Arc<Core<A>>,
    mut rows: mpsc::Receiver<Claimed>,
    wait: Duration,
) -> anyhow::Result<()> {
    let mut under_way = FuturesOrdered::new();
    let mut published: Vec<Lease> = Vec::new();
    let mut forget = tokio::time::interval(FORGET_EVERY);
    forget.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = core.life.stopping() => break,
            _ = forget.tick(), if !published.is_empty() => {
                let (core, published) = (core.clone(), std::mem::take(&mut published));
                core.life.clone().spawn_work(async move { delete_published(&core, published).await });
            }
            Some(done) = under_way.next() => {
                if published.is_empty() {
                    forget.reset();
                }
                published.extend(done);
            }
            Some(first) = rows.recv(), if under_way.len() < BATCHES_MAX => {
                let mut batch = held(&core, first);
                if rows.is_empty() && !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                while batch.len() < PUBLISH_MAX {
                    let Ok(more) = rows.try_recv() else { break };
                    batch.append(&mut held(&core, more));
                }
                under_way.push_back(publish_batch(&core, batch));
            }
        }
    }
    while let Some(done) = under_way.next().await {
        published.extend(done);
    }
    delete_published(&core, published).await;
    Ok(())
}

/// Rows that waited for longer than their lease are somebody else's by now, or the sweep's: a bus that is slow must not be given them
/// twice.
fn held<A: Agent>(core: &Core<A>, claimed: Claimed) -> Vec<OutboxRow> {
    if claimed.at.elapsed() < core.lease { claimed.rows } else { vec![] }
}

/// Publishes these; answers with those that the bus has on disk.
async fn publish_batch<A: Agent>(core: &Core<A>, rows: Vec<OutboxRow>) -> Vec<Lease> {
    let role = core.role.as_str();
    let mut leases = Vec::with_capacity(rows.len());
    let mut publications = Vec::with_capacity(rows.len());
    for row in rows {
        leases.push(row.lease());
        if let Owed::Publication(owed) = row.owed {
            publications.push(bus::Publication {
                subject: owed.subject,
                id: owed.id,
                trace: row.trace,
                headers: owed.headers,
                body: owed.body.into(),
            });
        }
    }
    let results = core.bus.publish_all(&publications).await;
    let mut published: Vec<Lease> = Vec::with_capacity(leases.len());
    for (lease, result) in leases.into_iter().zip(results) {
        match result {
            Ok(()) => published.push(lease),
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(role, message.id = lease.id, error, "not published; it stays owed and is sent again");
                metrics::PUBLISHED.with_label_values(&[role, "error"]).inc();
            }
        }
    }
    metrics::PUBLISHED.with_label_values(&[role, "done"]).inc_by(u64::try_from(published.len()).unwrap_or(0));
    published
}

async fn delete_published<A: Agent>(core: &Core<A>, published: Vec<Lease>) {
    if let Err(error) = core.store.delete_published(&published).await {
        let (role, error) = (core.role.as_str(), chain(&error));
        tracing::warn!(role, error, "published messages stay in the outbox; sent again, they change nothing");
    }
}

/// Performs effects until the process stops.
pub(crate) async fn perform<A, P>(
    core: Arc<Core<A>>,
    performer: Arc<P>,
    mut rows: mpsc::Receiver<(OutboxRow, Instant)>,
) -> anyhow::Result<()>
where
    A: Agent,
    P: Perform<A>,
{
    let places = Arc::new(Semaphore::new(EFFECTS_MAX));
    loop {
        let row = tokio::select! {
            row = rows.recv() => row,
            () = core.life.stopping() => None,
        };
        let Some((row, claimed)) = row else { return Ok(()) };
        let place = places.clone().acquire_owned().await?;
        let (core, performer) = (core.clone(), performer.clone());
        let life = core.life.clone();
        life.spawn_work(async move { one(&core, &*performer, (row, claimed), place).await });
        // tokio begins with what was spawned last; so the first one goes first.
        tokio::task::yield_now().await;
    }
}

/// Does one effect. The place is given back before the outcome goes to its lane: lanes wait for places when they relay effects, so
/// whoever waits for a lane must hold none.
async fn one<A: Agent, P: Perform<A>>(
    core: &Core<A>,
    performer: &P,
    (row, claimed): (OutboxRow, Instant),
    place: OwnedSemaphorePermit,
) {
    let (name, body) = match row.effect::<A::Effect>() {
        Ok(Some((name, body))) => (name.to_owned(), body),
        Ok(None) => return,
        Err(error) => {
            let error = chain(&error);
            tracing::error!(effect.id = row.id, error, "an effect that cannot be read; it stays in the outbox");
            return;
        }
    };
    // It may have waited for its place for long: then somebody else may have it by now.
    if claimed.elapsed() > core.lease / RENEWALS_PER_LEASE && !is_still_held(core, &row).await {
        return;
    }
    let kind = kind_of(&name);
    let span =
        tracing::info_span!("effect", role = core.role.as_str(), effect = kind, effect.id = row.id, attempt = row.attempts);
    telemetry::continue_trace(&span, row.trace.as_deref());
    let done = async {
        let result = attempt(core, performer, &row, &name, body).await;
        drop(place);
        if let Some(result) = result {
            hand_back(core, &row, name, result).await;
        }
    };
    tokio::select! {
        () = done.instrument(span) => {}
        () = keep(core, &row) => tracing::warn!(effect.id = row.id, "another process has taken this effect over"),
        () = core.life.stopping() => {}
    }
}

/// One try; none if it is put off.
async fn attempt<A: Agent, P: Perform<A>>(
    core: &Core<A>,
    performer: &P,
    row: &OutboxRow,
    name: &str,
    body: A::Effect,
) -> Option<Result<A::Outcome, Failure>> {
    let (role, kind) = (core.role.as_str(), kind_of(name));
    let patience = performer.patience(&body);
    let trace = telemetry::traceparent(&tracing::Span::current());
    let call = Call { id: row.id.clone(), tenant: row.tenant.clone(), body, attempt: row.attempts, trace };
    let began = Instant::now();
    let result = tokio::time::timeout(TRY_WITHIN, performer.perform(call)).await;
    let result = result.unwrap_or_else(|_| Err(Fault::again(format!("no end within {} s", TRY_WITHIN.as_secs()))));
    metrics::EFFECT_SECONDS.with_label_values(&[role, kind]).observe(began.elapsed().as_secs_f64());
    let waited = (clock::now() - row.created_at).to_std().unwrap_or_default();
    let result = match result {
        Ok(outcome) => Ok(outcome),
        Err(Fault::Again { reason, after }) if waited < patience => {
            try_later(core, row, name, &reason, after).await;
            return None;
        }
        Err(Fault::Again { reason, .. }) => Err(Failure { reason: format!("{reason} (given up after {} s)", waited.as_secs()) }),
        Err(Fault::Never { reason }) => Err(Failure { reason }),
    };
    let label = if result.is_ok() { "done" } else { "failed" };
    metrics::EFFECTS.with_label_values(&[role, kind, label]).inc();
    if let Err(failure) = &result {
        tracing::warn!(effect.id = row.id, reason = failure.reason, "the effect failed");
    }
    Some(result)
}

/// Hands the outcome to the agent and waits until it is durable, so that the lease is kept until then: a store that is away for a
/// moment must not make another process do it all again.
async fn hand_back<A: Agent>(core: &Core<A>, row: &OutboxRow, name: String, result: Result<A::Outcome, Failure>) {
    let trace = telemetry::traceparent(&tracing::Span::current());
    loop {
        let (reply, answer) = oneshot::channel();
        let work = Work {
            tenant: row.tenant.clone(),
            locator: Locator::Id(row.entity.clone()),
            input: Input::Outcome { effect: name.clone(), claim: row.attempts, result: result.clone() },
            trace: trace.clone(),
            reply: Reply::Caller(reply),
        };
        core.enqueue(work).await;
        if let Ok(Answer::Done { .. }) = answer.await {
            return;
        }
        tokio::time::sleep(BACKOFF_FIRST).await;
    }
}

/// `probe-1.7` is one of many `probe`s: labels and metrics take the kind.
fn kind_of(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-')
}

async fn try_later<A: Agent>(core: &Core<A>, row: &OutboxRow, name: &str, reason: &str, after: Option<Duration>) {
    let role = core.role.as_str();
    metrics::EFFECTS.with_label_values(&[role, kind_of(name), "again"]).inc();
    let doubled = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(row.attempts.saturating_sub(1).min(16)));
    let wait = after.unwrap_or(doubled).clamp(BACKOFF_FIRST, BACKOFF_MAX.max(after.unwrap_or_default()));
    tracing::warn!(
        effect.id = row.id,
        attempt = row.attempts,
        reason,
        wait_ms = wait.as_millis(),
        "the effect is tried again later"
    );
    let until = clock::now() + TimeDelta::from_std(wait).unwrap_or_default();
    if let Err(error) = core.store.renew(&[row.lease()], until).await {
        tracing::warn!(error = chain(&error), "the store does not answer; the lease decides when it is tried again");
    }
}

/// Renews the row's lease while the effect is under way; resolves when somebody else has it.
async fn keep<A: Agent>(core: &Core<A>, row: &OutboxRow) {
    loop {
        tokio::time::sleep(core.lease / RENEWALS_PER_LEASE).await;
        if !is_still_held(core, row).await {
            return;
        }
    }
}

/// Renews the row's lease. A store that does not answer has not given it to anybody else either.
async fn is_still_held<A: Agent>(core: &Core<A>, row: &OutboxRow) -> bool {
    let until = clock::now() + TimeDelta::from_std(core.lease).unwrap_or_default();
    match core.store.renew(&[row.lease()], until).await {
        Ok(held) => !held.is_empty(),
        Err(error) => {
            tracing::warn!(error = chain(&error), "a lease could not be renewed");
            true
        }
    }
}
