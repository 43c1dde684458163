//! What an alert costs when very much is open, and what a storm of alerts becomes: incidents, notices, memory.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use testkit::fakes::slack::{SlackFake, SlackOptions};

use crate::body::{NUMBER, Template};
use crate::figures::{line, median, note, number, verdict};
use crate::load::{Connection, Lane as _, Target};
use crate::memory::{MIB_MAX, Watch};
use crate::process::{Process, cpu_seconds, free_address, memory};
use crate::stage::{Parts, Stage, paramedic};

/// Open incidents beside which the cost of an alert is measured.
const OPEN: [u32; 2] = [10, 100_000];
/// Alerts of one measurement, each of an incident of its own.
const ALERTS: u64 = 1_000;
/// Medians of so many, the two in turn.
const ROUNDS: usize = 3;
/// The goal: an alert beside the larger number costs at most so many times what it costs beside the smaller one.
const TIMES_MAX: f64 = 1.3;
/// The storm.
const GROUPS: u64 = 1_000;
const ALERTS_PER_GROUP: u64 = 100;
/// The goal: the twenty before it is known for a storm, and a few that open until everybody knows.
const CARDS_MAX: usize = 25;
/// The goal: the whole storm takes at most so many times the memory of its first tenth.
const FLAT_MAX: f64 = 1.2;
const HANDLED_WITHIN: Duration = Duration::from_mins(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    open: [u32; 2],
    alerts: u64,
    rounds: usize,
    groups: u64,
}

impl Size {
    /// What figures are taken with.
    pub(crate) const FULL: Self = Self { open: OPEN, alerts: ALERTS, rounds: ROUNDS, groups: GROUPS };
    /// Enough to see whether it works.
    pub(crate) const QUICK: Self = Self { open: [10, 1_000], alerts: 100, rounds: 1, groups: 50 };
}

/// Where Paramedic's own servers are.
#[derive(Deserialize)]
struct Servers {
    database_url: String,
}

/// Paramedic with a Slack beside it.
struct Scene {
    process: Process,
    stage: Stage,
    slack: SlackFake,
    postgres: PgConnection,
}

/// Measures and prints.
pub(crate) async fn run(dir: &Path, size: Size) -> Result<()> {
    let mut scene = Scene::start(dir).await?;
    let mut costs: BTreeMap<u32, Vec<(f64, f64)>> = BTreeMap::new();
    scene.send(1..=1, 1, "seed").await?;
    for round in 1..=size.rounds {
        for open in size.open {
            scene.have_open(open).await?;
            note(&format!("storm, round {round}: {} alerts beside {open} open incidents", size.alerts));
            costs.entry(open).or_default().push(scene.cost(size.alerts, &format!("r{round}-{open}")).await?);
        }
    }
    report_costs(&costs, size);
    scene.process.stop().await?;
    // Anew, so that nothing is left of the alerts before: neither in memory nor of the storm that they were.
    let dir = dir.join("storm");
    std::fs::create_dir(&dir).with_context(|| format!("creating {}", dir.display()))?;
    let mut scene = Scene::start(&dir).await?;
    scene.storm(size.groups).await?;
    scene.process.stop().await
}

fn report_costs(costs: &BTreeMap<u32, Vec<(f64, f64)>>, size: Size) {
    line(&format!(
        "\n5. Storms: {} alerts, each of an incident of its own, sent one after the other, {} round(s), the two in turn; medians.\n   \
         From the webhook until monitoring has committed, and all that Paramedic does because of it.",
        size.alerts, size.rounds
    ));
    line("\n   open incidents   alerts/s   CPU ms an alert");
    let mut medians = vec![];
    for (open, list) in costs {
        let rate = median(&list.iter().map(|cost| cost.0).collect::<Vec<_>>());
        let cpu = median(&list.iter().map(|cost| cost.1).collect::<Vec<_>>());
        line(&format!("   {open:>14}{rate:>11.0}{cpu:>18.2}"));
        medians.push((rate, cpu));
    }
    if let [few, many] = medians.as_slice() {
        let (slower, dearer) = (few.0 / many.0, many.1 / few.1);
        line(&format!(
            "   goal: at most {TIMES_MAX} times: time {slower:.2} {}, CPU {dearer:.2} {}",
            verdict(slower <= TIMES_MAX),
            verdict(dearer <= TIMES_MAX)
        ));
    }
}

impl Scene {
    async fn start(dir: &Path) -> Result<Self> {
        note("storm: starting Paramedic with Slack");
        let options = SlackOptions { posts_per_second: 10_000.0, post_burst: 10_000.0, ..SlackOptions::default() };
        let slack = SlackFake::start(options.clone()).await?;
        let stage = Stage::write(dir.join("up"), &Parts { listen: free_address()?, servers: None, world: None })?;
        stage.with_slack(&slack.base_url(), &options)?;
        let args = ["up".into(), "--home".into(), stage.home.clone().into_os_string()];
        let mut process = Process::start("paramedic", &paramedic()?, &args, dir)?;
        process.listening(stage.listen()).await?;
        let path = stage.home.join("servers.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let servers: Servers = toml::from_str(&text).context("reading where Paramedic's servers are")?;
        let postgres = PgConnection::connect(&servers.database_url).await.context("connecting to Paramedic's Postgres")?;
        Ok(Self { process, stage, slack, postgres })
    }

    /// Sends webhooks of `alerts` alerts each, every one about the service with its number, and waits until monitoring has handled them.
    async fn send(&mut self, numbers: RangeInclusive<u64>, alerts: u64, name: &str) -> Result<()> {
        let count = i64::try_from(numbers.clone().count())?;
        let before = self.handled().await?;
        let body = body(alerts, name);
        let template = Arc::new(Template::post(Stage::webhook_path(), &self.stage.webhook, &body));
        let target = Target { address: self.stage.listen(), template, says: None };
        let mut connection = Connection::open(&target).await?;
        for number in numbers {
            ensure!(connection.ask(number).await?, "a webhook was not accepted:\n{}", self.process.tail());
        }
        let deadline = Instant::now() + HANDLED_WITHIN;
        while self.handled().await? < before + count {
            ensure!(Instant::now() < deadline, "not all was handled:\n{}", self.process.tail());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Notifications that monitoring has handled.
    async fn handled(&mut self) -> Result<i64> {
        self.count("select count(*) from monitoring.inbox where message_id like 'alert-%'").await
    }

    async fn count(&mut self, query: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut self.postgres).await?)
    }

    /// Alerts a second, and CPU milliseconds of each.
    async fn cost(&mut self, alerts: u64, name: &str) -> Result<(f64, f64)> {
        // What the measurement before set going has come to its end.
        self.rest().await?;
        let (began, used) = (Instant::now(), cpu_seconds(self.process.pid())?);
        self.send(1..=alerts, 1, name).await?;
        let took = began.elapsed().as_secs_f64();
        self.rest().await?;
        let used = cpu_seconds(self.process.pid())? - used;
        Ok((number(alerts) / took, used * 1e3 / number(alerts)))
    }

    /// Waits until nothing is owed.
    async fn rest(&mut self) -> Result<()> {
        const OWED: &str = "select (select count(*) from monitoring.outbox) + (select count(*) from diagnostics.outbox)
            + (select count(*) from communication.outbox)";
        let deadline = Instant::now() + HANDLED_WITHIN;
        let mut quiet = 0;
        while quiet < 10 {
            quiet = if self.count(OWED).await? == 0 { quiet + 1 } else { 0 };
            ensure!(Instant::now() < deadline, "it never comes to rest");
            tokio::time::sleep(LOOK_EVERY * 5).await;
        }
        Ok(())
    }

    /// Makes so many copies of an incident, open and with a deadline tomorrow; those there were are removed.
    async fn have_open(&mut self, open: u32) -> Result<()> {
        const REMOVE: &str =
            "delete from monitoring.timer where entity like 'copy-%'; delete from monitoring.entity where id like 'copy-%'";
        const ADD: &str = "
            insert into monitoring.entity (tenant, id, open_key, open_digest, revision, state, updated_at)
            select e.tenant, 'copy-' || n, 'copy=' || n, encode(sha256(('copy' || n)::bytea), 'hex'), 1, e.state, e.updated_at
            from (select * from monitoring.entity where open_key like '%service=seed-%' limit 1) e, generate_series(1, $1) n";
        const WAKE: &str = "
            insert into monitoring.timer (tenant, entity, name, due_at, lease_until)
            select tenant, id, 'deadline', now() + interval '1 day', 'epoch' from monitoring.entity where id like 'copy-%'";
        sqlx::raw_sql(REMOVE).execute(&mut self.postgres).await?;
        let copies = i32::try_from(open)?;
        let added = sqlx::query(ADD).bind(copies).execute(&mut self.postgres).await.context("copying an incident")?;
        ensure!(added.rows_affected() == u64::from(open), "there is no incident to copy");
        sqlx::query(WAKE).execute(&mut self.postgres).await?;
        // One statement each: several together are one transaction, in which nothing is vacuumed.
        for table in ["entity", "timer"] {
            sqlx::raw_sql(AssertSqlSafe(format!("vacuum analyze monitoring.{table}"))).execute(&mut self.postgres).await?;
        }
        Ok(())
    }

    async fn storm(&mut self, groups: u64) -> Result<()> {
        note(&format!("storm: {} alerts in {groups} groups", groups * ALERTS_PER_GROUP));
        self.rest().await?;
        let (cards, before) = (self.slack.messages().len(), memory(self.process.pid())?);
        let fired = self.fired().await?;
        let (began, watch) = (Instant::now(), Watch::start(self.process.pid()));
        let tenth = groups / 10;
        self.send(1..=tenth, ALERTS_PER_GROUP, "storm").await?;
        let early = watch.so_far();
        self.send(tenth + 1..=groups, ALERTS_PER_GROUP, "storm").await?;
        let took = began.elapsed();
        self.rest().await?;
        let deadline = Instant::now() + HANDLED_WITHIN;
        let all = i64::try_from(groups * ALERTS_PER_GROUP)?;
        while self.fired().await? < fired + all && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY * 25).await;
        }
        let (recorded, peak) = (self.fired().await? - fired, watch.peak());
        let opened = self.count("select count(*) from monitoring.entity where open_key like '%service=storm-%'").await?;
        let cards = self.slack.messages().len().saturating_sub(cards);
        line(&format!("\n   A storm: {all} alerts in {groups} groups, handled within {:.0} s, one sender", took.as_secs_f64()));
        line(&format!("   incidents: {opened}   goal: at most {groups} {}", verdict(opened <= i64::try_from(groups)?)));
        line(&format!("   alerts on the record: {recorded} of {all}   goal: none is dropped {}", verdict(recorded == all)));
        line(&format!(
            "   messages posted to Slack: {cards}   goal: the first few, then one notice: at most {CARDS_MAX} {}",
            verdict(cards <= CARDS_MAX)
        ));
        line(&format!(
            "   memory: RSS {:.1} MiB before, {:.1} MiB in the first tenth, {:.1} MiB at most   goals: at most {FLAT_MAX} times the tenth {}, \
             below {MIB_MAX:.0} MiB {}",
            before.rss,
            early.rss,
            peak.rss,
            verdict(peak.rss <= FLAT_MAX * early.rss),
            verdict(peak.rss < MIB_MAX)
        ));
        Ok(())
    }

    /// Alerts on the record as firing.
    async fn fired(&mut self) -> Result<i64> {
        self.count("select count(*) from ledger.record where kind = 'alert_changed'").await
    }
}

/// A webhook with `alerts` alerts of one service, which its number names.
fn body(alerts: u64, name: &str) -> String {
    let service = format!("{name}-{NUMBER}");
    let alert = |n: u64| {
        json!({
            "status": "firing",
            "labels": {
                "alertname": "HighErrorRatio", "namespace": "storm", "service": service, "severity": "warning",
                "instance": format!("10.0.0.{n}:80"),
            },
            "annotations": { "summary": "error ratio above 10 %" },
            "startsAt": "2026-11-23T05:00:00.123Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
            "fingerprint": format!("{n:04x}{NUMBER}"),
        })
    };
    json!({
        "version": "4", "status": "firing", "receiver": "paramedic", "truncatedAlerts": 0,
        "groupKey": format!("{{}}:{{namespace=\"storm\", service=\"{service}\"}}"),
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager.example.com:9093",
        "alerts": (1..=alerts).map(alert).collect::<Vec<_>>(),
    })
    .to_string()
}
