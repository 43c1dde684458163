//! A migrated database of the test's own, engines on it, and requests.

use std::time::Duration;

use a2a::{
    A2aError, A2aService as _, AgentCapabilities, AgentCard, Caller, GetTaskRequest, Message, Part, Role,
    SendMessageConfiguration, SendMessageRequest, SendMessageResponse, Task,
};
use chrono::{DateTime, Utc};
use incident::task::Role as AgentRole;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::{Options as StoreOptions, Store, migrate, role_url};
use tasks::{Engine, Limits, Options, PushOptions, Surroundings, Targets};
use testkit::{Database, eventually};

use crate::script::Script;

pub(crate) const WITHIN: Duration = Duration::from_secs(30);
pub(crate) const AGENT: &str = "agent";
const ROLE: AgentRole = AgentRole::Gateway;

pub(crate) struct Bed {
    pub(crate) script: Script,
    url: String,
    database: Database,
}

#[expect(clippy::disallowed_methods, reason = "tests run in the world's time")]
fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap()
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    u128::from_ne_bytes(bytes)
}

pub(crate) async fn bed() -> Bed {
    let database = testkit::postgres_database().await.unwrap();
    migrate(&database.url, &[(ROLE, "secret".to_owned())]).await.unwrap();
    let url = role_url(&database.url, ROLE, "secret").unwrap();
    Bed { script: Script::new(), url, database }
}

pub(crate) fn card() -> AgentCard {
    let yes = Some(true);
    let capabilities =
        AgentCapabilities { streaming: yes, push_notifications: yes, extended_agent_card: yes, extensions: vec![] };
    AgentCard { name: "test".to_owned(), capabilities, ..AgentCard::default() }
}

pub(crate) fn limits() -> Limits {
    Limits {
        // A machine that stalls shall not look like a death.
        lease: Duration::from_secs(30),
        look_every: Duration::from_millis(30),
        stop_max: Duration::from_millis(500),
        post_pause: Duration::from_millis(10),
        ..Limits::default()
    }
}

pub(crate) fn options() -> Options {
    Options {
        agent: AGENT.to_owned(),
        card: card(),
        extended_card: None,
        surroundings: Surroundings { now, random },
        limits: limits(),
        push: PushOptions { targets: Targets::Anywhere, signer: None },
    }
}

impl Bed {
    pub(crate) async fn store(&self) -> Store {
        Store::connect(&StoreOptions::new(&self.url, ROLE)).await.unwrap()
    }

    /// With a superuser's rights.
    pub(crate) async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.database.url).await.unwrap()
    }

    pub(crate) async fn engine(&self) -> Engine<Script> {
        self.engine_with(options()).await
    }

    pub(crate) async fn engine_with(&self, options: Options) -> Engine<Script> {
        Engine::start(self.store().await, self.script.clone(), options).await.unwrap()
    }

    pub(crate) async fn engine_limited(&self, change: impl FnOnce(&mut Limits)) -> Engine<Script> {
        let mut options = options();
        change(&mut options.limits);
        self.engine_with(options).await
    }

    /// An engine in a process of its own, as far as a test can have one: dropping its runtime is its death, which others soon notice.
    pub(crate) async fn process(&self) -> (tokio::runtime::Runtime, Engine<Script>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (url, script, mut options) = (self.url.clone(), self.script.clone(), options());
        options.limits.lease = Duration::from_secs(2);
        let started = runtime.spawn(async move {
            let store = Store::connect(&StoreOptions::new(url, ROLE)).await.unwrap();
            Engine::start(store, script, options).await.unwrap()
        });
        (runtime, started.await.unwrap())
    }

    /// Waits until so many calls of the executor began.
    pub(crate) async fn called(&self, count: usize) {
        let look = async || (self.script.calls().len() >= count).then_some(());
        eventually("calling the executor", WITHIN, look).await.unwrap();
    }
}

pub(crate) fn caller() -> Caller {
    named("acme", "ada")
}

pub(crate) fn named(tenant: &str, sender: &str) -> Caller {
    Caller { tenant: tenant.to_owned(), sender: sender.to_owned(), ..Caller::default() }
}

/// A message of an id of its own.
pub(crate) fn message(text: &str) -> Message {
    Message::new(format!("m-{:x}", random()), Role::User, vec![Part::text(text)])
}

pub(crate) fn request(text: &str) -> SendMessageRequest {
    SendMessageRequest::new(message(text))
}

pub(crate) fn at_once(mut request: SendMessageRequest) -> SendMessageRequest {
    let configuration = request.configuration.get_or_insert_with(SendMessageConfiguration::default);
    configuration.return_immediately = true;
    request
}

/// One more message to a task.
pub(crate) fn to(task: &Task, text: &str) -> SendMessageRequest {
    let mut request = request(text);
    request.message.task_id = Some(task.id.clone());
    request
}

pub(crate) async fn send(engine: &Engine<Script>, request: SendMessageRequest) -> Result<Task, A2aError> {
    match Box::pin(engine.send_message(&caller(), request)).await? {
        SendMessageResponse::Task(task) => Ok(task),
        SendMessageResponse::Message(message) => panic!("a reply: {message:?}"),
    }
}

pub(crate) async fn get(engine: &Engine<Script>, id: &str) -> Task {
    engine.get_task(&caller(), GetTaskRequest { id: id.to_owned(), ..GetTaskRequest::default() }).await.unwrap()
}

/// Waits until the stored task is as it should be.
pub(crate) async fn until(engine: &Engine<Script>, id: &str, is_so: impl Fn(&Task) -> bool) -> Task {
    let look = async || Some(get(engine, id).await).filter(&is_so);
    match eventually("the task's change", WITHIN, look).await {
        Ok(task) => task,
        Err(error) => panic!("{error}: {:?}", get(engine, id).await),
    }
}
