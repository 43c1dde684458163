//! The first configuration: random secrets, one tenant, one person, written once and yours from then on.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use incident::task::Role;
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use runtime::clock::random_hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::Connection as _;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::roles::signing_key;

/// The configuration in the home folder.
pub(crate) const CONFIG_FILE: &str = "paramedic.toml";
const TOKENS_FILE: &str = "tokens.toml";

/// Tokens in the clear, for the commands of whoever owns the home folder; the configuration has only what checks them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tokens {
    /// Of the person "you".
    pub(crate) person: String,
    /// Of the Alertmanager of tenant "local".
    pub(crate) webhook: String,
}

/// The first configuration, with `{names}` for what is random.
const FIRST: &str = include_str!("first.toml");

/// Writes the first configuration and the tokens that go with it.
pub(crate) fn write_first(path: &Path) -> anyhow::Result<()> {
    let tokens = Tokens { person: random()?, webhook: random()? };
    // The tokens first: without them a configuration that is there would lock its owner out.
    write_private(&path.with_file_name(TOKENS_FILE), &toml::to_string(&tokens)?)?;
    write_private(path, &first(&tokens)?)
}

fn random() -> anyhow::Result<String> {
    random_hex::<24>().context("asking the system for random bytes")
}

/// One random password a role, as lines of a table.
fn passwords() -> anyhow::Result<String> {
    Role::ALL.into_iter().map(|role| Ok(format!("{role} = \"{}\"\n", random()?))).collect()
}

/// A new P-256 key in PEM.
fn a2a_key() -> anyhow::Result<String> {
    let seed = random_hex::<32>().context("asking the system for random bytes")?;
    let key = p256::SecretKey::from_slice(&hex::decode(seed)?).context("making a key")?;
    Ok(key.to_pkcs8_pem(LineEnding::LF).context("writing a key")?.to_string())
}

fn first(tokens: &Tokens) -> anyhow::Result<String> {
    let seed = random_hex::<32>().context("asking the system for random bytes")?;
    let public_key = hex::encode(signing_key(&seed)?.verifying_key().to_bytes());
    let filled = [
        ("{signing_key}", seed),
        ("{public_key}", public_key),
        ("{a2a_key}", a2a_key()?),
        ("{nats_admin}", random()?),
        ("{nats_passwords}", passwords()?),
        ("{database_passwords}", passwords()?),
        ("{connectors_token}", random()?),
        ("{webhook_token}", tokens.webhook.clone()),
        ("{person_token_sha256}", hex::encode(Sha256::digest(tokens.person.as_bytes()))),
    ];
    Ok(filled.into_iter().fold(FIRST.to_owned(), |text, (name, value)| text.replace(name, &value)))
}

/// Reads what [`write_first`] wrote.
pub(crate) fn read_tokens(home: &Path) -> anyhow::Result<Tokens> {
    let path = home.join(TOKENS_FILE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(toml::from_str(&text)?)
}

/// Writes a file that only its owner reads.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("writing {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}

/// Within one process the connectors take a free port, and communication is told which.
pub(crate) async fn wire_connectors(config: &mut Config) -> anyhow::Result<()> {
    let (Some(connectors), Some(communication)) = (config.connectors.as_mut(), config.communication.as_mut()) else {
        return Ok(());
    };
    if connectors.listen.port() != 0 {
        return Ok(());
    }
    let free: SocketAddr = TcpListener::bind(connectors.listen).await?.local_addr()?;
    connectors.listen = free;
    communication.connectors = format!("http://{free}/mcp/").parse()?;
    Ok(())
}

/// Creates the database of a private Postgres, the first time.
pub(crate) async fn create_database(admin_url: &str, name: &'static str) -> anyhow::Result<()> {
    let mut connection = sqlx::PgConnection::connect(admin_url).await.context("connecting to the private Postgres")?;
    let there: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await?;
    if !there {
        // The name is one of our constants, not anybody's input.
        sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> String {
        first(&Tokens { person: random().unwrap(), webhook: random().unwrap() }).unwrap()
    }

    fn parsed(text: &str) -> Result<Config, runtime::config::ConfigError> {
        runtime::config::parse("first.toml", text, std::iter::empty())
    }

    fn is_example(line: &str) -> bool {
        line.strip_prefix('#').is_some_and(|rest| !rest.is_empty() && !rest.starts_with(' '))
    }

    #[test]
    fn the_first_configuration_is_complete() {
        let text = filled();
        let config = parsed(&text).unwrap();
        for role in Role::ALL {
            assert!(config.nats.passwords.contains_key(&role) && config.database.passwords.contains_key(&role), "{role}");
        }
        let section = config.gateway.unwrap();
        section.ways().unwrap();
        assert!(section.a2a.signing.is_some());
        let gateway = signing_key(section.signing_key.reveal()).unwrap();
        assert_eq!(config.remediation.unwrap().gateway_public_key, hex::encode(gateway.verifying_key().to_bytes()));
        assert!(config.tenants.values().all(|tenant| tenant.policy.rule_for("anything").is_some()));
        assert!(!text.contains("{signing") && !text.contains("_passwords}"), "{text}");
    }

    #[test]
    fn every_example_can_be_used() {
        let text = filled();
        let examples = text.lines().filter(|line| is_example(line)).count();
        assert!(examples >= 12, "{examples}");
        for n in 0..=examples {
            // One alone, and in the last round all together.
            let mut seen = 0;
            let used: Vec<&str> = text
                .lines()
                .map(|line| {
                    seen += usize::from(is_example(line));
                    let is_used = is_example(line) && (n == examples || seen == n + 1);
                    if is_used { line.trim_start_matches('#') } else { line }
                })
                .collect();
            let used = used.join("\n");
            let config = parsed(&used).unwrap_or_else(|error| panic!("{error}: {:?}\n{used}", std::error::Error::source(&error)));
            if n == examples {
                let tenant = config.tenants.values().next().unwrap();
                assert!(tenant.slack.is_some() && tenant.jira.is_some() && tenant.prometheus.is_some(), "{tenant:?}");
                let files =
                    [Role::Diagnostics, Role::Remediation].map(|role| tenant.kubernetes_of(role).unwrap().kubeconfig.clone());
                assert_ne!(files[0], files[1]);
                assert_eq!(config.telemetry.log, runtime::telemetry::TelemetryConfig::default().log);
            }
        }
    }
}
