//! Our agents for A2A clients from outside. The gateway keeps their tasks in an engine for each agent, hands the work on over the bus as
//! monitoring does, and passes the news back. It decides nothing about the work.

mod approvals;
mod card;
mod doors;
mod forward;
mod tell;

use std::sync::Arc;

use a2a::A2aService;
use a2a_http::CardOptions;
use a2a_nats::{Cards, ServeOptions};
use axum::Router;
use bus::Bus;
use incident::id::TenantId;
use incident::task::Role;
use runtime::lifecycle::Lifecycle;
use runtime::{clock, telemetry};
use store::Store;
use tasks::{Engine, Limits, Options, PushOptions, StartError, Surroundings};

pub use card::PublicUrl;
pub use tell::Tell;

use approvals::Approvals;
use doors::Doors;
use forward::Forward;

use crate::edge::Edge;

/// Agents that take work from outside. Monitoring gives work and takes none.
pub(crate) const AGENTS: [Role; 3] = [Role::Diagnostics, Role::Remediation, Role::Communication];

/// One engine for each agent.
#[derive(Debug, Clone)]
pub struct Agents(Arc<Vec<(Role, Engine<Forward>)>>);

impl Agents {
    /// Starts the engines. `url` is where clients reach the gateway.
    ///
    /// # Errors
    /// If Postgres does not answer.
    pub async fn start(store: &Store, bus: &Bus, url: &PublicUrl) -> Result<Self, StartError> {
        let surroundings = Surroundings { now: clock::now, random: clock::random };
        let mut engines = vec![];
        for agent in AGENTS {
            let options = Options {
                agent: agent.to_string(),
                card: card::of(agent, url),
                extended_card: None,
                surroundings,
                limits: Limits::default(),
                push: PushOptions::default(),
            };
            // Boxed: it would make the start of whatever holds it as large.
            let engine = Box::pin(Engine::start(store.clone(), Forward { agent, bus: bus.clone() }, options)).await?;
            engines.push((agent, engine));
        }
        Ok(Self(Arc::new(engines)))
    }

    /// Answers calls over NATS until the process stops (`schemas/a2a-nats.md`). Who calls, and whom they may call, is the NATS server's to
    /// see to; the tenants are those whose clients may.
    ///
    /// # Errors
    /// If the bucket of cards is not there, or the connection is closed.
    pub async fn serve_on_nats(self, bus: Bus, tenants: Vec<TenantId>, life: Lifecycle) -> anyhow::Result<()> {
        let tenants: Vec<String> = tenants.iter().map(ToString::to_string).collect();
        let serve = |(agent, engine): &(Role, Engine<Forward>)| {
            let options = ServeOptions {
                tenants: tenants.clone(),
                cards: Cards::Publish,
                tracing: a2a_nats::Tracing { current, adopt },
                ..ServeOptions::new(String::new(), agent.as_str(), Arc::new(clock::now))
            };
            let life = life.clone();
            a2a_nats::serve(bus.client(), Arc::new(engine.clone()), options, async move { life.stopping().await })
        };
        futures::future::try_join_all(self.0.iter().map(serve)).await?;
        Ok(())
    }

    /// Works until the process stops, then brings the engines to rest.
    ///
    /// # Errors
    /// If a part of an engine ended that must not.
    pub async fn run(self, life: Lifecycle) -> anyhow::Result<()> {
        let broken = futures::future::select_all(self.0.iter().map(|(_, engine)| Box::pin(engine.broken())));
        let is_broken = tokio::select! {
            _ = broken => true,
            () = life.stopping() => false,
        };
        futures::future::join_all(self.0.iter().map(|(_, engine)| engine.stop())).await;
        anyhow::ensure!(!is_broken, "a task engine broke");
        Ok(())
    }

    fn of(&self, agent: Role) -> Option<&Engine<Forward>> {
        self.0.iter().find(|(role, _)| *role == agent).map(|(_, engine)| engine)
    }

    /// Their paths: each agent's operations and card, and those of the gateway's own agent, which takes people's decisions.
    pub(crate) fn router(&self, edge: &Arc<Edge>) -> Router {
        let approvals = Arc::new(Approvals::new(edge.clone(), self.clone(), card::of_gateway(&edge.parts.url)));
        // The host's own card is that of the gateway's own agent.
        let mut router = a2a_http::card_route(approvals.clone(), CardOptions::default())
            .nest_service("/a2a/approvals", with_card(approvals, Doors::to_approvals(edge.clone())));
        for (agent, engine) in self.0.iter() {
            let doors = Doors::to_agent(edge.clone(), *agent);
            router = router.nest_service(&format!("/a2a/{agent}"), with_card(Arc::new(engine.clone()), doors));
        }
        router
    }
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
