//! `docker-compose.yml`, with everything of it run for real that needs no container engine: its setup script, the
//! configurations that the script makes, the roles on them, and its health check.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use incident::task::Role;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Url;
use serde_json::Value;
use testkit::{Folder, eventually};

use super::configuration::paramedic;
use super::objects::{checkout, list, run};

/// A role connects and answers in well under a second; a loaded machine is slower.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Prometheus takes up new targets every five seconds.
const DISCOVERED_WITHIN: Duration = Duration::from_secs(30);
/// The grace period of a process, and some more.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

fn compose() -> Result<Value> {
    let mut file: serde_yaml_ng::Value = serde_yaml_ng::from_str(&std::fs::read_to_string(checkout("docker-compose.yml"))?)?;
    file.apply_merge()?;
    Ok(serde_json::to_value(file)?)
}

/// A command line of the file; `$$` is how it writes `$`.
fn command_line(words: &Value) -> Vec<String> {
    list(words).iter().filter_map(Value::as_str).map(|word| word.replace("$$", "$")).collect()
}

/// Runs the setup service's script in `home`.
fn set_up(file: &Value, home: &Path) -> Result<()> {
    let words = command_line(&file["services"]["setup"]["entrypoint"]);
    let (program, args) = words.split_first().context("setup has no entrypoint")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let command = paramedic()?;
    let dirs = command.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    run(Command::new(program).args(args).env("HOME_DIR", home).env("PATH", std::env::join_paths(dirs)?))?;
    Ok(())
}

fn table(home: &Path, service: &str) -> Result<toml::Table> {
    Ok(std::fs::read_to_string(home.join(service).join("paramedic.toml"))?.parse()?)
}

#[test]
fn every_role_is_a_service() -> Result<()> {
    let file = compose()?;
    let services = file["services"].as_object().context("no services")?;
    for role in Role::ALL {
        let service = services.get(role.as_str()).with_context(|| format!("no service {role}"))?;
        assert_eq!(command_line(&service["command"]), ["run", role.as_str(), "--config", "/etc/paramedic/paramedic.toml"]);
        assert_eq!(service["volumes"], serde_json::json!([format!("./.paramedic-compose/{role}:/etc/paramedic:ro")]));
        assert_eq!((&service["read_only"], &service["cap_drop"]), (&true.into(), &serde_json::json!(["ALL"])), "{role}");
        assert!(service["healthcheck"]["test"].is_array(), "{role}");
    }
    for (name, service) in services {
        let needed = service["depends_on"].as_object().into_iter().flatten();
        for (needs, _) in needed {
            assert!(services.contains_key(needs), "{name} needs {needs}");
        }
    }
    Ok(())
}

#[test]
fn the_first_start_makes_secrets_and_later_ones_keep_them() -> Result<()> {
    let (file, folder) = (compose()?, Folder::new()?);
    set_up(&file, folder.path())?;
    let mut secrets = BTreeSet::new();
    for role in Role::ALL {
        let config = table(folder.path(), role.as_str())?;
        for section in ["nats", "database"] {
            let passwords = config[section]["passwords"].as_table().context("no passwords")?;
            assert_eq!(passwords.keys().collect::<Vec<_>>(), [role.as_str()]);
            assert!(secrets.insert(passwords.values().next().map(ToString::to_string)), "{role} shares its {section} password");
        }
    }
    let read = || table(folder.path(), "gateway");
    let before = read()?;
    set_up(&file, folder.path())?;
    assert_eq!(read()?, before);
    Ok(())
}

#[tokio::test]
async fn nats_understands_its_configuration() -> Result<()> {
    let (file, folder) = (compose()?, Folder::new()?);
    set_up(&file, folder.path())?;
    let nats = &file["services"]["nats"];
    let mounted = [&nats["configs"][0]["target"], &nats["volumes"][0]];
    assert_eq!(mounted, ["/etc/paramedic.conf", "./.paramedic-compose/nats:/etc/paramedic:ro"]);
    // As in /etc of the container.
    std::fs::rename(folder.join("nats"), folder.join("paramedic"))?;
    std::fs::write(folder.join("paramedic.conf"), file["configs"]["nats"]["content"].as_str().context("no configuration")?)?;
    let (environment, progress) = testkit::programs();
    let server = local::install::nats(&environment, &progress).await?;
    run(Command::new(server).arg("-t").arg("-c").arg(folder.join("paramedic.conf")))?;
    Ok(())
}

#[tokio::test]
async fn prometheus_and_alertmanager_understand_theirs() -> Result<()> {
    let file = compose()?;
    let config = |name: &str| file["configs"][name]["content"].as_str().with_context(|| format!("no config {name}"));
    // They end when they do not understand what they are given.
    let prometheus = testkit::prometheus(config("prometheus")?, config("rules")?).await?;
    testkit::alertmanager(None, config("alertmanager")?).await?;
    let rules: Value = reqwest::get(format!("{}/api/v1/rules", prometheus.url())).await?.json().await?;
    let loaded = list(&rules["data"]["groups"]).iter().flat_map(|group| list(&group["rules"]));
    assert_eq!(loaded.map(|rule| &rule["name"]).collect::<Vec<_>>(), ["ParamedicDown"]);
    let discovered = async || {
        let targets = reqwest::get(format!("{}/api/v1/targets", prometheus.url())).await.ok()?;
        let targets: Value = targets.json().await.ok()?;
        (list(&targets["data"]["activeTargets"]).len() == Role::ALL.len()).then_some(())
    };
    eventually("Prometheus taking up a target for each role", DISCOVERED_WITHIN, discovered).await?;
    Ok(())
}

/// A port that nobody listens on right now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// One role, killed when dropped.
struct Running {
    role: Role,
    process: tokio::process::Child,
    health_port: u16,
}

impl Running {
    fn start(role: Role, home: &Path, nats: &str, database: &str) -> Result<Self> {
        let health_port = free_port()?;
        let log = std::fs::File::create(home.join(format!("{role}.log")))?;
        let process = tokio::process::Command::new(paramedic()?)
            .args(["run", role.as_str(), "--config"])
            .arg(home.join(role.as_str()).join("paramedic.toml"))
            .env_clear()
            .env("NATS_URL", nats)
            .env("DATABASE_URL", database)
            .env("PARAMEDIC_PROCESS__HEALTH_LISTEN", format!("127.0.0.1:{health_port}"))
            .envs(listen_variable(role)?)
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { role, process, health_port })
    }

    /// Waits until the file's own health check is content.
    async fn await_ready(&self, file: &Value, home: &Path) -> Result<()> {
        let words = command_line(&file["services"][self.role.as_str()]["healthcheck"]["test"]);
        let (program, args) =
            words.strip_prefix(&["CMD".to_owned()][..]).and_then(<[_]>::split_first).context("no health check")?;
        let args: Vec<String> = args.iter().map(|word| word.replace("/9464", &format!("/{}", self.health_port))).collect();
        let healthy = async || {
            let checked = tokio::process::Command::new(program).args(&args).stderr(Stdio::null()).status().await;
            checked.is_ok_and(|status| status.success()).then_some(())
        };
        let what = format!("{} becoming healthy", self.role);
        let ready = eventually(&what, READY_WITHIN, healthy).await;
        ready.with_context(|| std::fs::read_to_string(home.join(format!("{}.log", self.role))).unwrap_or_default())
    }

    async fn stop(mut self) -> Result<()> {
        let pid = self.process.id().with_context(|| format!("{} has ended by itself", self.role))?;
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        let ended = tokio::time::timeout(STOPPED_WITHIN, self.process.wait()).await??;
        ensure!(ended.success(), "{} ended with {ended}", self.role);
        Ok(())
    }
}

/// Containers have a port 8080 each; the processes of a test do not.
fn listen_variable(role: Role) -> Result<Option<(String, String)>> {
    let listens = matches!(role, Role::Gateway | Role::Connectors);
    let variable = format!("PARAMEDIC_{}__LISTEN", role.as_str().to_ascii_uppercase());
    listens.then(|| Ok((variable, format!("127.0.0.1:{}", free_port()?)))).transpose()
}

#[tokio::test]
async fn every_role_runs_on_the_first_configuration() -> Result<()> {
    let (file, folder) = (compose()?, Folder::new()?);
    let home = folder.path();
    set_up(&file, home)?;
    let nats = testkit::nats(&std::fs::read_to_string(home.join("nats/users.conf"))?).await?;
    let database = testkit::postgres_database().await?;

    let migrate = tokio::process::Command::new(paramedic()?)
        .args(["migrate", "--config"])
        .arg(home.join("migrate/paramedic.toml"))
        .env_clear()
        .env("NATS_URL", nats.url())
        .env("DATABASE_URL", &database.url)
        .output()
        .await?;
    ensure!(migrate.status.success(), "migrate: {}", String::from_utf8_lossy(&migrate.stderr));

    // Roles are told host, port and database; login and password are their own.
    let mut address: Url = database.url.parse()?;
    let stripped = address.set_username("").and_then(|()| address.set_password(None));
    ensure!(stripped.is_ok(), "an address without host: {address}");
    let start = |role| Running::start(role, home, &nats.url(), address.as_str());
    let running = Role::ALL.into_iter().map(start).collect::<Result<Vec<_>>>()?;
    for role in &running {
        role.await_ready(&file, home).await?;
    }
    let administers = |arguments: &'static [&'static str]| {
        let mut command = tokio::process::Command::new(paramedic()?);
        command.args(arguments).arg("--config").arg(home.join("ledger/paramedic.toml")).env_clear();
        command.env("NATS_URL", nats.url()).env("DATABASE_URL", address.as_str());
        anyhow::Ok(command)
    };
    as_in_the_ledgers_pod(home, administers).await?;
    for role in running {
        role.stop().await?;
    }
    Ok(())
}

/// The README's way on Kubernetes: the ledger's configuration, and the administrator's password from elsewhere.
async fn as_in_the_ledgers_pod(
    home: &Path,
    command: impl Fn(&'static [&'static str]) -> Result<tokio::process::Command>,
) -> Result<()> {
    let verified = command(&["audit", "verify", "--tenant", "local"])?.output().await?;
    let complaint = String::from_utf8_lossy(&verified.stderr);
    ensure!(complaint.contains("tenant local has no audit chain"), "nothing happened yet: {complaint}");
    let admin = table(home, "migrate")?;
    let password = admin["nats"]["admin_password"].as_str().context("no password")?;
    let listed = command(&["dead", "list"])?.env("PARAMEDIC_NATS__ADMIN_PASSWORD", password).output().await?;
    ensure!(listed.stdout == b"No dead letters.\n", "{listed:?}");
    Ok(())
}

#[test]
fn docker_understands_the_file() -> Result<()> {
    let has_plugin = Command::new("docker").args(["compose", "version"]).output().is_ok_and(|output| output.status.success());
    if !has_plugin {
        eprintln!("skipped: this machine has no `docker compose`");
        return Ok(());
    }
    let file = checkout("docker-compose.yml");
    run(Command::new("docker").args(["compose", "--profile", "watch", "--file"]).arg(file).args(["config", "--quiet"]))?;
    Ok(())
}
