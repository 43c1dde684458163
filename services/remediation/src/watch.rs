//! What the alerts' own expressions say.

use std::collections::BTreeSet;

use cluster::prometheus::{Fault, Prometheus};
use incident::agents::remediation::AlertsNow;
use incident::alert::{Alert, AlertStatus};
use incident::plan::Plan;
use runtime::chain;

/// Whether any of the plan's expressions still holds for one of these alerts.
pub(crate) async fn alerts_now(prometheus: Option<&Prometheus>, plan: &Plan, alerts: &[Alert]) -> AlertsNow {
    let expressions = &plan.verification.expressions;
    if expressions.is_empty() {
        return AlertsNow::NotWatched;
    }
    let Some(prometheus) = prometheus else {
        return AlertsNow::Unknown { why: "no Prometheus is configured".to_owned() };
    };
    match any_holds(prometheus, expressions, alerts).await {
        Ok(true) => AlertsNow::Firing,
        Ok(false) => AlertsNow::Quiet,
        Err(fault) => AlertsNow::Unknown { why: chain(&fault) },
    }
}

async fn any_holds(prometheus: &Prometheus, expressions: &BTreeSet<String>, alerts: &[Alert]) -> Result<bool, Fault> {
    for (alert, expression) in watched(alerts).filter(|(_, expression)| expressions.contains(*expression)) {
        if prometheus.holds(expression, &alert.labels).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Expressions that cannot show recovery: those whose silence cannot be told from missing data, and those that give no result for their
/// alerts, neither now nor when these began to fire (labels of the rule, or relabelling, contradict those of the series; then "it holds
/// no more" would be true from the start). A Prometheus that does not answer now may answer when recovery is looked for, so that is no
/// reason to leave an expression out.
pub(crate) async fn unmatched(prometheus: &Prometheus, alerts: &[Alert]) -> BTreeSet<String> {
    let (mut all, mut matched) = (BTreeSet::new(), BTreeSet::new());
    for (alert, expression) in watched(alerts) {
        all.insert(expression.to_owned());
        if Prometheus::tells_silence(expression, &alert.labels) && may_match(prometheus, alert, expression).await {
            matched.insert(expression.to_owned());
        }
    }
    all.difference(&matched).cloned().collect()
}

async fn may_match(prometheus: &Prometheus, alert: &Alert, expression: &str) -> bool {
    let held = prometheus.held_at(expression, &alert.labels, alert.starts_at).await;
    !matches!(held, Ok(false)) || !matches!(prometheus.holds(expression, &alert.labels).await, Ok(false))
}

/// Alerts that fire, each with the expression that it told of itself.
fn watched(alerts: &[Alert]) -> impl Iterator<Item = (&Alert, &str)> {
    let firing = alerts.iter().filter(|alert| alert.status == AlertStatus::Firing);
    firing.filter_map(|alert| Some((alert, alert.expression.as_deref()?)))
}
