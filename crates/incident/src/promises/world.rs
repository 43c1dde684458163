//! The promises that show in more than one incident's record: in the stream, the tables, the providers and the cluster together.
//!
//! Whoever watches an installation from outside fills these plain values: a simulation from its memory, a test on real parts from
//! streams, tables and the providers' stand-ins. What each function covers, and what it cannot see, stands in its comment. P3, P4, P5
//! and P8 have their other halves in [`super::broken`], which looks at one incident's record.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Broken, has_ended};
use crate::fact::{Fact, What};
use crate::id::{IncidentId, OrderId, TaskId, TenantId};
use crate::plan::{Action, Digest, Plan, Undo};
use crate::record::{Head, Record};
use crate::task::{Phase, Role};
use crate::workload::Workload;

/// Where something that was accepted is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// In the stream; somebody will get it.
    OnTheWay,
    /// Its commit is durable.
    Handled,
    /// A dead letter, with a reason.
    Dead,
    /// Neither in the stream, nor handled, nor a dead letter.
    Nowhere,
}

/// A notification that was answered with 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Whose.
    pub tenant: TenantId,
    /// Its message id.
    pub id: String,
    /// Fingerprints of its alerts that fired.
    pub firing: Vec<String>,
    /// Where it is now.
    pub whereabouts: Whereabouts,
}

/// What was done outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeedKind {
    /// A card was posted.
    Card,
    /// A line was added to its thread.
    Line,
    /// An issue was opened.
    Issue,
    /// A comment was added to it.
    Comment,
    /// A cluster was changed.
    Change,
    /// A change was taken back.
    Undo,
}

impl DeedKind {
    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Line => "thread line",
            Self::Issue => "issue",
            Self::Comment => "comment",
            Self::Change => "change",
            Self::Undo => "undo",
        }
    }
}

/// One thing that was done outside, as the provider knows it. What may be repeated harmlessly (editing a card, moving an issue to done) is
/// none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// In whose room, project or cluster.
    pub tenant: TenantId,
    /// For which incident.
    pub incident: IncidentId,
    /// What.
    pub kind: DeedKind,
    /// Names the step of the incident: the effect's id, or the digest of the plan.
    pub step: String,
}

/// A change of a cluster, as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// In whose cluster.
    pub tenant: TenantId,
    /// What was changed.
    pub workload: Workload,
    /// Its uid.
    pub uid: String,
    /// The plan that the change names.
    pub digest: Digest,
    /// Digest of the spec right before it.
    pub spec_before: Digest,
    /// Digest of the pod template right after it.
    pub template_after: Digest,
}

/// Something that is open: an incident, a task, a question to people, a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Whose work it is.
    pub role: Role,
    /// Its entity.
    pub entity: String,
    /// When it is looked at again at the latest; none: there is no timer.
    pub deadline: Option<DateTime<Utc>>,
    /// Whether something is owed for it, whose end is told to it.
    pub is_owed: bool,
}

/// A remediation that may be changing its workload now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Whose.
    pub tenant: TenantId,
    /// Which task.
    pub task: TaskId,
    /// Of what.
    pub workload: Workload,
}

/// What fires in an open incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whose.
    pub tenant: TenantId,
    /// Its entity.
    pub incident: String,
    /// Fingerprints.
    pub firing: Vec<String>,
    /// Those among them that belong to another incident by a person's word.
    pub astray: Vec<String>,
}

/// An incident's card or issue as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Which incident.
    pub incident: IncidentId,
    /// Whether it shows that the incident is over.
    pub is_over: bool,
}

fn broken(promise: &'static str, why: String) -> Broken {
    Broken { promise, why }
}

/// P1, at every moment: what was accepted is in the stream, handled, or a dead letter.
pub fn accepted_means_kept(accepted: &[Accepted]) -> Vec<Broken> {
    let lost = accepted.iter().filter(|one| one.whereabouts == Whereabouts::Nowhere);
    lost.map(|one| broken("P1", format!("{} of {} was accepted and is nowhere", one.id, one.tenant))).collect()
}

/// P1, at the end: every alert that fired is in an incident's record, or in a dead letter.
pub fn accepted_reached_an_incident(accepted: &[Accepted], facts: &[Fact]) -> Vec<Broken> {
    let joined: BTreeSet<(&TenantId, &str)> = facts
        .iter()
        .filter_map(|fact| match &fact.what {
            What::AlertChanged { fingerprint, .. } => Some((&fact.tenant, fingerprint.as_str())),
            _ => None,
        })
        .collect();
    let alive = accepted.iter().filter(|one| one.whereabouts != Whereabouts::Dead);
    let alerts = alive.flat_map(|one| one.firing.iter().map(move |fingerprint| (one, fingerprint)));
    let missing = alerts.filter(|(one, fingerprint)| !joined.contains(&(&one.tenant, fingerprint.as_str())));
    missing.map(|(one, fingerprint)| broken("P1", format!("alert {fingerprint} in {} is in no incident", one.id))).collect()
}

/// P1, at the end: an alert that fires is in one incident and no other, whatever people said of where it belongs.
pub fn one_incident_an_alert(open: &[Held]) -> Vec<Broken> {
    let mut places: BTreeMap<(&TenantId, &str), &str> = BTreeMap::new();
    let mut found = vec![];
    for (held, fingerprint) in open.iter().flat_map(|held| held.firing.iter().map(move |fingerprint| (held, fingerprint))) {
        if let Some(other) = places.insert((&held.tenant, fingerprint), &held.incident) {
            found.push(broken("P1", format!("alert {fingerprint} is in {other} and in {}", held.incident)));
        }
    }
    found
}

/// P1, at the end: an alert is where a person said that it belongs.
pub fn peoples_word_counts(open: &[Held]) -> Vec<Broken> {
    let astray = open.iter().flat_map(|held| held.astray.iter().map(move |fingerprint| (held, fingerprint)));
    astray.map(|(held, alert)| broken("P1", format!("alert {alert} is in {}, and belongs elsewhere", held.incident))).collect()
}

/// P6, at the end: what people wanted of an incident is done or refused, and its record says which.
pub fn every_order_is_answered(orders: &[(TenantId, OrderId)], facts: &[Fact]) -> Vec<Broken> {
    let answered: BTreeSet<(&TenantId, &OrderId)> = facts
        .iter()
        .filter_map(|fact| match &fact.what {
            What::Ordered { order, .. } | What::OrderRefused { order, .. } => Some((&fact.tenant, order)),
            _ => None,
        })
        .collect();
    let open = orders.iter().filter(|(tenant, order)| !answered.contains(&(tenant, order)));
    open.map(|(_, order)| broken("P6", format!("nobody was told what came of {order}"))).collect()
}

/// P2: each step was done once, and an incident has one card and one issue.
pub fn one_effect(deeds: &[Deed]) -> Vec<Broken> {
    let mut seen = BTreeSet::new();
    let name = |deed: &Deed| match deed.kind {
        DeedKind::Card | DeedKind::Issue => deed.incident.to_string(),
        DeedKind::Line | DeedKind::Comment | DeedKind::Change | DeedKind::Undo => deed.step.clone(),
    };
    let twice = deeds.iter().filter(|deed| !seen.insert((&deed.tenant, deed.kind, name(deed))));
    twice.map(|deed| broken("P2", format!("{} for {} ({}): done twice", deed.kind.label(), deed.incident, deed.step))).collect()
}

fn proposed<'a>(facts: &'a [Fact], tenant: &TenantId, digest: &Digest) -> Option<&'a Plan> {
    facts.iter().find_map(|fact| match &fact.what {
        What::Proposed { digest: proposed, plan, .. } if proposed == digest && fact.tenant == *tenant => Some(&**plan),
        _ => None,
    })
}

/// P3: each change that a cluster has seen names a plan that was proposed, and as many people as it needs had said yes to that very
/// request. `quorum` is what the policy in force asks for. Whose yes counts is checked where votes are admitted.
pub fn no_change_without_a_yes(changes: &[Change], facts: &[Fact], quorum: usize) -> Vec<Broken> {
    let yes_to = |digest: &Digest| {
        let asked = facts.iter().filter_map(|fact| match &fact.what {
            What::Proposed { digest: proposed, approval, .. } if proposed == digest => Some(approval),
            _ => None,
        });
        let asked: Vec<_> = asked.collect();
        let people = facts.iter().filter_map(|fact| match &fact.what {
            What::Voted { approval, person, answer } if asked.contains(&approval) && answer.starts_with("approved") => {
                Some(person)
            }
            _ => None,
        });
        people.collect::<BTreeSet<_>>().len()
    };
    let unapproved = changes.iter().filter(|change| yes_to(&change.digest) < quorum);
    unapproved
        .map(|change| broken("P3", format!("{} was changed by plan {} without a yes", change.workload, change.digest.short())))
        .collect()
}

/// P4: each change is the one that its plan describes, made to the very object that the plan was made for.
pub fn what_was_approved_is_what_ran(changes: &[Change], facts: &[Fact]) -> Vec<Broken> {
    let differs = |change: &&Change| {
        let Some(plan) = proposed(facts, &change.tenant, &change.digest) else { return true };
        let Action::RollBack { template, .. } = &plan.action;
        plan.target.workload != change.workload
            || plan.target.uid != change.uid
            || plan.target.spec_digest != change.spec_before
            || *template != change.template_after
    };
    let lies = changes.iter().filter(differs);
    lies.map(|change| broken("P4", format!("what plan {} did to {} is not what it says", change.digest.short(), change.workload)))
        .collect()
}

/// P5: what was taken back is what a plan had put there, and what it puts back is what ran before. That a change which did not help is
/// taken back at all is seen in the incident's record.
pub fn undone_as_planned(undone: &[Change], facts: &[Fact]) -> Vec<Broken> {
    let differs = |change: &&Change| {
        let Some(plan) = proposed(facts, &change.tenant, &change.digest) else { return true };
        let Undo::RestoreTemplate { template } = &plan.undo;
        *template != change.template_after
    };
    let lies = undone.iter().filter(differs);
    lies.map(|change| broken("P5", format!("taking plan {} back left something else behind", change.digest.short()))).collect()
}

/// P6, at every moment: whatever is open has a deadline, or something is owed for it (which has its own: patience). The auditor asks the
/// same of the tables, and sets going what does not.
pub fn every_wait_has_a_deadline(open: &[Waiting]) -> Vec<Broken> {
    let endless = open.iter().filter(|waiting| waiting.deadline.is_none() && !waiting.is_owed);
    endless.map(|waiting| broken("P6", format!("{} of {} is open and waits for nothing", waiting.entity, waiting.role))).collect()
}

/// P6, at the end: each incident is closed, or people have it.
pub fn every_incident_ended(facts: &[Fact]) -> Vec<Broken> {
    let mut phases: BTreeMap<(&TenantId, &IncidentId), Phase> = BTreeMap::new();
    for fact in facts {
        match &fact.what {
            What::Opened { .. } => {
                phases.entry((&fact.tenant, &fact.incident)).or_insert(Phase::Diagnosing);
            }
            What::PhaseChanged { phase, .. } => {
                phases.insert((&fact.tenant, &fact.incident), *phase);
            }
            _ => {}
        }
    }
    let stuck = phases.into_iter().filter(|(_, phase)| !matches!(phase, Phase::Resolved | Phase::NeedsPeople));
    stuck.map(|((_, incident), phase)| broken("P6", format!("{incident} is {} for ever", phase.label()))).collect()
}

/// P6, for incidents that people have had for so long that they should have been reminded: each was heard of again, in `since`.
pub fn people_are_reminded(waiting: &[IncidentId], since: &[Deed]) -> Vec<Broken> {
    let is_heard = |deed: &Deed| matches!(deed.kind, DeedKind::Line | DeedKind::Comment);
    let forgotten = waiting.iter().filter(|incident| !since.iter().any(|deed| is_heard(deed) && deed.incident == **incident));
    forgotten.map(|incident| broken("P6", format!("{incident} needs people, and nobody reminds them"))).collect()
}

/// P7: no workload is worked on by two remediations at once. Rates, blast radius and a kill switch are not seen here.
pub fn one_at_a_time(repairs: &[Repair]) -> Vec<Broken> {
    let mut held = BTreeSet::new();
    let second = repairs.iter().filter(|repair| !held.insert((&repair.tenant, &repair.workload)));
    second.map(|repair| broken("P7", format!("{} is worked on by {} and another one", repair.workload, repair.task))).collect()
}

/// P9, at the end, when everybody has been back for long: an incident is shown as over wherever it is shown if it is, and only then, or its
/// record names the gap.
pub fn what_was_owed_is_delivered(shown: &[Shown], facts: &[Fact]) -> Vec<Broken> {
    let stale = shown.iter().filter(|one| {
        let of: Vec<Fact> = facts.iter().filter(|fact| fact.incident == one.incident).cloned().collect();
        let has_gap = of.iter().any(|fact| matches!(fact.what, What::Gap { .. }));
        has_ended(&of) != one.is_over && !has_gap
    });
    let not = |one: &Shown| if one.is_over { ("is not over", "it is") } else { ("is over", "it is not") };
    stale
        .map(|one| {
            let (is, shown) = not(one);
            broken("P9", format!("{} {is}, and people are shown that {shown}", one.incident))
        })
        .collect()
}

/// P10: what is done for an incident is done in its own tenant's places, and no record is of two tenants. Budgets, credentials and
/// row-level security are not seen here.
pub fn tenants_are_apart(deeds: &[Deed], facts: &[Fact]) -> Vec<Broken> {
    let mut owners: BTreeMap<&IncidentId, &TenantId> = BTreeMap::new();
    let mut found = vec![];
    for fact in facts {
        let owner = owners.entry(&fact.incident).or_insert(&fact.tenant);
        if *owner != &fact.tenant {
            found.push(broken("P10", format!("{} is of {owner} and of {}", fact.incident, fact.tenant)));
        }
    }
    let strays = deeds.iter().filter(|deed| owners.get(&deed.incident).is_some_and(|owner| **owner != deed.tenant));
    found
        .extend(strays.map(|deed| broken("P10", format!("a {} for {} is at {}", deed.kind.label(), deed.incident, deed.tenant))));
    found
}

/// P11, at every moment: the records that came since `head` follow it without a break, and none repeats a fact in `seen`.
pub fn the_chain_holds(head: &mut Head, seen: &mut BTreeSet<String>, records: &[Record]) -> Vec<Broken> {
    let mut found = vec![];
    for record in records {
        if let Err(error) = head.follow(record) {
            found.push(broken("P11", error.to_string()));
        }
        if !seen.insert(record.fact.id.clone()) {
            found.push(broken("P11", format!("fact {} is recorded twice", record.fact.id)));
        }
    }
    found
}

/// P11, at the end: every fact is on the record.
pub fn every_fact_is_recorded(facts: &[Fact], recorded: &BTreeSet<String>) -> Vec<Broken> {
    let missing = facts.iter().filter(|fact| !recorded.contains(&fact.id));
    missing.map(|fact| broken("P11", format!("fact {} is not on the record", fact.id))).collect()
}

/// P12, at the end, as far as costs are known today: each call that did something at a provider is booked on its incident. Caps are not
/// seen here: there are none yet.
pub fn costs_are_booked(deeds: &[Deed], facts: &[Fact]) -> Vec<Broken> {
    let mut owed: BTreeMap<(&IncidentId, &'static str), u32> = BTreeMap::new();
    for deed in deeds {
        let provider = match deed.kind {
            DeedKind::Card | DeedKind::Line => "slack.",
            DeedKind::Issue | DeedKind::Comment => "jira.",
            DeedKind::Change | DeedKind::Undo => continue,
        };
        *owed.entry((&deed.incident, provider)).or_default() += 1;
    }
    let booked = |incident: &IncidentId, provider: &str| -> u32 {
        let of = facts.iter().filter(|fact| fact.incident == *incident);
        of.filter_map(|fact| match &fact.what {
            What::Cost { item, calls } if item.starts_with(provider) => Some(*calls),
            _ => None,
        })
        .sum()
    };
    let short = owed.into_iter().filter(|((incident, provider), calls)| booked(incident, provider) < *calls);
    short
        .map(|((incident, provider), calls)| {
            broken("P12", format!("{calls} calls of {provider}* for {incident} are not all booked"))
        })
        .collect()
}
