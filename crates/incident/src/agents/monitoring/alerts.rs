//! Alerts come and go: doubled, late, resolved before they fired. What is newest by their own times counts.

use chrono::TimeDelta;

use super::Outcome;
use super::flap::held;
use super::turn::Turn;
use crate::agent::Decision;
use crate::alert::{Alert, AlertStatus, CorrelationKey, Labels, Notification};
use crate::fact::What;
use crate::fallback::Announced;

/// Alerts of one incident; the rest is counted in a gap and resolved with them. Bounds the state that every commit writes.
pub(super) const ALERTS_MAX: usize = 500;
/// Alerts are handled within a second. What took longer than this waited for Postgres, the bus or monitoring, and people shall know that
/// nothing was done meanwhile.
const WAITED_FOR: TimeDelta = TimeDelta::seconds(20);

/// The gap that alerts leave which people had raw.
pub(super) fn raw(announced: &Announced) -> String {
    let (place, at) = (&announced.place, announced.at.format("%H:%M:%S UTC"));
    format!("alerts could not be handled and were announced as they came, at {at} in {place}")
}

impl Turn {
    pub(super) fn alerts(mut self, notification: &Notification) -> Outcome {
        self.is_muted = self.open.flapping.is_some();
        self.attach(notification);
        self.weigh();
        if self.facts.is_empty() {
            return Decision::unchanged("known already");
        }
        self.finish("alerts changed")
    }

    pub(super) fn attach(&mut self, notification: &Notification) {
        for alert in &notification.alerts {
            self.attach_one(alert, notification.origin.as_ref());
        }
        if let Some(received_at) = notification.received_at
            && self.now - received_at >= WAITED_FOR
        {
            let (since, until) = (received_at.format("%H:%M"), self.now.format("%H:%M UTC"));
            self.gap(format!("alerts of {since} could not be handled until {until}"));
        }
        if notification.truncated_alerts > 0 {
            self.gap("Alertmanager left alerts out of a group (max_alerts)".to_owned());
        }
    }

    /// People had these alerts raw before the incident could be opened.
    pub(super) fn announced(mut self, announced: &Announced) -> Outcome {
        self.gap(raw(announced));
        self.finish("announced before it could be handled")
    }

    fn attach_one(&mut self, alert: &Alert, origin: Option<&CorrelationKey>) {
        let known = self.open.alerts.get(&alert.fingerprint);
        if known.is_some_and(|known| !alert.supersedes(known)) {
            return;
        }
        // An end whose beginning is still to come is kept: what comes of that episode later is old by then.
        let is_known = known.is_some();
        if !is_known && self.open.alerts.len() >= ALERTS_MAX {
            return self.gap(format!("more than {ALERTS_MAX} alerts: the rest is not listed"));
        }
        if is_known {
            self.swing(alert);
        }
        let firing = alert.status == AlertStatus::Firing;
        let (name, fingerprint) = (alert.name().to_owned(), alert.fingerprint.clone());
        let labels = if firing { alert.labels.clone() } else { Labels::new() };
        self.facts.push(What::AlertChanged { alert: name, fingerprint, firing, labels });
        match origin {
            Some(origin) => self.open.origins.insert(alert.fingerprint.clone(), origin.clone()),
            None => self.open.origins.remove(&alert.fingerprint),
        };
        self.open.alerts.insert(alert.fingerprint.clone(), alert.clone());
        self.is_news |= is_known || firing;
    }

    /// Counts a change; the one that is too many makes the incident flap.
    fn swing(&mut self, alert: &Alert) {
        if let Some(flapping) = &mut self.open.flapping {
            return flapping.goes_on(alert, &self.rules, self.now);
        }
        if let Some(flapping) = self.open.swings.count(alert, &self.rules, self.now) {
            self.lines.push(format!("Now {}.", held(&flapping, &self.rules)));
            self.open.flapping = Some(flapping);
        }
    }

    /// The incident is as bad as the worst alert that fires; when none does, as it was.
    fn weigh(&mut self) {
        let Some(to) = self.open.worst_firing() else { return };
        let from = std::mem::replace(&mut self.open.severity, to);
        if from == to {
            return;
        }
        let worst = self.open.firing().find(|alert| alert.severity() == to).map_or("-", Alert::name);
        let why = if to > from { format!("{worst} fires") } else { format!("no worse alert fires than {worst}") };
        if to > from {
            self.lines.push(format!("Severity up from {from} to {to}: {why}."));
        }
        self.facts.push(What::SeverityChanged { from, to, why });
        self.is_news = true;
    }
}
