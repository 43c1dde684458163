//! `POST /v1/silences/import`: the silences of an Alertmanager, as its own API v2 lists them
//! (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>, `gettableSilences`). Nothing is asked of it and nothing
//! written there. Importing again brings up to date what was imported before.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use chrono::{DateTime, Utc};
use incident::id::{PersonId, SilenceId, TenantId};
use incident::matcher::Matcher;
use incident::silence::{Silence, SilenceOrder, Silences, Source};
use runtime::clock;
use serde::{Deserialize, Serialize};

use super::{Memory, load, order, read_up_to};
use crate::edge::{Edge, refuse};
use crate::problem::Problem;

/// All silences of an Alertmanager, those that ended lately included.
pub(super) const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Who wrote nothing there is not asked here.
const NO_COMMENT: &str = "no comment in Alertmanager";

/// A silence of Alertmanager.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Theirs {
    id: String,
    status: Status,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    created_by: String,
    matchers: Vec<TheirMatcher>,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
struct Status {
    state: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Expired,
    Active,
    Pending,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TheirMatcher {
    name: String,
    value: String,
    is_regex: bool,
    /// Older ones have no such field, and mean equal.
    is_equal: Option<bool>,
}

/// What became of an import.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the words that a person reads")]
pub(crate) struct Imported {
    /// Silences that are made, or as they were.
    imported: Vec<SilenceId>,
    /// Silences of an earlier import that ended there, and so here.
    ended: Vec<SilenceId>,
    /// Those that are not taken, and why.
    pub(super) skipped: Vec<Skipped>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Skipped {
    /// Alertmanager's id.
    pub(super) alertmanager: String,
    pub(super) why: String,
}

pub(crate) async fn import(State(edge): State<Arc<Edge>>, request: Request) -> Result<Json<Imported>, Problem> {
    let (head, body) = request.into_parts();
    let caller = edge.caller(&head.headers)?;
    let imported = async {
        let theirs: Vec<Theirs> = read_up_to(&head.headers, body, BODY_BYTES_MAX).await?;
        take_over(theirs, edge.memory(), For { tenant: &caller.tenant.id, owner: &caller.person.id }).await
    };
    imported.await.map(Json).map_err(|problem| refuse("api", problem))
}

/// For whom silences are taken over.
#[derive(Debug, Clone, Copy)]
pub(super) struct For<'a> {
    pub(super) tenant: &'a TenantId,
    /// Who answers for them.
    pub(super) owner: &'a PersonId,
}

/// Makes theirs ours. What is as it was is not written again: every change has all incidents look whether they are muted.
pub(super) async fn take_over(theirs: Vec<Theirs>, memory: Memory<'_>, by: For<'_>) -> Result<Imported, Problem> {
    let known = load(memory.store, by.tenant).await?;
    let (mut all, mut imported) = take(theirs, &known, by, clock::now());
    all.retain(|silence| known.get(&silence.id) != Some(silence));
    if !all.is_empty() {
        let silences = order(memory, by.tenant, SilenceOrder::Put(all)).await?;
        imported.imported.retain(|id| silences.get(id).is_some());
    }
    Ok(imported)
}

/// What is to be put, and what becomes of each.
fn take(theirs: Vec<Theirs>, known: &Silences, by: For<'_>, now: DateTime<Utc>) -> (Vec<Silence>, Imported) {
    let mut all = vec![];
    let mut imported = Imported { imported: vec![], ended: vec![], skipped: vec![] };
    for theirs in theirs {
        let id = name(by.tenant, &theirs.id);
        let before = known.get(&id);
        if theirs.status.state == Stage::Expired {
            if let Some(before) = before.filter(|before| before.ends_at > now) {
                all.push(Silence { ends_at: now, starts_at: before.starts_at.min(now), ..before.clone() });
                imported.ended.push(id);
            }
            continue;
        }
        let alertmanager = theirs.id.clone();
        // Whoever imported it first goes on to answer for it.
        let owner = before.map_or(by.owner, |before| &before.owner).clone();
        let ours = ours(theirs, id.clone(), owner).and_then(|silence| {
            silence.check(now).map_err(|error| error.to_string())?;
            Ok(silence)
        });
        match ours {
            Ok(silence) => {
                all.push(silence);
                imported.imported.push(id);
            }
            Err(why) => imported.skipped.push(Skipped { alertmanager, why }),
        }
    }
    (all, imported)
}

/// One of theirs has one name here, so that importing it again is importing it once.
fn name(tenant: &TenantId, theirs: &str) -> SilenceId {
    SilenceId::derive(&[tenant.as_str(), "alertmanager", theirs])
}

fn ours(theirs: Theirs, id: SilenceId, owner: PersonId) -> Result<Silence, String> {
    let Theirs { id: their_id, comment, created_by, matchers, starts_at, ends_at, status: _ } = theirs;
    let matchers: Result<Vec<Matcher>, String> = matchers.into_iter().map(matcher).collect();
    let comment = comment.trim();
    let reason = if comment.is_empty() { NO_COMMENT } else { comment }.to_owned();
    let source = Source::Alertmanager { id: their_id, created_by };
    Ok(Silence { id, owner, reason, matchers: matchers?, starts_at, ends_at, source })
}

fn matcher(theirs: TheirMatcher) -> Result<Matcher, String> {
    let TheirMatcher { name, value, is_regex, is_equal } = theirs;
    let sign = match (is_regex, is_equal.unwrap_or(true)) {
        (true, true) => "=~",
        (true, false) => "!~",
        (false, true) => "=",
        (false, false) => "!=",
    };
    format!("{name}{sign}\"{value}\"").parse().map_err(|error: incident::matcher::BadMatcher| error.to_string())
}
