//! What holds for a tenant at the moment of a decision: its numbers, what mutes its alerts, what depends on what.

use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::lifecycle::Lifecycle;
use crate::route::Routes;
use crate::silence::{Maintenance, Mutes, Silence};
use crate::topology::Topology;

/// A tenant's rules. Its numbers are read as if they stood here.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) lifecycle: Lifecycle,
    /// Those that may mute anything at the moment.
    pub(super) silences: Vec<Silence>,
    pub(super) maintenance: Vec<Maintenance>,
    pub(super) topology: Option<Arc<Topology>>,
    /// What people said of where alerts belong.
    pub(super) routes: Routes,
}

impl Rules {
    pub(super) fn new(lifecycle: Lifecycle, silences: &[Silence], now: DateTime<Utc>) -> Self {
        let silences = silences.iter().filter(|silence| silence.is_active(now)).cloned().collect();
        Self { lifecycle, silences, maintenance: vec![], topology: None, routes: Routes::default() }
    }

    /// All that may mute alerts.
    pub(super) fn mutes(&self) -> Mutes<'_> {
        Mutes { silences: &self.silences, maintenance: &self.maintenance }
    }
}

impl Deref for Rules {
    type Target = Lifecycle;
    fn deref(&self) -> &Lifecycle {
        &self.lifecycle
    }
}
