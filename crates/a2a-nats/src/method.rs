//! What can be asked: the operations of A2A, and the public card, which HTTP has at a path of its own.

use std::fmt;
use std::str::FromStr;

use a2a::{A2aError, Operation};

/// Asks for the public card (§8.2). Not an operation of A2A's service.
const GET_AGENT_CARD: &str = "GetAgentCard";

/// What a request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// An operation of A2A.
    Operation(Operation),
    /// The public card.
    GetAgentCard,
}

impl Method {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Operation(operation) => operation.as_str(),
            Self::GetAgentCard => GET_AGENT_CARD,
        }
    }

    pub(crate) const fn is_streaming(self) -> bool {
        match self {
            Self::Operation(operation) => operation.is_streaming(),
            Self::GetAgentCard => false,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Method {
    type Err = A2aError;

    fn from_str(name: &str) -> Result<Self, A2aError> {
        if name == GET_AGENT_CARD { Ok(Self::GetAgentCard) } else { name.parse().map(Self::Operation) }
    }
}
