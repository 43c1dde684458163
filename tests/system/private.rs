//! `paramedic up` with nothing but its own folder: the servers that it starts for itself, how they end with it, and what the next start
//! finds again.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{DateTime, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use testkit::{Folder, eventually};
use tokio::process::{Child, Command};

use crate::manifests::paramedic;

/// Two servers that make their folders first, on a machine that compiles at the same time.
const UP_WITHIN: std::time::Duration = std::time::Duration::from_mins(2);
const SOON: std::time::Duration = std::time::Duration::from_mins(1);

/// A process on this machine, told from a later one that got its number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Running {
    pid: i32,
    parent: i32,
    name: String,
    started: u64,
}

/// `/proc/PID/stat` (proc(5)): pid, (name), state, parent, …; the start is the 22nd field.
fn running(stat: &str) -> Option<Running> {
    let (head, tail) = stat.rsplit_once(") ")?;
    let (pid, name) = head.split_once(" (")?;
    let fields: Vec<&str> = tail.split(' ').collect();
    let (parent, started) = (fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?);
    // One that has ended, and waits for its parent to hear of it.
    (*fields.first()? != "Z").then(|| Running { pid: pid.parse().unwrap_or_default(), parent, name: name.to_owned(), started })
}

fn all_running() -> Result<Vec<Running>> {
    let stats = std::fs::read_dir("/proc")?.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    Ok(stats.filter_map(|stat| running(&stat)).collect())
}

/// All that a process has started, and what that has started.
fn started_by(pid: i32) -> Result<Vec<Running>> {
    let all = all_running()?;
    let (mut found, mut parents) = (Vec::new(), vec![pid]);
    while let Some(parent) = parents.pop() {
        for child in all.iter().filter(|process| process.parent == parent) {
            parents.push(child.pid);
            found.push(child.clone());
        }
    }
    Ok(found)
}

/// One start.
struct Up {
    child: Child,
    pid: i32,
    url: String,
}

fn command(home: &Path) -> Result<Command> {
    let mut command = Command::new(paramedic()?);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    // Where `testbed` has put nats-server.
    command.env("PARAMEDIC_TOOLS", testkit::programs().0.tools).stdin(Stdio::null()).kill_on_drop(true);
    // The folder is the last of the arguments.
    command.current_dir(home);
    Ok(command)
}

impl Up {
    async fn start(home: &Path) -> Result<Self> {
        let log = |name: &str| std::fs::File::create(home.join(name));
        let mut command = command(home)?;
        command.args(["up", "--listen", "127.0.0.1:0", "--home"]).arg(home).stdout(log("said.txt")?).stderr(log("log.jsonl")?);
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id().context("it has ended")?)?;
        let ready = async || {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(Err(anyhow::anyhow!("it ended with {status}")));
            }
            // Until the new one is up, this is the address of the one before.
            let client: toml::Table = std::fs::read_to_string(home.join("client.toml")).ok()?.parse().ok()?;
            let url = client.get("url")?.as_str()?.to_owned();
            let status = reqwest::get(format!("{url}/readyz")).await.ok()?.status();
            status.is_success().then_some(Ok(url))
        };
        let url = eventually("readiness", UP_WITHIN, ready).await.and_then(|url| url);
        let url = url.with_context(|| std::fs::read_to_string(home.join("log.jsonl")).unwrap_or_default())?;
        Ok(Self { child, pid, url })
    }

    /// Ctrl-C; gives what ran below it a moment before.
    async fn interrupt(mut self) -> Result<Vec<Running>> {
        let started = started_by(self.pid)?;
        kill(Pid::from_raw(self.pid), Signal::SIGINT)?;
        let status = tokio::time::timeout(SOON, self.child.wait()).await.context("it does not stop")??;
        ensure!(status.success(), "it stopped with {status}");
        Ok(started)
    }
}

#[expect(clippy::disallowed_methods, reason = "the alert's own time, which a Prometheus would give")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// What Alertmanager posts.
async fn alert(home: &Path, url: &str) -> Result<()> {
    let tokens: toml::Table = std::fs::read_to_string(home.join("tokens.toml"))?.parse()?;
    let labels = json!({ "alertname": "QueueGrows", "namespace": "payments", "service": "billing", "severity": "warning" });
    let alert = json!({
        "status": "firing", "labels": labels, "annotations": {}, "startsAt": now(), "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "", "fingerprint": "0123456789abcdef",
    });
    let body = json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "paramedic", "groupLabels": {},
        "commonLabels": labels, "commonAnnotations": {}, "externalURL": "", "alerts": [alert],
    });
    let request = reqwest::Client::new().post(format!("{url}/v1/alertmanager/local"));
    let token = tokens["webhook"].as_str().context("no token")?;
    request.bearer_auth(token).json(&body).send().await?.error_for_status()?;
    Ok(())
}

/// The only incident, by the command.
async fn incident(home: &Path) -> Result<String> {
    let listed = command(home)?.args(["incident", "list", "--output", "json", "--home"]).arg(home).output().await?;
    let listed: Value =
        serde_json::from_slice(&listed.stdout).with_context(|| String::from_utf8_lossy(&listed.stderr).into_owned())?;
    match listed["items"].as_array().map(Vec::as_slice) {
        Some([only]) => Ok(only["incident"].as_str().context("no id")?.to_owned()),
        other => bail!("not one incident, but {other:?}"),
    }
}

/// The addresses that a start announces: NATS, PostgreSQL.
fn ports(home: &Path) -> Result<Vec<u16>> {
    let said = std::fs::read_to_string(home.join("said.txt"))?;
    let after = |word: &str| -> Result<u16> {
        let (_, rest) = said.split_once(word).with_context(|| format!("{word:?} is not in {said}"))?;
        Ok(rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse()?)
    };
    Ok(vec![after("nats://127.0.0.1:")?, after("PostgreSQL on 127.0.0.1:")?])
}

fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[tokio::test]
async fn what_up_started_ends_with_it_and_the_next_start_goes_on() -> Result<()> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let (folder, foreign) = (Folder::new()?, testkit::nats("").await?);
    let home: PathBuf = folder.join("home");
    std::fs::create_dir(&home)?;
    let up = Up::start(&home).await?;
    alert(&home, &up.url).await?;
    let mut opened = None;
    eventually("an incident", SOON, async || {
        opened = incident(&home).await.ok();
        opened.as_ref().map(drop)
    })
    .await?;

    let ports = ports(&home)?;
    ensure!(ports.iter().all(|port| listens(*port)), "{ports:?}");
    let started = up.interrupt().await?;
    for name in ["nats-server", "postgres"] {
        ensure!(started.iter().any(|process| process.name == name), "{name} is not among {started:?}");
    }
    let left: Vec<Running> = all_running()?.into_iter().filter(|process| is_among(process, &started)).collect();
    ensure!(left.is_empty(), "these go on: {left:?}");
    ensure!(!ports.iter().any(|port| listens(*port)), "{ports:?}");
    let foreign_port: u16 = foreign.url().rsplit(':').next().unwrap_or_default().parse()?;
    ensure!(listens(foreign_port), "a server of somebody else was stopped");

    let up = Up::start(&home).await?;
    let again = incident(&home).await?;
    ensure!(Some(&again) == opened.as_ref(), "{again} is not {opened:?}");
    up.interrupt().await.map(drop)
}

/// The same process, whoever is its parent now.
fn is_among(process: &Running, all: &[Running]) -> bool {
    all.iter().any(|other| (other.pid, other.started) == (process.pid, process.started))
}
