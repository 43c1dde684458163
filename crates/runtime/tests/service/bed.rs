//! A service with a toy agent, everything behind it real.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{Bus, Connect, User};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use incident::agent::{AUDIT, Agent, Content, Decision, Effect, Entity, Event, Locator, Misdirected, Outgoing};
use incident::id::{IncidentId, TenantId};
use incident::task::{Errand, Role, TaskEvent, TaskRequest, TaskStatus};
use runtime::lifecycle::Lifecycle;
use runtime::{Call, Context, Fault, Perform, wire};
use serde::{Deserialize, Serialize};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::{Options, Store, migrate, role_url};
use testkit::{Database, Nats, eventually};
use tokio::sync::Notify;

/// Everything here takes milliseconds; a busy machine may need more.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// Short, so that a test need not wait long for another process to take over.
pub(crate) const LEASE: Duration = Duration::from_millis(600);

/// Short, so that a test need not wait long for the auditor.
pub(crate) const AUDIT_EVERY: Duration = Duration::from_millis(500);

/// What the toy remembers of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Toy {
    /// The effect is under way.
    Doing(TaskRequest),
    /// It ended.
    Done,
}

/// Does one thing for each request, and says how it went.
pub(crate) struct ToyAgent;

impl Agent for ToyAgent {
    type State = Toy;
    type Effect = String;
    type Outcome = u32;

    fn role(&self) -> Role {
        Role::Diagnostics
    }

    fn locate(&self, content: &Content) -> Result<Locator, Misdirected> {
        match content {
            Content::Request(request) => Ok(Locator::Id(request.task().to_string())),
            other => Err(other.misdirected(Role::Diagnostics)),
        }
    }

    fn begins(&self, content: &Content) -> bool {
        matches!(content, Content::Request(_))
    }

    fn incident(&self, state: &Toy) -> Option<IncidentId> {
        match state {
            Toy::Doing(request) => Some(request.incident.clone()),
            Toy::Done => None,
        }
    }

    fn decide(&self, entity: Option<Entity<Toy>>, event: Event<u32>, _now: DateTime<Utc>) -> Decision<Toy, String> {
        match (event, entity.map(|e| (e.id, e.state))) {
            (Event::Message(Content::Request(request)), None) => {
                let id = request.task().to_string();
                let effects = vec![Effect { name: "do".to_owned(), body: request.message_id.clone() }];
                Decision { effects, ..Decision::put(open(id, request), "taken on") }
            }
            (Event::Timer(name), Some((id, Toy::Doing(request)))) if name == AUDIT => {
                let effects = vec![Effect { name: "do".to_owned(), body: request.message_id.clone() }];
                Decision { effects, ..Decision::put(open(id, request), "done again") }
            }
            (Event::Outcome { result, .. }, Some((id, Toy::Doing(request)))) => {
                let note = match result {
                    Ok(attempt) => format!("done at attempt {attempt}"),
                    Err(failure) => format!("failed: {}", failure.reason),
                };
                let event = TaskEvent {
                    tenant: request.tenant.clone(),
                    task: request.task(),
                    message_id: request.message_id.clone(),
                    incident: request.incident.clone(),
                    from: Role::Diagnostics,
                    to: Role::Monitoring,
                    number: 1,
                    status: TaskStatus::Working { note },
                };
                let entity = Entity { id, open_key: None, state: Toy::Done };
                Decision { outgoing: vec![Outgoing::Event(event)], ..Decision::put(entity, "done") }
            }
            _ => Decision::unchanged("nothing waits for this"),
        }
    }
}

fn open(id: String, request: TaskRequest) -> Entity<Toy> {
    Entity { open_key: Some(id.clone()), id, state: Toy::Doing(request) }
}

/// How often each effect was tried, and what the tries shall come to.
#[derive(Clone, Default)]
pub(crate) struct Doer {
    pub(crate) tries: Arc<Mutex<BTreeMap<String, u32>>>,
    /// Tries that fail before one succeeds.
    pub(crate) failures: u32,
    /// Whether a try never ends.
    pub(crate) hangs: bool,
    /// How long a try takes.
    pub(crate) takes: Duration,
    /// What a try waits for.
    pub(crate) gate: Option<Arc<Notify>>,
}

impl Perform<ToyAgent> for Doer {
    async fn perform(&self, call: Call<String>) -> Result<u32, Fault> {
        *self.tries.lock().unwrap().entry(call.body.clone()).or_default() += 1;
        if self.hangs {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.takes).await;
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if call.attempt <= self.failures { Err(Fault::again("not yet")) } else { Ok(call.attempt) }
    }

    fn patience(&self, _effect: &String) -> Duration {
        Duration::from_secs(20)
    }
}

pub(crate) struct Bed {
    pub(crate) nats: Nats,
    database: Database,
    pub(crate) admin: Bus,
}

fn request(message_id: &str) -> TaskRequest {
    TaskRequest {
        message_id: message_id.to_owned(),
        tenant: tenant(),
        from: Role::Monitoring,
        to: Role::Diagnostics,
        incident: "inc_1".parse().unwrap(),
        client: None,
        errand: Errand::Diagnose { workload: None, alerts: vec![] },
    }
}

pub(crate) fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

impl Bed {
    pub(crate) async fn new() -> Self {
        let nats = testkit::nats("").await.unwrap();
        let database = testkit::postgres_database().await.unwrap();
        migrate(&database.url, &Role::ALL.map(|role| (role, "a-password-for-tests".to_owned()))).await.unwrap();
        let admin = Bus::connect(&Connect::new(nats.url(), User::Admin, None)).await.unwrap();
        bus::ensure(&admin, &bus::Settings::default()).await.unwrap();
        Self { nats, database, admin }
    }

    async fn store(&self) -> Store {
        let url = role_url(&self.database.url, Role::Diagnostics, "a-password-for-tests").unwrap();
        Store::connect(&Options::new(url, Role::Diagnostics)).await.unwrap()
    }

    /// Starts the service; what is returned stops it.
    pub(crate) async fn start(&self, doer: Doer) -> Lifecycle {
        let life = Lifecycle::default();
        let bus = Bus::connect(&Connect::new(self.nats.url(), User::Role(Role::Diagnostics), None)).await.unwrap();
        let (role, store, audit_every) = (Role::Diagnostics, self.store().await, AUDIT_EVERY);
        let context = Context { role, bus, store, life: life.clone(), lease: LEASE, audit_every };
        let _handle = runtime::start(context, ToyAgent, doer);
        life
    }

    /// Somebody deletes all that is owed.
    pub(crate) async fn lose_what_is_owed(&self) {
        let mut connection = PgConnection::connect(&self.database.url).await.unwrap();
        let deleted = sqlx::query("delete from diagnostics.outbox where kind = 'effect'").execute(&mut connection).await.unwrap();
        assert_eq!(deleted.rows_affected(), 1);
    }

    /// A process that is gone left so many facts behind.
    pub(crate) async fn leave_behind(&self, facts: i32) {
        const LEAVE: &str = "
            insert into diagnostics.outbox
                (tenant, id, entity, kind, target, headers, body, trace, attempts, lease_until, created_at)
            select 'acme', 'fact-' || n, 'e', 'publish', 'fact.acme.inc_1.gap', '[]', '{}', null, 1, 'epoch', now()
            from generate_series(1, $1) n";
        let mut connection = PgConnection::connect(&self.database.url).await.unwrap();
        sqlx::query(LEAVE).bind(facts).execute(&mut connection).await.unwrap();
    }

    /// Kinds of the facts that were told.
    pub(crate) async fn facts(&self) -> Vec<String> {
        let client = async_nats::connect(self.nats.url()).await.unwrap();
        let stream = async_nats::jetstream::new(client).get_stream("FACTS").await.unwrap();
        let mut subjects = stream.info_with_subjects("fact.>").await.unwrap();
        let mut kinds = vec![];
        while let Some(subject) = subjects.next().await {
            kinds.extend(subject.unwrap().0.rsplit('.').next().map(str::to_owned));
        }
        kinds
    }

    /// Another process of the same service ends the request's entity.
    pub(crate) async fn end_elsewhere(&self, message_id: &str) {
        let store = self.store().await;
        let id = request(message_id).task().to_string();
        let loaded = store.load::<Toy, u32>(&tenant(), &Locator::Id(id.clone()), &[]).await.unwrap();
        let write = store::Write::<Toy, String> {
            tenant: tenant(),
            id: id.clone(),
            expected: loaded.stored.map(|stored| stored.revision),
            next: Some(Entity { id, open_key: None, state: Toy::Done }),
            handled: vec![],
            publications: vec![],
            effects: vec![],
            timers: vec![],
            records: vec![],
            rouses: false,
            trace: None,
            now: runtime::clock::now(),
            lease: LEASE,
        };
        let committed = store.commit(&write).await.unwrap();
        assert!(matches!(committed, store::Outcome::Done { .. }), "{committed:?}");
    }

    /// Puts a request on the bus; `copy` makes it another delivery of the same.
    pub(crate) async fn ask(&self, message_id: &str, copy: u32) {
        let request = request(message_id);
        let body = serde_json::to_vec(&wire::request_to_a2a(&request).unwrap()).unwrap();
        let mut headers = wire::a2a_headers(a2a::nats::Method::SendMessage);
        // JetStream's own duplicate window would hide the second copy from the inbox, which is what is tried here.
        headers.push(("Nats-Msg-Id".to_owned(), format!("{message_id}-{copy}")));
        self.put(format!("request/{message_id}"), headers, body).await;
    }

    /// Puts anything on the service's subject.
    pub(crate) async fn put(&self, id: String, headers: Vec<(String, String)>, body: Vec<u8>) {
        let subject = "a2a.acme.diagnostics.request".to_owned();
        let client = async_nats::connect(self.nats.url()).await.unwrap();
        let mut map = async_nats::HeaderMap::new();
        map.insert("Paramedic-Message-Id", id.as_str());
        for (name, value) in &headers {
            map.insert(name.as_str(), value.as_str());
        }
        let context = async_nats::jetstream::new(client);
        context.publish_with_headers(subject, map, body.into()).await.unwrap().await.unwrap();
    }

    /// The next event that the service told: request and note.
    pub(crate) async fn told(&self, count: usize) -> Vec<(String, String)> {
        let bus = Bus::connect(&Connect::new(self.nats.url(), User::Role(Role::Monitoring), None)).await.unwrap();
        let mut deliveries = bus.deliveries(Role::Monitoring).unwrap();
        let mut told = vec![];
        while told.len() < count {
            let delivery = tokio::time::timeout(SOON, deliveries.next()).await.expect("an event in time").unwrap();
            let content =
                wire::read_content(wire::Carries::Events, &tenant(), |name| delivery.header(name), &delivery.body).unwrap();
            let Content::Event(event) = content else { panic!("{content:?}") };
            let TaskStatus::Working { note } = event.status else { panic!("{:?}", event.status) };
            told.push((event.message_id, note));
            delivery.answer(bus::Verdict::Done).await.unwrap();
        }
        told
    }

    /// Nothing is owed any more.
    pub(crate) async fn settled(&self) {
        let store = self.store().await;
        let empty = async || store.backlog().await.ok().filter(|backlog| backlog.outbox == 0).map(drop);
        eventually("an empty outbox", SOON, empty).await.unwrap();
    }

    /// So many messages are in the inbox.
    pub(crate) async fn handled(&self, count: i64) {
        let mut connection = PgConnection::connect(&self.database.url).await.unwrap();
        let seen = async || {
            let all = sqlx::query_scalar::<_, i64>("select count(*) from diagnostics.inbox").fetch_one(&mut connection).await;
            all.ok().filter(|all| *all == count).map(drop)
        };
        eventually("all messages handled", SOON, seen).await.unwrap();
    }

    /// Messages on the stream of events.
    pub(crate) async fn events(&self) -> u64 {
        let client = async_nats::connect(self.nats.url()).await.unwrap();
        let stream = async_nats::jetstream::new(client).get_stream("A2A").await.unwrap();
        let mut subjects = stream.info_with_subjects("a2a.acme.monitoring.event").await.unwrap();
        let mut messages = 0;
        while let Some(subject) = subjects.next().await {
            messages += u64::try_from(subject.unwrap().1).unwrap();
        }
        messages
    }
}
