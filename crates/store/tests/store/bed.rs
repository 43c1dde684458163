//! A migrated database of the test's own, and commits with nothing in them to start from.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use incident::agent::{Content, Effect, Entity, Locator, Message, Timer};
use incident::handling::{Input, Loaded};
use incident::id::TenantId;
use incident::task::Role;
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::{Handled, Options, OutboxRow, Outcome, Publication, Store, Write, migrate, role_url};
use testkit::Database;

pub(crate) const LEASE: Duration = Duration::from_secs(30);

pub(crate) type Plain = Write<Value, Value>;

pub(crate) struct Bed {
    pub(crate) database: Database,
}

pub(crate) fn passwords() -> Vec<(Role, String)> {
    Role::ALL.map(|role| (role, password(role))).to_vec()
}

pub(crate) fn password(role: Role) -> String {
    format!("{role}'s \"secret\" % \\ word")
}

pub(crate) async fn bed() -> Bed {
    let database = testkit::postgres_database().await.unwrap();
    migrate(&database.url, &passwords()).await.unwrap();
    Bed { database }
}

impl Bed {
    pub(crate) async fn store(&self, role: Role) -> Store {
        connect(&self.database.url, role).await
    }

    pub(crate) async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.database.url).await.unwrap()
    }

    pub(crate) async fn login(&self, role: Role) -> PgConnection {
        PgConnection::connect(&role_url(&self.database.url, role, &password(role)).unwrap()).await.unwrap()
    }
}

pub(crate) async fn connect(admin_url: &str, role: Role) -> Store {
    let url = role_url(admin_url, role, &password(role)).unwrap();
    Store::connect(&Options::new(url, role)).await.unwrap()
}

pub(crate) fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

/// A fixed time: the store reads no clock.
pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::seconds(second)
}

pub(crate) fn write(id: &str) -> Plain {
    Write {
        tenant: tenant(),
        id: id.to_owned(),
        expected: None,
        next: None,
        handled: vec![],
        publications: vec![],
        effects: vec![],
        timers: vec![],
        records: vec![],
        rouses: false,
        trace: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        now: at(0),
        lease: LEASE,
    }
}

pub(crate) fn put(id: &str, open_key: Option<&str>, state: Value, expected: Option<u64>) -> Plain {
    let next = Entity { id: id.to_owned(), open_key: open_key.map(str::to_owned), state };
    Write { next: Some(next), expected, ..write(id) }
}

pub(crate) fn publication(id: &str) -> Publication {
    let headers = vec![("ce-type".to_owned(), "fact".to_owned()), ("ce-type".to_owned(), "twice".to_owned())];
    Publication { id: id.to_owned(), subject: format!("fact.acme.{id}"), headers, body: vec![0, 0xff, b'{'] }
}

pub(crate) fn effect(name: &str) -> Effect<Value> {
    Effect { name: name.to_owned(), body: json!({ "do": name, "text": "a\u{0}b" }) }
}

pub(crate) fn timer(name: &str, at: Option<DateTime<Utc>>) -> Timer {
    Timer { name: name.to_owned(), at }
}

pub(crate) fn seen(id: &str) -> Handled {
    Handled::Message(id.to_owned())
}

pub(crate) fn message(id: &str) -> Input<()> {
    let cancel = incident::task::TaskCancel {
        message_id: id.to_owned(),
        tenant: tenant(),
        from: Role::Monitoring,
        to: Role::Diagnostics,
        task: "task_1".parse().unwrap(),
        reason: "test".to_owned(),
    };
    Input::Message(Message { id: id.to_owned(), tenant: tenant(), trace: None, content: Content::Cancel(cancel) })
}

pub(crate) fn fired(name: &str, due: DateTime<Utc>) -> Input<()> {
    Input::Timer { name: name.to_owned(), due }
}

pub(crate) fn ended(effect: &str) -> Input<()> {
    Input::Outcome { effect: effect.to_owned(), claim: 1, result: Ok(()) }
}

pub(crate) async fn load(store: &Store, id: &str, inputs: &[Input<()>]) -> Loaded<Value> {
    store.load(&tenant(), &Locator::Id(id.to_owned()), inputs).await.unwrap()
}

pub(crate) async fn done(store: &Store, write: &Plain) -> Vec<OutboxRow> {
    match store.commit(write).await.unwrap() {
        Outcome::Done { owed, .. } => owed,
        Outcome::Lost => panic!("lost: {write:?}"),
    }
}

/// Connections of monitoring to this test's database.
pub(crate) async fn connections(admin: &mut PgConnection) -> i64 {
    let count =
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'paramedic-monitoring'";
    sqlx::query_scalar(count).fetch_one(admin).await.unwrap()
}
