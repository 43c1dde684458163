//! A decision made durable: whole or not at all, and only if nothing changed since it was loaded.

use std::time::Duration;

use chrono::{DateTime, Utc};
use incident::agent::{Effect, Entity, LOOK, Timer};
use incident::handling::Input;
use incident::id::TenantId;
use incident::record::Record;
use serde::Serialize;
use sqlx::postgres::PgArguments;

use crate::error::lost_race;
use crate::limits::{check_id, check_size, storable};
use crate::load::open_digest;
use crate::outbox::{OutboxRow, Owed, Publication, lease_end};
use crate::record::{Append, COMMIT_RECORDS};
use crate::{Store, StoreError};

/// An input that is handled by a commit, by what it is known to the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Handled {
    /// A message, by its id: goes into the inbox.
    Message(String),
    /// A timer, with the due time it was claimed with: its row goes.
    Timer {
        /// Name within the entity.
        name: String,
        /// When it was due.
        due: DateTime<Utc>,
    },
    /// The outcome of an effect: its outbox row goes, if it is still held under this claim.
    Outcome {
        /// The effect's name within the entity.
        effect: String,
        /// The claim's number.
        claim: u32,
    },
}

impl<O> From<&Input<O>> for Handled {
    fn from(input: &Input<O>) -> Self {
        match input {
            Input::Message(message) => Self::Message(message.id.clone()),
            Input::Timer { name, due } => Self::Timer { name: name.clone(), due: *due },
            Input::Outcome { effect, claim, .. } => Self::Outcome { effect: effect.clone(), claim: *claim },
        }
    }
}

/// What is written in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Write<S, E> {
    /// Whose.
    pub tenant: TenantId,
    /// The entity that timers and effects belong to.
    pub id: String,
    /// Its revision as it was read; none: it must not exist.
    pub expected: Option<u64>,
    /// The entity as it shall be; none leaves it alone. Its id is `id`.
    pub next: Option<Entity<S>>,
    /// Inputs that are handled by this.
    pub handled: Vec<Handled>,
    /// Messages to send.
    pub publications: Vec<Publication>,
    /// Effects to perform.
    pub effects: Vec<Effect<E>>,
    /// Timers to set, move or take back.
    pub timers: Vec<Timer>,
    /// Records to append to the audit chain; the ledger's alone.
    pub records: Vec<Record>,
    /// Whether every open entity of the tenant gets the timer [`LOOK`].
    pub rouses: bool,
    /// W3C `traceparent` that goes with timers and outbox rows.
    pub trace: Option<String>,
    /// The time.
    pub now: DateTime<Utc>,
    /// How long the new outbox rows stay with this process.
    pub lease: Duration,
}

/// What a commit came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Done {
        /// The new outbox rows, which are claimed by this process, messages first: do them now.
        owed: Vec<OutboxRow>,
        /// Bytes of the entity's state as it is stored; 0 if it was left alone.
        state_bytes: usize,
    },
    /// Somebody else changed the entity, or handled an input, since it was loaded: load again.
    Lost,
}

const COMMIT: &str = "
    select outbox_id from commit_decision(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";

/// The timers are two milliseconds apart, so that ten thousand incidents do not all look at one moment.
const COMMIT_AND_ROUSE: &str = "
    with roused as (
        insert into timer (tenant, entity, name, due_at, lease_until)
        select $1, id, $23, $4 + row_number() over () * interval '2 milliseconds', 'epoch' from entity
        where tenant = $1 and open_digest is not null
        on conflict (tenant, entity, name) do update set due_at = excluded.due_at, lease_until = excluded.lease_until
    )
    select outbox_id from commit_decision(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";

impl Store {
    /// Commits a decision.
    ///
    /// # Errors
    /// If Postgres does not answer; then it may or may not be durable, and loading again tells. If something cannot be stored.
    pub async fn commit<S: Serialize, E: Serialize>(&self, write: &Write<S, E>) -> Result<Outcome, StoreError> {
        let owed = owed(write)?;
        let statement = match (write.records.is_empty(), write.rouses) {
            (false, _) => COMMIT_RECORDS,
            (true, true) => COMMIT_AND_ROUSE,
            (true, false) => COMMIT,
        };
        let state = write.next.as_ref().map(|next| document("state", &next.state)).transpose()?;
        let state_bytes = state.as_ref().map_or(0, String::len);
        let query = decision(statement, write, state, &owed)?;
        // One statement is one transaction, and one round trip.
        let committed = if write.records.is_empty() {
            let query = if write.rouses { query.bind(LOOK) } else { query };
            self.run("commit", async |c| query.fetch_all(c).await).await
        } else {
            let append = Append::new(&write.tenant, &write.records)?;
            self.run("commit-records", async |c| append.bind(query).fetch_all(c).await).await
        };
        match committed {
            Ok(ids) => {
                let owed = owed.into_iter().filter(|row| ids.contains(&row.id)).collect();
                Ok(Outcome::Done { owed, state_bytes })
            }
            Err(StoreError::Transaction { transaction, source }) if lost_race(&source) => {
                tracing::debug!(transaction, tenant = %write.tenant, entity = %write.id, why = %source, "commit lost its race");
                Ok(Outcome::Lost)
            }
            Err(error) => Err(error),
        }
    }
}

pub(crate) type Query<'q> = sqlx::query::QueryScalar<'q, sqlx::Postgres, String, PgArguments>;

/// Binds the decision; the order is that of the function's parameters.
fn decision<'q, S, E>(
    statement: &'static str,
    write: &'q Write<S, E>,
    state: Option<String>,
    owed: &'q [OutboxRow],
) -> Result<Query<'q>, StoreError> {
    let expected = write.expected.map(i64::try_from).transpose();
    let expected = expected.map_err(|error| unstorable("revision", &error))?;
    let open_key = write.next.as_ref().and_then(|next| next.open_key.as_deref());
    let (mut messages, mut fired, mut fired_dues, mut ended, mut claims) = (vec![], vec![], vec![], vec![], vec![]);
    for handled in &write.handled {
        match handled {
            Handled::Message(id) => {
                check_id("message id", id)?;
                messages.push(id.as_str());
            }
            Handled::Timer { name, due } => {
                fired.push(name.as_str());
                fired_dues.push(*due);
            }
            Handled::Outcome { effect, claim } => {
                ended.push(effect_id(&write.id, effect));
                claims.push(claim_number(*claim));
            }
        }
    }
    for timer in &write.timers {
        check_id("timer name", &timer.name)?;
    }
    if write.next.is_some() || !write.timers.is_empty() || !write.effects.is_empty() {
        check_id("entity id", &write.id)?;
    }
    if let Some(next) = write.next.as_ref().filter(|next| next.id != write.id) {
        return Err(unstorable("entity", &format!("its id is {:?}, the commit's is {:?}", next.id, write.id)));
    }
    let query = sqlx::query_scalar(statement).bind(write.tenant.as_str()).bind(&write.id).bind(expected).bind(write.now);
    let query = query.bind(write.next.is_some()).bind(open_key.map(storable)).bind(open_key.map(open_digest)).bind(state);
    let query = query.bind(messages).bind(fired).bind(fired_dues).bind(ended).bind(claims);
    let query = query.bind(write.timers.iter().map(|t| t.name.as_str()).collect::<Vec<_>>());
    let query = query.bind(write.timers.iter().map(|t| t.at).collect::<Vec<_>>());
    let query = bind_owed(query, owed)?;
    Ok(query.bind(write.trace.as_deref()).bind(lease_end(write.now, write.lease)))
}

fn bind_owed<'q>(query: Query<'q>, owed: &'q [OutboxRow]) -> Result<Query<'q>, StoreError> {
    let (mut ids, mut kinds, mut targets, mut headers, mut bodies) = (vec![], vec![], vec![], vec![], vec![]);
    for row in owed {
        check_id("outbox id", &row.id)?;
        ids.push(row.id.as_str());
        match &row.owed {
            Owed::Publication(publication) => {
                kinds.push("publish");
                targets.push(publication.subject.as_str());
                headers.push(Some(document("headers", &publication.headers)?));
                bodies.push(publication.body.as_slice());
            }
            Owed::Effect { name, body } => {
                kinds.push("effect");
                targets.push(name.as_str());
                headers.push(None);
                bodies.push(body.as_slice());
            }
        }
    }
    Ok(query.bind(ids).bind(kinds).bind(targets).bind(headers).bind(bodies))
}

/// The outbox rows of a decision.
fn owed<S, E: Serialize>(write: &Write<S, E>) -> Result<Vec<OutboxRow>, StoreError> {
    let row = |id: String, owed: Owed| {
        let (tenant, entity, trace) = (write.tenant.clone(), write.id.clone(), write.trace.clone());
        OutboxRow { tenant, id, entity, attempts: 1, trace, created_at: write.now, owed }
    };
    let mut rows = Vec::with_capacity(write.publications.len() + write.effects.len());
    for publication in &write.publications {
        check_size("publication", publication.body.len())?;
        rows.push(row(publication.id.clone(), Owed::Publication(publication.clone())));
    }
    for effect in &write.effects {
        let body = document("effect", &effect.body)?.into_bytes();
        rows.push(row(effect_id(&write.id, &effect.name), Owed::Effect { name: effect.name.clone(), body }));
    }
    Ok(rows)
}

/// A claim's number as it stands in its row.
pub(crate) fn claim_number(attempts: u32) -> i32 {
    i32::try_from(attempts).unwrap_or(i32::MAX)
}

fn effect_id(entity: &str, name: &str) -> String {
    format!("{entity}/{name}")
}

/// A value as JSON, within its limit.
pub(crate) fn document(what: &'static str, value: &impl Serialize) -> Result<String, StoreError> {
    let text = serde_json::to_string(value).map_err(|error| unstorable(what, &error))?;
    check_size(what, text.len())?;
    Ok(text)
}

pub(crate) fn unstorable(what: &'static str, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unstorable { what, reason: reason.to_string() }
}
