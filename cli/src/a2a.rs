//! `paramedic a2a …`: a client for any A2A agent, and the agent for conformance tests.

mod agent;
mod conformance;
mod tell;

use std::io::Read as _;

use a2a::{
    A2aService as _, CancelTaskRequest, EventStream, GetTaskRequest, ListTasksRequest, Message, Metadata, Part, Role,
    SendMessageConfiguration, SendMessageRequest, SendMessageResponse, SubscribeToTaskRequest, Task, TaskState,
};
use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use serde_json::Value;

use self::agent::Agent;
use crate::args::{A2aClient, A2aCommand, A2aSend, Output};
use crate::output::{line, show};

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
            follow(told(stream)?, client.output).await
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
    show(client.output, &card, tell::card)
}

async fn send_message(client: &A2aClient, send: A2aSend) -> anyhow::Result<()> {
    let message = message(&send)?;
    let agent = Agent::connect(client).await?;
    let configuration = SendMessageConfiguration { return_immediately: send.no_wait, ..SendMessageConfiguration::default() };
    let request = SendMessageRequest { configuration: Some(configuration), ..SendMessageRequest::new(message) };
    if send.stream {
        let stream = agent.send_streaming_message(agent.caller(), request).await;
        return follow(told(stream)?, client.output).await;
    }
    match told(agent.send_message(agent.caller(), request).await)? {
        SendMessageResponse::Task(task) => {
            show(client.output, &task, tell::task)?;
            failed(&task)
        }
        SendMessageResponse::Message(message) => show(client.output, &message, tell::message),
    }
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
    let mut tasks = vec![];
    let total = loop {
        let page = told(agent.list_tasks(agent.caller(), request.clone()).await)?;
        tasks.extend(page.tasks);
        if !all || page.next_page_token.is_empty() {
            break page.total_size;
        }
        request.page_token = Some(page.next_page_token);
    };
    show(client.output, &tasks, |tasks| tell::tasks(tasks, total))
}

/// Prints what happens, a line each, until the stream ends.
async fn follow(mut stream: EventStream, output: Output) -> anyhow::Result<()> {
    let mut last = None;
    while let Some(event) = stream.next().await {
        let event = told(event)?;
        match output {
            Output::Json => line(&serde_json::to_string(&event)?),
            Output::Text => line(&tell::event(&event)),
        }
        last = tell::state(&event).or(last);
    }
    match last {
        Some(state @ (TaskState::Failed | TaskState::Rejected | TaskState::Canceled)) => {
            bail!("the task ended as {}", state.as_str())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use a2a::PartContent;

    use super::*;

    fn send(text: Option<&str>, data: Option<&str>, metadata: Option<&str>) -> A2aSend {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        A2aSend {
            text: owned(text),
            data: owned(data),
            metadata: owned(metadata),
            task: None,
            context: None,
            message_id: None,
            no_wait: false,
            stream: false,
        }
    }

    #[test]
    fn text_and_data_become_parts_and_extensions_are_declared() {
        let uri = a2a::nats::APPROVAL_EXTENSION;
        let metadata = format!(r#"{{"{uri}": {{"decision": "approve"}}, "plain": 1}}"#);
        let sent = message(&send(Some("hello"), Some(r#"{"a": 1}"#), Some(&metadata))).unwrap();
        let contents: Vec<_> = sent.parts.into_iter().map(|part| part.content).collect();
        assert_eq!(contents, [PartContent::Text("hello".to_owned()), PartContent::Data(serde_json::json!({"a": 1}))]);
        assert_eq!(sent.extensions, [uri]);
        assert_eq!(sent.message_id.len(), 32);
    }

    #[test]
    fn what_cannot_be_sent_is_said() {
        for (bad, said) in [
            (send(None, None, None), "nothing to send"),
            (send(None, Some("{"), None), "no JSON"),
            (send(Some("x"), None, Some("[]")), "--metadata"),
            (send(None, Some("@/not/there"), None), "/not/there"),
        ] {
            let error = format!("{:#}", message(&bad).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
