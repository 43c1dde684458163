//! Where alerts come from: shops that run on the control plane, a Prometheus that watches them, Alertmanagers that notify.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use local::shop::{Behaviour, Place, Shop};
use serde_json::json;
use testkit::{Alertmanager, Cluster, Prometheus, Suite};

use super::configuration::{TENANT, WEBHOOK_TOKEN};
use super::{Options, SOON};

/// More than a tenth of the requests fail. Short windows, so that a test sees a recovery soon; long enough that a few scrapes that a busy
/// machine forgets are not taken for one.
pub(crate) const EXPRESSION: &str = "sum by (namespace, service) (rate(http_requests_total{code=\"500\"}[3s])) / sum by (namespace, \
                                     service) (rate(http_requests_total[3s])) > 0.1";

/// The alert's rule: the expression holds for a second.
fn rules() -> Result<String> {
    let alert = json!({
        "alert": "HighErrorRatio", "expr": EXPRESSION, "for": "1s", "keep_firing_for": "2s",
        "labels": { "severity": "critical" }, "annotations": { "summary": "Many requests fail" },
    });
    Ok(serde_yaml_ng::to_string(&json!({ "groups": [{ "name": "shop", "rules": [alert] }] }))?)
}

/// Alertmanagers that notify the gateway at once.
pub(super) async fn alertmanagers(suites: &[Option<Suite>], gateway: &str) -> Result<Vec<Alertmanager>> {
    let authorization = json!({ "authorization": { "type": "Bearer", "credentials": WEBHOOK_TOKEN } });
    let webhook = json!({
        "url": format!("{gateway}/v1/alertmanager/{TENANT}"), "send_resolved": true, "http_config": authorization,
    });
    let config = json!({
        "route": {
            "receiver": "paramedic", "group_by": ["namespace", "service"],
            "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h",
        },
        "receivers": [{ "name": "paramedic", "webhook_configs": [webhook] }],
    });
    let config = serde_yaml_ng::to_string(&config)?;
    let mut started = Vec::new();
    for suite in suites {
        started.push(testkit::alertmanager(*suite, &config).await?);
    }
    Ok(started)
}

/// Shops in namespaces of their own, rolled out if their image ever can be.
pub(super) async fn shops(cluster: &Cluster, options: &Options) -> Result<(Vec<String>, Option<Shop>)> {
    let mut namespaces = Vec::new();
    for _ in &options.shops {
        namespaces.push(cluster.namespace("shop").await?);
    }
    if namespaces.is_empty() {
        return Ok((namespaces, None));
    }
    let shop = Shop::start(cluster.client.clone(), namespaces.iter().cloned()).await?;
    let names = options.shops.iter().map(|place| place.name.as_str());
    let places: Vec<Place<'_>> = namespaces.iter().zip(names).map(|(namespace, name)| Place { namespace, name }).collect();
    for place in &places {
        place.deploy(&cluster.client, options.image).await?;
    }
    for Place { namespace, name } in places.into_iter().filter(|_| Behaviour::of(options.image) != Behaviour::Crashes) {
        rolled_out(cluster, namespace, name).await?;
    }
    Ok((namespaces, Some(shop)))
}

/// Waits until the Deployment is as it was asked to be, all pods ready.
pub(super) async fn rolled_out(cluster: &Cluster, namespace: &str, name: &str) -> Result<()> {
    let deployments = Api::<Deployment>::namespaced(cluster.client.clone(), namespace);
    testkit::eventually(&format!("the rollout of {namespace}/{name}"), SOON, async || {
        let deployment = deployments.get(name).await.ok()?;
        let (wanted, status) = (deployment.spec.replicas, deployment.status?);
        let is_seen = status.observed_generation == deployment.metadata.generation;
        let is_done = status.updated_replicas == wanted && status.available_replicas == wanted && status.replicas == wanted;
        (is_seen && is_done).then_some(())
    })
    .await
}

/// A Prometheus that scrapes the shops and tells the Alertmanagers.
pub(super) async fn prometheus(shop: &Shop, alertmanagers: &[Alertmanager]) -> Result<Prometheus> {
    let of = |alertmanager: &Alertmanager| alertmanager.url().trim_start_matches("http://").to_owned();
    let targets: Vec<String> = alertmanagers.iter().map(of).collect();
    let config = json!({
        "global": { "scrape_interval": "250ms", "evaluation_interval": "250ms" },
        "rule_files": ["rules.yml"],
        "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": targets }] }] },
        "scrape_configs": [{ "job_name": "shop", "static_configs": [{ "targets": [shop.address().to_string()] }] }],
    });
    let prometheus = testkit::prometheus(&serde_yaml_ng::to_string(&config)?, &rules()?).await?;
    prometheus.running.await_target_up("shop", SOON).await?;
    Ok(prometheus)
}
