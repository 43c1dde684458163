//! What all parts of a run share: the clock, the agenda, chance, the bus, the outside, and what is remembered for the promises.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chrono::TimeDelta;
use incident::alert::Notification;
use incident::task::Role;

use crate::choices::Choices;
use crate::faults::{Profile, Site};
use crate::log::Log;
use crate::mutation::Mutation;
use crate::outside::{Fate, Outside};
use crate::people::Call;
use crate::scenario::{Place, Provider, Trouble};
use crate::scene::{Time, ms};
use crate::service::Work;
use crate::trace::Trace;
use crate::witness::Witness;

/// The shortest way from one part to another.
const HOP: TimeDelta = TimeDelta::milliseconds(1);
/// How much longer things may take, in milliseconds.
const DELAYS: [i64; 6] = [5, 20, 100, 400, 1_500, 4_000];
/// How late a slow provider does what it is asked, in milliseconds: less than the connectors look for it before they try again.
const SLOW: [i64; 3] = [1_000, 3_000, 8_000];

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A happening of the scenario, by its place.
    Happens(usize),
    /// The bus hands a message to a reader.
    Delivery(u64),
    /// A process takes its next step.
    Works(Role, Work),
    /// A process is started again.
    Starts(Role, usize),
    /// A call reaches its provider.
    Arrives(Role, u64),
    /// Alertmanager calls the gateway.
    Webhook(Box<Notification>),
    /// A person calls the gateway.
    Answers(Box<Call>),
    /// Prometheus looks at a workload, and Alertmanager tells what changed.
    Evaluates(Place),
}

impl Event {
    /// Whether a run is not over while this is to come: what only watches does not count.
    const fn is_busy(&self) -> bool {
        !matches!(self, Self::Works(_, work) if work.is_watching())
    }
}

/// What becomes of a call of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFate {
    Well,
    /// Nothing is done.
    Away,
    /// It is done, and nobody is told.
    Unanswered,
}

struct Entry {
    at: Time,
    place: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.place).cmp(&(other.at, other.place))
    }
}

/// What will happen, in order.
#[derive(Default)]
struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    placed: u64,
    busy: usize,
}

pub(crate) struct Env {
    pub(crate) now: Time,
    /// From then on nothing goes wrong by chance.
    pub(crate) calm_from: Time,
    pub(crate) choices: Choices,
    pub(crate) profile: Profile,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) trace: Trace,
    pub(crate) log: Log,
    pub(crate) outside: Outside,
    pub(crate) witness: Witness,
    agenda: Agenda,
}

impl Env {
    pub(crate) fn new(now: Time, (choices, profile): (Choices, Profile), trace: Trace) -> Self {
        Self {
            now,
            calm_from: now,
            choices,
            profile,
            mutation: None,
            trace,
            log: Log::default(),
            outside: Outside::default(),
            witness: Witness::default(),
            agenda: Agenda::default(),
        }
    }

    /// Which way it goes: 0 is the undisturbed one.
    pub(crate) fn draw(&mut self, site: Site, most: u32, about: &str) -> u32 {
        if self.now >= self.calm_from {
            return 0;
        }
        let value = self.choices.draw(self.profile.odds(site), most, site.label(), about);
        if value > 0 && site != Site::Delay {
            self.trace.say(self.now, || format!("  !! {}: {about}", site.label()));
        }
        value
    }

    /// Whether it goes wrong.
    pub(crate) fn strikes(&mut self, site: Site, about: &str) -> bool {
        self.draw(site, 1, about) > 0
    }

    pub(crate) fn at(&mut self, at: Time, event: Event) {
        self.agenda.placed += 1;
        self.agenda.busy += usize::from(event.is_busy());
        self.agenda.entries.push(Reverse(Entry { at: at.max(self.now), place: self.agenda.placed, event }));
    }

    /// As soon as it gets there; perhaps later.
    pub(crate) fn soon(&mut self, about: &str, event: Event) {
        let most = u32::try_from(DELAYS.len()).unwrap_or(0);
        let delay = self.draw(Site::Delay, most, about);
        let longer = usize::try_from(delay).ok().and_then(|n| DELAYS.get(n.checked_sub(1)?)).map_or(HOP, |delay| ms(*delay));
        self.at(self.now + longer, event);
    }

    /// What comes next; the clock goes there.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let Reverse(entry) = self.agenda.entries.pop()?;
        self.agenda.busy -= usize::from(entry.event.is_busy());
        self.now = entry.at;
        Some(entry.event)
    }

    /// Whether nothing is to come but timers.
    pub(crate) fn is_quiet(&self) -> bool {
        self.agenda.busy == 0 && self.log.is_empty()
    }

    /// Whether the bus stores what is new.
    pub(crate) fn bus_stores(&self) -> bool {
        self.outside.trouble(Provider::Nats, self.now).is_none()
    }

    /// Whether the bus is there: hands out what it has, and hears acknowledgements.
    pub(crate) fn bus_is_there(&self) -> bool {
        matches!(self.outside.trouble(Provider::Nats, self.now), None | Some(Trouble::Full))
    }

    /// What becomes of a call of the store.
    pub(crate) fn store_fate(&self) -> StoreFate {
        match self.outside.trouble(Provider::Postgres, self.now) {
            None => StoreFate::Well,
            Some(Trouble::LosesAnswers) => StoreFate::Unanswered,
            Some(_) => StoreFate::Away,
        }
    }

    /// What becomes of a call: by the scenario, or else by chance.
    pub(crate) fn fate(&mut self, provider: Provider, about: &str) -> Fate {
        let slow = || u32::try_from(SLOW.len()).unwrap_or(0);
        let slow_for = |n: u32| usize::try_from(n).ok().and_then(|n| SLOW.get(n.checked_sub(1)?)).map_or(HOP, |late| ms(*late));
        match self.outside.trouble(provider, self.now) {
            Some(Trouble::Refuses | Trouble::Limits | Trouble::Dies | Trouble::Full) => return Fate::Refused,
            Some(Trouble::Silent) => return Fate::Silent,
            Some(Trouble::LosesAnswers) => return Fate::Unanswered,
            Some(Trouble::Slow) => return Fate::Late(slow_for(slow())),
            None => {}
        }
        if self.strikes(Site::ProviderRefuses, about) {
            return Fate::Refused;
        }
        if self.strikes(Site::ProviderSilent, about) {
            return Fate::Silent;
        }
        if self.strikes(Site::AnswerLost, about) {
            return Fate::Unanswered;
        }
        match self.draw(Site::ProviderSlow, slow(), about) {
            0 => Fate::Well,
            n => Fate::Late(slow_for(n)),
        }
    }
}
