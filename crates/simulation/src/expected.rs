//! What a scenario expects of the end of its day, against what there is.

use incident::fact::What;
use incident::promises::world::DeedKind;
use incident::task::Phase;

use crate::env::Env;
use crate::scenario::{Bound, Expected};

/// What is not as it should be, in words.
pub(crate) fn unmet(expected: &Expected, env: &Env) -> Vec<String> {
    let witness = &env.witness;
    let deeds = |kind: DeedKind| witness.deeds.iter().filter(|deed| deed.kind == kind).count();
    let Expected {
        incidents,
        closed,
        reopened,
        follow,
        flapping,
        severity_changes,
        diagnoses,
        plans,
        votes,
        refused,
        reminders,
        changes,
        undone,
        recovered,
        cards,
        lines,
        issues,
        dead_letters,
    } = expected;
    let counts = [
        ("incidents", incidents, witness.count(|what| matches!(what, What::Opened { .. }))),
        ("closed", closed, witness.count(|what| matches!(what, What::Closed { .. }))),
        ("reopened", reopened, witness.count(|what| matches!(what, What::Reopened { .. }))),
        ("follow", follow, witness.count(|what| matches!(what, What::Opened { follows: Some(_), .. }))),
        ("flapping", flapping, witness.count(|what| matches!(what, What::PhaseChanged { phase: Phase::Flapping, .. }))),
        ("severity_changes", severity_changes, witness.count(|what| matches!(what, What::SeverityChanged { .. }))),
        ("diagnoses", diagnoses, witness.count(|what| matches!(what, What::Diagnosed { .. }))),
        ("plans", plans, witness.count(|what| matches!(what, What::Proposed { .. }))),
        ("votes", votes, witness.count(|what| matches!(what, What::Voted { .. }))),
        ("refused", refused, witness.count(|what| matches!(what, What::VoteRefused { .. }))),
        ("reminders", reminders, witness.count(|what| matches!(what, What::Reminded { .. }))),
        ("changes", changes, witness.changes.len()),
        ("undone", undone, witness.undone.len()),
        ("recovered", recovered, witness.count(|what| matches!(what, What::Verified { recovered: true, .. }))),
        ("cards", cards, deeds(DeedKind::Card)),
        ("lines", lines, deeds(DeedKind::Line)),
        ("issues", issues, deeds(DeedKind::Issue)),
        ("dead_letters", dead_letters, env.log.dead.len()),
    ];
    let missed = counts.into_iter().filter_map(|(name, bound, found)| {
        let Bound { at_least, at_most } = (*bound)?;
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        let wanted = if at_least == at_most { at_least.to_string() } else { format!("{at_least} to {at_most}") };
        (!(at_least..=at_most).contains(&found)).then(|| format!("{name}: {found} instead of {wanted}"))
    });
    missed.collect()
}
