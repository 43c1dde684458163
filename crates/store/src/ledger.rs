//! Read models of the ledger: the audit chain for verification and export, incidents and timelines for the page and the API. Read
//! through the ledger's views, which the gateway's login may use too.

use chrono::{DateTime, Utc};
use incident::alert::Severity;
use incident::fact::{Fact, What};
use incident::id::{IncidentId, OrderId, TenantId};
use incident::order::Attendance;
use incident::plan::Digest;
use incident::record::{Head, Record};
use incident::task::Phase;
use serde::de::DeserializeOwned;

use crate::limits::ROWS_MAX;
use crate::outbox::unreadable;
use crate::{Store, StoreError};

/// How an incident stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentSummary {
    /// Which.
    pub incident: IncidentId,
    /// What is wrong with what.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// Where it is on its way.
    pub phase: Phase,
    /// When it began.
    pub opened_at: DateTime<Utc>,
    /// When it ended, if it has.
    pub closed_at: Option<DateTime<Utc>>,
    /// How it ended, if it has.
    pub outcome: Option<String>,
    /// When one of the above last changed.
    pub updated_at: DateTime<Utc>,
    /// The incident of the same alerts that ended before, if there is one.
    pub follows: Option<IncidentId>,
    /// Who has it.
    pub attendance: Attendance,
}

/// Which incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncidentState {
    /// All.
    #[default]
    Any,
    /// Those that are not over.
    Open,
    /// Those that are.
    Closed,
}

/// The last incident of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// Which.
    pub incident: IncidentId,
}

/// One page of incidents, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentQuery {
    /// Which.
    pub state: IncidentState,
    /// The last one of the page before; none for the first page.
    pub after: Option<After>,
    /// How many at most.
    pub limit: u32,
}

const INCIDENTS: &str = "
    select incident, title, severity, phase, opened_at, closed_at, outcome, updated_at, follows, attendance from ledger.incident_view
    where tenant = $1 and ($2::boolean is null or (closed_at is null) = $2)
        and ($3::timestamptz is null or (opened_at, incident) < ($3, $4))
    order by opened_at desc, incident desc limit $5";

const INCIDENT: &str = "
    select incident, title, severity, phase, opened_at, closed_at, outcome, updated_at, follows, attendance from ledger.incident_view
    where tenant = $1 and incident = $2";

const TIMELINE: &str = "
    select seq, body::text from ledger.timeline_view
    where tenant = $1 and incident = $2 and seq > $3 order by seq limit $4";

const ALERTS: &str = "
    select seq, body::text from ledger.timeline_view
    where tenant = $1 and kind = 'alert_changed' and at > $2 order by at desc limit $3";

const ORDERS: &str = "
    select seq, body::text from ledger.timeline_view
    where tenant = $1 and incident = $2 and kind in ('ordered', 'order_refused') order by seq desc limit $3";

/// The ledger keeps the end of each tenant's chain as the entity of this id.
const HEAD: &str = "
    select state::text from ledger.entity where tenant = $1 and id = 'chain'";

const RECORDS: &str = "
    select seq, prev_hash, hash, fact_id, incident, at, kind, by_role, body::text as body from ledger.record
    where tenant = $1 and seq >= $2 order by seq limit $3";

#[derive(sqlx::FromRow)]
struct SummaryRow {
    incident: String,
    title: String,
    severity: String,
    phase: String,
    opened_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    outcome: Option<String>,
    updated_at: DateTime<Utc>,
    follows: Option<String>,
    attendance: Option<String>,
}

#[derive(sqlx::FromRow)]
struct RecordRow {
    seq: i64,
    prev_hash: String,
    hash: String,
    fact_id: String,
    incident: String,
    at: DateTime<Utc>,
    kind: String,
    by_role: String,
    body: String,
}

impl Store {
    /// One page of a tenant's incidents.
    ///
    /// # Errors
    /// If Postgres does not answer, or a row cannot be read.
    pub async fn incidents(&self, tenant: &TenantId, query: &IncidentQuery) -> Result<Vec<IncidentSummary>, StoreError> {
        let is_open = match query.state {
            IncidentState::Any => None,
            IncidentState::Open => Some(true),
            IncidentState::Closed => Some(false),
        };
        let (at, incident) = query.after.as_ref().map(|after| (after.opened_at, after.incident.as_str())).unzip();
        let limit = i64::from(query.limit.min(ROWS_MAX));
        let query = sqlx::query_as(INCIDENTS).bind(tenant.as_str()).bind(is_open).bind(at).bind(incident).bind(limit);
        let rows: Vec<SummaryRow> = self.run("incidents", async |c| query.fetch_all(c).await).await?;
        rows.into_iter().map(IncidentSummary::try_from).collect()
    }

    /// One incident; none if the tenant has no such.
    ///
    /// # Errors
    /// If Postgres does not answer, or the row cannot be read.
    pub async fn incident(&self, tenant: &TenantId, incident: &IncidentId) -> Result<Option<IncidentSummary>, StoreError> {
        let query = sqlx::query_as(INCIDENT).bind(tenant.as_str()).bind(incident.as_str());
        let row: Option<SummaryRow> = self.run("incident", async |c| query.fetch_optional(c).await).await?;
        row.map(IncidentSummary::try_from).transpose()
    }

    /// Facts of an incident in the order of the chain, with their places, after place `after`.
    ///
    /// # Errors
    /// If Postgres does not answer, or a fact cannot be read.
    pub async fn timeline(
        &self,
        tenant: &TenantId,
        incident: &IncidentId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Fact)>, StoreError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let query = sqlx::query_as(TIMELINE).bind(tenant.as_str()).bind(incident.as_str());
        let query = query.bind(after).bind(i64::from(limit.min(ROWS_MAX)));
        let rows: Vec<(i64, String)> = self.run("timeline", async |c| query.fetch_all(c).await).await?;
        let entry = |(seq, body): (i64, String)| Ok((seq.unsigned_abs(), fact(seq, &body)?));
        rows.into_iter().map(entry).collect()
    }

    /// Facts of alerts that began to fire or ended after `since`, newest first.
    ///
    /// # Errors
    /// If Postgres does not answer, or a fact cannot be read.
    pub async fn alerts_since(&self, tenant: &TenantId, since: DateTime<Utc>, limit: u32) -> Result<Vec<Fact>, StoreError> {
        let query = sqlx::query_as(ALERTS).bind(tenant.as_str()).bind(since).bind(i64::from(limit.min(ROWS_MAX)));
        let rows: Vec<(i64, String)> = self.run("alerts-since", async |c| query.fetch_all(c).await).await?;
        rows.into_iter().map(|(seq, body)| fact(seq, &body)).collect()
    }

    /// The fact that tells what came of an order; none: nothing yet.
    ///
    /// # Errors
    /// If Postgres does not answer, or the fact cannot be read.
    pub async fn answer_to_order(
        &self,
        tenant: &TenantId,
        incident: &IncidentId,
        order: &OrderId,
    ) -> Result<Option<Fact>, StoreError> {
        let query = sqlx::query_as(ORDERS).bind(tenant.as_str()).bind(incident.as_str()).bind(i64::from(ROWS_MAX));
        let rows: Vec<(i64, String)> = self.run("answer-to-order", async |c| query.fetch_all(c).await).await?;
        let mut facts = rows.into_iter().map(|(seq, body)| fact(seq, &body));
        let answers = |fact: &Result<Fact, _>| match fact.as_ref().map(|fact| &fact.what) {
            Ok(What::Ordered { order: answered, .. } | What::OrderRefused { order: answered, .. }) => answered == order,
            Ok(_) => false,
            Err(_) => true,
        };
        facts.find(answers).transpose()
    }

    /// Where the audit chain of a tenant ends, by the ledger's own memory and not by its records; none if it never began. Only the
    /// ledger may.
    ///
    /// # Errors
    /// If Postgres does not answer, or what it has is no head.
    pub async fn audit_head(&self, tenant: &TenantId) -> Result<Option<Head>, StoreError> {
        let query = sqlx::query_scalar(HEAD).bind(tenant.as_str());
        let state: Option<String> = self.run("audit-head", async |c| query.fetch_optional(c).await).await?;
        let read = |text: String| serde_json::from_str(&text).map_err(|error| unreadable("state", "chain", &error));
        state.map(read).transpose()
    }

    /// A stretch of the audit chain, from place `from` on, for verification and export. An empty answer is the end. Only the ledger
    /// may.
    ///
    /// # Errors
    /// If Postgres does not answer, or a record cannot be read: its columns contradict its fact, or the fact is none.
    pub async fn audit_records(&self, tenant: &TenantId, from: u64, limit: u32) -> Result<Vec<Record>, StoreError> {
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let query = sqlx::query_as(RECORDS).bind(tenant.as_str()).bind(from).bind(i64::from(limit.min(ROWS_MAX)));
        let rows: Vec<RecordRow> = self.run("audit-records", async |c| query.fetch_all(c).await).await?;
        rows.into_iter().map(Record::try_from).collect()
    }
}

fn fact(seq: i64, body: &str) -> Result<Fact, StoreError> {
    serde_json::from_str(body).map_err(|error| unreadable("fact", &format!("record {seq}"), &error))
}

/// The enum that a word is in JSON.
fn enum_of<T: DeserializeOwned>(what: &'static str, row: &str, word: String) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|error| unreadable(what, row, &error))
}

impl TryFrom<RecordRow> for Record {
    type Error = StoreError;
    fn try_from(row: RecordRow) -> Result<Self, StoreError> {
        let fact = fact(row.seq, &row.body)?;
        // The hash covers the fact; the columns beside it are what people query, so they must say the same.
        let agrees = fact.id == row.fact_id
            && fact.incident.as_str() == row.incident
            && fact.at.timestamp_micros() == row.at.timestamp_micros()
            && fact.what.kind() == row.kind
            && fact.by.as_str() == row.by_role;
        if !agrees {
            return Err(unreadable("columns", &format!("record {}", row.seq), &"they contradict the fact"));
        }
        Ok(Self { seq: row.seq.unsigned_abs(), previous: Digest(row.prev_hash), fact, hash: Digest(row.hash) })
    }
}

impl TryFrom<SummaryRow> for IncidentSummary {
    type Error = StoreError;
    fn try_from(row: SummaryRow) -> Result<Self, StoreError> {
        let severity = enum_of("severity", &row.incident, row.severity)?;
        let phase = enum_of("phase", &row.incident, row.phase)?;
        let name = row.incident.clone();
        let read = |text: String| serde_json::from_str(&text).map_err(|error| unreadable("attendance", &name, &error));
        let attendance: Option<Attendance> = row.attendance.map(read).transpose()?;
        let id = |text: String| IncidentId::try_from(text).map_err(|error| unreadable("incident", &name, &error));
        Ok(Self {
            incident: id(row.incident)?,
            follows: row.follows.map(id).transpose()?,
            attendance: attendance.unwrap_or_default(),
            title: row.title,
            severity,
            phase,
            opened_at: row.opened_at,
            closed_at: row.closed_at,
            outcome: row.outcome,
            updated_at: row.updated_at,
        })
    }
}
