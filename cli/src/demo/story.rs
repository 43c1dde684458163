//! The story of one incident, told from the facts on its record as they come. Pure: facts in, lines and a verdict out. It must never
//! guess what happened.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use incident::fact::{Fact, What};
use incident::id::ApprovalId;
use incident::plan::{Digest, Plan};
use incident::task::Phase;

use crate::commands::plan as words;
use crate::output::table;

/// What has been heard so far.
pub(crate) struct Story {
    began: DateTime<Utc>,
    /// When which step was over, in order.
    steps: Vec<(&'static str, DateTime<Utc>)>,
    proposed: Option<(ApprovalId, Digest)>,
    approved: BTreeSet<ApprovalId>,
    rejected: Option<String>,
    executed: Vec<Digest>,
    undone: bool,
    recovered: bool,
}

/// What a fact means for who follows.
#[derive(Debug, PartialEq)]
pub(crate) enum Turn {
    /// The story goes on.
    GoesOn,
    /// A plan waits for an answer.
    Asks(ApprovalId, Digest),
    /// It is over.
    Ended(Ending),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    /// The approved plan was executed, recovery was verified, the incident is closed.
    Resolved,
    /// A person said no; these are the words of the record.
    Rejected(String),
    /// Otherwise, and why.
    Otherwise(String),
}

impl Story {
    /// It begins with the bad release.
    pub(crate) fn new(began: DateTime<Utc>) -> Self {
        Self {
            began,
            steps: vec![],
            proposed: None,
            approved: BTreeSet::new(),
            rejected: None,
            executed: vec![],
            undone: false,
            recovered: false,
        }
    }

    /// Whether a plan waits for a person.
    pub(crate) fn awaits_a_person(&self) -> bool {
        self.rejected.is_none() && self.proposed.as_ref().is_some_and(|(approval, _)| !self.approved.contains(approval))
    }

    /// Takes in the next fact.
    pub(crate) fn hear(&mut self, fact: &Fact) -> Turn {
        let mut step = |name| self.steps.push((name, fact.at));
        match &fact.what {
            What::Opened { .. } => step("alert fired, incident opened"),
            What::Diagnosed { .. } => step("evidence collected, cause found"),
            What::Proposed { approval, digest, .. } => {
                step("plan made, approval asked for");
                self.proposed = Some((approval.clone(), digest.clone()));
                return Turn::Asks(approval.clone(), digest.clone());
            }
            What::Voted { approval, answer, .. } if answer.starts_with("approved") => {
                step("approved");
                self.approved.insert(approval.clone());
            }
            What::Voted { .. } => self.rejected = Some(fact.what.sentence()),
            What::Executed { digest, .. } => {
                step("change made in the cluster");
                self.executed.push(digest.clone());
            }
            What::Verified { recovered: true, .. } => {
                step("recovery verified");
                self.recovered = true;
            }
            What::Verified { recovered: false, .. } => self.recovered = false,
            What::Undone { .. } => self.undone = true,
            What::PhaseChanged { phase: Phase::NeedsPeople, why } => return Turn::Ended(self.needs_people(why)),
            What::Closed { outcome } => {
                step(RESOLVED);
                return Turn::Ended(self.closed(outcome));
            }
            What::AlertChanged { .. }
            | What::Reopened { .. }
            | What::SeverityChanged { .. }
            | What::PhaseChanged { .. }
            | What::StepChanged { .. }
            | What::Reminded { .. }
            | What::VoteRefused { .. }
            | What::RemedyEnded { .. }
            | What::Told { .. }
            | What::Gap { .. }
            | What::SilenceMade { .. }
            | What::SilenceExpired { .. }
            | What::Muted { .. }
            | What::Unmuted { .. }
            | What::PartOf { .. }
            | What::Joined { .. }
            | What::Ordered { .. }
            | What::OrderRefused { .. }
            | What::AttendanceChanged { .. }
            | What::MovedAway { .. }
            | What::SetGoing { .. }
            | What::Cost { .. } => {}
        }
        Turn::GoesOn
    }

    fn needs_people(&self, why: &str) -> Ending {
        match &self.rejected {
            Some(words) => Ending::Rejected(words.clone()),
            None => Ending::Otherwise(why.to_owned()),
        }
    }

    /// Closed is not enough: it must have been the plan that was approved, run once, and seen to help.
    fn closed(&self, outcome: &str) -> Ending {
        let Some((approval, digest)) = &self.proposed else {
            return Ending::Otherwise(format!("closed without a plan: {outcome}"));
        };
        let rules = [
            (self.approved.contains(approval), "nobody approved the plan"),
            (self.executed == [digest.clone()], "what was executed is not, once, the approved plan"),
            (self.recovered, "recovery was not verified"),
            (!self.undone, "the change was taken back"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            None => Ending::Resolved,
            Some((_, broken)) => Ending::Otherwise(format!("closed, but {broken}: {outcome}")),
        }
    }

    /// How long each step took.
    pub(crate) fn timing(&self) -> String {
        let starts = std::iter::once(self.began).chain(self.steps.iter().map(|(_, at)| *at));
        let mut rows: Vec<Vec<String>> = self.steps.iter().zip(starts).map(|((name, at), from)| row(name, from, *at)).collect();
        if let Some((_, last)) = self.steps.last() {
            rows.push(row("in all, from the bad release", self.began, *last));
        }
        table(&["STEP", "SECONDS"], &rows)
    }
}

const RESOLVED: &str = "incident resolved";

fn row(name: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<String> {
    vec![name.to_owned(), format!("{:>7.1}", seconds(from, to))]
}

/// From one moment to another.
#[expect(clippy::cast_precision_loss, reason = "a demo's milliseconds have far fewer than 52 bits")]
fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_milliseconds() as f64 / 1_000.0
}

/// What is shown of a fact while it happens; none of what another line says already. Lines after the first are indented by who shows.
pub(crate) fn shown(what: &What) -> Option<String> {
    match what {
        What::Proposed { plan, .. } => Some(format!("{}{}", what.sentence(), details(plan))),
        What::PhaseChanged { phase: Phase::NeedsPeople, why } => Some(why.clone()),
        // Of phases, the plan, the vote and the closing tell; of cards, the log, where there is neither Slack nor Jira.
        What::PhaseChanged { .. } | What::Told { .. } | What::Cost { .. } => None,
        what => Some(what.sentence()),
    }
}

fn details(plan: &Plan) -> String {
    let diff = plan.diff.iter().map(|line| format!("\n  {line}"));
    let risk = format!("\nrisk: {}", plan.risk);
    let undo = format!("\nundo: {}", words::undo(&plan.undo));
    let verify = format!("\nverified by: {}", plan.verification.sentence());
    let expressions = plan.verification.expressions.iter().map(|expression| format!("\n  {expression}"));
    std::iter::once("\nwhat changes, by the API server's dry run:".to_owned())
        .chain(diff)
        .chain([risk, undo, verify])
        .chain(expressions)
        .collect()
}

#[cfg(test)]
mod tests {
    use incident::task::Role;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + second, 0).unwrap()
    }

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn approval() -> ApprovalId {
        "apr_1".parse().unwrap()
    }

    fn voted(answer: &str) -> What {
        What::Voted { approval: approval(), person: "you".parse().unwrap(), answer: answer.to_owned() }
    }

    fn executed(plan: &str) -> What {
        What::Executed { digest: digest(plan), summary: "done".to_owned() }
    }

    fn verified(recovered: bool) -> What {
        What::Verified { recovered, summary: "seen".to_owned() }
    }

    fn needs_people() -> What {
        What::PhaseChanged { phase: Phase::NeedsPeople, why: "help".to_owned() }
    }

    /// Hears a proposal and then these; gives the last turn.
    fn after_a_proposal(whats: Vec<What>) -> Turn {
        let mut story = Story::new(at(0));
        story.proposed = Some((approval(), digest("plan")));
        let mut turn = Turn::GoesOn;
        for (n, what) in whats.into_iter().enumerate() {
            let fact = Fact {
                id: n.to_string(),
                tenant: "local".parse().unwrap(),
                incident: "inc_1".parse().unwrap(),
                by: Role::Monitoring,
                at: at(1),
                what,
            };
            turn = story.hear(&fact);
        }
        turn
    }

    #[test]
    fn only_the_approved_plan_s_recovery_counts() {
        let closed = || What::Closed { outcome: "over".to_owned() };
        let undone = || What::Undone { digest: digest("plan"), summary: "back".to_owned() };
        let approved = || voted("approved through the command line");
        let good = vec![approved(), executed("plan"), verified(true), closed()];
        assert_eq!(after_a_proposal(good), Turn::Ended(Ending::Resolved));
        for bad in [
            vec![closed()],
            vec![executed("plan"), verified(true), closed()],
            vec![approved(), verified(true), closed()],
            vec![approved(), executed("another"), verified(true), closed()],
            vec![approved(), executed("plan"), executed("plan"), verified(true), closed()],
            vec![approved(), executed("plan"), closed()],
            vec![approved(), executed("plan"), verified(false), undone(), closed()],
            vec![approved(), executed("plan"), verified(true), undone(), closed()],
        ] {
            let turn = after_a_proposal(bad.clone());
            assert!(matches!(turn, Turn::Ended(Ending::Otherwise(_))), "{bad:?}: {turn:?}");
        }
    }

    #[test]
    fn a_no_ends_it_as_a_no() {
        let turn = after_a_proposal(vec![voted("rejected through the command line: not today"), needs_people()]);
        assert!(matches!(&turn, Turn::Ended(Ending::Rejected(words)) if words.contains("not today")), "{turn:?}");
        let turn = after_a_proposal(vec![needs_people()]);
        assert_eq!(turn, Turn::Ended(Ending::Otherwise("help".to_owned())));
    }

    #[test]
    fn each_step_is_timed_from_the_one_before() {
        let mut story = Story::new(at(0));
        story.steps = vec![("one", at(3)), ("two", at(5))];
        let text = story.timing();
        let numbers: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(numbers, ["3.0", "2.0", "5.0"], "{text}");
    }
}
