//! Timers that are due, each given to one process at a time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use incident::id::TenantId;

use crate::limits::ROWS_MAX;
use crate::outbox::{lease_end, tenant_of};
use crate::{Store, StoreError};

/// A timer that is due. Handling it (with this very due time) removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTimer {
    /// Whose.
    pub tenant: TenantId,
    /// Which entity's.
    pub entity: String,
    /// Name within the entity.
    pub name: String,
    /// When it was due.
    pub due: DateTime<Utc>,
    /// W3C `traceparent` of the commit that set it.
    pub trace: Option<String>,
}

// By place: a join could be planned as reading the whole table.
const CLAIM: &str = "
    update timer t set lease_until = $3
    where t.ctid = any(array(
        select due.ctid from timer due
        where due.due_at <= $1 and due.lease_until <= $1
        order by due.due_at limit $2 for update skip locked
    ))
    returning t.tenant, t.entity, t.name, t.due_at, t.trace";

impl Store {
    /// Takes up to `limit` timers that are due at `now`, the longest due first. Nobody else gets them until `lease` is over; a
    /// timer whose process died comes back after that.
    ///
    /// # Errors
    /// If Postgres does not answer, or a row cannot be read.
    pub async fn claim_timers(&self, limit: u32, lease: Duration, now: DateTime<Utc>) -> Result<Vec<DueTimer>, StoreError> {
        type Row = (String, String, String, DateTime<Utc>, Option<String>);
        let query = sqlx::query_as(CLAIM).bind(now).bind(i64::from(limit.min(ROWS_MAX))).bind(lease_end(now, lease));
        let mut rows: Vec<Row> = self.run("claim-timers", async |c| query.fetch_all(c).await).await?;
        rows.sort_by_key(|row| row.3);
        let timer = |(tenant, entity, name, due, trace)| Ok(DueTimer { tenant: tenant_of(tenant)?, entity, name, due, trace });
        rows.into_iter().map(timer).collect()
    }
}
