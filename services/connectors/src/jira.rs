//! Jira Cloud: one issue per incident, its comments and its status.
//!
//! Owns the tools as an MCP client sees them; the REST API is in `api`.

mod adf;
mod api;

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
use url::Url;

use crate::{SetupError, first_attempt, key, look};
use api::Api;

/// Longest summary Jira takes.
const SUMMARY_CHARS_MAX: usize = 255;

/// Longest description or comment Jira takes (32,767), less room for our mark.
const TEXT_CHARS_MAX: usize = 32_000;

/// Labels on a new issue, ours not counted: more would be a mistake.
const LABELS_MAX: usize = 20;

/// Longest label.
const LABEL_CHARS_MAX: usize = 255;

/// How a Jira site is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The site, such as `https://your-domain.atlassian.net`, or for a bearer token
    /// `https://api.atlassian.com/ex/jira/{cloudId}`.
    pub site_url: Url,
    /// Where people open issues, if that is not the site.
    pub browse_url: Option<Url>,
    /// The account's e-mail address, for an API token; without it the token is a bearer token.
    pub email: Option<String>,
    /// API token of that account, or OAuth 2.0 bearer token (scopes `read:jira-work`,
    /// `write:jira-work`).
    pub token: SecretString,
    /// How long Jira's search may lag behind a write, in milliseconds: so much longer a retry looks
    /// for an issue before it creates one.
    #[serde(default = "index_lag_ms")]
    pub index_lag_ms: u64,
    /// How long Jira may take to do what it was asked in a request that was given up, in
    /// milliseconds: so long a retry looks for it before it does it again.
    #[serde(default = "look::settle_ms")]
    pub settle_ms: u64,
    /// Rates of this site.
    #[serde(default)]
    pub rates: Rates,
    /// Retries, deadlines and breaker.
    #[serde(default)]
    pub policy: Policy,
}

/// Atlassian names no number for the lag; seconds are what is seen.
fn index_lag_ms() -> u64 {
    5_000
}

/// Rates. Atlassian publishes no numbers for its burst limits; these are modest, and a 429 closes
/// what it names.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Requests per operation.
    pub operation: Tier,
    /// Writes to one issue.
    pub issue_write: Tier,
}

impl Default for Rates {
    fn default() -> Self {
        Self { operation: Tier::new(300, 50), issue_write: Tier::new(120, 20) }
    }
}

/// `create_issue`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateIssue {
    /// Project key, such as OPS.
    pub project: String,
    /// Name of the issue type, such as Task.
    pub issue_type: String,
    /// One line, at most 255 characters.
    pub summary: String,
    /// Plain text; an empty line starts a new paragraph.
    #[serde(default)]
    pub description: String,
    /// Labels: single words.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Names this one effect for ever; kept as a label.
    #[schemars(length(min = 1, max = 200))]
    pub idempotency_key: String,
    /// 1 the first time. From 2 on, an issue with this key is looked for first, for as long as an
    /// earlier attempt may still be under way and search may lag.
    #[serde(default = "first_attempt")]
    #[schemars(range(min = 1))]
    pub attempt: u32,
}

/// An issue that is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct CreatedIssue {
    /// Key, such as OPS-7.
    pub key: String,
    /// Jira's numeric id, as text.
    pub id: String,
    /// Where people open it.
    pub url: String,
    /// An earlier attempt had created it.
    pub already: bool,
}

/// `add_comment`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddComment {
    /// Issue key, such as OPS-7.
    pub key: String,
    /// Plain text; an empty line starts a new paragraph.
    pub body: String,
    /// Names this one effect for ever; kept as the comment's last line.
    #[schemars(length(min = 1, max = 200))]
    pub idempotency_key: String,
    /// 1 the first time. From 2 on, a comment with this key is looked for first, for as long as an
    /// earlier attempt may still be under way.
    #[serde(default = "first_attempt")]
    #[schemars(range(min = 1))]
    pub attempt: u32,
}

/// A comment that is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct AddedComment {
    /// Jira's id.
    pub id: String,
    /// An earlier attempt had added it.
    pub already: bool,
}

/// `transition_issue`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransitionIssue {
    /// Issue key, such as OPS-7.
    pub key: String,
    /// Name of the status to reach, or "done" for any status of that category, or "open" for any of another.
    pub to: String,
}

/// Where the issue stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct TransitionedIssue {
    /// Issue key.
    pub key: String,
    /// Name of its status.
    pub status: String,
    /// It stood there before.
    pub already: bool,
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
        name = "create_issue",
        title = "Create an issue",
        description = "Creates a Jira issue, once per idempotency key: repeat a call whose outcome \
            is unknown with a higher attempt, and an earlier issue is found instead of created \
            twice.",
        annotations(
            title = "Create an issue",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_issue(
        &self,
        Parameters(args): Parameters<CreateIssue>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<CreatedIssue>, ToolFault> {
        answer(self.call("create_issue"), &context, async |deadline| {
            check_new_issue(&args)?;
            if args.attempt > 1
                && let Some(found) = self.api.find_issue(&args, deadline).await?
            {
                return Ok(found);
            }
            self.api.create_issue(&args, deadline).await
        })
        .await
    }

    #[tool(
        name = "add_comment",
        title = "Comment on an issue",
        description = "Adds a comment to a Jira issue, once per idempotency key: repeat a call \
            whose outcome is unknown with a higher attempt, and an earlier comment is found \
            instead of added twice.",
        annotations(
            title = "Comment on an issue",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn add_comment(
        &self,
        Parameters(args): Parameters<AddComment>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<AddedComment>, ToolFault> {
        answer(self.call("add_comment"), &context, async |deadline| {
            check_issue_key(&args.key)?;
            key::check(&args.idempotency_key)?;
            check_long_text("body", &args.body)?;
            if args.body.trim().is_empty() {
                return Err(ToolFault::invalid_argument("body", "may not be empty"));
            }
            if args.attempt > 1
                && let Some(id) = self.api.find_comment(&args, deadline).await?
            {
                return Ok(AddedComment { id, already: true });
            }
            self.api.add_comment(&args, deadline).await
        })
        .await
    }

    #[tool(
        name = "transition_issue",
        title = "Move an issue",
        description = "Moves a Jira issue to a status along its workflow. An issue that is already \
            there stays there, and that is a success.",
        annotations(
            title = "Move an issue",
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn transition_issue(
        &self,
        Parameters(args): Parameters<TransitionIssue>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<TransitionedIssue>, ToolFault> {
        answer(self.call("transition_issue"), &context, async |deadline| {
            check_issue_key(&args.key)?;
            if args.to.trim().is_empty() {
                return Err(ToolFault::invalid_argument("to", "name a status, \"done\" or \"open\""));
            }
            self.api.transition(&args, deadline).await
        })
        .await
    }

    fn call(&self, tool: &'static str) -> ToolCall<'static> {
        ToolCall { connector: "jira", tool, join_trace: self.join_trace }
    }
}

#[tool_handler(
    router = self.tool_router,
    name = "paramedic-jira",
    instructions = "Writes issues on one Jira site. Descriptions and comments are plain text."
)]
impl ServerHandler for Connector {}

fn check_new_issue(args: &CreateIssue) -> Result<(), ToolFault> {
    key::check(&args.idempotency_key)?;
    // Keys go into JQL between quotes: nothing that could end a quote may be in one.
    if !is_project_key(&args.project) {
        let rule = "a project key: a capital letter, then capital letters, digits or _";
        return Err(ToolFault::invalid_argument("project", rule));
    }
    let summary = &args.summary;
    if summary.trim().is_empty() || summary.contains(['\n', '\r']) {
        return Err(ToolFault::invalid_argument("summary", "one line, not empty"));
    }
    if summary.chars().count() > SUMMARY_CHARS_MAX {
        let rule = format!("at most {SUMMARY_CHARS_MAX} characters");
        return Err(ToolFault::invalid_argument("summary", rule));
    }
    check_long_text("description", &args.description)?;
    if args.labels.len() > LABELS_MAX {
        return Err(ToolFault::invalid_argument("labels", format!("at most {LABELS_MAX}")));
    }
    let is_label =
        |label: &String| (1..=LABEL_CHARS_MAX).contains(&label.chars().count()) && !label.contains(char::is_whitespace);
    match args.labels.iter().find(|label| !is_label(label)) {
        Some(label) => {
            let rule = format!("{label:?} is not a single word of at most {LABEL_CHARS_MAX}");
            Err(ToolFault::invalid_argument("labels", rule))
        }
        None => Ok(()),
    }
}

fn check_issue_key(key: &str) -> Result<(), ToolFault> {
    let is_number = |number: &str| !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit());
    match key.rsplit_once('-') {
        Some((project, number)) if is_project_key(project) && is_number(number) => Ok(()),
        _ => Err(ToolFault::invalid_argument("key", "an issue key, such as OPS-7")),
    }
}

fn is_project_key(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_uppercase())
        && key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn check_long_text(name: &str, text: &str) -> Result<(), ToolFault> {
    if text.chars().count() <= TEXT_CHARS_MAX {
        return Ok(());
    }
    Err(ToolFault::invalid_argument(name, format!("at most {TEXT_CHARS_MAX} characters")))
}

#[cfg(test)]
mod tests {
    use super::{Config, check_issue_key};

    #[test]
    fn issue_keys_are_checked_before_they_go_into_a_path() {
        assert!(check_issue_key("OPS-7").is_ok());
        for bad in ["OPS", "ops-7", "OPS-", "OPS-7/../x", "-7", "OPS-7 "] {
            assert!(check_issue_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_settings_are_refused_and_secrets_not_shown() {
        let json = r#"{"site_url":"https://x.example","email":"a@x.example","token":"ATATT1"}"#;
        let config: Config = serde_json::from_str(json).expect("minimal");
        assert_eq!(config.index_lag_ms, 5_000);
        assert!(!format!("{config:?}").contains("ATATT1"));
        let typo = r#"{"site_url":"https://x.example","token":"t","index_lag":1}"#;
        assert!(serde_json::from_str::<Config>(typo).is_err());
    }
}
