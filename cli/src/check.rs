//! `paramedic config check`: everything that would stop a start and can be known without a server, by the very functions that a start
//! calls. It names all that it finds. What only the machine knows where a role will run (kubeconfigs, free ports) it must not judge:
//! configurations are also checked in CI.

use std::path::Path;

use anyhow::{Context as _, ensure};
use incident::heartbeat;
use incident::id::TenantId;
use incident::task::Role;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Tenant};
use crate::output::line;
use crate::{migrate, roles};

/// Checks the file, and prints it as it is in force.
pub(crate) fn run(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let base = path.parent().unwrap_or(Path::new("."));
    let found = problems(&config, base);
    let text: Vec<String> = found.iter().map(|problem| format!("\n  {problem:#}")).collect();
    ensure!(found.is_empty(), "{} cannot be used:{}", path.display(), text.concat());
    line(config::shown(path)?.trim_end());
    Ok(())
}

/// What of this follows from the text alone: without files beside it, the network or the environment. Gives the configuration as it is in
/// force, without its secrets.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn config(text: &str) -> anyhow::Result<String> {
    let config: Config = runtime::config::parse("the configuration", text, std::iter::empty())?;
    gateway(&config)?;
    keys_fit(&config)?;
    nats(&config)?;
    config.tenants.iter().try_for_each(|(id, tenant)| rules(id, tenant))?;
    config::shown_table(text.parse()?)
}

fn problems(config: &Config, base: &Path) -> Vec<anyhow::Error> {
    let checks = [gateway(config), remediation(config, base), keys_fit(config), connectors(config), nats(config)];
    checks.into_iter().chain(tenants(config, base)).chain(watches(config, base)).filter_map(Result::err).collect()
}

fn gateway(config: &Config) -> anyhow::Result<()> {
    if let Some(section) = &config.gateway {
        roles::signing_key(section.signing_key.reveal())?;
        section.ways()?;
    }
    roles::tenants(config).map(drop).context("tenants")
}

fn remediation(config: &Config, base: &Path) -> anyhow::Result<()> {
    let Some(section) = &config.remediation else { return Ok(()) };
    roles::public_key(&section.gateway_public_key)?;
    roles::runbooks(base, section).map(drop)
}

/// Where one file has both halves, they must be of one key: else every approval is refused, and nobody sees why.
fn keys_fit(config: &Config) -> anyhow::Result<()> {
    let (Some(gateway), Some(remediation)) = (&config.gateway, &config.remediation) else { return Ok(()) };
    let halves = (roles::signing_key(gateway.signing_key.reveal()), roles::public_key(&remediation.gateway_public_key));
    // One that is none is told above.
    let (Ok(private), Ok(public)) = halves else { return Ok(()) };
    ensure!(
        private.verifying_key() == public,
        "remediation.gateway_public_key does not belong to gateway.signing_key; `paramedic config public-key` prints the one that does"
    );
    Ok(())
}

fn connectors(config: &Config) -> anyhow::Result<()> {
    let Some(section) = config.connectors.clone() else { return Ok(()) };
    roles::connectors(section, &CancellationToken::new()).map(drop)
}

/// Who has everybody's password writes the server's user section with them.
fn nats(config: &Config) -> anyhow::Result<()> {
    let has_all = Role::ALL.iter().all(|role| config.nats.passwords.contains_key(role));
    if config.nats.admin_password.is_none() || !has_all {
        return Ok(());
    }
    migrate::nats_users(config).map(drop).context("nats.passwords")
}

fn tenants<'a>(config: &'a Config, base: &'a Path) -> impl Iterator<Item = anyhow::Result<()>> {
    config.tenants.iter().map(move |(id, tenant)| {
        rules(id, tenant)?;
        roles::topology(base, tenant).with_context(|| format!("tenants.{id}.topology"))?;
        roles::prometheus(tenant).map(drop).with_context(|| format!("tenants.{id}.prometheus"))
    })
}

/// What a tenant's own numbers and matchers must keep.
fn rules(id: &TenantId, tenant: &Tenant) -> anyhow::Result<()> {
    tenant.policy.check().with_context(|| format!("tenants.{id}.policy"))?;
    heartbeat::check(&tenant.heartbeat).with_context(|| format!("tenants.{id}.heartbeat"))?;
    tenant.storm.check().with_context(|| format!("tenants.{id}.storm"))?;
    for (n, window) in (1..).zip(&tenant.maintenance) {
        window.check().with_context(|| format!("tenants.{id}.maintenance {n}"))?;
    }
    Ok(())
}

fn watches(config: &Config, base: &Path) -> impl Iterator<Item = anyhow::Result<()>> {
    config
        .tenants
        .iter()
        .map(move |(id, tenant)| roles::watch(base, tenant).map(drop).with_context(|| format!("tenants.{id}.watch")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn good() -> String {
        format!(
            "[nats]\n[database]\n[gateway]\nlisten = \"127.0.0.1:0\"\nsigning_key = \"{SEED}\"\n\
             [remediation]\ngateway_public_key = \"{PUBLIC}\"\nrunbooks = \"runbooks\"\n\
             [connectors]\nlisten = \"127.0.0.1:0\"\nsurface = {{ token = \"0123456789abcdef\" }}\nslack = {{ token = \"xoxb-1\" }}\n\
             [tenants.acme]\ntopology = \"topology.yaml\"\nwebhook_token = \"hook\"\nprometheus = {{ url = \"http://127.0.0.1:9090\" }}\n\
             watch = {{ rules = \"watch\", interval_s = 30 }}\n\
             [[tenants.acme.people]]\nid = \"ana\"\nslack_user = \"U1\"\ntoken_sha256 = \"{DIGEST}\"\n\
             [[tenants.acme.people]]\nid = \"ben\"\nslack_user = \"U2\"\n\
             [tenants.acme.heartbeat.am]\nmatchers = ['alertname=\"Watchdog\"']\nsilent_after_s = 300\n\
             [tenants.acme.storm]\nopened = 30\n\
             [tenants.acme.silences]\nalertmanager = \"http://alertmanager:9093\"\nowner = \"ben\"\nevery_s = 30\n\
             [[tenants.acme.maintenance]]\nname = \"upgrade\"\nmatchers = ['service=\"checkout\"']\n\
             starts_at = \"2026-12-06T22:00:00Z\"\nminutes = 120\nevery = \"week\"\n\
             [[tenants.acme.policy]]\napprovers = 1\ngroups = [\"sre\"]\nexpires_s = 600\n"
        )
    }

    /// A folder with runbooks that can be used, beside the configuration.
    fn home() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("runbooks")).unwrap();
        let text = include_str!("../../runbooks/rollback-bad-deploy.yaml");
        std::fs::write(folder.path().join("runbooks/rollback-bad-deploy.yaml"), text).unwrap();
        let text = include_str!("../../docs/topology.yaml");
        std::fs::write(folder.path().join("topology.yaml"), text).unwrap();
        std::fs::create_dir(folder.path().join("watch")).unwrap();
        let text = include_str!("../../runbooks/watch/http.yaml");
        std::fs::write(folder.path().join("watch/http.yaml"), text).unwrap();
        folder
    }

    fn found(text: &str, base: &Path) -> Vec<String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config: Config = runtime::config::parse("paramedic.toml", text, std::iter::empty()).unwrap();
        problems(&config, base).iter().map(|problem| format!("{problem:#}")).collect()
    }

    #[tokio::test]
    async fn what_would_stop_a_start_is_found_without_one() {
        let (home, good) = (home(), good());
        assert_eq!(found(&good, home.path()), Vec::<String>::new());
        for (from, to, said) in [
            (SEED, "abcd", "gateway.signing_key"),
            (PUBLIC, "abcd", "remediation.gateway_public_key"),
            (PUBLIC, &"1".repeat(64), "remediation.gateway_public_key"),
            ("expires_s = 600", "expires_s = 99999", "tenants.acme.policy: policy rule 1: expires_s"),
            ("topology.yaml", "runbooks/rollback-bad-deploy.yaml", "is no topology"),
            ("topology.yaml", "elsewhere.yaml", "tenants.acme.topology: reading"),
            ("owner = \"ben\"", "owner = \"dan\"", "tenants: tenant acme: silences.owner must be"),
            ("every_s = 30", "every_s = 3", "tenants: tenant acme: silences.every_s must be"),
            ("opened = 30", "opened = 1", "tenants.acme.storm: opened must be"),
            ("service=\"checkout\"", "severity=\"warning\"", "tenants.acme.maintenance 1: matchers must hold"),
            ("minutes = 120", "minutes = 20000", "tenants.acme.maintenance 1: minutes must be less than a week"),
            ("silent_after_s = 300", "silent_after_s = 3", "tenants.acme.heartbeat: heartbeat am: silent_after_s must be"),
            ("alertname=\"Watchdog\"", "alertname=~\".*\"", "tenants.acme.heartbeat: heartbeat am: matchers must"),
            ("groups = [\"sre\"]\n", "", "tenants.acme.policy: policy rule 1: groups"),
            ("slack_user = \"U2\"", "slack_user = \"U1\"", "tenants: tenant acme: two people have the same slack_user"),
            ("slack_user = \"U2\"", &format!("token_sha256 = \"{DIGEST}\""), "two people have the same token_sha256"),
            ("\"hook\"", "\"\"", "webhook_token must not be empty"),
            ("runbooks = \"runbooks\"", "runbooks = \"elsewhere\"", "remediation.runbooks: reading the runbooks in"),
            ("\"0123456789abcdef\"", "\"short\"", "connectors"),
            ("\"http://127.0.0.1:9090\"", "\"mailto:ops@acme.example\"", "tenants.acme.prometheus"),
            ("prometheus = { url = \"http://127.0.0.1:9090\" }\n", "", "tenants.acme.watch: metrics are watched in a Prometheus"),
            ("rules = \"watch\"", "rules = \"elsewhere\"", "tenants.acme.watch: rules: reading the watch rules in"),
            ("interval_s = 30", "interval_s = 301", "tenants.acme.watch: interval_s must be 1 to 300"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            let found = found(&bad, home.path());
            assert!(found.iter().any(|problem| problem.contains(said)), "{said:?} is not among {found:?}");
        }
    }

    #[tokio::test]
    async fn all_is_told_at_once() {
        let home = home();
        let bad = good().replace(SEED, "abcd").replace("expires_s = 600", "expires_s = 0");
        assert_eq!(found(&bad, home.path()).len(), 2);
        std::fs::write(home.path().join("runbooks/bad.yaml"), "name: bad\n").unwrap();
        let found = found(&good(), home.path());
        assert!(found.iter().any(|problem| problem.contains("bad.yaml")), "{found:?}");
    }

    #[tokio::test]
    async fn watch_rules_are_checked_together_and_by_their_names_and_fields() {
        let home = home();
        let text = std::fs::read_to_string(home.path().join("watch/http.yaml")).unwrap();
        std::fs::write(home.path().join("watch/more.yaml"), text.replace("min_duration_s: 600", "min_duration_s: 0")).unwrap();
        let told = found(&good(), home.path()).concat();
        assert!(told.contains("more.yaml: rule HttpRequestsUnusual: min_duration_s must be 1 to 7200"), "{told}");
        std::fs::write(home.path().join("watch/more.yaml"), text).unwrap();
        let told = found(&good(), home.path()).concat();
        assert!(told.contains("rule HttpLatencyUnusual: name must be that of no other rule"), "{told}");
    }
}
