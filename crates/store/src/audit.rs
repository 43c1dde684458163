//! The auditor: looks for entities that are open and wait for nothing, and gives each a timer, so that its agent decides afresh (P6).
//!
//! There should be none. A row that somebody deleted, a restored backup that lacks one, or a mistake of ours would else keep an incident
//! "working" for ever.

use chrono::{DateTime, TimeDelta, Utc};
use incident::agent::AUDIT;
use incident::id::TenantId;

use crate::limits::ROWS_MAX;
use crate::outbox::tenant_of;
use crate::{Store, StoreError};

/// How far an audit has come: the next goes on after this, so that each is short whatever there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPlace {
    tenant: String,
    digest: String,
}

/// What a part of an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// Entities that waited for nothing, and have a timer now.
    pub set_going: Vec<(TenantId, String)>,
    /// Where to go on; none: all that is open was looked at.
    pub next: Option<AuditPlace>,
}

/// Of those that nobody has touched since `$4`. What is owed is looked up only for the few that have no timer.
const LOOK: &str = "
    with page as materialized (
        select tenant, id, open_digest, updated_at from entity
        where open_digest is not null and (tenant, open_digest) > ($1, $2)
        order by tenant, open_digest limit $3
    ), idle as materialized (
        select p.tenant, p.id from page p
        where p.updated_at <= $4 and not exists (select from timer t where t.tenant = p.tenant and t.entity = p.id)
    ), set_going as (
        insert into timer (tenant, entity, name, due_at, lease_until)
        select i.tenant, i.id, $5, $6, 'epoch' from idle i
        where not exists (select from outbox o where o.tenant = i.tenant and o.entity = i.id)
        on conflict do nothing
        returning tenant, entity
    )
    select
        array(select tenant from set_going order by tenant, entity),
        array(select entity from set_going order by tenant, entity),
        (select count(*) from page),
        (select tenant from page order by tenant desc, open_digest desc limit 1),
        (select open_digest from page order by tenant desc, open_digest desc limit 1)";

impl Store {
    /// Looks at up to `limit` open entities after `from`. One that has no timer and is owed nothing, though nobody has touched it for
    /// `idle`, gets the timer [`AUDIT`], due at `now`.
    ///
    /// # Errors
    /// If Postgres does not answer, or a row cannot be read.
    pub async fn audit(&self, from: &AuditPlace, limit: u32, idle: TimeDelta, now: DateTime<Utc>) -> Result<Audited, StoreError> {
        type Row = (Vec<String>, Vec<String>, i64, Option<String>, Option<String>);
        let limit = i64::from(limit.min(ROWS_MAX));
        let query = sqlx::query_as(LOOK).bind(&from.tenant).bind(&from.digest).bind(limit);
        let query = query.bind(now - idle).bind(AUDIT).bind(now);
        let (tenants, entities, looked_at, tenant, digest): Row = self.run("audit", async |c| query.fetch_one(c).await).await?;
        let set_going: Result<_, StoreError> =
            tenants.into_iter().zip(entities).map(|(tenant, entity)| Ok((tenant_of(tenant)?, entity))).collect();
        let last = tenant.zip(digest).map(|(tenant, digest)| AuditPlace { tenant, digest });
        Ok(Audited { set_going: set_going?, next: last.filter(|_| looked_at == limit) })
    }
}
