//! `/v1/incidents`: how incidents stand and what happened in them, from the ledger's views.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use incident::alert::Severity;
use incident::fact::Fact;
use incident::id::IncidentId;
use incident::order::Attendance;
use incident::task::Phase;
use serde::Serialize;
use store::{IncidentQuery, IncidentSummary};

use crate::edge::{Edge, refuse, store_failed};
use crate::page::{self, Page};
use crate::problem::{Kind, Problem};
use crate::tenants::Tenant;

/// An incident as it stands.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    incident: IncidentId,
    title: String,
    severity: Severity,
    phase: Phase,
    opened_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    outcome: Option<String>,
    updated_at: DateTime<Utc>,
    /// The incident of the same alerts that ended before, if there is one.
    follows: Option<IncidentId>,
    /// Who has it.
    #[serde(flatten)]
    attendance: Attendance,
}

impl From<IncidentSummary> for View {
    fn from(summary: IncidentSummary) -> Self {
        let IncidentSummary { incident, title, severity, phase, opened_at, closed_at, outcome, updated_at, follows, attendance } =
            summary;
        Self { incident, title, severity, phase, opened_at, closed_at, outcome, updated_at, follows, attendance }
    }
}

/// A fact in its place in the audit chain.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    seq: u64,
    #[serde(flatten)]
    fact: Fact,
}

pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Page<View>>, Problem> {
    let caller = edge.caller(&headers)?;
    let asked = page::read(query.as_deref(), &["state", "limit", "cursor"]).map_err(|problem| refuse("api", problem))?;
    let after = asked.cursor(page::after).map_err(|problem| refuse("api", problem))?;
    let query = IncidentQuery { state: asked.state, after, limit: asked.limit };
    let incidents = edge.parts.store.incidents(&caller.tenant.id, &query).await.map_err(|error| store_failed(&error))?;
    let next = page::next(&incidents, asked.limit);
    Ok(Json(Page { items: incidents.into_iter().map(View::from).collect(), next }))
}

pub(crate) async fn show(
    State(edge): State<Arc<Edge>>,
    Path(incident): Path<String>,
    headers: HeaderMap,
) -> Result<Json<View>, Problem> {
    let caller = edge.caller(&headers)?;
    Ok(Json(find(&edge, caller.tenant, &incident).await?.into()))
}

pub(crate) async fn timeline(
    State(edge): State<Arc<Edge>>,
    Path(incident): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Page<Entry>>, Problem> {
    let caller = edge.caller(&headers)?;
    let asked = page::read(query.as_deref(), &["cursor", "limit"]).map_err(|problem| refuse("api", problem))?;
    let incident = find(&edge, caller.tenant, &incident).await?.incident;
    let after = asked.cursor(|text| text.parse().ok()).map_err(|problem| refuse("api", problem))?.unwrap_or_default();
    let facts = edge.parts.store.timeline(&caller.tenant.id, &incident, after, asked.limit).await;
    let facts = facts.map_err(|error| store_failed(&error))?;
    let is_full = facts.len() >= usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let next = facts.last().filter(|_| is_full).map(|(seq, _)| seq.to_string());
    Ok(Json(Page { items: facts.into_iter().map(|(seq, fact)| Entry { seq, fact }).collect(), next }))
}

pub(crate) async fn find(edge: &Edge, tenant: &Tenant, incident: &str) -> Result<IncidentSummary, Problem> {
    let none = || Problem::new(Kind::NotFound, "no such incident; GET /v1/incidents lists them");
    let incident: IncidentId = incident.parse().map_err(|_| none())?;
    let found = edge.parts.store.incident(&tenant.id, &incident).await.map_err(|error| store_failed(&error))?;
    found.ok_or_else(none)
}
