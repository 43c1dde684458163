//! The program under test, as a process of its own: started, killed, started again, stopped, and asked by its own commands.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::{Child, Command};

use super::{SOON, until};

/// As much of the log's end as a failed test shows.
const LOG_BYTES_SHOWN: usize = 60_000;
/// As much of its last line.
const LINE_BYTES_SHOWN: usize = 2_000;
/// A stop lets work end; Kubernetes would kill after this.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// `paramedic up`.
pub(crate) struct Process {
    home: PathBuf,
    /// The gateway's address, without a slash at the end.
    pub(crate) gateway: String,
    environment: [(&'static str, String); 2],
    child: Option<Child>,
    is_done: bool,
}

/// The program, as cargo built it beside this test.
fn program() -> Result<PathBuf> {
    let test = std::env::current_exe().context("finding this test's program")?;
    let folder = test.parent().and_then(Path::parent).context("this test's program is not in a target folder")?;
    let program = folder.join("paramedic");
    ensure!(program.exists(), "{} is not there: run `cargo build -p cli` first", program.display());
    Ok(program)
}

/// A command of the program, with nothing in its environment that the test did not put there.
fn command() -> Result<Command> {
    let mut command = Command::new(program()?);
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// The bus's user section, by the program's own command.
pub(super) async fn nats_users(home: &Path) -> Result<String> {
    let config = home.join("paramedic.toml");
    let output = command()?.arg("nats-users").arg("--config").arg(config).output().await?;
    ensure!(output.status.success(), "paramedic nats-users: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

impl Process {
    /// Starts it and waits until it is ready.
    pub(super) async fn start(home: &Path, gateway: String, nats: String, database: String) -> Result<Self> {
        let environment = [("NATS_URL", nats), ("DATABASE_URL", database)];
        let mut process = Self { home: home.to_owned(), gateway, environment, child: None, is_done: false };
        process.launch()?;
        process.ready().await?;
        Ok(process)
    }

    fn log(&self) -> PathBuf {
        self.home.join("paramedic.log")
    }

    /// How long the log is: it grows as the program works.
    pub(crate) fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.log()).map_or(0, |metadata| metadata.len())
    }

    /// What was written to the log after that many bytes.
    pub(crate) fn log_after(&self, bytes: u64) -> String {
        let log = std::fs::read(self.log()).unwrap_or_default();
        let after = usize::try_from(bytes).ok().and_then(|bytes| log.get(bytes..)).unwrap_or_default();
        String::from_utf8_lossy(after).into_owned()
    }

    /// The last whole line of the log: what the program did last.
    pub(crate) fn last_line(&self) -> String {
        let log = std::fs::read(self.log()).unwrap_or_default();
        let end = log.get(log.len().saturating_sub(LINE_BYTES_SHOWN)..).unwrap_or_default();
        String::from_utf8_lossy(end).lines().last().unwrap_or_default().to_owned()
    }

    /// Starts it without waiting.
    pub(crate) fn launch(&mut self) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).context("opening the program's log")?;
        // What it says to people is apart from what it logs.
        let said = std::fs::File::create(self.home.join("said.txt")).context("opening a file for what the program says")?;
        let mut command = command()?;
        self.is_done = false;
        command.arg("up").arg("--home").arg(&self.home).envs(self.environment.clone());
        self.child = Some(command.stdout(said).stderr(log).spawn().context("starting the program")?);
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let (http, url) = (super::people::client()?, format!("{}/readyz", self.gateway));
        let child = self.child.as_mut().context("the program was not started")?;
        until("readiness", async || {
            let ended = child.try_wait()?;
            let status = http.get(&url).send().await.map(|response| response.status());
            Ok(match (ended, status) {
                (Some(ended), _) => Some(ended),
                (None, Ok(status)) if status.is_success() => None,
                (None, other) => bail!("it answers {other:?}"),
            })
        })
        .await?
        .map_or(Ok(()), |ended| bail!("the program ended while it started: {ended}"))
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill9(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the program does not run")?;
        child.kill().await.context("killing the program")
    }

    /// Asks it to stop; it must end in good order.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the program does not run")?;
        let pid = i32::try_from(child.id().context("the program has ended by itself")?)?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        let status = tokio::time::timeout(STOP_WITHIN, child.wait()).await.context("the program does not stop")??;
        ensure!(status.code() == Some(0), "the program stopped with {status}");
        self.is_done = true;
        Ok(())
    }

    /// Runs a command of a person, who is `ana` unless arguments say otherwise.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = command()?;
        let running = command.args(arguments).arg("--home").arg(&self.home).output();
        tokio::time::timeout(SOON, running).await.context("the command does not end")?.context("running a command")
    }

    /// Runs a command that must succeed, and gives what it prints.
    pub(crate) async fn says(&self, arguments: &[&str]) -> Result<String> {
        told(arguments, self.run(arguments).await?)
    }

    /// Runs a command of a person that must print JSON, and gives that.
    pub(crate) async fn reads(&self, arguments: &[&str]) -> Result<Value> {
        json(&self.says(&[arguments, &["--output", "json"]].concat()).await?)
    }

    /// Where an agent is reached over HTTP.
    pub(crate) fn agent(&self, name: &str) -> String {
        format!("{}/a2a/{name}", self.gateway)
    }

    /// Runs a command of an A2A client, which must succeed; what it prints.
    pub(crate) async fn calls(&self, token: &str, arguments: &[&str]) -> Result<Value> {
        let mut command = command()?;
        command.arg("a2a").args(arguments).args(["--output", "json"]).env("PARAMEDIC_A2A_TOKEN", token);
        let output = tokio::time::timeout(SOON, command.output()).await.context("the command does not end")??;
        json(&told(arguments, output)?)
    }

    /// The same for whoever owns the configuration.
    pub(crate) async fn administrator_reads(&self, arguments: &[&str]) -> Result<Value> {
        json(&self.administers(&[arguments, &["--output", "json"]].concat()).await?)
    }

    /// Runs a command of whoever owns the configuration.
    pub(crate) async fn administers(&self, arguments: &[&str]) -> Result<String> {
        let output = command()?.args(arguments).arg("--config").arg(self.home.join("paramedic.toml")).output();
        told(arguments, tokio::time::timeout(SOON, output).await.context("the command does not end")??)
    }
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("this is no JSON: {text}"))
}

fn told(arguments: &[&str], output: Output) -> Result<String> {
    let (said, complained) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "paramedic {}: {said}{complained}", arguments.join(" "));
    Ok(said)
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let log = std::fs::read(self.log()).unwrap_or_default();
        let shown = log.get(log.len().saturating_sub(LOG_BYTES_SHOWN)..).unwrap_or_default();
        eprintln!("--- the program's log ---\n{}\n--- end of the log ---", String::from_utf8_lossy(shown));
    }
}
