//! Slack: posts, updates, private answers.
//!
//! Owns the tools as an MCP client sees them; the Web API is in `api`.

mod api;

use chrono::{DateTime, Utc};
use mcp::ToolFault;
use mcp::outgoing::{Policy, Tier};
use mcp::server::{JoinTrace, ToolCall, answer};
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::{SetupError, first_attempt, key, look};
use api::Api;

/// `chat.update` refuses longer texts (`msg_too_long`), so no message starts out longer.
const TEXT_CHARS_MAX: usize = 4_000;

/// Block Kit: blocks in a message.
const BLOCKS_MAX: usize = 50;

/// How Slack is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Bot token (`xoxb-…`) with `chat:write` and `channels:history` (`groups:history` for
    /// private channels), the latter to find a message again whose answer was lost.
    pub token: SecretString,
    /// The Web API's address.
    #[serde(default = "slack_com")]
    pub base_url: Url,
    /// How long Slack may take to post a message whose request was given up, in milliseconds: so
    /// long a retry looks for it before it posts again.
    #[serde(default = "look::settle_ms")]
    pub settle_ms: u64,
    /// Rates of this workspace and app.
    #[serde(default)]
    pub rates: Rates,
    /// Retries, deadlines and breaker.
    #[serde(default)]
    pub policy: Policy,
}

#[expect(clippy::expect_used, reason = "a constant address; a test reads it")]
fn slack_com() -> Url {
    Url::parse("https://slack.com/api").expect("constant")
}

/// Rates per method, workspace and app, seeded from Slack's published tiers
/// (docs.slack.dev, "Rate limits").
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Posts in one channel: about one a second, "short bursts" allowed.
    pub post: Tier,
    /// Updates, tier 3: 50 and more a minute.
    pub update: Tier,
    /// Private answers, tier 4: 100 and more a minute.
    pub ephemeral: Tier,
    /// Pages of history, tier 3. Apps sold outside the Marketplace get 1 a minute; an app of
    /// one's own is exempt.
    pub read: Tier,
}

impl Default for Rates {
    fn default() -> Self {
        Self { post: Tier::new(60, 20), update: Tier::new(50, 50), ephemeral: Tier::new(100, 50), read: Tier::new(50, 20) }
    }
}

/// `post_message`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostMessage {
    /// Channel id (C…, G… or D…), not its name.
    pub channel: String,
    /// Text in mrkdwn, at most 4,000 characters; with blocks it is what notifications show.
    /// Text from outside must have &, < and > escaped.
    pub text: String,
    /// Block Kit blocks, at most 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Vec<Map<String, Value>>>,
    /// Timestamp of the message whose thread to answer in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<String>,
    /// Names this one effect for ever; kept in the message's metadata.
    #[schemars(length(min = 1, max = 200))]
    pub idempotency_key: String,
    /// 1 the first time. From 2 on, a message with this key is looked for first, for as long as
    /// an earlier attempt may still be under way.
    #[serde(default = "first_attempt")]
    #[schemars(range(min = 1))]
    pub attempt: u32,
    /// No attempt was made before this time (RFC 3339); older messages are not looked through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
}

/// A message that is in the channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct PostedMessage {
    /// Channel id.
    pub channel: String,
    /// The message's timestamp, which is its id.
    pub ts: String,
    /// An earlier attempt had posted it.
    pub already: bool,
}

/// `update_message`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMessage {
    /// Channel id.
    pub channel: String,
    /// The message's timestamp.
    pub ts: String,
    /// The new text, at most 4,000 characters.
    pub text: String,
    /// The new blocks; without them the message shows the text alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Vec<Map<String, Value>>>,
}

/// The message as updated.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct UpdatedMessage {
    /// Channel id.
    pub channel: String,
    /// The message's timestamp.
    pub ts: String,
}

/// `post_ephemeral`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostEphemeral {
    /// Channel id.
    pub channel: String,
    /// Who sees it (user id); must be in the channel.
    pub user: String,
    /// The text, at most 4,000 characters.
    pub text: String,
}

/// The private message's timestamp; it cannot be updated.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct PostedEphemeral {
    /// Timestamp.
    pub message_ts: String,
}

/// The MCP server.
pub struct Connector {
    api: Api,
    tool_router: ToolRouter<Self>,
    join_trace: Option<JoinTrace>,
}

#[tool_router]
impl Connector {
    pub(crate) fn new(config: Config, join_trace: Option<JoinTrace>) -> Result<Self, SetupError> {
        let api = Api::new(config)?;
        Ok(Self { api, tool_router: Self::tool_router(), join_trace })
    }

    #[tool(
        name = "post_message",
        title = "Post a message",
        description = "Posts a message to a Slack channel or thread, once per idempotency key: \
            repeat a call whose outcome is unknown with a higher attempt, and an earlier message \
            is found instead of posted twice.",
        annotations(
            title = "Post a message",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn post_message(
        &self,
        Parameters(args): Parameters<PostMessage>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<PostedMessage>, ToolFault> {
        answer(self.call("post_message"), &context, async |deadline| {
            check_channel(&args.channel)?;
            check_text(&args.text, args.blocks.as_deref())?;
            key::check(&args.idempotency_key)?;
            if args.attempt > 1
                && let Some(ts) = self.api.find_posted(&args, deadline).await?
            {
                return Ok(PostedMessage { channel: args.channel, ts, already: true });
            }
            self.api.post(&args, deadline).await
        })
        .await
    }

    #[tool(
        name = "update_message",
        title = "Update a message",
        description = "Replaces text and blocks of a message this app posted in Slack. Repeating \
            it changes nothing more.",
        annotations(
            title = "Update a message",
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn update_message(
        &self,
        Parameters(args): Parameters<UpdateMessage>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<UpdatedMessage>, ToolFault> {
        answer(self.call("update_message"), &context, async |deadline| {
            check_channel(&args.channel)?;
            check_text(&args.text, args.blocks.as_deref())?;
            self.api.update(&args, deadline).await
        })
        .await
    }

    #[tool(
        name = "post_ephemeral",
        title = "Answer one person privately",
        description = "Shows a message in a Slack channel to one person only. It is not kept and \
            cannot be updated.",
        annotations(
            title = "Answer one person privately",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn post_ephemeral(
        &self,
        Parameters(args): Parameters<PostEphemeral>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<PostedEphemeral>, ToolFault> {
        answer(self.call("post_ephemeral"), &context, async |deadline| {
            check_channel(&args.channel)?;
            check_text(&args.text, None)?;
            self.api.post_ephemeral(&args, deadline).await
        })
        .await
    }

    fn call(&self, tool: &'static str) -> ToolCall<'static> {
        ToolCall { connector: "slack", tool, join_trace: self.join_trace }
    }
}

#[tool_handler(
    router = self.tool_router,
    name = "paramedic-slack",
    instructions = "Posts to one Slack workspace. Text that comes from outside (alerts, logs) must \
        have &, < and > escaped before it is put into a message."
)]
impl ServerHandler for Connector {}

/// Posting takes names as well, history does not: with a name, a lost answer could never be
/// looked up.
fn check_channel(channel: &str) -> Result<(), ToolFault> {
    let is_id = channel.starts_with(['C', 'G', 'D'])
        && channel.len() >= 2
        && channel.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    if is_id {
        return Ok(());
    }
    let rule = "give the channel's id (such as C0123456789, at the end of \"View channel \
        details\"), not its name";
    Err(ToolFault::invalid_argument("channel", rule))
}

fn check_text(text: &str, blocks: Option<&[Map<String, Value>]>) -> Result<(), ToolFault> {
    if text.is_empty() {
        return Err(ToolFault::invalid_argument("text", "may not be empty; notifications show it"));
    }
    if text.chars().count() > TEXT_CHARS_MAX {
        let rule = format!("at most {TEXT_CHARS_MAX} characters");
        return Err(ToolFault::invalid_argument("text", rule));
    }
    if blocks.is_some_and(|blocks| blocks.len() > BLOCKS_MAX) {
        return Err(ToolFault::invalid_argument("blocks", format!("at most {BLOCKS_MAX}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Config, check_channel, slack_com};

    #[test]
    fn the_default_address_is_slacks() {
        assert_eq!(slack_com().as_str(), "https://slack.com/api");
    }

    #[test]
    fn unknown_settings_are_refused_and_secrets_not_shown() {
        let json = r#"{"token":"xoxb-1"}"#;
        let config: Config = serde_json::from_str(json).expect("minimal");
        assert!(!format!("{config:?}").contains("xoxb-1"));
        assert!(serde_json::from_str::<Config>(r#"{"token":"x","chanel":"y"}"#).is_err());
    }

    #[test]
    fn channels_are_ids() {
        assert!(check_channel("C0INCIDENTS").is_ok());
        for bad in ["#incidents", "incidents", "", "C", "U0ANN", "C0&x"] {
            assert!(check_channel(bad).is_err(), "{bad}");
        }
    }
}
