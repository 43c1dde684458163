//! Rules for security schemes (spec §4.5).

use super::{Validate, Violations, rule};
use crate::limits::{CARD_ENTRIES_MAX, DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX};
use crate::types::{
    APIKeySecurityScheme, AuthorizationCodeOAuthFlow, ClientCredentialsOAuthFlow, DeviceCodeOAuthFlow, HTTPAuthSecurityScheme,
    ImplicitOAuthFlow, MutualTlsSecurityScheme, OAuth2SecurityScheme, OAuthFlows, OpenIdConnectSecurityScheme, PasswordOAuthFlow,
    Scopes, SecurityRequirement, SecurityScheme, StringList,
};

/// Where a key can be (OpenAPI).
const KEY_LOCATIONS: [&str; 3] = ["query", "header", "cookie"];

impl Validate for SecurityRequirement {
    fn check(&self, found: &mut Violations) {
        found.map("schemes", &self.schemes, Validate::check);
    }
}

impl Validate for StringList {
    fn check(&self, found: &mut Violations) {
        found.each("list", &self.list, CARD_ENTRIES_MAX, |text, found| rule::name(text, found));
    }
}

impl Validate for SecurityScheme {
    fn check(&self, found: &mut Violations) {
        match self {
            Self::ApiKey(scheme) => found.field("apiKeySecurityScheme", scheme),
            Self::HttpAuth(scheme) => found.field("httpAuthSecurityScheme", scheme),
            Self::OAuth2(scheme) => found.field("oauth2SecurityScheme", scheme),
            Self::OpenIdConnect(scheme) => found.field("openIdConnectSecurityScheme", scheme),
            Self::MutualTls(scheme) => found.field("mtlsSecurityScheme", scheme),
        }
    }
}

impl Validate for APIKeySecurityScheme {
    fn check(&self, found: &mut Violations) {
        found.text_if_any("description", self.description.as_ref(), DESCRIPTION_CHARS_MAX);
        if !KEY_LOCATIONS.contains(&self.location.as_str()) {
            found.within("location", |found| found.report(format!("must be one of {}", KEY_LOCATIONS.join(", "))));
        }
        found.text("name", &self.name, NAME_CHARS_MAX);
    }
}

impl Validate for HTTPAuthSecurityScheme {
    fn check(&self, found: &mut Violations) {
        found.text_if_any("description", self.description.as_ref(), DESCRIPTION_CHARS_MAX);
        found.text("scheme", &self.scheme, NAME_CHARS_MAX);
        found.text_if_any("bearerFormat", self.bearer_format.as_ref(), NAME_CHARS_MAX);
    }
}

impl Validate for OAuth2SecurityScheme {
    fn check(&self, found: &mut Violations) {
        found.text_if_any("description", self.description.as_ref(), DESCRIPTION_CHARS_MAX);
        found.field("flows", &self.flows);
        found.web_url_if_any("oauth2MetadataUrl", self.oauth2_metadata_url.as_ref());
    }
}

impl Validate for OpenIdConnectSecurityScheme {
    fn check(&self, found: &mut Violations) {
        found.text_if_any("description", self.description.as_ref(), DESCRIPTION_CHARS_MAX);
        found.web_url("openIdConnectUrl", &self.open_id_connect_url);
    }
}

impl Validate for MutualTlsSecurityScheme {
    fn check(&self, found: &mut Violations) {
        found.text_if_any("description", self.description.as_ref(), DESCRIPTION_CHARS_MAX);
    }
}

impl Validate for OAuthFlows {
    fn check(&self, found: &mut Violations) {
        match self {
            Self::AuthorizationCode(flow) => found.field("authorizationCode", flow),
            Self::ClientCredentials(flow) => found.field("clientCredentials", flow),
            Self::Implicit(flow) => found.field("implicit", flow),
            Self::Password(flow) => found.field("password", flow),
            Self::DeviceCode(flow) => found.field("deviceCode", flow),
        }
    }
}

impl Validate for AuthorizationCodeOAuthFlow {
    fn check(&self, found: &mut Violations) {
        found.web_url("authorizationUrl", &self.authorization_url);
        found.web_url("tokenUrl", &self.token_url);
        found.web_url_if_any("refreshUrl", self.refresh_url.as_ref());
        found.scopes(&self.scopes);
    }
}

impl Validate for ClientCredentialsOAuthFlow {
    fn check(&self, found: &mut Violations) {
        found.web_url("tokenUrl", &self.token_url);
        found.web_url_if_any("refreshUrl", self.refresh_url.as_ref());
        found.scopes(&self.scopes);
    }
}

impl Validate for DeviceCodeOAuthFlow {
    fn check(&self, found: &mut Violations) {
        found.web_url("deviceAuthorizationUrl", &self.device_authorization_url);
        found.web_url("tokenUrl", &self.token_url);
        found.web_url_if_any("refreshUrl", self.refresh_url.as_ref());
        found.scopes(&self.scopes);
    }
}

impl Validate for ImplicitOAuthFlow {
    fn check(&self, found: &mut Violations) {
        found.web_url_if_any("authorizationUrl", self.authorization_url.as_ref());
        found.web_url_if_any("refreshUrl", self.refresh_url.as_ref());
        found.scopes(&self.scopes);
    }
}

impl Validate for PasswordOAuthFlow {
    fn check(&self, found: &mut Violations) {
        found.web_url_if_any("tokenUrl", self.token_url.as_ref());
        found.web_url_if_any("refreshUrl", self.refresh_url.as_ref());
        found.scopes(&self.scopes);
    }
}

impl Violations {
    /// May be empty, though REQUIRED: OpenAPI says so.
    fn scopes(&mut self, scopes: &Scopes) {
        self.map("scopes", scopes, |description, found| rule::short(description, DESCRIPTION_CHARS_MAX, found));
    }
}
