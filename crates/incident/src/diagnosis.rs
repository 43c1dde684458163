//! From evidence to a verdict, by rules that a person can read: each rule has a fixed weight, says why, and cites what it saw.
//!
//! The order of evidence never matters, no rule guesses what was not seen, and "inconclusive" is a normal result: below
//! [`CONFIDENCE_MIN_PERCENT`], without a change, or where the change came after the trouble or long before it, nothing is claimed.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::evidence::{
    Evidence, ExpressionChange, Finding, Hypothesis, HypothesisKind, PodsState, RevisionChange, Verdict, span,
};
use crate::workload::Workload;

/// Below this, a claim would send people after the wrong thing more often than not. It is reached by a fresh change of an image alone,
/// so that a cluster without metrics still gets a proposal, and by an hour-old change only together with what followed it.
pub const CONFIDENCE_MIN_PERCENT: u8 = 50;
/// Observations at one moment never make certain what caused what.
pub const CONFIDENCE_MAX_PERCENT: u8 = 95;
/// Clocks of the API server and Prometheus differ, creation times are cut to seconds, and a series is known once a scrape only: trouble
/// that seems to begin this little before the change may well follow it.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(30);

/// Why pods wait or end that a template can cause.
const FAILING_REASONS: [&str; 11] = [
    "ContainerCannotRun",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImagePull",
    "Error",
    "ImagePullBackOff",
    "InvalidImageName",
    "OOMKilled",
    "RunContainerError",
    "StartError",
];

/// What speaks for or against a bad deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The trouble began within 5 minutes after the change.
    WithinFiveMinutes,
    /// Within a quarter of an hour.
    WithinQuarterHour,
    /// Within an hour.
    WithinHour,
    /// Within six hours.
    WithinSixHours,
    /// Within a day.
    WithinDay,
    /// By the clocks, the change came a little after the trouble began.
    AfterByTheClocks,
    /// The alert's expression left its usual range after the change.
    ExpressionWorsened,
    /// The alert's expression is where it always was.
    ExpressionUnchanged,
    /// An image changed.
    ImageChanged,
    /// Something else in the template changed.
    TemplateChanged,
    /// Pods of the new revision fail.
    NewPodsFail,
    /// Pods of the new revision are not ready, for no reason that is told.
    NewPodsNotReady,
    /// While pods of the new revision fail, those of the revision before are well.
    OldPodsFine,
    /// Pods of the revision before fail for the same reason.
    OldPodsFailToo,
    /// Kubernetes warns about the workload.
    WarningHolds,
    /// The change put an earlier template back.
    RestoredEarlier,
}

impl Rule {
    /// Percent that the rule adds, or takes away.
    #[expect(clippy::match_same_arms, reason = "one line a rule, each with its own reason")]
    pub const fn weight(self) -> i16 {
        match self {
            // Most outages follow a change of a live system (about 70 %, Google's SRE book, chapter 1), and most of those at once.
            Self::WithinFiveMinutes => 40,
            // Slow leaks, caches that run out, rollouts that take their time.
            Self::WithinQuarterHour => 30,
            // In an hour, other things happen as well.
            Self::WithinHour => 20,
            // The next peak of traffic meets the new code.
            Self::WithinSixHours => 10,
            // Nightly jobs meet the new code.
            Self::WithinDay => 5,
            // The clocks would have to be wrong. It outweighs that pods of a fix which is still rolled out are not ready yet, and
            // leaves a lone change suspected where what people feel got worse with it.
            Self::AfterByTheClocks => -15,
            // What people feel got worse after the change: the strongest single sign besides the change itself.
            Self::ExpressionWorsened => 25,
            // The alert fires on what was so before the change as well.
            Self::ExpressionUnchanged => -15,
            // New code breaks more often than new settings do.
            Self::ImageChanged => 10,
            // Limits, variables and probes break as well, less often.
            Self::TemplateChanged => 5,
            // As strong as the expression, because it is about the new revision and nothing else.
            Self::NewPodsFail => 25,
            // May just be starting.
            Self::NewPodsNotReady => 10,
            // The same cluster, the same moment, the other template: a controlled comparison.
            Self::OldPodsFine => 10,
            // The same comparison with the other result: a node, a registry or a dependency is likelier.
            Self::OldPodsFailToo => -30,
            // Says the same as the pods in other words, so it adds little.
            Self::WarningHolds => 5,
            // Someone went back on purpose, most often because of this very trouble; going "back" again would bring the bad one.
            Self::RestoredEarlier => -40,
        }
    }
}

/// How long after the change trouble may begin, for each rule about time. Past the last one the change is not suspected.
const AGES: [(TimeDelta, Rule); 5] = [
    (TimeDelta::minutes(5), Rule::WithinFiveMinutes),
    (TimeDelta::minutes(15), Rule::WithinQuarterHour),
    (TimeDelta::hours(1), Rule::WithinHour),
    (TimeDelta::hours(6), Rule::WithinSixHours),
    (TimeDelta::hours(24), Rule::WithinDay),
];

/// One rule that applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contribution {
    /// Which.
    pub rule: Rule,
    /// Evidence that it saw, at least one.
    pub cites: Vec<String>,
    /// What it saw, for people.
    pub text: String,
}

/// A change that may have brought the trouble, and what speaks for and against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion<'a> {
    /// Evidence of the change.
    pub cite: &'a str,
    /// The change.
    pub change: &'a RevisionChange,
    /// The revision before it.
    pub previous_revision: u64,
    /// Whether it came before the trouble by the clocks as they are; else only their skew leaves it possible.
    pub came_first: bool,
    /// All rules that applied.
    pub contributions: Vec<Contribution>,
}

/// When one alert's trouble began.
struct Onset<'a> {
    at: DateTime<Utc>,
    alert: &'a Alert,
    expression: Option<(&'a str, &'a ExpressionChange)>,
}

/// Says what the evidence comes to.
pub fn conclude(evidence: &[Evidence], alerts: &[Alert]) -> Verdict {
    let evidence = sorted(evidence);
    let onsets = onsets(&evidence, alerts);
    let mut ruled_out = Vec::new();
    let mut suspicions: Vec<Suspicion<'_>> = Vec::new();
    for (id, change) in changes(&evidence) {
        match suspect(id, change, &onsets, &evidence) {
            Ok(suspicion) => suspicions.push(suspicion),
            Err(reason) => ruled_out.push(reason),
        }
    }
    suspicions.sort_by(|a, b| b.rank().cmp(&a.rank()));
    match suspicions.into_iter().next() {
        Some(first) if first.confidence_percent() >= CONFIDENCE_MIN_PERCENT => {
            let of_workload = changes(&evidence).into_iter().filter(|(_, change)| change.workload == first.change.workload);
            let running = of_workload.map(|(_, change)| change.to_revision).max().unwrap_or(first.change.to_revision);
            Verdict::Hypothesis(first.into_hypothesis(running))
        }
        Some(first) => {
            ruled_out.insert(0, first.doubt());
            inconclusive(ruled_out, &evidence)
        }
        None => inconclusive(ruled_out, &evidence),
    }
}

impl Suspicion<'_> {
    /// The likelier cause ranks higher.
    fn rank(&self) -> (i16, bool, u64, &Workload) {
        (self.points(), self.came_first, self.change.to_revision, &self.change.workload)
    }

    fn points(&self) -> i16 {
        self.contributions.iter().map(|c| c.rule.weight()).sum()
    }

    /// 0 to [`CONFIDENCE_MAX_PERCENT`].
    pub fn confidence_percent(&self) -> u8 {
        u8::try_from(self.points().clamp(0, i16::from(CONFIDENCE_MAX_PERCENT))).unwrap_or(0)
    }

    fn into_hypothesis(self, running_revision: u64) -> Hypothesis {
        let confidence_percent = self.confidence_percent();
        let carrying = || self.contributions.iter().filter(|c| c.rule.weight() > 0);
        let mut cites = vec![self.cite.to_owned()];
        for id in carrying().flat_map(|c| &c.cites) {
            if !cites.contains(id) {
                cites.push(id.clone());
            }
        }
        let texts: Vec<&str> = carrying().map(|c| c.text.as_str()).collect();
        let revision = self.change.to_revision;
        let since = match running_revision {
            running if running == revision => String::new(),
            running => format!(" Revision {running} came after the trouble began and has not ended it."),
        };
        Hypothesis {
            kind: HypothesisKind::BadDeploy,
            subject: self.change.workload.clone(),
            revision,
            running_revision,
            previous_revision: self.previous_revision,
            confidence_percent,
            cites,
            summary: format!("Revision {revision} of {} {}.{since}", self.change.workload, texts.join("; ")),
        }
    }

    fn doubt(&self) -> String {
        let texts: Vec<String> = self.contributions.iter().map(|c| format!("{} ({:+})", c.text, c.rule.weight())).collect();
        let (revision, sure) = (self.change.to_revision, self.confidence_percent());
        format!("revision {revision} may be the cause with {sure} %, {CONFIDENCE_MIN_PERCENT} % are needed: {}", texts.join("; "))
    }
}

/// Evidence in the order of its ids, so that the order in which it came means nothing.
fn sorted(evidence: &[Evidence]) -> Vec<&Evidence> {
    let mut sorted: Vec<&Evidence> = evidence.iter().collect();
    sorted.sort_by_key(|e| (e.id.len(), &e.id));
    sorted
}

fn changes<'a>(evidence: &[&'a Evidence]) -> Vec<(&'a str, &'a RevisionChange)> {
    let change = |e: &&'a Evidence| match &e.finding {
        Finding::Revision(change) => Some((e.id.as_str(), change)),
        Finding::Pods(_) | Finding::Event(_) | Finding::Expression(_) | Finding::Gap { .. } => None,
    };
    evidence.iter().filter_map(change).collect()
}

fn onsets<'a>(evidence: &[&'a Evidence], alerts: &'a [Alert]) -> Vec<Onset<'a>> {
    let mut alerts: Vec<&Alert> = alerts.iter().collect();
    alerts.sort_by_key(|alert| (alert.starts_at, &alert.fingerprint));
    let expression_of = |alert: &Alert| {
        evidence.iter().find_map(|e| match &e.finding {
            Finding::Expression(change) if alert.expression.as_ref() == Some(&e.query) => Some((e.id.as_str(), change)),
            Finding::Expression(_) | Finding::Revision(_) | Finding::Pods(_) | Finding::Event(_) | Finding::Gap { .. } => None,
        })
    };
    let onset = |alert: &'a Alert| {
        let expression = expression_of(alert);
        // An alert fires later than its trouble begins (`for:`, evaluation); the expression knows better, where it was seen. Where it
        // seems to begin after the alert, it only got worse then.
        let seen = expression.and_then(|(_, change)| change.changed_at);
        let at = seen.map_or(alert.starts_at, |seen| seen.min(alert.starts_at));
        Onset { at, alert, expression }
    };
    alerts.into_iter().map(onset).collect()
}

/// Weighs one change, or says why it cannot be the cause.
fn suspect<'a>(
    id: &'a str,
    change: &'a RevisionChange,
    onsets: &[Onset<'a>],
    evidence: &[&'a Evidence],
) -> Result<Suspicion<'a>, String> {
    let revision = change.to_revision;
    let Some(previous_revision) = change.from_revision else {
        return Err(format!("revision {revision} is the only one: there is nothing to go back to"));
    };
    if change.changes.is_empty() {
        return Err(format!("revisions {previous_revision} and {revision} have the same template"));
    }
    let followed = onsets.iter().filter(|onset| onset.at >= change.changed_at - CLOCK_SKEW);
    let Some(onset) = followed.min_by_key(|onset| (onset.at, &onset.alert.fingerprint)) else {
        let first = onsets.iter().map(|onset| onset.at).max();
        let late =
            first.map_or_else(|| "no alert says when".to_owned(), |at| format!("{} earlier", span(change.changed_at - at)));
        return Err(format!("revision {revision} came after the trouble began ({late})"));
    };
    let mut contributions = vec![what_changed(id, change)];
    let came_first = change.changed_at <= onset.at;
    contributions.push(when(id, change, onset)?);
    if !came_first {
        let after = span(change.changed_at - onset.at);
        let text = format!("by the clocks, came {after} after the trouble behind {} began", onset.alert.name());
        contributions.push(Contribution { rule: Rule::AfterByTheClocks, cites: vec![id.to_owned()], text });
    }
    contributions.extend(expression(onset));
    contributions.extend(pods(revision, previous_revision, evidence));
    contributions.extend(warnings(evidence));
    if let Some(earlier) = change.restores {
        let text = format!("puts the template of revision {earlier} back");
        contributions.push(Contribution { rule: Rule::RestoredEarlier, cites: vec![id.to_owned()], text });
    }
    Ok(Suspicion { cite: id, change, previous_revision, came_first, contributions })
}

fn what_changed(id: &str, change: &RevisionChange) -> Contribution {
    let image = change.changes.iter().find(|c| c.path.ends_with("].image"));
    let rule = if image.is_some() { Rule::ImageChanged } else { Rule::TemplateChanged };
    let first = image.or_else(|| change.changes.first()).map_or_else(String::new, crate::evidence::FieldChange::line);
    let more = match change.changes.len() {
        0 | 1 => String::new(),
        all => format!(" and {} more", all - 1),
    };
    Contribution { rule, cites: vec![id.to_owned()], text: format!("changed {first}{more}") }
}

/// How soon the trouble followed. What ran well for longer than the last of [`AGES`] is not suspected, whatever else is seen: an old
/// revision whose pods fail tonight met something new tonight.
fn when(id: &str, change: &RevisionChange, onset: &Onset<'_>) -> Result<Contribution, String> {
    let gap = (onset.at - change.changed_at).max(TimeDelta::zero());
    let Some((_, rule)) = AGES.into_iter().find(|(age, _)| gap <= *age) else {
        return Err(format!("revision {} came {} before the trouble began", change.to_revision, span(gap)));
    };
    let mut cites = vec![id.to_owned()];
    cites.extend(onset.expression.filter(|(_, e)| e.changed_at.is_some()).map(|(id, _)| id.to_owned()));
    let before = if gap.is_zero() { "at about the time at which".to_owned() } else { format!("{} before", span(gap)) };
    let text = format!("came {before} the trouble behind {} began", onset.alert.name());
    Ok(Contribution { rule, cites, text })
}

fn expression(onset: &Onset<'_>) -> Option<Contribution> {
    let (id, change) = onset.expression?;
    let number = |value: Option<f64>| value.map_or_else(|| "no data".to_owned(), |v| format!("{v:.4}"));
    let from_to = format!("from {} to {}", number(change.before), number(change.now));
    let (rule, text) = match (change.changed_at, change.before, change.now) {
        (Some(_), _, _) => (Rule::ExpressionWorsened, format!("the alert's expression went {from_to}")),
        (None, Some(_), Some(_)) => (Rule::ExpressionUnchanged, format!("the alert's expression kept its range ({from_to})")),
        (None, _, _) => return None,
    };
    Some(Contribution { rule, cites: vec![id.to_owned()], text })
}

fn pods(new: u64, old: u64, evidence: &[&Evidence]) -> Vec<Contribution> {
    let of = |revision: u64| {
        evidence.iter().find_map(|e| match &e.finding {
            Finding::Pods(state) if state.revision == revision => Some((e.id.clone(), state)),
            Finding::Pods(_) | Finding::Revision(_) | Finding::Event(_) | Finding::Expression(_) | Finding::Gap { .. } => None,
        })
    };
    let Some((new_id, new)) = of(new) else { return Vec::new() };
    if new.ready >= new.pods {
        return Vec::new();
    }
    let unready = format!("{} of {} of its pods are not ready", new.pods - new.ready, new.pods);
    let failing = failing(new);
    if failing.is_empty() && new.restarts == 0 {
        return vec![Contribution { rule: Rule::NewPodsNotReady, cites: vec![new_id], text: unready }];
    }
    let text = if failing.is_empty() {
        format!("{unready}, {} restarts", new.restarts)
    } else {
        format!("{unready} ({})", failing.join(", "))
    };
    let mut found = vec![Contribution { rule: Rule::NewPodsFail, cites: vec![new_id.clone()], text }];
    let Some((old_id, old)) = of(old).filter(|(_, state)| state.pods > 0) else { return found };
    let cites = vec![new_id, old_id];
    let shared: Vec<&str> = self::failing(old).into_iter().filter(|reason| failing.contains(reason)).collect();
    if old.ready < old.pods && !shared.is_empty() {
        let text = format!("pods of revision {} fail as well ({})", old.revision, shared.join(", "));
        found.push(Contribution { rule: Rule::OldPodsFailToo, cites, text });
    } else if old.ready == old.pods {
        let text = format!("all {} pods of revision {} are ready", old.pods, old.revision);
        found.push(Contribution { rule: Rule::OldPodsFine, cites, text });
    }
    found
}

fn failing(state: &PodsState) -> Vec<&str> {
    state.reasons.iter().map(String::as_str).filter(|reason| FAILING_REASONS.contains(reason)).collect()
}

fn warnings(evidence: &[&Evidence]) -> Option<Contribution> {
    let mut cites = Vec::new();
    let mut reasons = Vec::new();
    for e in evidence {
        if let Finding::Event(event) = &e.finding {
            cites.push(e.id.clone());
            reasons.push(event.reason.as_str());
        }
    }
    reasons.sort_unstable();
    reasons.dedup();
    let text = format!("Kubernetes warns: {}", reasons.join(", "));
    (!cites.is_empty()).then_some(Contribution { rule: Rule::WarningHolds, cites, text })
}

fn inconclusive(mut reasons: Vec<String>, evidence: &[&Evidence]) -> Verdict {
    if changes(evidence).is_empty() {
        reasons.push("no change of the workload was seen".to_owned());
    }
    for e in evidence {
        match &e.finding {
            Finding::Gap { reason } => reasons.push(format!("not seen: {reason}")),
            Finding::Pods(_) | Finding::Event(_) | Finding::Expression(_) => {
                reasons.push(format!("looked at: {}", e.finding.line()));
            }
            Finding::Revision(_) => {}
        }
    }
    Verdict::Inconclusive { reason: reasons.join("; ") }
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;
