//! Effects: how a service does what its agent decided.

use std::future::Future;
use std::time::Duration;

use incident::agent::Agent;
use incident::id::TenantId;

/// One try of one effect.
#[derive(Debug, Clone)]
pub struct Call<E> {
    /// Unique per tenant and equal for every try: the idempotency key.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// What to do.
    pub body: E,
    /// From 1. Above 1 an earlier try may have had its effect without our knowing.
    pub attempt: u32,
    /// W3C `traceparent` of the try's span.
    pub trace: Option<String>,
}

/// A try that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It may succeed later.
    Again {
        /// What went wrong.
        reason: String,
        /// How long to wait at least; none leaves it to the relay's backoff.
        after: Option<Duration>,
    },
    /// It will not succeed, however often it is tried.
    Never {
        /// What went wrong.
        reason: String,
    },
}

impl Fault {
    /// It may succeed later.
    pub fn again(reason: impl std::fmt::Display) -> Self {
        Self::Again { reason: reason.to_string(), after: None }
    }

    /// It will not succeed.
    pub fn never(reason: impl std::fmt::Display) -> Self {
        Self::Never { reason: reason.to_string() }
    }
}

/// An error with all its causes, in one line: for logs and for people, who need the cause most.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Does what agent `A` decides.
pub trait Perform<A: Agent>: Send + Sync + 'static {
    /// Tries an effect once. It must bear being cut off anywhere and tried again (P2): what has happened already is success.
    fn perform(&self, call: Call<A::Effect>) -> impl Future<Output = Result<A::Outcome, Fault>> + Send;

    /// How long after it was decided an effect is still tried; after that it has failed, and the agent is told so (P6).
    fn patience(&self, effect: &A::Effect) -> Duration;
}

/// For agents without effects.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEffects;

impl<A> Perform<A> for NoEffects
where
    A: Agent<Effect = (), Outcome = ()>,
{
    async fn perform(&self, _call: Call<()>) -> Result<(), Fault> {
        Ok(())
    }

    fn patience(&self, _effect: &()) -> Duration {
        Duration::ZERO
    }
}
