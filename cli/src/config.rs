//! `paramedic.toml`: everything that is configured, in one file. Each role takes what it needs; a role that runs alone gets a file
//! with only its own sections and secrets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cluster::kubernetes::KubernetesConfig;
use cluster::prometheus::PrometheusConfig;
use communication::JiraProject;
use gateway::{A2aClient, A2aEdge, Person, SilencesOf, SlackEdge, Ways};
use incident::agents::monitoring::Lifecycle;
use incident::alert::Correlation;
use incident::approval::Policy;
use incident::heartbeat::Heartbeats;
use incident::id::TenantId;
use incident::silence::Maintenance;
use incident::storm::StormRules;
use incident::task::Role;
use runtime::secret::Secret;
use runtime::telemetry::TelemetryConfig;
use serde::Deserialize;
use toml::{Table, Value};
use url::Url;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// `[nats]`.
    pub(crate) nats: Nats,
    /// `[database]`.
    pub(crate) database: Database,
    /// `[telemetry]`.
    #[serde(default)]
    pub(crate) telemetry: TelemetryConfig,
    /// `[process]`.
    #[serde(default)]
    pub(crate) process: Process,
    /// `[gateway]`, for that role.
    pub(crate) gateway: Option<Gateway>,
    /// `[communication]`, for that role.
    pub(crate) communication: Option<Communication>,
    /// `[connectors]`, for that role.
    pub(crate) connectors: Option<Connectors>,
    /// `[remediation]`, for that role.
    pub(crate) remediation: Option<Remediation>,
    /// `[tenants.<id>]`.
    #[serde(default)]
    pub(crate) tenants: BTreeMap<TenantId, Tenant>,
}

/// How the bus is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nats {
    /// Such as `nats://nats:4222`. `NATS_URL` wins.
    #[serde(default)]
    pub(crate) url: String,
    /// The password of the administrator, who may create streams: for `migrate`, `up` and `dead`.
    pub(crate) admin_password: Option<Secret>,
    /// Each role's password. A role that runs alone knows only its own.
    #[serde(default)]
    pub(crate) passwords: BTreeMap<Role, Secret>,
    /// Copies of each stream: 1 on one server, 3 in a cluster.
    #[serde(default = "one")]
    pub(crate) replicas: usize,
}

fn one() -> usize {
    1
}

/// How Postgres is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Database {
    /// The administrator's address, who may create schemas and logins: for `migrate` and `up`. `DATABASE_URL` wins. A role that runs
    /// alone needs host, port and database of it, no password.
    #[serde(default)]
    pub(crate) url: Option<Secret>,
    /// Each role's password. A role that runs alone knows only its own.
    #[serde(default)]
    pub(crate) passwords: BTreeMap<Role, Secret>,
}

/// What concerns the process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Process {
    /// Where `/healthz`, `/readyz` and `/metrics` of a role that runs alone are served.
    pub(crate) health_listen: SocketAddr,
    /// How long work stays with a process that went away, in milliseconds, before another takes over.
    pub(crate) lease_ms: u64,
    /// How often it is looked whether anything is open and waits for nothing, in seconds.
    pub(crate) audit_s: u64,
}

impl Default for Process {
    fn default() -> Self {
        Self { health_listen: SocketAddr::from(([127, 0, 0, 1], 9_464)), lease_ms: 10_000, audit_s: 60 }
    }
}

/// The HTTP edge.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gateway {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Ed25519 seed that it signs decisions with: 64 hex digits.
    pub(crate) signing_key: Secret,
    /// Where A2A clients reach it, as its agents' cards say; without it, where it listens.
    pub(crate) public_url: Option<Url>,
    /// How A2A clients reach its agents otherwise, and know them.
    #[serde(default)]
    pub(crate) a2a: A2aEdge,
}

impl Gateway {
    /// How A2A clients reach its agents.
    pub(crate) fn ways(&self) -> anyhow::Result<Ways> {
        let url = self.public_url.clone().map_or_else(|| Url::parse(&format!("http://{}", self.listen)), Ok);
        Ok(Ways::new(&url.context("gateway.listen is no address that a URL can hold")?, &self.a2a)?)
    }
}

/// How people are told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Communication {
    /// Base URL of the connectors.
    pub(crate) connectors: Url,
    /// Token that they ask for.
    pub(crate) token: Secret,
}

/// The MCP servers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connectors {
    /// Where they listen.
    pub(crate) listen: SocketAddr,
    /// Who may call.
    pub(crate) surface: mcp::server::Surface,
    /// Slack, if there is one.
    pub(crate) slack: Option<connectors::slack::Config>,
    /// Jira, if there is one.
    pub(crate) jira: Option<connectors::jira::Config>,
}

/// What may be repaired how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remediation {
    /// Folder with runbooks; relative to the configuration file. None: the ones that come with Paramedic.
    pub(crate) runbooks: Option<PathBuf>,
    /// The gateway's public key: 64 hex digits.
    pub(crate) gateway_public_key: String,
}

/// One tenant.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tenant {
    /// Bearer token of its Alertmanagers.
    pub(crate) webhook_token: Option<Secret>,
    /// How long incidents are held, and when one is taken for flapping.
    #[serde(default)]
    pub(crate) lifecycle: Lifecycle,
    /// Labels that make alerts one incident.
    #[serde(default)]
    pub(crate) correlation: Correlation,
    /// Alerts that always fire: their absence is the trouble. For gateway and monitoring.
    #[serde(default)]
    pub(crate) heartbeat: Heartbeats,
    /// When work is announced, and what is muted meanwhile. For monitoring.
    #[serde(default)]
    pub(crate) maintenance: Vec<Maintenance>,
    /// File that says what depends on what; relative to the configuration file. For monitoring.
    pub(crate) topology: Option<PathBuf>,
    /// When so much happens at once that people get one notice of it. For communication.
    #[serde(default)]
    pub(crate) storm: StormRules,
    /// An Alertmanager whose silences hold here as well. For the gateway.
    pub(crate) silences: Option<SilencesOf>,
    /// Who is who.
    #[serde(default)]
    pub(crate) people: Vec<Person>,
    /// Programs that may give our agents work over A2A.
    #[serde(default)]
    pub(crate) a2a_clients: Vec<A2aClient>,
    /// What may run behind whose yes.
    #[serde(default)]
    pub(crate) policy: Policy,
    /// Its Slack channel.
    pub(crate) slack: Option<Slack>,
    /// Where people get alerts that cannot be handled because Postgres is away.
    pub(crate) fallback: Option<Fallback>,
    /// Its Jira project.
    pub(crate) jira: Option<JiraProject>,
    /// Its cluster.
    pub(crate) kubernetes: Option<KubernetesConfig>,
    /// The same cluster with credentials of a role's own, for roles that share this file: `[tenants.ID.kubernetes_as.remediation]`.
    #[serde(default)]
    pub(crate) kubernetes_as: BTreeMap<Role, KubernetesConfig>,
    /// Its Prometheus.
    pub(crate) prometheus: Option<PrometheusConfig>,
    /// Which of its metrics are watched: for monitoring.
    pub(crate) watch: Option<Watch>,
}

/// A tenant's metric watch.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watch {
    /// Folder with watch rules; relative to the configuration file.
    pub(crate) rules: PathBuf,
    /// Seconds from one look at the metrics to the next, 1 to 300.
    #[serde(default = "minute")]
    pub(crate) interval_s: u32,
}

fn minute() -> u32 {
    60
}

/// A tenant's Slack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slack {
    /// Channel id that incidents are announced in.
    pub(crate) channel: String,
    /// How its clicks are recognised: for the gateway.
    pub(crate) interactions: Option<SlackEdge>,
}

/// Where people get alerts as they came.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fallback {
    /// Slack channel id: one that people watch and that nothing else is posted in.
    pub(crate) channel: String,
}

impl Tenant {
    /// The cluster, with the credentials that `role` uses.
    pub(crate) fn kubernetes_of(&self, role: Role) -> Option<&KubernetesConfig> {
        self.kubernetes_as.get(&role).or(self.kubernetes.as_ref())
    }
}

impl Config {
    /// Reads the file and the environment.
    #[expect(clippy::disallowed_methods, reason = "the process's edge: the environment is read here, once")]
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let mut config: Self = runtime::config::load(path, std::env::vars())?;
        if let Ok(url) = std::env::var("NATS_URL") {
            config.nats.url = url;
        }
        if let Ok(url) = std::env::var("DATABASE_URL") {
            config.database.url = Some(Secret::new(url));
        }
        Ok(config)
    }

    /// The password under which `role` logs in to the bus.
    pub(crate) fn nats_password(&self, role: Role) -> anyhow::Result<&Secret> {
        self.nats.passwords.get(&role).with_context(|| format!("the configuration has no nats.passwords.{role}"))
    }

    /// The address under which `role` logs in to the database.
    pub(crate) fn database_url(&self, role: Role) -> anyhow::Result<String> {
        let password = self.database.passwords.get(&role);
        let password = password.with_context(|| format!("the configuration has no database.passwords.{role}"))?;
        Ok(store::role_url(self.admin_database_url()?, role, password.reveal())?)
    }

    /// The administrator's database address.
    pub(crate) fn admin_database_url(&self) -> anyhow::Result<&str> {
        let url = self.database.url.as_ref().map(Secret::reveal);
        url.context("no database: set database.url in the configuration, or DATABASE_URL")
    }

    /// All roles' database passwords.
    pub(crate) fn database_passwords(&self) -> Vec<(Role, String)> {
        self.database.passwords.iter().map(|(role, password)| (*role, password.reveal().to_owned())).collect()
    }
}

/// Keys whose values are never shown.
const SECRET_KEYS: [&str; 8] = ["password", "token", "secret", "key", "bearer", "url", "passwords", "signing_key"];

/// The file as it is in force, with what the environment overrides, secrets replaced.
#[expect(clippy::disallowed_methods, reason = "the process's edge: the environment is read here, once")]
pub(crate) fn shown(path: &Path) -> anyhow::Result<String> {
    let mut table: Table = runtime::config::load(path, std::env::vars())?;
    for (variable, section) in [("NATS_URL", "nats"), ("DATABASE_URL", "database")] {
        if let (Ok(url), Some(Value::Table(section))) = (std::env::var(variable), table.get_mut(section)) {
            section.insert("url".to_owned(), Value::from(url));
        }
    }
    shown_table(table)
}

/// As [`shown`], from what was read.
pub(crate) fn shown_table(mut table: Table) -> anyhow::Result<String> {
    show_lifecycles(&mut table)?;
    redact(&mut table);
    Ok(toml::to_string_pretty(&table)?)
}

/// Each tenant's numbers, those that the file leaves to their defaults too.
fn show_lifecycles(table: &mut Table) -> anyhow::Result<()> {
    let Some(Value::Table(tenants)) = table.get_mut("tenants") else { return Ok(()) };
    for tenant in tenants.iter_mut().filter_map(|(_, tenant)| tenant.as_table_mut()) {
        let written = tenant.get("lifecycle").cloned().map(Lifecycle::deserialize).transpose()?;
        tenant.insert("lifecycle".to_owned(), Value::try_from(written.unwrap_or_default())?);
    }
    Ok(())
}

fn redact(table: &mut Table) {
    for (key, value) in table.iter_mut() {
        let is_secret = SECRET_KEYS.iter().any(|word| key == word || key.ends_with(&format!("_{word}")));
        match value {
            Value::Table(inner) if key == "passwords" => {
                inner.iter_mut().for_each(|(_, password)| *password = Value::from("***"));
            }
            Value::Table(inner) if !is_secret => redact(inner),
            Value::Array(items) => items.iter_mut().filter_map(Value::as_table_mut).for_each(redact),
            Value::Integer(_) | Value::Boolean(_) | Value::Float(_) | Value::Datetime(_) => {}
            value if is_secret && !key.ends_with("public_key") && !is_plain_url(value) => *value = Value::from("***"),
            Value::String(_) | Value::Table(_) => {}
        }
    }
}

/// Addresses with nobody's credentials in them say nothing secret. A token for NATS stands where others have a user's name.
fn is_plain_url(value: &Value) -> bool {
    let url = value.as_str().and_then(|text| text.parse::<Url>().ok());
    url.is_some_and(|url| url.username().is_empty() && url.password().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_have_credentials_of_its_own() {
        let text = r#"
            kubernetes = { kubeconfig = "look" }
            [kubernetes_as.remediation]
            kubeconfig = "change"
        "#;
        let tenant: Tenant = toml::from_str(text).unwrap();
        let file = |role| tenant.kubernetes_of(role).unwrap().kubeconfig.clone().unwrap();
        assert_eq!(file(Role::Diagnostics), Path::new("look"));
        assert_eq!(file(Role::Remediation), Path::new("change"));
    }

    #[test]
    fn numbers_that_are_left_to_their_defaults_are_shown() {
        let mut table: Table = "[tenants.acme]\n[tenants.blue.lifecycle]\nreopen_s = 5".parse().unwrap();
        show_lifecycles(&mut table).unwrap();
        let of = |tenant: &str, key: &str| table["tenants"][tenant]["lifecycle"][key].as_integer().unwrap();
        assert_eq!((of("acme", "reopen_s"), of("blue", "reopen_s"), of("blue", "flap_changes")), (600, 5, 6));
    }

    #[test]
    fn no_secret_is_shown() {
        let text = r#"
            [nats]
            url = "nats://s3cret@127.0.0.1:4222"
            admin_password = "s3cret"
            passwords = { gateway = "s3cret" }
            [database]
            url = "postgres://me:s3cret@127.0.0.1/db"
            [tenants.acme]
            webhook_token = { file = "/run/s3cret" }
            [[tenants.acme.people]]
            id = "ana"
            token_sha256 = "aa"
            [tenants.acme.prometheus]
            url = "http://127.0.0.1:9090"
            bearer = "s3cret"
        "#;
        let mut table: Table = text.parse().unwrap();
        redact(&mut table);
        let shown = toml::to_string(&table).unwrap();
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("http://127.0.0.1:9090") && shown.contains("ana"), "{shown}");
    }
}
