//! What our agents say of themselves.

use std::collections::BTreeMap;

use a2a::nats::APPROVAL_EXTENSION;
use a2a::{
    AgentCapabilities, AgentCard, AgentExtension, AgentInterface, AgentProvider, AgentSkill, SecurityRequirement, StringList,
};
use a2a::{HTTPAuthSecurityScheme, SecurityScheme};
use incident::task::Role;
use url::Url;

/// Where clients reach the gateway, without a slash at the end.
#[derive(Debug, Clone)]
pub struct PublicUrl(String);

impl From<Url> for PublicUrl {
    fn from(url: Url) -> Self {
        Self(url.as_str().trim_end_matches('/').to_owned())
    }
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const BEARER: &str = "token";

/// The card of an agent that takes work.
pub(super) fn of(agent: Role, url: &PublicUrl) -> AgentCard {
    let (description, skills) = match agent {
        Role::Diagnostics => (
            "Finds out what is wrong: collects evidence from Kubernetes and Prometheus, and names a cause or says that it found none",
            vec![skill(
                "diagnose",
                "Diagnose alerts",
                "Takes alerts and the workload that they point at; gives a diagnosis with its evidence",
            )],
        ),
        Role::Remediation => (
            "Repairs what a diagnosis says, by runbooks, and only what people have approved; verifies it, and undoes what did not help",
            vec![skill(
                "remediate",
                "Remediate a diagnosis",
                "Takes alerts and their diagnosis; plans, asks for approval, acts, verifies",
            )],
        ),
        _ => (
            "Keeps people informed: a card in chat and a ticket",
            vec![
                skill("announce", "Announce", "Shows a bulletin in chat: one card, edited in place, and its thread"),
                skill("ticket", "Keep a ticket", "Keeps the ticket in step with the bulletins"),
            ],
        ),
    };
    let approval = AgentExtension {
        uri: APPROVAL_EXTENSION.to_owned(),
        description: Some("Says what waits for approval; the agent at /a2a/approvals takes the answers".to_owned()),
        required: false,
        params: None,
    };
    let extensions = if agent == Role::Remediation { vec![approval] } else { vec![] };
    let capabilities =
        AgentCapabilities { streaming: Some(true), push_notifications: Some(true), extensions, extended_agent_card: Some(false) };
    card(&format!("Paramedic {agent}"), description, (agent.as_str(), url), capabilities, skills)
}

/// The card of the gateway itself, which takes people's decisions.
pub(super) fn of_gateway(url: &PublicUrl) -> AgentCard {
    let description = "Takes decisions on plans that wait for approval, from clients that speak for a person. The agents beside it: \
                       /a2a/diagnostics, /a2a/remediation and /a2a/communication, each with its own card below its path";
    let extension = AgentExtension {
        uri: APPROVAL_EXTENSION.to_owned(),
        description: Some("A message whose metadata holds a decision on a request".to_owned()),
        required: true,
        params: None,
    };
    let capabilities = AgentCapabilities {
        streaming: Some(false),
        push_notifications: Some(false),
        extensions: vec![extension],
        extended_agent_card: Some(false),
    };
    let skills = vec![skill("decide", "Decide on a plan", "Takes approve or reject for the digest of a plan that waits")];
    card("Paramedic approvals", description, ("approvals", url), capabilities, skills)
}

fn card(
    name: &str,
    description: &str,
    (path, PublicUrl(url)): (&str, &PublicUrl),
    capabilities: AgentCapabilities,
    skills: Vec<AgentSkill>,
) -> AgentCard {
    let url = format!("{url}/a2a/{path}");
    let interface = |binding| AgentInterface::new(&url, binding);
    let scheme = HTTPAuthSecurityScheme {
        description: Some("The token of a client that the tenant's configuration names".to_owned()),
        scheme: "Bearer".to_owned(),
        bearer_format: None,
    };
    AgentCard {
        name: name.to_owned(),
        description: description.to_owned(),
        supported_interfaces: vec![interface(a2a::card::JSON_RPC), interface(a2a::card::HTTP_JSON)],
        provider: Some(AgentProvider { url: "https://paramedic.dev".to_owned(), organization: "Paramedic".to_owned() }),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        documentation_url: None,
        capabilities,
        security_schemes: BTreeMap::from([(BEARER.to_owned(), SecurityScheme::HttpAuth(scheme))]),
        security_requirements: vec![SecurityRequirement {
            schemes: BTreeMap::from([(BEARER.to_owned(), StringList::default())]),
        }],
        default_input_modes: vec![JSON.to_owned(), TEXT.to_owned()],
        default_output_modes: vec![JSON.to_owned(), TEXT.to_owned()],
        skills,
        signatures: vec![],
        icon_url: None,
    }
}

fn skill(id: &str, name: &str, description: &str) -> AgentSkill {
    AgentSkill {
        id: id.to_owned(),
        name: name.to_owned(),
        description: description.to_owned(),
        tags: vec!["incident-response".to_owned()],
        examples: vec![],
        input_modes: vec![],
        output_modes: vec![],
        security_requirements: vec![],
    }
}

#[cfg(test)]
mod tests {
    use a2a::Validate as _;

    use super::super::AGENTS;
    use super::*;

    #[test]
    fn every_card_keeps_the_rules() {
        let url = PublicUrl::from(Url::parse("https://paramedic.example/").unwrap());
        for card in AGENTS.map(|agent| of(agent, &url)).into_iter().chain([of_gateway(&url)]) {
            card.validate().unwrap();
            assert!(
                card.supported_interfaces.iter().all(|interface| interface.url.starts_with("https://paramedic.example/a2a/"))
            );
        }
    }
}
