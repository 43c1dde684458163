//! Which processes are alive, and what the dead ones left behind.

use chrono::{DateTime, Utc};

use super::TaskKey;
use crate::{Store, StoreError};

const BEAT: &str = "
    insert into a2a_holder (id, agent, lease_until) values ($1, $2, $3)
    on conflict (id) do update set lease_until = excluded.lease_until, released = false";

// A process that is late may come back and take messages under its old name: so rows of the dead stay for a day, and are looked
// through each time.
const TAKE_OVER: &str = "
    with dead as (
        select id, released from a2a_holder where agent = $1 and id <> $2 and lease_until <= $3 order by id for update skip locked
    ), orphan as (
        select o.*, d.released from dead d
        cross join lateral (select t.tenant, t.agent, t.id from a2a_task t where t.holder = d.id limit $4 for update) as o
    ), forgotten as (
        delete from a2a_holder h using dead d
        where h.id = d.id and h.lease_until <= $3 - interval '1 day' and not exists (select from orphan)
    )
    update a2a_task t set holder = $2, turn = t.turn + 1, revision = t.revision + 1,
        attempt = t.attempt + case when o.released then 0 else 1 end
    from orphan o
    where t.tenant = o.tenant and t.agent = o.agent and t.id = o.id
    returning t.tenant, t.id";

const HELD: &str = "select tenant, id from a2a_task where holder = $1 limit $2";

const RELEASE: &str = "update a2a_holder set lease_until = least(lease_until, $2), released = true where id = $1";

impl Store {
    /// Says that this process is alive, and will say so again before `until`.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn beat(&self, agent: &str, holder: &str, until: DateTime<Utc>) -> Result<(), StoreError> {
        let query = sqlx::query(BEAT).bind(holder).bind(agent).bind(until);
        self.run("a2a-beat", async |c| query.execute(c).await).await.map(drop)
    }

    /// Gives this process up to `limit` tasks of processes that are dead at `now`. Whatever those still write is refused, because
    /// the revision goes up. So does the attempt, unless they had stopped in good order.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn take_over(&self, agent: &str, holder: &str, now: DateTime<Utc>, limit: u32) -> Result<Vec<TaskKey>, StoreError> {
        let query = sqlx::query_as(TAKE_OVER).bind(agent).bind(holder).bind(now).bind(i64::from(limit));
        let keys: Vec<(String, String)> = self.run("a2a-take-over", async |c| query.fetch_all(c).await).await?;
        Ok(keys.into_iter().map(|(tenant, id)| TaskKey { tenant, id }).collect())
    }

    /// Up to `limit` tasks that this process is to work on.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn held_tasks(&self, holder: &str, limit: u32) -> Result<Vec<TaskKey>, StoreError> {
        let query = sqlx::query_as(HELD).bind(holder).bind(i64::from(limit));
        let keys: Vec<(String, String)> = self.run("a2a-held", async |c| query.fetch_all(c).await).await?;
        Ok(keys.into_iter().map(|(tenant, id)| TaskKey { tenant, id }).collect())
    }

    /// Says that this process stops: others need not wait for its silence, and its work did not kill it.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn release(&self, holder: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let query = sqlx::query(RELEASE).bind(holder).bind(now);
        self.run("a2a-release", async |c| query.execute(c).await).await.map(drop)
    }
}
