//! Lanes: everything about one entity goes down one lane, in order; what has piled up there is decided and committed together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Delivery, Verdict};
use incident::agent::{Agent, Locator};
use incident::fact::{Fact, What};
use incident::handling::{self, Answer, Commit, Committed, Input, Load, Loaded, Step, Stored};
use incident::id::TenantId;
use store::{Handled, Outcome, StoreError, Write};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::Instrument as _;

use crate::core::Core;
use crate::perform::chain;
use crate::{clock, metrics, outgoing, telemetry};

/// Two cores keep no more than this many commits going; order holds within each.
pub(crate) const LANES: usize = 8;
/// Inputs that wait in a lane; past that the bus keeps them.
pub(crate) const LANE_INPUTS_MAX: usize = 64;
/// Inputs that one commit handles: bounds its size and its time.
const GROUP_INPUTS_MAX: usize = 64;
/// A lost store is asked again by the bus after this.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// One input on its way.
pub(crate) struct Work<A: Agent> {
    pub(crate) tenant: TenantId,
    pub(crate) locator: Locator,
    pub(crate) input: Input<A::Outcome>,
    pub(crate) trace: Option<String>,
    pub(crate) reply: Reply,
}

/// Who waits for the answer.
pub(crate) enum Reply {
    /// The bus. The body's place is given back with the answer.
    Bus(Box<Delivery>, OwnedSemaphorePermit),
    /// Somebody in this process: a person's call at the gateway, or the relay with an outcome.
    Caller(oneshot::Sender<Answer>),
    /// Nobody: a row that stays until it is handled.
    Row,
}

impl Reply {
    /// A caller who has gone was told that it is not known how this ends: what was not begun by then shall not happen behind their back.
    fn is_abandoned(&self) -> bool {
        matches!(self, Self::Caller(waiting) if waiting.is_closed())
    }

    async fn give(self, answer: Answer) {
        match self {
            Self::Row => {}
            // A caller who has gone finds the answer in the record.
            Self::Caller(waiting) => drop(waiting.send(answer)),
            Self::Bus(delivery, _place) => {
                let verdict = match answer {
                    Answer::Done { refused: None, .. } => Verdict::Done,
                    Answer::Done { refused: Some(refusal), .. } => Verdict::Reject(refusal.to_string()),
                    Answer::Retry => Verdict::Retry(AGAIN_AFTER),
                };
                settle(*delivery, verdict).await;
            }
        }
    }
}

/// Tells the bus. If it cannot be told it delivers again, and the inbox knows.
pub(crate) async fn settle(delivery: Delivery, verdict: Verdict) {
    if let Err(error) = delivery.answer(verdict).await {
        tracing::warn!(error = chain(&error), "the bus could not be answered; it will deliver again");
    }
}

/// Works off one lane until the process stops.
pub(crate) async fn run<A>(core: Arc<Core<A>>, mut lane: mpsc::Receiver<Work<A>>) -> anyhow::Result<()>
where
    A: Agent,
{
    loop {
        let first = tokio::select! {
            work = lane.recv() => work,
            () = core.life.stopping() => None,
        };
        let Some(first) = first else { return Ok(()) };
        let mut waiting = VecDeque::from([first]);
        while waiting.len() < GROUP_INPUTS_MAX {
            let Ok(more) = lane.try_recv() else { break };
            waiting.push_back(more);
        }
        while let Some(group) = next_group(&mut waiting) {
            handle(&core, group).await;
        }
    }
}

/// Takes the first input and all others about the same entity, in order.
fn next_group<A: Agent>(waiting: &mut VecDeque<Work<A>>) -> Option<Vec<Work<A>>> {
    let first = waiting.front()?;
    let (tenant, locator) = (first.tenant.clone(), first.locator.clone());
    let (group, rest): (Vec<_>, Vec<_>) = waiting.drain(..).partition(|work| work.tenant == tenant && work.locator == locator);
    waiting.extend(rest);
    Some(group)
}

/// One entity's inputs.
struct Group<A: Agent> {
    tenant: TenantId,
    locator: Locator,
    inputs: Vec<Input<A::Outcome>>,
    replies: VecDeque<Reply>,
}

async fn handle<A: Agent>(core: &Core<A>, mut works: Vec<Work<A>>) {
    let role = core.role.as_str();
    works.retain(|work| !work.reply.is_abandoned());
    let Some(first) = works.first() else { return };
    let kind = kind_of(&first.input);
    let span = tracing::info_span!("handle", role, kind, tenant = %first.tenant, entity = ?first.locator, inputs = works.len());
    telemetry::continue_trace(&span, first.trace.as_deref());
    let mut group = Group {
        tenant: first.tenant.clone(),
        locator: first.locator.clone(),
        inputs: Vec::with_capacity(works.len()),
        replies: VecDeque::with_capacity(works.len()),
    };
    for work in works {
        group.inputs.push(work.input);
        group.replies.push_back(work.reply);
    }
    let began = Instant::now();
    let result = walk(core, &mut group, telemetry::traceparent(&span)).instrument(span.clone()).await;
    metrics::HANDLE_SECONDS.with_label_values(&[role]).observe(began.elapsed().as_secs_f64());
    if let Err(error) = result {
        give_up(core, group, kind, &error).instrument(span).await;
    }
}

/// Does what the handling machine says, step by step.
async fn walk<A: Agent>(core: &Core<A>, group: &mut Group<A>, trace: Option<String>) -> Result<(), StoreError> {
    loop {
        let inputs = std::mem::take(&mut group.inputs);
        let kind = inputs.first().map_or("none", kind_of);
        let mut step = Step::Load(handling::begin(group.tenant.clone(), group.locator.clone(), inputs));
        let rest = loop {
            step = match step {
                Step::Load(load) => match look(core, &load).await {
                    Ok(loaded) => load.loaded(&core.agent, loaded, clock::now()),
                    Err(error) => {
                        group.inputs = load.inputs;
                        return Err(error);
                    }
                },
                Step::Commit(commit, pending) => {
                    let committed = carry_out(core, group, *commit, trace.clone()).await?;
                    pending.committed(committed)
                }
                Step::Answer { answers, rest } => {
                    for answer in answers {
                        log(core, group, &answer);
                        metrics::HANDLED.with_label_values(&[core.role.as_str(), kind, label(&answer)]).inc();
                        if let Some(reply) = group.replies.pop_front() {
                            reply.give(answer).await;
                        }
                    }
                    break rest;
                }
            };
        };
        if rest.is_empty() {
            return Ok(());
        }
        group.inputs = rest;
    }
}

/// What is known of the entity: as this process committed it, or that there is none yet, when everything is taken for new; or else from the
/// store.
async fn look<A: Agent>(core: &Core<A>, load: &Load<A>) -> Result<Loaded<A::State>, StoreError> {
    let all_new = |stored| Loaded { stored: Some(stored), handled: vec![false; load.inputs.len()], beside: None };
    let guess = core.recent.take(&load.tenant, &load.locator).map(all_new).or_else(|| load.guess(&core.agent));
    match guess {
        Some(guess) => Ok(Loaded { beside: core.beside.read(&core.agent, &core.store, &load.tenant).await?, ..guess }),
        None => core.beside.load(&core.store, load, &core.agent).await,
    }
}

async fn carry_out<A: Agent>(
    core: &Core<A>,
    group: &Group<A>,
    commit: Commit<A::State, A::Effect, A::Outcome>,
    trace: Option<String>,
) -> Result<Committed, StoreError> {
    let mut publications = Vec::with_capacity(commit.outgoing.len() + commit.facts.len());
    for message in &commit.outgoing {
        publications.push(outgoing::message(message, trace.as_deref())?);
    }
    for fact in &commit.facts {
        publications.push(outgoing::fact(fact)?);
    }
    let write = Write {
        tenant: group.tenant.clone(),
        id: commit.id,
        expected: commit.expected,
        next: commit.next,
        handled: commit.handled.iter().map(Handled::from).collect(),
        publications,
        effects: commit.effects,
        timers: commit.timers,
        records: commit.records,
        rouses: commit.rouses,
        trace,
        now: clock::now(),
        lease: core.lease,
    };
    match core.store.commit(&write).await? {
        Outcome::Done { owed, state_bytes } => {
            if let Some(entity) = write.next {
                let stored = Stored { entity, revision: write.expected.unwrap_or(0) + 1 };
                core.recent.keep(&group.tenant, stored, state_bytes);
            }
            core.relay(owed).await;
            // Others wait for what was handed over, and nobody for the log and the acknowledgement: those come after it.
            tokio::task::yield_now().await;
            commit.facts.iter().for_each(tell);
            Ok(Committed::Done)
        }
        Outcome::Lost => {
            metrics::RACES.with_label_values(&[core.role.as_str()]).inc();
            Ok(Committed::Lost)
        }
    }
}

/// What happened, in the log: it reads like the incident's timeline, also where neither Slack nor Jira is configured.
fn tell(fact: &Fact) {
    let (role, tenant, kind) = (fact.by.as_str(), fact.tenant.as_str(), fact.what.kind());
    match &fact.what {
        What::Cost { .. } => {}
        what => tracing::info!(role, tenant, incident.id = %fact.incident, kind, "{}", what.sentence()),
    }
}

/// The store does not answer, or holds what cannot be read: the bus delivers again, or keeps a dead letter; rows stay where they are.
async fn give_up<A: Agent>(core: &Core<A>, group: Group<A>, kind: &'static str, error: &StoreError) {
    let transient = error.is_transient();
    tracing::warn!(error = chain(error), transient, "inputs could not be handled");
    for reply in group.replies {
        metrics::HANDLED.with_label_values(&[core.role.as_str(), kind, "error"]).inc();
        match reply {
            Reply::Bus(delivery, _place) if !transient => settle(*delivery, Verdict::Reject(error.to_string())).await,
            reply => reply.give(Answer::Retry).await,
        }
    }
}

fn log<A: Agent>(core: &Core<A>, group: &Group<A>, answer: &Answer) {
    let (role, tenant) = (core.role.as_str(), group.tenant.as_str());
    match answer {
        Answer::Done { why, refused: Some(_) } => tracing::warn!(role, tenant, entity = ?group.locator, why, "refused"),
        Answer::Done { why, refused: None } => tracing::debug!(role, tenant, entity = ?group.locator, why, "handled"),
        Answer::Retry => tracing::warn!(role, tenant, entity = ?group.locator, "too many races; delivered again later"),
    }
}

const fn label(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done { refused: None, .. } => "done",
        Answer::Done { refused: Some(_), .. } => "refused",
        Answer::Retry => "retry",
    }
}

const fn kind_of<O>(input: &Input<O>) -> &'static str {
    match input {
        Input::Message(message) => message.content.kind(),
        Input::Timer { .. } => "timer",
        Input::Outcome { .. } => "outcome",
    }
}
