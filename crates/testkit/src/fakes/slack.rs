//! A Slack workspace: the Web API methods Paramedic's connector may call, and a person who clicks.
//!
//! Owns messages and who may post how fast. Rules and error codes are Slack's (docs.slack.dev,
//! methods and Block Kit reference); HTTP is always 200 except for 429 and outages.

mod blocks;
mod interaction;
mod methods;

pub use interaction::{Answered, Interaction};

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{Call, Failure, Fake};

/// How the workspace is set up.
#[derive(Debug, Clone)]
pub struct SlackOptions {
    /// The bot token that is accepted.
    pub token: String,
    /// The secret interactions are signed with.
    pub signing_secret: String,
    /// Channel ids that exist and that the app is a member of.
    pub channels: Vec<String>,
    /// Bot scopes the token carries.
    pub scopes: Vec<String>,
    /// Messages a second per channel, sustained. Slack publishes about one.
    pub posts_per_second: f64,
    /// Messages at once per channel. Slack says "short bursts" and names no number.
    pub post_burst: f64,
}

impl Default for SlackOptions {
    fn default() -> Self {
        Self {
            token: "xoxb-fake-workspace-token".to_owned(),
            signing_secret: "8f742231b10e8888abcd99fake00secret".to_owned(),
            channels: vec!["C0INCIDENTS".to_owned()],
            scopes: vec!["chat:write".to_owned(), "channels:history".to_owned()],
            posts_per_second: 1.0,
            post_burst: 60.0,
        }
    }
}

/// A message as the workspace has it now.
#[derive(Debug, Clone)]
pub struct Message {
    /// Channel id.
    pub channel: String,
    /// Its timestamp, which is its id within the channel.
    pub ts: String,
    /// The thread it replies in.
    pub thread_ts: Option<String>,
    /// The text, which is what notifications show where there are blocks.
    pub text: String,
    /// Block Kit blocks; null without.
    pub blocks: Value,
    /// Message metadata; null without.
    pub metadata: Value,
    /// What it said before, oldest first: text and blocks of each version.
    pub versions: Vec<(String, Value)>,
}

/// A message only one person saw: by `chat.postEphemeral`, or by the `response_url` of a click.
#[derive(Debug, Clone)]
pub struct Ephemeral {
    /// Channel id.
    pub channel: String,
    /// Who saw it.
    pub user: String,
    /// The text.
    pub text: String,
}

/// Where the person who clicked can be answered.
#[derive(Debug, Clone)]
struct Hook {
    channel: String,
    user: String,
    made_at: Instant,
    uses: u32,
}

/// A running Slack.
pub struct SlackFake(Fake<Workspace>);

impl SlackFake {
    /// Starts it on a free loopback port.
    pub async fn start(options: SlackOptions) -> anyhow::Result<Self> {
        Ok(Self(Fake::start(Workspace::new(options)).await?))
    }

    /// What stands for `https://slack.com/api`.
    pub fn base_url(&self) -> String {
        format!("http://{}/api", self.0.address())
    }

    /// What stands for `https://hooks.slack.com`.
    pub fn hooks_url(&self) -> String {
        format!("http://{}", self.0.address())
    }

    /// The options it runs with.
    pub fn options(&self) -> SlackOptions {
        self.0.provider().options.clone()
    }

    /// All messages, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.0.provider().messages.clone()
    }

    /// All ephemeral messages, oldest first.
    pub fn ephemerals(&self) -> Vec<Ephemeral> {
        self.0.provider().ephemerals.clone()
    }

    /// The message `channel`/`ts`.
    pub fn message(&self, channel: &str, ts: &str) -> Option<Message> {
        self.0.provider().find(channel, ts).cloned()
    }

    /// Waits for a message that `is_it`.
    pub async fn wait_for_message(
        &self,
        what: &str,
        within: Duration,
        is_it: impl Fn(&Message) -> bool,
    ) -> anyhow::Result<Message> {
        let look = |workspace: &Workspace| workspace.messages.iter().find(|message| is_it(message)).cloned();
        self.0.wait_for(what, within, look).await
    }

    /// Waits for an ephemeral message that `is_it`.
    pub async fn wait_for_ephemeral(
        &self,
        what: &str,
        within: Duration,
        is_it: impl Fn(&Ephemeral) -> bool,
    ) -> anyhow::Result<Ephemeral> {
        let look = |workspace: &Workspace| workspace.ephemerals.iter().find(|message| is_it(message)).cloned();
        self.0.wait_for(what, within, look).await
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.0.calls()
    }

    /// The next call of `method` (such as `chat.postMessage`) fails so; several queue up.
    pub fn fail_next(&self, method: &str, failure: Failure) {
        self.0.faults().push(method, failure);
    }

    /// Every call fails so, until `None`.
    pub fn outage(&self, failure: Option<Failure>) {
        self.0.faults().outage(failure);
    }

    /// Forgets all failures planned.
    pub fn clear_failures(&self) {
        self.0.faults().clear();
    }

    /// Archives a channel: it exists and takes no more messages.
    pub fn archive(&self, channel: &str) {
        self.0.provider().archived.push(channel.to_owned());
    }

    /// Closes the time in which messages may be edited.
    pub fn close_edit_window(&self) {
        self.0.provider().edit_window_closed = true;
    }

    /// Replaces the accepted token, as a rotation or revocation does.
    pub fn rotate_token(&self, token: &str) {
        token.clone_into(&mut self.0.provider().options.token);
    }
}

/// The state behind the API.
pub(crate) struct Workspace {
    options: SlackOptions,
    messages: Vec<Message>,
    ephemerals: Vec<Ephemeral>,
    archived: Vec<String>,
    edit_window_closed: bool,
    buckets: HashMap<String, Bucket>,
    last_micros: u64,
    triggers: u64,
    /// By the path of their `response_url`.
    hooks: HashMap<String, Hook>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Workspace {
    fn new(options: SlackOptions) -> Self {
        Self {
            options,
            messages: Vec::new(),
            ephemerals: Vec::new(),
            archived: Vec::new(),
            edit_window_closed: false,
            buckets: HashMap::new(),
            last_micros: 0,
            triggers: 0,
            hooks: HashMap::new(),
        }
    }

    fn find(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.channel == channel && message.ts == ts)
    }

    /// A timestamp nobody had before: seconds, a dot, six digits.
    fn next_ts(&mut self) -> String {
        self.last_micros = unix_micros().max(self.last_micros + 1);
        format!("{}.{:06}", self.last_micros / 1_000_000, self.last_micros % 1_000_000)
    }

    /// Takes a place in the channel's budget, or says in how many seconds there is one.
    fn admit(&mut self, channel: &str, now: Instant) -> Result<(), u32> {
        let (rate, burst) = (self.options.posts_per_second, self.options.post_burst);
        let bucket = self.buckets.entry(channel.to_owned()).or_insert(Bucket { tokens: burst, at: now });
        let elapsed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + elapsed * rate).min(burst);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            // Retry-After is in whole seconds, at least one.
            let mut seconds = 1;
            while f64::from(seconds) * rate + bucket.tokens < 1.0 && seconds < 3_600 {
                seconds += 1;
            }
            return Err(seconds);
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "Slack's own clock, which the test does not own")]
fn unix_micros() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
