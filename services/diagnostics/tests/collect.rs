//! Evidence from a real cluster and a real Prometheus, and what follows from it.

use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use cluster::kubernetes::{Kubernetes, KubernetesConfig};
use cluster::prometheus::{Prometheus, PrometheusConfig};
use diagnostics::collect::{Sources, collect};
use incident::alert::{Alert, AlertStatus, Labels};
use incident::diagnosis::conclude;
use incident::evidence::{Evidence, Finding, Verdict};
use incident::workload::Workload;
use local::shop::{self, Shop};
use testkit::{Cluster, eventually};

const WITHIN: Duration = Duration::from_mins(1);

#[expect(clippy::disallowed_methods, reason = "a test is a process edge")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn alert(namespace: &str, expression: &str, starts_at: DateTime<Utc>) -> Alert {
    let labels =
        [("alertname", "HighErrorRatio"), ("namespace", namespace), ("service", shop::DEPLOYMENT), ("severity", "critical")];
    Alert {
        fingerprint: "f".to_owned(),
        status: AlertStatus::Firing,
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        annotations: Labels::new(),
        starts_at,
        ends_at: None,
        expression: Some(expression.to_owned()),
    }
}

fn expression(namespace: &str) -> String {
    let requests =
        |more: &str| format!(r#"sum by (namespace, service) (rate(http_requests_total{{namespace="{namespace}"{more}}}[5s]))"#);
    format!("{} / {} > 0.1", requests(r#",code="500""#), requests(""))
}

async fn connect(cluster: &Cluster) -> Result<Kubernetes> {
    let config = KubernetesConfig { cluster: "default".to_owned(), kubeconfig: Some(cluster.kubeconfig.clone()), context: None };
    Ok(Kubernetes::connect(&config).await?)
}

fn gaps(evidence: &[Evidence]) -> Vec<&str> {
    let gap = |e: &'_ Evidence| matches!(e.finding, Finding::Gap { .. });
    evidence.iter().filter(|e| gap(e)).map(|e| e.id.as_str()).collect()
}

#[tokio::test]
async fn a_bad_deploy_is_found_by_both_sources() -> Result<()> {
    let cluster = testkit::kubernetes().await?;
    let namespace = cluster.namespace("diagnostics").await?;
    let shop = Shop::start(cluster.client.clone(), [namespace.clone()]).await?;
    shop::deploy(&cluster.client, &namespace, "shop:v1").await?;
    let scrape = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: shop\n";
    let config = format!("{scrape}  static_configs: [{{targets: ['{}']}}]\n", shop.address());
    let server = testkit::prometheus(&config, "").await?;
    let prometheus = Prometheus::connect(&PrometheusConfig { url: server.url().parse()?, bearer: None })?;
    let rate = format!(r#"rate(http_requests_total{{namespace="{namespace}",code="200"}}[5s]) > 0"#);
    let scraped = async || (!prometheus.instant(&rate, None).await.ok()?.is_empty()).then_some(());
    eventually("a scrape", WITHIN, scraped).await?;

    shop::set_image(&cluster.client, &namespace, "shop:v2-err50").await?;
    let probe = alert(&namespace, &expression(&namespace), now());
    let query = expression(&namespace);
    let firing = async || prometheus.holds(&query, &probe.labels).await.ok()?.then_some(());
    eventually("the alert", WITHIN, firing).await?;

    let alert = alert(&namespace, &query, now());
    let workload = Workload::from_labels(&alert.labels);
    let sources = Sources { kubernetes: Some(connect(&cluster).await?), prometheus: Some(prometheus) };
    let evidence = collect(&sources, workload.as_ref(), std::slice::from_ref(&alert), now()).await;
    assert_eq!(gaps(&evidence), Vec::<&str>::new(), "{evidence:?}");
    let ids: Vec<String> = (1..=evidence.len()).map(|n| format!("e{n}")).collect();
    assert_eq!(evidence.iter().map(|e| e.id.clone()).collect::<Vec<_>>(), ids);
    let verdict = conclude(&evidence, std::slice::from_ref(&alert));
    let Verdict::Hypothesis(claim) = &verdict else { anyhow::bail!("{verdict:?}") };
    assert_eq!((claim.revision, claim.previous_revision, Some(&claim.subject)), (2, 1, workload.as_ref()));
    assert!(claim.confidence_percent >= 75, "{claim:?}");

    // Without Prometheus the rest goes on, and the gap is said.
    let half = Sources { prometheus: None, ..sources };
    let evidence = collect(&half, workload.as_ref(), &[alert], now()).await;
    assert_eq!(gaps(&evidence).len(), 1, "{evidence:?}");
    assert!(evidence.iter().any(|e| matches!(e.finding, Finding::Revision(_))));
    Ok(())
}

#[tokio::test]
async fn sources_that_fail_are_gaps_and_the_verdict_says_so() -> Result<()> {
    let mut cluster = testkit::private_kubernetes().await?;
    let kubernetes = connect(&cluster).await?;
    if let Some(plane) = cluster.control_plane() {
        plane.stop().await?;
    }
    // Port 9 is "discard": nothing answers there.
    let prometheus = Prometheus::connect(&PrometheusConfig { url: "http://127.0.0.1:9".parse()?, bearer: None })?;
    let alert = alert("shop", "ratio > 0.1", now() - TimeDelta::minutes(1));
    let workload = Workload::from_labels(&alert.labels);
    let sources = Sources { kubernetes: Some(kubernetes), prometheus: Some(prometheus) };
    let evidence = collect(&sources, workload.as_ref(), std::slice::from_ref(&alert), now()).await;
    assert_eq!(gaps(&evidence), ["e1", "e2"], "{evidence:?}");
    let verdict = conclude(&evidence, &[alert]);
    assert!(
        matches!(&verdict, Verdict::Inconclusive { reason } if reason.contains("kubernetes") && reason.contains("prometheus")),
        "{verdict:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_not_configured_or_not_named_is_said() {
    let mut nameless = alert("shop", "ratio > 0.1", now());
    nameless.expression = None;
    let evidence = collect(&Sources::default(), None, &[nameless], now()).await;
    assert_eq!(gaps(&evidence), ["e1", "e2"], "{evidence:?}");
}
