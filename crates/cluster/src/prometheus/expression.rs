//! What an alert's expression compares with what, and what it speaks of. Parsed by `promql-parser`; what that cannot parse is taken as a
//! whole, because Prometheus itself has the last word.

use std::collections::BTreeSet;

use incident::alert::Labels;
use promql_parser::label::{MatchOp, Matcher, Matchers};
use promql_parser::parser::token::{T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_NEQ, TokenType};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, BinaryExpr, Expr, FunctionArgs, ParenExpr, UnaryExpr, VectorSelector};

/// The label that is a metric's name.
const METRIC: &str = "__name__";
/// Longer ones are not written by people, and the parser's tree is walked recursively.
const LENGTH_MAX: usize = 8 << 10;
/// Each of these characters may open one more level of the tree; this many levels fit into any stack.
const LEVELS_MAX: usize = 500;
/// More selectors than this in one alert are asked for the first ones.
const SELECTORS_MAX: usize = 20;
/// Labels whose values go when pods are replaced, or when the trouble is over: a series without them is still the alert's own. The list is
/// wide on purpose: with one name too few, a fix that worked could not be proven; with one too many, the other labels still say whose
/// series it is.
const PASSING_LABELS: [&str; 44] = [
    // Of the pod, its image and its place.
    "container_id",
    "host",
    "host_ip",
    "hostname",
    "id",
    "image",
    "image_id",
    "image_spec",
    "instance",
    "kubernetes_node",
    "kubernetes_pod_name",
    "name",
    "node",
    "pod",
    "pod_ip",
    "pod_name",
    "pod_template_hash",
    "replicaset",
    "revision",
    "uid",
    "version",
    // Of what went wrong.
    "code",
    "condition",
    "error",
    "error_type",
    "exception",
    "grpc_code",
    "grpc_status",
    "http_code",
    "http_status",
    "le",
    "outcome",
    "phase",
    "quantile",
    "reason",
    "response_code",
    "response_flags",
    "result",
    "state",
    "status",
    "status_code",
    // Of the rule.
    "alertname",
    "level",
    "severity",
];

/// A comparison with a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Threshold {
    op: Comparison,
    limit: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An alert's expression, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression {
    /// The side of the comparison that is measured, else all of it.
    pub(super) measured: String,
    /// What it is compared with, if that is a number.
    pub(super) threshold: Option<Threshold>,
    selectors: Vec<(String, Vec<Matcher>)>,
}

impl Threshold {
    /// Whether the alert's condition holds for this value.
    pub(super) fn holds(self, value: f64) -> bool {
        match self.op {
            // As PromQL does it: exact.
            Comparison::Equal => value.total_cmp(&self.limit).is_eq(),
            Comparison::NotEqual => value.total_cmp(&self.limit).is_ne(),
            Comparison::Less => value < self.limit,
            Comparison::LessOrEqual => value <= self.limit,
            Comparison::Greater => value > self.limit,
            Comparison::GreaterOrEqual => value >= self.limit,
        }
    }
}

impl Comparison {
    fn of(op: TokenType) -> Option<Self> {
        match op.id() {
            T_EQLC => Some(Self::Equal),
            T_NEQ => Some(Self::NotEqual),
            T_LSS => Some(Self::Less),
            T_LTE => Some(Self::LessOrEqual),
            T_GTR => Some(Self::Greater),
            T_GTE => Some(Self::GreaterOrEqual),
            _ => None,
        }
    }

    /// The same comparison with its sides swapped.
    fn mirrored(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

/// What is wrong with an expression that shall measure something, a number for each series.
pub(super) fn check_measure(query: &str) -> Result<(), String> {
    if !is_parsable(query) {
        return Err(format!("it is longer than {LENGTH_MAX} bytes or deeper than {LEVELS_MAX} levels"));
    }
    let parsed = parser::parse(query)?;
    if comparison(&parsed).is_some() {
        return Err("it compares, so it has a value only while that holds; leave the comparison away".to_owned());
    }
    match parsed.value_type() {
        ValueType::Vector => Ok(()),
        ValueType::Scalar => Err("it is one number without any series; it needs a metric".to_owned()),
        ValueType::Matrix => Err("it is a range, not a number; put it into rate(…) or the like".to_owned()),
        ValueType::String => Err("it is a text, not a number".to_owned()),
    }
}

/// Whether it can be given to the parser, whose tree is walked recursively.
fn is_parsable(query: &str) -> bool {
    let levels = query.chars().filter(|c| matches!(c, '(' | '-' | '+' | '{' | '[')).count();
    query.len() <= LENGTH_MAX && levels <= LEVELS_MAX
}

impl Expression {
    pub(super) fn parse(query: &str) -> Self {
        let whole = || Self { measured: query.to_owned(), threshold: None, selectors: Vec::new() };
        if !is_parsable(query) {
            return whole();
        }
        let Ok(parsed) = parser::parse(query) else { return whole() };
        let mut selectors = Vec::new();
        collect(&parsed, &mut selectors);
        let (measured, threshold) = match comparison(&parsed) {
            Some((side, threshold)) => (side.to_string(), threshold),
            None => (query.to_owned(), None),
        };
        Self { measured, threshold, selectors }
    }

    /// A query for the series that the expression speaks of, counted by those of the alert's labels that they have: one count that
    /// agrees with the alert says that its own series are still there. A selector keeps its metric and its matchers but those on
    /// [`PASSING_LABELS`]: `errors_total{code="500",service="a"}` may be gone because there are no errors any more, while
    /// `errors_total{service="a"}` is gone only with the service. None if it speaks of no metric.
    pub(super) fn presence(&self, labels: &Labels) -> Option<String> {
        let by: Vec<&str> = labels.keys().map(String::as_str).filter(|name| is_plain(name) && !passes(name)).collect();
        let by = by.join(",");
        let part = |(name, matchers): &(String, Vec<Matcher>)| {
            let kept = matchers.iter().filter(|m| m.name != METRIC && !passes(&m.name)).cloned();
            let name = Matcher::new(MatchOp::Equal, METRIC, name);
            format!("count by ({by}) ({{{}}})", Matchers::new(std::iter::once(name).chain(kept).collect()))
        };
        let parts: BTreeSet<String> = self.selectors.iter().take(SELECTORS_MAX).map(part).collect();
        (!parts.is_empty()).then(|| parts.into_iter().collect::<Vec<_>>().join(" or "))
    }
}

fn passes(label: &str) -> bool {
    PASSING_LABELS.contains(&label)
}

/// Names with other characters would need quotes, which servers before 3.0 do not know.
fn is_plain(label: &str) -> bool {
    label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !label.starts_with(|c: char| c.is_ascii_digit())
}

/// The measured side of the comparison at the top. `a > 1 and b > 2` is about `a`; `0.1 < a` is, too.
fn comparison(expr: &Expr) -> Option<(&Expr, Option<Threshold>)> {
    match expr {
        Expr::Paren(ParenExpr { expr }) => comparison(expr),
        Expr::Binary(BinaryExpr { op, lhs, rhs, .. }) => {
            let Some(op) = Comparison::of(*op) else {
                return if op.is_set_operator() { comparison(lhs) } else { None };
            };
            match (number(lhs), number(rhs)) {
                (Some(limit), None) => Some((rhs, Some(Threshold { op: op.mirrored(), limit }))),
                (_, limit) => Some((lhs, limit.map(|limit| Threshold { op, limit }))),
            }
        }
        _ => None,
    }
}

fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Paren(ParenExpr { expr }) => number(expr),
        Expr::Unary(UnaryExpr { expr }) => number(expr).map(|value| -value),
        _ => None,
    }
}

fn collect(expr: &Expr, found: &mut Vec<(String, Vec<Matcher>)>) {
    match expr {
        Expr::VectorSelector(selector) => found.extend(selected(selector)),
        Expr::MatrixSelector(selector) => found.extend(selected(&selector.vs)),
        Expr::Aggregate(aggregate) => {
            collect(&aggregate.expr, found);
            if let Some(param) = &aggregate.param {
                collect(param, found);
            }
        }
        Expr::Unary(unary) => collect(&unary.expr, found),
        Expr::Paren(paren) => collect(&paren.expr, found),
        Expr::Subquery(subquery) => collect(&subquery.expr, found),
        Expr::Binary(binary) => {
            collect(&binary.lhs, found);
            collect(&binary.rhs, found);
        }
        Expr::Call(call) => {
            let FunctionArgs { args } = &call.args;
            for arg in args {
                collect(arg, found);
            }
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// Metric and matchers of a selector; none if it names no metric.
fn selected(selector: &VectorSelector) -> Option<(String, Vec<Matcher>)> {
    let matchers = &selector.matchers.matchers;
    let by_matcher = || matchers.iter().find(|m| m.name == METRIC && matches!(m.op, MatchOp::Equal)).map(|m| m.value.clone());
    let name = selector.name.clone().or_else(by_matcher)?;
    Some((name, matchers.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `limit` is a value for which the condition holds and one for which it does not.
    fn check(query: &str, measured: &str, limit: Option<(f64, f64)>) {
        let found = Expression::parse(query);
        assert_eq!(found.measured, measured, "{query}");
        assert_eq!(found.threshold.is_some(), limit.is_some(), "{query}");
        if let (Some(threshold), Some((bad, good))) = (found.threshold, limit) {
            assert!(threshold.holds(bad) && !threshold.holds(good), "{query}");
            assert!(!threshold.holds(f64::NAN) || matches!(threshold.op, Comparison::NotEqual), "{query}");
        }
    }

    #[test]
    fn the_measured_side_is_found() {
        check("ratio > 0.1", "ratio", Some((0.2, 0.1)));
        check("0.1 < ratio", "ratio", Some((0.2, 0.1)));
        check("(ratio >= -1)", "ratio", Some((-1.0, -2.0)));
        check("up == 0", "up", Some((0.0, 1.0)));
        check("up != 1", "up", Some((0.0, 1.0)));
        check("free < 5 and on(node) total > 10", "free", Some((4.0, 5.0)));
        check("a > b * 2", "a", None);
        check("a > bool 2", "a", Some((3.0, 2.0)));
        check("absent(up)", "absent(up)", None);
        check("a + b", "a + b", None);
        check(r#"up{path="a>b"} == 0"#, r#"up{path="a>b"}"#, Some((0.0, 1.0)));
        check("this is > no promql", "this is > no promql", None);
    }

    #[test]
    fn a_real_ratio_keeps_its_meaning() {
        let side =
            r#"sum by (service) (rate(http_requests_total{code=~"5.."}[1m])) / sum by (service) (rate(http_requests_total[1m]))"#;
        let found = Expression::parse(&format!("{side} > 0.1"));
        // Printed by the parser: the words may move, the meaning may not.
        assert_eq!(parser::parse(&found.measured), parser::parse(side));
    }

    #[test]
    fn presence_asks_for_the_alerts_own_series() {
        let labels = ["alertname", "code", "namespace", "pod", "service", "odd.name"];
        let labels: Labels = labels.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        let check = |query: &str, expected: &[&str]| {
            let parts: Vec<String> = expected.iter().map(|part| format!("count by (namespace,service) ({{{part}}})")).collect();
            assert_eq!(Expression::parse(query).presence(&labels), (!parts.is_empty()).then(|| parts.join(" or ")), "{query}");
        };
        let errors = r#"rate(http_requests_total{code="500",pod=~"a.*",service="checkout",team!="b"}[1m]) > 1"#;
        check(errors, &[r#"__name__="http_requests_total",service="checkout",team!="b""#]);
        check(r#"{__name__="a",job=~"x|y"} > 1"#, &[r#"__name__="a",job=~"x|y""#]);
        check("a / a > b", &[r#"__name__="a""#, r#"__name__="b""#]);
        check("vector(1) > 0", &[]);
        check("this is > no promql", &[]);
    }

    #[test]
    fn what_is_too_deep_is_taken_as_a_whole() {
        let deep = format!("{}a{} > 1", "(".repeat(5_000), ")".repeat(5_000));
        assert_eq!(Expression::parse(&deep).measured, deep);
        let minus = format!("{}1 > 2", "-".repeat(7_000));
        assert_eq!(Expression::parse(&minus).measured, minus);
    }
}
