//! The tasks in this process's memory, and how much of it each tenant and all streams take.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use store::a2a::TaskKey;

use crate::live::Live;

/// Tasks are here as long as somebody uses them: work, a stream, a caller who waits, or a write.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    lives: Mutex<HashMap<Arc<TaskKey>, Weak<Live>>>,
    tenants: Mutex<HashMap<String, Arc<AtomicUsize>>>,
    subscribers: Arc<AtomicUsize>,
}

/// One of a limited number. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Permit {
    fn take(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let up = |count: usize| (count < max).then_some(count + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, up).is_ok().then(|| Self(Arc::clone(count)))
    }
}

impl Registry {
    pub(crate) fn find(&self, key: &TaskKey) -> Option<Arc<Live>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner).get(key).and_then(Weak::upgrade)
    }

    /// Adds a task, unless it is there already: then that one is given back.
    pub(crate) fn add(&self, live: Arc<Live>) -> Arc<Live> {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = lives.get(live.key()).and_then(Weak::upgrade) {
            return other;
        }
        lives.insert(Arc::clone(live.key()), Arc::downgrade(&live));
        live
    }

    /// Nobody uses the task any more. Another may stand in its place by now.
    pub(crate) fn forget(&self, key: &TaskKey) {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        if lives.get(key).is_some_and(|live| live.strong_count() == 0) {
            lives.remove(key);
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect()
    }

    /// Room for one more task of the tenant to be worked on.
    pub(crate) fn running(&self, tenant: &str, max: usize) -> Option<Permit> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        // There are as many as the binding's authentication knows.
        let count = match tenants.get(tenant) {
            Some(count) => Arc::clone(count),
            None => Arc::clone(tenants.entry(tenant.to_owned()).or_default()),
        };
        drop(tenants);
        Permit::take(&count, max)
    }

    /// Room for one more stream.
    pub(crate) fn subscriber(&self, max: usize) -> Option<Permit> {
        Permit::take(&self.subscribers, max)
    }
}
