//! What a decision needs to know, read in one statement and thus at one moment.

use std::sync::Arc;

use incident::agent::{Entity, Locator};
use incident::handling::{Input, Loaded, Stored};
use incident::id::{TenantId, fingerprint};
use serde::de::DeserializeOwned;

use crate::commit::claim_number;
use crate::limits::{ROWS_MAX, storable};
use crate::outbox::unreadable;
use crate::{Handled, Store, StoreError};

/// `$2` is the id, or `$3` the digest of the open key; with `$9` the one that was open under it last will do. Timers and effects belong to
/// the entity found, or else to the id asked for; `$10` is another that is read beside it. Messages and effects are looked up one by one: a
/// join, or a list of ids, could be planned as reading all that the tenant has.
const LOAD: &str = "
    select e.id, e.open_key, e.revision, e.state::text as state,
        array(
            select m.id from unnest($4::text[]) as m (id)
            where (select true from inbox i where i.tenant = $1 and i.message_id = m.id)
        ) as messages,
        array(
            select f.place from unnest($5::text[], $6::timestamptz[]) with ordinality as f (name, due_at, place)
            join timer t on t.tenant = $1 and t.entity = coalesce(e.id, $2) and t.name = f.name and t.due_at = f.due_at
        ) as timers,
        array(
            select f.name from unnest($7::text[], $8::int[]) as f (name, claim)
            where f.claim = (
                select o.attempts from outbox o
                where o.tenant = $1 and o.id = coalesce(e.id, $2) || '/' || f.name and o.kind = 'effect'
            )
        ) as effects,
        (select b.state::text from entity b where b.tenant = $1 and b.id = $10) as beside
    from (values (1)) as always (there)
    left join entity e on e.tenant = $1
        and e.id = coalesce(
            $2,
            (select k.id from entity k where k.tenant = $1 and k.open_digest = $3),
            (select k.id from entity k where $9 and k.tenant = $1 and k.past_digest = $3 order by k.updated_at desc limit 1)
        )";

const OPEN: &str = "
    select id, open_key, revision, state::text from entity
    where tenant = $1 and open_key is not null and id > $2 order by id limit $3";

#[derive(sqlx::FromRow)]
struct Row {
    id: Option<String>,
    open_key: Option<String>,
    revision: Option<i64>,
    state: Option<String>,
    /// Messages that were handled.
    messages: Vec<String>,
    /// Places, from 1, of the timers that still stand as they are named.
    timers: Vec<i64>,
    /// Effects that still are owed, and held under the claim that is named.
    effects: Vec<String>,
    /// State of the other entity.
    beside: Option<String>,
}

impl Store {
    /// Loads the entity at `locator` and looks up which inputs were handled before: the inbox has the message, the timer is gone
    /// or moved, the effect is no longer owed. An input that stands twice among `inputs` counts as handled the second time.
    ///
    /// # Errors
    /// If Postgres does not answer, or the state cannot be read.
    pub async fn load<S: DeserializeOwned, O>(
        &self,
        tenant: &TenantId,
        locator: &Locator,
        inputs: &[Input<O>],
    ) -> Result<Loaded<S>, StoreError> {
        self.load_beside(tenant, locator, inputs, None).await
    }

    /// The same, and the state of another entity at the same moment.
    ///
    /// # Errors
    /// The same.
    pub async fn load_beside<S: DeserializeOwned, O>(
        &self,
        tenant: &TenantId,
        locator: &Locator,
        inputs: &[Input<O>],
        beside: Option<&str>,
    ) -> Result<Loaded<S>, StoreError> {
        let inputs: Vec<Handled> = inputs.iter().map(Handled::from).collect();
        let (id, digest, past_will_do) = match locator {
            Locator::Id(id) => (Some(storable(id)), None, false),
            Locator::Open(key) => (None, Some(open_digest(key)), false),
            Locator::Last(key) => (None, Some(open_digest(key)), true),
        };
        let (mut messages, mut timers, mut dues, mut effects, mut claims) = (vec![], vec![], vec![], vec![], vec![]);
        for input in &inputs {
            match input {
                Handled::Message(id) => messages.push(storable(id)),
                Handled::Timer { name, due } => {
                    timers.push(name.as_str());
                    dues.push(*due);
                }
                Handled::Outcome { effect, claim } => {
                    effects.push(effect.as_str());
                    claims.push(claim_number(*claim));
                }
            }
        }
        let query = sqlx::query_as(LOAD).bind(tenant.as_str()).bind(id).bind(digest);
        let query = query.bind(messages).bind(timers).bind(dues).bind(effects).bind(claims).bind(past_will_do).bind(beside);
        let mut row: Row = self.run("load", async |c| query.fetch_one(c).await).await?;
        let handled = handled(&row, &inputs);
        let read =
            |state: String| serde_json::from_str(&state).map_err(|error| unreadable("state", beside.unwrap_or_default(), &error));
        let beside = row.beside.take().map(read).transpose()?.map(Arc::new);
        Ok(Loaded { stored: stored(row)?, handled, beside })
    }
}

impl Store {
    /// Entities that are open, by id, those after `after`, at most `limit` of them: for listings, never for deciding.
    ///
    /// # Errors
    /// If Postgres does not answer, or a state cannot be read.
    pub async fn open_entities<S: DeserializeOwned>(
        &self,
        tenant: &TenantId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Stored<S>>, StoreError> {
        type Open = (String, String, i64, String);
        let query = sqlx::query_as(OPEN).bind(tenant.as_str()).bind(storable(after)).bind(i64::from(limit.min(ROWS_MAX)));
        let rows: Vec<Open> = self.run("open-entities", async |c| query.fetch_all(c).await).await?;
        let read = |(id, open_key, revision, state): Open| {
            let state = serde_json::from_str(&state).map_err(|error| unreadable("state", &id, &error))?;
            Ok(Stored { entity: Entity { id, open_key: Some(open_key), state }, revision: revision.unsigned_abs() })
        };
        rows.into_iter().map(read).collect()
    }
}

/// What is unique about an open key, whatever its length.
pub(crate) fn open_digest(key: &str) -> String {
    fingerprint(&[&storable(key)])
}

fn handled(row: &Row, inputs: &[Handled]) -> Vec<bool> {
    let mut timer_place = 0;
    let before = |n: usize, input: &Handled| inputs.iter().take(n).any(|earlier| earlier == input);
    let answer = |(n, input): (usize, &Handled)| {
        let was_handled = match input {
            Handled::Message(id) => row.messages.contains(id),
            Handled::Timer { .. } => {
                timer_place += 1;
                !row.timers.contains(&timer_place)
            }
            Handled::Outcome { effect, .. } => !row.effects.contains(effect),
        };
        was_handled || before(n, input)
    };
    inputs.iter().enumerate().map(answer).collect()
}

fn stored<S: DeserializeOwned>(row: Row) -> Result<Option<Stored<S>>, StoreError> {
    let (Some(id), Some(revision), Some(state)) = (row.id, row.revision, row.state) else { return Ok(None) };
    let state = serde_json::from_str(&state).map_err(|error| unreadable("state", &id, &error))?;
    let entity = Entity { id, open_key: row.open_key, state };
    Ok(Some(Stored { entity, revision: revision.unsigned_abs() }))
}
