//! Reading one task, its events, and messages that were taken.

use chrono::{DateTime, Utc};

use super::TaskKey;
use crate::{Store, StoreError};

/// A task as it is stored. All of one moment.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TaskRow {
    /// Whose.
    pub tenant: String,
    /// Unique within the tenant.
    pub id: String,
    /// Who may see it.
    pub owner: String,
    /// What it belongs to.
    pub context_id: String,
    /// Since when it stands as it does.
    pub status_at: DateTime<Utc>,
    /// Goes up with every write.
    pub revision: i64,
    /// Number of its last event.
    pub seq: i64,
    /// The task as JSON, as it was at some event.
    pub document: String,
    /// The events since, in order: arrays in JSON.
    pub later: Vec<String>,
    /// The messages that are to be worked on, as JSON.
    pub owed: Option<String>,
    /// The process that does it.
    pub holder: Option<String>,
    /// How often a process began to hold it.
    pub turn: i32,
    /// How often the work was begun.
    pub attempt: i32,
    /// How many configurations it has for push notifications.
    pub pushes: i32,
}

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct MessageRow {
    /// SHA-256 of its content.
    pub digest: Vec<u8>,
    /// The task that took it.
    pub task_id: Option<String>,
    /// The task's revision that did.
    pub revision: Option<i64>,
    /// Or what was answered.
    pub reply: Option<String>,
}

/// Events of one write.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct EventRow {
    /// Number of the last one.
    pub seq: i64,
    /// An array in JSON.
    pub events: String,
}

/// What reading a task takes from a row `t`.
macro_rules! task_columns {
    () => {
        "t.tenant, t.id, t.owner, t.context_id, t.status_at, t.revision, t.seq, t.document::text as document,
            case when t.seq = t.document_seq then '{}'::text[] else array(
                select e.events::text from a2a_event e
                where e.tenant = t.tenant and e.agent = t.agent and e.task_id = t.id and e.seq > t.document_seq order by e.seq
            ) end as later,
            t.owed::text as owed, t.holder, t.turn, t.attempt, t.pushes"
    };
}
pub(super) use task_columns;

const TASK: &str = concat!("select ", task_columns!(), " from a2a_task t where t.tenant = $1 and t.agent = $2 and t.id = $3");

const MESSAGE: &str = "
    select digest, task_id, revision, reply::text as reply from a2a_message
    where tenant = $1 and agent = $2 and sender = $3 and message_id = $4";

// What is cut off is not read: large values stand beside the rows.
const EVENTS: &str = "
    select e.seq, e.events::text as events from (
        select n.*, sum(n.bytes) over (order by n.seq) - n.bytes as before from (
            select seq, events, bytes from a2a_event
            where tenant = $1 and agent = $2 and task_id = $3 and seq > $4 order by seq limit $6
        ) as n
    ) as e
    where e.before < $5 order by e.seq";
/// Writes whose events are read at once, however small they are.
const EVENT_ROWS_MAX: i64 = 64;

// Row by row: a join could be planned as reading the whole table.
const CHANGED: &str = "
    select i.place from unnest($2::text[], $3::text[], $4::bigint[]) with ordinality as i (tenant, id, revision, place)
    where (select t.revision from a2a_task t where t.tenant = i.tenant and t.agent = $1 and t.id = i.id) > i.revision";

impl Store {
    /// Reads a task; none if there is none.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn task(&self, agent: &str, key: &TaskKey) -> Result<Option<TaskRow>, StoreError> {
        let query = sqlx::query_as(TASK).bind(&key.tenant).bind(agent).bind(&key.id);
        self.run("a2a-task", async |c| query.fetch_optional(c).await).await
    }

    /// Looks up whether a message was taken.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn taken_message(
        &self,
        agent: &str,
        tenant: &str,
        sender: &str,
        message_id: &str,
    ) -> Result<Option<MessageRow>, StoreError> {
        let query = sqlx::query_as(MESSAGE).bind(tenant).bind(agent).bind(sender).bind(message_id);
        self.run("a2a-message", async |c| query.fetch_optional(c).await).await
    }

    /// A task's events after number `after`, in order: those of the next write, and of further ones until there are `bytes` bytes.
    /// More may follow, unless there are none.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn task_events(&self, agent: &str, key: &TaskKey, after: i64, bytes: u32) -> Result<Vec<EventRow>, StoreError> {
        let query = sqlx::query_as(EVENTS).bind(&key.tenant).bind(agent).bind(&key.id).bind(after);
        let query = query.bind(i64::from(bytes)).bind(EVENT_ROWS_MAX);
        self.run("a2a-events", async |c| query.fetch_all(c).await).await
    }

    /// Which of these tasks, by their places, have a higher revision by now than the one named.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn changed_tasks(&self, agent: &str, known: &[(&TaskKey, i64)]) -> Result<Vec<usize>, StoreError> {
        let tenants: Vec<&str> = known.iter().map(|(key, _)| key.tenant.as_str()).collect();
        let ids: Vec<&str> = known.iter().map(|(key, _)| key.id.as_str()).collect();
        let revisions: Vec<i64> = known.iter().map(|(_, revision)| *revision).collect();
        let query = sqlx::query_scalar(CHANGED).bind(agent).bind(tenants).bind(ids).bind(revisions);
        let places: Vec<i64> = self.run("a2a-changed", async |c| query.fetch_all(c).await).await?;
        Ok(places.into_iter().filter_map(|place| usize::try_from(place - 1).ok()).collect())
    }
}
