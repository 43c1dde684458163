//! Mistakes that the shell around the agents could make, each a switch of the simulated one. They show that the simulation would notice: a
//! test makes each and sees a promise break. None of them exists outside of this crate.

use incident::agent::{Agent, Content, Decision, Entity, Event, Locator, Misdirected};
use incident::agents::remediation::{Act, Done, Remediation, Remediator};
use incident::id::IncidentId;
use incident::task::Role;

use crate::scene::Time;

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A message is handled though the inbox has it.
    InboxUnchecked,
    /// A state is written over one that was changed since it was read.
    RevisionUnchecked,
    /// The bus is told that a message is handled before it is.
    AckBeforeCommit,
    /// What is published again gets another message id.
    ResentAsNew,
    /// A provider is called again without the key of the first call, and so without looking for what that did.
    CalledWithoutKey,
    /// A timer fires though it was moved, taken back or handled.
    TimerUnchecked,
    /// A commit does not set the timers that were decided.
    TimersLost,
    /// An effect is performed though somebody else holds it by now.
    LeaseUnchecked,
    /// A yes counts as often as it comes.
    ApprovalNotConsumed,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::InboxUnchecked,
        Self::RevisionUnchecked,
        Self::AckBeforeCommit,
        Self::ResentAsNew,
        Self::CalledWithoutKey,
        Self::TimerUnchecked,
        Self::TimersLost,
        Self::LeaseUnchecked,
        Self::ApprovalNotConsumed,
    ];
}

/// Remediation as it is, or one that takes a yes for a plan which it has begun to carry out.
pub(crate) struct Remediating {
    pub(crate) agent: Remediator,
    pub(crate) mutation: Option<Mutation>,
}

impl Agent for Remediating {
    type State = Remediation;
    type Effect = Act;
    type Outcome = Done;

    fn role(&self) -> Role {
        self.agent.role()
    }

    fn locate(&self, content: &Content) -> Result<Locator, Misdirected> {
        self.agent.locate(content)
    }

    fn incident(&self, state: &Remediation) -> Option<IncidentId> {
        self.agent.incident(state)
    }

    fn decide(&self, entity: Option<Entity<Remediation>>, event: Event<Done>, now: Time) -> Decision<Remediation, Act> {
        let is_vote = matches!(event, Event::Message(Content::Voted(_)));
        let entity =
            if is_vote && self.mutation == Some(Mutation::ApprovalNotConsumed) { entity.map(asks_again) } else { entity };
        self.agent.decide(entity, event, now)
    }
}

fn asks_again(entity: Entity<Remediation>) -> Entity<Remediation> {
    let state = match entity.state {
        Remediation::Applying { job, proposal, .. } | Remediation::Verifying { job, proposal, .. } => {
            Remediation::Waiting { job, proposal, votes: vec![], reminders: 0 }
        }
        other => other,
    };
    Entity { state, ..entity }
}
