//! The operations of A2A by name (spec §5.3). JSON-RPC, gRPC and NATS call them alike.

use std::fmt;
use std::str::FromStr;

use crate::error::{A2aError, ErrorKind};

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Begin a task or go on with one.
    SendMessage,
    /// The same, with events.
    SendStreamingMessage,
    /// How a task stands.
    GetTask,
    /// The caller's tasks.
    ListTasks,
    /// Take a task back.
    CancelTask,
    /// A task's events.
    SubscribeToTask,
    /// Have events posted.
    CreateTaskPushNotificationConfig,
    /// One such configuration.
    GetTaskPushNotificationConfig,
    /// All of a task's.
    ListTaskPushNotificationConfigs,
    /// End it.
    DeleteTaskPushNotificationConfig,
    /// The card for authenticated callers.
    GetExtendedAgentCard,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::SendMessage,
        Self::SendStreamingMessage,
        Self::GetTask,
        Self::ListTasks,
        Self::CancelTask,
        Self::SubscribeToTask,
        Self::CreateTaskPushNotificationConfig,
        Self::GetTaskPushNotificationConfig,
        Self::ListTaskPushNotificationConfigs,
        Self::DeleteTaskPushNotificationConfig,
        Self::GetExtendedAgentCard,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendMessage => "SendMessage",
            Self::SendStreamingMessage => "SendStreamingMessage",
            Self::GetTask => "GetTask",
            Self::ListTasks => "ListTasks",
            Self::CancelTask => "CancelTask",
            Self::SubscribeToTask => "SubscribeToTask",
            Self::CreateTaskPushNotificationConfig => "CreateTaskPushNotificationConfig",
            Self::GetTaskPushNotificationConfig => "GetTaskPushNotificationConfig",
            Self::ListTaskPushNotificationConfigs => "ListTaskPushNotificationConfigs",
            Self::DeleteTaskPushNotificationConfig => "DeleteTaskPushNotificationConfig",
            Self::GetExtendedAgentCard => "GetExtendedAgentCard",
        }
    }

    /// Whether it is answered by a stream of events.
    pub const fn is_streaming(self) -> bool {
        matches!(self, Self::SendStreamingMessage | Self::SubscribeToTask)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = A2aError;

    /// Names are case-sensitive.
    fn from_str(name: &str) -> Result<Self, A2aError> {
        let known = Self::ALL.into_iter().find(|operation| operation.as_str() == name);
        known.ok_or_else(|| A2aError::new(ErrorKind::MethodNotFound, "there is no such operation in A2A 1.0"))
    }
}
