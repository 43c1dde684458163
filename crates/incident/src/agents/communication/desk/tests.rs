//! Days of a tenant's communication: what opens, what people are told.

use super::*;
use crate::agent::{Agent as _, Content, Effect, Outgoing};
use crate::agents::communication::{Place, Say};
use crate::fact::Fact;
use crate::storm::StormRules;
use crate::task::{Errand, Role, TaskRequest};

/// Everything that communication remembers, and what it did.
struct Case {
    agent: Communicator,
    entities: std::collections::BTreeMap<String, Entity<Talk>>,
    timers: std::collections::BTreeMap<String, DateTime<Utc>>,
    now: DateTime<Utc>,
    said: Vec<(i64, String, Say)>,
    answered: usize,
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn at(s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(s, 0).unwrap()
}

fn incident(n: u32) -> IncidentId {
    format!("inc_{n}").parse().unwrap()
}

impl Case {
    fn new() -> Self {
        let rules = StormRules { opened: 5, within_s: 60, calm_s: 120 };
        let (chat, ticket) = ([tenant()].into(), [tenant()].into());
        let agent = Communicator { chat, ticket, storms: [(tenant(), rules)].into() };
        Self { agent, entities: [].into(), timers: [].into(), now: at(0), said: vec![], answered: 0 }
    }

    /// Decides, and has every effect succeed at once.
    fn decide(&mut self, id: &str, event: Event<Said>) {
        let beside = self.entities.get(DESK).map(|desk| desk.state.clone());
        let decision = self.agent.decide_beside(self.entities.get(id).cloned(), beside.as_ref(), event, self.now);
        self.answered += decision.outgoing.iter().filter(|outgoing| matches!(outgoing, Outgoing::Event(_))).count();
        for timer in decision.timers {
            match timer.at {
                Some(at) => drop(self.timers.insert(id.to_owned(), at)),
                None => drop(self.timers.remove(id)),
            }
        }
        if let Some(entity) = decision.next {
            self.entities.insert(id.to_owned(), entity);
        }
        for Effect { name, body } in decision.effects {
            self.said.push((self.now.timestamp(), id.to_owned(), body));
            let place = Place { room: "C1".to_owned(), name: id.to_owned() };
            self.decide(id, Event::Outcome { effect: name, result: Ok(Said::At(place)) });
        }
    }

    fn opens(&mut self, n: u32, severity: Severity) {
        let what = What::Opened { title: format!("trouble {n}"), severity, follows: None };
        let id = format!("fact {n}");
        let fact = Fact { id, tenant: tenant(), incident: incident(n), by: Role::Monitoring, at: self.now, what };
        self.decide(DESK, Event::Message(Content::Fact(Box::new(fact))));
        self.tells(n, 1, (severity, Phase::NeedsPeople));
    }

    fn tells(&mut self, n: u32, number: u32, (severity, phase): (Severity, Phase)) {
        let (title, news) = (format!("trouble {n}"), Some("new".to_owned()));
        let bulletin = Bulletin {
            number,
            title,
            severity,
            phase,
            news,
            findings: vec![],
            ask: None,
            gaps: vec![],
            opened_at: self.now,
            follows: None,
            attended: None,
        };
        for (skill, errand) in
            [("announce", Errand::Announce { bulletin: bulletin.clone() }), ("ticket", Errand::Ticket { bulletin })]
        {
            let request = TaskRequest {
                message_id: format!("{n}/{skill}.{number}"),
                tenant: tenant(),
                from: Role::Monitoring,
                to: Role::Communication,
                incident: incident(n),
                client: None,
                errand,
            };
            self.decide(incident(n).as_str(), Event::Message(Content::Request(request)));
        }
    }

    /// Time passes, and timers fire when they are due.
    fn passes(&mut self, until_s: i64) {
        loop {
            let due = self.timers.iter().min_by_key(|(_, due)| **due).map(|(id, due)| (id.clone(), *due));
            let Some((id, due)) = due.filter(|(_, due)| *due <= at(until_s)) else { break };
            self.timers.remove(&id);
            self.now = due.max(self.now);
            self.decide(&id, Event::Timer(LOOK.to_owned()));
        }
        self.now = at(until_s);
    }

    /// When cards were posted, and for what.
    fn cards(&self) -> Vec<(i64, &str)> {
        let cards = self.said.iter().filter(|(.., say)| matches!(say, Say::PostCard { .. }));
        cards.map(|(at, id, _)| (*at, id.as_str())).collect()
    }

    fn issues(&self) -> usize {
        self.said.iter().filter(|(.., say)| matches!(say, Say::OpenIssue { .. })).count()
    }
}

#[test]
fn one_at_a_time_is_told_at_once() {
    let mut case = Case::new();
    for n in 0..10 {
        case.passes(i64::from(n) * 20);
        case.opens(n, Severity::Critical);
    }
    assert_eq!((case.cards().len(), case.issues()), (10, 10));
}

#[test]
fn a_storm_has_one_notice_and_then_what_is_open_is_told_the_worst_first() {
    let mut case = Case::new();
    let severity = |n: u32| if n.is_multiple_of(4) { Severity::Critical } else { Severity::Warning };
    for n in 0..1_000 {
        case.passes(i64::from(n / 20));
        case.opens(n, severity(n));
    }
    let before = case.cards();
    assert_eq!(before.iter().filter(|(_, id)| *id == DESK).count(), 1, "{before:?}");
    assert_eq!((before.len(), case.issues()), (5, 4), "those that came before the storm, and the notice");
    assert_eq!(case.answered, 2_000, "whoever asked is told that people know");
    let desk = case.entities.get(DESK).unwrap();
    assert!(serde_json::to_vec(&desk.state).unwrap().len() < 8_192, "its memory is as small as ever");
    // Half of them end while it lasts.
    for n in (0..1_000).filter(|n| n % 2 == 1) {
        case.tells(n, 2, (severity(n), Phase::Resolved));
    }
    case.passes(3_000);
    let after: Vec<(i64, &str)> = case.cards().into_iter().skip(5).collect();
    assert_eq!(after.len(), 1_000 / 2 - 2, "what is still open, but those that were told before");
    assert_eq!(case.issues(), 4 + after.len());
    let number = |id: &str| id.trim_start_matches("inc_").parse::<u32>().unwrap();
    let last_critical = after.iter().filter(|(_, id)| severity(number(id)) == Severity::Critical).map(|(at, _)| *at).max();
    let first_warning = after.iter().filter(|(_, id)| severity(number(id)) == Severity::Warning).map(|(at, _)| *at).min();
    assert!(last_critical < first_warning, "{last_critical:?} {first_warning:?}");
    let mut each_second = std::collections::BTreeMap::<i64, usize>::new();
    for (at, _) in &after {
        *each_second.entry(*at).or_default() += 1;
    }
    assert!(each_second.values().all(|count| *count <= 8), "about one a second: {each_second:?}");
}

#[test]
fn the_worst_comes_first_even_if_it_looks_last() {
    let mut case = Case::new();
    for n in 0..5 {
        case.opens(n, Severity::Info);
    }
    // They look every ten seconds: after the storm, which ends at 130, at 131 and at 139.
    case.passes(1);
    case.opens(5, Severity::Warning);
    case.passes(9);
    case.opens(6, Severity::Critical);
    case.passes(400);
    let told: Vec<&str> = case.cards().into_iter().map(|(_, id)| id).filter(|id| ["inc_5", "inc_6"].contains(id)).collect();
    assert_eq!(told, ["inc_6", "inc_5"]);
}

#[test]
fn a_notice_grows_and_ends() {
    let mut case = Case::new();
    for n in 0..6 {
        case.opens(n, Severity::Warning);
    }
    case.passes(11);
    case.opens(6, Severity::Critical);
    case.passes(400);
    let titles: Vec<(i64, String)> = case
        .said
        .iter()
        .filter_map(|(at, id, say)| match say {
            Say::PostCard { bulletin, .. } | Say::EditCard { bulletin, .. } if id == DESK => Some((*at, bulletin.title.clone())),
            _ => None,
        })
        .collect();
    let expected = [
        (0, "Storm: 1 incidents opened within 0 minutes, and more may follow"),
        (10, "Storm: 2 incidents opened within 0 minutes, and more may follow"),
        (20, "Storm: 3 incidents opened within 0 minutes, and more may follow"),
        (140, "Storm over: 3 incidents opened within 2 minutes"),
    ];
    assert_eq!(titles, expected.map(|(at, title)| (at, title.to_owned())));
    let named = case.said.iter().rev().find_map(|(_, id, say)| match say {
        Say::EditCard { bulletin, .. } if id == DESK => Some(bulletin.findings.clone()),
        _ => None,
    });
    assert_eq!(named.unwrap()[..2], ["1 critical, 2 warnings, 0 for information", "critical: trouble 6"].map(str::to_owned));
}

#[test]
fn nobody_is_kept_from_knowing_for_longer_than_an_hour() {
    let mut case = Case::new();
    for n in 0..380 {
        case.passes(i64::from(n) * 10);
        case.opens(n, Severity::Warning);
    }
    let held = case.cards().into_iter().find(|(_, id)| *id == "inc_5");
    assert_eq!(held, Some((3_650, "inc_5")), "it was opened after 50 s");
}
