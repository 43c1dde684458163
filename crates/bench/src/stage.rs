//! Paramedic's own configuration for the bench: written like a person would write it, with fresh secrets.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ed25519_dalek::SigningKey;
use incident::task::Role;
use runtime::clock::random_hex;
use sha2::{Digest as _, Sha256};

/// The Slack user who approves.
pub(crate) const SLACK_USER: &str = "U0BENCH";

/// Where the parts are.
pub(crate) struct Parts {
    /// Where the gateway listens.
    pub(crate) listen: SocketAddr,
    /// `[nats]` and `[database]` addresses, where they are not Paramedic's own.
    pub(crate) servers: Option<(String, String)>,
    /// The providers, where incidents are to be handled.
    pub(crate) world: Option<World>,
}

/// What an incident needs.
pub(crate) struct World {
    pub(crate) otlp: String,
    pub(crate) slack_api: String,
    pub(crate) slack: testkit::fakes::slack::SlackOptions,
    pub(crate) jira_site: String,
    pub(crate) jira: testkit::fakes::jira::JiraOptions,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) prometheus: String,
}

/// A written configuration.
pub(crate) struct Stage {
    /// The folder with it.
    pub(crate) home: PathBuf,
    /// The file.
    pub(crate) config: PathBuf,
    /// Bearer token of the webhook.
    pub(crate) webhook: String,
    /// Password of the NATS administrator.
    pub(crate) admin: String,
    /// Passwords of all NATS users, as the server's configuration takes them.
    pub(crate) nats_users: String,
    listen: SocketAddr,
}

/// The runbook that comes with Paramedic, but for the time that recovery must hold: 1 s instead of 30.
const RUNBOOK: &str = include_str!("../../../runbooks/rollback-bad-deploy.yaml");
/// Far above what providers allow, so that it is never waited for.
const RATE: &str = "{ per_minute = 600000, burst = 10000 }";
/// What is replaced in it.
const SETTLE: (&str, &str) = ("settle_s: 30", "settle_s: 1");

impl Stage {
    /// Writes it to `home`.
    pub(crate) fn write(home: PathBuf, parts: &Parts) -> Result<Self> {
        let runbooks = home.join("runbooks");
        fs::create_dir_all(&runbooks).with_context(|| format!("creating {}", runbooks.display()))?;
        anyhow::ensure!(RUNBOOK.contains(SETTLE.0), "runbooks/rollback-bad-deploy.yaml has no {:?} to be shortened", SETTLE.0);
        fs::write(runbooks.join("rollback.yaml"), RUNBOOK.replace(SETTLE.0, SETTLE.1)).context("writing a runbook")?;
        let (webhook, person, admin, mut passwords) = (secret()?, secret()?, secret()?, String::new());
        let mut users =
            std::collections::BTreeMap::from([(bus::User::Admin, runtime::secret::Secret::new(&*admin).to_secret_string())]);
        for role in Role::ALL {
            let password = secret()?;
            passwords.extend([role.as_str(), " = \"", &password, "\"\n"]);
            users.insert(bus::User::Role(role), runtime::secret::Secret::new(password).to_secret_string());
        }
        let nats_users = bus::permissions::render(&users, &[])?;
        let text = configuration(parts, &Secrets { webhook: &webhook, person: &person, admin: &admin, passwords: &passwords })?;
        let config = home.join("paramedic.toml");
        fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        fs::write(home.join("tokens.toml"), format!("person = \"{person}\"\nwebhook = \"{webhook}\"\n"))
            .context("writing tokens")?;
        Ok(Self { home, config, webhook, admin, nats_users, listen: parts.listen })
    }

    /// Adds a Slack to the configuration.
    pub(crate) fn with_slack(&self, api: &str, slack: &testkit::fakes::slack::SlackOptions) -> Result<()> {
        let channel = slack.channels.first().map_or("", String::as_str);
        let text = fs::read_to_string(&self.config).context("reading the configuration")?;
        let connector = format!(
            "slack = {{ token = \"{}\", base_url = \"{api}\", rates = {{ post = {RATE}, update = {RATE}, ephemeral = {RATE}, read = {RATE} }} }}\n[communication]\n",
            slack.token
        );
        let tenant = format!("[tenants.local]\nslack = {{ channel = \"{channel}\" }}\n");
        let text = text.replace("[communication]\n", &connector).replace("[tenants.local]\n", &tenant);
        fs::write(&self.config, text).context("writing the configuration")
    }

    /// Where the gateway will listen.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The path of its webhook.
    pub(crate) const fn webhook_path() -> &'static str {
        "/v1/alertmanager/local"
    }

    /// The address of its Slack interactions.
    pub(crate) fn interactions_url(&self) -> String {
        format!("http://{}/v1/slack/local/interactions", self.listen)
    }
}

struct Secrets<'a> {
    webhook: &'a str,
    person: &'a str,
    admin: &'a str,
    passwords: &'a str,
}

fn secret() -> Result<String> {
    random_hex::<24>().context("asking the system for random bytes")
}

fn configuration(parts: &Parts, secrets: &Secrets<'_>) -> Result<String> {
    let seed = random_hex::<32>().context("asking the system for random bytes")?;
    let bytes = <[u8; 32]>::try_from(hex::decode(&seed)?).ok().context("a seed has 32 bytes")?;
    let public = hex::encode(SigningKey::from_bytes(&bytes).verifying_key().to_bytes());
    let (nats, database) = parts.servers.as_ref().map_or((String::new(), String::new()), |(nats, database)| {
        (format!("url = \"{nats}\"\n"), format!("url = \"{database}\"\n"))
    });
    let connectors_token = secret()?;
    let (telemetry, providers, tenant) = parts.world.as_ref().map_or_else(Default::default, of_world);
    let person_hash = hex::encode(Sha256::digest(secrets.person.as_bytes()));
    let Secrets { webhook, admin, passwords, .. } = secrets;
    Ok(format!(
        r#"{telemetry}
[process]
health_listen = "127.0.0.1:0"
[gateway]
listen = "{listen}"
signing_key = "{seed}"
[remediation]
gateway_public_key = "{public}"
runbooks = "runbooks"
[nats]
{nats}admin_password = "{admin}"
[nats.passwords]
{passwords}
[database]
{database}
[database.passwords]
{passwords}
[connectors]
listen = "127.0.0.1:0"
surface = {{ token = "{connectors_token}" }}
{providers}
[communication]
connectors = "http://127.0.0.1:0/mcp/"
token = "{connectors_token}"
[tenants.local]
webhook_token = "{webhook}"
{tenant}
[[tenants.local.people]]
id = "ann"
groups = ["sre"]
slack_user = "{SLACK_USER}"
token_sha256 = "{person_hash}"
[[tenants.local.policy]]
namespaces = []
approvers = 1
groups = ["sre"]
expires_s = 1800
remind_s = 600
"#,
        listen = parts.listen,
    ))
}

/// Sections that only a world with providers has. Rates are far above what providers allow, so that none is ever waited for.
fn of_world(world: &World) -> (String, String, String) {
    let World { otlp, slack_api, slack, jira_site, jira, kubeconfig, prometheus } = world;
    let channel = slack.channels.first().map_or("", String::as_str);
    let project = jira.projects.first().map_or("", String::as_str);
    let providers = format!(
        "slack = {{ token = \"{}\", base_url = \"{slack_api}\", rates = {{ post = {RATE}, update = {RATE}, ephemeral = {RATE}, read = {RATE} }} }}\n\
         jira = {{ site_url = \"{jira_site}\", email = \"{}\", token = \"{}\", rates = {{ operation = {RATE}, issue_write = {RATE} }} }}",
        slack.token, jira.email, jira.api_token,
    );
    // Incidents come one after the other here, faster than people would bear: for them it would be a storm.
    let tenant = format!(
        "storm = {{ opened = 1000 }}\nslack = {{ channel = \"{channel}\", interactions = {{ signing_secret = \"{}\" }} }}\njira = {{ project = \"{project}\" }}\n\
         kubernetes = {{ kubeconfig = \"{}\" }}\nprometheus = {{ url = \"{prometheus}\" }}",
        slack.signing_secret,
        kubeconfig.display(),
    );
    (format!("[telemetry]\notlp_endpoint = \"{otlp}\"\n"), providers, tenant)
}

/// NATS, as its administrator.
pub(crate) async fn connect(url: &str, password: String) -> Result<async_nats::Client> {
    let options = async_nats::ConnectOptions::with_user_and_password("admin".to_owned(), password);
    options.connect(url).await.with_context(|| format!("connecting to NATS at {url}"))
}

/// The binary beside our own: `make bench` builds both the same way.
pub(crate) fn paramedic() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding our own binary")?;
    let beside = own.parent().unwrap_or(Path::new(".")).join("paramedic");
    anyhow::ensure!(beside.exists(), "{} does not exist: build it with `cargo build --release --package cli`", beside.display());
    Ok(beside)
}
