//! States as this process committed them, so that the next step of the same entity need not ask for them.
//!
//! Never more than a guess: the commit compares the revision and the inbox, and a guess that is wrong loses its race like any other
//! reader that came late. Then the entity is loaded.

use std::sync::{Mutex, PoisonError};

use hashlink::LruCache;
use incident::agent::Locator;
use incident::handling::Stored;
use incident::id::TenantId;

/// Bounds memory, as bytes of what is stored: some hundred incidents that wait for people, or five of a hundred alerts each.
const KEPT_BYTES_MAX: usize = 512 * 1024;

/// Each state is held by one handler at a time: it is taken out to decide on, and what was committed is put back. What was put back
/// longest ago goes first.
#[derive(Debug)]
pub(crate) struct Recent<S>(Mutex<Kept<S>>);

#[derive(Debug)]
struct Kept<S> {
    /// By tenant and entity; each with its size.
    states: LruCache<(TenantId, String), (Stored<S>, usize)>,
    bytes: usize,
}

impl<S> Default for Recent<S> {
    fn default() -> Self {
        Self(Mutex::new(Kept { states: LruCache::new_unbounded(), bytes: 0 }))
    }
}

impl<S> Recent<S> {
    /// The state of the entity with this id, if it was kept. Who is open under a key is asked of the store.
    pub(crate) fn take(&self, tenant: &TenantId, locator: &Locator) -> Option<Stored<S>> {
        let Locator::Id(id) = locator else { return None };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (stored, bytes) = kept.states.remove(&(tenant.clone(), id.clone()))?;
        kept.bytes -= bytes;
        Some(stored)
    }

    /// Keeps a state that was committed, which took so many bytes.
    pub(crate) fn keep(&self, tenant: &TenantId, stored: Stored<S>, bytes: usize) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant.clone(), stored.entity.id.clone());
        kept.bytes += bytes;
        if let Some((_, earlier)) = kept.states.insert(key, (stored, bytes)) {
            kept.bytes -= earlier;
        }
        while kept.bytes > KEPT_BYTES_MAX
            && let Some((_, (_, oldest))) = kept.states.remove_lru()
        {
            kept.bytes -= oldest;
        }
    }
}

#[cfg(test)]
mod tests {
    use incident::agent::Entity;

    use super::*;

    fn stored(id: &str, revision: u64) -> Stored<u32> {
        Stored { entity: Entity { id: id.to_owned(), open_key: Some("key".to_owned()), state: 7 }, revision }
    }

    fn id(id: &str) -> Locator {
        Locator::Id(id.to_owned())
    }

    #[test]
    fn one_takes_it() {
        let recent = Recent::default();
        let tenant: TenantId = "acme".parse().unwrap();
        recent.keep(&tenant, stored("a", 1), 10);
        recent.keep(&tenant, stored("a", 2), 10);
        assert_eq!(recent.take(&tenant, &Locator::Open("key".to_owned())), None);
        assert_eq!(recent.take(&"other".parse().unwrap(), &id("a")), None);
        assert_eq!(recent.take(&tenant, &id("a")), Some(stored("a", 2)));
        assert_eq!(recent.take(&tenant, &id("a")), None, "somebody else has it");
    }

    #[test]
    fn what_was_put_back_longest_ago_makes_room() {
        let recent = Recent::default();
        let tenant: TenantId = "acme".parse().unwrap();
        for name in ["a", "b", "a", "c", "d"] {
            recent.keep(&tenant, stored(name, 1), KEPT_BYTES_MAX / 3);
        }
        let is_kept = |name| recent.take(&tenant, &id(name)).is_some();
        assert_eq!(["a", "b", "c", "d"].map(is_kept), [true, false, true, true]);
        recent.keep(&tenant, stored("large", 1), KEPT_BYTES_MAX + 1);
        assert_eq!(recent.take(&tenant, &id("large")), None, "larger than all there is room for");
    }
}
