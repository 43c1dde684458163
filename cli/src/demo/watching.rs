//! What watches the shop: a Prometheus with one alert, and an Alertmanager that tells Paramedic.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use cluster::prometheus::{Prometheus as Client, PrometheusConfig};
use local::alertmanager::Alertmanager;
use local::install::MonitoringPrograms;
use local::prometheus::Prometheus;
use local::shop::DEPLOYMENT;
use serde_json::{Value, json};

use super::cluster::NAMESPACE;
use super::eventually;

/// The demo's only alert.
pub(crate) const ALERT: &str = "HighErrorRatio";
/// The share of requests that fail, 0 to 1, as a recording rule names it.
const RATIO: &str = "service:http_errors:ratio";
/// Of the last seconds: short, because everything in a demo is; ten scrapes all the same.
const RATIO_IS: &str = "sum by (namespace, service, deployment) (rate(http_requests_total{code=\"500\"}[5s])) \
                        / sum by (namespace, service, deployment) (rate(http_requests_total[5s]))";
/// The bad revision fails three in ten.
const RATIO_MAX: f64 = 0.1;
/// What was usual before the release must be known, to see that it left it.
const HEALTHY_S: u32 = 4;
const SCRAPED_WITHIN: Duration = Duration::from_secs(30);

/// Both, as far as they have been started.
#[derive(Default)]
pub(crate) struct Watching {
    prometheus: Option<Prometheus>,
    alertmanager: Option<Alertmanager>,
}

/// What they must know.
pub(crate) struct Setting<'a> {
    /// Where the shop's counters are.
    pub(crate) shop: std::net::SocketAddr,
    /// Name of the cluster, for the label of that name.
    pub(crate) cluster: &'a str,
    /// Where alerts are sent.
    pub(crate) webhook: &'a str,
    /// With which bearer token.
    pub(crate) token: &'a str,
}

impl Watching {
    /// Starts both.
    pub(crate) async fn start(
        &mut self,
        programs: MonitoringPrograms,
        folder: &Path,
        setting: &Setting<'_>,
    ) -> anyhow::Result<()> {
        let MonitoringPrograms { prometheus, alertmanager } = programs;
        let config = pretty(&alertmanager_config(setting));
        let options =
            local::alertmanager::Options { program: alertmanager, dir: folder.join("alertmanager"), port: None, config };
        let alertmanager = self.alertmanager.insert(Alertmanager::start(options).await?);
        let dir = folder.join("prometheus");
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        std::fs::write(dir.join("rules.yml"), pretty(&rules(setting))).context("writing the alert's rule")?;
        let config = pretty(&prometheus_config(setting, &alertmanager.authority()));
        let options = local::prometheus::Options { program: prometheus, dir, port: None, config };
        self.prometheus = Some(Prometheus::start(options).await?);
        Ok(())
    }

    /// How the roles reach Prometheus.
    pub(crate) fn config(&self) -> anyhow::Result<PrometheusConfig> {
        let prometheus = self.prometheus.as_ref().context("Prometheus does not run")?;
        Ok(PrometheusConfig { url: prometheus.url().parse()?, bearer: None })
    }

    /// Where both are, for people.
    pub(crate) fn addresses(&self) -> Option<(String, String)> {
        Some((self.prometheus.as_ref()?.url(), self.alertmanager.as_ref()?.url()))
    }

    /// Waits until the shop has been scraped for long enough to know that no request fails.
    pub(crate) async fn await_health(&self) -> anyhow::Result<()> {
        let client = Client::connect(&self.config()?)?;
        let query =
            format!("sum_over_time({RATIO}[{HEALTHY_S}s]) == 0 and count_over_time({RATIO}[{HEALTHY_S}s]) >= {HEALTHY_S}");
        eventually("a shop whose error ratio is 0", SCRAPED_WITHIN, async || {
            let samples = client.instant(&query, None).await.ok()?;
            (samples.len() == 1).then_some(())
        })
        .await
    }

    /// Stops both.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(prometheus) = self.prometheus.as_mut() {
            prometheus.server.stop().await?;
        }
        if let Some(alertmanager) = self.alertmanager.as_mut() {
            alertmanager.server.stop().await?;
        }
        Ok(())
    }
}

/// The labels of the alert, as Alertmanager sends them.
pub(crate) fn labels(cluster: &str) -> Value {
    json!({
        "alertname": ALERT, "severity": "critical", "cluster": cluster,
        "namespace": NAMESPACE, "service": DEPLOYMENT, "deployment": DEPLOYMENT,
    })
}

fn rules(setting: &Setting<'_>) -> Value {
    let summary = "{{ $value | humanizePercentage }} of the requests to {{ $labels.service }} fail";
    let alert = json!({
        "alert": ALERT,
        "expr": format!("{RATIO} > {RATIO_MAX}"),
        "for": "1s",
        "labels": {"severity": "critical", "cluster": setting.cluster},
        "annotations": {"summary": summary},
    });
    json!({"groups": [{"name": "shop", "rules": [{"record": RATIO, "expr": RATIO_IS}, alert]}]})
}

fn prometheus_config(setting: &Setting<'_>, alertmanager: &str) -> Value {
    json!({
        "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [setting.shop.to_string()]}]}],
    })
}

fn alertmanager_config(setting: &Setting<'_>) -> Value {
    let group_by = ["alertname", "namespace", "service"];
    json!({
        "route": {"receiver": "paramedic", "group_by": group_by, "group_wait": "0s", "group_interval": "1s"},
        "receivers": [{"name": "paramedic", "webhook_configs": [{
            "url": setting.webhook,
            "send_resolved": true,
            "http_config": {"authorization": {"credentials": setting.token}},
        }]}],
    })
}

/// JSON, which every reader of YAML reads.
fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
