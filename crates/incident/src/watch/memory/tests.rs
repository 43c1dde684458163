//! Looks one after the other, and what is sent after each.

use super::super::rule::tests::rule;
use super::super::season::Seasons;
use super::*;

const GRID: u32 = 60;

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_699_833_600 + minute * 60, 0).unwrap()
}

fn flat() -> Rule {
    Rule { seasonal: false, ..rule() }
}

/// A service that has been at ten until minute zero, and is at `value` since.
fn seen(service: &str, value: f64, now: i64) -> Seen {
    let points = (now - 200..=now).map(|n| (at(n), if n < 0 { 10.0 } else { value })).collect();
    let labels = [("__name__", "orders"), ("service", service)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Seen { labels: labels.into(), points, seasons: Seasons::new() }
}

/// A watch of one tenant that remembers.
struct Case {
    memory: Memory,
    rule: Rule,
}

impl Case {
    fn new() -> Self {
        Self { memory: Memory::default(), rule: flat() }
    }

    /// Alert names, services and whether they fire.
    fn looks(&mut self, minute: i64, found: Result<Found, String>) -> Vec<(String, String, AlertStatus)> {
        let rule = self.rule.clone();
        self.takes(minute, &[Looked { rule: &rule, found }])
            .into_iter()
            .map(|alert| (alert.name().to_owned(), alert.labels.get("service").cloned().unwrap_or_default(), alert.status))
            .collect()
    }

    fn takes(&mut self, minute: i64, looked: &[Looked<'_>]) -> Vec<Alert> {
        let tenant: TenantId = "acme".parse().unwrap();
        let watch = Watch { tenant: &tenant, grid: Grid::new(GRID) };
        // As it comes back after a restart.
        let before: Memory = serde_json::from_str(&serde_json::to_string(&self.memory).unwrap()).unwrap();
        assert_eq!(before, self.memory);
        match before.turn(watch, looked, at(minute)) {
            Some(turn) => {
                self.memory = turn.next;
                turn.alerts
            }
            None => vec![],
        }
    }

    fn away(&self) -> usize {
        self.memory.away().map(|(_, away)| away).sum()
    }
}

fn whole(series: Vec<Seen>) -> Found {
    Found { series, left_out: None }
}

fn said(name: &str, service: &str, status: AlertStatus) -> (String, String, AlertStatus) {
    (name.to_owned(), service.to_owned(), status)
}

#[test]
fn what_leaves_is_told_once_and_once_when_it_is_back() {
    let mut case = Case::new();
    let both = |cart: f64, n: i64| Ok(whole(vec![seen("cart", cart, n), seen("web", 10.0, n)]));
    assert_eq!(case.looks(1, both(90.0, 1)), []);
    assert_eq!(case.looks(3, both(90.0, 3)), [said("OrdersUnusual", "cart", AlertStatus::Firing)]);
    assert_eq!(case.looks(4, both(90.0, 4)), []);
    // A replica that is late says nothing.
    assert_eq!(case.looks(3, both(90.0, 3)), []);
    assert_eq!(case.looks(5, both(10.0, 5)), [said("OrdersUnusual", "cart", AlertStatus::Resolved)]);
    assert_eq!(case.memory.rules, BTreeMap::new(), "nothing is kept of what is over");
}

#[test]
fn an_alert_names_its_episode_and_what_shows_that_it_is_over() {
    let mut case = Case::new();
    case.rule.summary = Some("Orders are not as usual".to_owned());
    let rule = case.rule.clone();
    let alert = case.takes(3, &[Looked { rule: &rule, found: Ok(whole(vec![seen("cart", 90.0, 3)])) }]).remove(0);
    let label = |name: &str| alert.labels.get(name).map(String::as_str);
    assert_eq!(
        (label("alertname"), label("service"), label("severity")),
        (Some("OrdersUnusual"), Some("cart"), Some("critical"))
    );
    assert_eq!((label("__name__"), alert.starts_at, alert.ends_at), (None, at(3), None));
    assert_eq!(alert.annotations.get("summary").map(String::as_str), Some("Orders are not as usual"));
    assert!(
        alert.annotations.get("description").is_some_and(|text| text.contains("above the usual 10 of the time before")),
        "{alert:?}"
    );
    assert_eq!(alert.expression.as_deref(), Some("(sum by (namespace, service) (rate(orders_total[5m]))) > 10.06"));
    let over = case.takes(5, &[Looked { rule: &rule, found: Ok(whole(vec![seen("cart", 10.0, 5)])) }]).remove(0);
    assert_eq!((over.fingerprint.clone(), over.starts_at, over.ends_at), (alert.fingerprint.clone(), at(3), Some(at(5))));
    assert!(over.supersedes(&alert) && over.annotations.contains_key("ended"));
    // Another tenant's series of the same name is another alert.
    let other: TenantId = "other".parse().unwrap();
    assert_ne!(print(&other, &rule, &seen("cart", 1.0, 3).labels), alert.fingerprint);
}

#[test]
fn what_is_gone_ends_unless_it_was_only_left_out() {
    let mut case = Case::new();
    case.looks(3, Ok(whole(vec![seen("cart", 90.0, 3)])));
    let part = Found { series: vec![], left_out: Some("too many".to_owned()) };
    assert_eq!((case.looks(4, Ok(part)), case.away()), (vec![], 1));
    assert_eq!((case.looks(5, Err("no answer".to_owned())), case.away()), (vec![], 1));
    assert_eq!(case.looks(6, Ok(whole(vec![]))), [said("OrdersUnusual", "cart", AlertStatus::Resolved)]);
}

#[test]
fn a_rule_that_fails_for_five_minutes_is_told_and_told_again_when_it_works() {
    let mut case = Case::new();
    case.rule.labels.insert("service".to_owned(), "orders".to_owned());
    let fails = || Err("no answer".to_owned());
    for minute in 0..5 {
        assert_eq!(case.looks(minute, fails()), [], "{minute}");
    }
    assert_eq!(case.looks(5, fails()), [said(BLIND, "orders", AlertStatus::Firing)]);
    assert_eq!(case.looks(6, fails()), []);
    assert_eq!(case.looks(7, Ok(whole(vec![]))), [said(BLIND, "orders", AlertStatus::Resolved)]);
    // A failure that passed leaves nothing behind.
    assert_eq!((case.looks(8, fails()), case.looks(9, Ok(whole(vec![]))), case.looks(14, fails())), (vec![], vec![], vec![]));
}

#[test]
fn a_rule_that_was_removed_ends_what_it_began() {
    let mut case = Case::new();
    case.looks(3, Ok(whole(vec![seen("cart", 90.0, 3), seen("web", 90.0, 3)])));
    assert_eq!(case.away(), 2);
    let ended = case.takes(4, &[]);
    assert_eq!((ended.len(), case.away()), (2, 0));
    assert!(ended.iter().all(|alert| alert.status == AlertStatus::Resolved && alert.ends_at == Some(at(4))));
}

#[test]
fn a_failing_rule_keeps_none_from_being_judged() {
    let mut case = Case::new();
    let (good, bad) = (flat(), Rule { name: "Bad".to_owned(), ..flat() });
    let looked = [
        Looked { rule: &bad, found: Err("no".to_owned()) },
        Looked { rule: &good, found: Ok(whole(vec![seen("cart", 90.0, 3)])) },
    ];
    assert_eq!(case.takes(3, &looked).len(), 1);
}

#[test]
fn no_more_are_away_than_are_remembered() {
    let mut case = Case::new();
    let many = |n: i64| Ok(whole((0..AWAY_MAX + 5).map(|service| seen(&format!("s{service}"), 90.0, n)).collect()));
    assert_eq!((case.looks(3, many(3)).len(), case.away()), (AWAY_MAX, AWAY_MAX));
    // What was not told is a gap, and people hear of that.
    assert_eq!(case.looks(4, many(4)), []);
    assert_eq!(case.looks(8, many(8)), [said(BLIND, "", AlertStatus::Firing)]);
}
