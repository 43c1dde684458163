//! What was seen, where, and what follows from it. Verdict and confidence are computed here, from observations, by rules that a
//! person can read; nothing here is guessed by a model (P8).

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::workload::Workload;

/// Where an observation was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The Kubernetes API.
    Kubernetes,
    /// The Prometheus HTTP API.
    Prometheus,
}

/// One thing that was seen. `id` is unique within its diagnosis ("e1", "e2", …) and is what a claim cites.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What claims cite.
    pub id: String,
    /// Where it was seen.
    pub source: Source,
    /// What was asked: a path of the API or a PromQL expression.
    pub query: String,
    /// Begin of the range that was looked at.
    pub from: DateTime<Utc>,
    /// End of the range.
    pub to: DateTime<Utc>,
    /// What was found.
    pub finding: Finding,
}

/// What an observation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// The workload's template changed from one revision to the next.
    Revision(RevisionChange),
    /// How the pods of one revision are.
    Pods(PodsState),
    /// A Kubernetes event that still holds.
    Event(KubeEvent),
    /// The alert's expression before and after it began to fire.
    Expression(ExpressionChange),
    /// Something that should have been looked at and could not be.
    Gap {
        /// What is missing and why, for people.
        reason: String,
    },
}

impl Finding {
    /// One line for people.
    pub fn line(&self) -> String {
        match self {
            Self::Revision(change) => {
                let changes: Vec<String> = change.changes.iter().map(FieldChange::line).collect();
                // With its day: it is read on other days as well, and a change of last week must not look like tonight's.
                let at = change.changed_at.format("%Y-%m-%d %H:%M:%S UTC");
                format!("revision {} came at {at}{}: {}", change.to_revision, change.after(), changes.join("; "))
            }
            Self::Pods(pods) => {
                let reasons = if pods.reasons.is_empty() { String::new() } else { format!(" ({})", pods.reasons.join(", ")) };
                format!(
                    "revision {}: {} of {} pods ready, {} restarts{reasons}",
                    pods.revision, pods.ready, pods.pods, pods.restarts
                )
            }
            Self::Event(event) => format!("{} {} ×{}: {}", event.object, event.reason, event.count, event.message),
            Self::Expression(change) => {
                let number = |value: Option<f64>| value.map_or_else(|| "no data".to_owned(), |v| format!("{v:.4}"));
                format!("{} went from {} to {}", change.expression, number(change.before), number(change.now))
            }
            Self::Gap { reason } => format!("not seen: {reason}"),
        }
    }
}

impl FieldChange {
    /// One line for people.
    pub fn line(&self) -> String {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        format!("{} {} → {}", self.path, shown(&self.from), shown(&self.to))
    }
}

/// A change of a workload's pod template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionChange {
    /// Whose.
    pub workload: Workload,
    /// Revision before the change, the one to go back to; none for the first one ever.
    pub from_revision: Option<u64>,
    /// For how long that one stood before the next one replaced it; none if that is not known.
    #[serde(default)]
    pub from_ran_s: Option<u64>,
    /// Revisions in between that never proved themselves, newest first.
    #[serde(default)]
    pub passed_over: Vec<u64>,
    /// Revision after it: the one that is being rolled out or runs now.
    pub to_revision: u64,
    /// When the new revision came: its ReplicaSet was created, or an old one was taken up again.
    pub changed_at: DateTime<Utc>,
    /// Set if the new revision is the template of an earlier one put back: the number that it had then.
    #[serde(default)]
    pub restores: Option<u64>,
    /// What differs: images, environment, resources and the rest of the template.
    pub changes: Vec<FieldChange>,
}

impl RevisionChange {
    /// What came before, and how far it can be trusted, so that a person can judge the way back.
    fn after(&self) -> String {
        let Some(from) = self.from_revision else { return String::new() };
        let ran = self.from_ran_s.and_then(|s| i64::try_from(s).ok()).and_then(TimeDelta::try_seconds);
        let ran = ran.map_or_else(String::new, |time| format!(", which stood for {}", span(time)));
        let passed: Vec<String> = self.passed_over.iter().map(ToString::to_string).collect();
        let passed = match passed.as_slice() {
            [] => String::new(),
            passed => format!(" (in between, never proven: {})", passed.join(", ")),
        };
        format!(" after revision {from}{ran}{passed}")
    }
}

/// A length of time as people say it.
pub(crate) fn span(time: TimeDelta) -> String {
    match time.num_seconds() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// One field of the pod template that differs between two revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// Where, such as `containers[web].image`.
    pub path: String,
    /// Value before; none if it was absent.
    pub from: Option<String>,
    /// Value after; none if it was removed.
    pub to: Option<String>,
}

/// Pods of one revision, summed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodsState {
    /// Which revision's pods.
    pub revision: u64,
    /// How many exist.
    pub pods: u32,
    /// How many are ready.
    pub ready: u32,
    /// Restarts of all containers together.
    pub restarts: u32,
    /// Why containers wait or ended, such as `CrashLoopBackOff`, `ImagePullBackOff`, `OOMKilled`, sorted and without repeats.
    pub reasons: Vec<String>,
}

/// A Kubernetes event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KubeEvent {
    /// Object it is about, such as `Pod/checkout-5d…`.
    pub object: String,
    /// Machine-readable reason.
    pub reason: String,
    /// Text from the cluster: untrusted.
    pub message: String,
    /// How often it was seen.
    pub count: u32,
    /// When it was last seen.
    pub last_seen: DateTime<Utc>,
}

/// The alert's own expression over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExpressionChange {
    /// Left side of the comparison where the expression is one, else all of it.
    pub expression: String,
    /// Median before the alert began, if there was data.
    pub before: Option<f64>,
    /// Newest value, if there is data.
    pub now: Option<f64>,
    /// First moment from which the values stay beyond the range seen before, if there is one.
    pub changed_at: Option<DateTime<Utc>>,
}

/// What is thought to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HypothesisKind {
    /// A new revision of the workload brought the trouble.
    BadDeploy,
}

/// A claim with the observations that carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hypothesis {
    /// What is wrong.
    pub kind: HypothesisKind,
    /// With what.
    pub subject: Workload,
    /// Revision that brought it.
    pub revision: u64,
    /// Revision that runs: a later one, where the trouble went on in spite of it.
    pub running_revision: u64,
    /// The revision before it that can be gone back to.
    pub previous_revision: u64,
    /// 0 to 100.
    pub confidence_percent: u8,
    /// Ids of the evidence, at least one.
    pub cites: Vec<String>,
    /// One sentence for people, made from the evidence.
    pub summary: String,
}

/// The end of a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// A claim that carries its evidence.
    Hypothesis(Hypothesis),
    /// Nothing seen explains it; a normal result.
    Inconclusive {
        /// What was looked at and ruled out, for people.
        reason: String,
    },
}

/// Everything a diagnosis hands back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// What it comes to.
    pub verdict: Verdict,
    /// All that was seen, cited or not.
    pub evidence: Vec<Evidence>,
}
