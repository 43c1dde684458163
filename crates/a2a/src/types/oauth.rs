//! OAuth 2.0 flows, as cards declare them (spec §4.5.7 to §4.5.10).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::{or_default, text, unset};
use super::oneof::oneof;

/// What each scope allows, by its name. May be empty.
pub type Scopes = BTreeMap<String, String>;

/// `OAuthFlows`: exactly one (§4.5.7).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OAuthFlows {
    /// A person signs in.
    AuthorizationCode(AuthorizationCodeOAuthFlow),
    /// A program signs in.
    ClientCredentials(ClientCredentialsOAuthFlow),
    /// Deprecated.
    Implicit(ImplicitOAuthFlow),
    /// Deprecated.
    Password(PasswordOAuthFlow),
    /// A person signs in on another device.
    DeviceCode(DeviceCodeOAuthFlow),
}

oneof!(OAuthFlows {
    AuthorizationCode(authorization_code, "authorizationCode"): AuthorizationCodeOAuthFlow,
    ClientCredentials(client_credentials, "clientCredentials"): ClientCredentialsOAuthFlow,
    Implicit(implicit, "implicit"): ImplicitOAuthFlow,
    Password(password, "password"): PasswordOAuthFlow,
    DeviceCode(device_code, "deviceCode"): DeviceCodeOAuthFlow,
});

/// `AuthorizationCodeOAuthFlow` (§4.5.8).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationCodeOAuthFlow {
    /// Where people sign in.
    #[serde(alias = "authorization_url")]
    pub authorization_url: String,
    /// Where tokens are got.
    #[serde(alias = "token_url")]
    pub token_url: String,
    /// Where tokens are renewed.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "refresh_url")]
    pub refresh_url: Option<String>,
    /// What can be asked for.
    pub scopes: Scopes,
    /// Needs PKCE (RFC 7636).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset", alias = "pkce_required")]
    pub pkce_required: bool,
}

/// `ClientCredentialsOAuthFlow` (§4.5.9).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCredentialsOAuthFlow {
    /// Where tokens are got.
    #[serde(alias = "token_url")]
    pub token_url: String,
    /// Where tokens are renewed.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "refresh_url")]
    pub refresh_url: Option<String>,
    /// What can be asked for.
    pub scopes: Scopes,
}

/// `DeviceCodeOAuthFlow` (RFC 8628, §4.5.10).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCodeOAuthFlow {
    /// Where the device asks for a code.
    #[serde(alias = "device_authorization_url")]
    pub device_authorization_url: String,
    /// Where tokens are got.
    #[serde(alias = "token_url")]
    pub token_url: String,
    /// Where tokens are renewed.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "refresh_url")]
    pub refresh_url: Option<String>,
    /// What can be asked for.
    pub scopes: Scopes,
}

/// `ImplicitOAuthFlow`: deprecated, known for old cards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImplicitOAuthFlow {
    /// Where people sign in.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "authorization_url")]
    pub authorization_url: Option<String>,
    /// Where tokens are renewed.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "refresh_url")]
    pub refresh_url: Option<String>,
    /// What can be asked for.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub scopes: Scopes,
}

/// `PasswordOAuthFlow`: deprecated, known for old cards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordOAuthFlow {
    /// Where tokens are got.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "token_url")]
    pub token_url: Option<String>,
    /// Where tokens are renewed.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "refresh_url")]
    pub refresh_url: Option<String>,
    /// What can be asked for.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub scopes: Scopes,
}
