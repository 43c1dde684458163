//! States as this process committed them a moment ago, so that the next step of the same entity need not ask for them.
//!
//! Never more than a guess: the commit compares the revision and the inbox, and a guess that is wrong loses its race like any other
//! reader that came late. Then the entity is loaded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use incident::agent::Locator;
use incident::handling::Stored;
use incident::id::TenantId;

/// An effect's outcome and an agent's answer come within moments; what comes later may as well be loaded.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// Bounds memory: a state is some kilobytes.
const KEPT_MAX: usize = 32;

/// Each state is held by one handler at a time: it is taken out to decide on, and what was committed is put back.
#[derive(Debug)]
pub(crate) struct Recent<S>(Mutex<Kept<S>>);

/// By tenant and entity, and since when.
type Kept<S> = HashMap<(TenantId, String), (Stored<S>, Instant)>;

impl<S> Default for Recent<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S> Recent<S> {
    /// The state of the entity with this id, if it was kept. Who is open under a key is asked of the store.
    pub(crate) fn take(&self, tenant: &TenantId, locator: &Locator) -> Option<Stored<S>> {
        let Locator::Id(id) = locator else { return None };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (stored, since) = kept.remove(&(tenant.clone(), id.clone()))?;
        (since.elapsed() < KEPT_FOR).then_some(stored)
    }

    /// Keeps a state that was committed; when there is no room, not.
    pub(crate) fn keep(&self, tenant: &TenantId, stored: Stored<S>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (_, since)| since.elapsed() < KEPT_FOR);
        }
        let key = (tenant.clone(), stored.entity.id.clone());
        if kept.len() < KEPT_MAX || kept.contains_key(&key) {
            kept.insert(key, (stored, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use incident::agent::Entity;

    use super::*;

    #[test]
    fn one_takes_it_and_there_is_an_end_to_keeping() {
        let recent = Recent::default();
        let tenant: TenantId = "acme".parse().unwrap();
        let stored = |n: usize| {
            let entity = Entity { id: format!("e{n}"), open_key: Some("key".to_owned()), state: n };
            Stored { entity, revision: 1 }
        };
        for n in 0..=KEPT_MAX {
            recent.keep(&tenant, stored(n));
        }
        let id = |n: usize| Locator::Id(format!("e{n}"));
        assert_eq!(recent.take(&tenant, &id(0)), Some(stored(0)));
        assert_eq!(recent.take(&tenant, &id(0)), None, "somebody else has it");
        assert_eq!(recent.take(&tenant, &id(KEPT_MAX)), None, "there was no room");
        assert_eq!(recent.take(&tenant, &Locator::Open("key".to_owned())), None);
        assert_eq!(recent.take(&"other".parse().unwrap(), &id(1)), None);
    }
}
