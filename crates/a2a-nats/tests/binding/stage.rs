//! A server of NATS, agents and clients on it, and the few things every test does with them.

use std::sync::Arc;
use std::time::Duration;

use a2a::{
    A2aError, Artifact, Caller, Message, Metadata, Part, Role, SendMessageRequest, StreamResponse, SubscribeToTaskRequest,
    TaskArtifactUpdateEvent, TaskState, TaskStatus, TaskStatusUpdateEvent,
};
use a2a_nats::{Address, ClientOptions, Clock, NatsClient, ServeError, ServeOptions, serve};
use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions, Subscriber};
use chrono::DateTime;
use futures::{Stream, StreamExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::script::{Script, Scripted};

/// Far longer than anything here takes, on a machine that compiles at the same time.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// Three of these without a word are silence, which a busy machine must not make by itself.
pub(crate) const BEAT: Duration = Duration::from_secs(2);
/// When all tests take place.
pub(crate) const NOW: i64 = 1_764_140_000;

pub(crate) struct Stage {
    pub(crate) nats: testkit::Nats,
}

/// A replica that serves.
pub(crate) struct Running {
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), ServeError>>,
}

pub(crate) fn clock() -> Clock {
    Arc::new(|| DateTime::from_timestamp(NOW, 0).unwrap())
}

pub(crate) fn address() -> Address {
    Address::new("acme", "script").unwrap()
}

pub(crate) fn serve_options() -> ServeOptions {
    ServeOptions::new("acme", "script", clock())
}

pub(crate) fn client_options() -> ClientOptions {
    ClientOptions { heartbeat: BEAT, deadline: DEADLINE, ..ClientOptions::new(address(), "shop", clock()) }
}

pub(crate) fn caller() -> Caller {
    Caller { tenant: "acme".to_owned(), sender: "shop".to_owned(), ..Caller::default() }
}

pub(crate) async fn stage() -> Result<Stage> {
    stage_with("").await
}

pub(crate) async fn stage_with(config: &str) -> Result<Stage> {
    Ok(Stage { nats: testkit::nats(config).await? })
}

/// Comes back within milliseconds when the server does.
pub(crate) async fn connect(url: &str) -> Result<Client> {
    let wait = |_| Duration::from_millis(20);
    let options = ConnectOptions::new().max_reconnects(None).reconnect_delay_callback(wait);
    Ok(options.connect(url).await?)
}

impl Stage {
    pub(crate) async fn connect(&self) -> Result<Client> {
        connect(&self.nats.url()).await
    }

    /// Serves the script, and is heard of.
    pub(crate) async fn serve(&self, script: &Arc<Script>) -> Result<Running> {
        self.serve_with(script, serve_options()).await
    }

    pub(crate) async fn serve_with(&self, script: &Arc<Script>, options: ServeOptions) -> Result<Running> {
        serve_on(self.connect().await?, &self.connect().await?, script, options).await
    }

    pub(crate) async fn client(&self) -> Result<NatsClient> {
        self.client_with(client_options()).await
    }

    pub(crate) async fn client_with(&self, options: ClientOptions) -> Result<NatsClient> {
        Ok(NatsClient::connect(self.connect().await?, options).await?)
    }
}

/// Waits until the server has done all that this client said so far. A flush only says that it was written.
pub(crate) async fn settled(client: &Client) -> Result<()> {
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await?;
    client.publish(inbox, "".into()).await?;
    timeout(DEADLINE, echo.next()).await.context("the server does not answer")?.context("the connection was closed").map(drop)
}

/// Serves over this connection; the witness sees when it does.
pub(crate) async fn serve_on(client: Client, witness: &Client, script: &Arc<Script>, options: ServeOptions) -> Result<Running> {
    let mut alive = witness.subscribe(format!("a2a.{}.{}.alive", options.tenants[0], options.agent)).await?;
    settled(witness).await?;
    let (stop, stopped) = oneshot::channel();
    let stopping = async { drop(stopped.await) };
    let served = tokio::spawn(serve(client.clone(), Arc::new(Scripted(script.clone())), options, stopping));
    timeout(DEADLINE, alive.next()).await.context("the agent does not say that it lives")?;
    Ok(Running { client, stop: Some(stop), served })
}

impl Running {
    /// Asks it to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take();
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(mut self) -> Result<()> {
        self.stop();
        Ok(timeout(DEADLINE, self.served).await.context("it does not stop")???)
    }

    /// Ends it as a crash would: nobody is told anything.
    pub(crate) async fn crash(self) -> Result<()> {
        self.served.abort();
        drop(self.served.await);
        settled(&self.client).await
    }
}

/// Waits until so many messages were said there with this header. A way to let time pass without sleeping.
pub(crate) async fn overhear(stage: &Stage, subject: &str, header: (&str, &str), times: usize) -> Result<Overheard> {
    let client = stage.connect().await?;
    let heard = client.subscribe(subject.to_owned()).await?;
    settled(&client).await?;
    Ok(Overheard { heard, header: (header.0.to_owned(), header.1.to_owned()), times })
}

pub(crate) struct Overheard {
    heard: Subscriber,
    header: (String, String),
    times: usize,
}

impl Overheard {
    pub(crate) async fn all(mut self) -> Result<()> {
        let (name, value) = (self.header.0.as_str(), self.header.1.as_str());
        while self.times > 0 {
            let message = timeout(DEADLINE, self.heard.next()).await.context("it is not said")?.context("closed")?;
            let said = message.headers.as_ref().and_then(|headers| headers.get(name));
            self.times -= usize::from(said.is_some_and(|said| said.as_str() == value));
        }
        Ok(())
    }
}

pub(crate) fn message(id: &str) -> SendMessageRequest {
    SendMessageRequest::new(Message::new(id, Role::User, vec![Part::text("do it")]))
}

pub(crate) fn subscribe(id: &str) -> SubscribeToTaskRequest {
    SubscribeToTaskRequest { tenant: None, id: id.to_owned() }
}

pub(crate) fn status(task: &str, state: TaskState) -> StreamResponse {
    let (task_id, context_id) = (task.to_owned(), "c1".to_owned());
    let (status, metadata) = (TaskStatus::new(state), Metadata::new());
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent { task_id, context_id, status, metadata })
}

/// A whole artifact of its own.
pub(crate) fn artifact(task: &str, id: &str, text: &str) -> StreamResponse {
    let (task_id, context_id) = (task.to_owned(), "c1".to_owned());
    let (artifact, metadata) = (Artifact::new(id, vec![Part::text(text)]), Metadata::new());
    let (append, last_chunk) = (false, false);
    StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent { task_id, context_id, artifact, append, last_chunk, metadata })
}

/// What a reader makes of an event: `task:WORKING:a1+a2`, `status:COMPLETED`, `artifact:a1`.
pub(crate) fn brief(event: &StreamResponse) -> String {
    let state = |state: TaskState| state.as_str().trim_start_matches("TASK_STATE_");
    match event {
        StreamResponse::Task(task) => {
            let artifacts: Vec<&str> = task.artifacts.iter().map(|artifact| artifact.artifact_id.as_str()).collect();
            format!("task:{}:{}", state(task.status.state), artifacts.join("+"))
        }
        StreamResponse::Message(message) => format!("message:{}", message.message_id),
        StreamResponse::StatusUpdate(update) => format!("status:{}", state(update.status.state)),
        StreamResponse::ArtifactUpdate(update) => format!("artifact:{}", update.artifact.artifact_id),
    }
}

/// The next event, in brief.
pub(crate) async fn next(events: &mut (impl Stream<Item = Result<StreamResponse, A2aError>> + Unpin)) -> Result<String> {
    let event = timeout(DEADLINE, events.next()).await.context("no event came")?.context("the stream ended")?;
    Ok(brief(&event?))
}

/// All that is left, in brief.
pub(crate) async fn rest(events: &mut (impl Stream<Item = Result<StreamResponse, A2aError>> + Unpin)) -> Result<Vec<String>> {
    let mut all = vec![];
    while let Some(event) = timeout(DEADLINE, events.next()).await.context("the stream does not end")? {
        all.push(brief(&event?));
    }
    Ok(all)
}
