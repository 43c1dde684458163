//! What our agents say of themselves.

use std::collections::BTreeMap;

use a2a::nats::APPROVAL_EXTENSION;
use a2a::{
    AgentCapabilities, AgentCard, AgentExtension, AgentInterface, AgentProvider, AgentSkill, SecurityRequirement, StringList,
};
use a2a::{HTTPAuthSecurityScheme, SecurityScheme};
use incident::task::Role;

use super::ways::Ways;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const BEARER: &str = "token";

/// The card of an agent that takes work.
pub(super) fn of(agent: Role, ways: &Ways) -> AgentCard {
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
    let capabilities = AgentCapabilities {
        streaming: Some(true),
        push_notifications: Some(true),
        extensions,
        extended_agent_card: Some(ways.has_private()),
    };
    card(&format!("Paramedic {agent}"), description, ways.public(agent.as_str(), Some(agent)), capabilities, skills)
}

/// The card of the gateway itself, which takes people's decisions.
pub(super) fn of_gateway(ways: &Ways) -> AgentCard {
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
    card("Paramedic approvals", description, ways.public("approvals", None), capabilities, skills)
}

fn card(
    name: &str,
    description: &str,
    supported_interfaces: Vec<AgentInterface>,
    capabilities: AgentCapabilities,
    skills: Vec<AgentSkill>,
) -> AgentCard {
    let scheme = HTTPAuthSecurityScheme {
        description: Some("The token of a client that the tenant's configuration names".to_owned()),
        scheme: "Bearer".to_owned(),
        bearer_format: None,
    };
    AgentCard {
        name: name.to_owned(),
        description: description.to_owned(),
        supported_interfaces,
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
    use a2a::card::{SignKey, verify};
    use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
    use runtime::secret::Secret;
    use url::Url;

    use super::super::AGENTS;
    use super::super::ways::WaysError;
    use super::*;
    use crate::config::{A2aEdge, Grpc, Signing};

    fn ways(edge: &A2aEdge) -> Ways {
        Ways::new(&Url::parse("https://paramedic.example/").unwrap(), edge).unwrap()
    }

    fn pem() -> String {
        p256::SecretKey::from_slice(&[7; 32]).unwrap().to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
    }

    fn bindings(card: &AgentCard) -> Vec<&str> {
        card.supported_interfaces.iter().map(|interface| interface.protocol_binding.as_str()).collect()
    }

    #[test]
    fn every_card_keeps_the_rules() {
        let ways = ways(&A2aEdge::default());
        for card in AGENTS.map(|agent| of(agent, &ways)).into_iter().chain([of_gateway(&ways)]) {
            card.validate().unwrap();
            assert!(
                card.supported_interfaces.iter().all(|interface| interface.url.starts_with("https://paramedic.example/a2a/"))
            );
        }
    }

    #[test]
    fn cards_say_which_ways_there_are_and_are_signed() {
        let signing = Some(Signing { kid: "k1".to_owned(), key: Secret::new(pem()) });
        let grpc = Grpc { listen: "127.0.0.1:8081".parse().unwrap(), address: Some("diagnostics.example:443".to_owned()) };
        let nats_url = Some("tls://nats.example:4222".parse().unwrap());
        let ways = ways(&A2aEdge { signing, nats_url, grpc: BTreeMap::from([(Role::Diagnostics, grpc)]) });
        let keys = BTreeMap::from([("k1".to_owned(), SignKey::from_pem(&pem()).unwrap().verify_key())]);

        let public = ways.signed(of(Role::Diagnostics, &ways)).unwrap();
        assert_eq!(verify(&public, &keys).unwrap(), "k1");
        assert_eq!(bindings(&public), ["JSONRPC", "HTTP+JSON", "GRPC"]);
        assert_eq!(public.supported_interfaces[2].url, "diagnostics.example:443");
        assert_eq!(bindings(&of(Role::Remediation, &ways)), ["JSONRPC", "HTTP+JSON"]);

        // Its tenant's address is for who has shown who they are.
        let extended = ways.with_private(public, "acme", Role::Diagnostics).unwrap();
        extended.validate().unwrap();
        assert_eq!((extended.signatures.len(), verify(&extended, &keys).unwrap().as_str()), (1, "k1"));
        let last = extended.supported_interfaces.last().unwrap();
        assert_eq!(last.url, "tls://nats.example:4222/a2a.acme.diagnostics");
        assert_eq!((last.protocol_binding.as_str(), last.tenant.as_deref()), (a2a_nats::BINDING, Some("acme")));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |edge| Ways::new(&Url::parse("https://paramedic.example/").unwrap(), &edge).map(drop).unwrap_err();
        let signing = Some(Signing { kid: "k1".to_owned(), key: Secret::new("0000") });
        assert_eq!(refused(A2aEdge { signing, ..A2aEdge::default() }), WaysError::Key);
        let port = Grpc { listen: "127.0.0.1:8081".parse().unwrap(), address: None };
        let grpc = BTreeMap::from([(Role::Ledger, port)]);
        assert_eq!(refused(A2aEdge { grpc, ..A2aEdge::default() }), WaysError::NoAgent(Role::Ledger));
    }
}
