//! `/v1/silences`: people say what they want to hear nothing of for a while, and why. Each call comes with the person's own token; the
//! tenant is the token's.

mod followed;
mod imported;
mod preview;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use incident::agent::{Content, Locator};
use incident::agents::gateway::{Gateway, Kept};
use incident::handling::Answer;
use incident::id::{SilenceId, TenantId};
use incident::matcher::Matcher;
use incident::silence::{Silence, SilenceError, SilenceOrder, Silences, Source};
use runtime::{Handle, clock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::Store;
use tokio::time::Instant;

use crate::edge::{ANSWER_WITHIN, Edge, refuse, store_failed, unavailable};
use crate::page::{self, Page};
use crate::problem::{Kind, Problem, Violation};
use crate::tenants::Caller;
use crate::{body, json};

pub use followed::Following;
pub(crate) use imported::import;
pub(crate) use preview::preview;

/// Matchers and a reason.
const BODY_BYTES_MAX: usize = 32 * 1024;
/// The entity that all silences of a tenant are.
const ENTITY: &str = "silences";

/// Where silences are kept.
#[derive(Clone, Copy)]
struct Memory<'a> {
    /// By whom they are changed.
    ballots: &'a Handle<Gateway>,
    /// And from where they are read.
    store: &'a Store,
}

impl Edge {
    fn memory(&self) -> Memory<'_> {
        Memory { ballots: &self.parts.ballots, store: &self.parts.store }
    }
}

/// A silence that is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    matchers: Vec<String>,
    reason: String,
    /// Without it, now.
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    /// Instead of `ends_at`.
    minutes: Option<u32>,
}

/// Where a silence is in its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Pending,
    Active,
    Expired,
}

/// A silence in an answer.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    state: Stage,
    #[serde(flatten)]
    silence: Silence,
}

impl View {
    fn new(silence: Silence, now: DateTime<Utc>) -> Self {
        let state = match (now < silence.starts_at, now < silence.ends_at) {
            (_, false) => Stage::Expired,
            (true, true) => Stage::Pending,
            (false, true) => Stage::Active,
        };
        Self { state, silence }
    }
}

pub(crate) async fn add(State(edge): State<Arc<Edge>>, request: Request) -> Result<(StatusCode, Json<View>), Problem> {
    let (head, body) = request.into_parts();
    let caller = edge.caller(&head.headers)?;
    let now = clock::now();
    let made = async {
        let silence = wanted(read::<Wanted>(&head.headers, body).await?, caller, now)?;
        let id = silence.id.clone();
        let silences = order(edge.memory(), &caller.tenant.id, SilenceOrder::Put(vec![silence])).await?;
        let full = || Problem::new(Kind::Conflict, "there are 500 silences already: let some expire first");
        silences.get(&id).cloned().ok_or_else(full)
    };
    let made = made.await.map_err(|problem| refuse("api", problem))?;
    Ok((StatusCode::CREATED, Json(View::new(made, now))))
}

pub(crate) async fn expire(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<View>, Problem> {
    let caller = edge.caller(&headers)?;
    let tenant = &caller.tenant.id;
    let silence = find(&edge, tenant, &id).await?;
    if silence.ends_at <= clock::now() {
        return Err(refuse("api", Problem::new(Kind::Gone, "the silence is over already")));
    }
    let order = order(edge.memory(), tenant, SilenceOrder::Expire { id: silence.id.clone(), by: caller.person.id.clone() }).await;
    let silences = order.map_err(|problem| refuse("api", problem))?;
    silences.get(&silence.id).cloned().map(|silence| Json(View::new(silence, clock::now()))).ok_or_else(unknown)
}

pub(crate) async fn show(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<View>, Problem> {
    let caller = edge.caller(&headers)?;
    let silence = find(&edge, &caller.tenant.id, &id).await?;
    Ok(Json(View::new(silence, clock::now())))
}

/// Those that are not over, or with `?state=any` those of the last days too: the first to end comes first. There are at most 500.
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Page<View>>, Problem> {
    let caller = edge.caller(&headers)?;
    let asked = page::read(query.as_deref(), &["state"]).map_err(|problem| refuse("api", problem))?;
    let now = clock::now();
    let mut all = load(&edge.parts.store, &caller.tenant.id).await?.all;
    all.sort_by(|one, other| (one.ends_at, &one.id).cmp(&(other.ends_at, &other.id)));
    let views = all.into_iter().map(|silence| View::new(silence, now));
    let items = views.filter(|view| match asked.state {
        store::IncidentState::Any => true,
        store::IncidentState::Open => view.state != Stage::Expired,
        store::IncidentState::Closed => view.state == Stage::Expired,
    });
    Ok(Json(Page { items: items.collect(), next: None }))
}

fn wanted(wanted: Wanted, caller: Caller<'_>, now: DateTime<Utc>) -> Result<Silence, Problem> {
    let Wanted { matchers, reason, starts_at, ends_at, minutes } = wanted;
    let starts_at = starts_at.unwrap_or(now);
    let ends_at = match (ends_at, minutes) {
        (Some(ends_at), None) => ends_at,
        (None, Some(minutes)) => starts_at + TimeDelta::minutes(i64::from(minutes)),
        _ => return Err(broken("/ends_at", "must be there, or minutes instead: every silence ends")),
    };
    let random =
        clock::random_hex::<16>().map_err(|_| Problem::new(Kind::Internal, "the operating system gives no random bytes"))?;
    let silence = Silence {
        id: SilenceId::derive(&[caller.tenant.id.as_str(), &random]),
        owner: caller.person.id.clone(),
        reason: reason.trim().to_owned(),
        matchers: read_matchers(&matchers)?,
        starts_at,
        ends_at,
        source: Source::Paramedic,
    };
    silence.check(now).map_err(against)?;
    Ok(silence)
}

fn read_matchers(texts: &[String]) -> Result<Vec<Matcher>, Problem> {
    let read = |(n, text): (usize, &String)| {
        text.parse().map_err(|error: incident::matcher::BadMatcher| broken(format!("/matchers/{n}"), error.to_string()))
    };
    texts.iter().enumerate().map(read).collect()
}

fn broken(field: impl Into<String>, rule: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::invalid(vec![Violation { field: field.into(), rule: rule.into(), name: "silence" }])
}

fn against(error: SilenceError) -> Problem {
    broken(format!("/{}", error.field), error.rule)
}

fn unknown() -> Problem {
    Problem::new(Kind::NotFound, "no such silence; GET /v1/silences lists them")
}

async fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    read_up_to(headers, body, BODY_BYTES_MAX).await
}

async fn read_up_to<T: DeserializeOwned>(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<T, Problem> {
    body::check_type(headers, "application/json")?;
    json::read(&body::read(body, bytes_max).await?)
}

async fn find(edge: &Edge, tenant: &TenantId, id: &str) -> Result<Silence, Problem> {
    let id: SilenceId = id.parse().map_err(|_| unknown())?;
    load(&edge.parts.store, tenant).await?.get(&id).cloned().ok_or_else(unknown)
}

/// The silences as they are in the gateway's own memory: exact at this moment.
async fn load(store: &Store, tenant: &TenantId) -> Result<Silences, Problem> {
    let loaded = store.load::<Kept, ()>(tenant, &Locator::Id(ENTITY.to_owned()), &[]).await;
    match loaded.map_err(|error| store_failed(&error))?.stored.map(|stored| stored.entity.state) {
        Some(Kept::Silences { silences }) => Ok(silences),
        Some(Kept::Ballot(_) | Kept::Errand { .. }) | None => Ok(Silences::default()),
    }
}

/// Has an order carried out; answers with the silences after it.
async fn order(memory: Memory<'_>, tenant: &TenantId, order: SilenceOrder) -> Result<Silences, Problem> {
    let random =
        clock::random_hex::<16>().map_err(|_| Problem::new(Kind::Internal, "the operating system gives no random bytes"))?;
    let content = Content::Silence { tenant: tenant.clone(), order };
    let deadline = Instant::now() + ANSWER_WITHIN;
    match memory.ballots.submit(tenant.clone(), format!("silence-{random}"), content, deadline).await {
        Ok(Answer::Done { why, .. }) => {
            tracing::info!(tenant = tenant.as_str(), why, "silences were ordered");
            load(memory.store, tenant).await
        }
        Ok(Answer::Retry) | Err(_) => {
            Err(unavailable("it is not known whether it was recorded; look with `paramedic silence list`"))
        }
    }
}
