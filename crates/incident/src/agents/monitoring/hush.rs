//! Incidents that are kept, and that nobody is told of: all of their alerts are muted, or they are part of another one.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;
use super::open::OpenIncident;
use super::turn::Turn;
use crate::agent::{Decision, Outgoing};
use crate::fact::What;
use crate::related::{Related, Relative, Told};

/// The book answers within moments. If it does not, the incident stands for itself.
const ANSWERED_WITHIN: TimeDelta = TimeDelta::seconds(5);
/// Replicas' clocks are closer than this: what has ended by one of them has ended.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(5);
/// What fails because of another is well again soon after that is.
const RECOVERED_WITHIN: TimeDelta = TimeDelta::minutes(2);

/// An incident about a service that others depend on, or that depends on others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Kin {
    /// Since when it is in the book.
    since: DateTime<Utc>,
    standing: Standing,
    /// Numbers of the newest that the book told: where it stands, and who is part of it.
    heard: (u64, u64),
    /// Incidents that are part of this one.
    callers: Vec<Relative>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "standing", rename_all = "snake_case")]
enum Standing {
    /// The book was asked; or what it was part of is over, and so this may be in a moment.
    Waits {
        /// Until then.
        until: DateTime<Utc>,
    },
    /// It stands for itself.
    Alone,
    /// It is part of another.
    PartOf {
        /// Of which.
        origin: Relative,
    },
}

impl OpenIncident {
    /// Whether nobody is told of it, and nothing is proposed.
    pub(super) fn is_hushed(&self) -> bool {
        self.muted.is_some() || self.kin.as_ref().is_some_and(|kin| kin.standing != Standing::Alone)
    }

    /// The incident that it is part of.
    pub(super) fn origin(&self) -> Option<&Relative> {
        match self.kin.as_ref().map(|kin| &kin.standing) {
            Some(Standing::PartOf { origin }) => Some(origin),
            Some(Standing::Waits { .. } | Standing::Alone) | None => None,
        }
    }

    /// Whether the cause is not looked for here: another has it, or may have it.
    pub(super) fn is_undiagnosed(&self) -> bool {
        self.kin.as_ref().is_some_and(|kin| kin.standing != Standing::Alone)
    }

    /// What fails because this does.
    pub(super) fn callers(&self) -> Option<String> {
        let callers = &self.kin.as_ref().filter(|kin| !kin.callers.is_empty())?.callers;
        let callers: Vec<String> = callers.iter().map(|caller| format!("{} ({})", caller.service, caller.incident)).collect();
        Some(format!("Likely the origin of what fails because it depends on this: {}", callers.join(", ")))
    }

    /// When it looks again whether it is still to be kept quiet.
    pub(super) fn hushed_until(&self) -> Option<DateTime<Utc>> {
        let asked = match self.kin.as_ref().map(|kin| &kin.standing) {
            Some(Standing::Waits { until }) => Some(*until),
            Some(Standing::Alone | Standing::PartOf { .. }) | None => None,
        };
        [self.muted.as_ref().map(|muted| muted.until), asked].into_iter().flatten().min()
    }
}

impl Turn {
    /// Looks whether all that fires is muted, and whether the book still may answer.
    pub(super) fn hush(&mut self) {
        if let Some(Kin { standing, .. }) = &mut self.open.kin
            && matches!(standing, Standing::Waits { until } if self.now >= *until)
        {
            *standing = Standing::Alone;
        }
        // What does not fire needs no muting, and what mutes it is no news.
        if self.open.firing().next().is_none() {
            return;
        }
        let muted = self.rules.mutes().all(self.open.firing().map(|alert| &alert.labels), self.now);
        let muted = muted.filter(|muted| self.open.unmuted_for.is_none_or(|over| muted.until > over));
        match (&self.open.muted, &muted) {
            (before, Some(now)) if before.as_ref() != Some(now) => {
                self.facts.push(What::Muted { until: now.until, why: now.why.clone() });
            }
            (Some(before), None) => {
                self.open.unmuted_for = Some(before.until.min(self.now + CLOCKS_APART));
                self.facts.push(What::Unmuted { why: format!("{} fires, and nothing mutes it", self.open.firing_names()) });
                self.lines.push("Silenced no more, and it still fires.".to_owned());
            }
            (_, Some(_)) | (None, None) => {}
        }
        self.open.muted = muted;
    }

    /// Tells the book that the service fails that the incident is about, if there is a topology that knows it.
    pub(super) fn enter(&mut self) {
        let Some(topology) = self.rules.topology.clone() else { return };
        let Some(failing) = self.open.firing().find_map(|alert| topology.service(&alert.labels)) else { return };
        let (heard, callers) = self.open.kin.take().map_or(((0, 0), vec![]), |kin| (kin.heard, kin.callers));
        let standing = Standing::Waits { until: self.now + ANSWERED_WITHIN };
        self.open.kin = Some(Kin { since: self.now, standing, heard, callers });
        let (incident, key) = (self.open.id.clone(), Some(self.open.key.clone()));
        self.tell_book("fails", Told::Fails { failing, incident, since: self.now, key });
    }

    /// Tells it that this is over.
    pub(super) fn leave(&mut self) {
        let Some(since) = self.open.kin.as_ref().map(|kin| kin.since) else { return };
        self.tell_book("over", Told::Over { incident: self.open.id.clone(), since });
    }

    fn tell_book(&mut self, verb: &str, told: Told) {
        let Some(Kin { since, .. }) = &self.open.kin else { return };
        let message_id = format!("{}/{verb}.{}", self.open.id, since.timestamp_millis());
        self.outgoing.push(Outgoing::Related(Related { message_id, tenant: self.open.tenant.clone(), told }));
    }

    /// The book tells where the incident stands.
    pub(super) fn related(mut self, told: Told) -> Outcome {
        let Some(kin) = &mut self.open.kin else { return Decision::unchanged("it asked for nothing") };
        let (heard, number) = match &told {
            Told::Origin { number, .. } => (&mut kin.heard.0, *number),
            Told::Callers { number, .. } => (&mut kin.heard.1, *number),
            Told::Fails { .. } | Told::Over { .. } | Told::Move { .. } | Told::Route { .. } | Told::Alone { .. } => {
                return Decision::unchanged("this is not about where an incident stands");
            }
        };
        if number <= *heard {
            return Decision::unchanged("old news of the book");
        }
        *heard = number;
        match told {
            Told::Origin { origin: Some(origin), .. } => {
                if !matches!(&kin.standing, Standing::PartOf { origin: known } if *known == origin) {
                    self.facts.push(What::PartOf { origin: origin.incident.clone(), service: origin.service.clone() });
                }
                kin.standing = Standing::PartOf { origin };
            }
            Told::Origin { origin: None, .. } => {
                kin.standing = match kin.standing {
                    Standing::PartOf { .. } => Standing::Waits { until: self.now + RECOVERED_WITHIN },
                    Standing::Waits { .. } | Standing::Alone => Standing::Alone,
                };
            }
            Told::Callers { callers, .. } => {
                let new = callers.iter().filter(|caller| !kin.callers.contains(caller)).cloned();
                let joined: Vec<Relative> = new.collect();
                self.is_news = true;
                kin.callers = callers;
                let joined = joined.into_iter().map(|Relative { incident, service }| What::Joined { incident, service });
                self.facts.extend(joined);
            }
            Told::Fails { .. } | Told::Over { .. } | Told::Move { .. } | Told::Route { .. } | Told::Alone { .. } => {}
        }
        self.finish("the book told where it stands")
    }
}
