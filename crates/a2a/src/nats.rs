//! The NATS binding: which header says what. Subjects are the bus's matter; `schemas/a2a-nats.md` describes the whole for others.

pub use crate::parameters::VERSION;
use crate::parameters::VERSION_PARAMETER;

/// Header with the protocol version; absent means 0.3, which is refused (§3.6).
pub const VERSION_HEADER: &str = VERSION_PARAMETER;
/// Header with the operation's name, as gRPC and JSON-RPC name it.
pub const METHOD_HEADER: &str = "A2A-Method";
/// Identifies our approval extension in `metadata` and agent cards.
pub const APPROVAL_EXTENSION: &str = "https://paramedic.dev/a2a/ext/approval/v1";

/// Operations that travel on request subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `SendMessage`.
    SendMessage,
    /// `CancelTask`.
    CancelTask,
}

/// A request that does not follow the binding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// VersionNotSupported.
    #[error("header {VERSION_HEADER} is {0:?}; only {VERSION:?} is spoken here")]
    Version(String),
    /// UnsupportedOperation.
    #[error("header {METHOD_HEADER} is {0:?}; SendMessage and CancelTask are known")]
    Method(String),
}

impl Method {
    /// The name in the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendMessage => "SendMessage",
            Self::CancelTask => "CancelTask",
        }
    }

    /// Reads the operation off the headers' values.
    ///
    /// # Errors
    /// If version or method is not one that we speak.
    pub fn read(version: Option<&str>, method: Option<&str>) -> Result<Self, BindingError> {
        if version != Some(VERSION) {
            return Err(BindingError::Version(version.unwrap_or_default().to_owned()));
        }
        match method {
            Some("SendMessage") => Ok(Self::SendMessage),
            Some("CancelTask") => Ok(Self::CancelTask),
            other => Err(BindingError::Method(other.unwrap_or_default().to_owned())),
        }
    }
}
