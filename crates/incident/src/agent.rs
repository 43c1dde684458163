//! What every agent is: a pure function from what is and what happened to what shall be. The loop in `runtime` feeds it and carries
//! out what it says; see [`crate::handling`] for the order of the steps.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::alert::Notification;
use crate::approval::{Answer, ApprovalClosed, ApprovalRequest, Channel, Refusal, SignedVote};
use crate::fact::{Fact, What};
use crate::fallback::Announced;
use crate::id::{ApprovalId, HeartbeatName, IncidentId, PersonId, TenantId};
use crate::order::Order;
use crate::plan::Digest;
use crate::record::Record;
use crate::related::Related;
use crate::silence::{SilenceOrder, Silences};
use crate::task::{Role, TaskCancel, TaskEvent, TaskRequest};

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Alertmanager reported.
    Alerts(Notification),
    /// An agent asks something of this one.
    Request(TaskRequest),
    /// An agent takes its request back (A2A `CancelTask`).
    Cancel(TaskCancel),
    /// An agent tells how a task stands.
    Event(TaskEvent),
    /// Communication announced alerts while nobody could handle them.
    Announced(Announced),
    /// A plan waits for people.
    ApprovalRequested(Box<ApprovalRequest>),
    /// A plan no longer waits.
    ApprovalClosed(ApprovalClosed),
    /// The gateway vouches for a person's answer.
    Voted(SignedVote),
    /// A person answers, right now, at the gateway.
    Answered(PersonsAnswer),
    /// Something happened.
    Fact(Box<Fact>),
    /// A person makes or ends silences, right now, at the gateway.
    Silence {
        /// Whose.
        tenant: TenantId,
        /// What is wanted.
        order: SilenceOrder,
    },
    /// A person wants something of an incident; the gateway vouches for who it is.
    Order(Box<Order>),
    /// What monitoring tells itself of incidents that have to do with each other.
    Related(Related),
    /// How the silences of a tenant are now.
    Silences {
        /// Whose.
        tenant: TenantId,
        /// All of them.
        silences: Silences,
    },
    /// This process listens for a heartbeat from now on. It comes from within, at every start.
    Listen {
        /// Whose.
        tenant: TenantId,
        /// Which.
        name: HeartbeatName,
    },
}

/// A person's answer as it reaches the gateway, identity verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonsAnswer {
    /// To which request.
    pub approval: ApprovalId,
    /// The digest that they saw; none if they named only the request (then the gateway's own copy counts).
    pub digest: Option<Digest>,
    /// Who.
    pub person: PersonId,
    /// Through what.
    pub channel: Channel,
    /// The A2A client that brought it, if one did.
    pub client: Option<String>,
    /// What.
    pub answer: Answer,
}

/// A message with its names.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Unique per tenant: the inbox key.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// W3C `traceparent` of what caused it.
    pub trace: Option<String>,
    /// What it says.
    pub content: Content,
}

/// Which entity a message is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Locator {
    /// The one with this id.
    Id(String),
    /// The one that is open under this key; at most one is.
    Open(String),
    /// The same, or if none is open, the one that was the last: a memory. What is put may then be another entity, which is new; the
    /// earlier one stays as it is.
    Last(String),
}

/// A message that this agent has no business with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{role} takes no such message: {kind}")]
pub struct Misdirected {
    /// Who got it.
    pub role: Role,
    /// What it was.
    pub kind: &'static str,
}

/// What happened to an entity.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<O> {
    /// A message came.
    Message(Content),
    /// A timer of this name ran out.
    Timer(String),
    /// An effect ended.
    Outcome {
        /// The name that `decide` gave it.
        effect: String,
        /// How.
        result: Result<O, Failure>,
    },
}

/// An effect that did not succeed and will not be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Failure {
    /// What went wrong, for people.
    pub reason: String,
}

/// An entity as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity<S> {
    /// Its id.
    pub id: String,
    /// The key under which it is the only open one; none once it is over.
    pub open_key: Option<String>,
    /// Its state.
    pub state: S,
}

/// A message to be sent. Its id is made by the sender, so that sending it twice is sending it once.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// Ask another agent.
    Request(TaskRequest),
    /// Take a request back.
    Cancel(TaskCancel),
    /// Tell the asker.
    Event(TaskEvent),
    /// Ask people.
    ApprovalRequested(Box<ApprovalRequest>),
    /// A plan no longer waits.
    ApprovalClosed(ApprovalClosed),
    /// Vouch for an answer.
    Voted(SignedVote),
    /// Tell how incidents have to do with each other.
    Related(Related),
    /// Tell how a tenant's silences are now.
    Silences {
        /// Whose.
        tenant: TenantId,
        /// All of them.
        silences: Silences,
    },
    /// Report an alert of our own, as Alertmanager reports others.
    Alerts(Box<Notification>),
}

/// Something to be done outside. The name is unique within its entity, and so is the effect: it is done once.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect<E> {
    /// Such as `card-post` or `apply-1`.
    pub name: String,
    /// What.
    pub body: E,
}

/// A timer of the entity. Setting one of the same name moves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// Unique within the entity.
    pub name: String,
    /// When it runs out; none takes it back.
    pub at: Option<DateTime<Utc>>,
}

/// The timer that the auditor sets for an entity that is open and waits for nothing: no timer, nothing owed. The agent then does again what
/// follows from the state as it is; whatever was done already is found by its name (P6).
pub const AUDIT: &str = "audit";

/// The timer by which every open entity of a tenant is made to look again at what all of them have in common: see [`Decision::rouses`].
pub const LOOK: &str = "look";

/// What `decide` came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<S, E> {
    /// The entity as it shall be; none: it stays as it is, which is a normal outcome.
    pub next: Option<Entity<S>>,
    /// Messages to send.
    pub outgoing: Vec<Outgoing>,
    /// Effects to perform.
    pub effects: Vec<Effect<E>>,
    /// Timers to set or take back.
    pub timers: Vec<Timer>,
    /// What is added to the audit chain; the ledger's alone.
    pub records: Vec<Record>,
    /// Whether every open entity of the tenant gets the timer [`LOOK`]: what they have in common has changed.
    pub rouses: bool,
    /// What is to be remembered: incident and fact.
    pub facts: Vec<(IncidentId, What)>,
    /// Why, for people who read the log.
    pub why: String,
    /// Set when a person's or the gateway's answer does not count.
    pub refused: Option<Refusal>,
}

impl<S, E> Decision<S, E> {
    /// Nothing changes.
    pub fn unchanged(why: impl Into<String>) -> Self {
        Self {
            next: None,
            outgoing: vec![],
            effects: vec![],
            timers: vec![],
            facts: vec![],
            records: vec![],
            rouses: false,
            why: why.into(),
            refused: None,
        }
    }

    /// The entity becomes this.
    pub fn put(entity: Entity<S>, why: impl Into<String>) -> Self {
        Self { next: Some(entity), ..Self::unchanged(why) }
    }
}

/// The pure behaviour of one service.
pub trait Agent: Send + Sync + 'static {
    /// What it remembers of one entity.
    type State: Clone + Serialize + DeserializeOwned + Send + Sync;
    /// What it does outside.
    type Effect: Clone + Serialize + DeserializeOwned + Send + Sync;
    /// What comes of that.
    type Outcome: Clone + Send + Sync;

    /// Which service this is.
    fn role(&self) -> Role;

    /// Which entity a message is about.
    ///
    /// # Errors
    /// If it is about none of this agent's.
    fn locate(&self, content: &Content) -> Result<Locator, Misdirected>;

    /// Whether a message usually begins its entity: then nothing is loaded for it, and the commit finds out if there was one after all.
    fn begins(&self, _content: &Content) -> bool {
        false
    }

    /// The incident that an entity is about, if it waits for anything: the record says there when the auditor had to set it going again.
    fn incident(&self, _state: &Self::State) -> Option<IncidentId> {
        None
    }

    /// Id of the one entity of each tenant that all decisions about its others may read; none: they need no other.
    fn beside(&self) -> Option<&'static str> {
        None
    }

    /// The same as [`Agent::decide`], for an agent that names an entity in [`Agent::beside`]: here it is, if there is one, as it was at most
    /// [`crate::handling::BESIDE_MS_MAX`] ago. Nothing guards it, so a decision that rests on it must be made again some time later.
    fn decide_beside(
        &self,
        entity: Option<Entity<Self::State>>,
        _beside: Option<&Self::State>,
        event: Event<Self::Outcome>,
        now: DateTime<Utc>,
    ) -> Decision<Self::State, Self::Effect> {
        self.decide(entity, event, now)
    }

    /// What follows from `event` for `entity` (none: it does not exist yet), at `now`.
    fn decide(
        &self,
        entity: Option<Entity<Self::State>>,
        event: Event<Self::Outcome>,
        now: DateTime<Utc>,
    ) -> Decision<Self::State, Self::Effect>;
}

impl Content {
    /// For logs and errors.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Alerts(_) => "alerts",
            Self::Request(_) => "task request",
            Self::Cancel(_) => "task cancellation",
            Self::Event(_) => "task event",
            Self::Announced(_) => "note of an announcement",
            Self::ApprovalRequested(_) => "approval request",
            Self::ApprovalClosed(_) => "approval closed",
            Self::Voted(_) => "signed vote",
            Self::Answered(_) => "person's answer",
            Self::Fact(_) => "fact",
            Self::Silence { .. } => "order for silences",
            Self::Silences { .. } => "silences",
            Self::Order(_) => "order",
            Self::Related(_) => "relation of incidents",
            Self::Listen { .. } => "listening for a heartbeat",
        }
    }

    /// The error of an agent that takes no such message.
    pub const fn misdirected(&self, role: Role) -> Misdirected {
        Misdirected { role, kind: self.kind() }
    }
}
