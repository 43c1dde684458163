//! Writing many tasks in one transaction, each of which stands or falls alone.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{NewPush, TaskKey};
use crate::limits::{check_id, check_size};
use crate::{Store, StoreError};

/// What is new about one task.
#[derive(Debug, Clone)]
pub struct TaskWrite {
    /// Which task.
    pub key: Arc<TaskKey>,
    /// What never changes again, of a task that is new.
    pub birth: Option<Birth>,
    /// The revision that it was read with; 0 of a new one.
    pub expected: i64,
    /// Its state, by its name on the wire.
    pub state: &'static str,
    /// Since when.
    pub status_at: DateTime<Utc>,
    /// Number of its last event.
    pub seq: i64,
    /// The whole task as JSON with all events up to `seq`; none leaves the old one, to which events are added when it is read.
    pub document: Option<String>,
    /// Its new events as an array in JSON.
    pub events: Option<String>,
    /// The messages that are to be worked on, as JSON.
    pub owed: Option<Arc<str>>,
    /// The process that does it.
    pub holder: Option<Arc<str>>,
    /// How often a process began to hold it.
    pub turn: i32,
    /// How often the work was begun.
    pub attempt: i32,
    /// How many configurations it has for push notifications.
    pub pushes: i32,
    /// The message that it takes by this.
    pub message: Option<MessageKey>,
    /// A configuration that comes with the message; of new tasks only.
    pub push: Option<NewPush>,
}

/// What never changes about a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Birth {
    /// Who may see it.
    pub owner: Arc<str>,
    /// What it belongs to.
    pub context_id: Arc<str>,
}

/// Names a message for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageKey {
    /// Who sent it.
    pub sender: Arc<str>,
    /// Unique per tenant and sender.
    pub message_id: String,
    /// SHA-256 of its content.
    pub digest: [u8; 32],
}

/// A task that was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Its place in the batch, from 0.
    pub place: usize,
    /// To whom.
    pub to: Rival,
}

/// Who was faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// The message was taken before.
    Message,
    /// Somebody else changed the task since it was read.
    Task,
}

const WRITE: &str = "
    select place, why from a2a_write(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)";

const WRITE_REPLY: &str = "
    insert into a2a_message (tenant, agent, sender, message_id, digest, reply) values ($1, $2, $3, $4, $5, $6::json)
    on conflict do nothing";

impl Store {
    /// Writes these tasks, each at most once in a batch. Answers with those that were not written; all others are durable.
    ///
    /// # Errors
    /// If Postgres does not answer: then it may or may not be durable. If something cannot be stored: then nothing is.
    pub async fn write_tasks(&self, agent: &str, now: DateTime<Utc>, batch: &[TaskWrite]) -> Result<Vec<Lost>, StoreError> {
        for write in batch {
            check(write)?;
        }
        let query = sqlx::query_as(WRITE).bind(agent).bind(now);
        let query = query.bind(each(batch, |w| w.key.tenant.as_str())).bind(each(batch, |w| w.key.id.as_str()));
        let query = query.bind(each(batch, |w| w.birth.as_ref().map(|birth| &*birth.owner)));
        let query = query.bind(each(batch, |w| w.birth.as_ref().map(|birth| &*birth.context_id)));
        let query = query.bind(each(batch, |w| w.expected)).bind(each(batch, |w| w.state)).bind(each(batch, |w| w.status_at));
        let query = query.bind(each(batch, |w| w.seq)).bind(each(batch, |w| w.document.as_deref()));
        let query = query.bind(each(batch, |w| w.events.as_deref())).bind(each(batch, |w| w.owed.as_deref()));
        let query =
            query.bind(each(batch, |w| w.holder.as_deref())).bind(each(batch, |w| w.turn)).bind(each(batch, |w| w.attempt));
        let query = query.bind(each(batch, |w| w.pushes)).bind(count(batch, |w| w.expected == 0));
        let query = query.bind(count(batch, |w| w.message.is_some())).bind(count(batch, |w| w.pushes > 0 && w.events.is_some()));
        let query = query.bind(each(batch, |w| w.message.as_ref().map(|message| &*message.sender)));
        let query = query.bind(each(batch, |w| w.message.as_ref().map(|message| message.message_id.as_str())));
        let query = query.bind(each(batch, |w| w.message.as_ref().map(|message| message.digest.as_slice())));
        let query = query.bind(each(batch, |w| w.push.as_ref().map(|push| push.id.as_str())));
        let query = query.bind(each(batch, |w| w.push.as_ref().map(|push| push.config.as_str())));
        let lost: Vec<(i64, String)> = self.run("a2a-write", async |c| query.fetch_all(c).await).await?;
        let named = |(place, why): (i64, String)| {
            let to = if why == "message" { Rival::Message } else { Rival::Task };
            // Postgres counts from 1.
            Lost { place: usize::try_from(place - 1).unwrap_or(usize::MAX), to }
        };
        Ok(lost.into_iter().map(named).collect())
    }

    /// Writes down what was answered to a message without a task. Answers whether it is the first answer; if not, the first one stands.
    ///
    /// # Errors
    /// If Postgres does not answer, or something cannot be stored.
    pub async fn write_reply(&self, agent: &str, tenant: &str, key: &MessageKey, reply: &str) -> Result<bool, StoreError> {
        check_message(key)?;
        check_size("reply", reply.len())?;
        let query = sqlx::query(WRITE_REPLY).bind(tenant).bind(agent).bind(&*key.sender).bind(&key.message_id);
        let query = query.bind(key.digest.as_slice()).bind(reply);
        let done = self.run("a2a-write-reply", async |c| query.execute(c).await).await?;
        Ok(done.rows_affected() > 0)
    }
}

fn each<'a, T>(batch: &'a [TaskWrite], of: impl Fn(&'a TaskWrite) -> T) -> Vec<T> {
    batch.iter().map(of).collect()
}

fn count(batch: &[TaskWrite], is_one: impl Fn(&TaskWrite) -> bool) -> i64 {
    i64::try_from(batch.iter().filter(|write| is_one(write)).count()).unwrap_or(i64::MAX)
}

fn check(write: &TaskWrite) -> Result<(), StoreError> {
    check_id("task id", &write.key.id)?;
    let documents = [write.document.as_deref(), write.events.as_deref(), write.owed.as_deref()];
    for document in documents.into_iter().flatten() {
        check_size("task", document.len())?;
    }
    if let Some(birth) = &write.birth {
        check_id("owner", &birth.owner)?;
        check_id("context id", &birth.context_id)?;
    }
    write.message.as_ref().map_or(Ok(()), check_message)
}

fn check_message(key: &MessageKey) -> Result<(), StoreError> {
    check_id("message id", &key.message_id)?;
    check_id("sender", &key.sender)
}
