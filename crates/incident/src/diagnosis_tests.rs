//! What the verdict is for each kind of story, and what holds for all of them.

use proptest::prelude::*;

use super::*;
use crate::alert::AlertStatus;
use crate::alert::tests::alert;
use crate::evidence::{FieldChange, KubeEvent, Source};
use crate::workload::{Workload, WorkloadKind};

/// Seconds since 1970 at which the alerts of these tests begin.
const BEGAN_S: i64 = 1_000_000;
const QUERY: &str = "ratio > 0.1";

fn at(offset_s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(BEGAN_S + offset_s, 0).unwrap()
}

fn seen(findings: Vec<Finding>) -> Vec<Evidence> {
    let evidence = |(n, finding): (usize, Finding)| Evidence {
        id: format!("e{}", n + 1),
        source: Source::Kubernetes,
        query: QUERY.to_owned(),
        from: at(-3_600),
        to: at(60),
        finding,
    };
    findings.into_iter().enumerate().map(evidence).collect()
}

fn image() -> FieldChange {
    FieldChange { path: "containers[web].image".to_owned(), from: Some("shop:v1".to_owned()), to: Some("shop:v2".to_owned()) }
}

fn revision(age_s: i64) -> RevisionChange {
    RevisionChange {
        workload: Workload {
            cluster: "default".to_owned(),
            namespace: "shop".to_owned(),
            kind: WorkloadKind::Deployment,
            name: "checkout".to_owned(),
        },
        from_revision: Some(6),
        from_ran_s: Some(600_000),
        passed_over: Vec::new(),
        to_revision: 7,
        changed_at: at(-age_s),
        restores: None,
        changes: vec![image()],
    }
}

fn pods_of(revision: u64, ready: u32, reasons: &[&str]) -> Finding {
    let reasons: Vec<String> = reasons.iter().map(|&r| r.to_owned()).collect();
    Finding::Pods(PodsState { revision, pods: 3, ready, restarts: u32::from(!reasons.is_empty()) * 4, reasons })
}

fn worse(changed_at_s: Option<i64>) -> Finding {
    let now = if changed_at_s.is_some() { 0.4 } else { 0.01 };
    Finding::Expression(ExpressionChange {
        expression: "ratio".to_owned(),
        before: Some(0.01),
        now: Some(now),
        changed_at: changed_at_s.map(at),
    })
}

fn gap() -> Finding {
    Finding::Gap { reason: "prometheus does not answer".to_owned() }
}

/// `expected` is the confidence, or none for inconclusive.
fn check(story: &str, findings: Vec<Finding>, expected: Option<u8>) {
    let verdict = conclude(&seen(findings), &[alert("HighErrorRatio", AlertStatus::Firing, BEGAN_S)]);
    let found = match &verdict {
        Verdict::Hypothesis(hypothesis) => Some(hypothesis.confidence_percent),
        Verdict::Inconclusive { .. } => None,
    };
    assert_eq!(found, expected, "{story}: {verdict:?}");
}

#[test]
fn each_story_has_its_verdict() {
    let change = |age_s| Finding::Revision(revision(age_s));
    let with = |edit: fn(&mut RevisionChange)| {
        let mut change = revision(120);
        edit(&mut change);
        Finding::Revision(change)
    };
    let limits = |change: &mut RevisionChange| change.changes[0].path = "containers[web].resources.limits.memory".to_owned();
    let crash = || pods_of(7, 0, &["CrashLoopBackOff"]);

    check("errors after a deploy", vec![change(120), worse(Some(-60)), pods_of(7, 3, &[])], Some(75));
    check("crashes after a deploy", vec![change(120), worse(Some(-60)), crash(), pods_of(6, 3, &[])], Some(95));
    check("crashes, no metrics", vec![change(120), gap(), crash()], Some(75));
    check("a fresh image and nothing else to be seen", vec![change(120), gap()], Some(50));
    check("a fresh limit and nothing else to be seen", vec![with(limits), gap()], None);
    check("out of memory after a limit", vec![with(limits), worse(Some(-60)), pods_of(7, 2, &["OOMKilled"])], Some(95));
    check("an hour later, worse", vec![change(3_000), worse(Some(-60))], Some(55));
    check("a day later, worse", vec![change(80_000), worse(Some(-60))], None);
    check("a week later, worse", vec![change(600_000), worse(Some(-60))], None);
    check("a day later, pods crash", vec![change(80_000), crash(), pods_of(6, 3, &[])], Some(50));
    check("a week later, pods crash", vec![change(600_000), worse(Some(-60)), crash(), pods_of(6, 3, &[])], None);
    check("a change after the trouble", vec![change(60), worse(Some(-600))], None);
    check("a change after the alert", vec![change(-120), worse(None)], None);
    check("clocks that differ a little", vec![change(40), worse(Some(-60))], Some(60));
    check("the expression is as ever", vec![change(120), worse(None)], None);
    check(
        "both revisions cannot pull",
        vec![change(600), pods_of(7, 0, &["ImagePullBackOff"]), pods_of(6, 0, &["ImagePullBackOff"])],
        None,
    );
    check("went back already", vec![with(|c| c.restores = Some(3)), worse(Some(-60))], None);
    check("the first revision ever", vec![with(|c| c.from_revision = None), worse(Some(-60)), crash()], None);
    check("no change at all", vec![worse(Some(-60)), crash()], None);
    check("nothing seen", vec![gap(), gap()], None);
    check("no evidence", vec![], None);
}

#[test]
fn a_claim_reads_well_and_cites_what_carries_it() {
    let crash = pods_of(7, 0, &["CrashLoopBackOff"]);
    let evidence = seen(vec![gap(), Finding::Revision(revision(120)), worse(Some(-60)), crash]);
    let Verdict::Hypothesis(claim) = conclude(&evidence, &[alert("HighErrorRatio", AlertStatus::Firing, BEGAN_S)]) else {
        panic!("no claim");
    };
    assert_eq!((claim.kind, claim.revision, claim.previous_revision), (HypothesisKind::BadDeploy, 7, 6));
    assert_eq!(claim.cites, ["e2", "e3", "e4"]);
    for part in
        ["Revision 7 of Deployment shop/checkout", "shop:v1", "shop:v2", "60 s before", "0.0100 to 0.4000", "CrashLoopBackOff"]
    {
        assert!(claim.summary.contains(part), "{part} is missing in: {}", claim.summary);
    }
}

#[test]
fn a_fix_that_did_not_help_does_not_hide_what_it_was_meant_to_mend() {
    // Long after the trouble began, and so soon that only the clocks' skew could make it the cause.
    for fixed_after_s in [180, 20, 1] {
        let fix = RevisionChange { from_revision: Some(7), to_revision: 8, ..revision(60 - fixed_after_s) };
        // Its pods have just been started.
        let Finding::Pods(starting) = pods_of(8, 1, &[]) else { panic!("no pods") };
        let (fix, starting) = (Finding::Revision(fix), Finding::Pods(PodsState { restarts: 0, ..starting }));
        let evidence = seen(vec![fix, Finding::Revision(revision(120)), starting, worse(Some(-60))]);
        let Verdict::Hypothesis(claim) = conclude(&evidence, &[alert("HighErrorRatio", AlertStatus::Firing, BEGAN_S)]) else {
            panic!("no claim");
        };
        assert_eq!((claim.previous_revision, claim.revision, claim.running_revision), (6, 7, 8), "{fixed_after_s}");
        assert!(claim.summary.contains("Revision 8 came after the trouble began"), "{}", claim.summary);
    }
}

#[test]
fn inconclusive_says_what_was_looked_at() {
    let evidence = seen(vec![Finding::Revision(revision(-600)), pods_of(7, 3, &[]), gap()]);
    let Verdict::Inconclusive { reason } = conclude(&evidence, &[alert("A", AlertStatus::Firing, BEGAN_S)]) else {
        panic!("a claim")
    };
    for part in ["revision 7 came after the trouble began", "3 of 3 pods ready", "prometheus does not answer"] {
        assert!(reason.contains(part), "{part} is missing in: {reason}");
    }
}

#[test]
fn a_change_of_last_week_is_ruled_out_by_its_age() {
    let evidence = seen(vec![Finding::Revision(revision(5 * 86_400)), pods_of(7, 0, &["CrashLoopBackOff"])]);
    let Verdict::Inconclusive { reason } = conclude(&evidence, &[alert("A", AlertStatus::Firing, BEGAN_S)]) else {
        panic!("a claim")
    };
    assert!(reason.contains("revision 7 came 5 days before the trouble began"), "{reason}");
    // Whoever reads it tomorrow must not take it for today's.
    let line = evidence[0].finding.line();
    assert!(line.contains("1970-01-07 13:46:40 UTC after revision 6, which stood for 6 days: "), "{line}");
    let passed = RevisionChange { from_revision: Some(4), passed_over: vec![6, 5], from_ran_s: None, ..revision(0) };
    let line = Finding::Revision(passed).line();
    assert!(line.contains("after revision 4 (in between, never proven: 6, 5): "), "{line}");
}

#[test]
fn an_old_alert_does_not_clear_a_change_that_a_new_one_follows() {
    let evidence = seen(vec![Finding::Revision(revision(120)), pods_of(7, 0, &["Error"])]);
    let mut old = alert("Old", AlertStatus::Firing, BEGAN_S - 90_000);
    old.expression = None;
    let alerts = [old, alert("New", AlertStatus::Firing, BEGAN_S)];
    assert!(matches!(conclude(&evidence, &alerts), Verdict::Hypothesis(_)));
}

fn any_finding() -> impl Strategy<Value = Finding> {
    let reasons = prop::collection::vec(prop::sample::select(vec!["CrashLoopBackOff", "OOMKilled", "Unschedulable"]), 0..3);
    let age_s = prop_oneof![-7_200_i64..0, 0_i64..7_200, 0_i64..200_000];
    let change = (age_s, 5_u64..9, any::<bool>(), prop::option::of(1_u64..9), prop::option::of(1_u64..5)).prop_map(
        |(age_s, to_revision, has_change, from_revision, restores)| {
            let changes = if has_change { vec![image()] } else { Vec::new() };
            Finding::Revision(RevisionChange { from_revision, to_revision, restores, changes, ..revision(age_s) })
        },
    );
    let pods = (5_u64..9, 0_u32..4, reasons).prop_map(|(revision, ready, reasons)| pods_of(revision, ready, &reasons));
    let event = (-3_600_i64..0).prop_map(|seen_s| {
        Finding::Event(KubeEvent {
            object: "Pod/a".to_owned(),
            reason: "BackOff".to_owned(),
            message: String::new(),
            count: 1,
            last_seen: at(seen_s),
        })
    });
    prop_oneof![3 => change, 2 => pods, 1 => event, 2 => prop::option::of(-7_200_i64..600).prop_map(worse), 1 => Just(gap())]
}

fn any_evidence() -> impl Strategy<Value = (Vec<Evidence>, Vec<Evidence>)> {
    prop::collection::vec(any_finding(), 0..12)
        .prop_map(seen)
        .prop_flat_map(|evidence| (Just(evidence.clone()), Just(evidence).prop_shuffle()))
}

proptest! {
    #[test]
    fn a_claim_cites_evidence_that_exists((evidence, _) in any_evidence()) {
        if let Verdict::Hypothesis(claim) = conclude(&evidence, &[alert("A", AlertStatus::Firing, BEGAN_S)]) {
            prop_assert!(!claim.cites.is_empty());
            for cite in &claim.cites {
                prop_assert!(evidence.iter().any(|e| &e.id == cite), "{cite} does not exist");
            }
            prop_assert!((CONFIDENCE_MIN_PERCENT..=CONFIDENCE_MAX_PERCENT).contains(&claim.confidence_percent));
        }
    }

    #[test]
    fn the_order_of_evidence_does_not_matter((evidence, shuffled) in any_evidence(), old_s in 0_i64..9_000) {
        let (a, b) = (alert("A", AlertStatus::Firing, BEGAN_S), alert("B", AlertStatus::Firing, BEGAN_S - old_s));
        prop_assert_eq!(conclude(&evidence, &[a.clone(), b.clone()]), conclude(&shuffled, &[b, a]));
    }

    #[test]
    fn nothing_is_blamed_that_came_later((evidence, _) in any_evidence()) {
        let later = |e: &Evidence| match &e.finding {
            Finding::Revision(change) => change.changed_at > at(700),
            Finding::Pods(_) | Finding::Event(_) | Finding::Expression(_) | Finding::Gap { .. } => true,
        };
        let evidence: Vec<Evidence> = evidence.into_iter().filter(later).collect();
        let verdict = conclude(&evidence, &[alert("A", AlertStatus::Firing, BEGAN_S)]);
        prop_assert!(matches!(verdict, Verdict::Inconclusive { .. }), "{:?}", verdict);
    }
}
