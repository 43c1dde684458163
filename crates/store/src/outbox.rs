//! What is owed to the outside: messages to publish and effects to perform, each given to one process at a time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use incident::id::TenantId;
use serde::de::DeserializeOwned;

use crate::commit::claim_number;
use crate::limits::ROWS_MAX;
use crate::{Store, StoreError};

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Unique per tenant, and the same for every sending: its idempotency key.
    pub id: String,
    /// Where to.
    pub subject: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub body: Vec<u8>,
}

/// What is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owed {
    /// A message.
    Publication(Publication),
    /// An effect.
    Effect {
        /// Name within the entity.
        name: String,
        /// What, as JSON; see [`OutboxRow::effect`].
        body: Vec<u8>,
    },
}

/// A row of the outbox, claimed by this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Whose.
    pub tenant: TenantId,
    /// `<entity>/<name>` of an effect, the publication's id of a publication: unique per tenant.
    pub id: String,
    /// The entity that owes it.
    pub entity: String,
    /// How often it was claimed, this time included: above 1, it may have been done already.
    pub attempts: u32,
    /// W3C `traceparent` of the commit that wrote it.
    pub trace: Option<String>,
    /// Since when it is owed.
    pub created_at: DateTime<Utc>,
    /// What.
    pub owed: Owed,
}

/// The claim of one process on one row: it ends with the next claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Whose.
    pub tenant: TenantId,
    /// Which row.
    pub id: String,
    /// The claim's number: the token.
    pub attempts: u32,
}

impl OutboxRow {
    /// This process's claim on the row.
    pub fn lease(&self) -> Lease {
        Lease { tenant: self.tenant.clone(), id: self.id.clone(), attempts: self.attempts }
    }

    /// The effect's name and what it is; none for a publication.
    ///
    /// # Errors
    /// If it is not what this program writes.
    pub fn effect<E: DeserializeOwned>(&self) -> Result<Option<(&str, E)>, StoreError> {
        let Owed::Effect { name, body } = &self.owed else { return Ok(None) };
        let effect = serde_json::from_slice(body).map_err(|error| unreadable("effect", &self.id, &error))?;
        Ok(Some((name, effect)))
    }
}

// Row by row here and below: a join could be planned as reading the whole table.
const CLAIM: &str = "
    update outbox o set attempts = o.attempts + 1, lease_until = $3
    where o.ctid = any(array(
        select due.ctid from outbox due
        where due.lease_until <= $1
        order by due.lease_until, due.seq limit $2 for update skip locked
    ))
    returning o.seq, o.tenant, o.id, o.entity, o.kind, o.target, o.headers::text as headers, o.body, o.trace, o.created_at, o.attempts";

// Who claims a row meanwhile is seen by the row itself, not by its place.
const RENEW: &str = "
    update outbox o set lease_until = $4
    where (o.tenant, o.id, o.attempts) in (select * from unnest($1::text[], $2::text[], $3::int[])) and o.ctid = any(array(
        select (select k.ctid from outbox k where k.tenant = l.tenant and k.id = l.id)
        from unnest($1::text[], $2::text[]) as l (tenant, id)
    ))
    returning o.tenant, o.id";

// The only write that may be lost: a row that comes back after a crash is published again, which its readers' inboxes make harmless.
// So its commit does not wait for the disk, which others who do wait have to themselves (0.2 ms instead of 0.6, and no fsync).
const DELETE_PUBLISHED: &str = "
    delete from outbox o
    where (select set_config('synchronous_commit', 'off', true)) = 'off' and o.kind = 'publish' and o.ctid = any(array(
        select (select k.ctid from outbox k where k.tenant = p.tenant and k.id = p.id)
        from unnest($1::text[], $2::text[]) as p (tenant, id)
    ))";

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    tenant: String,
    id: String,
    entity: String,
    kind: String,
    target: String,
    headers: Option<String>,
    body: Vec<u8>,
    trace: Option<String>,
    created_at: DateTime<Utc>,
    attempts: i32,
}

impl Store {
    /// Takes up to `limit` rows that nobody holds at `now`, oldest first. Nobody else gets them until `lease` is over; what a
    /// process left behind when it died comes back after that.
    ///
    /// # Errors
    /// If Postgres does not answer, or a row cannot be read.
    pub async fn claim_outbox(&self, limit: u32, lease: Duration, now: DateTime<Utc>) -> Result<Vec<OutboxRow>, StoreError> {
        let query = sqlx::query_as(CLAIM).bind(now).bind(i64::from(limit.min(ROWS_MAX))).bind(lease_end(now, lease));
        let mut rows: Vec<Row> = self.run("claim-outbox", async |c| query.fetch_all(c).await).await?;
        rows.sort_by_key(|row| row.seq);
        rows.into_iter().map(OutboxRow::try_from).collect()
    }

    /// Holds these rows until `until`: longer, for an effect that takes its time; or until an effect shall be tried again. Answers
    /// with those that are still this process's; the others were claimed by somebody else, or are done.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn renew(&self, leases: &[Lease], until: DateTime<Utc>) -> Result<Vec<Lease>, StoreError> {
        if leases.is_empty() {
            return Ok(vec![]);
        }
        let tenants: Vec<&str> = leases.iter().map(|l| l.tenant.as_str()).collect();
        let ids: Vec<&str> = leases.iter().map(|l| l.id.as_str()).collect();
        let attempts: Vec<i32> = leases.iter().map(|l| claim_number(l.attempts)).collect();
        let query = sqlx::query_as(RENEW).bind(tenants).bind(ids).bind(attempts).bind(until);
        let held: Vec<(String, String)> = self.run("renew-outbox", async |c| query.fetch_all(c).await).await?;
        let is_held = |l: &&Lease| held.iter().any(|(tenant, id)| *tenant == l.tenant.as_str() && *id == l.id);
        Ok(leases.iter().filter(is_held).cloned().collect())
    }

    /// Removes publications that the bus has taken, whoever holds them: published is published. Effects stay until their outcome
    /// is handled. Answers with how many were there.
    ///
    /// # Errors
    /// If Postgres does not answer: then they are published again later, under the same ids.
    pub async fn delete_published(&self, published: &[Lease]) -> Result<u64, StoreError> {
        if published.is_empty() {
            return Ok(0);
        }
        let tenants: Vec<&str> = published.iter().map(|l| l.tenant.as_str()).collect();
        let ids: Vec<&str> = published.iter().map(|l| l.id.as_str()).collect();
        let query = sqlx::query(DELETE_PUBLISHED).bind(tenants).bind(ids);
        Ok(self.run("delete-published", async |c| query.execute(c).await).await?.rows_affected())
    }
}

/// When a lease taken at `now` is over.
pub(crate) fn lease_end(now: DateTime<Utc>, lease: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(lease).ok().and_then(|lease| now.checked_add_signed(lease)).unwrap_or(now)
}

pub(crate) fn tenant_of(tenant: String) -> Result<TenantId, StoreError> {
    let row = tenant.clone();
    TenantId::try_from(tenant).map_err(|error| unreadable("tenant", &row, &error))
}

pub(crate) fn unreadable(what: &'static str, row: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unreadable { what, row: row.to_owned(), reason: error.to_string() }
}

impl TryFrom<Row> for OutboxRow {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self, StoreError> {
        let owed = match row.kind.as_str() {
            "publish" => {
                let headers = serde_json::from_str(row.headers.as_deref().unwrap_or("[]"))
                    .map_err(|error| unreadable("headers", &row.id, &error))?;
                Owed::Publication(Publication { id: row.id.clone(), subject: row.target, headers, body: row.body })
            }
            "effect" => Owed::Effect { name: row.target, body: row.body },
            other => return Err(unreadable("kind", &row.id, &format!("{other:?} is neither publish nor effect"))),
        };
        let attempts = row.attempts.unsigned_abs();
        Ok(Self {
            tenant: tenant_of(row.tenant)?,
            id: row.id,
            entity: row.entity,
            attempts,
            trace: row.trace,
            created_at: row.created_at,
            owed,
        })
    }
}
