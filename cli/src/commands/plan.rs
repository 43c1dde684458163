//! A plan in words, for whoever decides on it: the same on the screen before a yes and in the demo's story. It reads the plan that the
//! digest covers and never adds to it.

use incident::plan::{Plan, Undo};

/// How it is taken back.
pub(crate) const fn undo(undo: &Undo) -> &'static str {
    match undo {
        Undo::RestoreTemplate { .. } => "the template that runs now is put back, once, if it does not help",
    }
}

/// What is changed, by which runbook, how that is judged and how it is taken back, one fact a line.
pub(crate) fn lines(plan: &Plan) -> Vec<(&'static str, String)> {
    let facts = [
        ("target", format!("{} (uid {})", plan.target.workload, plan.target.uid)),
        ("runbook", plan.runbook.clone()),
        ("verified", plan.verification.sentence()),
    ];
    let expressions = plan.verification.expressions.iter().map(|expression| ("", expression.clone()));
    facts.into_iter().chain(expressions).chain([("undo", undo(&plan.undo).to_owned())]).collect()
}
