//! What the gateway must be told of each tenant: its token, its Slack app and its people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

use incident::alert::Correlation;
use incident::approval::Directory;
use incident::heartbeat::Heartbeats;
use incident::id::PersonId;
use incident::task::Role;
use runtime::secret::Secret;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use url::Url;

/// What the edge needs to know of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantEdge {
    /// Bearer token of the tenant's Alertmanagers.
    pub webhook_token: Secret,
    /// Which labels make alerts one incident.
    #[serde(default)]
    pub correlation: Correlation,
    /// Alerts that always fire, and open no incidents.
    #[serde(default)]
    pub heartbeats: Heartbeats,
    /// The tenant's Slack app, if it has one.
    #[serde(default)]
    pub slack: Option<SlackEdge>,
    /// An Alertmanager whose silences hold here as well.
    #[serde(default)]
    pub silences: Option<SilencesOf>,
    /// Who may use the API, and who may decide on what.
    #[serde(default)]
    pub people: Vec<Person>,
    /// Programs that may give our agents work over A2A.
    #[serde(default)]
    pub a2a_clients: Vec<A2aClient>,
}

impl TenantEdge {
    /// Who is in which group.
    pub fn directory(&self) -> Directory {
        self.people.iter().map(|person| (person.id.clone(), person.groups.clone())).collect()
    }
}

/// An Alertmanager whose silences are taken over: `[tenants.ID.silences]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilencesOf {
    /// Its address, such as `http://alertmanager:9093`.
    pub alertmanager: Url,
    /// Bearer token, if it asks for one.
    #[serde(default)]
    pub token: Option<Secret>,
    /// Who answers for what is taken over: one of `people`.
    pub owner: PersonId,
    /// Seconds from one look at them to the next, 10 to 3600.
    #[serde(default = "minute")]
    pub every_s: u32,
}

fn minute() -> u32 {
    60
}

/// A Slack app whose buttons come here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackEdge {
    /// What Slack signs interactions with.
    pub signing_secret: Secret,
    /// Only this app's interactions count, such as `A0123`; without it any app with the secret.
    #[serde(default)]
    pub app_id: Option<String>,
    /// Only people of this workspace count, such as `T0123`: guests from elsewhere (Slack Connect) do not.
    #[serde(default)]
    pub team_id: Option<String>,
    /// Who clicked in vain is told at the address that came with the click; it must be of this scheme, host and port. Another one is
    /// for tests and for Slack's own other addresses.
    #[serde(default = "hooks_slack_com")]
    pub replies_url: Url,
}

#[expect(clippy::expect_used, reason = "a constant address; a test reads it")]
fn hooks_slack_com() -> Url {
    Url::parse("https://hooks.slack.com").expect("constant")
}

/// A person that Paramedic knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The verified identity, the same in every channel.
    pub id: PersonId,
    /// The groups that policies name.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// The person's Slack user id, such as `U0123`.
    #[serde(default)]
    pub slack_user: Option<String>,
    /// SHA-256 of the person's token for CLI and API, in hex. The token itself is the person's alone.
    #[serde(default)]
    pub token_sha256: Option<TokenDigest>,
}

/// A program that calls our agents over A2A.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct A2aClient {
    /// Its name: its tasks are its own under it. 1 to 63 characters out of `a-z A-Z 0-9 _ -`.
    pub name: String,
    /// SHA-256 of its token, in hex.
    pub token_sha256: TokenDigest,
    /// The agents that it may give work: `diagnostics`, `remediation`, `communication`.
    #[serde(default)]
    pub agents: BTreeSet<Role>,
    /// Password of its NATS user, `<tenant>.<name>`, if it may also come over NATS; `paramedic nats-users` prints the user.
    #[serde(default)]
    pub nats_password: Option<Secret>,
    /// The person whose decisions it brings, if it may bring any: one of `people`. What it says counts as theirs.
    #[serde(default)]
    pub speaks_for: Option<PersonId>,
}

/// How A2A clients reach the agents beside the gateway's own address, and how they know them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct A2aEdge {
    /// Signs cards, posts to clients, and answers over NATS; without it, none of them is signed.
    pub signing: Option<Signing>,
    /// Where clients find the NATS server, such as `tls://nats.example:4222`; without it, cards do not speak of NATS.
    pub nats_url: Option<Url>,
    /// Agents that are served on a port of their own, because gRPC's paths have no room for an agent's name.
    pub grpc: BTreeMap<Role, Grpc>,
}

/// A key, and its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// By which clients choose the public key. Another key has another name.
    pub kid: String,
    /// A P-256 private key in PKCS#8 PEM.
    pub key: Secret,
}

/// A port for one agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Host and port as clients find it, such as `diagnostics.paramedic.example:443`; without it, where it listens.
    #[serde(default)]
    pub address: Option<String>,
}

impl Grpc {
    pub(crate) fn address(&self) -> String {
        self.address.clone().unwrap_or_else(|| self.listen.to_string())
    }
}

/// SHA-256 of a bearer token. Tokens are compared by digest, so that neither their length nor their first bytes show in the time that
/// it takes.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Equality, in constant time.
    pub(crate) fn matches(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A digest that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token digest must be 64 hexadecimal digits, the SHA-256 of the token: printf %s TOKEN | sha256sum")]
pub struct BadDigest;

impl TryFrom<String> for TokenDigest {
    type Error = BadDigest;
    fn try_from(text: String) -> Result<Self, BadDigest> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(|_| BadDigest)?;
        Ok(Self(bytes))
    }
}

impl From<TokenDigest> for String {
    fn from(digest: TokenDigest) -> Self {
        hex::encode(digest.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_to_slack_unless_told_otherwise() {
        let edge: SlackEdge = serde_json::from_str(r#"{"signing_secret": "s"}"#).unwrap();
        assert_eq!(edge.replies_url.as_str(), "https://hooks.slack.com/");
    }
}
