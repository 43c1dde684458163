//! What a scenario expects of the end of its day, against what there is.

use incident::fact::{Fact, What};
use incident::promises::world::{Deed, DeedKind};
use incident::task::Phase;

use crate::scenario::{Bound, Expected};

/// What a day came to, as somebody who watches everything has seen it.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// All that was recorded.
    pub facts: Vec<&'a Fact>,
    /// All that was done outside.
    pub deeds: Vec<&'a Deed>,
    /// Dead letters.
    pub dead_letters: usize,
}

impl Seen<'_> {
    fn recorded(&self, is_it: impl Fn(&What) -> bool) -> usize {
        self.facts.iter().filter(|fact| is_it(&fact.what)).count()
    }

    fn done(&self, kind: DeedKind) -> usize {
        self.deeds.iter().filter(|deed| deed.kind == kind).count()
    }
}

/// Whether an acknowledgement is over that nobody took back.
fn ran_out(what: &What) -> bool {
    matches!(what, What::AttendanceChanged { attendance, why } if attendance.acknowledged.is_none() && why.contains("ran out"))
}

impl Expected {
    /// What is not as it should be, in words.
    pub fn unmet(&self, seen: &Seen<'_>) -> Vec<String> {
        let Self {
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
            orders,
            orders_refused,
            moved,
            unacknowledged,
            reminders,
            changes,
            undone,
            recovered,
            gaps,
            cards,
            lines,
            issues,
            dead_letters,
        } = self;
        let counts = [
            ("incidents", incidents, seen.recorded(|what| matches!(what, What::Opened { .. }))),
            ("closed", closed, seen.recorded(|what| matches!(what, What::Closed { .. }))),
            ("reopened", reopened, seen.recorded(|what| matches!(what, What::Reopened { .. }))),
            ("follow", follow, seen.recorded(|what| matches!(what, What::Opened { follows: Some(_), .. }))),
            ("flapping", flapping, seen.recorded(|what| matches!(what, What::PhaseChanged { phase: Phase::Flapping, .. }))),
            ("severity_changes", severity_changes, seen.recorded(|what| matches!(what, What::SeverityChanged { .. }))),
            ("diagnoses", diagnoses, seen.recorded(|what| matches!(what, What::Diagnosed { .. }))),
            ("plans", plans, seen.recorded(|what| matches!(what, What::Proposed { .. }))),
            ("votes", votes, seen.recorded(|what| matches!(what, What::Voted { .. }))),
            ("refused", refused, seen.recorded(|what| matches!(what, What::VoteRefused { .. }))),
            ("orders", orders, seen.recorded(|what| matches!(what, What::Ordered { .. }))),
            ("orders_refused", orders_refused, seen.recorded(|what| matches!(what, What::OrderRefused { .. }))),
            ("moved", moved, seen.recorded(|what| matches!(what, What::MovedAway { .. }))),
            ("unacknowledged", unacknowledged, seen.recorded(ran_out)),
            ("reminders", reminders, seen.recorded(|what| matches!(what, What::Reminded { .. }))),
            ("changes", changes, seen.done(DeedKind::Change)),
            ("undone", undone, seen.done(DeedKind::Undo)),
            ("recovered", recovered, seen.recorded(|what| matches!(what, What::Verified { recovered: true, .. }))),
            ("gaps", gaps, seen.recorded(|what| matches!(what, What::Gap { .. }))),
            ("cards", cards, seen.done(DeedKind::Card)),
            ("lines", lines, seen.done(DeedKind::Line)),
            ("issues", issues, seen.done(DeedKind::Issue)),
            ("dead_letters", dead_letters, seen.dead_letters),
        ];
        let missed = counts.into_iter().filter_map(|(name, bound, found)| {
            let Bound { at_least, at_most } = (*bound)?;
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            let wanted = if at_least == at_most { at_least.to_string() } else { format!("{at_least} to {at_most}") };
            (!(at_least..=at_most).contains(&found)).then(|| format!("{name}: {found} instead of {wanted}"))
        });
        missed.collect()
    }
}
