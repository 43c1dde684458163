//! Our agents for A2A clients from outside. The gateway keeps their tasks in an engine for each agent, hands the work on over the bus as
//! monitoring does, and passes the news back. It decides nothing about the work.

mod approvals;
mod card;
mod doors;
mod errand;
mod forward;
mod tell;
mod ways;

use std::sync::Arc;

use a2a::{A2aError, A2aService, AgentCard};
use a2a_http::CardOptions;
use a2a_nats::ServeOptions;
use axum::Router;
use bus::Bus;
use incident::id::TenantId;
use incident::task::Role;
use runtime::lifecycle::Lifecycle;
use runtime::{clock, telemetry};
use store::Store;
use tasks::{Engine, ExtendedCard, Limits, Options, PushOptions, StartError, Surroundings};

pub use tell::Tell;
pub use ways::{Ways, WaysError};

use approvals::Approvals;
use doors::Doors;
use forward::Forward;

use crate::edge::Edge;

/// Agents that take work from outside. Monitoring gives work and takes none.
pub(crate) const AGENTS: [Role; 3] = [Role::Diagnostics, Role::Remediation, Role::Communication];

/// One engine for each agent.
#[derive(Debug, Clone)]
pub struct Agents(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    engines: Vec<(Role, Engine<Forward>)>,
    ways: Ways,
}

/// The agents could not be started.
#[derive(Debug, thiserror::Error)]
pub enum AgentsError {
    /// A card cannot be signed.
    #[error("writing the card of {agent}: {reason}")]
    Card {
        /// Whose.
        agent: Role,
        /// Why not.
        reason: A2aError,
    },
    /// An engine does not start.
    #[error("starting the task engine of {agent}")]
    Engine {
        /// Whose.
        agent: Role,
        /// Why not.
        #[source]
        source: StartError,
    },
}

impl Agents {
    /// Starts the engines.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn start(store: &Store, bus: &Bus, ways: Ways) -> Result<Self, AgentsError> {
        let surroundings = Surroundings { now: clock::now, random: clock::random };
        let mut engines = vec![];
        for agent in AGENTS {
            let bare = card::of(agent, &ways);
            let options = Options {
                agent: agent.to_string(),
                card: ways.signed(bare.clone()).map_err(|reason| AgentsError::Card { agent, reason })?,
                extended_card: ways.has_private().then(|| extended(agent, bare, ways.clone())),
                surroundings,
                limits: Limits::default(),
                push: PushOptions { signer: ways.push_signer(), ..PushOptions::default() },
            };
            // Boxed: it would make the start of whatever holds it as large.
            let engine = Box::pin(Engine::start(store.clone(), Forward { agent, bus: bus.clone() }, options)).await;
            engines.push((agent, engine.map_err(|source| AgentsError::Engine { agent, source })?));
        }
        Ok(Self(Arc::new(Parts { engines, ways })))
    }

    /// Answers calls over NATS until the process stops (`schemas/a2a-nats.md`). Who calls, and whom they may call, is the NATS server's to
    /// see to; the tenants are those whose clients may.
    ///
    /// # Errors
    /// If the bucket of cards is not there, or the connection is closed.
    pub async fn serve_on_nats(self, bus: Bus, tenants: Vec<TenantId>, life: Lifecycle) -> anyhow::Result<()> {
        self.publish_cards(&bus, &tenants).await?;
        let tenants: Vec<String> = tenants.iter().map(ToString::to_string).collect();
        let serve = |(agent, engine): &(Role, Engine<Forward>)| {
            let options = ServeOptions {
                tenants: tenants.clone(),
                signer: self.0.ways.nats_signer(),
                tracing: a2a_nats::Tracing { current, adopt },
                ..ServeOptions::new(String::new(), agent.as_str(), Arc::new(clock::now))
            };
            let life = life.clone();
            a2a_nats::serve(bus.client(), Arc::new(engine.clone()), options, async move { life.stopping().await })
        };
        futures::future::try_join_all(self.0.engines.iter().map(serve)).await?;
        Ok(())
    }

    /// Puts each tenant's cards where its clients look for them, with the tenant's own address.
    async fn publish_cards(&self, bus: &Bus, tenants: &[TenantId]) -> anyhow::Result<()> {
        let jetstream = bus.jetstream();
        for (agent, _) in &self.0.engines {
            for tenant in tenants {
                let card = self.0.ways.with_private(card::of(*agent, &self.0.ways), tenant.as_str(), *agent)?;
                let address = a2a_nats::Address::new(tenant.as_str(), agent.as_str())?;
                a2a_nats::put_card(&jetstream, &address, &card).await?;
            }
        }
        Ok(())
    }

    /// Works until the process stops, then brings the engines to rest.
    ///
    /// # Errors
    /// If a part of an engine ended that must not.
    pub async fn run(self, life: Lifecycle) -> anyhow::Result<()> {
        let broken = futures::future::select_all(self.0.engines.iter().map(|(_, engine)| Box::pin(engine.broken())));
        let is_broken = tokio::select! {
            _ = broken => true,
            () = life.stopping() => false,
        };
        futures::future::join_all(self.0.engines.iter().map(|(_, engine)| engine.stop())).await;
        anyhow::ensure!(!is_broken, "a task engine broke");
        Ok(())
    }

    fn of(&self, agent: Role) -> Option<&Engine<Forward>> {
        self.0.engines.iter().find(|(role, _)| *role == agent).map(|(_, engine)| engine)
    }

    /// Their paths: each agent's operations and card, and those of the gateway's own agent, which takes people's decisions.
    ///
    /// # Errors
    /// If the card of the gateway's own agent cannot be signed.
    pub(crate) fn router(&self, edge: &Arc<Edge>) -> Result<Router, A2aError> {
        let card = self.0.ways.signed(card::of_gateway(&self.0.ways))?;
        let approvals = Arc::new(Approvals::new(edge.clone(), card));
        // The host's own card is that of the gateway's own agent.
        let mut router = a2a_http::card_route(approvals.clone(), CardOptions::default())
            .nest_service("/a2a/approvals", with_card(approvals, Doors::to_approvals(edge.clone())));
        for (agent, engine) in &self.0.engines {
            let doors = Doors::to_agent(edge.clone(), *agent);
            router = router.nest_service(&format!("/a2a/{agent}"), with_card(Arc::new(engine.clone()), doors));
        }
        Ok(router)
    }

    /// One agent alone, for a port of its own: there clients of gRPC find it, too.
    pub(crate) fn alone(&self, agent: Role, edge: &Arc<Edge>) -> Option<Router> {
        let engine = Arc::new(self.of(agent)?.clone());
        Some(with_card(engine, Doors::to_agent(edge.clone(), agent)))
    }
}

fn extended(agent: Role, card: AgentCard, ways: Ways) -> ExtendedCard {
    ExtendedCard::new(move |caller| ways.with_private(card.clone(), &caller.tenant, agent))
}

/// An agent's operations, and its card for everybody.
fn with_card<S: A2aService>(service: Arc<S>, doors: Doors) -> Router {
    let options = a2a_http::Options { continue_trace: telemetry::continue_trace, ..a2a_http::Options::default() };
    let operations = a2a_http::router(service.clone(), doors, options);
    a2a_http::card_route(service, CardOptions::default()).fallback_service(operations)
}

fn current() -> Option<String> {
    telemetry::traceparent(&tracing::Span::current())
}

fn adopt(span: &tracing::Span, traceparent: &str) {
    telemetry::continue_trace(span, Some(traceparent));
}
