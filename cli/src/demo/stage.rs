//! The demo's world: a cluster with a shop in it, what watches the shop, and a Paramedic that knows both.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use cluster::kubernetes::KubernetesConfig;
use incident::id::TenantId;
use local::install::{self, Environment, MonitoringPrograms};
use local::kubernetes::ControlPlane;
use local::shop::{DEPLOYMENT, Shop};
use runtime::clock;
use tokio::time::Instant;

use super::cluster::{Choice, Cluster, NAMESPACE};
use super::leftover::{self, Door};
use super::rights;
use super::watching::{Setting, Watching};
use crate::api::Api;
use crate::args::Demo;
use crate::config::{Remediation, Tenant};
use crate::output::line;
use crate::up::{self, Home, Machine, progress};

/// The tenant of the first configuration.
const TENANT: &str = "local";
/// Made anew at each start: clusters, metrics and credentials of one demo.
const FOLDER: &str = "demo";
const GOOD_IMAGE: &str = "shop:v1";
/// Three requests in ten fail.
const BAD_IMAGE: &str = "shop:v2-err30";
/// People who watch need not wait half a minute to be sure.
const SETTLE_S: u32 = 5;
/// As long as a rollback that does not help is watched before it is undone.
const VERIFY_S: u32 = 60;

/// All of it, as far as it has been started.
#[derive(Default)]
pub(crate) struct Stage {
    plane: Option<ControlPlane>,
    cluster: Option<Cluster>,
    cluster_name: String,
    is_private: bool,
    shop: Option<Shop>,
    watching: Watching,
    webhook: String,
    token: String,
    api: Option<Api>,
}

/// What runs it.
pub(crate) struct Programs {
    up: up::Programs,
    monitoring: MonitoringPrograms,
    cluster: Choice,
}

/// Finds or installs all programs, before anything is started.
pub(crate) async fn find(arguments: &Demo, home: &Home) -> anyhow::Result<Programs> {
    let environment = Environment::from_process();
    let up = up::find(&home.config, &environment).await?;
    let monitoring = install::monitoring(&environment, &progress).await?;
    let cluster = match &arguments.context {
        Some(context) => Choice::Context(context.clone()),
        None => Choice::Private(install::kubernetes(&environment, &progress).await?),
    };
    Ok(Programs { up, monitoring, cluster })
}

/// A step of the preparations.
fn done(began: Instant, text: &str) {
    line(&format!("{:>7.1} s  {text}", began.elapsed().as_secs_f64()));
}

impl Stage {
    /// Starts everything, up to a healthy shop that is watched.
    pub(crate) async fn set(&mut self, home: &mut Home, machine: &mut Machine, programs: Programs) -> anyhow::Result<()> {
        line("Preparing:");
        let began = Instant::now();
        let folder = fresh_folder(&home.path)?;
        let last_cluster = leftover::last_cluster(&home.path);
        self.read_addresses(home)?;
        let (path, config) = (home.path.clone(), &mut home.config);
        let Programs { up, monitoring, cluster } = programs;
        let set_up_shop = self.set_up_shop(cluster, monitoring, &folder, began);
        let (entries, ()) = tokio::try_join!(set_up_shop, machine.start_servers(&path, config, up))?;
        machine.servers(config).iter().for_each(|server| done(began, server));
        self.tell_tenant(home, entries)?;
        quicken(home, &folder)?;
        let front = machine.start_roles(home).await?;
        done(began, &format!("Paramedic, every role as a user of its own: {}", front.url));
        let api = self.api.insert(Api::at(&front.url, front.tokens.person)?);
        if let Some(last) = last_cluster {
            let closed = leftover::close(api, &Door { webhook: &self.webhook, token: &self.token }, &last, clock::now()).await?;
            if closed > 0 {
                done(began, &format!("closed {closed} incident(s) of an earlier demo, whose shop is gone"));
            }
        }
        leftover::remember(&home.path, &self.cluster_name)?;
        self.watching.await_health().await?;
        done(began, "the shop is healthy: no request fails");
        Ok(())
    }

    fn read_addresses(&mut self, home: &Home) -> anyhow::Result<()> {
        let gateway = home.config.gateway.as_ref().context("the configuration has no [gateway]")?;
        let tenant = home
            .config
            .tenants
            .get(&tenant()?)
            .context("the demo uses tenant \"local\", which the configuration does not have")?;
        let token = tenant.webhook_token.as_ref().context("the configuration has no tenants.local.webhook_token")?;
        self.webhook = format!("http://{}/v1/alertmanager/{TENANT}", gateway.listen);
        token.reveal().clone_into(&mut self.token);
        self.cluster_name = format!("demo-{}", clock::random_hex::<3>()?);
        Ok(())
    }

    /// The cluster, the shop, and what watches it.
    async fn set_up_shop(
        &mut self,
        choice: Choice,
        programs: MonitoringPrograms,
        folder: &Path,
        began: Instant,
    ) -> anyhow::Result<Vec<rights::Entry>> {
        self.is_private = matches!(choice, Choice::Private(_));
        let cluster = self.cluster.insert(super::cluster::open(choice, folder, &mut self.plane).await?);
        done(began, &format!("a Kubernetes API to look at: {} -n {NAMESPACE} get pods", cluster.kubectl));
        cluster.fresh_namespace().await?;
        let entries = rights::grant(&cluster.client, &cluster.address, NAMESPACE, folder).await?;
        let shop = self.shop.insert(Shop::start(cluster.client.clone(), [NAMESPACE.to_owned()]).await?);
        cluster.deploy(GOOD_IMAGE).await?;
        let setting = Setting { shop: shop.address(), cluster: &self.cluster_name, webhook: &self.webhook, token: &self.token };
        let (pods, ()) = tokio::try_join!(cluster.await_rollout(GOOD_IMAGE), self.watching.start(programs, folder, &setting))?;
        done(began, &format!("a shop: Deployment {NAMESPACE}/{DEPLOYMENT}, image {GOOD_IMAGE}, {pods} pods ready"));
        if let Some((prometheus, alertmanager)) = self.watching.addresses() {
            done(began, &format!("Prometheus on {prometheus}, Alertmanager on {alertmanager}"));
        }
        Ok(entries)
    }

    /// In memory only: the person's file stays as it is. A sample shop is nobody's incident: their Slack channel and their Jira project
    /// hear nothing of it.
    fn tell_tenant(&self, home: &mut Home, entries: Vec<rights::Entry>) -> anyhow::Result<()> {
        let tenant: &mut Tenant = home.config.tenants.get_mut(&tenant()?).context("no tenant")?;
        let config =
            |kubeconfig| KubernetesConfig { cluster: self.cluster_name.clone(), kubeconfig: Some(kubeconfig), context: None };
        tenant.kubernetes = None;
        tenant.kubernetes_as = entries.into_iter().map(|entry| (entry.role, config(entry.kubeconfig))).collect();
        tenant.prometheus = Some(self.watching.config()?);
        for place in silence(tenant) {
            line(&format!("           {place} is left alone: the demo posts nothing there"));
        }
        Ok(())
    }

    /// The bad release. When, and what it was.
    pub(crate) async fn release(&self) -> anyhow::Result<(DateTime<Utc>, &'static str)> {
        let at = clock::now();
        local::shop::set_image(&self.cluster()?.client, NAMESPACE, BAD_IMAGE).await?;
        Ok((at, BAD_IMAGE))
    }

    /// What the cluster says in the end, whatever the record says.
    pub(crate) async fn runs_good_image(&self) -> anyhow::Result<bool> {
        Ok(self.cluster()?.image().await? == GOOD_IMAGE)
    }

    fn cluster(&self) -> anyhow::Result<&Cluster> {
        self.cluster.as_ref().context("there is no cluster")
    }

    /// The gateway.
    pub(crate) fn api(&self) -> anyhow::Result<&Api> {
        self.api.as_ref().context("the gateway does not run")
    }

    /// Closes what is still open, then stops and removes everything.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(api) = &self.api {
            let door = Door { webhook: &self.webhook, token: &self.token };
            // If the gateway does not answer any more, the next demo closes it.
            let _ = leftover::close(api, &door, &self.cluster_name, clock::now()).await;
        }
        let watching = self.watching.stop().await;
        if let Some(shop) = self.shop.take() {
            shop.stop().await;
        }
        if let Some(cluster) = self.cluster.as_ref().filter(|_| !self.is_private) {
            cluster.drop_namespace().await?;
        }
        if let Some(plane) = self.plane.as_mut() {
            plane.stop().await?;
        }
        watching
    }
}

/// Takes away where people would be told; what that was.
fn silence(tenant: &mut Tenant) -> Vec<String> {
    let slack = tenant.slack.take().map(|slack| format!("Slack channel {}", slack.channel));
    let jira = tenant.jira.take().map(|jira| format!("Jira project {}", jira.project));
    slack.into_iter().chain(jira).collect()
}

/// The runbooks that come with Paramedic, with shorter times.
fn quicken(home: &mut Home, folder: &Path) -> anyhow::Result<()> {
    let runbooks = folder.join("runbooks");
    std::fs::create_dir_all(&runbooks)?;
    for mut runbook in crate::runbooks::built_in()? {
        (runbook.verify.settle_s, runbook.verify.deadline_s) = (SETTLE_S, VERIFY_S);
        let path = runbooks.join(format!("{}.yaml", runbook.name));
        std::fs::write(&path, serde_yaml_ng::to_string(&runbook)?).with_context(|| format!("writing {}", path.display()))?;
    }
    let section: &mut Remediation = home.config.remediation.as_mut().context("the configuration has no [remediation]")?;
    section.runbooks = Some(std::path::absolute(runbooks)?);
    Ok(())
}

fn tenant() -> anyhow::Result<TenantId> {
    Ok(TENANT.parse()?)
}

/// An empty folder: nothing of an earlier demo is read, not even what a crash left half written.
fn fresh_folder(home: &Path) -> anyhow::Result<PathBuf> {
    let folder = home.join(FOLDER);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    // Credentials are in it.
    std::fs::DirBuilder::new().mode(0o700).create(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_posts_into_no_channel_or_project_of_the_person() {
        let mut tenant: Tenant = toml::from_str("slack = { channel = \"C0123\" }\njira = { project = \"OPS\" }\n").unwrap();
        assert_eq!(silence(&mut tenant), ["Slack channel C0123", "Jira project OPS"]);
        assert!(tenant.slack.is_none() && tenant.jira.is_none());
        assert!(silence(&mut tenant).is_empty());
    }
}
