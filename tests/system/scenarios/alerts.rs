//! Alertmanager's part: it tells of alerts until it is answered 2xx, and that they are over once Prometheus says so.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use incident::alert::{Alert, AlertStatus, Correlation, Labels, Notification};
use incident::id::{TenantId, fingerprint};
use incident::promises::world::{Accepted, Whereabouts};
use reqwest::Url;
use serde_json::{Value, json};
use simulation::scenario::{Fires, Happening, What, When};
use tokio::time::{Duration, Instant};

use super::play::{CALL_AGAIN, Due, Play};
use crate::pipeline::{EXPRESSION, WATCHDOG, webhook_token};

/// What broke shows in the metrics within this.
const SEEN_WITHIN: Duration = Duration::from_mins(1);
/// The expression must be quiet for so long before alerts are over: a rollout leaves gaps.
const QUIET_FOR: Duration = Duration::from_secs(2);

/// One call of Alertmanager.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    fires: Fires,
    namespace: String,
    starts_at: DateTime<Utc>,
    ends_at: Option<DateTime<Utc>>,
    /// Set while it waits for Prometheus to see what it tells of.
    unseen: Option<Unseen>,
}

/// What Prometheus does not see yet.
#[derive(Debug, Clone, Copy)]
struct Unseen {
    until: Instant,
    /// What fires earlier is told earlier.
    place: u32,
}

/// What Alertmanager knows.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// Alerts that it has told of, or will.
    firing: Vec<Notice>,
    /// Namespaces in which something broke; whether it was relieved since.
    broken: BTreeMap<String, bool>,
    quiet_since: BTreeMap<String, Instant>,
    /// How many alerts waited so far for Prometheus to see what they tell of, and those that still do.
    placed: u32,
    unseen: BTreeSet<u32>,
    /// Heartbeats that were answered 2xx.
    pub(super) heard: u32,
    /// What was answered 2xx.
    pub(super) accepted: Vec<Accepted>,
    /// Calls that were not.
    pub(super) refused: u32,
}

impl Telling {
    pub(super) fn breaks(&mut self, namespace: &str) {
        self.broken.insert(namespace.to_owned(), false);
    }

    fn unseen(&mut self, until: Instant) -> Unseen {
        self.placed += 1;
        self.unseen.insert(self.placed);
        Unseen { until, place: self.placed }
    }

    pub(super) fn is_relieved(&mut self, namespace: &str) {
        self.broken.insert(namespace.to_owned(), true);
    }
}

impl Notice {
    fn alerts(&self) -> Vec<Alert> {
        let alert = |n: u32| {
            let instance = n.to_string();
            let usual = [
                ("alertname", self.fires.alert.as_str()),
                ("namespace", self.namespace.as_str()),
                ("service", self.fires.workload.name.as_str()),
                ("severity", "critical"),
                ("instance", instance.as_str()),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let labels: Labels = usual.into_iter().chain(self.fires.labels.clone()).collect();
            let names: Vec<&str> = labels.iter().flat_map(|(name, value)| [name.as_str(), value]).collect();
            Alert {
                fingerprint: fingerprint(&names).chars().take(16).collect(),
                status: if self.ends_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
                labels,
                annotations: Labels::new(),
                starts_at: self.starts_at,
                ends_at: self.ends_at,
                expression: Some(EXPRESSION.to_owned()),
            }
        };
        (0..self.fires.count).map(alert).collect()
    }

    fn tenant(&self) -> &str {
        &self.fires.workload.tenant
    }

    fn is_about(&self, fires: &Fires) -> bool {
        (&self.fires.workload, &self.fires.alert, &self.fires.labels) == (&fires.workload, &fires.alert, &fires.labels)
    }

    fn group(&self) -> String {
        format!("{{}}:{{alertname={:?}, namespace={:?}}}", self.fires.alert, self.namespace)
    }

    /// As Alertmanager sends it.
    fn body(&self) -> Result<Value> {
        let graph = Url::parse_with_params("http://prometheus.example:9090/graph", [("g0.expr", EXPRESSION), ("g0.tab", "1")])?;
        let status = if self.ends_at.is_some() { "resolved" } else { "firing" };
        let alert = |alert: Alert| {
            let ends_at = alert.ends_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_rfc3339());
            json!({
                "status": status, "labels": alert.labels, "annotations": alert.annotations, "fingerprint": alert.fingerprint,
                "startsAt": alert.starts_at.to_rfc3339(), "endsAt": ends_at, "generatorURL": graph,
            })
        };
        Ok(json!({
            "version": "4", "groupKey": self.group(), "status": status, "receiver": "paramedic", "truncatedAlerts": 0,
            "groupLabels": { "alertname": self.fires.alert, "namespace": self.namespace }, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://alertmanager.example:9093",
            "alerts": self.alerts().into_iter().map(alert).collect::<Vec<_>>(),
        }))
    }

    /// What is promised to be kept once it is answered 2xx.
    fn promised(&self) -> Result<Vec<Accepted>> {
        let tenant: TenantId = self.tenant().parse()?;
        let all = Notification::split(&tenant, &self.group(), self.alerts(), 0, &Correlation::default());
        let promised = all.into_iter().map(|notification| {
            let firing = notification.alerts.iter().filter(|alert| alert.status == AlertStatus::Firing);
            let firing = firing.map(|alert| alert.fingerprint.clone()).collect();
            Accepted { tenant: tenant.clone(), id: notification.message_id(), firing, whereabouts: Whereabouts::Nowhere }
        });
        Ok(promised.collect())
    }
}

impl Play<'_> {
    /// Alerts fire; of something that broke as soon as it shows.
    pub(super) async fn fires(&mut self, fires: Fires) -> Result<()> {
        let namespace = self.namespace(&fires.workload)?;
        let is_broken = self.telling.broken.contains_key(&namespace);
        let unseen = is_broken.then(|| self.telling.unseen(Instant::now() + SEEN_WITHIN));
        // What fires already is told again, and has begun when it began.
        let began = self.telling.firing.iter().chain(self.untold()).find(|notice| notice.is_about(&fires));
        let starts_at = began.map_or_else(runtime::clock::now, |notice| notice.starts_at);
        self.tell(Notice { fires, namespace, starts_at, ends_at: None, unseen }).await
    }

    /// Alerts that fire, and that nobody was told of yet.
    fn untold(&self) -> impl Iterator<Item = &Notice> {
        self.due().filter_map(|due| match due {
            Due::Tells(notice) if notice.ends_at.is_none() => Some(notice),
            _ => None,
        })
    }

    /// One rule's alerts are over, whatever the workload does; those that are not told yet are told first.
    pub(super) fn resolves(&mut self, when: &When, fires: Fires) {
        if let Some(found) = self.telling.firing.iter().position(|notice| notice.is_about(&fires)) {
            return self.is_over(found);
        }
        if self.untold().any(|notice| notice.is_about(&fires)) {
            let again = Happening { when: when.clone(), what: What::Resolves(fires), times: 1, every_s: 0 };
            self.later(CALL_AGAIN, Due::Happens(again));
        }
    }

    /// The alert that always fires is sent once more.
    pub(super) async fn beats(&mut self, tenant: &'static str) -> Result<()> {
        let labels = json!({ "alertname": WATCHDOG, "severity": "none" });
        let body = json!({
            "version": "4", "groupKey": format!("{{}}:{{alertname={WATCHDOG:?}}}"), "status": "firing", "receiver": "paramedic",
            "truncatedAlerts": 0, "groupLabels": { "alertname": WATCHDOG }, "commonLabels": labels, "commonAnnotations": {},
            "externalURL": "http://alertmanager.example:9093",
            "alerts": [{
                "status": "firing", "labels": labels, "annotations": {}, "fingerprint": "0000000000000001",
                "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
            }],
        });
        if self.calls(tenant, &body).await? {
            self.telling.heard += 1;
        } else {
            self.later(CALL_AGAIN, Due::Beats(tenant));
        }
        Ok(())
    }

    /// Calls the gateway as a tenant's Alertmanager does; whether it accepts.
    async fn calls(&mut self, tenant: &str, body: &Value) -> Result<bool> {
        let url = format!("{}/v1/alertmanager/{tenant}", self.pipeline.process.gateway);
        let answer = self.http.post(url).bearer_auth(webhook_token(tenant)).json(body).send().await;
        let is_accepted = match answer.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => true,
            Ok(status) => {
                ensure!(status.is_server_error(), "Alertmanager would give up: {status}");
                false
            }
            Err(_) => false,
        };
        self.telling.refused += u32::from(!is_accepted);
        Ok(is_accepted)
    }

    fn is_over(&mut self, found: usize) {
        let notice = self.telling.firing.remove(found);
        self.later(Duration::ZERO, Due::Tells(Notice { ends_at: Some(runtime::clock::now()), ..notice }));
    }

    /// Calls the gateway; again a little later if it does not accept.
    pub(super) async fn tell(&mut self, mut notice: Notice) -> Result<()> {
        if let Some(Unseen { until, place }) = notice.unseen {
            let is_next = self.telling.unseen.first() == Some(&place);
            if !is_next || !self.fails_in(&notice.namespace).await? {
                ensure!(!is_next || Instant::now() < until, "Prometheus never sees that {} is broken", notice.namespace);
                self.later(CALL_AGAIN, Due::Tells(notice));
                return Ok(());
            }
            self.telling.unseen.remove(&place);
            notice.unseen = None;
        }
        if !self.calls(notice.tenant(), &notice.body()?).await? {
            self.later(CALL_AGAIN, Due::Tells(notice));
            return Ok(());
        }
        self.telling.accepted.extend(notice.promised()?);
        let is_told_again = self.telling.firing.iter().any(|known| known.is_about(&notice.fires));
        if notice.ends_at.is_none() && !is_told_again {
            self.telling.firing.push(notice);
        }
        Ok(())
    }

    /// Whether the expression holds in this namespace, by Prometheus' own word.
    async fn fails_in(&self, namespace: &str) -> Result<bool> {
        let prometheus = self.pipeline.prometheus.as_ref().context("there is no Prometheus")?;
        let url = Url::parse_with_params(&format!("{}/api/v1/query", prometheus.url()), [("query", EXPRESSION)])?;
        let answer: Value = self.http.get(url).send().await?.json().await?;
        let series = answer["data"]["result"].as_array().with_context(|| format!("Prometheus answers {answer}"))?;
        Ok(series.iter().any(|series| series["metric"]["namespace"] == namespace))
    }

    /// Alerts about what was changed, or relieved, and is well again are over.
    pub(super) async fn look_for_recovery(&mut self) -> Result<()> {
        let namespaces: Vec<String> = self.telling.firing.iter().map(|notice| notice.namespace.clone()).collect();
        for namespace in namespaces {
            let tenant = self.pipeline.owner(&namespace)?;
            let was_changed = !self.pipeline.watched.changes(&tenant, &namespace)?.is_empty();
            let is_relieved = self.telling.broken.get(&namespace).copied().unwrap_or_default();
            if !(was_changed || is_relieved) || self.fails_in(&namespace).await? {
                self.telling.quiet_since.remove(&namespace);
                continue;
            }
            let since = *self.telling.quiet_since.entry(namespace.clone()).or_insert_with(Instant::now);
            if since.elapsed() < QUIET_FOR {
                continue;
            }
            while let Some(found) = self.telling.firing.iter().position(|notice| notice.namespace == namespace) {
                self.is_over(found);
            }
        }
        Ok(())
    }
}
