//! Rules for agent cards (spec §4.4). They are for cards that we publish; those of others are read as far as they can be.

use super::{Validate, Violations, rule};
use crate::card::GRPC;
use crate::limits::{CARD_ENTRIES_MAX, DESCRIPTION_CHARS_MAX, EXTENSIONS_MAX, MODES_MAX, NAME_CHARS_MAX};
use crate::types::{
    AgentCapabilities, AgentCard, AgentCardSignature, AgentExtension, AgentInterface, AgentProvider, AgentSkill,
    SecurityRequirement,
};

impl Validate for AgentCard {
    fn check(&self, found: &mut Violations) {
        found.text("name", &self.name, NAME_CHARS_MAX);
        found.text("description", &self.description, DESCRIPTION_CHARS_MAX);
        found.some("supportedInterfaces", &self.supported_interfaces, CARD_ENTRIES_MAX, Validate::check);
        found.field("provider", &self.provider);
        found.text("version", &self.version, NAME_CHARS_MAX);
        found.url_if_any("documentationUrl", self.documentation_url.as_ref());
        found.field("capabilities", &self.capabilities);
        found.map("securitySchemes", &self.security_schemes, Validate::check);
        let is_declared = |requirement: &SecurityRequirement, found: &mut Violations| self.declares(requirement, found);
        found.each("securityRequirements", &self.security_requirements, CARD_ENTRIES_MAX, is_declared);
        found.some("defaultInputModes", &self.default_input_modes, MODES_MAX, |mode, found| rule::name(mode, found));
        found.some("defaultOutputModes", &self.default_output_modes, MODES_MAX, |mode, found| rule::name(mode, found));
        found.some("skills", &self.skills, CARD_ENTRIES_MAX, |skill, found| {
            skill.check(found);
            found.each("securityRequirements", &skill.security_requirements, CARD_ENTRIES_MAX, is_declared);
        });
        found.each("signatures", &self.signatures, CARD_ENTRIES_MAX, Validate::check);
        found.url_if_any("iconUrl", self.icon_url.as_ref());
    }
}

impl AgentCard {
    /// A requirement can only be met if the card says how.
    fn declares(&self, requirement: &SecurityRequirement, found: &mut Violations) {
        for name in requirement.schemes.keys().filter(|name| !self.security_schemes.contains_key(*name)) {
            found.within("schemes", |found| found.report(format!("names {name:?}, which securitySchemes does not have")));
        }
    }
}

impl Validate for AgentInterface {
    fn check(&self, found: &mut Violations) {
        let is_grpc = self.protocol_binding.eq_ignore_ascii_case(GRPC);
        let address = if is_grpc { rule::grpc_address } else { rule::url };
        found.within("url", |found| address(&self.url, found));
        found.text("protocolBinding", &self.protocol_binding, NAME_CHARS_MAX);
        found.id_if_any("tenant", self.tenant.as_ref());
        found.text("protocolVersion", &self.protocol_version, NAME_CHARS_MAX);
    }
}

impl Validate for AgentProvider {
    fn check(&self, found: &mut Violations) {
        found.url("url", &self.url);
        found.text("organization", &self.organization, NAME_CHARS_MAX);
    }
}

impl Validate for AgentCapabilities {
    fn check(&self, found: &mut Violations) {
        found.each("extensions", &self.extensions, EXTENSIONS_MAX, Validate::check);
    }
}

impl Validate for AgentExtension {
    fn check(&self, found: &mut Violations) {
        if !self.uri.is_empty() {
            found.url("uri", &self.uri);
        }
        found.text_if_any("description", self.description.as_ref(), DESCRIPTION_CHARS_MAX);
        if let Some(params) = &self.params {
            found.metadata("params", params);
        }
    }
}

impl Validate for AgentSkill {
    fn check(&self, found: &mut Violations) {
        found.id("id", &self.id);
        found.text("name", &self.name, NAME_CHARS_MAX);
        found.text("description", &self.description, DESCRIPTION_CHARS_MAX);
        found.some("tags", &self.tags, CARD_ENTRIES_MAX, |tag, found| rule::name(tag, found));
        found.each("examples", &self.examples, CARD_ENTRIES_MAX, |text, found| rule::short(text, DESCRIPTION_CHARS_MAX, found));
        found.modes("inputModes", &self.input_modes);
        found.modes("outputModes", &self.output_modes);
        found.each("securityRequirements", &self.security_requirements, CARD_ENTRIES_MAX, Validate::check);
    }
}

impl Validate for AgentCardSignature {
    fn check(&self, found: &mut Violations) {
        found.text("protected", &self.protected, DESCRIPTION_CHARS_MAX);
        found.text("signature", &self.signature, DESCRIPTION_CHARS_MAX);
        if let Some(header) = &self.header {
            found.metadata("header", header);
        }
    }
}
