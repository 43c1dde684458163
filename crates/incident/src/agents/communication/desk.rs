//! The desk: one for each tenant, which hears of every incident that opens. When they open too fast for people to be told of each, it
//! declares a storm and keeps one notice of all of them up to date; the storm is listed and recorded as an incident is. Its memory is as
//! small in a storm as before.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Communicator, Conversation, Outcome, Said, Talk, Turn};
use crate::agent::{AUDIT, Decision, Entity, Event, Timer};
use crate::alert::Severity;
use crate::fact::What;
use crate::id::{IncidentId, TenantId, fingerprint};
use crate::storm::{Counts, Pace};
use crate::task::{Bulletin, Phase};

/// The id of each tenant's desk.
pub(super) const DESK: &str = "desk";
/// The timer by which the notice grows and the storm ends.
const LOOK: &str = "storm";
/// Between two edits of the notice: nobody reads faster, and Slack takes one a second for all that is told.
const EDIT_EVERY: TimeDelta = TimeDelta::seconds(10);
/// Incidents that the notice names, the worst first.
const NAMED_MAX: usize = 10;

/// What a tenant's desk remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Desk {
    tenant: TenantId,
    pace: Pace,
    /// Bulletins of all notices so far.
    bulletins: u32,
    weather: Weather,
    /// The notice of the storm that is, or was the last.
    notice: Option<Box<Conversation>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "weather", rename_all = "snake_case")]
enum Weather {
    /// People are told of each incident.
    Calm {
        /// How the last storm was.
        past: Option<Past>,
    },
    /// They are told of all together.
    Storm(Storm),
}

/// A storm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Storm {
    since: DateTime<Utc>,
    /// When incidents opened too fast, the last time.
    busy_at: DateTime<Utc>,
    counts: Counts,
    /// How many there were when the notice was edited last.
    shown: u32,
    /// The first ones of the worst.
    named: Vec<(Severity, String)>,
}

/// A storm that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Past {
    over_at: DateTime<Utc>,
    counts: Counts,
}

/// When an incident that was held back is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turnout {
    /// Nothing keeps it back.
    Now,
    /// Not before this.
    At(DateTime<Utc>),
}

impl Desk {
    pub(super) fn new(tenant: TenantId) -> Self {
        Self { tenant, pace: Pace::default(), bulletins: 0, weather: Weather::Calm { past: None }, notice: None }
    }

    /// Whether people get one notice of all that opens.
    pub(super) const fn is_stormy(&self) -> bool {
        matches!(self.weather, Weather::Storm(_))
    }

    /// When an incident that was held back is to be told: when the storm is over, one a second, the worst first. Where each stands follows
    /// from its id, so that nobody need keep a list of them. The first of them waits until all have looked: each does so once in
    /// [`EDIT_EVERY`], and the worst may be the last to do so.
    pub(super) fn turn_of(&self, incident: &IncidentId, severity: Severity, now: DateTime<Utc>) -> Turnout {
        match &self.weather {
            Weather::Storm(storm) => Turnout::At(storm.busy_at.max(now) + EDIT_EVERY),
            Weather::Calm { past: None } => Turnout::Now,
            Weather::Calm { past: Some(past) } => {
                let (before, of) = past.counts.before_and_of(severity);
                let digits: String = fingerprint(&[incident.as_str()]).chars().take(8).collect();
                let place = u32::from_str_radix(&digits, 16).unwrap_or(0) % of.max(1);
                let at = past.over_at + EDIT_EVERY + TimeDelta::seconds(i64::from(before) + i64::from(place));
                if at <= now { Turnout::Now } else { Turnout::At(at) }
            }
        }
    }

    /// An incident opened.
    pub(super) fn opened(mut self, (title, severity): (&str, Severity), now: DateTime<Utc>, agent: &Communicator) -> Outcome {
        let rules = agent.rules(&self.tenant);
        let is_fast = self.pace.opened(&rules, now);
        match &mut self.weather {
            Weather::Calm { .. } if is_fast => {
                let mut counts = Counts::default();
                counts.add(severity);
                let named = vec![(severity, title.to_owned())];
                // Those that made it one were told of by themselves.
                self.weather = Weather::Storm(Storm { since: now, busy_at: now, counts, shown: 0, named });
                let incident = self.name(now);
                self.notice = Some(Box::new(Conversation::new(self.tenant.clone(), incident)));
                let title = "Storm: incidents open faster than people can be told of each".to_owned();
                let why = "one notice tells of all of them".to_owned();
                let facts =
                    vec![What::Opened { title, severity, follows: None }, What::PhaseChanged { phase: Phase::NeedsPeople, why }];
                self.tell(facts, now, agent, "a storm begins")
            }
            Weather::Calm { .. } => self.put("an incident opened"),
            Weather::Storm(storm) => {
                storm.counts.add(severity);
                storm.busy_at = if is_fast { now } else { storm.busy_at };
                let worse = storm.named.iter().position(|(named, _)| *named < severity).unwrap_or(storm.named.len());
                storm.named.insert(worse, (severity, title.to_owned()));
                storm.named.truncate(NAMED_MAX);
                self.put("one more in the storm")
            }
        }
    }

    /// Time passed, or the notice was posted or edited.
    pub(super) fn goes_on(mut self, event: Event<Said>, now: DateTime<Utc>, agent: &Communicator) -> Outcome {
        match event {
            Event::Outcome { effect, result } => {
                let Some(notice) = self.notice.take() else { return Decision::unchanged("there is no notice") };
                let mut turn = Turn::of(*notice);
                turn.ended(&effect, result);
                self.finish(turn, "the notice was told")
            }
            Event::Timer(name) if name == AUDIT => {
                let at = self.is_stormy().then(|| now + EDIT_EVERY);
                let again = self.again("calls that were lost are made again");
                Decision { timers: vec![Timer { name: LOOK.to_owned(), at }], ..again }
            }
            Event::Timer(_) => {
                let rules = agent.rules(&self.tenant);
                let Weather::Storm(storm) = &self.weather else { return self.put("it is calm") };
                if now - storm.busy_at >= TimeDelta::seconds(i64::from(rules.calm_s)) {
                    let past = Past { over_at: now, counts: storm.counts };
                    let last = self.bulletin(now, Phase::Resolved);
                    let outcome = last.as_ref().map(|last| last.title.clone()).unwrap_or_default();
                    let why = "they open more slowly again".to_owned();
                    let facts = vec![What::PhaseChanged { phase: Phase::Resolved, why }, What::Closed { outcome }];
                    self.weather = Weather::Calm { past: Some(past) };
                    return self.show(last, facts, agent, ("the storm is over", None));
                }
                if storm.shown == storm.counts.all() {
                    let timers = vec![Timer { name: LOOK.to_owned(), at: Some(now + EDIT_EVERY) }];
                    return Decision { timers, ..self.put("the notice says all that there is") };
                }
                self.tell(vec![], now, agent, "the storm grows")
            }
            Event::Message(_) => Decision::unchanged("this is not about a storm"),
        }
    }

    /// A storm's own record stands under this, as an incident's does under its id.
    fn name(&self, now: DateTime<Utc>) -> IncidentId {
        let digest: String = fingerprint(&[self.tenant.as_str(), &now.timestamp_millis().to_string()]).chars().take(16).collect();
        let named = format!("storm_{digest}").parse();
        named.unwrap_or_else(|_| IncidentId::derive(&[&digest]))
    }

    fn tell(mut self, facts: Vec<What>, now: DateTime<Utc>, agent: &Communicator, why: &str) -> Outcome {
        let bulletin = self.bulletin(now, Phase::NeedsPeople);
        if let Weather::Storm(storm) = &mut self.weather {
            storm.shown = storm.counts.all();
        }
        self.show(bulletin, facts, agent, (why, Some(now + EDIT_EVERY)))
    }

    /// Has the notice say this, and looks again then.
    fn show(
        mut self,
        bulletin: Option<Bulletin>,
        facts: Vec<What>,
        agent: &Communicator,
        (why, look_at): (&str, Option<DateTime<Utc>>),
    ) -> Outcome {
        let (Some(notice), Some(bulletin)) = (self.notice.take(), bulletin) else { return self.put(why) };
        self.bulletins = bulletin.number;
        let mut turn = Turn::of(*notice);
        if agent.chat.contains(&self.tenant) {
            turn.show(bulletin);
        } else {
            turn.log(&bulletin, "log (Slack is not configured)");
        }
        turn.facts.extend(facts);
        turn.timer(LOOK, look_at);
        self.finish(turn, why)
    }

    /// How the storm stands, for people.
    fn bulletin(&self, now: DateTime<Utc>, phase: Phase) -> Option<Bulletin> {
        let Weather::Storm(Storm { since, counts, shown, named, .. }) = &self.weather else { return None };
        let minutes = (now - *since).num_minutes();
        let Counts { critical, warning, info } = *counts;
        let is_over = phase == Phase::Resolved;
        let (head, tail) = if is_over { ("Storm over", "") } else { ("Storm", ", and more may follow") };
        let title = format!("{head}: {} incidents opened within {minutes} minutes{tail}", counts.all());
        let mut findings = vec![format!("{critical} critical, {warning} warnings, {info} for information")];
        findings.extend(named.iter().map(|(severity, title)| format!("{severity}: {title}")));
        let more = usize::try_from(counts.all()).unwrap_or(usize::MAX).saturating_sub(named.len());
        findings.extend((more > 0).then(|| format!("and {more} more: paramedic incident list --open")));
        let news = if is_over {
            Some("The storm is over. What is still open is announced now, the worst first.".to_owned())
        } else {
            let begins = || format!("{title}. Each is worked on and recorded; what is still open is announced when it is over.");
            (*shown == 0).then(begins)
        };
        let number = self.bulletins + 1;
        let severity = counts.worst();
        Some(Bulletin {
            number,
            title,
            severity,
            phase,
            news,
            findings,
            ask: None,
            gaps: vec![],
            opened_at: *since,
            follows: None,
            attended: None,
        })
    }

    /// Calls that were lost are made again.
    fn again(mut self, why: &str) -> Outcome {
        let Some(notice) = self.notice.take() else { return self.put(why) };
        let mut turn = Turn::of(*notice);
        turn.again();
        self.finish(turn, why)
    }

    fn finish(self, turn: Turn, why: &str) -> Outcome {
        turn.finish_as(why, |notice| Self { notice: Some(Box::new(notice)), ..self }.entity())
    }

    fn put(self, why: &str) -> Outcome {
        Decision::put(self.entity(), why)
    }

    /// Open while it waits for anything.
    fn entity(self) -> Entity<Talk> {
        let waits = self.is_stormy() || self.notice.as_ref().is_some_and(|notice| notice.chat.busy.is_some());
        Entity { id: DESK.to_owned(), open_key: waits.then(|| DESK.to_owned()), state: Talk::Desk(Box::new(self)) }
    }
}

#[cfg(test)]
mod tests;
