//! The one entity of each tenant that all decisions about its others may read. It is asked for at most every [`BESIDE_MS_MAX`], so reading it
//! costs next to nothing however many others there are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use incident::agent::{Agent, Locator};
use incident::handling::{BESIDE_MS_MAX, Load, Loaded};
use incident::id::TenantId;
use serde::de::DeserializeOwned;
use store::{Store, StoreError};
use tokio::sync::Mutex;

const FRESH_FOR: Duration = Duration::from_millis(BESIDE_MS_MAX);

/// What was read, and when it was asked for.
#[derive(Debug)]
pub(crate) struct Beside<S>(Mutex<HashMap<TenantId, Read<S>>>);

/// An entity, if there was one, and when it was asked for.
type Read<S> = (Option<Arc<S>>, Instant);

impl<S> Default for Beside<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: DeserializeOwned> Beside<S> {
    /// Loads what a decision needs to know, and with it the entity beside where that is not known.
    pub(crate) async fn load<A>(&self, store: &Store, load: &Load<A>, agent: &A) -> Result<Loaded<S>, StoreError>
    where
        A: Agent<State = S>,
    {
        let known = match agent.beside() {
            Some(_) => self.fresh(&load.tenant).await,
            None => Some(None),
        };
        let asked_at = Instant::now();
        let id = agent.beside().filter(|_| known.is_none());
        let loaded: Loaded<S> = store.load_beside(&load.tenant, &load.locator, &load.inputs, id).await?;
        if let Some(beside) = known {
            return Ok(Loaded { beside, ..loaded });
        }
        self.0.lock().await.insert(load.tenant.clone(), (loaded.beside.clone(), asked_at));
        Ok(loaded)
    }

    async fn fresh(&self, tenant: &TenantId) -> Option<Option<Arc<S>>> {
        let known = self.0.lock().await;
        known.get(tenant).filter(|(_, asked_at)| asked_at.elapsed() < FRESH_FOR).map(|(state, _)| state.clone())
    }

    /// The entity that `agent` reads beside others, if it reads one and there is one. Only one asks at a time: the others get its answer.
    pub(crate) async fn read<A>(&self, agent: &A, store: &Store, tenant: &TenantId) -> Result<Option<Arc<S>>, StoreError>
    where
        A: Agent<State = S>,
    {
        let Some(id) = agent.beside() else { return Ok(None) };
        let mut known = self.0.lock().await;
        if let Some((state, _)) = known.get(tenant).filter(|(_, asked_at)| asked_at.elapsed() < FRESH_FOR) {
            return Ok(state.clone());
        }
        // The moment before asking: what is committed after that may be missing.
        let asked_at = Instant::now();
        let loaded: Loaded<S> = store.load::<S, A::Outcome>(tenant, &Locator::Id(id.to_owned()), &[]).await?;
        let state = loaded.stored.map(|stored| Arc::new(stored.entity.state));
        known.insert(tenant.clone(), (state.clone(), asked_at));
        Ok(state)
    }
}
