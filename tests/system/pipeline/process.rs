//! The program under test, as one process or one for each role: started, killed, started again, stopped, and asked by its own commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use incident::task::Role;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{SOON, until};

/// As much of the log's end as a failed test shows.
const LOG_BYTES_SHOWN: usize = 60_000;
/// As much of its last line.
const LINE_BYTES_SHOWN: usize = 2_000;
/// A stop lets work end; Kubernetes would kill after this.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// What runs as a process of its own: one role, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// `paramedic up`.
    All,
    /// `paramedic run ROLE`.
    One(Role),
}

/// The program's processes.
pub(crate) struct Process {
    home: PathBuf,
    /// The gateway's address, without a slash at the end.
    pub(crate) gateway: String,
    environment: [(&'static str, String); 2],
    /// Where each part tells its health.
    health: BTreeMap<Part, String>,
    children: BTreeMap<Part, Child>,
    is_done: bool,
}

/// Where the servers are that the program uses.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    /// The bus.
    pub(super) nats: String,
    /// Postgres as the program reaches it.
    pub(super) database: String,
    /// Postgres as the test reaches it, whatever becomes of the way in between.
    pub(super) database_directly: String,
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
    pub(super) async fn start(home: &Path, gateway: String, servers: Servers) -> Result<Self> {
        let health = BTreeMap::from([(Part::All, gateway.clone())]);
        let mut process = Self::new(home, gateway, servers, health);
        process.launch()?;
        process.ready().await?;
        Ok(process)
    }

    /// Starts each role as a process of its own, and waits until all are ready.
    pub(super) async fn start_apart(home: &Path, gateway: String, servers: Servers) -> Result<Self> {
        let put = |name: &str, value: Value| -> Result<()> { Ok(std::fs::write(home.join(name), toml::to_string(&value)?)?) };
        // What `paramedic up` would leave for the commands.
        put("servers.toml", json!({ "nats_url": servers.nats, "database_url": servers.database_directly }))?;
        put("client.toml", json!({ "url": gateway, "token": super::Who::Ana.token() }))?;
        let ports = local::free_ports::<{ Role::ALL.len() }>()?;
        let address = |(role, port): (Role, u16)| (Part::One(role), format!("http://127.0.0.1:{port}"));
        let health = Role::ALL.into_iter().zip(ports).map(address).collect();
        let mut process = Self::new(home, gateway, servers, health);
        process.administers(&["migrate"]).await?;
        process.launch()?;
        process.ready().await?;
        Ok(process)
    }

    fn new(home: &Path, gateway: String, servers: Servers, health: BTreeMap<Part, String>) -> Self {
        let environment = [("NATS_URL", servers.nats), ("DATABASE_URL", servers.database)];
        Self { home: home.to_owned(), gateway, environment, health, children: BTreeMap::new(), is_done: false }
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
        self.is_done = false;
        let parts: Vec<Part> = self.health.keys().copied().collect();
        parts.into_iter().try_for_each(|part| self.launch_part(part))
    }

    /// Starts a role's own process without waiting.
    pub(crate) fn launch_role(&mut self, role: Role) -> Result<()> {
        self.launch_part(Part::One(role))
    }

    fn launch_part(&mut self, part: Part) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).context("opening the program's log")?;
        // What it says to people is apart from what it logs.
        let said = std::fs::File::create(self.home.join("said.txt")).context("opening a file for what the program says")?;
        let mut command = command()?;
        match part {
            Part::All => {
                command.arg("up").arg("--home").arg(&self.home);
            }
            Part::One(role) => {
                let health = self.health.get(&part).context("only roles that are processes of their own can be started alone")?;
                command.args(["run", role.as_str(), "--config"]).arg(self.config());
                command.env("PARAMEDIC_PROCESS__HEALTH_LISTEN", health.trim_start_matches("http://"));
            }
        }
        command.envs(self.environment.clone());
        let child = command.stdout(said).stderr(log).spawn().context("starting the program")?;
        self.children.insert(part, child);
        Ok(())
    }

    fn config(&self) -> PathBuf {
        self.home.join("paramedic.toml")
    }

    /// Changes the configuration, which every process reads when it starts.
    pub(super) fn reconfigure(&self, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
        let mut config: Value = toml::from_str(&std::fs::read_to_string(self.config())?)?;
        change(&mut config)?;
        std::fs::write(self.config(), toml::to_string(&config)?).context("writing the configuration")
    }

    /// Starts another replica of a role beside it, on the same bus and database, until what is returned is dropped.
    pub(crate) fn replica(&self, role: &str) -> Result<Child> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).context("opening the program's log")?;
        let mut command = command()?;
        command.args(["run", role, "--config"]).arg(self.config()).envs(self.environment.clone());
        command.env("PARAMEDIC_PROCESS__HEALTH_LISTEN", "127.0.0.1:0");
        command.stdout(Stdio::null()).stderr(log).spawn().with_context(|| format!("starting a replica of {role}"))
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let http = super::people::client()?;
        for (part, address) in &self.health {
            let url = format!("{address}/readyz");
            let child = self.children.get_mut(part).with_context(|| format!("{part:?} was not started"))?;
            until(&format!("readiness of {part:?}"), async || {
                let ended = child.try_wait()?;
                let status = http.get(&url).send().await.map(|response| response.status());
                Ok(match (ended, status) {
                    (Some(ended), _) => Some(ended),
                    (None, Ok(status)) if status.is_success() => None,
                    (None, other) => bail!("it answers {other:?}"),
                })
            })
            .await?
            .map_or(Ok(()), |ended| bail!("{part:?} ended while it started: {ended}"))?;
        }
        Ok(())
    }

    /// Whether a role's own process says that it is ready.
    pub(crate) async fn is_ready(&self, role: Role) -> Result<bool> {
        let address =
            self.health.get(&Part::One(role)).context("only roles that are processes of their own tell their health")?;
        Ok(super::people::client()?.get(format!("{address}/readyz")).send().await?.status().is_success())
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill9(&mut self) -> Result<()> {
        ensure!(!self.children.is_empty(), "the program does not run");
        for (_, mut child) in std::mem::take(&mut self.children) {
            child.kill().await.context("killing the program")?;
        }
        Ok(())
    }

    /// Ends a role's own process as a crash would.
    pub(crate) async fn kill9_role(&mut self, role: Role) -> Result<()> {
        let child = self.children.remove(&Part::One(role));
        let mut child = child.with_context(|| format!("{role} is no process of its own, or does not run"))?;
        ensure!(child.try_wait()?.is_none(), "{role} had ended by itself");
        child.kill().await.with_context(|| format!("killing {role}"))
    }

    /// Asks it to stop; it must end in good order.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        ensure!(!self.children.is_empty(), "the program does not run");
        let mut children = std::mem::take(&mut self.children);
        for (part, child) in &children {
            let pid = child.id().with_context(|| format!("{part:?} has ended by itself"))?;
            kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        }
        for (part, child) in &mut children {
            let status = tokio::time::timeout(STOP_WITHIN, child.wait()).await;
            let status = status.with_context(|| format!("{part:?} does not stop"))??;
            ensure!(status.code() == Some(0), "{part:?} stopped with {status}");
        }
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
        let output = command()?.args(arguments).arg("--config").arg(self.config()).output();
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
