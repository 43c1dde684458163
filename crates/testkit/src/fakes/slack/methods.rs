//! The Web API methods.

use serde_json::{Map, Value, json};

use super::{Ephemeral, Message, Workspace, blocks};
use crate::fakes::{Incoming, Provider, Reply, put};

/// `chat.update` refuses more with `msg_too_long`; we hold posting to the same, because a message
/// that cannot be updated is no card.
const TEXT_CHARS_MAX: usize = 4_000;

/// Largest page of history.
const PAGE_MAX: usize = 999;

/// Page of history where no limit is named.
const PAGE_DEFAULT: usize = 100;

/// An error code, with what Slack adds to it.
struct Refused {
    code: &'static str,
    more: Value,
}

impl From<&'static str> for Refused {
    fn from(code: &'static str) -> Self {
        Self { code, more: json!({}) }
    }
}

/// What a method knows, takes and needs.
struct Method {
    args: &'static [&'static str],
    required: &'static [&'static str],
    takes_json: bool,
    scope: Option<&'static str>,
}

fn method(name: &str) -> Option<Method> {
    Some(match name {
        "chat.postMessage" => Method {
            args: &[
                "channel",
                "text",
                "blocks",
                "metadata",
                "thread_ts",
                "reply_broadcast",
                "unfurl_links",
                "unfurl_media",
                "mrkdwn",
                "parse",
                "link_names",
            ],
            required: &["channel"],
            takes_json: true,
            scope: Some("chat:write"),
        },
        "chat.update" => Method {
            args: &["channel", "ts", "text", "blocks", "metadata", "parse", "link_names"],
            required: &["channel", "ts"],
            takes_json: true,
            scope: Some("chat:write"),
        },
        "chat.postEphemeral" => Method {
            args: &["channel", "user", "text", "blocks", "thread_ts", "parse", "link_names"],
            required: &["channel", "user"],
            takes_json: true,
            scope: Some("chat:write"),
        },
        "conversations.history" => Method {
            args: &["channel", "cursor", "include_all_metadata", "inclusive", "latest", "limit", "oldest"],
            required: &["channel"],
            takes_json: true,
            scope: Some("channels:history"),
        },
        "conversations.replies" => Method {
            args: &["channel", "ts", "cursor", "include_all_metadata", "inclusive", "latest", "limit", "oldest"],
            required: &["channel", "ts"],
            takes_json: false,
            scope: Some("channels:history"),
        },
        "auth.test" => Method { args: &[], required: &[], takes_json: true, scope: None },
        _ => return None,
    })
}

impl Provider for Workspace {
    fn method_name(&self, incoming: &Incoming) -> String {
        if incoming.path.starts_with("/actions/") {
            // Each click has a path of its own.
            return "response_url".to_owned();
        }
        incoming.path.strip_prefix("/api/").unwrap_or(&incoming.path).to_owned()
    }

    fn handle(&mut self, incoming: &Incoming) -> Reply {
        if let Some(reply) = self.respond(incoming) {
            return reply;
        }
        let name = self.method_name(incoming);
        let outcome = self.arguments(&name, incoming).and_then(|args| match name.as_str() {
            "chat.postMessage" => self.post(&args, incoming),
            "chat.update" => self.update(&args),
            "chat.postEphemeral" => self.post_ephemeral(&args),
            "conversations.history" => self.history(&args),
            "conversations.replies" => self.replies(&args),
            "auth.test" => Ok(json!({ "team_id": "T0FAKE", "user_id": "U0BOT", "bot_id": "B0BOT" })),
            _ => Err("unknown_method".into()),
        });
        match outcome {
            Ok(mut body) => {
                put(&mut body, "ok", json!(true));
                Reply::json(200, body)
            }
            Err(Refused { code: "ratelimited", more }) => {
                let seconds = more.get("seconds").and_then(Value::as_u64).unwrap_or(1);
                self.rate_limited(u32::try_from(seconds).unwrap_or(1))
            }
            Err(Refused { code, more }) => {
                let mut body = more;
                put(&mut body, "ok", json!(false));
                put(&mut body, "error", json!(code));
                Reply { error: Some(code.to_owned()), ..Reply::json(200, body) }
            }
        }
    }

    fn rate_limited(&self, seconds: u32) -> Reply {
        let body = json!({ "ok": false, "error": "ratelimited" });
        let headers = vec![("retry-after", seconds.to_string())];
        Reply { headers, error: Some("ratelimited".to_owned()), ..Reply::json(429, body) }
    }

    fn failed(&self, status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: None, error: Some(format!("http_{status}")) }
    }
}

impl Workspace {
    /// Who asks, whether they may, and with which arguments.
    fn arguments(&self, name: &str, incoming: &Incoming) -> Result<Map<String, Value>, Refused> {
        let Some(authorization) = incoming.header("authorization") else {
            return Err("not_authed".into());
        };
        if authorization.strip_prefix("Bearer ") != Some(self.options.token.as_str()) {
            return Err("invalid_auth".into());
        }
        let Some(method) = method(name) else { return Err("unknown_method".into()) };
        if let Some(scope) = method.scope
            && !self.options.scopes.iter().any(|held| held == scope)
        {
            let provided = self.options.scopes.join(",");
            let more = json!({ "needed": scope, "provided": provided });
            return Err(Refused { code: "missing_scope", more });
        }
        let is_json = incoming.content_type.starts_with("application/json");
        if is_json && !method.takes_json {
            // Slack reads no arguments from such a body.
            return Err(invalid("no arguments found: this method takes no JSON"));
        }
        let Value::Object(mut args) = incoming.arguments() else {
            return Err("invalid_json".into());
        };
        if !is_json {
            // In forms, the structured arguments are JSON texts.
            for name in ["blocks", "metadata"] {
                if let Some(value) = args.get_mut(name) {
                    let text = value.as_str().unwrap_or_default();
                    *value = serde_json::from_str(text).map_err(|_| invalid(&format!("{name} is not JSON")))?;
                }
            }
        }
        if let Some(unknown) = args.keys().find(|name| !method.args.contains(&name.as_str())) {
            return Err(invalid(&format!("unknown argument {unknown}")));
        }
        for required in method.required {
            if args.get(*required).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(invalid(&format!("missing required field: {required}")));
            }
        }
        Ok(args)
    }

    fn post(&mut self, args: &Map<String, Value>, incoming: &Incoming) -> Result<Value, Refused> {
        let channel = text(args, "channel").to_owned();
        self.check_channel(&channel)?;
        check_content(args)?;
        let thread_ts = args.get("thread_ts").and_then(Value::as_str).map(str::to_owned);
        if let Some(thread_ts) = &thread_ts
            && self.find(&channel, thread_ts).is_none()
        {
            return Err("cannot_reply_to_message".into());
        }
        self.admit(&channel, incoming.at)
            .map_err(|seconds| Refused { code: "ratelimited", more: json!({ "seconds": seconds }) })?;
        let message = Message {
            ts: self.next_ts(),
            channel,
            thread_ts,
            text: text(args, "text").to_owned(),
            blocks: args.get("blocks").cloned().unwrap_or_default(),
            metadata: args.get("metadata").cloned().unwrap_or_default(),
            versions: Vec::new(),
        };
        let body = json!({
            "channel": message.channel, "ts": message.ts, "message": wire(&message, true),
        });
        self.messages.push(message);
        Ok(body)
    }

    fn update(&mut self, args: &Map<String, Value>) -> Result<Value, Refused> {
        let channel = text(args, "channel");
        self.check_channel(channel)?;
        check_content(args)?;
        if self.edit_window_closed {
            return Err("edit_window_closed".into());
        }
        let ts = text(args, "ts");
        let found = self.messages.iter_mut().find(|message| message.channel == channel && message.ts == ts);
        let Some(message) = found else { return Err("message_not_found".into()) };
        message.versions.push((message.text.clone(), message.blocks.clone()));
        text(args, "text").clone_into(&mut message.text);
        // Without blocks, the old ones go and the text shows.
        message.blocks = args.get("blocks").cloned().unwrap_or_default();
        if let Some(metadata) = args.get("metadata") {
            message.metadata = metadata.clone();
        }
        Ok(json!({
            "channel": channel, "ts": ts, "text": message.text, "message": wire(message, true),
        }))
    }

    fn post_ephemeral(&mut self, args: &Map<String, Value>) -> Result<Value, Refused> {
        let channel = text(args, "channel").to_owned();
        self.check_channel(&channel)?;
        check_content(args)?;
        let user = text(args, "user");
        if !user.starts_with(['U', 'W']) {
            return Err("user_not_in_channel".into());
        }
        let (user, text) = (user.to_owned(), text(args, "text").to_owned());
        self.ephemerals.push(Ephemeral { channel, user, text });
        Ok(json!({ "message_ts": self.next_ts() }))
    }

    /// Newest first, replies not among them.
    fn history(&self, args: &Map<String, Value>) -> Result<Value, Refused> {
        let channel = text(args, "channel");
        self.check_exists(channel)?;
        let in_channel = |message: &&Message| message.channel == channel;
        let found = self.messages.iter().rev().filter(in_channel).filter(|one| one.thread_ts.is_none());
        page(found.collect(), args)
    }

    /// Oldest first, the thread's first message before its replies.
    fn replies(&self, args: &Map<String, Value>) -> Result<Value, Refused> {
        let (channel, ts) = (text(args, "channel"), text(args, "ts"));
        self.check_exists(channel)?;
        if self.find(channel, ts).is_none() {
            return Err("thread_not_found".into());
        }
        let in_thread =
            |message: &&Message| message.channel == channel && (message.ts == ts || message.thread_ts.as_deref() == Some(ts));
        page(self.messages.iter().filter(in_thread).collect(), args)
    }

    fn check_channel(&self, channel: &str) -> Result<(), Refused> {
        self.check_exists(channel)?;
        if self.archived.iter().any(|archived| archived == channel) {
            return Err("is_archived".into());
        }
        Ok(())
    }

    fn check_exists(&self, channel: &str) -> Result<(), Refused> {
        if self.options.channels.iter().any(|known| known == channel) { Ok(()) } else { Err("channel_not_found".into()) }
    }
}

fn check_content(args: &Map<String, Value>) -> Result<(), Refused> {
    let text = text(args, "text");
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err("msg_too_long".into());
    }
    match args.get("blocks") {
        Some(list) => blocks::check(list).map_err(|why| Refused {
            code: "invalid_blocks",
            more: json!({ "response_metadata": { "messages": [format!("[ERROR] {why}")] } }),
        })?,
        None if text.is_empty() => return Err("no_text".into()),
        None => {}
    }
    let Some(metadata) = args.get("metadata") else { return Ok(()) };
    let is_typed = metadata.get("event_type").and_then(Value::as_str).is_some();
    if is_typed && metadata.get("event_payload").is_some_and(Value::is_object) {
        Ok(())
    } else {
        Err("invalid_metadata_format".into())
    }
}

fn page(found: Vec<&Message>, args: &Map<String, Value>) -> Result<Value, Refused> {
    let start = match text(args, "cursor") {
        "" => 0,
        cursor => cursor.parse().map_err(|_| Refused::from("invalid_cursor"))?,
    };
    let (oldest, latest) = (text(args, "oldest"), text(args, "latest"));
    let limit = number(args, "limit").unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let with_metadata = matches!(args.get("include_all_metadata"), Some(Value::Bool(true)))
        || matches!(text(args, "include_all_metadata"), "true" | "1");
    let kept: Vec<_> = found
        .into_iter()
        .filter(|message| oldest.is_empty() || message.ts.as_str() > oldest)
        .filter(|message| latest.is_empty() || message.ts.as_str() < latest)
        .collect();
    let messages: Vec<_> = kept.iter().skip(start).take(limit).map(|message| wire(message, with_metadata)).collect();
    let end = start + messages.len();
    let has_more = end < kept.len();
    let next_cursor = if has_more { end.to_string() } else { String::new() };
    Ok(json!({
        "messages": messages,
        "has_more": has_more,
        "response_metadata": { "next_cursor": next_cursor },
    }))
}

/// A message as the API shows it.
pub(super) fn wire(message: &Message, with_metadata: bool) -> Value {
    let mut shown = json!({
        "type": "message", "user": "U0BOT", "bot_id": "B0BOT", "app_id": super::interaction::APP_ID,
        "ts": message.ts, "text": message.text,
    });
    if !message.blocks.is_null() {
        put(&mut shown, "blocks", message.blocks.clone());
    }
    if let Some(thread_ts) = &message.thread_ts {
        put(&mut shown, "thread_ts", json!(thread_ts));
    }
    if with_metadata && !message.metadata.is_null() {
        put(&mut shown, "metadata", message.metadata.clone());
    }
    shown
}

fn invalid(message: &str) -> Refused {
    let messages = json!([format!("[ERROR] {message}")]);
    Refused { code: "invalid_arguments", more: json!({ "response_metadata": { "messages": messages } }) }
}

fn text<'a>(args: &'a Map<String, Value>, name: &str) -> &'a str {
    args.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(args: &Map<String, Value>, name: &str) -> Option<usize> {
    let value = args.get(name)?;
    match value.as_u64() {
        Some(number) => usize::try_from(number).ok(),
        None => value.as_str()?.parse().ok(),
    }
}
