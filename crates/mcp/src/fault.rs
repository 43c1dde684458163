//! The error a tool answers with when the provider, or the request itself, said no.
//!
//! One shape for all connectors, sent as the structured content of a result with `isError`, and
//! read back by [`crate::Client`]. It never carries a secret or a whole provider answer.

use chrono::{DateTime, Utc};
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ErrorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Characters of provider text kept in a hint: enough to name the field, too few to carry a page.
const HINT_CHARS_MAX: usize = 400;

/// What kind of failure it was; decides what a caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The provider, or our own budget for it, asks to wait until `retry_at`.
    RateLimited,
    /// The credentials are missing, wrong, expired or revoked: a person must act.
    Auth,
    /// The credentials are good but may not do this: a person must grant it.
    Scope,
    /// The thing addressed does not exist, or is hidden from us.
    NotFound,
    /// The arguments break a rule; the same call can never succeed.
    Invalid,
    /// The thing is in a state that refuses this now.
    Conflict,
    /// The provider failed, timed out or could not be reached.
    Unavailable,
}

impl FaultKind {
    /// The name on the wire and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Auth => "auth",
            Self::Scope => "scope",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
        }
    }

    fn is_retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable)
    }
}

/// A tool's failure, typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{}: {hint} (provider code {provider_code})", kind.as_str())]
pub struct ToolFault {
    /// What kind of failure it was.
    #[serde(rename = "error_kind")]
    pub kind: FaultKind,
    /// Whether the same call may succeed later without anyone acting.
    pub retryable: bool,
    /// Not before this time (UTC), where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<DateTime<Utc>>,
    /// The provider's own code, or ours where the provider was not asked.
    pub provider_code: String,
    /// What to do about it, for a person.
    pub hint: String,
    /// The effect may have happened although no answer came: repeat with a higher `attempt`, so
    /// that it is looked up first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outcome_unknown: bool,
}

impl ToolFault {
    /// A fault of `kind`; whether it can be retried follows from the kind.
    pub fn new(kind: FaultKind, provider_code: impl Into<String>, hint: impl Into<String>) -> Self {
        let mut hint = hint.into();
        if let Some((cut, _)) = hint.char_indices().nth(HINT_CHARS_MAX) {
            hint.truncate(cut);
            hint.push('…');
        }
        Self {
            kind,
            retryable: kind.is_retryable(),
            retry_at: None,
            provider_code: provider_code.into(),
            hint,
            outcome_unknown: false,
        }
    }

    /// An argument that breaks a rule of the tool, found before anything was sent.
    pub fn invalid_argument(name: &str, rule: impl std::fmt::Display) -> Self {
        Self::new(FaultKind::Invalid, "invalid_argument", format!("{name}: {rule}"))
    }

    /// Adds the time before which a retry is useless.
    #[must_use]
    pub fn retry_at(mut self, at: DateTime<Utc>) -> Self {
        self.retry_at = Some(at);
        self
    }

    /// Marks that the effect may have happened.
    #[must_use]
    pub fn outcome_unknown(mut self) -> Self {
        self.outcome_unknown = true;
        self
    }
}

impl IntoCallToolResult for ToolFault {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let value = serde_json::to_value(&self)
            .map_err(|error| ErrorData::internal_error(format!("write the tool's fault as JSON: {error}"), None))?;
        Ok(CallToolResult::structured_error(value).into())
    }
}

#[cfg(test)]
mod tests {
    use super::{FaultKind, HINT_CHARS_MAX, ToolFault};

    #[test]
    fn a_fault_survives_the_wire() {
        let fault = ToolFault::new(FaultKind::Unavailable, "http_500", "try again later")
            .retry_at("2026-11-23T10:00:00Z".parse().expect("time"))
            .outcome_unknown();
        let json = serde_json::to_value(&fault).expect("to JSON");
        assert_eq!(json["error_kind"], "unavailable");
        assert_eq!(json["retryable"], true);
        assert_eq!(json["retry_at"], "2026-11-23T10:00:00Z");
        assert_eq!(serde_json::from_value::<ToolFault>(json).expect("from JSON"), fault);
    }

    #[test]
    fn only_waiting_helps_against_limits_and_outages() {
        for (kind, retryable) in [
            (FaultKind::RateLimited, true),
            (FaultKind::Unavailable, true),
            (FaultKind::Auth, false),
            (FaultKind::Scope, false),
            (FaultKind::NotFound, false),
            (FaultKind::Invalid, false),
            (FaultKind::Conflict, false),
        ] {
            assert_eq!(ToolFault::new(kind, "c", "h").retryable, retryable, "{kind:?}");
        }
    }

    #[test]
    fn a_long_provider_text_is_cut_between_characters() {
        let fault = ToolFault::new(FaultKind::Invalid, "c", "é".repeat(HINT_CHARS_MAX + 9));
        assert_eq!(fault.hint.chars().count(), HINT_CHARS_MAX + 1);
    }
}
