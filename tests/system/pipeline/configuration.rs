//! The home folder: `paramedic.toml`, `tokens.toml` and the runbook, as a team would write them.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context as _, Result};
use ed25519_dalek::SigningKey;
use incident::task::Role;
use serde_json::{Map, Value, json};
use testkit::fakes::jira::JiraFake;
use testkit::fakes::slack::SlackFake;

use super::Options;

/// Whose pipeline it is.
pub(crate) const TENANT: &str = "acme";
/// Somebody else's, where a test has two.
pub(crate) const OTHER_TENANT: &str = "globex";
/// Where that tenant is told of incidents.
pub(super) const OTHER_CHANNEL: &str = "C0GLOBEX";
/// That tenant's project.
pub(super) const OTHER_PROJECT: &str = "GLX";
/// The Alertmanagers' bearer token.
pub(super) const WEBHOOK_TOKEN: &str = "webhook-token-of-acme-0123456789";
/// The gateway's Ed25519 seed.
const SIGNING_SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
/// Its public half (RFC 8032, section 7.1, test 1).
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
/// The file that says what depends on what.
const TOPOLOGY: &str = "topology.yaml";
const CONNECTORS_TOKEN: &str = "connectors-token-0123456789abcdef";
/// What the fake workspace signs as.
const SLACK_APP: &str = "A0PARAMEDIC";
const SLACK_TEAM: &str = "T0FAKE";

/// The channel for alerts that cannot be handled.
pub(crate) const FALLBACK: &str = "C0FALLBACK";
/// The alert that always fires.
pub(crate) const WATCHDOG: &str = "Watchdog";
/// Token of an A2A client that gives diagnostics work, over HTTP and NATS.
pub(crate) const BOT: &str = "token-of-the-bot-0123456789";
/// Token of an A2A client that brings Ana's decisions.
pub(crate) const VOICE: &str = "token-of-the-voice-0123456789";

/// People of the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// On call.
    Ana,
    /// On call as well.
    Ben,
    /// Known, but in no group that may decide.
    Cleo,
}

impl Who {
    const ALL: [Self; 3] = [Self::Ana, Self::Ben, Self::Cleo];

    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Ana => "ana",
            Self::Ben => "ben",
            Self::Cleo => "cleo",
        }
    }

    pub(crate) const fn slack_user(self) -> &'static str {
        match self {
            Self::Ana => "U0ANA",
            Self::Ben => "U0BEN",
            Self::Cleo => "U0CLEO",
        }
    }

    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Ana => "token-of-ana-0123456789",
            Self::Ben => "token-of-ben-0123456789",
            Self::Cleo => "token-of-cleo-0123456789",
        }
    }

    /// The token of the person of this name at a tenant.
    pub(crate) fn token_at(self, tenant: &str) -> String {
        if tenant == TENANT { self.token().to_owned() } else { format!("{}-at-{tenant}", self.token()) }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::Ana | Self::Ben => "sre",
            Self::Cleo => "sales",
        }
    }

    fn entry(self, tenant: &str) -> Value {
        let token = digest(&self.token_at(tenant));
        json!({ "id": self.id(), "groups": [self.group()], "slack_user": self.slack_user(), "token_sha256": token })
    }
}

/// The bearer token of a tenant's Alertmanagers.
pub(crate) fn webhook_token(tenant: &str) -> String {
    if tenant == TENANT { WEBHOOK_TOKEN.to_owned() } else { format!("webhook-token-of-{tenant}-0123456789") }
}

fn digest(token: &str) -> String {
    gateway::TokenDigest::of(token).into()
}

/// Where the parts are that the configuration names.
pub(super) struct Places<'a> {
    pub(super) slack: &'a SlackFake,
    pub(super) jira: &'a JiraFake,
    pub(super) kubeconfig: &'a Path,
    pub(super) prometheus: Option<String>,
    /// The gateway's.
    pub(super) port: u16,
    /// The connectors'; 0 where they are in the same process as who calls them.
    pub(super) connectors_port: u16,
}

/// What the gateway signs with: whoever has it and the gateway's NATS password is the gateway.
pub(crate) fn signing_key() -> Result<SigningKey> {
    let digits = |n: usize| SIGNING_SEED.get(2 * n..2 * n + 2).context("64 digits");
    let bytes = (0..32).map(|n| Ok(u8::from_str_radix(digits(n)?, 16)?)).collect::<Result<Vec<u8>>>()?;
    Ok(SigningKey::from_bytes(&<[u8; 32]>::try_from(bytes.as_slice())?))
}

/// The password of a NATS user or database role.
pub(crate) fn password(of: &str) -> String {
    format!("password-of-{of}-0123456789")
}

/// A port that nobody listened on just now, below those that the system gives to clients: a client that took it while the program
/// restarts would keep it from coming back.
pub(super) fn free_port() -> Result<u16> {
    /// Below these are well-known servers, above are the ports that the testkit's servers take.
    const PORTS: std::ops::Range<u16> = 10_000..15_000;
    let start = u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start)).unwrap_or_default();
    let all = (PORTS.start + start..PORTS.end).chain(PORTS.start..PORTS.start + start);
    let free = all.into_iter().find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.context("no port is free")
}

/// Writes the home folder.
pub(super) fn write(home: &Path, options: &Options, places: &Places<'_>) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = home.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    put("paramedic.toml", toml::to_string(&configuration(options, places))?)?;
    put("tokens.toml", toml::to_string(&json!({ "person": Who::Ana.token(), "webhook": WEBHOOK_TOKEN }))?)?;
    std::fs::create_dir(home.join("runbooks")).context("creating the runbooks' folder")?;
    put("runbooks/rollback-bad-deploy.yaml", serde_yaml_ng::to_string(&runbook(options))?)?;
    if let Some(topology) = &options.topology {
        put(TOPOLOGY, serde_yaml_ng::to_string(topology)?)?;
    }
    let Some(rules) = options.watch else { return Ok(()) };
    std::fs::create_dir(home.join("watch")).context("creating the watch rules' folder")?;
    put("watch/rules.yaml", rules.to_owned())
}

fn runbook(options: &Options) -> Value {
    json!({
        "name": "rollback-bad-deploy",
        "title": "Roll a bad deployment back to the revision before it",
        "when": { "hypothesis": "bad_deploy", "confidence_percent_min": 50, "alerts": ["severity=~\"critical|page|warning\""] },
        "action": "roll_back_to_previous_revision",
        "verify": { "settle_s": options.settle_s, "deadline_s": options.verify_deadline_s },
        "risk": "Requests in flight on replaced pods may fail.",
    })
}

fn configuration(options: &Options, places: &Places<'_>) -> Value {
    let passwords: Map<String, Value> = Role::ALL.iter().map(|role| (role.to_string(), password(role.as_str()).into())).collect();
    let connectors = format!("127.0.0.1:{}", places.connectors_port);
    let mut config = json!({
        "gateway": { "listen": format!("127.0.0.1:{}", places.port), "signing_key": SIGNING_SEED },
        "remediation": { "gateway_public_key": PUBLIC_KEY, "runbooks": "runbooks" },
        "nats": { "admin_password": password("admin"), "passwords": passwords },
        "database": { "passwords": passwords },
        "connectors": { "listen": connectors, "surface": { "token": CONNECTORS_TOKEN } },
        "communication": { "connectors": format!("http://{connectors}/mcp/"), "token": CONNECTORS_TOKEN },
        "process": { "lease_ms": 1_000 },
        "telemetry": { "log": options.log },
        "tenants": { TENANT: tenant(options, places) },
    });
    if options.two_tenants {
        put(&mut config, "/tenants", OTHER_TENANT, other_tenant(options, places));
    }
    if options.nats_cluster {
        put(&mut config, "/nats", "replicas", json!(3));
    }
    if let Some(endpoint) = &options.otlp {
        put(&mut config, "/telemetry", "otlp_endpoint", json!(endpoint));
    }
    if options.channels {
        add_channels(&mut config, places);
    }
    config
}

fn tenant(options: &Options, places: &Places<'_>) -> Value {
    let mut tenant = any_tenant(TENANT, options, places);
    let clients = json!([
        { "name": "bot", "token_sha256": digest(BOT), "agents": ["diagnostics"], "nats_password": BOT },
        { "name": "voice", "token_sha256": digest(VOICE), "speaks_for": Who::Ana.id() },
    ]);
    put(&mut tenant, "", "a2a_clients", clients);
    if options.watch.is_some() {
        put(&mut tenant, "", "watch", json!({ "rules": "watch", "interval_s": 1 }));
    }
    tenant
}

fn other_tenant(options: &Options, places: &Places<'_>) -> Value {
    let mut tenant = any_tenant(OTHER_TENANT, options, places);
    if options.channels {
        put(&mut tenant, "", "slack", json!({ "channel": OTHER_CHANNEL }));
        put(&mut tenant, "", "jira", json!({ "project": OTHER_PROJECT }));
    }
    tenant
}

/// What tenants have in common.
fn any_tenant(id: &str, options: &Options, places: &Places<'_>) -> Value {
    let mut tenant = json!({
        "webhook_token": webhook_token(id),
        "people": Who::ALL.map(|who| who.entry(id)),
        "policy": [{
            "namespaces": [], "approvers": options.approvers, "groups": ["sre"],
            "expires_s": options.expires_s, "remind_s": options.remind_s,
        }],
        "kubernetes": { "kubeconfig": places.kubeconfig },
    });
    if let Some(url) = &places.prometheus {
        put(&mut tenant, "", "prometheus", json!({ "url": url }));
    }
    if let Some(silent_after_s) = options.heartbeat_s {
        let heartbeat = json!({ "matchers": [format!("alertname=\"{WATCHDOG}\"")], "silent_after_s": silent_after_s });
        put(&mut tenant, "", "heartbeat", json!({ "prometheus": heartbeat }));
    }
    if let Some(storm) = options.storm {
        put(&mut tenant, "", "storm", json!(storm));
    }
    if options.topology.is_some() {
        put(&mut tenant, "", "topology", json!(TOPOLOGY));
    }
    tenant
}

fn add_channels(config: &mut Value, places: &Places<'_>) {
    let (slack, jira) = (places.slack.options(), places.jira.options());
    // Tests write more within a minute than a workspace would like; how rates are kept is shown elsewhere.
    let fast = json!({ "per_minute": 6_000, "burst": 200 });
    let slack_connector = json!({
        "token": slack.token, "base_url": places.slack.base_url(), "rates": { "post": fast, "update": fast, "read": fast },
        "settle_ms": 1_000,
    });
    let jira_connector = json!({
        "site_url": places.jira.base_url(), "email": jira.email, "token": jira.api_token, "index_lag_ms": 600, "settle_ms": 1_000,
        "rates": { "operation": fast, "issue_write": fast },
    });
    put(config, "/connectors", "slack", slack_connector);
    put(config, "/connectors", "jira", jira_connector);
    let interactions = json!({
        "signing_secret": slack.signing_secret, "app_id": SLACK_APP, "team_id": SLACK_TEAM, "replies_url": places.slack.hooks_url(),
    });
    let tenant = format!("/tenants/{TENANT}");
    put(config, &tenant, "slack", json!({ "channel": slack.channels.first(), "interactions": interactions }));
    put(config, &tenant, "fallback", json!({ "channel": FALLBACK }));
    put(config, &tenant, "jira", json!({ "project": jira.projects.first() }));
}

fn put(config: &mut Value, table: &str, name: &str, value: Value) {
    if let Some(table) = config.pointer_mut(table).and_then(Value::as_object_mut) {
        table.insert(name.to_owned(), value);
    }
}
