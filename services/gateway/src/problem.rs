//! What a caller is told when a call fails: problem documents (RFC 9457) that name field and rule. They never tell a secret, and never
//! whether a tenant exists.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Media type of problem documents.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// Prefix of problem types: names, not addresses.
const TYPE_PREFIX: &str = "urn:paramedic:problem:";

/// What went wrong, in kinds that a program can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Malformed,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    TooSlow,
    Conflict,
    Gone,
    TooLarge,
    MediaType,
    Invalid,
    Internal,
    Busy,
    Unavailable,
}

impl Kind {
    /// Status, name and title.
    const fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed", "The request cannot be read"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Credentials are missing or wrong"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method does not fit"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "The request did not arrive in time"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "It does not fit what is there"),
            Self::Gone => (StatusCode::GONE, "gone", "It is over"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "The content type does not fit"),
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request breaks a rule"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too much at once"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "A part that is needed does not answer"),
        }
    }
}

/// One rule that the request breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Violation {
    /// JSON Pointer (RFC 6901) into the body, or the name of a query parameter or header.
    pub(crate) field: String,
    /// The rule, for people.
    pub(crate) rule: Cow<'static, str>,
    /// The rule's name, for counting.
    #[serde(skip)]
    pub(crate) name: &'static str,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    pub(crate) errors: Vec<Violation>,
    retry_after_s: Option<u32>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), errors: vec![], retry_after_s: None }
    }

    /// The same words for every way of not being let in.
    pub(crate) fn unauthorized() -> Self {
        Self::new(Kind::Unauthorized, "no such tenant or person with this token: send `Authorization: Bearer TOKEN`")
    }

    /// One or more broken rules.
    pub(crate) fn invalid(errors: Vec<Violation>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", only.field, only.rule),
            more => format!("{} rules are broken; nothing was stored", more.len()),
        };
        Self { errors, ..Self::new(Kind::Invalid, detail) }
    }

    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// Names of what went wrong, for counting.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        if self.errors.is_empty() { vec![self.kind.facts().1] } else { self.errors.iter().map(|error| error.name).collect() }
    }

    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kind == kind
    }

    pub(crate) const fn status(&self) -> u16 {
        self.kind.facts().0.as_u16()
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The problem that a bare status stands for, where a library answered and not we.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(Kind::NotFound, "there is nothing at this path"),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(Kind::MethodNotAllowed, "the Allow header lists the methods of this path")
            }
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(Kind::TooLarge, "the body is too large"),
            StatusCode::REQUEST_TIMEOUT => Self::new(Kind::TooSlow, "the request did not arrive in time"),
            status if status.is_client_error() => Self::new(Kind::Malformed, "path, query or headers cannot be read"),
            _ => Self::new(Kind::Internal, "the log says more"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, title) = self.kind.facts();
        let document = Document {
            r#type: format!("{TYPE_PREFIX}{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        // Texts and numbers always have a JSON form.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        if self.kind == Kind::Unauthorized {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
