//! What happens to an incident, from its alert to its end, on good days and bad ones.

use chrono::TimeDelta;

use crate::scene;
use crate::world::World;
use incident::agent::{Content, PersonsAnswer};
use incident::agents::monitoring::Incident;
use incident::agents::remediation::{Remediation, Rollout};
use incident::alert::AlertStatus;
use incident::approval::{Answer, Channel, SignedVote, Vote};
use incident::fact::{Fact, What};
use incident::plan::Digest;
use incident::promises::broken;
use incident::record::Head;
use incident::task::{Bulletin, Errand, Phase, Role, TaskRequest};

/// Rounds of "work, then let the clock run" that any story ends within.
const ROUNDS_MAX: usize = 400;

fn answer(world: &World, person: &str, answer: Answer) -> PersonsAnswer {
    let request = world.waiting().expect("a plan waits");
    PersonsAnswer {
        approval: request.approval,
        digest: Some(request.digest),
        person: person.parse().unwrap(),
        channel: Channel::Cli,
        client: None,
        answer,
    }
}

/// Alert, diagnosis, plan.
fn until_asked(world: &mut World, faults: usize) {
    world.say("alert-1", Content::Alerts(scene::notification(AlertStatus::Firing, 920)));
    for _ in 0..ROUNDS_MAX {
        world.settle(faults);
        if world.waiting().is_some() {
            return;
        }
        world.tick(faults);
    }
    panic!("no plan was proposed");
}

/// Work and time, until remediation has ended.
fn until_repaired(world: &mut World, faults: usize) {
    for _ in 0..ROUNDS_MAX {
        world.settle(faults);
        if world.remediation.states().all(|state| matches!(state, Remediation::Ended { .. })) {
            return;
        }
        assert!(world.tick(faults), "something waits without a deadline");
    }
    panic!("the remediation never ended");
}

fn resolve(world: &mut World, faults: usize) {
    world.say("alert-2", Content::Alerts(scene::notification(AlertStatus::Resolved, 920)));
    world.settle(faults);
}

fn check(world: &World) {
    let facts = world.facts();
    assert_eq!(broken(&facts), vec![], "{facts:#?}");
    assert!(world.outside.cards.len() <= 1 && world.outside.issues.len() <= 1, "{:?}", world.outside);
    let mut head = Head::default();
    for record in &world.ledger.records {
        head.follow(record).expect("an unbroken chain");
    }
    assert_eq!(world.ledger.records.len(), facts.len(), "every fact is chained once");
}

fn is_closed(world: &World) -> bool {
    world.monitoring.states().all(|incident| matches!(incident, Incident::Closed { .. }))
}

fn count(world: &World, kind: &str) -> usize {
    world.facts().iter().filter(|fact| fact.what.kind() == kind).count()
}

/// The whole story, with `faults` percent of everything going wrong.
fn approved_story(seed: u64, faults: usize) {
    let mut world = World::new(seed);
    until_asked(&mut world, faults);
    let yes = answer(&world, "ana", Answer::Approve);
    world.say("yes", Content::Answered(yes));
    until_repaired(&mut world, faults);
    resolve(&mut world, faults);
    check(&world);
    assert_eq!(world.outside.changes.len(), 1, "exactly one change: {:?}", world.outside.changes);
    assert!(is_closed(&world));
    assert_eq!(count(&world, "verified"), 1);
}

#[test]
fn an_approved_rollback_resolves_the_incident() {
    approved_story(1, 0);
}

#[test]
fn duplicates_disorder_and_crashes_change_nothing() {
    for seed in 0..300 {
        approved_story(seed, 20);
    }
}

#[test]
fn nothing_happens_after_a_no() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        until_asked(&mut world, 20);
        let no = answer(&world, "ana", Answer::Reject { reason: "not now".to_owned() });
        world.say("no", Content::Answered(no));
        until_repaired(&mut world, 20);
        assert_eq!(world.outside.changes, Vec::<String>::new());
        assert!(!is_closed(&world), "people have it now");
        resolve(&mut world, 20);
        assert!(is_closed(&world));
        check(&world);
    }
}

#[test]
fn nobody_answering_means_no() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        until_asked(&mut world, 20);
        until_repaired(&mut world, 20);
        assert_eq!(world.outside.changes, Vec::<String>::new());
        assert_eq!(count(&world, "reminded"), 1);
        assert!(world.waiting().is_none(), "the gateway knows that it is over");
        check(&world);
    }
}

#[test]
fn a_rollback_that_does_not_help_is_taken_back_once() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        world.outside.helps = false;
        until_asked(&mut world, 20);
        let yes = answer(&world, "ana", Answer::Approve);
        world.say("yes", Content::Answered(yes));
        until_repaired(&mut world, 20);
        assert_eq!(world.outside.revision, 2);
        assert_eq!(world.outside.changes.len(), 2, "{:?}", world.outside.changes);
        check(&world);
    }
}

/// Somebody says yes, and nothing else is touched.
fn approve(world: &mut World, id: &str) {
    let yes = answer(world, "ana", Answer::Approve);
    world.say(id, Content::Answered(yes));
    world.settle(0);
}

#[test]
fn a_target_that_was_released_anew_is_diagnosed_and_proposed_anew() {
    let mut world = World::new(3);
    until_asked(&mut world, 0);
    let (first, yes) = (world.waiting().unwrap(), answer(&world, "ana", Answer::Approve));
    world.outside.revision = 3;
    world.evidence = scene::bad_deploy(3);
    approve(&mut world, "yes");
    let second = world.waiting().expect("a new plan waits");
    assert!(first.approval != second.approval && first.plan.task != second.plan.task, "{second:?}");
    assert_eq!(count(&world, "diagnosed"), 2, "what is proposed rests on what runs now");
    assert_eq!(world.outside.changes, Vec::<String>::new(), "the old yes changes nothing");
    world.say("late", Content::Answered(yes));
    world.settle(0);
    assert_eq!(world.outside.changes, Vec::<String>::new(), "nor does it count for the new plan");
    approve(&mut world, "yes again");
    assert_eq!((world.outside.changes.len(), world.outside.revision), (1, 2));
    check(&world);
}

#[test]
fn a_target_whose_spec_changed_is_proposed_anew() {
    let mut world = World::new(3);
    until_asked(&mut world, 0);
    let first = world.waiting().unwrap();
    world.outside.spec_changes = 1;
    approve(&mut world, "yes");
    let second = world.waiting().expect("a new plan waits");
    assert_eq!((&first.plan.task, second.plan.generation), (&second.plan.task, 2));
    assert_eq!(count(&world, "diagnosed"), 1, "the revision is the one that was diagnosed");
    approve(&mut world, "yes again");
    assert_eq!(world.outside.changes.len(), 1);
    check(&world);
}

#[test]
fn a_target_that_is_not_the_diagnosed_one_is_never_touched() {
    let mut world = World::new(4);
    // The cluster has a revision that no diagnosis comes to see.
    world.outside.revision = 3;
    world.say("alert-1", Content::Alerts(scene::notification(AlertStatus::Firing, 920)));
    world.settle(0);
    assert!(world.waiting().is_none());
    assert_eq!(count(&world, "diagnosed"), 3, "it is tried a few times, then people have it");
    assert!(world.tick(0), "and are reminded");
    check(&world);
}

/// The change is made; the looks at its rollout then say this, one after the other.
fn until_changed(rollouts: impl IntoIterator<Item = Rollout>) -> World {
    let mut world = World::new(8);
    until_asked(&mut world, 0);
    world.outside.rollouts = rollouts.into_iter().collect();
    approve(&mut world, "yes");
    assert_eq!(world.outside.changes.len(), 1);
    world
}

fn progressing() -> Rollout {
    Rollout::Progressing { how_far: "0 of 3".to_owned() }
}

fn failed() -> Rollout {
    Rollout::Failed { reason: "ProgressDeadlineExceeded".to_owned() }
}

#[test]
fn what_is_well_is_not_undone_because_nobody_looked_in_time() {
    let mut world = until_changed([progressing()]);
    world.now += TimeDelta::hours(1);
    until_repaired(&mut world, 0);
    assert_eq!((world.outside.revision, count(&world, "undone")), (1, 0));
    check(&world);
}

#[test]
fn a_failure_left_over_from_the_rollout_before_is_not_believed_and_one_that_stays_is() {
    let mut world = until_changed([failed(), failed(), progressing()]);
    until_repaired(&mut world, 0);
    assert_eq!(count(&world, "undone"), 0);
    check(&world);
    let mut world = until_changed(std::iter::repeat_n(failed(), 30));
    until_repaired(&mut world, 0);
    assert_eq!(count(&world, "undone"), 1);
    check(&world);
}

#[test]
fn what_somebody_else_put_there_is_neither_praised_nor_undone() {
    let mut world = until_changed([progressing()]);
    world.outside.revision = 9;
    until_repaired(&mut world, 0);
    assert_eq!((world.outside.revision, world.outside.changes.len()), (9, 1));
    assert_eq!((count(&world, "verified"), count(&world, "undone")), (0, 0));
    check(&world);
}

#[test]
fn a_policy_that_asks_for_more_by_now_voids_the_question() {
    let mut world = World::new(5);
    until_asked(&mut world, 0);
    for rules in world.remediation.agent.tenants.values_mut() {
        rules.policy.0[0].approvers = 2;
    }
    approve(&mut world, "yes");
    assert_eq!((world.outside.changes.len(), count(&world, "vote_refused")), (0, 1));
    assert!(world.remediation.states().all(|state| matches!(state, Remediation::Ended { .. })), "nobody waits for more");
    check(&world);
}

#[test]
fn answers_that_do_not_count_change_nothing_and_are_recorded() {
    let mut world = World::new(5);
    until_asked(&mut world, 0);
    let request = world.waiting().unwrap();
    let stranger = answer(&world, "mallory", Answer::Approve);
    let sales = answer(&world, "eve", Answer::Approve);
    let other_plan = PersonsAnswer { digest: Some(Digest::of(b"another plan")), ..answer(&world, "ana", Answer::Approve) };
    for (n, bad) in [stranger, sales, other_plan].into_iter().enumerate() {
        world.say(&format!("bad-{n}"), Content::Answered(bad));
    }
    let vote = Vote {
        tenant: scene::tenant(),
        approval: request.approval.clone(),
        task: request.plan.task.clone(),
        digest: request.digest.clone(),
        answer: Answer::Approve,
        person: "ana".parse().unwrap(),
        channel: Channel::Slack,
        decided_at: world.now,
    };
    let forged = SignedVote::sign(vote.clone(), &ed25519_dalek::SigningKey::from_bytes(&[8; 32])).unwrap();
    world.say("forged", Content::Voted(forged));
    let genuine = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let other_digest = SignedVote::sign(Vote { digest: Digest::of(b"x"), ..vote.clone() }, &genuine).unwrap();
    world.say("other digest", Content::Voted(other_digest));
    let mut altered = SignedVote::sign(Vote { person: "eve".parse().unwrap(), ..vote }, &genuine).unwrap();
    altered.vote.person = "ana".parse().unwrap();
    world.say("altered", Content::Voted(altered));
    world.settle(0);
    assert_eq!(world.outside.changes, Vec::<String>::new());
    assert_eq!(count(&world, "vote_refused"), 6);
    assert_eq!(count(&world, "voted"), 0);
    check(&world);
}

#[test]
fn a_replayed_yes_counts_once() {
    let mut world = World::new(6);
    until_asked(&mut world, 0);
    approve(&mut world, "yes");
    let vote = world.said.iter().find(|content| matches!(content, Content::Voted(_))).cloned();
    world.say("replay", vote.expect("a signed vote"));
    until_repaired(&mut world, 0);
    assert_eq!((world.outside.changes.len(), count(&world, "vote_refused")), (1, 1));
    check(&world);
}

#[test]
fn alerts_that_resolve_by_themselves_withdraw_the_plan() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        until_asked(&mut world, 20);
        resolve(&mut world, 20);
        until_repaired(&mut world, 20);
        assert!(is_closed(&world));
        assert_eq!(world.outside.changes, Vec::<String>::new());
        assert!(world.waiting().is_none());
        check(&world);
    }
}

#[test]
fn an_end_says_what_was_done_even_if_a_yes_and_the_resolution_come_at_once() {
    let mut repaired = 0;
    for seed in 0..300 {
        let mut world = World::new(seed);
        until_asked(&mut world, 20);
        let yes = answer(&world, "ana", Answer::Approve);
        world.say("yes", Content::Answered(yes));
        world.say("alert-2", Content::Alerts(scene::notification(AlertStatus::Resolved, 920)));
        until_repaired(&mut world, 20);
        assert!(is_closed(&world));
        let outcome = world.facts().into_iter().find_map(|fact| match fact.what {
            What::Closed { outcome } => Some(outcome),
            _ => None,
        });
        let told = outcome.expect("an outcome").starts_with("resolved by the approved rollback");
        assert_eq!(world.outside.changes.len(), usize::from(told), "seed {seed}");
        repaired += usize::from(told);
        check(&world);
    }
    assert!((1..300).contains(&repaired), "both orders were tried: {repaired}");
}

#[test]
fn a_remediation_that_was_away_until_the_end_asks_for_nothing() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        world.leave(Role::Remediation);
        world.say("alert-1", Content::Alerts(scene::notification(AlertStatus::Firing, 920)));
        world.settle(20);
        resolve(&mut world, 20);
        while !is_closed(&world) {
            assert!(world.tick(20), "the incident never ends");
            world.settle(20);
        }
        world.come_back();
        until_repaired(&mut world, 20);
        assert_eq!(world.outside.changes, Vec::<String>::new());
        assert!(world.waiting().is_none(), "seed {seed}: people are asked about an incident that is over");
        check(&world);
    }
}

/// What people were told in the chat, in order.
fn announced(world: &World) -> Vec<&Bulletin> {
    let bulletin = |content| match content {
        &Content::Request(TaskRequest { errand: Errand::Announce { ref bulletin }, .. }) => Some(bulletin),
        _ => None,
    };
    world.said.iter().filter_map(bulletin).collect()
}

#[test]
fn the_first_card_waits_for_the_plan_but_not_for_long() {
    let mut world = World::new(3);
    until_asked(&mut world, 0);
    world.settle(0);
    let told = announced(&world);
    assert!(matches!(told[..], [Bulletin { number: 1, ask: Some(_), news: Some(_), .. }]), "one card says it all: {told:#?}");

    let mut world = World::new(3);
    world.leave(Role::Remediation);
    world.say("alert-1", Content::Alerts(scene::notification(AlertStatus::Firing, 920)));
    world.settle(0);
    let before = world.now;
    assert_eq!(announced(&world), Vec::<&Bulletin>::new());
    assert!(world.tick(0));
    world.settle(0);
    assert!(world.now - before < TimeDelta::seconds(5), "people are told soon");
    let told = announced(&world);
    assert!(matches!(told[..], [Bulletin { number: 1, ask: None, .. }]), "{told:#?}");
    assert_eq!(world.outside.cards.len(), 1);
    world.come_back();
    world.settle(0);
    assert!(announced(&world).iter().any(|later| later.number > 1 && later.ask.is_some()), "the plan follows");
}

#[test]
fn a_plan_that_is_outdated_before_the_first_card_is_waited_for_in_peace() {
    let mut world = World::new(3);
    world.leave(Role::Remediation);
    world.say("alert-1", Content::Alerts(scene::notification(AlertStatus::Firing, 920)));
    world.settle(0);
    // Somebody releases revision 3; when remediation sees it, nobody diagnoses.
    world.outside.revision = 3;
    world.come_back();
    world.leave(Role::Diagnostics);
    world.settle(0);
    let before = world.now;
    for _ in 0..2 {
        assert!(world.tick(0));
        world.settle(0);
    }
    assert_eq!(announced(&world), Vec::<&Bulletin>::new());
    assert!(world.now - before > TimeDelta::seconds(20), "the incident sleeps until the diagnosis is overdue");
}

/// Diagnostics takes nothing until `deadlines` have passed.
fn without_diagnostics(deadlines: usize) -> World {
    let mut world = World::new(11);
    world.leave(Role::Diagnostics);
    world.say("alert-1", Content::Alerts(scene::notification(AlertStatus::Firing, 920)));
    world.settle(0);
    for _ in 0..deadlines {
        assert!(world.tick(0), "an unanswered request has a deadline");
        world.settle(0);
    }
    world
}

#[test]
fn a_diagnosis_that_does_not_come_is_asked_for_again_and_then_people_have_it() {
    let mut world = without_diagnostics(1);
    world.come_back();
    world.settle(0);
    assert!(world.waiting().is_some(), "the second request, or the first one's late answer, does");
    check(&world);

    let world = without_diagnostics(2);
    let gave_up = |fact: &Fact| matches!(&fact.what, What::PhaseChanged { phase: Phase::NeedsPeople, why } if why.contains("diagnostics did not answer"));
    assert!(world.facts().iter().any(gave_up), "{:#?}", world.facts());
    assert_eq!(world.outside.cards.len(), 1, "people are told all the same");
    check(&world);
}

#[test]
fn without_evidence_people_are_asked_instead_of_guessing() {
    let mut world = World::new(9);
    world.evidence = vec![];
    world.say("alert-1", Content::Alerts(scene::notification(AlertStatus::Firing, 920)));
    world.settle(0);
    assert!(world.waiting().is_none());
    assert_eq!(world.outside.cards.len(), 1, "people are told");
    assert!(world.tick(0), "and reminded");
    check(&world);
}
