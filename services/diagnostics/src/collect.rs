//! Collecting evidence: asks every source at once, each under its own deadline. A source that fails is a gap in the evidence, never a
//! failure of the diagnosis (P9).

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cluster::Observation;
use cluster::kubernetes::Kubernetes;
use cluster::prometheus::Prometheus;
use futures::future::join_all;
use incident::alert::Alert;
use incident::evidence::{Evidence, Finding, Source};
use incident::workload::Workload;
use runtime::chain;

/// For all that one source is asked: a person waits for the card, and a verdict from the other source is worth more than a late one.
const DEADLINE: Duration = Duration::from_secs(15);
/// How long before the first alert things may have happened that matter: warnings are kept for an hour by the API server.
const BEFORE: TimeDelta = TimeDelta::hours(1);
/// Different expressions that are asked for; alerts of one incident share a few rules.
const EXPRESSIONS_MAX: usize = 5;

/// Where evidence comes from. None: not configured, which is said in the evidence.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The cluster's API.
    pub kubernetes: Option<Kubernetes>,
    /// The Prometheus behind the alerts.
    pub prometheus: Option<Prometheus>,
}

/// What one source saw, and the range that was looked at.
struct Seen {
    source: Source,
    from: DateTime<Utc>,
    observations: Vec<Observation>,
}

/// Looks at everything that the alerts point at. Evidence is numbered `e1`, `e2`, … in an order that does not depend on who was faster.
pub async fn collect(sources: &Sources, workload: Option<&Workload>, alerts: &[Alert], now: DateTime<Utc>) -> Vec<Evidence> {
    let began = alerts.iter().map(|alert| alert.starts_at).min().unwrap_or(now);
    let from = began.min(now) - BEFORE;
    let cluster = observe_cluster(sources.kubernetes.as_ref(), workload, from, now);
    let metrics = observe_metrics(sources.prometheus.as_ref(), alerts, now);
    let (cluster, metrics) = tokio::join!(cluster, metrics);
    let seen = [
        Seen { source: Source::Kubernetes, from, observations: cluster },
        Seen { source: Source::Prometheus, from, observations: metrics },
    ];
    let unnumbered = seen.into_iter().flat_map(|seen| {
        let Seen { source, from, observations } = seen;
        observations.into_iter().map(move |Observation { query, finding }| (source, from, query, finding))
    });
    let number = |(n, (source, from, query, finding)): (usize, _)| Evidence {
        id: format!("e{}", n + 1),
        source,
        query,
        from,
        to: now,
        finding,
    };
    unnumbered.enumerate().map(number).collect()
}

async fn observe_cluster(
    kubernetes: Option<&Kubernetes>,
    workload: Option<&Workload>,
    from: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Vec<Observation> {
    let Some(workload) = workload else {
        return vec![gap("-", "the alerts name no workload (labels namespace, and deployment or service)".to_owned())];
    };
    let query = workload.to_string();
    let Some(kubernetes) = kubernetes else {
        return vec![gap(&query, "no Kubernetes cluster is configured".to_owned())];
    };
    match tokio::time::timeout(DEADLINE, kubernetes.observe(workload, from, now)).await {
        Ok(Ok(observations)) => observations,
        Ok(Err(fault)) => vec![gap(&query, chain(&fault))],
        Err(_) => vec![gap(&query, late("kubernetes"))],
    }
}

async fn observe_metrics(prometheus: Option<&Prometheus>, alerts: &[Alert], now: DateTime<Utc>) -> Vec<Observation> {
    let mut observations: Vec<Observation> = Vec::new();
    let mut asked: BTreeMap<&str, &Alert> = BTreeMap::new();
    for alert in alerts {
        let Some(expression) = alert.expression.as_deref() else {
            observations.push(gap(alert.name(), format!("the alert {} came without its expression", alert.name())));
            continue;
        };
        // Of several alerts of one rule, the first to fire tells most about the beginning.
        let first = asked.entry(expression).or_insert(alert);
        if (alert.starts_at, &alert.fingerprint) < (first.starts_at, &first.fingerprint) {
            *first = alert;
        }
    }
    observations.sort_by(|a, b| a.query.cmp(&b.query));
    observations.dedup();
    if asked.len() > EXPRESSIONS_MAX {
        let left = asked.len() - EXPRESSIONS_MAX;
        observations.push(gap("-", format!("{left} more expressions were not asked for")));
    }
    let asked = asked.into_iter().take(EXPRESSIONS_MAX);
    observations.extend(join_all(asked.map(|(expression, alert)| observe_expression(prometheus, expression, alert, now))).await);
    observations
}

async fn observe_expression(prometheus: Option<&Prometheus>, expression: &str, alert: &Alert, now: DateTime<Utc>) -> Observation {
    let Some(prometheus) = prometheus else {
        return gap(expression, "no Prometheus is configured".to_owned());
    };
    let change = prometheus.expression_change(expression, &alert.labels, alert.starts_at, now);
    match tokio::time::timeout(DEADLINE, change).await {
        Ok(Ok(change)) => Observation { query: expression.to_owned(), finding: Finding::Expression(change) },
        Ok(Err(fault)) => gap(expression, chain(&fault)),
        Err(_) => gap(expression, late("prometheus")),
    }
}

fn gap(query: &str, reason: String) -> Observation {
    Observation { query: query.to_owned(), finding: Finding::Gap { reason } }
}

fn late(who: &str) -> String {
    format!("{who} did not answer within {} s", DEADLINE.as_secs())
}
