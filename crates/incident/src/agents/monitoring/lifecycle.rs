//! How long incidents are held, and when one is taken for flapping: `[tenants.ID.lifecycle]`.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// Numbers of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lifecycle {
    /// For so long after its end an incident is opened again if its alerts fire again, in seconds. A deployment that is repaired and breaks
    /// again within minutes is one story.
    pub reopen_s: u32,
    /// Who comes later is a new incident, which names the one before if that ended no longer ago than this, in seconds.
    pub follow_s: u32,
    /// An alert that changes so often within `flap_window_s` makes its incident flap; 0: none ever does. Three times on and off is no
    /// repair that failed once.
    pub flap_changes: u32,
    /// In seconds.
    pub flap_window_s: u32,
    /// An incident that flaps is held, silently, until nothing has changed for so long, in seconds.
    pub stable_s: u32,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { reopen_s: 600, follow_s: 604_800, flap_changes: 6, flap_window_s: 1_800, stable_s: 600 }
    }
}

impl Lifecycle {
    pub(super) fn reopen(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.reopen_s))
    }

    pub(super) fn follow(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.follow_s))
    }

    pub(super) fn flap_window(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.flap_window_s))
    }

    pub(super) fn stable(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.stable_s))
    }
}

/// For people: `90 seconds`, `10 minutes`, `2 hours`.
pub(super) fn told(time: TimeDelta) -> String {
    let s = time.num_seconds();
    let (n, unit) = match s {
        ..120 => (s, "second"),
        120..7_200 => (s / 60, "minute"),
        7_200.. => (s / 3_600, "hour"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_own_unit() {
        let cases = [(1, "1 second"), (90, "90 seconds"), (120, "2 minutes"), (600, "10 minutes"), (7_200, "2 hours")];
        for (s, expected) in cases {
            assert_eq!(told(TimeDelta::seconds(s)), expected);
        }
    }
}
