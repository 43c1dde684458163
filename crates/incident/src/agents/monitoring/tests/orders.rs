//! What people want of one incident. Where alerts belong is in `route`, and what comes of it between incidents in the simulation's scenarios.

use super::*;
use crate::id::{IncidentId, OrderId};
use crate::order::{Order, Want};

/// What is logged from the first order on, with alert `A` firing from the beginning. Each order comes at its second; some are about time
/// or alerts.
fn check(case: &str, steps: &[(i64, Step)], expected: &[&str]) {
    let mut course = play(Lifecycle::default(), &[(0, "A fires")]);
    course.log.clear();
    for (s, step) in steps {
        course.until(*s);
        match step {
            Step::Wants(by, want) => course.orders(by, want.clone()),
            Step::Fires(name) => course.alerts(vec![told_alert(name, AlertStatus::Firing, *s, *s)]),
            Step::Ends(name, began) => course.alerts(vec![told_alert(name, AlertStatus::Resolved, *began, *s)]),
            Step::Passes => {}
        }
    }
    assert_eq!(course.log, expected, "{case}");
}

enum Step {
    Wants(&'static str, Want),
    Fires(&'static str),
    /// The episode that began then.
    Ends(&'static str, i64),
    Passes,
}
use Step::{Ends, Fires, Passes, Wants};

impl Course {
    fn orders(&mut self, by: &str, want: Want) {
        let incident: IncidentId = self.entity.as_ref().unwrap().id.parse().unwrap();
        let id = OrderId::derive(&[by, &self.now.to_string(), &want.sentence()]);
        let order = Order { id, tenant: tenant(), incident, by: by.parse().unwrap(), want };
        self.decide(Event::Message(Content::Order(Box::new(order))));
    }
}

fn resolve(while_firing: bool) -> Want {
    Want::Resolve { reason: "a drill".to_owned(), while_firing }
}

fn acknowledge(minutes: u32) -> Step {
    Wants("ana", Want::Acknowledge { minutes })
}

#[test]
fn an_acknowledgement_holds_reminders_back_until_it_runs_out() {
    const UNTIL: &str = "acknowledged by ana until 01:21 UTC";
    const BEGINS: [&str; 3] = ["done", UNTIL, "told: Acknowledged by ana until 01"];
    let then = |more: &[&'static str]| [&BEGINS, more].concat();
    let ran_out = ["told: ana, your acknowledgement ends at 01", "nobody has it", "told: Nobody looks at it any more"];
    check("it runs out", &[(60, acknowledge(80)), (4_870, Passes)], &then(&ran_out));
    check(
        "and people are reminded again",
        &[(60, acknowledge(80)), (8_470, Passes)],
        &then(&[&ran_out[..], &["told: Reminder, still needs people"]].concat()),
    );
    let back = ["done", "nobody has it", "told: ana took the acknowledgement back"];
    check("it is taken back", &[(60, acknowledge(80)), (120, Wants("ana", Want::Unacknowledge))], &then(&back));
    let ends = ["closed", "nobody has it", "told: Resolved"];
    check("the incident ends", &[(60, acknowledge(80)), (120, Ends("A", 0)), (700, Passes)], &then(&ends));
    check("there is none", &[(60, Wants("ana", Want::Unacknowledge))], &["refused: nobody has acknowledged it"]);
}

#[test]
fn who_resolves_what_still_fires_must_mean_it_and_it_is_held() {
    const CHALLENGE: &str = "refused: its alerts still fire (A)";
    const HELD: [&str; 3] = ["done", "closed", "told: Resolved"];
    let then = |more: &[&'static str]| [&HELD, more].concat();
    check("it is not meant", &[(60, Wants("ana", resolve(false)))], &[CHALLENGE]);
    check(
        "it is meant",
        &[(60, Wants("ana", resolve(false))), (90, Wants("ana", resolve(true)))],
        &[&[CHALLENGE], &HELD[..]].concat(),
    );
    check(
        "and told again",
        &[(60, Wants("ana", resolve(true))), (90, Fires("A"))],
        &then(&["reopened", "told: Opened again", "diagnosed", "told: Needs people"]),
    );
    check("the same episode is no news", &[(60, Wants("ana", resolve(true))), (900, Ends("A", 0)), (20_000, Passes)], &HELD);
    check(
        "another alert",
        &[(60, Wants("ana", resolve(true))), (3_000, Fires("B"))],
        &then(&["reopened", "told: Opened again", "diagnosed", "told: Needs people"]),
    );
    check(
        "it fires on for hours",
        &[(60, Wants("ana", resolve(true))), (14_460, Passes)],
        &then(&["reopened", "told: Opened again", "diagnosed", "told: Needs people"]),
    );
    check(
        "twice",
        &[(60, Wants("ana", resolve(true))), (70, Wants("ben", resolve(true)))],
        &then(&["refused: it is resolved; it is opened again if its alerts fire again soon"]),
    );
}

#[test]
fn one_person_owns_it_and_everybody_may_note() {
    let own = |by, owner: &str| Wants(by, Want::Own { owner: Some(owner.parse().unwrap()) });
    check(
        "handed on and released",
        &[
            (10, own("ana", "ana")),
            (20, own("ana", "ben")),
            (30, own("ana", "ben")),
            (40, Wants("ben", Want::Release)),
            (50, Wants("ben", Want::Release)),
        ],
        &[
            "done",
            "owned by ana",
            "told: ana took it.",
            "done",
            "owned by ben",
            "told: ana handed it from ana to ben.",
            "refused: ben owns it already",
            "done",
            "nobody has it",
            "told: ben released it; ben owned it.",
            "refused: nobody owns it",
        ],
    );
    let note = || Wants("ana", Want::Note { text: "the vendor knows".to_owned() });
    check("a note", &[(10, note())], &["done", "told: ana"]);
    check("a note on what is over", &[(10, Ends("A", 0)), (5_000, note())], &["closed", "told: Resolved", "done"]);
    let late = "refused: the incident is over for good";
    check("too late for the rest", &[(10, Ends("A", 0)), (5_000, own("ana", "ana"))], &["closed", "told: Resolved", late]);
}

#[test]
fn alerts_are_named_before_they_are_moved() {
    let detach = |alerts: &[&str]| Want::Detach { alerts: alerts.iter().map(|&alert| alert.to_owned()).collect() };
    let course = |want| {
        let mut course = play(Lifecycle::default(), &[(0, "A fires")]);
        course.log.clear();
        course.orders("ana", want);
        course.log.first().cloned().unwrap_or_default()
    };
    assert_eq!(course(detach(&["B"])), "refused: it has no alert B");
    assert_eq!(course(detach(&["A", "B"])), "refused: it has no alert B");
    assert_eq!(course(detach(&["A"])), "done");
    let other = || IncidentId::derive(&["other"]);
    assert!(course(Want::Merge { into: other() }).starts_with("tells move.ord_"));
    assert!(course(Want::Attach { alerts: vec!["A".to_owned()], to: other() }).starts_with("tells move.ord_"));
}
