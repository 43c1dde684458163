//! The caller's side: tools as typed functions.
//!
//! One POST per call in the stateless protocol revision, over kept-alive connections: nothing to
//! set up, nothing to lose when a connector restarts. It never repeats a call by itself, because
//! only the caller knows the attempt and may ask for a look-up first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use rmcp::model::CallToolResult;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use crate::ToolFault;
use crate::wire::{
    META_BUDGET_MS, META_CLIENT_CAPABILITIES, META_CLIENT_INFO, META_PROTOCOL_VERSION, META_TRACEPARENT, PROTOCOL_VERSION,
};

/// Larger than any answer of our tools; a server that sends more is not one of ours.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Characters of a refusal's body worth quoting.
const REFUSAL_CHARS_MAX: usize = 200;

/// A connector to call. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    traceparent: Option<Arc<str>>,
}

#[derive(Debug)]
struct Shared {
    url: Url,
    bearer: SecretString,
    http: reqwest::Client,
    next_id: AtomicU64,
}

/// Whether a call that got no answer can have had an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// No connection: certainly not.
    Never,
    /// It went out and no answer came back: perhaps.
    Unknown,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The tool ran and answered with a typed failure.
    #[error("tool {tool} failed: {fault}")]
    Fault {
        /// The tool.
        tool: String,
        /// What the tool said.
        fault: ToolFault,
    },
    /// No answer came. Repeat; with a higher `attempt` when it may have been received.
    #[error("call tool {tool} at {url}: no answer")]
    Unreachable {
        /// The tool.
        tool: String,
        /// The connector's address.
        url: String,
        /// Whether the connector may have received it.
        sent: Sent,
        /// What happened, where the transport said so; none when the deadline passed.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// Something answered with a bare HTTP status: the token is wrong, the address is another's, the
    /// connector is in trouble. A person must act; then the same call may succeed.
    #[error("call tool {tool} at {url}: HTTP {status}: {reason}")]
    Status {
        /// The tool.
        tool: String,
        /// The connector's address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What was said with it.
        reason: String,
    },
    /// The connector refused the request itself (tool name, argument names): a mistake in code that
    /// no repeating mends.
    #[error("call tool {tool} at {url}: refused: {reason}")]
    Refused {
        /// The tool.
        tool: String,
        /// The connector's address.
        url: String,
        /// What the connector said.
        reason: String,
    },
    /// Something answered that is not what the tool promises.
    #[error("call tool {tool}: cannot read the answer: {reason}")]
    Answer {
        /// The tool.
        tool: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl CallError {
    /// Whether the same call may succeed later without anyone acting.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Fault { fault, .. } => fault.retryable,
            Self::Unreachable { .. } => true,
            Self::Status { .. } | Self::Refused { .. } | Self::Answer { .. } => false,
        }
    }

    /// Whether the effect may have happened all the same: then the next try must say so in its
    /// `attempt` argument.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Fault { fault, .. } => fault.outcome_unknown,
            Self::Unreachable { sent, .. } => *sent == Sent::Unknown,
            Self::Status { status, .. } => *status >= 500,
            Self::Refused { .. } => false,
            Self::Answer { .. } => true,
        }
    }

    /// The tool's typed failure, if it is one.
    pub fn fault(&self) -> Option<&ToolFault> {
        match self {
            Self::Fault { fault, .. } => Some(fault),
            Self::Unreachable { .. } | Self::Status { .. } | Self::Refused { .. } | Self::Answer { .. } => None,
        }
    }
}

impl Client {
    /// A client of the connector at `url` (such as `http://127.0.0.1:8080/mcp/slack`). Nothing is
    /// sent yet: the connector may start later.
    ///
    /// # Errors
    /// The HTTP client cannot be set up (no TLS roots on this machine).
    pub fn connect(url: Url, bearer: SecretString) -> Result<Self, reqwest::Error> {
        let http = crate::http_client(&url).build()?;
        let next_id = AtomicU64::new(1);
        Ok(Self { shared: Arc::new(Shared { url, bearer, http, next_id }), traceparent: None })
    }

    /// The same connector, its calls joined to the trace of `traceparent` (W3C trace context).
    #[must_use]
    pub fn traced(&self, traceparent: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), traceparent: Some(traceparent.into()) }
    }

    /// Calls `tool` with `args` (serialised to a JSON object) and waits `within` for its result.
    /// The connector is told the same limit.
    pub async fn call<T: DeserializeOwned>(
        &self,
        tool: &str,
        args: &(impl Serialize + Sync),
        within: Duration,
    ) -> Result<T, CallError> {
        let args = serde_json::to_value(args).map_err(|error| CallError::Refused {
            tool: tool.to_owned(),
            url: self.shared.url.to_string(),
            reason: format!("write arguments as JSON: {error}"),
        })?;
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let body = self.request_body(id, tool, &args, within);
        let exchange = self.exchange(tool, body);
        let (status, answer) =
            tokio::time::timeout(within, exchange).await.unwrap_or_else(|_| Err(self.unreachable(tool, Sent::Unknown, None)))?;
        let message = response_message(&answer, id);
        match message {
            Some(message) => self.read_message(tool, message),
            None => Err(CallError::Status {
                tool: tool.to_owned(),
                url: self.shared.url.to_string(),
                status,
                reason: excerpt(&answer),
            }),
        }
    }

    fn request_body(&self, id: u64, tool: &str, args: &Value, within: Duration) -> Value {
        let mut meta = json!({
            META_PROTOCOL_VERSION: PROTOCOL_VERSION,
            META_CLIENT_CAPABILITIES: {},
            META_CLIENT_INFO: { "name": "paramedic", "version": env!("CARGO_PKG_VERSION") },
            META_BUDGET_MS: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
        });
        if let (Some(traceparent), Some(meta)) = (&self.traceparent, meta.as_object_mut()) {
            meta.insert(META_TRACEPARENT.to_owned(), json!(traceparent.as_ref()));
        }
        json!({
            "jsonrpc": "2.0",
            "id": id,
            "method": "tools/call",
            "params": { "name": tool, "arguments": args, "_meta": meta },
        })
    }

    /// Sends one request and reads the whole answer, which is bounded.
    async fn exchange(&self, tool: &str, body: Value) -> Result<(u16, Vec<u8>), CallError> {
        let lost = |error: reqwest::Error| {
            let sent = if error.is_connect() { Sent::Never } else { Sent::Unknown };
            self.unreachable(tool, sent, Some(error.without_url()))
        };
        let mut response = self
            .shared
            .http
            .post(self.shared.url.clone())
            .bearer_auth(self.shared.bearer.expose_secret())
            .header(ACCEPT, "application/json, text/event-stream")
            .header(CONTENT_TYPE, "application/json")
            .header("MCP-Protocol-Version", PROTOCOL_VERSION)
            .header("Mcp-Method", "tools/call")
            .header("Mcp-Name", tool)
            .body(body.to_string())
            .send()
            .await
            .map_err(lost)?;
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Self::unreadable(tool, format!("over {ANSWER_BYTES_MAX} bytes")));
            }
            answer.extend_from_slice(&chunk);
        }
        // Gateways in between, and a connector that is stopping, answer so: try again.
        if matches!(status, 502..=504) {
            return Err(self.unreachable(tool, Sent::Unknown, None));
        }
        Ok((status, answer))
    }

    fn read_message<T: DeserializeOwned>(&self, tool: &str, mut message: Value) -> Result<T, CallError> {
        let Some(result) = message.get_mut("result").map(Value::take) else {
            let error = message.get("error").map(Value::to_string).unwrap_or_default();
            return Err(self.refused(tool, excerpt(error.as_bytes())));
        };
        let result: CallToolResult =
            serde_json::from_value(result).map_err(|error| Self::unreadable(tool, format!("not a tool result: {error}")))?;
        let failed = result.is_error == Some(true);
        let Some(content) = result.structured_content else {
            let text = result.content.iter().find_map(|block| block.as_text());
            let text = text.map(|text| text.text.as_str()).unwrap_or_default();
            return Err(if failed {
                // The SDK's own refusals (wrong arguments) are plain text.
                self.refused(tool, excerpt(text.as_bytes()))
            } else {
                Self::unreadable(tool, "no structured content".to_owned())
            });
        };
        if failed {
            let fault =
                serde_json::from_value(content).map_err(|error| Self::unreadable(tool, format!("not a typed fault: {error}")))?;
            return Err(CallError::Fault { tool: tool.to_owned(), fault });
        }
        serde_json::from_value(content).map_err(|error| Self::unreadable(tool, format!("not the promised result: {error}")))
    }

    fn unreachable(&self, tool: &str, sent: Sent, source: Option<reqwest::Error>) -> CallError {
        CallError::Unreachable { tool: tool.to_owned(), url: self.shared.url.to_string(), sent, source }
    }

    fn refused(&self, tool: &str, reason: String) -> CallError {
        CallError::Refused { tool: tool.to_owned(), url: self.shared.url.to_string(), reason }
    }

    fn unreadable(tool: &str, reason: String) -> CallError {
        CallError::Answer { tool: tool.to_owned(), reason }
    }
}

/// The JSON-RPC response with our id: the whole body, or one event of a stream when the server
/// had something to say before.
fn response_message(body: &[u8], id: u64) -> Option<Value> {
    let is_ours = |message: &Value| {
        (message.get("result").is_some() || message.get("error").is_some())
            // An error found before the id was read carries none.
            && message.get("id").is_none_or(|found| found.is_null() || *found == json!(id))
    };
    if let Ok(message) = serde_json::from_slice::<Value>(body) {
        return Some(message).filter(is_ours);
    }
    std::str::from_utf8(body)
        .ok()?
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .filter_map(|data| serde_json::from_str(data).ok())
        .find(is_ours)
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(REFUSAL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::response_message;

    #[test]
    fn the_answer_is_found_plain_and_in_a_stream() {
        let plain = br#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#;
        let stream = b"id: 1\ndata:\n\ndata: {\"method\":\"notifications/progress\"}\n\nevent: message\n\
            data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":1}}\n\n";
        for body in [plain.as_slice(), stream.as_slice()] {
            let message = response_message(body, 7).expect("found");
            assert_eq!(message["result"]["a"], 1);
            assert!(response_message(body, 8).is_none(), "another call's answer");
        }
        assert!(response_message(b"<html>Bad gateway</html>", 7).is_none());
    }
}
