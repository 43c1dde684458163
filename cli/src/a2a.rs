//! `paramedic a2a …`: a client for any A2A agent, and the agent for conformance tests.

mod agent;
mod conformance;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io::Read as _;
use std::time::Duration;

use a2a::{
    A2aService as _, CancelTaskRequest, EventStream, GetTaskRequest, ListTasksRequest, Message, Metadata, Part, Role,
    SendMessageConfiguration, SendMessageRequest, SendMessageResponse, StreamResponse, SubscribeToTaskRequest, Task, TaskState,
};
use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use serde_json::Value;

use self::agent::Agent;
use crate::args::{A2aClient, A2aCommand, A2aSend, Output};
use crate::output::{line, show};

/// Between two questions how a task stands: soon after the agent answered before the end, then more and more seldom.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);
const ASK_EVERY_MAX: Duration = Duration::from_secs(5);
/// Pages of a list. Whoever has more tasks than they hold looks for some of them.
const PAGES_MAX: usize = 1_000;

pub(crate) async fn run(command: A2aCommand) -> anyhow::Result<()> {
    match command {
        A2aCommand::Card { client, extended } => card(&client, extended).await,
        A2aCommand::Send { client, send } => send_message(&client, send).await,
        A2aCommand::Get { client, id, history } => {
            let agent = Agent::connect(&client).await?;
            let task = agent.get_task(agent.caller(), GetTaskRequest { tenant: None, id, history_length: history }).await;
            show(client.output, &told(task)?, tell::task)
        }
        A2aCommand::List { client, context, status, all, limit } => list(&client, context, status, all, limit).await,
        A2aCommand::Cancel { client, id } => {
            let agent = Agent::connect(&client).await?;
            let task = agent.cancel_task(agent.caller(), CancelTaskRequest { tenant: None, id, metadata: Metadata::new() }).await;
            show(client.output, &told(task)?, tell::task)
        }
        A2aCommand::Watch { client, id } => {
            let agent = Agent::connect(&client).await?;
            let stream = agent.subscribe_to_task(agent.caller(), SubscribeToTaskRequest { tenant: None, id }).await;
            follow(told(stream)?, client.output, Until::End).await
        }
        A2aCommand::ConformanceAgent(arguments) => Box::pin(conformance::run(&arguments)).await,
    }
}

/// An agent's refusal, with the rules that were broken.
fn told<T>(answer: Result<T, a2a::A2aError>) -> anyhow::Result<T> {
    answer.map_err(|error| {
        let reason = error.codes().reason;
        let facts: Vec<String> = error.metadata.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let facts = if facts.is_empty() { String::new() } else { format!("; {}", facts.join(", ")) };
        anyhow::anyhow!("the agent refused: {} ({reason}{facts})", error.message)
    })
}

async fn card(client: &A2aClient, extended: bool) -> anyhow::Result<()> {
    let agent = Agent::connect(client).await?;
    let card = if extended {
        told(agent.extended_card(agent.caller(), a2a::GetExtendedAgentCardRequest { tenant: None }).await)?
    } else {
        agent.card()
    };
    let signer = agent.signer(&card)?;
    show(client.output, &card, |card| tell::card(card, signer.as_deref()))
}

async fn send_message(client: &A2aClient, send: A2aSend) -> anyhow::Result<()> {
    let message = message(&send)?;
    let agent = Agent::connect(client).await?;
    let configuration = SendMessageConfiguration { return_immediately: send.no_wait, ..SendMessageConfiguration::default() };
    let request = SendMessageRequest { configuration: Some(configuration), ..SendMessageRequest::new(message) };
    if send.stream {
        let stream = agent.send_streaming_message(agent.caller(), request).await;
        return follow(told(stream)?, client.output, Until::Rest).await;
    }
    match told(agent.send_message(agent.caller(), request).await)? {
        SendMessageResponse::Task(task) => {
            let task = if send.no_wait { task } else { rested(&agent, task).await? };
            show(client.output, &task, tell::task)?;
            failed(&task)
        }
        SendMessageResponse::Message(message) => show(client.output, &message, tell::message),
    }
}

const fn is_at_rest(state: TaskState) -> bool {
    state.is_terminal() || state.is_interrupted()
}

/// The task once it has ended or waits for somebody. Agents that have something to do for long answer before that.
async fn rested(agent: &Agent, mut task: Task) -> anyhow::Result<Task> {
    let mut pause = ASK_AGAIN_AFTER;
    while !is_at_rest(task.status.state) {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(ASK_EVERY_MAX);
        let request = GetTaskRequest { tenant: None, id: task.id.clone(), history_length: None };
        task = told(agent.get_task(agent.caller(), request).await)
            .with_context(|| format!("task {} goes on without us: `paramedic a2a get` tells how it stands", task.id))?;
    }
    Ok(task)
}

/// A script learns by the exit code that the task came to nothing.
fn failed(task: &Task) -> anyhow::Result<()> {
    match task.status.state {
        TaskState::Failed | TaskState::Rejected | TaskState::Canceled => {
            bail!("the task ended as {}", task.status.state.as_str())
        }
        _ => Ok(()),
    }
}

fn message(send: &A2aSend) -> anyhow::Result<Message> {
    let text = send.text.as_ref().map(|text| Part::text(text.clone()));
    let json = send.data.as_deref().map(data).transpose()?.map(Part::data);
    let parts: Vec<Part> = text.into_iter().chain(json).collect();
    if parts.is_empty() {
        bail!("nothing to send: give a text, or --data with JSON (or @FILE, or - for standard input)");
    }
    let id = match &send.message_id {
        Some(id) => id.clone(),
        None => runtime::clock::random_hex::<16>().context("the operating system gives no random bytes")?,
    };
    let metadata = send.metadata.as_deref().map(data).transpose()?;
    let metadata: Metadata =
        metadata.map(serde_json::from_value).transpose().context("--metadata must be a JSON object")?.unwrap_or_default();
    let extensions = metadata.keys().filter(|name| name.contains("://")).cloned().collect();
    let message = Message::new(id, Role::User, parts);
    Ok(Message { task_id: send.task.clone(), context_id: send.context.clone(), metadata, extensions, ..message })
}

/// JSON as it stands, out of a file (`@FILE`), or from standard input (`-`).
fn data(given: &str) -> anyhow::Result<Value> {
    let text = match given.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?,
        None if given == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
            text
        }
        None => given.to_owned(),
    };
    serde_json::from_str(&text).context("that is no JSON")
}

async fn list(
    client: &A2aClient,
    context: Option<String>,
    status: Option<TaskState>,
    all: bool,
    limit: u32,
) -> anyhow::Result<()> {
    let agent = Agent::connect(client).await?;
    let mut request = ListTasksRequest {
        context_id: context,
        status,
        page_size: Some(limit),
        history_length: Some(0),
        ..ListTasksRequest::default()
    };
    let (mut tasks, mut tokens) = (vec![], HashSet::new());
    let total = loop {
        let page = told(agent.list_tasks(agent.caller(), request.clone()).await)?;
        let (is_empty, token) = (page.tasks.is_empty(), page.next_page_token);
        tasks.extend(page.tasks);
        if !all || token.is_empty() {
            break page.total_size;
        }
        if is_empty || !tokens.insert(token.clone()) {
            bail!("the agent's list has no end: after {} tasks it names a next page that holds nothing new", tasks.len());
        }
        if tokens.len() >= PAGES_MAX {
            bail!(
                "there are more than {PAGES_MAX} pages: narrow the list with --context or --status, or take larger pages with --limit"
            );
        }
        request.page_token = Some(token);
    };
    show(client.output, &tasks, |tasks| tell::tasks(tasks, total))
}

/// How long a stream is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Until the task has ended, or waits for somebody.
    Rest,
    /// Until the task has ended.
    End,
}

/// Prints what happens, a line each.
async fn follow(mut stream: EventStream, output: Output, until: Until) -> anyhow::Result<()> {
    let mut last = None;
    while let Some(event) = stream.next().await {
        let event = told(event)?;
        match output {
            Output::Json => line(&serde_json::to_string(&event)?),
            Output::Text => line(&tell::event(&event)),
        }
        last = tell::state(&event).or(last);
        // The task that comes first may show how it stood before our message.
        let is_news = matches!(event, StreamResponse::StatusUpdate(_));
        if until == Until::Rest && is_news && last.is_some_and(is_at_rest) {
            break;
        }
    }
    match last {
        Some(state @ (TaskState::Failed | TaskState::Rejected | TaskState::Canceled)) => {
            bail!("the task ended as {}", state.as_str())
        }
        Some(state) if !is_at_rest(state) => {
            bail!("the stream ended, but the task goes on as {}: `paramedic a2a watch` takes it up again", state.as_str())
        }
        _ => Ok(()),
    }
}
