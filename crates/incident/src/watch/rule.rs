//! Watch rules, as their YAML files say them: which metric, which way, how touchy, and what the alert is called.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Labels;

/// Rules of one tenant: each asks Prometheus once an interval, a few at a time.
pub const RULES_MAX: usize = 100;
/// Longer expressions are programs; a recording rule is the place for them.
const EXPR_BYTES_MAX: usize = 4_096;
/// Names travel as label values into subjects of people's tools.
const NAME_BYTES_MAX: usize = 63;
/// Labels that a rule adds: some for routing, no more.
const LABELS_MAX: usize = 16;
/// As long as Prometheus' hosted offerings allow for a summary's worth of text.
const TEXT_BYTES_MAX: usize = 1_024;
/// Two hours: as long as what they are compared with.
const MIN_DURATION_S_MAX: u32 = 7_200;

/// A file of rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchFile {
    /// At least one.
    pub rules: Vec<Rule>,
}

/// What is watched, and when it is unusual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique among a tenant's rules: the alert's `alertname`, such as `CheckoutErrorsUnusual`.
    pub name: String,
    /// What to measure, in PromQL: a number for each series, without a comparison. Every series that it gives is watched by itself.
    pub expr: String,
    /// One line for people, shown with the alert.
    #[serde(default)]
    pub summary: Option<String>,
    /// Labels of the alert, over those of the series: `severity` (critical, warning or info), and what correlates it where the series do
    /// not say that, such as `namespace` and `service`.
    #[serde(default)]
    pub labels: Labels,
    /// Which way is bad.
    #[serde(default)]
    pub direction: Direction,
    /// How far off is too far.
    #[serde(default)]
    pub sensitivity: Sensitivity,
    /// Over how many seconds the median is taken: a change that lasts for less than half of them is none. 1 to 7200.
    #[serde(default = "five_minutes")]
    pub min_duration_s: u32,
    /// The smallest change that matters, in the unit of the metric: for metrics that hardly move.
    #[serde(default)]
    pub min_change: Option<f64>,
    /// Whether the metric has a pattern of days and weeks. It is compared with the same hour of earlier weeks then.
    #[serde(default = "yes")]
    pub seasonal: bool,
}

fn five_minutes() -> u32 {
    300
}

fn yes() -> bool {
    true
}

/// Which way is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More than usual, such as errors.
    Up,
    /// Less than usual, such as orders.
    Down,
    /// Either.
    #[default]
    Both,
}

/// How far off is too far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// 9 deviations: only what nobody can miss.
    Low,
    /// 6 deviations.
    #[default]
    Medium,
    /// 4.5 deviations: about twice as touchy as low, for metrics that are quiet.
    High,
}

impl Sensitivity {
    /// In standard deviations, as medians tell them. Medians of five minutes of normal noise do not come near 4 in a century; what the
    /// rest is for is noise that is not normal, weeks that differ, and a spread that is itself only estimated, within a quarter or so.
    pub const fn deviations(self) -> f64 {
        match self {
            Self::Low => 9.0,
            Self::Medium => 6.0,
            Self::High => 4.5,
        }
    }
}

/// A field of a rule that breaks one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {field} {must}")]
pub struct RuleError {
    /// Which: its name, or its place in the file if it has none.
    pub rule: String,
    /// Which field.
    pub field: String,
    /// What it must be.
    pub must: &'static str,
}

impl Rule {
    /// All that the file's types cannot say, and that is not so.
    fn broken(&self) -> Vec<(String, &'static str)> {
        let starts_well = self.name.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_plain = self.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let fits = |text: &str, bytes_max: usize| !text.trim().is_empty() && text.len() <= bytes_max;
        let has_severity =
            self.labels.get("severity").is_none_or(|severity| matches!(severity.as_str(), "critical" | "warning" | "info"));
        let rules = [
            (
                starts_well && is_plain && self.name.len() <= NAME_BYTES_MAX,
                "name",
                "must be a letter and then up to 62 letters, digits, '_' or '-', such as CheckoutErrorsUnusual",
            ),
            (fits(&self.expr, EXPR_BYTES_MAX), "expr", "must be PromQL of 1 to 4096 bytes"),
            (
                self.summary.as_ref().is_none_or(|text| fits(text, TEXT_BYTES_MAX)),
                "summary",
                "must be 1 to 1024 bytes, or be left out",
            ),
            (self.labels.len() <= LABELS_MAX, "labels", "must be at most 16"),
            (has_severity, "labels.severity", "must be critical, warning or info"),
            (!self.labels.contains_key("alertname"), "labels.alertname", "must be left out: it is the rule's name"),
            ((1..=MIN_DURATION_S_MAX).contains(&self.min_duration_s), "min_duration_s", "must be 1 to 7200"),
            (
                self.min_change.is_none_or(|change| change.is_finite() && change > 0.0),
                "min_change",
                "must be a number above zero, or be left out",
            ),
        ];
        let mut broken: Vec<(String, &'static str)> =
            rules.into_iter().filter(|(holds, ..)| !holds).map(|(_, field, must)| (field.to_owned(), must)).collect();
        for (name, value) in &self.labels {
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_name {
                broken.push((format!("labels.{name}"), "must be named by letters, digits and '_', as Prometheus' labels are"));
            }
            if !fits(value, TEXT_BYTES_MAX) {
                broken.push((format!("labels.{name}"), "must be 1 to 1024 bytes"));
            }
        }
        broken
    }
}

/// Checks a set of rules together: everything that is wrong, in their order.
///
/// # Errors
/// If anything is.
pub fn check_all(rules: &[Rule]) -> Result<(), Vec<RuleError>> {
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    if rules.is_empty() || rules.len() > RULES_MAX {
        errors.push(RuleError { rule: "(all)".to_owned(), field: "rules".to_owned(), must: "must be 1 to 100" });
    }
    for (n, rule) in rules.iter().enumerate() {
        let name = if rule.name.is_empty() { format!("number {}", n + 1) } else { rule.name.clone() };
        let error = |(field, must): (String, &'static str)| RuleError { rule: name.clone(), field, must };
        errors.extend(rule.broken().into_iter().map(error));
        if !names.insert(&rule.name) {
            errors.push(error(("name".to_owned(), "must be that of no other rule")));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rule() -> Rule {
        Rule {
            name: "OrdersUnusual".to_owned(),
            expr: "sum by (namespace, service) (rate(orders_total[5m]))".to_owned(),
            summary: None,
            labels: [("severity".to_owned(), "critical".to_owned())].into(),
            direction: Direction::Both,
            sensitivity: Sensitivity::Medium,
            min_duration_s: 300,
            min_change: None,
            seasonal: true,
        }
    }

    fn fields(change: impl FnOnce(&mut Rule)) -> Vec<String> {
        let mut rule = rule();
        change(&mut rule);
        check_all(&[rule]).err().unwrap_or_default().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn each_broken_rule_is_told_by_its_field() {
        assert_eq!(fields(|_| {}), [""; 0]);
        assert_eq!(fields(|r| r.name = "9 lives".to_owned()), ["name"]);
        assert_eq!(fields(|r| r.name = "x".repeat(64)), ["name"]);
        assert_eq!(fields(|r| r.expr = " ".to_owned()), ["expr"]);
        assert_eq!(fields(|r| r.summary = Some(String::new())), ["summary"]);
        assert_eq!(fields(|r| r.min_duration_s = 0), ["min_duration_s"]);
        assert_eq!(fields(|r| r.min_duration_s = 7_201), ["min_duration_s"]);
        assert_eq!(fields(|r| r.min_change = Some(0.0)), ["min_change"]);
        assert_eq!(fields(|r| r.min_change = Some(f64::NAN)), ["min_change"]);
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(fields(|r| r.labels.extend([label("severity", "bad")])), ["labels.severity"]);
        assert_eq!(fields(|r| r.labels.extend([label("alertname", "X")])), ["labels.alertname"]);
        assert_eq!(fields(|r| r.labels.extend([label("a-b", "X")])), ["labels.a-b"]);
        assert_eq!(fields(|r| r.labels.extend([label("a", "")])), ["labels.a"]);
        assert_eq!(fields(|r| r.labels.extend((0..20).map(|n| label(&format!("l{n}"), "v")))), ["labels"]);
        // All at once.
        let all = |r: &mut Rule| (r.min_duration_s, r.min_change) = (0, Some(-1.0));
        assert_eq!(fields(all), ["min_duration_s", "min_change"]);
    }

    #[test]
    fn names_are_unique_and_there_is_at_least_one() {
        let twice = check_all(&[rule(), rule()]).unwrap_err();
        assert_eq!(
            twice.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["rule OrdersUnusual: name must be that of no other rule"]
        );
        assert_eq!(check_all(&[]).unwrap_err().len(), 1);
    }

    #[test]
    fn what_is_left_out_has_a_default_and_what_is_unknown_is_refused() {
        let file: WatchFile = serde_yaml_ng::from_str("rules: [{ name: A, expr: up }]").unwrap();
        let rule = file.rules.into_iter().next().unwrap();
        assert_eq!((rule.min_duration_s, rule.seasonal, rule.direction), (300, true, Direction::Both));
        let error = serde_yaml_ng::from_str::<WatchFile>("rules: [{ name: A, expr: up, sensitivity: extreme }]").unwrap_err();
        assert!(error.to_string().contains("rules[0].sensitivity"), "{error}");
        assert!(serde_yaml_ng::from_str::<WatchFile>("rules: [{ name: A, expr: up, treshold: 3 }]").is_err());
    }
}
