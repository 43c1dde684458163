//! A person presses a button: what Slack then sends to the app, signed, and how it is forged.
//!
//! Shape and signature as published (docs.slack.dev, "Handling user interaction" and "Verifying
//! requests from Slack"). What the app puts into its acknowledgement of `block_actions` is shown to
//! nobody; what it posts to the payload's `response_url` is.

use std::time::Duration;

use anyhow::{Context, bail};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::methods::wire;
use super::{Ephemeral, Hook, Message, SlackFake, Workspace, unix_micros};
use crate::fakes::{Incoming, Reply, form, put};

/// The app the buttons belong to.
pub(super) const APP_ID: &str = "A0PARAMEDIC";

const TEAM_ID: &str = "T0FAKE";

/// A `response_url` can be used so often, for so long.
const HOOK_USES_MAX: u32 = 5;
const HOOK_AGE_MAX: Duration = Duration::from_mins(30);

/// Slack gives an app 3 s; a little more, so that a late answer is seen as late and not as lost.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// A click on its way to the app. Posting it twice is a replay, byte for byte.
#[derive(Debug, Clone)]
pub struct Interaction {
    /// The payload, before it was put into the form.
    pub payload: Value,
    /// Unix seconds in `X-Slack-Request-Timestamp`.
    pub timestamp: u64,
    /// The body as sent.
    pub body: String,
    /// `X-Slack-Signature`.
    pub signature: String,
    signing_secret: String,
}

/// What the app answered to a click.
#[derive(Debug, Clone)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// The body. Slack shows it to nobody.
    pub body: String,
    /// How long it took; Slack shows the person an error after 3 s.
    pub took: Duration,
}

impl SlackFake {
    /// The click of `user` on the button `action_id` of a message, not yet sent.
    ///
    /// # Errors
    /// There is no such message, or it shows no such button (any more).
    pub fn click(&self, message: &Message, action_id: &str, user: &str) -> anyhow::Result<Interaction> {
        let mut workspace = self.0.provider();
        let current =
            workspace.find(&message.channel, &message.ts).with_context(|| format!("find message {}", message.ts))?.clone();
        let Some((block_id, button)) = find_button(&current.blocks, action_id) else {
            bail!("message {} shows no button {action_id}", message.ts);
        };
        workspace.triggers += 1;
        let mut payload = payload(&workspace, &current, &block_id, &button, user);
        let path = workspace.hook(&current.channel, user);
        put(&mut payload, "response_url", json!(format!("{}{path}", self.hooks_url())));
        let signing_secret = workspace.options.signing_secret.clone();
        Interaction::new(payload, unix_micros() / 1_000_000, signing_secret)
    }

    /// Where `user` is answered after a click in a channel.
    pub fn response_url(&self, channel: &str, user: &str) -> String {
        let path = self.0.provider().hook(channel, user);
        format!("{}{path}", self.hooks_url())
    }

    /// Presses the button and delivers the click to `url`.
    pub async fn press(&self, url: &str, message: &Message, action_id: &str, user: &str) -> anyhow::Result<Answered> {
        self.click(message, action_id, user)?.post(url).await
    }
}

impl Interaction {
    fn new(payload: Value, timestamp: u64, signing_secret: String) -> anyhow::Result<Self> {
        let body = form::encode(&[("payload", &payload.to_string())]);
        let signature = sign(&signing_secret, timestamp, &body)?;
        Ok(Self { payload, timestamp, body, signature, signing_secret })
    }

    /// The same click signed by someone who does not know the secret.
    pub fn forged(&self) -> anyhow::Result<Self> {
        let signature = sign("not the signing secret", self.timestamp, &self.body)?;
        Ok(Self { signature, ..self.clone() })
    }

    /// The same click as it would have been made and signed `age` ago.
    pub fn aged(&self, age: Duration) -> anyhow::Result<Self> {
        let timestamp = self.timestamp.saturating_sub(age.as_secs());
        Self::new(self.payload.clone(), timestamp, self.signing_secret.clone())
    }

    /// The same signature over a body that `change` has altered: what a man in the middle can do.
    #[must_use]
    pub fn altered(&self, change: impl FnOnce(&mut Value)) -> Self {
        let mut payload = self.payload.clone();
        change(&mut payload);
        let body = form::encode(&[("payload", &payload.to_string())]);
        Self { payload, body, ..self.clone() }
    }

    /// The click with a payload that `change` has altered, properly signed: what Slack would send
    /// if the world were different (another user, another app, another value).
    pub fn with_payload(&self, change: impl FnOnce(&mut Value)) -> anyhow::Result<Self> {
        let mut payload = self.payload.clone();
        change(&mut payload);
        Self::new(payload, self.timestamp, self.signing_secret.clone())
    }

    /// Delivers it, as Slack does.
    pub async fn post(&self, url: &str) -> anyhow::Result<Answered> {
        // "Already installed" is the only error, and means what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let started = tokio::time::Instant::now();
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIME_MAX).build()?;
        let response = http
            .post(url)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("X-Slack-Request-Timestamp", self.timestamp.to_string())
            .header("X-Slack-Signature", &self.signature)
            .header("User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
            .body(self.body.clone())
            .send()
            .await
            .with_context(|| format!("deliver a click to {url}"))?;
        let status = response.status().as_u16();
        let body = response.text().await.context("read the app's answer to a click")?;
        Ok(Answered { status, body, took: started.elapsed() })
    }
}

fn payload(workspace: &Workspace, message: &Message, block_id: &str, button: &Value, user: &str) -> Value {
    let trigger = workspace.triggers;
    let name = user.to_lowercase();
    let mut container = json!({
        "type": "message", "message_ts": message.ts, "channel_id": message.channel,
        "is_ephemeral": false,
    });
    if let Some(thread_ts) = &message.thread_ts {
        put(&mut container, "thread_ts", json!(thread_ts));
    }
    json!({
        "type": "block_actions",
        "user": { "id": user, "username": name, "name": name, "team_id": TEAM_ID },
        "team": { "id": TEAM_ID, "domain": "fake" },
        "api_app_id": APP_ID,
        "token": "deprecated-shared-token",
        "enterprise": null,
        "is_enterprise_install": false,
        "container": container,
        "trigger_id": format!("{trigger}.{}.fake", message.ts),
        "channel": { "id": message.channel, "name": "incidents" },
        "message": wire(message, true),
        "state": { "values": {} },
        "actions": [{
            "type": "button",
            "action_id": button.get("action_id"),
            "block_id": block_id,
            "text": button.get("text"),
            "value": button.get("value"),
            "action_ts": format!("{}.000000", unix_micros() / 1_000_000),
        }],
    })
}

impl Workspace {
    /// The path of a new `response_url`.
    fn hook(&mut self, channel: &str, user: &str) -> String {
        let path = format!("/actions/{TEAM_ID}/{}/fake", self.hooks.len());
        let made_at = tokio::time::Instant::now();
        self.hooks.insert(path.clone(), Hook { channel: channel.to_owned(), user: user.to_owned(), made_at, uses: 0 });
        path
    }

    /// A post to a `response_url`; none for any other path.
    pub(super) fn respond(&mut self, incoming: &Incoming) -> Option<Reply> {
        let hook = self.hooks.get_mut(&incoming.path);
        if hook.is_none() && !incoming.path.starts_with("/actions/") {
            return None;
        }
        let refused = |status, code: &str| Some(Reply { error: Some(code.to_owned()), ..Reply::json(status, json!(code)) });
        let Some(hook) = hook else { return refused(404, "no_service") };
        if incoming.http_method != "POST" || !incoming.content_type.starts_with("application/json") {
            return refused(400, "invalid_payload");
        }
        let age = incoming.at.saturating_duration_since(hook.made_at);
        if hook.uses >= HOOK_USES_MAX || age > HOOK_AGE_MAX {
            return refused(404, "expired_url");
        }
        hook.uses += 1;
        let says = |name: &str| incoming.body.get(name).cloned().unwrap_or_default();
        let (Some(text), true) = (says("text").as_str().map(str::to_owned), says("response_type") == "ephemeral") else {
            // The only kind that Paramedic has a use for.
            return refused(500, "not an ephemeral text");
        };
        if says("replace_original") == true {
            return refused(500, "the card is not to be replaced by an answer");
        }
        self.ephemerals.push(Ephemeral { channel: hook.channel.clone(), user: hook.user.clone(), text });
        Some(Reply::json(200, json!({ "ok": true })))
    }
}

/// The button with `action_id`, and the id of its block (Slack makes one up where there is none).
fn find_button(blocks: &Value, action_id: &str) -> Option<(String, Value)> {
    let is_it = |element: &&Value| {
        element.get("action_id").and_then(Value::as_str) == Some(action_id)
            && element.get("type").and_then(Value::as_str) == Some("button")
    };
    blocks.as_array()?.iter().enumerate().find_map(|(index, block)| {
        let elements = block.get("elements").and_then(Value::as_array).into_iter().flatten();
        let button = elements.chain(block.get("accessory")).find(is_it)?;
        let id = block.get("block_id").and_then(Value::as_str);
        Some((id.map_or_else(|| format!("b{index}"), str::to_owned), button.clone()))
    })
}

fn sign(secret: &str, timestamp: u64, body: &str) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("use the signing secret")?;
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    Ok(format!("v0={}", hex::encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::sign;

    /// The vector Slack publishes ("Verifying requests from Slack").
    #[test]
    fn signatures_equal_slacks() {
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
            &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner\
            &command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2F\
            commands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
            &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        assert_eq!(
            sign("8f742231b10e8888abcd99yyyzzz85a5", 1_531_420_618, body).expect("signed"),
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
        );
    }
}
