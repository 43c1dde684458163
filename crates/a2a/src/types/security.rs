//! How callers authenticate, as cards declare it (spec §4.5). The shapes follow OpenAPI's security schemes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OAuthFlows;
use super::field::{or_default, text, unset};
use super::oneof::oneof;

/// `SecurityRequirement`: all schemes in it are needed together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityRequirement {
    /// Scopes by the name of the scheme in the card.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub schemes: BTreeMap<String, StringList>,
}

/// `StringList`: protobuf has no map of lists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StringList {
    /// The texts.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub list: Vec<String>,
}

/// `SecurityScheme` (§4.5.1).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub enum SecurityScheme {
    /// A key in a header, query or cookie.
    #[serde(rename = "apiKeySecurityScheme")]
    ApiKey(APIKeySecurityScheme),
    /// HTTP authentication.
    #[serde(rename = "httpAuthSecurityScheme")]
    HttpAuth(HTTPAuthSecurityScheme),
    /// OAuth 2.0.
    #[serde(rename = "oauth2SecurityScheme")]
    OAuth2(OAuth2SecurityScheme),
    /// OpenID Connect.
    #[serde(rename = "openIdConnectSecurityScheme")]
    OpenIdConnect(OpenIdConnectSecurityScheme),
    /// Client certificates.
    #[serde(rename = "mtlsSecurityScheme")]
    MutualTls(MutualTlsSecurityScheme),
}

oneof!(SecurityScheme {
    ApiKey(api_key_security_scheme, "apiKeySecurityScheme"): APIKeySecurityScheme,
    HttpAuth(http_auth_security_scheme, "httpAuthSecurityScheme"): HTTPAuthSecurityScheme,
    OAuth2(oauth2_security_scheme, "oauth2SecurityScheme"): OAuth2SecurityScheme,
    OpenIdConnect(open_id_connect_security_scheme, "openIdConnectSecurityScheme"): OpenIdConnectSecurityScheme,
    MutualTls(mtls_security_scheme, "mtlsSecurityScheme"): MutualTlsSecurityScheme,
});

/// `APIKeySecurityScheme` (§4.5.2).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct APIKeySecurityScheme {
    /// For people.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub description: Option<String>,
    /// `query`, `header` or `cookie`.
    pub location: String,
    /// Of the parameter, header or cookie.
    pub name: String,
}

/// `HTTPAuthSecurityScheme` (§4.5.3).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HTTPAuthSecurityScheme {
    /// For people.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub description: Option<String>,
    /// As in the `Authorization` header: `Bearer`, `Basic`.
    pub scheme: String,
    /// What a bearer token looks like; a hint.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "bearer_format")]
    pub bearer_format: Option<String>,
}

/// `OAuth2SecurityScheme` (§4.5.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2SecurityScheme {
    /// For people.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub description: Option<String>,
    /// How tokens are got.
    pub flows: OAuthFlows,
    /// Metadata of the authorization server (RFC 8414).
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "oauth2_metadata_url")]
    pub oauth2_metadata_url: Option<String>,
}

/// `OpenIdConnectSecurityScheme` (§4.5.5).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenIdConnectSecurityScheme {
    /// For people.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub description: Option<String>,
    /// The provider's discovery document.
    #[serde(alias = "open_id_connect_url")]
    pub open_id_connect_url: String,
}

/// `MutualTlsSecurityScheme` (§4.5.6).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MutualTlsSecurityScheme {
    /// For people.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub description: Option<String>,
}
