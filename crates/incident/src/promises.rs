//! The promises that the record of one incident can show kept or broken. Tests on real parts and simulations ask the same functions.
//!
//! What concerns more than one incident, or what is not in a record, is in [`world`].

pub mod world;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::evidence::{Diagnosis, Verdict};
use crate::fact::{Fact, What};
use crate::id::ApprovalId;
use crate::plan::{Digest, Plan};

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Such as `P3`.
    pub promise: &'static str,
    /// What the record shows.
    pub why: String,
}

/// Looks at all that is recorded of one incident once it has come to rest, in any order. `clocks_apart` is how far the clocks of those who
/// wrote it may differ: zero on one machine.
pub fn broken(facts: &[Fact], clocks_apart: TimeDelta) -> Vec<Broken> {
    let mut found = broken_by_now(facts, clocks_apart);
    found.extend(undone_if_it_did_not_help(facts));
    found
}

/// The same in the middle of it, when what was begun need not be finished.
pub fn broken_by_now(facts: &[Fact], clocks_apart: TimeDelta) -> Vec<Broken> {
    let checks = [one_effect, ends_once, told_once_that_it_is_over, what_was_approved_is_what_ran, claims_cite_evidence];
    let mut found: Vec<Broken> = checks.iter().flat_map(|check| check(facts)).collect();
    found.extend(no_change_without_a_yes(facts, clocks_apart));
    found
}

/// P6: the incident has ended, and was not opened again; the record says so.
pub fn has_ended(facts: &[Fact]) -> bool {
    closed(facts) > reopened(facts)
}

fn closed(facts: &[Fact]) -> usize {
    facts.iter().filter(|fact| matches!(fact.what, What::Closed { .. })).count()
}

fn reopened(facts: &[Fact]) -> usize {
    facts.iter().filter(|fact| matches!(fact.what, What::Reopened { .. })).count()
}

fn proposals(facts: &[Fact]) -> impl Iterator<Item = (&ApprovalId, &Digest, &Plan)> {
    facts.iter().filter_map(|fact| match &fact.what {
        What::Proposed { approval, digest, plan } => Some((approval, digest, &**plan)),
        _ => None,
    })
}

fn executions(facts: &[Fact]) -> impl Iterator<Item = (&Digest, DateTime<Utc>)> {
    facts.iter().filter_map(|fact| match &fact.what {
        What::Executed { digest, .. } => Some((digest, fact.at)),
        _ => None,
    })
}

/// P2: nothing is decided twice for one cause (its facts would have the same ids), and what happens once is recorded once.
fn one_effect(facts: &[Fact]) -> Vec<Broken> {
    let once = |what: &What| match what {
        What::Opened { .. } => Some("opened".to_owned()),
        What::Executed { digest, .. } => Some(format!("executed {}", digest.0)),
        What::Undone { digest, .. } => Some(format!("undone {}", digest.0)),
        What::Proposed { digest, .. } => Some(format!("proposed {}", digest.0)),
        What::Ordered { order, .. } | What::OrderRefused { order, .. } => Some(format!("answer to {order}")),
        What::Voted { approval, person, .. } => Some(format!("vote of {person} on {approval}")),
        _ => None,
    };
    let ids = facts.iter().map(|fact| format!("fact {}", fact.id));
    let mut seen: Vec<String> = facts.iter().filter_map(|fact| once(&fact.what)).chain(ids).collect();
    seen.sort_unstable();
    let twice = seen.windows(2).filter(|pair| pair.first() == pair.last()).filter_map(|pair| pair.first());
    twice.map(|what| Broken { promise: "P2", why: format!("{what}: recorded twice") }).collect()
}

/// P2: an incident is closed once, and once more each time that it was opened again in between; it is not opened again while it is open.
fn ends_once(facts: &[Fact]) -> Vec<Broken> {
    let (closed, reopened) = (closed(facts), reopened(facts));
    if closed == reopened || closed == reopened + 1 {
        return vec![];
    }
    vec![Broken { promise: "P2", why: format!("it was closed {closed} times and opened again {reopened} times") }]
}

/// P2: each place is told once for each time that it was over.
fn told_once_that_it_is_over(facts: &[Fact]) -> Vec<Broken> {
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for fact in facts {
        match &fact.what {
            What::Told { place, summary } if summary.contains("Resolved: ") => {
                let channel = ["Slack", "Jira"].into_iter().find(|channel| place.starts_with(channel));
                *told.entry(channel.unwrap_or(place)).or_default() += 1;
            }
            _ => {}
        }
    }
    let closed = closed(facts);
    let often = told.into_iter().filter(|(_, times)| *times > closed);
    often
        .map(|(place, times)| Broken {
            promise: "P2",
            why: format!("{place} was told {times} times that it is over, and it was {closed} times"),
        })
        .collect()
}

/// P3: an executed plan was proposed, and somebody said yes to that very request, before.
fn no_change_without_a_yes(facts: &[Fact], clocks_apart: TimeDelta) -> Vec<Broken> {
    let says_yes = |fact: &Fact, asked: &ApprovalId| matches!(&fact.what, What::Voted { approval, answer, .. } if approval == asked && answer.starts_with("approved"));
    let approved = |digest: &Digest, at: DateTime<Utc>| {
        let requests = proposals(facts).filter(|(_, proposed, _)| *proposed == digest);
        requests.into_iter().any(|(asked, ..)| facts.iter().any(|fact| fact.at <= at + clocks_apart && says_yes(fact, asked)))
    };
    let unapproved = executions(facts).filter(|(digest, at)| !approved(digest, *at));
    unapproved.map(|(digest, _)| Broken { promise: "P3", why: format!("plan {} ran without a yes", digest.short()) }).collect()
}

/// P4: the digest of what was shown is the digest of what ran.
fn what_was_approved_is_what_ran(facts: &[Fact]) -> Vec<Broken> {
    let lies = proposals(facts).filter(|(_, digest, plan)| plan.digest().ok().as_ref() != Some(digest));
    lies.map(|(_, digest, _)| Broken { promise: "P4", why: format!("plan {} is not what its digest says", digest.short()) })
        .collect()
}

/// P5: a change that did not help was taken back, or it is said why not.
fn undone_if_it_did_not_help(facts: &[Fact]) -> Vec<Broken> {
    let failed = facts.iter().any(|fact| matches!(fact.what, What::Verified { recovered: false, .. }));
    let undone = facts.iter().any(|fact| matches!(fact.what, What::Undone { .. }));
    if failed && !undone {
        vec![Broken { promise: "P5", why: "a change that did not help was not taken back".to_owned() }]
    } else {
        vec![]
    }
}

/// P8: a hypothesis cites evidence, and evidence that there is.
fn claims_cite_evidence(facts: &[Fact]) -> Vec<Broken> {
    let is_carried = |diagnosis: &Diagnosis| match &diagnosis.verdict {
        Verdict::Inconclusive { .. } => true,
        Verdict::Hypothesis(found) => {
            !found.cites.is_empty() && found.cites.iter().all(|id| diagnosis.evidence.iter().any(|evidence| evidence.id == *id))
        }
    };
    let uncarried = facts.iter().filter(|fact| matches!(&fact.what, What::Diagnosed { diagnosis } if !is_carried(diagnosis)));
    uncarried.map(|fact| Broken { promise: "P8", why: format!("the claim in {} cites no evidence", fact.id) }).collect()
}
