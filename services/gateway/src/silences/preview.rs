//! What a silence would have muted lately: asked before it is made, so that nobody mutes more than they mean to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use chrono::{DateTime, TimeDelta, Utc};
use incident::fact::{Fact, What};
use incident::id::IncidentId;
use incident::matcher::{Matcher, all_satisfied};
use incident::silence::check_scope;
use runtime::clock;
use serde::{Deserialize, Serialize};
use store::IncidentSummary;

use super::{against, read, read_matchers};
use crate::edge::{Edge, refuse, store_failed};
use crate::problem::Problem;
use crate::tenants::Caller;

/// A day has all times of load in it.
const HOURS: u32 = 24;
/// A week has its weekend, too.
const HOURS_MAX: u32 = 168;
/// Alerts looked at, newest first: what one statement reads.
const ALERTS_MAX: u32 = 1_000;
/// Incidents named: enough to see what one is about to mute.
const INCIDENTS_MAX: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    matchers: Vec<String>,
    hours: Option<u32>,
}

/// What would have been muted.
#[derive(Debug, Serialize)]
pub(crate) struct Preview {
    since: DateTime<Utc>,
    /// Alerts that began to fire since then, as far as they were looked at.
    looked_at: usize,
    /// Whether that is not all, because there were more.
    is_partial: bool,
    /// Those that would have been muted.
    alerts: usize,
    /// Incidents with such alerts, newest first.
    incidents: Vec<Hit>,
}

/// An incident that would have been muted, whole or in part.
#[derive(Debug, Serialize)]
struct Hit {
    incident: IncidentId,
    title: String,
    is_open: bool,
    /// Alerts of it that would have been muted.
    muted: usize,
    /// All that began to fire in it since then.
    alerts: usize,
}

pub(crate) async fn preview(State(edge): State<Arc<Edge>>, request: Request) -> Result<Json<Preview>, Problem> {
    let (head, body) = request.into_parts();
    let caller = edge.caller(&head.headers)?;
    let asked = async { look(&edge, caller, read::<Asked>(&head.headers, body).await?).await };
    asked.await.map(Json).map_err(|problem| refuse("api", problem))
}

async fn look(edge: &Edge, caller: Caller<'_>, asked: Asked) -> Result<Preview, Problem> {
    let matchers = read_matchers(&asked.matchers)?;
    check_scope(&matchers).map_err(against)?;
    let since = clock::now() - TimeDelta::hours(i64::from(asked.hours.unwrap_or(HOURS).clamp(1, HOURS_MAX)));
    let tenant = &caller.tenant.id;
    let facts = edge.parts.store.alerts_since(tenant, since, ALERTS_MAX).await.map_err(|error| store_failed(&error))?;
    let is_partial = facts.len() >= usize::try_from(ALERTS_MAX).unwrap_or(usize::MAX);
    let Muted { looked_at, alerts, by_incident } = muted(&facts, &matchers);
    let mut incidents = vec![];
    for (incident, (muted, alerts)) in by_incident.into_iter().filter(|(_, (muted, _))| *muted > 0).take(INCIDENTS_MAX) {
        let known = edge.parts.store.incident(tenant, incident).await.map_err(|error| store_failed(&error))?;
        if let Some(IncidentSummary { incident, title, closed_at, opened_at, .. }) = known {
            incidents.push((opened_at, Hit { incident, title, is_open: closed_at.is_none(), muted, alerts }));
        }
    }
    incidents.sort_by_key(|(opened_at, _)| std::cmp::Reverse(*opened_at));
    let incidents = incidents.into_iter().map(|(_, hit)| hit).collect();
    Ok(Preview { since, looked_at, is_partial, alerts, incidents })
}

struct Muted<'a> {
    looked_at: usize,
    alerts: usize,
    /// Muted alerts and all alerts of each incident.
    by_incident: BTreeMap<&'a IncidentId, (usize, usize)>,
}

/// Which alerts would have been muted; one that fired several times counts once.
fn muted<'a>(facts: &'a [Fact], matchers: &[Matcher]) -> Muted<'a> {
    let (mut seen, mut by_incident) = (BTreeSet::new(), BTreeMap::<&IncidentId, (usize, usize)>::new());
    let mut alerts = 0;
    for fact in facts {
        let What::AlertChanged { fingerprint, firing: true, labels, .. } = &fact.what else { continue };
        if !seen.insert((&fact.incident, fingerprint)) {
            continue;
        }
        let is_muted = usize::from(all_satisfied(matchers, labels));
        let counted = by_incident.entry(&fact.incident).or_default();
        *counted = (counted.0 + is_muted, counted.1 + 1);
        alerts += is_muted;
    }
    Muted { looked_at: seen.len(), alerts, by_incident }
}
