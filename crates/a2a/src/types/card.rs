//! The agent card: who an agent is, what it can do, and where (spec §4.4).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::{or_default, text, unset};
use super::{Metadata, SecurityRequirement, SecurityScheme};

/// `AgentCard` (§4.4.1).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentCard {
    /// For people.
    pub name: String,
    /// What it is good for.
    pub description: String,
    /// Where and how it is reached; the first is preferred.
    #[serde(alias = "supported_interfaces")]
    pub supported_interfaces: Vec<AgentInterface>,
    /// Who runs it.
    #[serde(default, skip_serializing_if = "unset")]
    pub provider: Option<AgentProvider>,
    /// Version of the agent, not of the protocol.
    pub version: String,
    /// More to read.
    #[serde(default, skip_serializing_if = "unset", alias = "documentation_url")]
    pub documentation_url: Option<String>,
    /// Which optional operations it knows.
    pub capabilities: AgentCapabilities,
    /// Ways to authenticate, by a name that requirements use.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset", alias = "security_schemes")]
    pub security_schemes: BTreeMap<String, SecurityScheme>,
    /// Any one of them must be met.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset", alias = "security_requirements")]
    pub security_requirements: Vec<SecurityRequirement>,
    /// Media types that all skills read.
    #[serde(alias = "default_input_modes")]
    pub default_input_modes: Vec<String>,
    /// Media types that all skills write.
    #[serde(alias = "default_output_modes")]
    pub default_output_modes: Vec<String>,
    /// What it can do.
    pub skills: Vec<AgentSkill>,
    /// Signatures over all else (§8.4).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub signatures: Vec<AgentCardSignature>,
    /// A picture.
    #[serde(default, skip_serializing_if = "unset", alias = "icon_url")]
    pub icon_url: Option<String>,
}

/// `AgentInterface` (§4.4.6).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentInterface {
    /// Where: absolute, https in production.
    pub url: String,
    /// `JSONRPC`, `GRPC`, `HTTP+JSON`, or the URI of a custom binding.
    #[serde(alias = "protocol_binding")]
    pub protocol_binding: String,
    /// What requests say as `tenant`.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<String>,
    /// Version of A2A, as `1.0`.
    #[serde(alias = "protocol_version")]
    pub protocol_version: String,
}

/// `AgentProvider` (§4.4.2).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentProvider {
    /// Website.
    pub url: String,
    /// Name.
    pub organization: String,
}

/// `AgentCapabilities` (§4.4.3). What is not said is not there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentCapabilities {
    /// `SendStreamingMessage` and `SubscribeToTask`.
    #[serde(default, skip_serializing_if = "unset")]
    pub streaming: Option<bool>,
    /// The operations on push notification configurations.
    #[serde(default, skip_serializing_if = "unset", alias = "push_notifications")]
    pub push_notifications: Option<bool>,
    /// Extensions that it speaks.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub extensions: Vec<AgentExtension>,
    /// `GetExtendedAgentCard`.
    #[serde(default, skip_serializing_if = "unset", alias = "extended_agent_card")]
    pub extended_agent_card: Option<bool>,
}

/// `AgentExtension` (§4.4.4).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentExtension {
    /// Names it; another URI for each change that breaks somebody.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub uri: String,
    /// How the agent uses it.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub description: Option<String>,
    /// Clients that do not declare it are refused.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub required: bool,
    /// What the extension itself defines. An empty object differs from none under a signature.
    #[serde(default, skip_serializing_if = "unset")]
    pub params: Option<Metadata>,
}

/// `AgentSkill` (§4.4.5).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentSkill {
    /// Unique within the card.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Keywords.
    pub tags: Vec<String>,
    /// Things to say to it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub examples: Vec<String>,
    /// Media types that it reads, instead of the card's.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset", alias = "input_modes")]
    pub input_modes: Vec<String>,
    /// Media types that it writes, instead of the card's.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset", alias = "output_modes")]
    pub output_modes: Vec<String>,
    /// Any one of them must be met for it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset", alias = "security_requirements")]
    pub security_requirements: Vec<SecurityRequirement>,
}

/// `AgentCardSignature`: a JWS of RFC 7515 whose payload is the card itself (§4.4.7).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentCardSignature {
    /// Protected header: a JSON object in base64url.
    pub protected: String,
    /// Signature in base64url.
    pub signature: String,
    /// Header that is not signed; nothing may rest on it.
    #[serde(default, skip_serializing_if = "unset")]
    pub header: Option<Metadata>,
}
