//! Slack's Web API (docs.slack.dev): requests, answers, error codes.
//!
//! Slack answers errors with HTTP 200 and `ok: false`; posting is not idempotent, so each message
//! carries its key as metadata and is looked up by it.

use std::time::Duration;

use chrono::TimeDelta;
use mcp::outgoing::{Answer, Ask, LaneKey, Outgoing, Safety, Tier, Verdict, retry_after};
use mcp::{FaultKind, ToolFault};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::{Config, PostEphemeral, PostMessage, PostedEphemeral, PostedMessage, Rates, UpdateMessage, UpdatedMessage};
use crate::SetupError;
use crate::look::{self, Patience};

/// Marks our metadata among other apps'.
const EVENT_TYPE: &str = "paramedic_effect";

/// Messages per page of a look-up.
const LOOKUP_PAGE: &str = "200";

/// Pages of a look-up: a retry comes within minutes, and less than a thousand messages with it.
const LOOKUP_PAGES_MAX: usize = 5;

/// How far the caller's clock may be ahead of Slack's.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(1);

pub(super) struct Api {
    outgoing: Outgoing,
    base: Url,
    token: SecretString,
    rates: Rates,
    settle: Duration,
}

/// The part of every answer that says whether it worked.
#[derive(Deserialize)]
struct Envelope {
    ok: bool,
    error: Option<String>,
    needed: Option<String>,
    provided: Option<String>,
    #[serde(default)]
    response_metadata: ResponseMetadata,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseMetadata {
    messages: Vec<String>,
    next_cursor: String,
}

#[derive(Deserialize)]
struct Posted {
    channel: String,
    ts: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    messages: Vec<Found>,
    #[serde(default)]
    response_metadata: ResponseMetadata,
}

#[derive(Deserialize)]
struct Found {
    ts: String,
    metadata: Option<Value>,
}

/// One call: method, what limits it, how often it may be sent.
struct Call {
    method: &'static str,
    lane: LaneKey,
    tier: Tier,
    safety: Safety,
    deadline: Instant,
}

impl Api {
    pub(super) fn new(config: Config) -> Result<Self, SetupError> {
        let Config { token, base_url, rates, policy, settle_ms } = config;
        if base_url.cannot_be_a_base() {
            return Err(SetupError::Url { setting: "slack.base_url", url: base_url.into(), example: "https://slack.com/api" });
        }
        let outgoing = Outgoing::new("slack", &base_url, policy, vec![token.clone()])
            .map_err(|source| SetupError::Http { provider: "slack", source })?;
        Ok(Self { outgoing, base: base_url, token, rates, settle: Duration::from_millis(settle_ms) })
    }

    pub(super) async fn post(&self, args: &PostMessage, deadline: Instant) -> Result<PostedMessage, ToolFault> {
        let mut body = json!({
            "channel": args.channel,
            "text": args.text,
            "metadata": {
                "event_type": EVENT_TYPE,
                "event_payload": { "key": args.idempotency_key },
            },
            // A card is no place for previews of links in evidence.
            "unfurl_links": false,
            "unfurl_media": false,
        });
        set(&mut body, "blocks", args.blocks.as_ref().map(|blocks| json!(blocks)));
        set(&mut body, "thread_ts", args.thread_ts.as_ref().map(|ts| json!(ts)));
        let call = Call {
            method: "chat.postMessage",
            lane: LaneKey::object("chat.postMessage", &args.channel),
            tier: self.rates.post,
            safety: Safety::Once,
            deadline,
        };
        let Posted { channel, ts } = self.send_json(call, &body).await?;
        Ok(PostedMessage { channel, ts, already: false })
    }

    pub(super) async fn update(&self, args: &UpdateMessage, deadline: Instant) -> Result<UpdatedMessage, ToolFault> {
        let mut body = json!({ "channel": args.channel, "ts": args.ts, "text": args.text });
        set(&mut body, "blocks", args.blocks.as_ref().map(|blocks| json!(blocks)));
        let call = Call {
            method: "chat.update",
            lane: LaneKey::route("chat.update"),
            tier: self.rates.update,
            safety: Safety::Repeatable,
            deadline,
        };
        let Posted { channel, ts } = self.send_json(call, &body).await?;
        Ok(UpdatedMessage { channel, ts })
    }

    pub(super) async fn post_ephemeral(&self, args: &PostEphemeral, deadline: Instant) -> Result<PostedEphemeral, ToolFault> {
        let call = Call {
            method: "chat.postEphemeral",
            lane: LaneKey::route("chat.postEphemeral"),
            tier: self.rates.ephemeral,
            safety: Safety::Once,
            deadline,
        };
        let body = json!({ "channel": args.channel, "user": args.user, "text": args.text });
        self.send_json(call, &body).await
    }

    /// The message an earlier attempt posted, by its key; none once it is certain that there is none.
    pub(super) async fn find_posted(&self, args: &PostMessage, deadline: Instant) -> Result<Option<String>, ToolFault> {
        let patience = Patience { time: self.settle, settings: "slack.settle_ms" };
        look::until_settled(patience, deadline, || self.look(args, deadline)).await
    }

    async fn look(&self, args: &PostMessage, deadline: Instant) -> Result<Option<String>, ToolFault> {
        let mut cursor = String::new();
        for _ in 0..LOOKUP_PAGES_MAX {
            let page = self.page(args, &cursor, deadline).await?;
            if let Some(found) = page.messages.into_iter().find(|found| found.has_key(args)) {
                return Ok(Some(found.ts));
            }
            cursor = page.response_metadata.next_cursor;
            if cursor.is_empty() {
                return Ok(None);
            }
        }
        Err(look::incomplete(
            "there are too many messages to tell whether this one is among them: name a later not_before, or look, \
             and post by hand if it is not",
        ))
    }

    async fn page(&self, args: &PostMessage, cursor: &str, deadline: Instant) -> Result<Page, ToolFault> {
        let mut form = vec![("channel", args.channel.as_str()), ("include_all_metadata", "true"), ("limit", LOOKUP_PAGE)];
        if !cursor.is_empty() {
            form.push(("cursor", cursor));
        }
        let oldest = args.not_before.map(|at| (at - CLOCKS_APART).timestamp().to_string());
        if let Some(oldest) = &oldest {
            form.push(("oldest", oldest));
        }
        let method = match &args.thread_ts {
            Some(thread_ts) => {
                form.push(("ts", thread_ts));
                "conversations.replies"
            }
            None => "conversations.history",
        };
        let call = Call { method, lane: LaneKey::route(method), tier: self.rates.read, safety: Safety::Repeatable, deadline };
        let request = self.request(call.method)?.form(&form);
        self.send(call, request).await
    }

    fn request(&self, method: &str) -> Result<reqwest::RequestBuilder, ToolFault> {
        let url = crate::join(&self.base, &[method])
            .ok_or_else(|| ToolFault::new(FaultKind::Invalid, "base_url", "slack.base_url is no base address"))?;
        Ok(self.outgoing.request(Method::POST, url).bearer_auth(self.token.expose_secret()))
    }

    async fn send_json<T: DeserializeOwned>(&self, call: Call, body: &Value) -> Result<T, ToolFault> {
        // Slack warns (`missing_charset`) when JSON comes without one.
        let request = self.request(call.method)?.header("Content-Type", "application/json; charset=utf-8").body(body.to_string());
        self.send(call, request).await
    }

    async fn send<T: DeserializeOwned>(&self, call: Call, request: reqwest::RequestBuilder) -> Result<T, ToolFault> {
        let request = request.build().map_err(|error| {
            let hint = format!("cannot build the request: {}", error.without_url());
            ToolFault::new(FaultKind::Invalid, "request", hint)
        })?;
        let ask = Ask { request, lanes: vec![(call.lane, call.tier)], safety: call.safety, deadline: call.deadline, judge };
        let answer = self.outgoing.ask(&ask).await?;
        serde_json::from_slice(&answer.body).map_err(|error| {
            let hint = format!("Slack's answer to {} misses something: {error}", call.method);
            ToolFault::new(FaultKind::Unavailable, "unreadable_answer", hint).outcome_unknown()
        })
    }
}

impl Found {
    fn has_key(&self, args: &PostMessage) -> bool {
        let read = |pointer| self.metadata.as_ref()?.pointer(pointer)?.as_str();
        read("/event_type") == Some(EVENT_TYPE) && read("/event_payload/key") == Some(args.idempotency_key.as_str())
    }
}

fn set(body: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
        body.insert(name.to_owned(), value);
    }
}

/// Reads an answer of any method.
fn judge(answer: &Answer) -> Verdict {
    let after = retry_after(&answer.headers);
    match answer.status {
        200 => {}
        429 => return Verdict::Limited { after, lane: 0, code: "ratelimited".to_owned() },
        status @ 500.. => return Verdict::Broken { code: format!("http_{status}") },
        status => {
            let hint = format!("HTTP {status} instead of Slack's API: check slack.base_url");
            let code = format!("http_{status}");
            return Verdict::Refused(ToolFault::new(FaultKind::Invalid, code, hint));
        }
    }
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&answer.body) else {
        return Verdict::Broken { code: "not_json".to_owned() };
    };
    if envelope.ok {
        return Verdict::Done;
    }
    let code = envelope.error.clone().unwrap_or_else(|| "unknown_error".to_owned());
    match code.as_str() {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => Verdict::Limited { after, lane: 0, code },
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => Verdict::Broken { code },
        _ => Verdict::Refused(refusal(code, &envelope)),
    }
}

/// What a final refusal means, and what to do about it.
fn refusal(code: String, envelope: &Envelope) -> ToolFault {
    let (kind, hint) = match code.as_str() {
        "not_authed"
        | "invalid_auth"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "user_removed_from_team"
        | "team_disabled" => {
            (FaultKind::Auth, "the bot token is not accepted: install the app again and set slack.token".to_owned())
        }
        "missing_scope" => {
            let needed = envelope.needed.as_deref().unwrap_or("?");
            let provided = envelope.provided.as_deref().unwrap_or("?");
            let hint = format!("the bot token needs scope {needed} and has {provided}: add it to the app and install it again");
            (FaultKind::Scope, hint)
        }
        "not_in_channel" => (FaultKind::Scope, "the app is not in the channel: /invite it there".to_owned()),
        "not_allowed_token_type"
        | "no_permission"
        | "access_denied"
        | "ekm_access_denied"
        | "app_access_restricted"
        | "posting_to_channel_denied" => (FaultKind::Scope, "the workspace does not allow the app to do this".to_owned()),
        code if code.starts_with("restricted_action") => {
            (FaultKind::Scope, "a workspace preference forbids posting there".to_owned())
        }
        // Slack hides a private channel from those who are not in it, so an invitation may be all that is missing.
        "channel_not_found" => {
            let hint = "no such channel id, or a private one the app is not in: /invite it there";
            (FaultKind::Scope, hint.to_owned())
        }
        "message_not_found"
        | "thread_not_found"
        | "user_not_found"
        | "user_not_in_channel"
        | "cannot_reply_to_message"
        | "team_not_found" => (FaultKind::NotFound, "what is addressed does not exist (any more)".to_owned()),
        "is_archived"
        | "edit_window_closed"
        | "cant_update_message"
        | "is_inactive"
        | "update_failed"
        | "streaming_state_conflict"
        | "external_channel_migrating" => (FaultKind::Conflict, "Slack does not allow this in the state it is in".to_owned()),
        _ => (FaultKind::Invalid, "Slack refuses the arguments".to_owned()),
    };
    let said = envelope.response_metadata.messages.join("; ");
    let hint = if said.is_empty() { hint } else { format!("{hint}: {said}") };
    ToolFault::new(kind, code, hint)
}

#[cfg(test)]
mod tests {
    use super::judge;
    use mcp::FaultKind;
    use mcp::outgoing::{Answer, Verdict};
    use reqwest::header::HeaderMap;

    fn verdict(status: u16, body: &str) -> Verdict {
        judge(&Answer { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() })
    }

    #[test]
    fn every_kind_of_error_is_told_apart() {
        for (error, kind) in [
            ("invalid_auth", FaultKind::Auth),
            ("missing_scope", FaultKind::Scope),
            ("restricted_action_read_only_channel", FaultKind::Scope),
            ("channel_not_found", FaultKind::Scope),
            ("message_not_found", FaultKind::NotFound),
            ("edit_window_closed", FaultKind::Conflict),
            ("invalid_blocks", FaultKind::Invalid),
            ("something_new", FaultKind::Invalid),
        ] {
            let body = format!(r#"{{"ok":false,"error":"{error}"}}"#);
            match verdict(200, &body) {
                Verdict::Refused(fault) => {
                    assert_eq!((fault.kind, fault.provider_code.as_str()), (kind, error));
                }
                other => panic!("{error}: {other:?}"),
            }
        }
    }

    #[test]
    fn outages_and_limits_are_no_refusals() {
        assert!(matches!(verdict(200, r#"{"ok":true}"#), Verdict::Done));
        for (status, body) in [(500, ""), (503, "upstream"), (200, "<html>"), (200, r#"{"ok":false,"error":"internal_error"}"#)] {
            assert!(matches!(verdict(status, body), Verdict::Broken { .. }), "{status} {body}");
        }
        for (status, body) in [(429, ""), (200, r#"{"ok":false,"error":"ratelimited"}"#)] {
            assert!(matches!(verdict(status, body), Verdict::Limited { .. }), "{status} {body}");
        }
    }

    #[test]
    fn slacks_own_words_are_kept() {
        let body = r#"{"ok":false,"error":"invalid_blocks",
            "response_metadata":{"messages":["[ERROR] must be 1 to 75 [json-pointer:/blocks/0]"]}}"#;
        let Verdict::Refused(fault) = verdict(200, body) else { panic!("not refused") };
        assert!(fault.hint.contains("json-pointer:/blocks/0"), "{}", fault.hint);
    }
}
