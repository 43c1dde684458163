//! Starts roles within this process, each as its own bus user and database role.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use bus::{Bus, Connect, User};
use cluster::kubernetes::Kubernetes;
use cluster::prometheus::Prometheus;
use ed25519_dalek::{SigningKey, VerifyingKey};
use gateway::{Routers, TenantEdge, Tenants};
use incident::agents::ballot::BallotKeeper;
use incident::agents::gateway::Gateway;
use incident::agents::remediation::Rules;
use incident::runbook::Runbook;
use incident::task::Role;
use incident::topology::Topology;
use runtime::health::Needs;
use runtime::lifecycle::Lifecycle;
use store::{Options, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Connectors, Remediation, Tenant};

/// What all roles of this process share.
pub(crate) struct Process {
    /// The configuration.
    pub(crate) config: Config,
    /// The folder that relative paths in it start from.
    pub(crate) base: PathBuf,
    /// The life of the process.
    pub(crate) life: Lifecycle,
}

impl Process {
    /// Connects as `role` and starts it, and adds what it needs to be ready. The gateway shows the health of all that were started
    /// before it on its own listener.
    pub(crate) async fn start(&self, role: Role, needs: &mut Vec<Needs>) -> anyhow::Result<()> {
        if role == Role::Connectors {
            return self.start_connectors().await;
        }
        let context = self.context(role).await.with_context(|| format!("starting {role}"))?;
        needs.push(Needs { role, bus: context.bus.clone(), store: context.store.clone() });
        match role {
            Role::Gateway => self.start_gateway(context, needs.clone()).await?,
            Role::Monitoring => {
                let config = self.monitoring()?;
                self.life.spawn("monitoring", monitoring::run(context, config));
            }
            Role::Diagnostics => {
                let config = self.diagnostics().await?;
                self.life.spawn("diagnostics", diagnostics::run(context, config));
            }
            Role::Communication => {
                let config = self.communication()?;
                self.life.spawn("communication", communication::run(context, config));
            }
            Role::Remediation => {
                let config = self.remediation().await?;
                self.life.spawn("remediation", remediation::run(context, config));
            }
            Role::Ledger => self.life.spawn("ledger", ledger::run(context)),
            Role::Connectors => {}
        }
        tracing::info!(role = role.as_str(), "started");
        Ok(())
    }

    async fn context(&self, role: Role) -> anyhow::Result<runtime::Context> {
        let config = &self.config;
        let password = config.nats_password(role)?.to_secret_string();
        let bus = Bus::connect(&Connect::new(config.nats.url.clone(), User::Role(role), Some(password))).await?;
        let store = Store::open(&Options::new(config.database_url(role)?, role))?;
        // Communication waits for it by itself: it has something to say meanwhile.
        if role != Role::Communication {
            store.check(role).await.context("connecting to Postgres")?;
        }
        let (lease, audit_every) =
            (Duration::from_millis(config.process.lease_ms), Duration::from_secs(config.process.audit_s.max(1)));
        Ok(runtime::Context { role, bus, store, life: self.life.clone(), lease, audit_every })
    }

    async fn start_gateway(&self, context: runtime::Context, needs: Vec<Needs>) -> anyhow::Result<()> {
        let section = self.config.gateway.as_ref().context("the configuration has no [gateway]")?;
        let tenants = tenants(&self.config)?;
        let listener = TcpListener::bind(section.listen).await.with_context(|| {
            format!(
                "listening on {}: is another Paramedic running? gateway.listen in the configuration says where",
                section.listen
            )
        })?;
        let ballots = BallotKeeper { directories: tenants.directories(), key: signing_key(section.signing_key.reveal())? };
        let (intake, worker) = context.bus.intake();
        let (store, bus, life) = (context.store.clone(), context.bus.clone(), self.life.clone());
        let agents = gateway::Agents::start(&store, &bus, section.ways()?).await?;
        let ballots = runtime::start(context, Gateway { ballots }, gateway::Tell::new(agents.clone()));
        let replies = gateway::Replies::new(life.clone()).context("setting up the way back to people who click")?;
        life.spawn("agents", agents.clone().run(life.clone()));
        for silences in tenants.silences() {
            let following = gateway::Following::new(silences, ballots.clone(), store.clone());
            let following = following.context("setting up the way to an Alertmanager")?;
            life.spawn("silences of an Alertmanager", following.run(life.clone()));
        }
        let callers = tenants.with_clients();
        if !callers.is_empty() {
            life.spawn("agents on NATS", agents.clone().serve_on_nats(bus, callers, life.clone()));
        }
        let parts = gateway::Parts { tenants, intake, ballots, store, replies, agents };
        let alone: Vec<Role> = section.a2a.grpc.keys().copied().collect();
        let Routers { edge, agents } = gateway::routers(parts, &alone)?;
        let router = edge.merge(runtime::health::router(needs));
        self.start_alone(section, agents).await?;
        // It ends when the last request has let go of its intake: after the listener.
        life.spawn("intake", async move {
            worker.run().await;
            Ok(())
        });
        life.spawn("gateway", gateway::serve(router, listener, self.life.clone()));
        Ok(())
    }

    /// Serves agents on ports of their own.
    async fn start_alone(&self, section: &crate::config::Gateway, agents: Vec<(Role, Router)>) -> anyhow::Result<()> {
        for (agent, router) in agents {
            let Some(grpc) = section.a2a.grpc.get(&agent) else { continue };
            let listener = TcpListener::bind(grpc.listen).await;
            let listener = listener.with_context(|| format!("listening on {} (gateway.a2a.grpc.{agent}.listen)", grpc.listen))?;
            self.life.spawn("an agent's own port", gateway::serve(router, listener, self.life.clone()));
        }
        Ok(())
    }

    async fn start_connectors(&self) -> anyhow::Result<()> {
        let section = self.config.connectors.as_ref().context("the configuration has no [connectors]")?.clone();
        let listener = TcpListener::bind(section.listen).await.with_context(|| format!("listening on {}", section.listen))?;
        let stop = CancellationToken::new();
        let router = connectors(section, &stop)?;
        let life = self.life.clone();
        self.life.spawn("connectors", async move {
            let stopping = async move {
                life.stopping().await;
                stop.cancel();
            };
            Ok(axum::serve(listener, router).with_graceful_shutdown(stopping).await?)
        });
        Ok(())
    }

    fn monitoring(&self) -> anyhow::Result<monitoring::Config> {
        let mut config = monitoring::Config::default();
        for (id, tenant) in &self.config.tenants {
            config.agent.tenants.insert(id.clone(), tenant.lifecycle);
            config.agent.heartbeats.insert(id.clone(), tenant.heartbeat.clone());
            config.agent.maintenance.insert(id.clone(), tenant.maintenance.clone());
            if let Some(topology) = topology(&self.base, tenant).with_context(|| format!("tenants.{id}.topology"))? {
                config.agent.topologies.insert(id.clone(), Arc::new(topology));
            }
            if let Some(watch) = watch(&self.base, tenant).with_context(|| format!("tenants.{id}.watch"))? {
                config.watches.insert(id.clone(), watch);
            }
        }
        Ok(config)
    }

    async fn diagnostics(&self) -> anyhow::Result<diagnostics::Config> {
        let mut config = diagnostics::Config::default();
        for (id, tenant) in &self.config.tenants {
            let sources = diagnostics::collect::Sources {
                kubernetes: kubernetes(tenant, Role::Diagnostics).await?,
                prometheus: prometheus(tenant)?,
            };
            config.tenants.insert(id.clone(), sources);
        }
        Ok(config)
    }

    fn communication(&self) -> anyhow::Result<communication::Config> {
        let channels = |tenant: &Tenant| communication::Channels {
            slack_channel: tenant.slack.as_ref().map(|slack| slack.channel.clone()),
            jira: tenant.jira.clone(),
            storm: tenant.storm,
            fallback_channel: tenant.fallback.as_ref().map(|fallback| fallback.channel.clone()),
        };
        let section = self.config.communication.as_ref().context("the configuration has no [communication]")?;
        Ok(communication::Config {
            connectors: section.connectors.clone(),
            token: section.token.clone(),
            tenants: self.config.tenants.iter().map(|(id, tenant)| (id.clone(), channels(tenant))).collect(),
        })
    }

    async fn remediation(&self) -> anyhow::Result<remediation::Config> {
        let section = self.config.remediation.as_ref().context("the configuration has no [remediation]")?;
        let mut tenants = std::collections::BTreeMap::new();
        for (id, tenant) in &self.config.tenants {
            let directory = tenant.people.iter().map(|person| (person.id.clone(), person.groups.clone())).collect();
            let rules = Rules { policy: tenant.policy.clone(), directory };
            let kubernetes = kubernetes(tenant, Role::Remediation).await?;
            let tenant = remediation::Tenant { rules, kubernetes, prometheus: prometheus(tenant)? };
            tenants.insert(id.clone(), tenant);
        }
        let runbooks = runbooks(&self.base, section)?;
        Ok(remediation::Config { runbooks, gateway_key: public_key(&section.gateway_public_key)?, tenants })
    }
}

/// The runbooks that a configuration in `base` names.
pub(crate) fn runbooks(base: &Path, section: &Remediation) -> anyhow::Result<Vec<Runbook>> {
    match &section.runbooks {
        Some(folder) => crate::runbooks::read(&base.join(folder)).context("remediation.runbooks"),
        None => crate::runbooks::built_in(),
    }
}

/// What depends on what, as the file says that a tenant names in a configuration in `base`.
pub(crate) fn topology(base: &Path, tenant: &Tenant) -> anyhow::Result<Option<Topology>> {
    let Some(file) = &tenant.topology else { return Ok(None) };
    let path = base.join(file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    topology_of(&path.display().to_string(), &text).map(Some)
}

/// What depends on what; `name` says of which file, should it be no topology.
///
/// # Errors
/// What is wrong with it.
pub fn topology_of(name: &str, text: &str) -> anyhow::Result<Topology> {
    let topology: Topology =
        serde_yaml_ng::from_str(text).with_context(|| format!("{name} is no topology; see docs/topology.yaml"))?;
    topology.check().with_context(|| name.to_owned())?;
    Ok(topology)
}

/// The MCP servers that are configured.
pub(crate) fn connectors(section: Connectors, stop: &CancellationToken) -> anyhow::Result<axum::Router> {
    let config = connectors::Config { surface: section.surface, slack: section.slack, jira: section.jira };
    let join = |span: &tracing::Span, traceparent: &str| runtime::telemetry::continue_trace(span, Some(traceparent));
    connectors::router(config, stop, Some(join)).context("connectors")
}

/// The tenants whose alerts come to the gateway.
pub(crate) fn tenants(config: &Config) -> anyhow::Result<Tenants> {
    let edges = config.tenants.iter().filter_map(|(id, tenant)| Some((id.clone(), edge(tenant)?))).collect();
    Ok(Tenants::new(edges)?)
}

/// What the gateway needs of a tenant; none for one whose alerts do not come here.
fn edge(tenant: &Tenant) -> Option<TenantEdge> {
    Some(TenantEdge {
        webhook_token: tenant.webhook_token.clone()?,
        correlation: tenant.correlation.clone(),
        heartbeats: tenant.heartbeat.clone(),
        silences: tenant.silences.clone(),
        slack: tenant.slack.as_ref().and_then(|slack| slack.interactions.clone()),
        people: tenant.people.clone(),
        a2a_clients: tenant.a2a_clients.clone(),
    })
}

async fn kubernetes(tenant: &Tenant, role: Role) -> anyhow::Result<Option<Kubernetes>> {
    match tenant.kubernetes_of(role) {
        Some(config) => Ok(Some(Kubernetes::connect(config).await?)),
        None => Ok(None),
    }
}

/// The tenant's Prometheus; nothing is asked of it yet.
pub(crate) fn prometheus(tenant: &Tenant) -> anyhow::Result<Option<Prometheus>> {
    Ok(tenant.prometheus.as_ref().map(Prometheus::connect).transpose()?)
}

/// What a tenant has watched, if anything; `base` is where its configuration is.
pub(crate) fn watch(base: &Path, tenant: &Tenant) -> anyhow::Result<Option<monitoring::watch::Watch>> {
    /// Less often, a change of five minutes would fall between two looks.
    const INTERVALS_S: std::ops::RangeInclusive<u32> = 1..=300;
    let Some(section) = &tenant.watch else { return Ok(None) };
    ensure!(INTERVALS_S.contains(&section.interval_s), "interval_s must be 1 to 300");
    let prometheus = prometheus(tenant)?.context("metrics are watched in a Prometheus: add the tenant's prometheus")?;
    let rules = crate::watches::read(&base.join(&section.rules)).context("rules")?;
    let (interval_s, correlation) = (section.interval_s, tenant.correlation.clone());
    Ok(Some(monitoring::watch::Watch { prometheus, rules, interval_s, correlation }))
}

/// The gateway's key from its seed in hex.
pub(crate) fn signing_key(seed: &str) -> anyhow::Result<SigningKey> {
    let Ok(Ok(seed)) = hex::decode(seed.trim()).map(<[u8; 32]>::try_from) else {
        bail!("gateway.signing_key must be 64 hex digits: 32 random bytes, such as `openssl rand -hex 32` prints");
    };
    Ok(SigningKey::from_bytes(&seed))
}

/// The gateway's public key from hex.
pub(crate) fn public_key(text: &str) -> anyhow::Result<VerifyingKey> {
    let Ok(Ok(bytes)) = hex::decode(text.trim()).map(<[u8; 32]>::try_from) else {
        bail!("remediation.gateway_public_key must be 64 hex digits; `paramedic config public-key` prints it");
    };
    VerifyingKey::from_bytes(&bytes).context("remediation.gateway_public_key is no Ed25519 key")
}
