//! A running service: one agent, its performer, its lanes, its relay, its sweep.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Delivery, Verdict};
use futures::StreamExt as _;
use incident::agent::{Agent, Content, Message};
use incident::handling::{Answer, Input};
use incident::id::TenantId;
use incident::task::Role;
use store::{Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::beside::Beside;
use crate::core::{Core, Outlet};
use crate::lanes::{self, LANE_INPUTS_MAX, LANES, Reply, Work};
use crate::lifecycle::Lifecycle;
use crate::perform::Perform;
use crate::recent::Recent;
use crate::room::Room;
use crate::{audit, relay, sweep, telemetry, wire};

/// KiB of messages from the bus that are in the lanes; past that the bus keeps them. A notification of a hundred alerts has 40, and takes
/// several times as much once it is read: without this, a storm of them would fill the memory long before the lanes.
const LANES_KIB_MAX: u32 = 256;

/// Between two questions to a store that is away.
const STORE_ASKED_EVERY: Duration = Duration::from_secs(1);

/// What a service needs to run.
#[derive(Debug, Clone)]
pub struct Context {
    /// Which service.
    pub role: Role,
    /// Its connection to the bus, as its own user.
    pub bus: Bus,
    /// Its memory, as its own database role.
    pub store: Store,
    /// The life of the process.
    pub life: Lifecycle,
    /// How long what this process holds stays its own if it goes away: other replicas take over after that.
    pub lease: Duration,
    /// How often it is looked whether anything is stuck.
    pub audit_every: Duration,
}

impl Context {
    /// Waits for a store that was only opened, until it answers or the process stops.
    ///
    /// # Errors
    /// If its schema is not what this program needs.
    pub async fn await_store(&self) -> Result<(), StoreError> {
        let mut is_said = false;
        loop {
            let error = match self.store.check(self.role).await {
                Err(error) if error.is_transient() => error,
                other => return other,
            };
            if !is_said {
                let error = crate::chain(&error);
                tracing::warn!(error, "Postgres is away; what needs it starts when it is back");
                is_said = true;
            }
            tokio::select! {
                () = tokio::time::sleep(STORE_ASKED_EVERY) => {}
                () = self.life.stopping() => return Ok(()),
            }
        }
    }
}

/// A person's answer that could not be handled now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// There was no time to begin; nothing is recorded.
    #[error("the answer could not be recorded; try again")]
    Unavailable,
    /// It did not end in time: it may be recorded, now or in a moment.
    #[error("it is not known whether the answer was recorded")]
    Unknown,
    /// The agent takes no such input.
    #[error("this service takes no such input")]
    Misdirected,
}

/// Reaches a running service from within its process.
pub struct Handle<A: Agent>(Arc<Core<A>>);

impl<A: Agent> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Agent> Handle<A> {
    /// Handles one input at once and answers after it is durable. What was not begun by the deadline is not begun any more.
    ///
    /// # Errors
    /// If it is not durable by then, as far as is known.
    pub async fn submit(&self, tenant: TenantId, id: String, content: Content, deadline: Instant) -> Result<Answer, SubmitError> {
        let locator = self.0.agent.locate(&content).map_err(|_| SubmitError::Misdirected)?;
        let trace = telemetry::traceparent(&tracing::Span::current());
        let message = Message { id, tenant: tenant.clone(), trace: trace.clone(), content };
        let (reply, answer) = oneshot::channel();
        let work = Work { tenant, locator, input: Input::Message(message), trace, reply: Reply::Caller(reply) };
        let enqueued = tokio::time::timeout_at(deadline, self.0.enqueue(work)).await;
        enqueued.map_err(|_| SubmitError::Unavailable)?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(SubmitError::Unknown),
        }
    }
}

/// Starts a service within this process; it runs until the process stops.
pub fn start<A, P>(context: Context, agent: A, performer: P) -> Handle<A>
where
    A: Agent,
    P: Perform<A>,
{
    let Context { role, bus, store, life, lease, audit_every } = context;
    let (lanes, receivers): (Vec<_>, Vec<_>) = (0..LANES).map(|_| mpsc::channel(LANE_INPUTS_MAX)).unzip();
    let (messages, messages_waiting) = Outlet::new();
    let (facts, facts_waiting) = Outlet::new();
    let (effects, to_perform) = mpsc::channel(relay::EFFECTS_MAX);
    let core = Arc::new(Core {
        role,
        agent,
        store,
        bus,
        life: life.clone(),
        recent: Recent::default(),
        beside: Beside::default(),
        lease,
        audit_every,
        lanes,
        messages,
        facts,
        effects,
    });
    for lane in receivers {
        life.spawn("lane", lanes::run(core.clone(), lane));
    }
    life.spawn("publisher", relay::publish(core.clone(), messages_waiting, Duration::ZERO));
    life.spawn("publisher of facts", relay::publish(core.clone(), facts_waiting, relay::FACTS_WAIT));
    life.spawn("performer", relay::perform(core.clone(), Arc::new(performer), to_perform));
    life.spawn("sweep", sweep::run(core.clone()));
    life.spawn("auditor", audit::run(core.clone()));
    life.spawn("intake", take(core.clone()));
    Handle(core)
}

/// Starts a service and waits until the process stops.
///
/// # Errors
/// None yet; a service that fails stops its process.
pub async fn serve<A, P>(context: Context, agent: A, performer: P) -> anyhow::Result<()>
where
    A: Agent,
    P: Perform<A>,
{
    let life = context.life.clone();
    let _handle = start(context, agent, performer);
    life.stopping().await;
    Ok(())
}

/// Takes deliveries off the bus and puts them on their lanes.
async fn take<A: Agent>(core: Arc<Core<A>>) -> anyhow::Result<()> {
    let mut deliveries = core.bus.deliveries(core.role)?;
    let room = Room::new(LANES_KIB_MAX);
    loop {
        let next = tokio::select! {
            next = deliveries.next() => next,
            () = core.life.stopping() => return Ok(()),
        };
        let Some(delivery) = next else { anyhow::bail!("the bus gives no more deliveries") };
        match read(&core, &delivery) {
            Ok((locator, message)) => {
                let place = room.place(delivery.body.len()).await;
                let trace = message.trace.clone();
                let tenant = message.tenant.clone();
                let reply = Reply::Bus(Box::new(delivery), place);
                core.enqueue(Work { tenant, locator, input: Input::Message(message), trace, reply }).await;
            }
            Err(error) => {
                tracing::warn!(role = core.role.as_str(), subject = %delivery.subject, reason = format!("{error:#}"), "unreadable: a dead letter");
                lanes::settle(delivery, Verdict::Reject(format!("{error:#}"))).await;
            }
        }
    }
}

fn read<A: Agent>(core: &Core<A>, delivery: &Delivery) -> anyhow::Result<(incident::agent::Locator, Message)> {
    let header = |name: &str| delivery.header(name);
    let content = wire::read_content(carries(&delivery.subject), &delivery.tenant, header, &delivery.body)?;
    let locator = core.agent.locate(&content)?;
    let trace = match &content {
        // What led to the question matters more than the call that brought the answer.
        Content::Voted(signed) if signed.trace.is_some() => signed.trace.clone(),
        _ => delivery.trace.clone(),
    };
    let message = Message { id: delivery.id.clone(), tenant: delivery.tenant.clone(), trace, content };
    Ok((locator, message))
}

const fn carries(subject: &bus::subject::Subject) -> wire::Carries {
    use bus::subject::Subject;
    match subject {
        Subject::Alerts { .. } => wire::Carries::Alerts,
        Subject::Related { .. } => wire::Carries::Related,
        Subject::Orders { .. } => wire::Carries::Orders,
        Subject::Silences { .. } => wire::Carries::Silences,
        Subject::Request { .. } => wire::Carries::Requests,
        Subject::Event { .. } => wire::Carries::Events,
        Subject::Announced { .. } => wire::Carries::Announced,
        Subject::ApprovalRequested { .. } => wire::Carries::ApprovalRequests,
        Subject::ApprovalClosed { .. } => wire::Carries::ApprovalsClosed,
        Subject::ApprovalDecided { .. } => wire::Carries::Votes,
        Subject::Fact { .. } => wire::Carries::Facts,
    }
}
