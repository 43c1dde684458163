//! Routes: which alerts belong to another incident than their labels say, because a person said so. They win over all rules, and last.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, CorrelationKey, Notification};
use crate::id::TenantId;

/// Each is looked at for every alert of a tenant; more than people ever ordered. The oldest gives way.
const ROUTES_MAX: usize = 500;
/// What was ordered so long ago is about services that are others by now.
const LASTS: TimeDelta = TimeDelta::days(90);

/// What a route is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// All that correlates under this key.
    Key(CorrelationKey),
    /// One alert, by its fingerprint: it wins over what is said of its key.
    Alert(String),
}

/// Where something belongs. A key that belongs to itself stands for itself, whatever the topology says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// What.
    pub of: Of,
    /// To the incident of this key.
    pub to: CorrelationKey,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// All routes of a tenant: one at most of anything, and none leads round in a circle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// Adds one in the place of what was said before of the same. The newest word counts: if its end was itself merged into what comes
    /// there now, that is forgotten.
    pub fn put(&mut self, route: Route) {
        self.0.retain(|known| known.of != route.of && route.at - known.at < LASTS);
        if let Of::Key(key) = &route.of
            && route.to != *key
            && self.end(route.to.clone()) == *key
        {
            self.0.retain(|known| known.of != Of::Key(route.to.clone()));
        }
        self.0.push(route);
        let old = self.0.len().saturating_sub(ROUTES_MAX);
        self.0.drain(..old);
    }

    /// The key stands for itself from now on: nothing that was merged into it belongs to it any more.
    pub fn alone(&mut self, key: &CorrelationKey, at: DateTime<Utc>) {
        self.0.retain(|route| !matches!(route.of, Of::Key(_)) || route.to != *key);
        self.put(Route { of: Of::Key(key.clone()), to: key.clone(), at });
    }

    /// Whether a person said that this key stands for itself.
    pub fn is_alone(&self, key: &CorrelationKey) -> bool {
        self.of(&Of::Key(key.clone())) == Some(key)
    }

    /// Where an alert belongs that correlates under `key`.
    pub fn place(&self, alert: &Alert, key: &CorrelationKey) -> CorrelationKey {
        if self.0.is_empty() {
            return key.clone();
        }
        let own = self.of(&Of::Alert(alert.fingerprint.clone()));
        self.end(own.unwrap_or(key).clone())
    }

    fn of(&self, of: &Of) -> Option<&CorrelationKey> {
        self.0.iter().find(|route| route.of == *of).map(|route| &route.to)
    }

    /// Follows what is said of keys. No circle is ever put; the bound holds for whatever was stored.
    fn end(&self, mut key: CorrelationKey) -> CorrelationKey {
        for _ in 0..ROUTES_MAX {
            match self.of(&Of::Key(key.clone())) {
                Some(to) if *to != key => key = to.clone(),
                Some(_) | None => break,
            }
        }
        key
    }

    /// Sorts a notification's alerts: what belongs to the key that it is addressed to, if anything does, and what belongs elsewhere.
    pub fn sort(&self, notification: Notification) -> (Option<Notification>, Vec<Notification>) {
        if self.0.is_empty() {
            return (Some(notification), vec![]);
        }
        let cause = notification.message_id();
        let Notification { key, origin, alerts, .. } = &notification;
        let origin = origin.as_ref().unwrap_or(key).clone();
        let (here, elsewhere): (Vec<Alert>, Vec<Alert>) =
            alerts.iter().cloned().partition(|alert| self.place(alert, &origin) == notification.key);
        let why = Moved { tenant: &notification.tenant, cause: &cause, received_at: notification.received_at };
        let mut moved = self.moved(elsewhere, &origin, &why);
        if here.is_empty() {
            // Nobody else would say that some were left out.
            moved.iter_mut().take(1).for_each(|first| first.truncated_alerts = notification.truncated_alerts);
            return (None, moved);
        }
        (Some(Notification { alerts: here, ..notification }), moved)
    }

    /// Notifications that bring alerts of one origin to where they belong.
    pub fn moved(&self, alerts: Vec<Alert>, origin: &CorrelationKey, moved: &Moved<'_>) -> Vec<Notification> {
        let mut sorted: Vec<Notification> = vec![];
        for alert in alerts {
            let place = self.place(&alert, origin);
            if let Some(known) = sorted.iter_mut().find(|known| known.key == place) {
                known.alerts.push(alert);
                continue;
            }
            sorted.push(Notification {
                tenant: moved.tenant.clone(),
                group_key: format!("moved by {}", moved.cause),
                key: place,
                origin: Some(origin.clone()),
                alerts: vec![alert],
                truncated_alerts: 0,
                heartbeat: None,
                received_at: moved.received_at,
            });
        }
        sorted
    }
}

/// Why alerts are moved.
#[derive(Debug, Clone, Copy)]
pub struct Moved<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Unique for this move, so that the same alerts can be moved there and back and there again.
    pub cause: &'a str,
    /// When the gateway had them.
    pub received_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests;
