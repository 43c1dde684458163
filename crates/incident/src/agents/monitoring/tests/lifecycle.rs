//! When an incident rests, is opened again, is held while it flaps, and is over for good.

use super::*;
use crate::fallback::Announced;

const RULES: Lifecycle = Lifecycle { reopen_s: 600, follow_s: 3_600, flap_changes: 4, flap_window_s: 600, stable_s: 300 };

fn check(case: &str, steps: &[(i64, &str)], expected: &[&str]) {
    let course = play(RULES, steps);
    assert_eq!(course.log, expected, "{case}");
}

/// How every incident begins here.
const BEGINS: [&str; 3] = ["opened", "diagnosed", "told: Needs people"];
const ENDS: [&str; 2] = ["closed", "told: Resolved"];

fn all(parts: &[&[&'static str]]) -> Vec<&'static str> {
    parts.concat()
}

#[test]
fn an_end_is_told_once() {
    let once = all(&[&BEGINS, &ENDS]);
    check("fires and ends", &[(0, "A fires"), (60, "A ends"), (5_000, "-")], &once);
    check("twice", &[(0, "A fires"), (60, "A ends"), (61, "A ends"), (70, "A@0 fires"), (5_000, "-")], &once);
    check("both end", &[(0, "A fires"), (5, "B fires"), (60, "A ends"), (90, "B ends")], &once);
    check("one is left", &[(0, "A fires"), (5, "B fires"), (60, "A ends"), (900, "-")], &BEGINS);
    check("a late end", &[(0, "A fires"), (60, "A ends"), (70, "B@50 ends"), (80, "B@50 fires")], &once);
}

#[test]
fn who_fires_again_soon_is_opened_again_and_later_is_another() {
    let again = all(&[&BEGINS, &ENDS, &["reopened", "told: Opened again", "diagnosed", "told: Needs people"]]);
    check(
        "right after the window",
        &[(0, "A fires"), (60, "A ends"), (660, "A fires")],
        &all(&[&BEGINS, &ENDS, &["opened, following", "diagnosed", "told: Needs people"]]),
    );
    check("just within the window", &[(0, "A fires"), (60, "A ends"), (659, "A fires")], &again);
    check("another alert of the key", &[(0, "A fires"), (60, "A ends"), (100, "B fires")], &again);
    let ends_again = all(&[&again, &ENDS]);
    check("and ends again", &[(0, "A fires"), (60, "A ends"), (100, "A fires"), (400, "A ends"), (9_000, "-")], &ends_again);
    let alone = all(&[&BEGINS, &ENDS, &BEGINS]);
    check("long after", &[(0, "A fires"), (60, "A ends"), (3_661, "A fires")], &alone);
    check("old news after the end", &[(0, "A fires"), (60, "A ends"), (700, "A@0 fires")], &all(&[&BEGINS, &ENDS]));
}

#[test]
fn an_end_that_overtakes_its_beginning_is_not_lost() {
    let over_at_once = ["opened", "closed"];
    check("nobody was told", &[(60, "A@0 ends"), (61, "A@0 fires"), (9_000, "-")], &over_at_once);
    check("long before", &[(60, "A@0 ends"), (5_000, "A@0 fires")], &over_at_once);
    check("only the end", &[(60, "A@0 ends"), (9_000, "-")], &[]);
    check("another episode", &[(60, "A@0 ends"), (61, "A@30 fires")], &BEGINS);
    let joined = [(0, "A fires"), (60, "B@50 ends"), (61, "B@50 fires"), (70, "A ends")];
    check("beside one that is open", &joined, &all(&[&BEGINS, &ENDS]));
    let after = [(0, "A fires"), (60, "A ends"), (1_000, "B@900 ends"), (1_001, "B@900 fires"), (1_002, "B@900 fires")];
    check("after one that is over", &after, &all(&[&BEGINS, &ENDS, &["opened, following", "closed"]]));
}

#[test]
fn severity_is_that_of_what_fires() {
    let up = "told: Severity up from warning to critical";
    let course = [(0, "a fires"), (10, "B fires"), (20, "B ends"), (30, "c fires"), (40, "a ends"), (50, "c ends")];
    check("up and down", &course, &all(&[&BEGINS, &["severity critical", up, "severity warning"], &ENDS]));
    check("worse from the beginning", &[(0, "B fires"), (10, "a fires")], &BEGINS);
    let again = ["reopened", "severity critical"];
    let reopened = play(RULES, &[(0, "a fires"), (10, "a ends"), (20, "B fires")]);
    assert_eq!(reopened.open().severity.as_str(), "critical");
    assert!(again.iter().all(|word| reopened.log.iter().any(|logged| logged == word)), "{:?}", reopened.log);
}

/// Four changes, 60 seconds apart.
const SWINGS: [(i64, &str); 5] = [(0, "A fires"), (60, "A ends"), (120, "A fires"), (180, "A ends"), (240, "A fires")];

fn swings(then: &[(i64, &'static str)]) -> Vec<(i64, &'static str)> {
    SWINGS.into_iter().chain(then.iter().copied()).collect()
}

#[test]
fn what_flaps_is_held_in_silence_until_it_is_stable() {
    let reopened = ["reopened", "told: Opened again", "diagnosed", "told: Needs people"];
    let held = all(&[&BEGINS, &ENDS, &reopened, &ENDS, &["reopened", "flapping", "told: Opened again"]]);
    check("held", &swings(&[]), &held);
    let silent = [(250, "A ends"), (260, "A fires"), (300, "a fires"), (400, "A ends"), (410, "A fires"), (700, "-")];
    let severities = ["severity warning", "severity critical"];
    check("in silence", &swings(&silent), &all(&[&held, &severities]));
    check("until it ends", &swings(&[(250, "A ends"), (549, "-")]), &held);
    let ended = all(&[&held, &["closed", "told: Stable for 5 minutes after it was flapping, 5 changes in 4 minutes. Resolved"]]);
    check("and is over", &swings(&[(250, "A ends"), (550, "-"), (9_000, "-")]), &ended);
    let stable = "told: Stable for 5 minutes after it was flapping, 4 changes in 3 minutes";
    check("or until it stays", &swings(&[(540, "-")]), &all(&[&held, &[stable, "diagnosed", "told: Needs people"]]));
    let course = play(RULES, &swings(&[]));
    let told = "flapping, 4 changes in 3 minutes";
    assert_eq!(course.open().flapping.as_ref().map(super::super::flap::Flapping::sentence).as_deref(), Some(told));
    assert_eq!(course.open().phase(), Phase::Flapping);
}

#[test]
fn a_deadline_is_never_missing() {
    let mut steps = swings(&[(250, "A ends"), (550, "-"), (600, "A fires"), (700, "A ends")]);
    while !steps.is_empty() {
        let course = play(RULES, &steps);
        assert!(course.deadline.is_some_and(|deadline| deadline > course.now), "{steps:?}");
        steps.pop();
    }
}

/// What follows for the record when it is told that people had an incident's alerts raw.
fn had_raw(course: &Course) -> Vec<(IncidentId, What)> {
    let key = notification(vec![told_alert("A", AlertStatus::Firing, 0, 0)]).key;
    let announced = Announced { tenant: tenant(), key, announcement: "a1".to_owned(), place: "Slack C1".to_owned(), at: at(5) };
    let content = Content::Announced(announced.clone());
    assert_eq!(course.monitoring.locate(&content), Ok(Locator::Last(announced.key.0)));
    course.monitoring.decide(course.entity.clone(), Event::Message(content), course.now).facts
}

#[test]
fn what_people_had_raw_is_a_gap_even_of_what_is_over() {
    let steps = [(0, "A fires"), (60, "A ends"), (9_000, "-")];
    for (n, case) in [(1, "open"), (2, "at rest"), (3, "over for good")] {
        let course = play(RULES, &steps[..n]);
        let facts = had_raw(&course);
        let id = course.entity.as_ref().map(|entity| entity.id.clone());
        assert!(
            matches!(facts.as_slice(), [(incident, What::Gap { reason })] if Some(incident.to_string()) == id && reason.contains("Slack C1")),
            "{case}: {facts:?}"
        );
    }
    assert_eq!(had_raw(&Course::new(RULES)), vec![], "there is no such incident");
}

/// An incident whose cause is found, up to the plan that is asked for.
fn with_a_remedy() -> (Course, TaskRequest) {
    let mut course = Course::new(RULES);
    course.answers = false;
    course.alerts(vec![told_alert("A", AlertStatus::Firing, 0, 0)]);
    assert_eq!(found(&mut course) + found(&mut course), 1);
    let request = course.asked.iter().find(|request| request.to == Role::Remediation).cloned().expect("a remedy is asked for");
    (course, request)
}

/// Diagnoses that are asked for find a bad release; how many were.
fn found(course: &mut Course) -> usize {
    let hypothesis = crate::evidence::Hypothesis {
        kind: crate::evidence::HypothesisKind::BadDeploy,
        subject: course.open().workload().expect("a workload"),
        revision: 2,
        running_revision: 2,
        previous_revision: 1,
        summary: "a bad release".to_owned(),
        confidence_percent: 90,
        cites: vec!["e1".to_owned()],
    };
    let diagnosis = Diagnosis { verdict: Verdict::Hypothesis(hypothesis), evidence: vec![] };
    let asked: Vec<TaskRequest> = std::mem::take(&mut course.asked);
    let (diagnose, rest): (Vec<_>, Vec<_>) = asked.into_iter().partition(|request| request.to == Role::Diagnostics);
    course.asked = rest;
    for request in &diagnose {
        course.hears(request, 1, TaskStatus::Completed { artifact: Artifact::Diagnosis { diagnosis: diagnosis.clone() } });
    }
    diagnose.len()
}

#[test]
fn who_fires_while_its_plan_is_taken_back_is_diagnosed_anew() {
    let (mut course, remedy) = with_a_remedy();
    course.alerts(vec![told_alert("A", AlertStatus::Resolved, 0, 60)]);
    assert_eq!(course.log.last().map(String::as_str), Some("taken back"));
    course.alerts(vec![told_alert("A", AlertStatus::Firing, 70, 70)]);
    course.hears(&remedy, 1, TaskStatus::Rejected { reason: "taken back".to_owned() });
    assert_eq!(found(&mut course), 1, "{:?}", course.log);
    let anew = course.asked.iter().filter(|request| request.to == Role::Remediation && request.task() != remedy.task());
    assert_eq!(anew.count(), 1);
    assert_eq!(course.open().phase(), Phase::Planning);
}

#[test]
fn a_plan_of_an_earlier_round_is_taken_back() {
    let (mut course, remedy) = with_a_remedy();
    course.alerts(vec![told_alert("A", AlertStatus::Resolved, 0, 60)]);
    course.until(200);
    assert_eq!(course.log.iter().filter(|word| *word == "closed").count(), 1, "remediation was not waited for");
    course.log.clear();
    let note = |course: &mut Course, number| {
        course.hears(&remedy, number, TaskStatus::Working { note: "late".to_owned() });
        course.log.clone()
    };
    assert_eq!(note(&mut course, 1), Vec::<String>::new(), "nobody waits for it");
    course.alerts(vec![told_alert("A", AlertStatus::Firing, 210, 210)]);
    assert_eq!(course.log, ["reopened"]);
    assert_eq!(found(&mut course), 1, "it was not announced yet, so the card waits for the new plan");
}
