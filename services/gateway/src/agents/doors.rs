//! Who may give an agent work: A2A clients that the tenant's configuration names, each for the agents that it lists.

use std::sync::Arc;

use a2a::{A2aError, Caller, ErrorKind};
use a2a_http::Authenticate;
use axum::http::HeaderMap;
use incident::task::Role;

use crate::edge::Edge;
use crate::tenants::Client;

/// The way in to one agent.
pub(super) struct Doors {
    edge: Arc<Edge>,
    agent: Option<Role>,
}

impl Doors {
    /// For clients that may use this agent.
    pub(super) const fn to_agent(edge: Arc<Edge>, agent: Role) -> Self {
        Self { edge, agent: Some(agent) }
    }

    /// For clients that speak for a person.
    pub(super) const fn to_approvals(edge: Arc<Edge>) -> Self {
        Self { edge, agent: None }
    }

    fn is_open_to(&self, client: Client<'_>) -> bool {
        match self.agent {
            Some(agent) => client.client.agents.contains(&agent),
            None => client.client.speaks_for.is_some(),
        }
    }
}

impl Authenticate for Doors {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, A2aError> {
        let known = self.edge.parts.tenants.client(headers).ok_or_else(|| {
            A2aError::new(
                ErrorKind::Unauthenticated,
                "send `Authorization: Bearer TOKEN` with the token of an A2A client that is known here",
            )
        })?;
        if !self.is_open_to(known) {
            let field = if self.agent.is_some() { "agents" } else { "speaks_for" };
            let message = format!(
                "client {} may not use this agent; a2a_clients.{field} in the tenant's configuration says who may",
                known.client.name
            );
            return Err(A2aError::new(ErrorKind::PermissionDenied, message));
        }
        Ok(Caller { tenant: known.tenant.id.to_string(), sender: known.client.name.clone(), ..Caller::default() })
    }
}
