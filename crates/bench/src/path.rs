//! How long an incident takes: from the webhook to the card with its buttons, and from the press of one to the patched Deployment.
//! One incident at a time, each on a Deployment of its own, in two rounds: first all cards, then all approvals.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use runtime::clock::{self, random_hex};
use serde_json::json;
use testkit::fakes::jira::{JiraFake, JiraOptions};
use testkit::fakes::slack::{Message, SlackFake, SlackOptions};

use crate::chain::{self, Chain};
use crate::figures::note;
use crate::machine::now_ns;
use crate::process::{Process, cpu_seconds, free_address};
use crate::stage::{self, Parts, SLACK_USER, Stage, paramedic};
use crate::tap::{Tap, silence};
use crate::trace::{Sink, Span};
use crate::world::{NAMESPACE, World, expression, names};

/// Far above what the path takes: what takes longer has gone wrong.
const CARD_WITHIN: Duration = Duration::from_secs(30);
/// The same.
const PATCH_WITHIN: Duration = Duration::from_secs(15);
/// Nobody asks anything of a provider for this long: the incident before has come to rest.
const QUIET: Duration = Duration::from_millis(150);
/// Rest may not come while earlier repairs are still verified, once a second each.
const QUIET_WITHIN: Duration = Duration::from_secs(1);
/// Incidents before those that count: connections, caches and plans of statements are made by them.
pub(crate) const WARM_UP: usize = 5;
/// The exporter of spans sends every 5 s.
const SPANS_AFTER: Duration = Duration::from_secs(6);
const APPROVE: &str = "paramedic_approve";

/// A running Paramedic with all its providers.
pub(crate) struct Scene {
    pub(crate) process: Process,
    pub(crate) stage: Stage,
    world: World,
    slack: SlackFake,
    slack_tap: Tap,
    _jira: JiraFake,
    jira_tap: Tap,
    sink: Sink,
    http: reqwest::Client,
}

/// From when to when, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Window {
    pub(crate) const fn nanos(self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

/// One incident's times.
pub(crate) struct Incident {
    pub(crate) name: String,
    pub(crate) trace: String,
    /// When the webhook was answered.
    pub(crate) accepted: u64,
    /// Webhook sent to card received.
    pub(crate) card: Window,
    /// Press sent to Deployment patched: the API server's audit log says that the change was answered, or a watch tells of it.
    pub(crate) patch: Window,
    /// When a watch of Deployments told of it.
    pub(crate) told: u64,
    message: Message,
}

/// All that was measured.
pub(crate) struct Measured {
    pub(crate) incidents: Vec<Incident>,
    pub(crate) spans: Vec<Span>,
    /// CPU milliseconds of Paramedic an incident, for each way.
    pub(crate) card_cpu_ms: f64,
    pub(crate) patch_cpu_ms: f64,
    /// The floors under both ways.
    pub(crate) card_floor_ms: Vec<f64>,
    pub(crate) patch_floor_ms: Vec<f64>,
}

impl Scene {
    /// Starts everything.
    pub(crate) async fn start(dir: &Path, count: usize) -> Result<Self> {
        let world = World::start(dir, count).await?;
        note("path: starting Paramedic with Slack and Jira");
        let slack_options = SlackOptions { posts_per_second: 10_000.0, post_burst: 10_000.0, ..SlackOptions::default() };
        let (slack, jira_options) = (SlackFake::start(slack_options.clone()).await?, JiraOptions::default());
        let jira = JiraFake::start(jira_options.clone()).await?;
        let slack_tap = Tap::open(authority(&slack.base_url())?).await?;
        let jira_tap = Tap::open(authority(&jira.base_url())?).await?;
        let sink = Sink::open().await?;
        let told = stage::World {
            otlp: sink.endpoint(),
            slack_api: format!("http://{}/api", slack_tap.address()),
            slack: slack_options,
            jira_site: format!("http://{}", jira_tap.address()),
            jira: jira_options,
            kubeconfig: world.kubeconfig.clone(),
            prometheus: format!("http://{}", world.prometheus.address()),
        };
        let stage = Stage::write(dir.join("up"), &Parts { listen: free_address()?, servers: None, world: Some(told) })?;
        let args = ["up".into(), "--home".into(), stage.home.clone().into_os_string()];
        let mut process = Process::start("paramedic", &paramedic()?, &args, dir)?;
        process.listening(stage.listen()).await?;
        let http = reqwest::Client::builder().no_proxy().timeout(CARD_WITHIN).build().context("making an HTTP client")?;
        Ok(Self { process, stage, world, slack, slack_tap, _jira: jira, jira_tap, sink, http })
    }

    /// Measures; the first [`WARM_UP`] incidents are left out of what is given back.
    pub(crate) async fn measure(&self, count: usize) -> Result<Measured> {
        let mut incidents = Vec::with_capacity(count);
        // What the servers wrote as they started goes to the disk now, and not half a minute later, in the middle.
        tokio::task::spawn_blocking(nix::unistd::sync).await?;
        let start = cpu_seconds(self.process.pid())?;
        for (n, name) in names(count).into_iter().enumerate() {
            if n % 10 == 0 {
                note(&format!("path: card {n} of {count}"));
            }
            self.rest().await;
            let incident = self.announce(name).await.with_context(|| format!("Paramedic said:\n{}", self.process.tail()))?;
            incidents.push(incident);
        }
        let carded = cpu_seconds(self.process.pid())?;
        for (n, incident) in incidents.iter_mut().enumerate() {
            if n % 10 == 0 {
                note(&format!("path: approval {n} of {count}"));
            }
            self.rest().await;
            self.approve(incident).await.with_context(|| format!("Paramedic said:\n{}", self.process.tail()))?;
        }
        let patched = cpu_seconds(self.process.pid())?;
        let an_incident = |seconds: f64| seconds * 1e3 / incidents.iter().map(|_| 1.0).sum::<f64>();
        let (card_cpu_ms, patch_cpu_ms) = (an_incident(carded - start), an_incident(patched - carded));
        note("path: the floor of bare hops and commits");
        let chain = Chain::open(&self.stage).await?;
        let card_floor_ms = chain.run(chain::CARD).await?;
        let patch_floor_ms = chain.run(chain::PATCH).await?;
        tokio::time::sleep(SPANS_AFTER).await;
        // Read late: a watch may tell before the log does.
        let changed = self.world.audit.changed()?;
        for incident in &mut incidents {
            let at = changed.get(&incident.name).with_context(|| format!("no patch of {} in the audit log", incident.name))?;
            ensure!(*at >= incident.patch.from, "{} was patched before the press", incident.name);
            incident.patch.to = incident.told.min(*at);
        }
        incidents.drain(..WARM_UP.min(incidents.len()));
        Ok(Measured { incidents, spans: self.sink.spans()?, card_cpu_ms, patch_cpu_ms, card_floor_ms, patch_floor_ms })
    }

    async fn rest(&self) {
        silence(&self.taps(), QUIET, QUIET_WITHIN).await;
    }

    /// Taps, in the order of [`TAPS`].
    pub(crate) fn taps(&self) -> [&Tap; 4] {
        [&self.world.kubernetes, &self.world.prometheus, &self.slack_tap, &self.jira_tap]
    }

    async fn announce(&self, name: String) -> Result<Incident> {
        let trace = random_hex::<16>().context("asking the system for random bytes")?;
        let body = webhook(&name);
        let url = format!("http://{}{}", self.stage.listen(), Stage::webhook_path());
        let request = self.http.post(url).bearer_auth(&self.stage.webhook).header("content-type", "application/json");
        let request = request.header("traceparent", format!("00-{trace}-0123456789abcdef-01")).body(body);
        let from = now_ns();
        let answer = request.send().await.context("sending a webhook")?;
        let accepted = now_ns();
        let status = answer.status();
        ensure!(status.is_success(), "the webhook was answered {status}: {}", answer.text().await.unwrap_or_default());
        let is_it = |message: &Message| message.text.contains(&name) && message.blocks.to_string().contains(APPROVE);
        let message = self.slack.wait_for_message(&format!("the card about {name}"), CARD_WITHIN, is_it).await?;
        let card = Window { from, to: now_ns() };
        Ok(Incident { name, trace, accepted, card, patch: Window::default(), told: 0, message })
    }

    async fn approve(&self, incident: &mut Incident) -> Result<()> {
        let click = self.slack.click(&incident.message, APPROVE, SLACK_USER)?;
        let request = self.http.post(self.stage.interactions_url()).header("content-type", "application/x-www-form-urlencoded");
        let request = request.header("x-slack-request-timestamp", click.timestamp.to_string());
        let request = request.header("x-slack-signature", &click.signature).body(click.body.clone());
        let mut patched = self.world.patched.clone();
        let from = now_ns();
        let answer = request.send().await.context("pressing the button")?;
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        ensure!(status.is_success() && text.is_empty(), "the press was answered {status}: {text}");
        let seen = patched.wait_for(|all| all.contains_key(&incident.name));
        let seen = tokio::time::timeout(PATCH_WITHIN, seen).await.with_context(|| format!("no patch of {}", incident.name))?;
        incident.told = seen.context("the watch ended")?.get(&incident.name).copied().unwrap_or_default();
        incident.patch.from = from;
        Ok(())
    }

    /// Says whether the process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        i32::try_from(self.process.pid()).is_ok_and(|pid| kill(Pid::from_raw(pid), None).is_ok())
    }
}

/// Names of the taps.
pub(crate) const TAPS: [&str; 4] = ["Kubernetes", "Prometheus", "Slack", "Jira"];

fn authority(url: &str) -> Result<std::net::SocketAddr> {
    let url: url::Url = url.parse().context("a fake's address")?;
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or_default()).parse().context("a fake's address")
}

fn webhook(name: &str) -> String {
    let expression = expression(name);
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("g0.expr", &expression).finish();
    let labels = json!({ "alertname": "HighErrorRatio", "namespace": NAMESPACE, "deployment": name, "severity": "critical" });
    let digits = hex::encode(name);
    json!({
        "version": "4", "status": "firing", "receiver": "paramedic", "truncatedAlerts": 0,
        "groupKey": format!("{{}}:{{deployment=\"{name}\"}}"),
        "groupLabels": { "deployment": name }, "commonLabels": labels, "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.com:9093",
        "alerts": [{
            "status": "firing", "labels": labels, "annotations": { "summary": "error ratio above 10 %" },
            "startsAt": clock::now().to_rfc3339(), "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": format!("http://prometheus:9090/graph?{query}&g0.tab=1"),
            "fingerprint": digits,
        }],
    })
    .to_string()
}
