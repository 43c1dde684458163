//! Errors as JSON-RPC, HTTP and gRPC carry them. Reading never fails: whatever a peer sends is some error, and where its details say
//! nothing, the code says at least the kind.

use serde_json::{Value, json};

use super::{A2aError, ErrorKind};

impl A2aError {
    /// `error` of a JSON-RPC response (§9.5).
    pub fn to_json_rpc_error(&self) -> Value {
        json!({"code": self.codes().json_rpc, "message": self.message, "data": self.details()})
    }

    /// Reads `error` of a JSON-RPC response.
    pub fn from_json_rpc_error(error: &Value) -> Self {
        let (message, details) = (text(error, "message"), list(error, "data"));
        let code = error.get("code").and_then(Value::as_i64);
        let is_own = code == Some(i64::from(ErrorKind::Unavailable.codes().json_rpc));
        let by_code = ErrorKind::all().into_iter().find(|kind| !is_own && Some(i64::from(kind.codes().json_rpc)) == code);
        match by_code {
            Some(kind) => Self::with_facts(kind, message, details),
            None => {
                Self::from_details(message, details).unwrap_or_else(|| Self::with_facts(ErrorKind::Internal, message, details))
            }
        }
    }

    /// Body of an HTTP+JSON response (§11.6).
    pub fn to_http_body(&self) -> Value {
        let codes = self.codes();
        json!({"error": {
            "code": codes.http, "status": codes.grpc_name, "message": self.message, "details": self.details(),
        }})
    }

    /// Reads the body of an HTTP+JSON response with this status.
    pub fn from_http_body(status: u16, body: &Value) -> Self {
        let error = body.get("error").unwrap_or(&Value::Null);
        let (message, details) = (text(error, "message"), list(error, "details"));
        Self::from_details(message, details).unwrap_or_else(|| Self::with_facts(kind_of_http(status), message, details))
    }

    /// Reads a status of gRPC, its details as JSON.
    pub fn from_grpc_status(code: i32, message: &str, details: &[Value]) -> Self {
        Self::from_details(message, details).unwrap_or_else(|| Self::with_facts(kind_of_grpc(code), message, details))
    }
}

fn text<'a>(error: &'a Value, key: &str) -> &'a str {
    error.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(error: &'a Value, key: &str) -> &'a [Value] {
    error.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A 404 without details comes from a server that does not know the path, not from an agent that does not know the task.
const fn kind_of_http(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 | 405 | 501 => ErrorKind::MethodNotFound,
        408 | 502..=504 => ErrorKind::Unavailable,
        415 => ErrorKind::ContentTypeNotSupported,
        413 | 429 => ErrorKind::ResourceExhausted { retry_after: None },
        422 => ErrorKind::InvalidParams { violations: vec![] },
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Internal,
    }
}

/// By `google.rpc.Code`; older agents send these codes without details.
const fn kind_of_grpc(code: i32) -> ErrorKind {
    match code {
        3 | 11 => ErrorKind::InvalidParams { violations: vec![] },
        5 => ErrorKind::TaskNotFound,
        7 => ErrorKind::PermissionDenied,
        16 => ErrorKind::Unauthenticated,
        8 => ErrorKind::ResourceExhausted { retry_after: None },
        9 => ErrorKind::UnsupportedOperation,
        12 => ErrorKind::MethodNotFound,
        1 | 4 | 10 | 14 => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}
