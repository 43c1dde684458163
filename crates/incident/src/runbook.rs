//! Runbooks: what a team has written down to do, when, and how it is judged. A runbook proposes; approval is the policy's matter.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertStatus};
use crate::evidence::{Hypothesis, HypothesisKind};
use crate::matcher::{MATCHERS_MAX, Matcher, all_satisfied};
use crate::plan::Verification;

/// One runbook, as its YAML file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runbook {
    /// Unique name, in kebab case.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// When it applies.
    pub when: When,
    /// What it does.
    pub action: RunbookAction,
    /// How recovery is judged.
    pub verify: Verify,
    /// One sentence on what may go wrong, shown to who approves.
    pub risk: String,
}

/// When a runbook applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The kind of hypothesis that it answers.
    pub hypothesis: HypothesisKind,
    /// The least confidence, 1 to 100.
    pub confidence_percent_min: u8,
    /// Alertmanager matchers, such as `severity="critical"`; at least one alert must satisfy all of them.
    #[serde(default)]
    pub alerts: Vec<Matcher>,
}

/// The closed list of what runbooks may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunbookAction {
    /// Put the template of the last revision before the bad one back.
    RollBackToPreviousRevision,
}

/// How recovery is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// For how many seconds the alert's expression must hold no more.
    pub settle_s: u32,
    /// Within how many seconds after the change that must have been reached; else the change is undone.
    pub deadline_s: u32,
}

/// A runbook that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunbookError {
    /// A field that breaks a rule.
    #[error("runbook {name}: {field} {rule}")]
    Field {
        /// Which runbook.
        name: String,
        /// Which field.
        field: &'static str,
        /// The rule.
        rule: &'static str,
    },
    /// Two runbooks of one name.
    #[error("two runbooks are named {0}")]
    Twice(String),
}

impl Runbook {
    /// Checks what the file's types cannot say.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn check(&self) -> Result<(), RunbookError> {
        let is_name = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let rules = [
            (is_name(&self.name), "name", "must be in kebab case, such as rollback-bad-deploy"),
            ((1..=100).contains(&self.when.confidence_percent_min), "when.confidence_percent_min", "must be 1 to 100"),
            (self.when.alerts.len() <= MATCHERS_MAX, "when.alerts", "must be at most 20"),
            ((1..=3_600).contains(&self.verify.settle_s), "verify.settle_s", "must be 1 to 3600"),
            (self.verify.deadline_s > self.verify.settle_s, "verify.deadline_s", "must be more than verify.settle_s"),
            (self.verify.deadline_s <= 7_200, "verify.deadline_s", "must be at most 7200"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, rule)) => Err(RunbookError::Field { name: self.name.clone(), field, rule }),
            None => Ok(()),
        }
    }

    /// Whether it answers this hypothesis about these alerts.
    pub fn applies(&self, hypothesis: &Hypothesis, alerts: &[Alert]) -> bool {
        let satisfied = |alert: &Alert| all_satisfied(&self.when.alerts, &alert.labels);
        hypothesis.kind == self.when.hypothesis
            && hypothesis.confidence_percent >= self.when.confidence_percent_min
            && (self.when.alerts.is_empty() || alerts.iter().any(satisfied))
    }

    /// How recovery is judged for these alerts: by what each one that fires has told of itself, save the `unmatched` expressions.
    pub fn verification(&self, alerts: &[Alert], unmatched: &BTreeSet<String>) -> Verification {
        let firing = alerts.iter().filter(|alert| alert.status == AlertStatus::Firing);
        let told = firing.filter_map(|alert| alert.expression.clone());
        let expressions = told.filter(|expression| !unmatched.contains(expression)).collect();
        Verification { expressions, settle_s: self.verify.settle_s, deadline_s: self.verify.deadline_s }
    }
}

/// Checks a set of runbooks together.
///
/// # Errors
/// The first that breaks a rule.
pub fn check_all(runbooks: &[Runbook]) -> Result<(), RunbookError> {
    let mut names = BTreeSet::new();
    for runbook in runbooks {
        runbook.check()?;
        if !names.insert(&runbook.name) {
            return Err(RunbookError::Twice(runbook.name.clone()));
        }
    }
    Ok(())
}
