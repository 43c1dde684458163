//! Communication: one card and one ticket per incident, through the MCP connectors. It never decides what to say
//! (`incident::agents::communication` does) and never talks to a provider itself.

mod card;
mod fallback;
mod ticket;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use fallback::Fallback;
use incident::agents::communication::{Communicator, Place, Said, Say};
use incident::id::TenantId;
use incident::storm::StormRules;
use mcp::{CallError, Client, FaultKind};
use runtime::secret::Secret;
use runtime::{Call, Context, Fault, Perform};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

/// One call of a connector, retries inside it included. Slack asks for patience of a second per channel; Jira answers in seconds.
const CALL_WITHIN: Duration = Duration::from_secs(20);
/// What is owed to people is delivered when the provider comes back within a day; after that the incident's record has it.
const PATIENCE: Duration = Duration::from_hours(24);
/// Between two tries of what waits for people: soon after they are done, and seldom enough not to be a nuisance until then.
const AGAIN_AFTER_PEOPLE: Duration = Duration::from_mins(1);

/// Where and how people are told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Base URL of the connectors, such as `http://127.0.0.1:8090/mcp/`.
    pub connectors: Url,
    /// Token that they ask for.
    pub token: Secret,
    /// Each tenant's channels.
    pub tenants: BTreeMap<TenantId, Channels>,
}

/// One tenant's channels.
#[derive(Debug, Clone, Default)]
pub struct Channels {
    /// Slack channel id.
    pub slack_channel: Option<String>,
    /// Jira project key and issue type.
    pub jira: Option<JiraProject>,
    /// When so much happens at once that people get one notice of it.
    pub storm: StormRules,
    /// Slack channel id for alerts that cannot be handled because Postgres is away.
    pub fallback_channel: Option<String>,
}

/// `[tenants.<id>.jira]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JiraProject {
    /// Project key, such as `OPS`.
    pub project: String,
    /// Issue type, by name.
    #[serde(default = "default_issue_type")]
    pub issue_type: String,
}

fn default_issue_type() -> String {
    "Task".to_owned()
}

/// Runs the role until the process stops.
///
/// # Errors
/// If it cannot start.
pub async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    let with = |has: fn(&Channels) -> bool| config.tenants.iter().filter(|(_, c)| has(c)).map(|(t, _)| t.clone()).collect();
    let storms = config.tenants.iter().map(|(tenant, channels)| (tenant.clone(), channels.storm)).collect();
    let agent = Communicator { chat: with(|c| c.slack_channel.is_some()), ticket: with(|c| c.jira.is_some()), storms };
    let connector = |name: &str| -> anyhow::Result<Client> {
        let url = config.connectors.join(name).with_context(|| format!("connector {name} under {}", config.connectors))?;
        Ok(Client::connect(url, config.token.to_secret_string())?)
    };
    let fallback = |(tenant, channels): (&TenantId, &Channels)| Some((tenant.clone(), channels.fallback_channel.clone()?));
    let fallback = Fallback {
        bus: context.bus.clone(),
        store: context.store.clone(),
        slack: connector("slack")?,
        channels: config.tenants.iter().filter_map(fallback).collect(),
    };
    if !fallback.channels.is_empty() {
        let life = context.life.clone();
        context.life.spawn("fallback", fallback.run(life));
    }
    // Without a database there is this to say, and nothing else.
    context.await_store().await.context("connecting to Postgres")?;
    let speaker = Speaker { slack: connector("slack")?, jira: connector("jira")?, tenants: config.tenants.clone() };
    runtime::serve(context, agent, speaker).await
}

struct Speaker {
    slack: Client,
    jira: Client,
    tenants: BTreeMap<TenantId, Channels>,
}

#[derive(Deserialize)]
struct Posted {
    channel: String,
    ts: String,
}

#[derive(Deserialize)]
struct Created {
    key: String,
}

/// What is read of an answer that says nothing but "done".
#[derive(Deserialize)]
struct Ignored {}

impl Perform<Communicator> for Speaker {
    async fn perform(&self, call: Call<Say>) -> Result<Said, Fault> {
        let traced = |client: &Client| call.trace.as_deref().map_or_else(|| client.clone(), |trace| client.traced(trace));
        let (slack, jira) = (traced(&self.slack), traced(&self.jira));
        let key = json!({ "idempotency_key": call.id, "attempt": call.attempt });
        match call.body {
            Say::PostCard { incident, bulletin } => {
                let (text, blocks) = card::render(&incident, &bulletin);
                let channel = self.channel(&call.tenant)?;
                // A card is never older than its incident.
                let card = json!({ "channel": channel, "text": text, "blocks": blocks, "not_before": bulletin.opened_at });
                let posted: Posted = ask(&slack, "post_message", with(&key, card)).await?;
                Ok(Said::At(Place { room: posted.channel, name: posted.ts }))
            }
            Say::EditCard { incident, place, bulletin } => {
                let (text, blocks) = card::render(&incident, &bulletin);
                let card = json!({ "channel": place.room, "ts": place.name, "text": text, "blocks": blocks });
                done(ask::<Ignored>(&slack, "update_message", card).await)
            }
            Say::PostLine { place, text } => {
                let text = card::text(&text);
                let line = with(&key, json!({ "channel": place.room, "thread_ts": place.name, "text": text }));
                done(ask::<Ignored>(&slack, "post_message", line).await)
            }
            Say::OpenIssue { incident, bulletin } => {
                let project = self.project(&call.tenant)?;
                let issue = json!({
                    "project": project.project, "issue_type": project.issue_type, "summary": ticket::summary(&bulletin),
                    "description": ticket::description(&incident, &bulletin), "labels": ["paramedic"],
                });
                let created: Created = ask(&jira, "create_issue", with(&key, issue)).await?;
                Ok(Said::At(Place { room: project.project.clone(), name: created.key }))
            }
            Say::Comment { place, text } => {
                done(ask::<Ignored>(&jira, "add_comment", with(&key, json!({ "key": place.name, "body": text }))).await)
            }
            Say::FinishIssue { place } => {
                done(ask::<Ignored>(&jira, "transition_issue", json!({ "key": place.name, "to": "done" })).await)
            }
            Say::ReopenIssue { place } => {
                done(ask::<Ignored>(&jira, "transition_issue", json!({ "key": place.name, "to": "open" })).await)
            }
        }
    }

    fn patience(&self, _effect: &Say) -> Duration {
        PATIENCE
    }
}

impl Speaker {
    fn channel(&self, tenant: &TenantId) -> Result<&str, Fault> {
        let channel = self.tenants.get(tenant).and_then(|channels| channels.slack_channel.as_deref());
        channel.ok_or_else(|| Fault::never(format!("tenant {tenant} has no Slack channel any more")))
    }

    fn project(&self, tenant: &TenantId) -> Result<&JiraProject, Fault> {
        let project = self.tenants.get(tenant).and_then(|channels| channels.jira.as_ref());
        project.ok_or_else(|| Fault::never(format!("tenant {tenant} has no Jira project any more")))
    }
}

fn with(key: &Value, mut arguments: Value) -> Value {
    if let (Some(arguments), Some(key)) = (arguments.as_object_mut(), key.as_object()) {
        arguments.extend(key.clone());
    }
    arguments
}

fn done(answer: Result<Ignored, Fault>) -> Result<Said, Fault> {
    answer.map(|_| Said::Done)
}

async fn ask<T: serde::de::DeserializeOwned>(client: &Client, tool: &str, arguments: Value) -> Result<T, Fault> {
    client.call(tool, &arguments, CALL_WITHIN).await.map_err(|error| fault(&error))
}

fn fault(error: &CallError) -> Fault {
    let reason = runtime::chain(error);
    match next(error) {
        Next::Later => {
            let retry_at = error.fault().and_then(|fault| fault.retry_at);
            let after = retry_at.and_then(|at| (at - runtime::clock::now()).to_std().ok());
            Fault::Again { reason, after }
        }
        Next::AfterPeople => Fault::Again { reason, after: Some(AGAIN_AFTER_PEOPLE) },
        Next::Never => Fault::Never { reason },
    }
}

/// What follows from a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It passes by itself.
    Later,
    /// Somebody must act: renew a token, invite the app, repair the connectors. The call is right, so it is made until they have.
    AfterPeople,
    /// The call itself is wrong, or comes too late for what it is about.
    Never,
}

fn next(error: &CallError) -> Next {
    match error {
        CallError::Unreachable { .. } => Next::Later,
        CallError::Status { .. } => Next::AfterPeople,
        CallError::Refused { .. } | CallError::Answer { .. } => Next::Never,
        CallError::Fault { fault, .. } => match fault.kind {
            FaultKind::RateLimited | FaultKind::Unavailable => Next::Later,
            FaultKind::Auth | FaultKind::Scope => Next::AfterPeople,
            FaultKind::NotFound | FaultKind::Invalid | FaultKind::Conflict => Next::Never,
        },
    }
}

#[cfg(test)]
mod tests {
    use mcp::{Sent, ToolFault};

    use super::*;

    #[test]
    fn what_people_can_mend_is_tried_until_they_have() {
        let (tool, url) = (|| "post_message".to_owned(), || "http://connectors/mcp/slack".to_owned());
        let fault = |kind| CallError::Fault { tool: tool(), fault: ToolFault::new(kind, "code", "hint") };
        let status = |status| CallError::Status { tool: tool(), url: url(), status, reason: String::new() };
        let cases = [
            (fault(FaultKind::Auth), Next::AfterPeople),
            (fault(FaultKind::Scope), Next::AfterPeople),
            (status(401), Next::AfterPeople),
            (status(404), Next::AfterPeople),
            (status(500), Next::AfterPeople),
            (fault(FaultKind::RateLimited), Next::Later),
            (fault(FaultKind::Unavailable), Next::Later),
            (CallError::Unreachable { tool: tool(), url: url(), sent: Sent::Unknown, source: None }, Next::Later),
            (fault(FaultKind::Invalid), Next::Never),
            (fault(FaultKind::NotFound), Next::Never),
            (fault(FaultKind::Conflict), Next::Never),
            (CallError::Refused { tool: tool(), url: url(), reason: "no such tool".to_owned() }, Next::Never),
            (CallError::Answer { tool: tool(), reason: "no such field".to_owned() }, Next::Never),
        ];
        for (error, expected) in cases {
            assert_eq!(next(&error), expected, "{error:?}");
            let again_after = match super::fault(&error) {
                Fault::Again { after, .. } => Some(after),
                Fault::Never { .. } => None,
            };
            let expected = match expected {
                Next::Later => Some(None),
                Next::AfterPeople => Some(Some(AGAIN_AFTER_PEOPLE)),
                Next::Never => None,
            };
            assert_eq!(again_after, expected, "{error:?}");
        }
    }
}
