//! One whole Paramedic on real parts: NATS with its users, Postgres, a Kubernetes API with the shop on it, Prometheus, Alertmanager,
//! stand-ins for Slack and Jira, and the program itself as a process that can be killed.
//!
//! It waits for conditions with deadlines and never for time to pass. When a test fails, the program's log is shown.

mod bus_users;
mod checks;
mod configuration;
mod people;
mod process;
mod promises;
mod servers;
mod sources;
mod watched;
mod wires;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use incident::id::TenantId;
use incident::storm::StormRules;
use incident::task::Role;
use incident::topology::Topology;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use local::shop::{self, DEPLOYMENT, Shop};
use serde_json::json;
use simulation::scenario::Place;
use testkit::fakes::jira::{JiraFake, JiraOptions};
use testkit::fakes::slack::{SlackFake, SlackOptions};
use testkit::{Alertmanager, Cluster, Folder, Nats, Prometheus, Suite};

pub(crate) use bus_users::Rogue;
pub(crate) use checks::Ending;
pub(crate) use configuration::{BOT, FALLBACK, OTHER_TENANT, TENANT, VOICE, WATCHDOG, Who, signing_key, webhook_token};
pub(crate) use people::{APPROVE, Incident, REJECT, Waiting};
pub(crate) use process::Process;
use process::Servers;
pub(crate) use promises::Left;
pub(crate) use sources::EXPRESSION;
pub(crate) use watched::Watched;
pub(crate) use wires::Wires;

/// Far longer than any step takes, on a machine that compiles at the same time.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// What differs between tests.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a test may have or not")]
pub(crate) struct Options {
    /// Whether Slack and Jira are configured.
    pub(crate) channels: bool,
    /// Whether Postgres is the test's own, to be restarted.
    pub(crate) private_postgres: bool,
    /// How many people must say yes.
    pub(crate) approvers: u8,
    /// When a plan expires, in seconds.
    pub(crate) expires_s: u32,
    /// When people are reminded, in seconds.
    pub(crate) remind_s: u32,
    /// For how long all must look well after a change, in seconds.
    pub(crate) settle_s: u32,
    /// When a change that did not help is taken back, in seconds.
    pub(crate) verify_deadline_s: u32,
    /// Whether each role is a process of its own, and what it uses is reached over wires: for tests that kill and cut.
    pub(crate) apart: bool,
    /// Whether the bus is a cluster of three servers.
    pub(crate) nats_cluster: bool,
    /// The Alertmanagers that notify, by version; the shop's Prometheus tells all of them.
    pub(crate) alertmanagers: Vec<Option<Suite>>,
    /// Shops, each in a namespace of its own; without any there is no Prometheus either.
    pub(crate) shops: Vec<Place>,
    /// What runs in them at first.
    pub(crate) image: &'static str,
    /// Whether there is a second tenant, with channels of its own.
    pub(crate) two_tenants: bool,
    /// After how long without it a heartbeat is silent, in seconds; none is listened for without it.
    pub(crate) heartbeat_s: Option<u32>,
    /// When very much happens at once.
    pub(crate) storm: Option<StormRules>,
    /// What depends on what.
    pub(crate) topology: Option<Topology>,
    /// Rules of the metric watch, which looks once a second.
    pub(crate) watch: Option<&'static str>,
    /// Where traces go.
    pub(crate) otlp: Option<String>,
    /// What is logged.
    pub(crate) log: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            channels: true,
            private_postgres: false,
            approvers: 1,
            expires_s: 600,
            remind_s: 300,
            settle_s: 2,
            verify_deadline_s: 60,
            apart: false,
            nats_cluster: false,
            alertmanagers: vec![None],
            shops: vec![usual_shop()],
            image: GOOD,
            two_tenants: false,
            heartbeat_s: None,
            storm: None,
            topology: None,
            watch: None,
            otlp: None,
            log: "info,runtime=debug,rmcp=warn",
        }
    }
}

/// The shop that most tests have.
pub(crate) fn usual_shop() -> Place {
    Place { tenant: TENANT.to_owned(), name: DEPLOYMENT.to_owned() }
}

/// A revision without errors.
pub(crate) const GOOD: &str = "shop:v1";
/// A revision with errors.
pub(crate) const BAD: &str = "shop:v2-err30";

/// Where the rows are.
enum Postgres {
    Shared(testkit::Database),
    Private(testkit::PrivatePostgres),
}

impl Postgres {
    async fn start(is_private: bool) -> Result<Self> {
        if is_private {
            return Ok(Self::Private(testkit::private_postgres().await?));
        }
        Ok(Self::Shared(testkit::postgres_database().await?))
    }

    fn url(&self) -> String {
        match self {
            Self::Shared(database) => database.url.clone(),
            Self::Private(server) => server.url(),
        }
    }
}

/// A running pipeline and the world around it.
pub(crate) struct Pipeline {
    /// The bus.
    pub(crate) nats: Nats,
    postgres: Postgres,
    /// The Kubernetes API.
    pub(crate) cluster: Cluster,
    /// Where the shops are, in order.
    pub(crate) namespaces: Vec<String>,
    /// Which shop each of them has.
    places: BTreeMap<String, Place>,
    _shop: Option<Shop>,
    /// The metrics, if there is a shop.
    pub(crate) prometheus: Option<Prometheus>,
    /// The ways to servers that can be cut, if the roles are apart.
    pub(crate) wires: Option<Wires>,
    /// Who notifies.
    pub(crate) alertmanagers: Vec<Alertmanager>,
    /// The chat.
    pub(crate) slack: SlackFake,
    /// The tracker.
    pub(crate) jira: JiraFake,
    /// The program.
    pub(crate) process: Process,
    /// Every version of the shops' Deployments.
    pub(crate) watched: Watched,
    /// How often the test itself changed each shop's spec; whatever the generation counts above is Paramedic's doing.
    releases: Mutex<BTreeMap<String, i64>>,
    options: Options,
    _home: Folder,
}

impl Pipeline {
    /// With one shop, well and watched.
    pub(crate) async fn start() -> Result<Box<Self>> {
        Self::with(Options::default()).await
    }

    /// Starts everything; returns when the program is ready and the shop is well.
    pub(crate) async fn with(options: Options) -> Result<Box<Self>> {
        Box::pin(Self::build(options)).await
    }

    async fn build(options: Options) -> Result<Box<Self>> {
        let home = Folder::new()?;
        let mut jira_options = JiraOptions::default();
        let mut slack_options = SlackOptions { posts_per_second: 50.0, ..SlackOptions::default() };
        slack_options.channels.extend([FALLBACK.to_owned(), configuration::OTHER_CHANNEL.to_owned()]);
        jira_options.projects.push(configuration::OTHER_PROJECT.to_owned());
        let port = configuration::free_port()?;
        let (slack, jira, cluster, postgres) = tokio::try_join!(
            SlackFake::start(slack_options),
            JiraFake::start(jira_options),
            testkit::kubernetes(),
            Postgres::start(options.private_postgres),
        )?;
        let gateway = format!("http://127.0.0.1:{port}");
        let alertmanagers = sources::alertmanagers(&options.alertmanagers, &gateway).await?;
        let (namespaces, shop) = sources::shops(&cluster, &options).await?;
        let places = namespaces.iter().cloned().zip(options.shops.iter().cloned()).collect();
        let prometheus = match &shop {
            Some(shop) => Some(sources::prometheus(shop, &alertmanagers).await?),
            None => None,
        };
        let wires = if options.apart {
            Some(Wires::lay(home.path(), &cluster, prometheus.as_ref(), &postgres.url()).await?)
        } else {
            None
        };
        let [connectors_port] = if options.apart { local::free_ports()? } else { [0] };
        let reached = configuration::Places {
            slack: &slack,
            jira: &jira,
            kubeconfig: wires.as_ref().map_or(cluster.kubeconfig.as_path(), Wires::kubeconfig),
            prometheus: wires.as_ref().map_or_else(|| prometheus.as_ref().map(Prometheus::url), Wires::prometheus_url),
            port,
            connectors_port,
        };
        configuration::write(home.path(), &options, &reached)?;
        let users = process::nats_users(home.path()).await?;
        let nats = if options.nats_cluster { testkit::nats_cluster(&users).await? } else { testkit::nats(&users).await? };
        let directly = postgres.url();
        let database = wires.as_ref().map_or_else(|| Ok(directly.clone()), |wires| wires.postgres_url(&directly))?;
        let servers = Servers { nats: nats.url(), database, database_directly: directly };
        let watched = Watched::start(&cluster, &namespaces).await?;
        let process = if options.apart {
            Process::start_apart(home.path(), gateway, servers).await?
        } else {
            Process::start(home.path(), gateway, servers).await?
        };
        let releases = Mutex::new(namespaces.iter().map(|namespace| (namespace.clone(), 1)).collect());
        Ok(Box::new(Self {
            nats,
            postgres,
            cluster,
            namespaces,
            places,
            _shop: shop,
            prometheus,
            wires,
            watched,
            alertmanagers,
            slack,
            jira,
            process,
            releases,
            options,
            _home: home,
        }))
    }

    /// The only shop's namespace, or the first one's.
    pub(crate) fn namespace(&self) -> Result<&str> {
        self.namespaces.first().map(String::as_str).context("this pipeline has no shop")
    }

    /// Whose pipeline it is.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = &'static str> + use<> {
        let other = self.options.two_tenants.then_some(OTHER_TENANT);
        std::iter::once(TENANT).chain(other)
    }

    /// What the shop's Deployment in this namespace is called.
    fn name<'a>(&'a self, namespace: &str) -> &'a str {
        self.places.get(namespace).map_or(DEPLOYMENT, |place| &place.name)
    }

    /// Whose shop is in this namespace.
    pub(crate) fn owner(&self, namespace: &str) -> Result<TenantId> {
        Ok(self.places.get(namespace).map_or(TENANT, |place| &place.tenant).parse()?)
    }

    /// Somebody releases an image in the shop.
    pub(crate) async fn release(&self, namespace: &str, image: &str) -> Result<()> {
        let shop = shop::Place { namespace, name: self.name(namespace) };
        shop.set_image(&self.cluster.client, image).await?;
        self.was_changed(namespace);
        Ok(())
    }

    /// The shop breaks.
    pub(crate) async fn break_shop(&self) -> Result<()> {
        self.release(self.namespace()?, BAD).await
    }

    /// Somebody changes the spec, but not the pod template.
    pub(crate) async fn edit(&self, namespace: &str) -> Result<()> {
        let limit = self.deployment(namespace).await?.spec.revision_history_limit.unwrap_or(10) + 1;
        let change = Patch::Merge(json!({ "spec": { "revisionHistoryLimit": limit } }));
        let deployments = Api::<Deployment>::namespaced(self.cluster.client.clone(), namespace);
        deployments.patch(self.name(namespace), &PatchParams::default(), &change).await?;
        self.was_changed(namespace);
        Ok(())
    }

    /// From now on so many people must say yes: a policy is read when its process starts.
    pub(crate) async fn require(&mut self, approvers: u8) -> Result<()> {
        for tenant in self.tenants() {
            self.process.reconfigure(|config| {
                let rule = config.pointer_mut(&format!("/tenants/{tenant}/policy/0/approvers"));
                *rule.context("a policy")? = json!(approvers);
                Ok(())
            })?;
        }
        self.options.approvers = approvers;
        self.process.kill9_role(Role::Remediation).await?;
        self.process.launch_role(Role::Remediation)
    }

    fn was_changed(&self, namespace: &str) {
        let mut releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
        *releases.entry(namespace.to_owned()).or_default() += 1;
    }

    /// Takes away what was deployed beside the shop's own.
    pub(crate) async fn remove_beside(&self, namespace: &str, name: &str) -> Result<()> {
        let deployments = Api::<Deployment>::namespaced(self.cluster.client.clone(), namespace);
        deployments.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Deploys another image of the same service beside the shop's own, under another name; returns when it is asked for.
    pub(crate) async fn deploy_beside(&self, namespace: &str, name: &str, image: &str) -> Result<()> {
        let labels = json!({ "app": name, "service": self.name(namespace) });
        let deployment = json!({
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": name, "image": image }] },
                },
            },
        });
        let deployments = Api::<Deployment>::namespaced(self.cluster.client.clone(), namespace);
        deployments.create(&PostParams::default(), &serde_json::from_value(deployment)?).await?;
        Ok(())
    }

    /// Waits until a Deployment is as it was asked to be.
    pub(crate) async fn rolled_out(&self, namespace: &str, name: &str) -> Result<()> {
        sources::rolled_out(&self.cluster, namespace, name).await
    }

    /// The Deployment as the API has it.
    pub(crate) async fn deployment(&self, namespace: &str) -> Result<Deployment> {
        Ok(Api::<Deployment>::namespaced(self.cluster.client.clone(), namespace).get(self.name(namespace)).await?)
    }

    /// The image that the Deployment asks for.
    pub(crate) async fn image(&self, namespace: &str) -> Result<String> {
        let deployment = self.deployment(namespace).await?;
        let containers = deployment.spec.template.spec.context("a pod spec")?.containers;
        containers.into_iter().next().and_then(|container| container.image).context("a container with an image")
    }

    /// How often Paramedic changed the shop's spec.
    pub(crate) async fn changes(&self, namespace: &str) -> Result<i64> {
        let generation = self.deployment(namespace).await?.metadata.generation.context("a generation")?;
        let releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(generation - releases.get(namespace).copied().unwrap_or_default())
    }
}

/// Waits until `look` succeeds; what it said last is told if it never does.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let mut last = None;
    let found = testkit::eventually(what, SOON, async || match look().await {
        Ok(found) => Some(found),
        Err(error) => {
            last = Some(error);
            None
        }
    });
    let found = found.await;
    match (found, last) {
        (Err(late), Some(last)) => Err(last.context(late.to_string())),
        (found, _) => found,
    }
}
