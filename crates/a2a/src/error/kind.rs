//! The kinds of errors, and the one table that says what each is called in JSON-RPC, HTTP and gRPC (spec §5.4).

use std::time::Duration;

use super::FieldViolation;

/// Domain of the reasons that A2A defines.
pub const DOMAIN: &str = "a2a-protocol.org";
/// Domain of the reasons that A2A leaves to others. They tell errors apart which share a status.
pub const OWN_DOMAIN: &str = "paramedic.dev";

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such task, or the caller may not see it: the two must look alike.
    TaskNotFound,
    /// The task has ended.
    TaskNotCancelable,
    /// The card declares no push notifications.
    PushNotificationNotSupported,
    /// The operation is not there, or not for this task as it stands.
    UnsupportedOperation,
    /// A media type that the agent does not take or cannot make.
    ContentTypeNotSupported,
    /// The agent answered something that is no answer.
    InvalidAgentResponse,
    /// The card declares an extended card, but there is none.
    ExtendedAgentCardNotConfigured,
    /// The client did not declare an extension that the card requires.
    ExtensionSupportRequired,
    /// The client speaks another version.
    VersionNotSupported,
    /// The body is no JSON.
    ParseError,
    /// The body is JSON, but no request.
    InvalidRequest,
    /// The operation is none of A2A's.
    MethodNotFound,
    /// The request breaks rules.
    InvalidParams {
        /// Which ones, where.
        violations: Vec<FieldViolation>,
    },
    /// Our fault.
    Internal,
    /// It is not known who calls.
    Unauthenticated,
    /// It is known who calls, and they may not use this operation. Says nothing of any task: for those there is `TaskNotFound`.
    PermissionDenied,
    /// A limit is reached.
    ResourceExhausted {
        /// When it is worth trying again, if that is known.
        retry_after: Option<Duration>,
    },
    /// Something is down; the same request may succeed later.
    Unavailable,
}

/// What an error is called in each protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes {
    /// `error.code` of JSON-RPC. Errors without a code of their own share -32000.
    pub json_rpc: i32,
    /// Status of HTTP.
    pub http: u16,
    /// Status code of gRPC.
    pub grpc: i32,
    /// Its name, which is also `error.status` of HTTP bodies.
    pub grpc_name: &'static str,
    /// `ErrorInfo.reason`.
    pub reason: &'static str,
    /// `ErrorInfo.domain`.
    pub domain: &'static str,
}

/// Status codes of gRPC that are used here.
pub(super) mod grpc {
    pub(in crate::error) type Status = (i32, &'static str);
    pub(in crate::error) const INVALID_ARGUMENT: Status = (3, "INVALID_ARGUMENT");
    pub(in crate::error) const NOT_FOUND: Status = (5, "NOT_FOUND");
    pub(in crate::error) const PERMISSION_DENIED: Status = (7, "PERMISSION_DENIED");
    pub(in crate::error) const RESOURCE_EXHAUSTED: Status = (8, "RESOURCE_EXHAUSTED");
    pub(in crate::error) const FAILED_PRECONDITION: Status = (9, "FAILED_PRECONDITION");
    pub(in crate::error) const UNIMPLEMENTED: Status = (12, "UNIMPLEMENTED");
    pub(in crate::error) const INTERNAL: Status = (13, "INTERNAL");
    pub(in crate::error) const UNAVAILABLE: Status = (14, "UNAVAILABLE");
    pub(in crate::error) const UNAUTHENTICATED: Status = (16, "UNAUTHENTICATED");
}

impl ErrorKind {
    /// What it is called. The nine of A2A are the spec's; the others follow JSON-RPC 2.0 and google.rpc.Code.
    pub const fn codes(&self) -> Codes {
        use grpc::{
            FAILED_PRECONDITION, INTERNAL, INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAUTHENTICATED,
            UNAVAILABLE, UNIMPLEMENTED,
        };
        match self {
            Self::TaskNotFound => spec(-32001, 404, NOT_FOUND, "TASK_NOT_FOUND"),
            Self::TaskNotCancelable => spec(-32002, 400, FAILED_PRECONDITION, "TASK_NOT_CANCELABLE"),
            Self::PushNotificationNotSupported => spec(-32003, 400, FAILED_PRECONDITION, "PUSH_NOTIFICATION_NOT_SUPPORTED"),
            Self::UnsupportedOperation => spec(-32004, 400, FAILED_PRECONDITION, "UNSUPPORTED_OPERATION"),
            Self::ContentTypeNotSupported => spec(-32005, 400, INVALID_ARGUMENT, "CONTENT_TYPE_NOT_SUPPORTED"),
            Self::InvalidAgentResponse => spec(-32006, 500, INTERNAL, "INVALID_AGENT_RESPONSE"),
            Self::ExtendedAgentCardNotConfigured => spec(-32007, 400, FAILED_PRECONDITION, "EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
            Self::ExtensionSupportRequired => spec(-32008, 400, FAILED_PRECONDITION, "EXTENSION_SUPPORT_REQUIRED"),
            Self::VersionNotSupported => spec(-32009, 400, FAILED_PRECONDITION, "VERSION_NOT_SUPPORTED"),
            Self::ParseError => own(-32700, 400, INVALID_ARGUMENT, "PARSE_ERROR"),
            Self::InvalidRequest => own(-32600, 400, INVALID_ARGUMENT, "INVALID_REQUEST"),
            Self::MethodNotFound => own(-32601, 404, UNIMPLEMENTED, "METHOD_NOT_FOUND"),
            Self::InvalidParams { .. } => own(-32602, 400, INVALID_ARGUMENT, "INVALID_PARAMS"),
            Self::Internal => own(-32603, 500, INTERNAL, "INTERNAL"),
            Self::Unauthenticated => own(-32000, 401, UNAUTHENTICATED, "UNAUTHENTICATED"),
            Self::PermissionDenied => own(-32000, 403, PERMISSION_DENIED, "PERMISSION_DENIED"),
            Self::ResourceExhausted { .. } => own(-32000, 429, RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"),
            Self::Unavailable => own(-32000, 503, UNAVAILABLE, "UNAVAILABLE"),
        }
    }

    /// One of each, without its facts.
    pub(super) const fn all() -> [Self; 18] {
        [
            Self::TaskNotFound,
            Self::TaskNotCancelable,
            Self::PushNotificationNotSupported,
            Self::UnsupportedOperation,
            Self::ContentTypeNotSupported,
            Self::InvalidAgentResponse,
            Self::ExtendedAgentCardNotConfigured,
            Self::ExtensionSupportRequired,
            Self::VersionNotSupported,
            Self::ParseError,
            Self::InvalidRequest,
            Self::MethodNotFound,
            Self::InvalidParams { violations: vec![] },
            Self::Internal,
            Self::Unauthenticated,
            Self::PermissionDenied,
            Self::ResourceExhausted { retry_after: None },
            Self::Unavailable,
        ]
    }
}

const fn spec(json_rpc: i32, http: u16, grpc: grpc::Status, reason: &'static str) -> Codes {
    Codes { json_rpc, http, grpc: grpc.0, grpc_name: grpc.1, reason, domain: DOMAIN }
}

const fn own(json_rpc: i32, http: u16, grpc: grpc::Status, reason: &'static str) -> Codes {
    Codes { json_rpc, http, grpc: grpc.0, grpc_name: grpc.1, reason, domain: OWN_DOMAIN }
}
