//! What is asked of Prometheus, which scrapes a shop whose errors follow the image that runs.

use std::time::Duration;

use anyhow::Result;
use cluster::prometheus::{Fault, Prometheus, PrometheusConfig};
use incident::alert::Labels;
use testkit::eventually;

use crate::stage::{Stage, now};

/// Rates need a few scrapes, and scrapes come once a second.
const SCRAPED_WITHIN: Duration = Duration::from_secs(40);

fn ratio(namespace: &str) -> String {
    let requests =
        |more: &str| format!(r#"sum by (namespace, service) (rate(http_requests_total{{namespace="{namespace}"{more}}}[5s]))"#);
    format!("{} / {} > 0.1", requests(r#",code="500""#), requests(""))
}

fn labels(namespace: &str) -> Labels {
    [("alertname", "HighErrorRatio"), ("namespace", namespace), ("service", "checkout"), ("severity", "critical")]
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn connect(url: &str) -> Result<Prometheus> {
    Ok(Prometheus::connect(&PrometheusConfig { url: url.parse()?, bearer: None })?)
}

#[tokio::test]
async fn an_alert_holds_while_the_shop_fails_and_its_change_is_dated() -> Result<()> {
    let stage = Stage::with(&["shop:v1"]).await?;
    let namespace = &stage.workload.namespace;
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: shop\n  static_configs: [{{targets: ['{}']}}]\n",
        stage.shop.address()
    );
    let server = testkit::prometheus(&config, "").await?;
    let prometheus = connect(&server.url())?;
    let (query, labels) = (ratio(namespace), labels(namespace));
    let traffic = format!(r#"rate(http_requests_total{{namespace="{namespace}",code="200"}}[5s]) > 0"#);
    let scraped = async || (!prometheus.instant(&traffic, None).await.ok()?.is_empty()).then_some(());
    eventually("a scrape", SCRAPED_WITHIN, scraped).await?;
    assert!(!prometheus.holds(&query, &labels).await?);
    // No traffic: 0/0 is NaN, and the counters are there.
    let idle = format!(r#"sum by (service) (http_requests_total{{namespace="{namespace}"}}) * 0"#);
    assert!(!prometheus.holds(&format!("({idle}) / ({idle}) > 0.1"), &labels).await?);

    let deployed_at = now();
    stage.set_image("shop:v2-err50").await?;
    let holds = async || prometheus.holds(&query, &labels).await.ok()?.then_some(());
    eventually("the alert", SCRAPED_WITHIN, holds).await?;
    let fired_at = now();
    stage.rolled_out().await?;
    let mut other = labels.clone();
    other.insert("service".to_owned(), "cart".to_owned());
    let others = prometheus.holds(&query, &other).await;
    assert!(matches!(others, Err(Fault::NoData { .. })), "another service's series are no data: {others:?}");
    // An alert that was matched when it fired; before it did; and one whose labels the series contradict.
    assert!(prometheus.held_at(&query, &labels, fired_at).await?);
    assert!(!prometheus.held_at(&query, &labels, deployed_at).await?);
    assert!(!prometheus.held_at(&query, &other, fired_at).await?);
    assert!(Prometheus::tells_silence(&query, &labels) && !Prometheus::tells_silence("vector(1) > 0", &labels));

    let half = async || {
        let change = prometheus.expression_change(&query, &labels, fired_at, now()).await.ok()?;
        change.now.is_some_and(|now| now > 0.4).then_some(change)
    };
    let change = eventually("a ratio of a half", SCRAPED_WITHIN, half).await?;
    assert!(!change.expression.contains("> 0.1"), "{}", change.expression);
    assert!(change.before.is_some_and(|before| before < 0.1), "{change:?}");
    let changed_at = change.changed_at.unwrap();
    assert!(
        changed_at >= deployed_at - chrono::TimeDelta::seconds(3) && changed_at <= fired_at + chrono::TimeDelta::seconds(3),
        "{change:?}"
    );

    stage.apply(&stage.draft(1).await?).await?;
    let recovered = async || (!prometheus.holds(&query, &labels).await.ok()?).then_some(());
    eventually("the recovery", SCRAPED_WITHIN, recovered).await?;

    // With the shop gone, the expression holds no more, and that is no recovery.
    stage.shop.stop().await;
    let silent = async || matches!(prometheus.holds(&query, &labels).await, Err(Fault::NoData { .. })).then_some(());
    eventually("silence", SCRAPED_WITHIN, silent).await
}

#[tokio::test]
async fn queries_that_fail_say_why() -> Result<()> {
    let mut server = testkit::prometheus("global: {scrape_interval: 1s}\n", "").await?;
    let prometheus = connect(&server.url())?;
    assert!(matches!(prometheus.instant("sum(", None).await, Err(Fault::BadQuery { .. })));
    assert!(matches!(prometheus.instant("up[5m]", None).await, Err(Fault::BadQuery { .. })));
    assert!(matches!(prometheus.holds("nothing > 1", &Labels::new()).await, Err(Fault::NoData { .. })));
    assert!(prometheus.holds("vector(2) > 1", &Labels::new()).await?);
    assert!(matches!(prometheus.holds("vector(1) > 1", &Labels::new()).await, Err(Fault::CannotTell { .. })));
    assert!(prometheus.holds("absent(nothing)", &Labels::new()).await?);
    let nan = prometheus.instant("scalar(nothing)", Some(now())).await?;
    assert!(nan.len() == 1 && nan[0].value.is_nan(), "{nan:?}");
    let change = prometheus.expression_change("vector(0) / 0 > 1", &Labels::new(), now(), now()).await;
    assert!(matches!(change, Err(Fault::NoData { .. })), "{change:?}");

    server.server().kill().await?;
    let fault = prometheus.instant("up", None).await.unwrap_err();
    assert!(matches!(fault, Fault::Unreachable { .. }) && fault.is_retryable(), "{fault:?}");
    Ok(())
}
