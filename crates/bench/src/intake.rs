//! How many webhooks are accepted durably, beside what the same machine gives without Paramedic around it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use local::install::{self, Environment};
use local::nats::Nats;
use local::postgres::{Durability, Postgres};

use crate::body::{self, Template};
use crate::figures::{line, median, note, number, verdict};
use crate::load::{self, Outcome, Plan, Target};
use crate::process::{Process, cpu_seconds, free_address};
use crate::serve;
use crate::stage::{Parts, Stage, connect, paramedic};

/// Medians of so many.
const ROUNDS: usize = 3;
const CONNECTIONS: [usize; 2] = [1, 256];
/// The goal: so much of yardstick (b).
const SHARE_OF_FLOOR_MIN: f64 = 0.6;
/// Room for what one measurement stores; purged before the next.
const FLOOR_BYTES_MAX: i64 = 4 << 30;
/// A namespace of its own: nothing of it is anybody's workload.
const NAMESPACE: &str = "load";

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
    pub(crate) rounds: usize,
}

impl Pace {
    /// Short enough to try, too short to tell.
    pub(crate) const QUICK: Self = Self { warm_up: Duration::from_millis(300), measure: Duration::from_secs(1), rounds: 1 };
    /// What figures are taken with.
    pub(crate) const FULL: Self = Self { warm_up: Duration::from_secs(1), measure: Duration::from_secs(5), rounds: ROUNDS };
}

/// A server under load.
struct Subject {
    name: &'static str,
    target: Target,
    pid: u32,
    /// Whether NATS works for it.
    stores: bool,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    outcome: Outcome,
    cpu_us: f64,
    nats_cpu_us: f64,
}

/// Everything that runs meanwhile.
struct Bench {
    nats: Nats,
    _postgres: Postgres,
    _alertmanager: local::alertmanager::Alertmanager,
    children: Vec<Process>,
    subjects: Vec<Subject>,
    admin: async_nats::Client,
}

/// Measures and prints.
pub(crate) async fn run(dir: &Path, pace: Pace) -> Result<()> {
    let bench = start(dir).await?;
    let mut samples: Vec<Vec<Vec<Sample>>> = vec![vec![Vec::new(); CONNECTIONS.len()]; bench.subjects.len()];
    for round in 1..=pace.rounds {
        for (at, connections) in CONNECTIONS.into_iter().enumerate() {
            for (subject, of_subject) in bench.subjects.iter().zip(&mut samples) {
                note(&format!("intake, round {round}: {}, {connections} connections", subject.name));
                let sample = measure(&bench, subject, Plan { connections, warm_up: pace.warm_up, measure: pace.measure }).await?;
                if let Some(list) = of_subject.get_mut(at) {
                    list.push(sample);
                }
            }
        }
    }
    report(&bench.subjects, &samples, pace);
    for child in bench.children {
        child.stop().await?;
    }
    Ok(())
}

async fn start(dir: &Path) -> Result<Bench> {
    note("intake: starting NATS, Postgres, Alertmanager, the gateway and the yardsticks");
    let environment = Environment::from_process();
    let (postgres, database) = postgres(dir, &environment).await?;
    // The gateway's address must be known before its users are, and NATS needs the users: so NATS gets a port that was just free.
    let (listen, nats_port) = (free_address()?, free_address()?.port());
    let servers = Some((format!("nats://127.0.0.1:{nats_port}"), database));
    let stage = Stage::write(dir.join("gateway"), &Parts { listen, servers, world: None })?;
    let program = install::nats(&environment, &|line| note(line)).await?;
    let config = stage.nats_users.clone();
    let nats =
        Nats::start(local::nats::Options { program, dir: dir.join("nats"), port: Some(nats_port), node: None, config }).await?;
    let programs = install::monitoring(&environment, &|line| note(line)).await?;
    let config = "route: { receiver: none }\nreceivers: [{ name: none }]\n".to_owned();
    let options =
        local::alertmanager::Options { program: programs.alertmanager, dir: dir.join("alertmanager"), port: None, config };
    let alertmanager = local::alertmanager::Alertmanager::start(options).await?;
    let binary = paramedic()?;
    let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let config = stage.config.display().to_string();
    Process::start("migrate", &binary, &args(&["migrate", "--config", &config]), &stage.home)?.finished().await?;
    let admin = connect(&nats.url(), stage.admin.clone()).await?;
    floor_stream(&admin).await?;
    let own = std::env::current_exe().context("finding our own binary")?;
    let (bare_at, floor_at) = (free_address()?, free_address()?);
    let mut children = vec![
        Process::start("gateway", &binary, &args(&["run", "gateway", "--config", &config]), &stage.home)?,
        Process::start("bare", &own, &args(&["serve-bare", &bare_at.to_string()]), dir)?,
        Process::start("floor", &own, &args(&["serve-floor", &floor_at.to_string(), &nats.url(), &stage.admin]), dir)?,
    ];
    for (child, at) in children.iter_mut().zip([listen, bare_at, floor_at]) {
        child.listening(at).await?;
    }
    let subjects = subjects(&stage, &children, [bare_at, floor_at], &alertmanager)?;
    Ok(Bench { nats, _postgres: postgres, _alertmanager: alertmanager, children, subjects, admin })
}

fn subjects(
    stage: &Stage,
    children: &[Process],
    yardsticks: [SocketAddr; 2],
    alertmanager: &local::alertmanager::Alertmanager,
) -> Result<Vec<Subject>> {
    let [gateway, bare, floor] = children else { anyhow::bail!("three children are started") };
    let [bare_at, floor_at] = yardsticks;
    let body = body::notification(NAMESPACE);
    let target = |address, path: &str, body: &str| Target {
        address,
        template: Arc::new(Template::post(path, &stage.webhook, body)),
        says: None,
    };
    let alertmanager_at = alertmanager.authority().parse().context("Alertmanager's address")?;
    let alertmanager_pid = alertmanager.server.pid().context("Alertmanager has ended")?;
    let alert = body::alertmanager_alert();
    Ok(vec![
        Subject { name: GATEWAY, target: target(stage.listen(), Stage::webhook_path(), &body), pid: gateway.pid(), stores: true },
        Subject { name: FLOOR, target: target(floor_at, "/", &body), pid: floor.pid(), stores: true },
        Subject { name: BARE, target: target(bare_at, "/", &body), pid: bare.pid(), stores: false },
        Subject {
            name: ALERTMANAGER,
            target: target(alertmanager_at, "/api/v2/alerts", &alert),
            pid: alertmanager_pid,
            stores: false,
        },
    ])
}

const GATEWAY: &str = "paramedic gateway, durable";
const FLOOR: &str = "(b) axum + JetStream, durable";
const BARE: &str = "(a) axum, parses and answers";
const ALERTMANAGER: &str = "(c) Alertmanager, in memory";
const FLOOR_STREAM: &str = "FLOOR";

async fn floor_stream(admin: &async_nats::Client) -> Result<()> {
    let config = jetstream::stream::Config {
        name: FLOOR_STREAM.to_owned(),
        subjects: vec![serve::SUBJECT.to_owned()],
        storage: jetstream::stream::StorageType::File,
        max_bytes: FLOOR_BYTES_MAX,
        allow_atomic_publish: true,
        ..Default::default()
    };
    jetstream::new(admin.clone()).create_stream(config).await.context("creating the yardstick's stream")?;
    Ok(())
}

async fn postgres(dir: &Path, environment: &Environment) -> Result<(Postgres, String)> {
    let programs = install::postgres(environment, &|line| note(line)).await?;
    let (dir, durability) = (dir.join("postgres"), Durability::Durable);
    let postgres = Postgres::start(local::postgres::Options { programs, dir, port: None, durability, settings: vec![] }).await?;
    let url = postgres.url();
    Ok((postgres, url))
}

async fn measure(bench: &Bench, subject: &Subject, plan: Plan) -> Result<Sample> {
    let context = jetstream::new(bench.admin.clone());
    for stream in [FLOOR_STREAM, "ALERTS"] {
        context.get_stream(stream).await.context("finding a stream")?.purge().await.context("emptying a stream")?;
    }
    let nats = bench.nats.server.pid().context("NATS has ended")?;
    let mut used = Vec::with_capacity(2);
    let outcome = load::run(&subject.target, plan, || {
        used.push((cpu_seconds(subject.pid)?, cpu_seconds(nats)?));
        Ok(())
    })
    .await
    .with_context(|| subject.name)?;
    ensure!(outcome.accepted > 0, "{} accepted nothing ({} refused)", subject.name, outcome.refused);
    let [before, after] = used.as_slice() else { anyhow::bail!("CPU time is read twice") };
    let per_request = |seconds: f64| seconds * 1e6 / number(outcome.accepted);
    let nats_cpu_us = if subject.stores { per_request(after.1 - before.1) } else { 0.0 };
    Ok(Sample { outcome, cpu_us: per_request(after.0 - before.0), nats_cpu_us })
}

fn report(subjects: &[Subject], samples: &[Vec<Vec<Sample>>], pace: Pace) {
    line(&format!(
        "\n1. Intake: bodies of 2 KiB with {} alerts, {} round(s) of {:.0} s each, interleaved; medians. NATS fsyncs always.",
        body::ALERTS,
        pace.rounds,
        pace.measure.as_secs_f64(),
    ));
    for (at, connections) in CONNECTIONS.into_iter().enumerate() {
        line(&format!("\n   {connections} connection(s)"));
        line("                                   requests/s  alerts/s   p50 ms   p99 ms  CPU µs/req  NATS µs/req  refused");
        let mut rates = Vec::new();
        for (subject, of_subject) in subjects.iter().zip(samples) {
            let list = of_subject.get(at).map_or(&[][..], Vec::as_slice);
            let of = |figure: fn(&Sample) -> f64| median(&list.iter().map(figure).collect::<Vec<_>>());
            let rate = of(|s| s.outcome.per_second);
            let alerts = if subject.name == ALERTMANAGER { 1 } else { body::ALERTS };
            line(&format!(
                "   {:<32}{rate:>11.0}{:>10.0}{:>9.2}{:>9.2}{:>12.1}{:>13.1}{:>9}",
                subject.name,
                rate * f64::from(alerts),
                of(|s| s.outcome.p50_ms),
                of(|s| s.outcome.p99_ms),
                of(|s| s.cpu_us),
                of(|s| s.nats_cpu_us),
                list.iter().map(|s| s.outcome.refused).sum::<u64>(),
            ));
            rates.push(rate);
        }
        goals(&rates, connections);
    }
    line("\n   (c) is asked singly, one alert a request, of 256 alerts that it knows: an update, which is what it does fastest.");
}

fn goals(rates: &[f64], connections: usize) {
    let [gateway, floor, bare, alertmanager] = rates else { return };
    let share = gateway / floor;
    let alerts = gateway * f64::from(body::ALERTS);
    line(&format!(
        "   goal: at least 60 % of (b): {:.0} % {}; of (a): {:.0} %",
        share * 100.0,
        verdict(share >= SHARE_OF_FLOOR_MIN),
        gateway / bare * 100.0
    ));
    // One sender waits for the disk each time, (c) for nothing: only the capacities compare.
    let verdict = if connections == 1 {
        "not judged: one sender waits for one fsync after the other"
    } else {
        verdict(gateway > alertmanager)
    };
    line(&format!(
        "   goal: faster than (c): {:.2} times its requests/s {verdict}; {:.2} times its alerts/s",
        gateway / alertmanager,
        alerts / alertmanager
    ));
}
