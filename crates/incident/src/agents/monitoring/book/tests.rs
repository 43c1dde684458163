//! A tenant with several incidents at once: what is muted, and what is part of what, in whatever order it comes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::*;
use crate::agent::{Agent as _, LOOK};
use crate::alert::tests::alert;
use crate::alert::{AlertStatus, Correlation, Notification};
use crate::evidence::{Diagnosis, Verdict};
use crate::fact::What;
use crate::matcher::Matcher;
use crate::silence::{Every, Maintenance, Silence, Source};
use crate::task::{Artifact, Errand, Phase, TaskEvent, TaskRequest, TaskStatus};
use crate::topology::Service;

const FIRING: AlertStatus = AlertStatus::Firing;
const RESOLVED: AlertStatus = AlertStatus::Resolved;

fn at(s: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(s)
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

/// Everything that monitoring remembers, and what is on its way to it.
struct Town {
    monitoring: Monitoring,
    entities: BTreeMap<String, Entity<Incident>>,
    keys: BTreeMap<String, String>,
    timers: BTreeMap<(String, String), DateTime<Utc>>,
    bus: VecDeque<Content>,
    now: DateTime<Utc>,
    /// Service, or the incident's id, and what happened there.
    log: Vec<(String, String)>,
}

impl Town {
    fn new() -> Self {
        let on = |names: &[&str]| Service { depends_on: names.iter().map(|&name| name.to_owned()).collect() };
        let services = [("web", on(&["checkout"])), ("checkout", on(&["payments"])), ("payments", on(&[])), ("mail", on(&[]))];
        let services = services.into_iter().map(|(name, service)| (name.to_owned(), service)).collect();
        let topology = Arc::new(Topology { window_s: 600, services });
        let monitoring = Monitoring { topologies: [(tenant(), topology)].into(), ..Monitoring::default() };
        let (entities, keys, timers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { monitoring, entities, keys, timers, bus: VecDeque::new(), now: at(0), log: vec![] }
    }

    fn decide(&mut self, id: Option<String>, event: Event<()>) {
        let entity = id.as_ref().and_then(|id| self.entities.get(id)).cloned();
        let beside = self.entities.get(BOOK).map(|book| book.state.clone());
        let decision = self.monitoring.decide_beside(entity, beside.as_ref(), event, self.now);
        let id = decision.next.as_ref().map(|entity| entity.id.clone()).or(id).unwrap_or_default();
        for timer in decision.timers {
            match timer.at {
                Some(at) => drop(self.timers.insert((id.clone(), timer.name), at)),
                None => drop(self.timers.remove(&(id.clone(), timer.name))),
            }
        }
        if let Some(entity) = decision.next {
            if let Some(key) = &entity.open_key {
                self.keys.insert(key.clone(), id.clone());
            }
            self.entities.insert(id.clone(), entity);
        }
        if decision.rouses {
            let open = self.entities.values().filter(|entity| entity.open_key.is_some());
            let open: Vec<_> = open.map(|entity| (entity.id.clone(), LOOK.to_owned())).collect();
            self.timers.extend(open.into_iter().map(|key| (key, self.now)));
        }
        for (incident, what) in decision.facts {
            let word = match what {
                What::Muted { .. } => "muted",
                What::Unmuted { .. } => "unmuted",
                What::PartOf { .. } => "part of another",
                What::Joined { .. } => "joined",
                What::Diagnosed { .. } => "diagnosed",
                _ => continue,
            };
            self.log.push((self.name(incident.as_str()), word.to_owned()));
        }
        for outgoing in decision.outgoing {
            match outgoing {
                Outgoing::Request(request) => self.answers(&request),
                Outgoing::Related(related) => self.bus.push_back(Content::Related(related)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The service that an incident is about.
    fn name(&self, incident: &str) -> String {
        let key = self.keys.iter().find(|(_, id)| *id == incident).map_or(incident, |(key, _)| key);
        key.rsplit('=').next().unwrap_or_default().to_owned()
    }

    fn answers(&mut self, request: &TaskRequest) {
        let verdict = Verdict::Inconclusive { reason: "nothing changed".to_owned() };
        let artifact = match &request.errand {
            Errand::Diagnose { .. } => Artifact::Diagnosis { diagnosis: Diagnosis { verdict, evidence: vec![] } },
            Errand::Announce { bulletin } => {
                let news = bulletin.news.as_deref().unwrap_or("-").split([':', ';']).next().unwrap_or_default().to_owned();
                self.log.push((self.name(request.incident.as_str()), format!("told: {news}")));
                Artifact::Delivered { place: Some("there".to_owned()) }
            }
            Errand::Ticket { .. } => Artifact::Delivered { place: Some("there".to_owned()) },
            Errand::Remediate { .. } => panic!("there is no hypothesis"),
        };
        let TaskRequest { message_id, tenant, from, to, incident, .. } = request.clone();
        let (task, status) = (request.task(), TaskStatus::Completed { artifact });
        self.bus.push_back(Content::Event(TaskEvent {
            tenant,
            task,
            message_id,
            incident,
            from: to,
            to: from,
            number: 1,
            status,
        }));
    }

    fn hears(&mut self, content: Content) {
        let id = match self.monitoring.locate(&content).unwrap() {
            Locator::Id(id) => Some(id),
            Locator::Open(key) | Locator::Last(key) => self.keys.get(&key).cloned(),
        };
        self.decide(id, Event::Message(content));
    }

    fn alert(&mut self, service: &str, status: AlertStatus) {
        let mut alert = alert("Slow", status, self.now.timestamp() - i64::from(status == RESOLVED) * 60);
        alert.labels.insert("service".to_owned(), service.to_owned());
        alert.fingerprint = service.to_owned();
        if status == RESOLVED
            && let Some(Incident::Open(open)) = self.incident(service)
        {
            alert.starts_at = open.firing().next().unwrap().starts_at;
        }
        self.bus
            .push_back(Content::Alerts(Notification::split(&tenant(), "g", vec![alert], 0, &Correlation::default()).remove(0)));
    }

    /// What is on its way arrives, in an order that follows from `seed`.
    fn settles(&mut self, mut seed: u64) {
        while !self.bus.is_empty() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let n = usize::try_from(seed >> 33).unwrap() % self.bus.len();
            let content = self.bus.remove(n).unwrap();
            self.hears(content);
        }
    }

    fn passes(&mut self, until_s: i64, seed: u64) {
        loop {
            self.settles(seed);
            let due = self.timers.iter().min_by_key(|(_, due)| **due).map(|(key, due)| (key.clone(), *due));
            let Some((key, due)) = due.filter(|(_, due)| *due <= at(until_s)) else { break };
            self.timers.remove(&key);
            self.now = self.now.max(due);
            self.decide(Some(key.0), Event::Timer(key.1));
        }
        self.now = at(until_s);
    }

    fn incident(&self, service: &str) -> Option<&Incident> {
        let id = self.keys.get(&format!("namespace=shop,service={service}"))?;
        Some(&self.entities.get(id)?.state)
    }

    fn phase(&self, service: &str) -> Option<Phase> {
        match self.incident(service)? {
            Incident::Open(open) => Some(open.phase()),
            _ => None,
        }
    }

    fn log_of(&self, service: &str) -> Vec<&str> {
        self.log.iter().filter(|(name, _)| name == service).map(|(_, word)| word.as_str()).collect()
    }

    fn silences(&mut self, number: u64, until_s: i64) {
        let silence = Silence {
            id: "sil_1".parse().unwrap(),
            owner: "ana".parse().unwrap(),
            reason: "known".to_owned(),
            matchers: vec![Matcher::equal("service", "mail")],
            starts_at: at(0),
            ends_at: at(until_s),
            source: Source::Paramedic,
        };
        self.bus.push_back(Content::Silences { tenant: tenant(), silences: Silences { number, all: vec![silence] } });
    }
}

#[test]
fn a_failing_dependency_and_its_callers_are_one_incident_in_any_order() {
    let orders = [
        ["payments", "checkout", "web"],
        ["web", "checkout", "payments"],
        ["checkout", "web", "payments"],
        ["web", "payments", "checkout"],
    ];
    for order in orders {
        for seed in 0..50 {
            let mut town = Town::new();
            for service in order {
                town.alert(service, FIRING);
            }
            town.passes(60, seed);
            let phases = ["web", "checkout", "payments"].map(|service| town.phase(service).unwrap());
            let expected = [Phase::PartOfAnother, Phase::PartOfAnother, Phase::NeedsPeople];
            assert_eq!(phases, expected, "{order:?} {seed}: {:?}", town.log);
            for child in ["web", "checkout"] {
                assert!(town.log_of(child).contains(&"part of another"), "{order:?} {seed}");
                assert!(!town.log_of("payments").contains(&"part of another"), "{order:?} {seed}");
            }
            assert!(town.log_of("payments").iter().filter(|word| **word == "joined").count() >= 2, "{:?}", town.log);
        }
    }
}

#[test]
fn what_was_part_of_another_stands_for_itself_when_that_is_over() {
    for seed in 0..50 {
        let mut town = Town::new();
        town.alert("payments", FIRING);
        town.passes(10, seed);
        town.alert("checkout", FIRING);
        town.passes(60, seed);
        assert_eq!(town.log_of("checkout"), ["part of another"], "nobody is told of it");
        assert_eq!(town.phase("checkout"), Some(Phase::PartOfAnother));
        town.alert("payments", RESOLVED);
        town.passes(120, seed);
        assert_eq!(town.phase("payments"), None, "it rests");
        assert_eq!(town.log_of("checkout"), ["part of another"], "it may be over in a moment, too");
        town.passes(200, seed);
        assert_eq!(town.phase("checkout"), Some(Phase::NeedsPeople), "{:?}", town.log);
        assert!(town.log_of("checkout").iter().any(|word| word.starts_with("told: ")), "{:?}", town.log);
        town.alert("checkout", RESOLVED);
        town.passes(260, seed);
        let Some(Incident::Book(book)) = town.entities.get(BOOK).map(|book| &book.state) else { panic!("a book") };
        assert_eq!(book.failing, vec![], "what is over is not in the book");
    }
}

#[test]
fn what_has_nothing_to_do_with_each_other_stays_apart() {
    let mut town = Town::new();
    for service in ["mail", "payments"] {
        town.alert(service, FIRING);
    }
    town.passes(60, 1);
    town.now = at(700);
    town.alert("web", FIRING);
    town.passes(760, 1);
    let phases = ["mail", "payments", "web"].map(|service| town.phase(service).unwrap());
    assert_eq!(phases, [Phase::NeedsPeople; 3], "web failed too long after payments");
}

#[test]
fn a_book_that_does_not_answer_keeps_nobody_from_knowing() {
    let mut town = Town::new();
    town.alert("payments", FIRING);
    let alerts = town.bus.pop_front().unwrap();
    town.hears(alerts);
    town.bus.clear();
    town.passes(4, 1);
    assert_eq!(town.log_of("payments"), Vec::<&str>::new());
    town.passes(60, 1);
    assert!(town.log_of("payments").iter().any(|word| word.starts_with("told: ")), "{:?}", town.log);
}

#[test]
fn a_silenced_incident_is_kept_and_told_at_once_when_that_ends() {
    for seed in 0..20 {
        let mut town = Town::new();
        town.silences(1, 300);
        town.settles(seed);
        town.now = at(20);
        town.alert("mail", FIRING);
        town.passes(299, seed);
        assert_eq!(town.phase("mail"), Some(Phase::Silenced));
        assert_eq!(town.log_of("mail"), ["muted", "diagnosed"], "evidence is collected, and nobody is told");
        town.passes(302, seed);
        assert_eq!(town.phase("mail"), Some(Phase::NeedsPeople));
        assert_eq!(town.log_of("mail").get(2..4), Some(&["unmuted", "told: Silenced no more, and it still fires."][..]));
    }
}

#[test]
fn what_is_ended_or_made_meanwhile_counts_at_once() {
    let mut town = Town::new();
    town.silences(1, 300);
    town.settles(1);
    town.now = at(20);
    town.alert("mail", FIRING);
    town.passes(40, 1);
    town.silences(2, 41);
    town.now = at(41);
    town.passes(42, 1);
    assert_eq!(town.phase("mail"), Some(Phase::NeedsPeople), "it was ended before its time");
    town.silences(3, 8_000);
    town.passes(60, 1);
    assert_eq!(town.phase("mail"), Some(Phase::Silenced));
    let before = town.log.len();
    town.silences(2, 41);
    town.passes(7_999, 1);
    assert_eq!(town.log.len(), before, "nobody is reminded of it, and old news changes nothing: {:?}", town.log);
    town.alert("mail", RESOLVED);
    town.passes(8_100, 1);
    assert_eq!(town.log_of("mail").last(), Some(&"told: Resolved"), "people who have a card see that it is over");
}

#[test]
fn maintenance_mutes_while_it_lasts() {
    let mut town = Town::new();
    let window = Maintenance {
        name: "upgrade".to_owned(),
        matchers: vec![Matcher::equal("service", "mail")],
        starts_at: at(0),
        minutes: 10,
        every: Every::Once,
    };
    town.monitoring.maintenance.insert(tenant(), vec![window]);
    town.now = at(60);
    town.alert("mail", FIRING);
    town.alert("web", FIRING);
    town.passes(599, 1);
    assert_eq!([town.phase("mail"), town.phase("web")], [Some(Phase::Silenced), Some(Phase::NeedsPeople)]);
    town.passes(605, 1);
    assert_eq!(town.phase("mail"), Some(Phase::NeedsPeople));
}
