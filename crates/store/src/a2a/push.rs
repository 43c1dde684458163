//! Where events are posted, and how far each place has got. One process at a time posts to a place.

use chrono::{DateTime, Utc};

use super::TaskKey;
use crate::limits::{check_id, check_size};
use crate::{Store, StoreError};

/// A configuration that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPush {
    /// Unique within the task.
    pub id: String,
    /// As JSON. It holds secrets.
    pub config: String,
}

/// How a configuration of a task that is there is to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Putting {
    /// How many the task may have.
    pub limit: u32,
    /// It begins with the event after this one; none: with what comes from now on.
    pub after: Option<i64>,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Which configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushKey {
    /// Of which task.
    pub task: TaskKey,
    /// Which of its configurations.
    pub id: String,
}

/// What came of storing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutPush {
    /// It is stored.
    Done,
    /// This owner has no such task.
    Missing,
    /// The task has as many as it may.
    Full,
}

/// A configuration that has something to post, given to one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedPush {
    /// Which one.
    pub key: PushKey,
    /// As JSON.
    pub config: String,
    /// The last event that arrived.
    pub cursor: i64,
    /// Failures in a row.
    pub attempts: u32,
    /// Token of the lease.
    pub lease: i64,
}

/// How posting went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushOutcome {
    /// All that was tried arrived.
    Delivered,
    /// It is to be tried again then.
    Failed(DateTime<Utc>),
    /// It failed too often.
    GivenUp,
}

/// What there is to post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushBacklog {
    /// Configurations with events that have not arrived.
    pub due: u64,
    /// Configurations that were given up.
    pub given_up: u64,
}

const PUT: &str = "select a2a_put_push($1, $2, $3, $4, $5, $6, $7, $8, $9)";

const PUSHES: &str = "
    select p.config::text from a2a_task t
    left join a2a_push p on p.tenant = t.tenant and p.agent = t.agent and p.task_id = t.id and ($5::text is null or p.id = $5)
    where t.tenant = $1 and t.agent = $2 and t.id = $3 and t.owner = $4 order by p.id";

const DELETE: &str = "select a2a_delete_push($1, $2, $3, $4, $5)";

// From tenant to tenant, by the index: however much one of them has to post, the others' is found beside it. Whoever has the fewest posts
// under way comes first.
const CLAIM: &str = "
    with recursive named (tenant) as (
        select min(tenant) from a2a_push where agent = $1 and due_at <= $2
        union all
        select (select min(p.tenant) from a2a_push p where p.agent = $1 and p.due_at <= $2 and p.tenant > n.tenant)
        from named n where n.tenant is not null
    ), due as (
        select d.*, row_number() over (partition by d.tenant order by d.due_at)
            + (select count(*) from unnest($5::text[]) as u (tenant) where u.tenant = d.tenant) as turn
        from named n cross join lateral (
            select p.tenant, p.agent, p.task_id, p.id, p.due_at from a2a_push p
            where p.agent = $1 and p.tenant = n.tenant and p.due_at <= $2 order by p.due_at limit $4 for update skip locked
        ) as d
    ), chosen as (
        select * from due order by turn, due_at limit $4
    )
    update a2a_push p set due_at = $3, lease = p.lease + 1 from chosen d
    where p.tenant = d.tenant and p.agent = d.agent and p.task_id = d.task_id and p.id = d.id
    returning p.tenant, p.task_id, p.id, p.config::text, p.cursor, p.attempts, p.lease";

// Events that came meanwhile are in `wanted`: then there is more to do at once. A place that took some events before it failed has
// failed once.
const SETTLE: &str = "
    update a2a_push set cursor = $6, lease = lease + 1,
        attempts = case when $8 = 'delivered' then 0 when cursor < $6 then 1 else attempts + 1 end,
        given_up_at = case when $8 = 'given-up' then $7 end,
        due_at = case when $8 = 'failed' then $9 when $8 = 'delivered' and wanted > $6 then $7 end
    where tenant = $1 and agent = $2 and task_id = $3 and id = $4 and lease = $5";

const BACKLOG: &str = "
    select count(*) filter (where due_at is not null), count(*) filter (where given_up_at is not null) from a2a_push where agent = $1";

type ClaimedRow = (String, String, String, String, i64, i32, i64);

impl Store {
    /// Stores a configuration of this owner's task. One of the same id is replaced, unless it is the same and was not given up: then it
    /// goes on as it is.
    ///
    /// # Errors
    /// If Postgres does not answer, or it cannot be stored.
    pub async fn put_push(
        &self,
        agent: &str,
        task: &TaskKey,
        owner: &str,
        push: &NewPush,
        putting: Putting,
    ) -> Result<PutPush, StoreError> {
        check_id("push id", &push.id)?;
        check_size("push", push.config.len())?;
        let query = sqlx::query_scalar(PUT).bind(&task.tenant).bind(agent).bind(&task.id).bind(owner);
        let query = query.bind(&push.id).bind(&push.config).bind(i32::try_from(putting.limit).unwrap_or(i32::MAX));
        let query = query.bind(putting.after).bind(putting.now);
        let done: String = self.run("a2a-put-push", async |c| query.fetch_one(c).await).await?;
        Ok(match done.as_str() {
            "done" => PutPush::Done,
            "full" => PutPush::Full,
            _ => PutPush::Missing,
        })
    }

    /// All configurations of this owner's task by id, or the one of this id; none if there is no such task.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn pushes(
        &self,
        agent: &str,
        task: &TaskKey,
        owner: &str,
        id: Option<&str>,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let query = sqlx::query_scalar(PUSHES).bind(&task.tenant).bind(agent).bind(&task.id).bind(owner).bind(id);
        let rows: Vec<Option<String>> = self.run("a2a-pushes", async |c| query.fetch_all(c).await).await?;
        // The task is there if there is a row, be it one without a configuration.
        Ok(if rows.is_empty() { None } else { Some(rows.into_iter().flatten().collect()) })
    }

    /// Ends a configuration. Answers whether this owner has such a task.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn delete_push(&self, agent: &str, key: &PushKey, owner: &str) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar(DELETE).bind(&key.task.tenant).bind(agent).bind(&key.task.id).bind(owner).bind(&key.id);
        self.run("a2a-delete-push", async |c| query.fetch_one(c).await).await
    }

    /// Takes up to `limit` configurations that are due at `now`, the longest due of each tenant first. Tenants take turns, and `under_way`,
    /// the tenants of the posts that are, counts as turns that they had. Nobody else gets them before `until`.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn claim_pushes(
        &self,
        agent: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u32,
        under_way: &[&str],
    ) -> Result<Vec<ClaimedPush>, StoreError> {
        let query = sqlx::query_as(CLAIM).bind(agent).bind(now).bind(until).bind(i64::from(limit)).bind(under_way);
        let rows: Vec<ClaimedRow> = self.run("a2a-claim-pushes", async |c| query.fetch_all(c).await).await?;
        let claimed = |(tenant, task_id, id, config, cursor, attempts, lease): ClaimedRow| {
            let key = PushKey { task: TaskKey { tenant, id: task_id }, id };
            ClaimedPush { key, config, cursor, attempts: attempts.unsigned_abs(), lease }
        };
        Ok(rows.into_iter().map(claimed).collect())
    }

    /// Ends a claim: the events up to `cursor` arrived. Nothing changes if the lease ran out and another took it, or if the
    /// configuration was ended.
    ///
    /// # Errors
    /// If Postgres does not answer: then it comes back when the lease is over, and events may be posted twice.
    pub async fn settle_push(
        &self,
        agent: &str,
        claimed: &ClaimedPush,
        cursor: i64,
        outcome: PushOutcome,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (kind, again_at) = match outcome {
            PushOutcome::Delivered => ("delivered", None),
            PushOutcome::Failed(at) => ("failed", Some(at)),
            PushOutcome::GivenUp => ("given-up", None),
        };
        let PushKey { task, id } = &claimed.key;
        let query = sqlx::query(SETTLE).bind(&task.tenant).bind(agent).bind(&task.id).bind(id).bind(claimed.lease);
        let query = query.bind(cursor).bind(now).bind(kind).bind(again_at);
        self.run("a2a-settle-push", async |c| query.execute(c).await).await.map(drop)
    }

    /// Counts what there is to post, for metrics and for tests that end.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn push_backlog(&self, agent: &str) -> Result<PushBacklog, StoreError> {
        let query = sqlx::query_as(BACKLOG).bind(agent);
        let (due, given_up): (i64, i64) = self.run("a2a-push-backlog", async |c| query.fetch_one(c).await).await?;
        Ok(PushBacklog { due: due.unsigned_abs(), given_up: given_up.unsigned_abs() })
    }
}
