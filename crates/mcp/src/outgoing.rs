//! The one way requests leave for a provider: rate budget, retries, breaker, deadline.
//!
//! Owns when a request is sent, repeated or given up, and what the caller is told then. It does
//! not know the provider: a connector hands in a [`Judge`] that reads status, headers and body.
//! A request that changes something is repeated only when it was certainly not carried out.

mod breaker;
mod lane;
mod retry_after;

use std::time::Duration;

use chrono::{DateTime, Utc};
use governor::Jitter;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::{FaultKind, ToolFault, metrics};
use breaker::{Breaker, Refusal};
use lane::Lanes;
pub use lane::{LaneKey, Tier};
pub use retry_after::retry_after;

/// Providers answer our calls with a few KiB; history and search pages stay below this.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Requests sent for one call: the first and its repeats. The deadline is the tighter bound; this
/// one keeps a provider that fails fast from being hammered.
const TRIES_MAX: u32 = 4;

/// The first pause between tries; it doubles, with as much jitter again.
const BACKOFF_BASE: Duration = Duration::from_millis(100);

/// A `Retry-After` below this is not believed: zero must not become a loop.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(250);

/// The limits a connector sets for its provider.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Longest wait for one answer, in milliseconds.
    pub request_ms: u64,
    /// Longest pause believed from a `Retry-After`, in milliseconds; what is longer is asked
    /// again then.
    pub retry_after_max_ms: u64,
    /// Failures in a row after which the provider is left alone.
    pub breaker_failures: u32,
    /// How long it is left alone before one request may probe, in milliseconds.
    pub breaker_pause_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { request_ms: 5_000, retry_after_max_ms: 120_000, breaker_failures: 5, breaker_pause_ms: 5_000 }
    }
}

/// Whether repeating a request can do harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// Reads, and writes that end in the same state however often they are sent.
    Repeatable,
    /// Writes that add something each time.
    Once,
}

/// A provider's answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// The body, at most 8 MiB.
    pub body: Vec<u8>,
}

/// What an answer means.
#[derive(Debug)]
pub enum Verdict {
    /// The provider did it.
    Done,
    /// The provider did nothing and asks to wait.
    Limited {
        /// How long, if it said.
        after: Option<Duration>,
        /// Which of the request's lanes it closes (index into [`Ask::lanes`]).
        lane: usize,
        /// The provider's code.
        code: String,
    },
    /// The provider failed; whether it did it is open.
    Broken {
        /// The provider's code.
        code: String,
    },
    /// The provider said no, and will say so again.
    Refused(ToolFault),
}

/// Reads a provider's answer.
pub type Judge = fn(&Answer) -> Verdict;

/// One request to make.
pub struct Ask {
    /// The request, without credentials; its body must be in memory.
    pub request: reqwest::Request,
    /// The rate budgets it draws on, all of them.
    pub lanes: Vec<(LaneKey, Tier)>,
    /// Whether it may be repeated after an unclear failure.
    pub safety: Safety,
    /// When the caller must have an answer.
    pub deadline: Instant,
    /// How its answer is read.
    pub judge: Judge,
}

/// A provider, as seen from here.
#[derive(Debug)]
pub struct Outgoing {
    provider: &'static str,
    http: reqwest::Client,
    policy: Policy,
    lanes: Lanes,
    breaker: Breaker,
    secrets: Vec<SecretString>,
}

/// How one try ended, when it did not end well.
enum Failed {
    Final(ToolFault),
    /// Wait until then (or as the backoff says), then try again if there is time.
    Again {
        not_before: Option<Instant>,
        fault: ToolFault,
    },
}

impl Outgoing {
    /// The provider at `base`. `secrets` are blanked out of whatever a provider's answer brings
    /// back into an error.
    ///
    /// # Errors
    /// The HTTP client cannot be set up (no TLS roots on this machine).
    pub fn new(provider: &'static str, base: &Url, policy: Policy, secrets: Vec<SecretString>) -> Result<Self, reqwest::Error> {
        let http = crate::http_client(base)
            .timeout(Duration::from_millis(policy.request_ms))
            .user_agent(concat!("paramedic/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let breaker = Breaker::new(policy.breaker_failures, Duration::from_millis(policy.breaker_pause_ms));
        Ok(Self { provider, http, policy, lanes: Lanes::default(), breaker, secrets })
    }

    /// Starts a request; to be finished by [`Self::ask`].
    pub fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends `ask`, within its lanes' budgets, as often as its safety and deadline allow.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, ToolFault> {
        let mut pause = BACKOFF_BASE;
        let mut try_number = 1;
        loop {
            let (not_before, mut fault) = match self.try_once(ask).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::Final(fault)) => return Err(self.without_secrets(fault)),
                Err(Failed::Again { not_before, fault }) => (not_before, fault),
            };
            let jittered = Instant::now() + (Jitter::up_to(pause) + pause);
            let next = not_before.unwrap_or(jittered);
            if fault.outcome_unknown && ask.safety == Safety::Once {
                return Err(self.without_secrets(fault));
            }
            // Nothing is known of a repeatable request either, but that does not matter.
            fault.outcome_unknown = false;
            if try_number == TRIES_MAX || next >= ask.deadline {
                return Err(self.without_secrets(fault.retry_at(wall_time(next))));
            }
            tokio::time::sleep_until(next).await;
            pause *= 2;
            try_number += 1;
        }
    }

    async fn try_once(&self, ask: &Ask) -> Result<Answer, Failed> {
        for (key, tier) in &ask.lanes {
            self.lanes.lane(key, *tier).admit(ask.deadline).await.map_err(|open_at| {
                Failed::Final(
                    ToolFault::new(
                        FaultKind::RateLimited,
                        "local_budget",
                        format!("the rate budget for {} at {key} is used up", self.provider),
                    )
                    .retry_at(wall_time(open_at)),
                )
            })?;
        }
        let permit = self.breaker.enter(Instant::now()).map_err(|refusal| {
            let (Refusal::Open(until) | Refusal::Probing(until)) = refusal;
            metrics::count_request(self.provider, "breaker_open");
            let hint = format!("{} failed repeatedly and is left alone for now", self.provider);
            let fault = ToolFault::new(FaultKind::Unavailable, "breaker_open", hint);
            Failed::Final(fault.retry_at(wall_time(until)))
        })?;
        let sent = self.send(ask).await;
        match &sent {
            Ok((_, Verdict::Broken { .. })) | Err(_) => permit.failed(Instant::now()),
            // A limit or a refusal comes from a provider that works.
            Ok((_, Verdict::Done | Verdict::Limited { .. } | Verdict::Refused(_))) => {
                permit.worked();
            }
        }
        let (answer, verdict) = sent?;
        self.weigh(ask, answer, verdict)
    }

    /// One request on the wire, read to its end and judged.
    async fn send(&self, ask: &Ask) -> Result<(Answer, Verdict), Failed> {
        let Some(mut request) = ask.request.try_clone() else {
            let hint = "a streamed request body cannot be sent through the retry layer";
            return Err(Failed::Final(ToolFault::new(FaultKind::Invalid, "stream_body", hint)));
        };
        let own_limit = Duration::from_millis(self.policy.request_ms);
        let left = ask.deadline.saturating_duration_since(Instant::now());
        *request.timeout_mut() = Some(own_limit.min(left));
        match self.exchange(request).await {
            Ok(answer) => {
                let verdict = (ask.judge)(&answer);
                metrics::count_request(self.provider, verdict.outcome());
                Ok((answer, verdict))
            }
            Err(lost) => {
                metrics::count_request(self.provider, lost.code);
                let hint = format!("{}: {}", self.provider, lost.what);
                let fault = ToolFault::new(FaultKind::Unavailable, lost.code, hint);
                let fault = if lost.never_sent { fault } else { fault.outcome_unknown() };
                Err(Failed::Again { not_before: None, fault })
            }
        }
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Answer, Lost> {
        let mut response = self.http.execute(request).await.map_err(Lost::from)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Lost::from)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Lost {
                    code: "answer_too_large",
                    what: format!("answered more than {ANSWER_BYTES_MAX} bytes"),
                    never_sent: false,
                });
            }
            body.extend_from_slice(&chunk);
        }
        let status = response.status().as_u16();
        Ok(Answer { status, headers: response.headers().clone(), body })
    }

    fn weigh(&self, ask: &Ask, answer: Answer, verdict: Verdict) -> Result<Answer, Failed> {
        match verdict {
            Verdict::Done => Ok(answer),
            Verdict::Refused(fault) => Err(Failed::Final(fault)),
            Verdict::Broken { code } => {
                let hint = format!("{} failed (HTTP {})", self.provider, answer.status);
                let fault = ToolFault::new(FaultKind::Unavailable, code, hint).outcome_unknown();
                Err(Failed::Again { not_before: None, fault })
            }
            Verdict::Limited { after, lane, code } => {
                let longest = Duration::from_millis(self.policy.retry_after_max_ms);
                let wait = after.unwrap_or(RETRY_AFTER_MIN).clamp(RETRY_AFTER_MIN.min(longest), longest);
                let until = Instant::now() + wait;
                if let Some((key, tier)) = ask.lanes.get(lane) {
                    self.lanes.lane(key, *tier).close_until(until);
                }
                let hint = format!("{} asks to slow down", self.provider);
                let fault = ToolFault::new(FaultKind::RateLimited, code, hint);
                Err(Failed::Again { not_before: Some(until), fault })
            }
        }
    }

    /// A provider may quote what it was sent; our credentials must not travel on.
    fn without_secrets(&self, mut fault: ToolFault) -> ToolFault {
        for secret in &self.secrets {
            let secret = secret.expose_secret();
            if !secret.is_empty() {
                fault.hint = fault.hint.replace(secret, "[secret]");
                fault.provider_code = fault.provider_code.replace(secret, "[secret]");
            }
        }
        fault
    }
}

impl Verdict {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Limited { .. } => "rate_limited",
            Self::Broken { .. } => "broken",
            Self::Refused(fault) => fault.kind.as_str(),
        }
    }
}

/// A request without an answer.
struct Lost {
    code: &'static str,
    what: String,
    never_sent: bool,
}

impl From<reqwest::Error> for Lost {
    fn from(error: reqwest::Error) -> Self {
        let never_sent = error.is_connect() || error.is_builder();
        let (code, what) = if error.is_connect() {
            ("connect", "cannot connect; check the address and the network")
        } else if error.is_timeout() {
            ("timeout", "no answer in time")
        } else {
            ("transport", "the connection broke before the answer")
        };
        Self { code, what: what.to_owned(), never_sent }
    }
}

/// The wall time of an instant to come, for a caller in another process.
#[expect(clippy::disallowed_methods, reason = "a retry time leaves this process, so it is wall time; nothing is decided by it")]
fn wall_time(at: Instant) -> DateTime<Utc> {
    let wait = at.saturating_duration_since(Instant::now());
    DateTime::<Utc>::from(std::time::SystemTime::now() + wait)
}

#[cfg(test)]
mod tests;
