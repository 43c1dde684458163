//! Serves the conformance agent: one engine, every binding.

use std::future::Future;
use std::sync::Arc;

use a2a::{A2aError, AgentInterface, Caller, ErrorKind};
use a2a_http::{Authenticate, CardOptions, bearer};
use a2a_nats::{Address, BINDING, Clock, ServeError, ServeOptions};
use axum::http::HeaderMap;
use store::Store;
use tasks::{Engine, ExtendedCard, Limits, Options, PushOptions, StartError, Surroundings, Targets};
use tokio::net::TcpListener;
use url::Url;

use crate::agent::{ConformanceAgent, card, extended_card};

/// Whose agent it is, and its name: `a2a.conformance.agent` on NATS.
pub const TENANT: &str = "conformance";
/// See [`TENANT`].
pub const AGENT: &str = "agent";
/// Who calls without a token.
pub const ANYBODY: &str = "anybody";

/// What the agent is served on.
pub struct Host {
    /// For JSON-RPC, HTTP+JSON and gRPC.
    pub listener: TcpListener,
    /// Where clients reach the listener, if that is not its own address.
    pub public_url: Option<Url>,
    /// Where tasks are kept.
    pub store: Store,
    /// For the NATS binding, and the server's address as the card shall say it.
    pub nats: Option<(async_nats::Client, String)>,
    /// Time and chance.
    pub surroundings: Surroundings,
}

/// The agent could not be served.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The listener has no address.
    #[error("asking where the agent listens")]
    Listener(#[from] std::io::Error),
    /// Clients cannot be told where it listens.
    #[error("saying where the agent listens")]
    Address(#[from] url::ParseError),
    /// The engine did not start.
    #[error("starting the task engine")]
    Engine(#[from] StartError),
    /// NATS did not take it, or went away.
    #[error("serving on NATS")]
    Nats(#[from] ServeError),
    /// A part of the engine ended.
    #[error("a part of the task engine ended that must not; the log says which")]
    Broken,
}

/// Serves until `stop` resolves.
///
/// # Errors
/// If it cannot begin, or a part of it ends before.
pub async fn serve(host: Host, stop: impl Future<Output = ()> + Send) -> Result<(), HostError> {
    let Host { listener, public_url, store, nats, surroundings } = host;
    let url = public_url.map_or_else(|| Ok(format!("http://{}", listener.local_addr()?).parse()?), Ok::<Url, HostError>)?;
    let engine = start(store, &url, nats.as_ref().map(|(_, url)| url.as_str()), surroundings).await?;
    let service = Arc::new(engine.clone());
    let router = a2a_http::card_route(service.clone(), CardOptions::default()).merge(a2a_http::router(
        service.clone(),
        Doors,
        a2a_http::Options::default(),
    ));
    let (stopping, stopped) = tokio::sync::watch::channel(false);
    let until = || {
        let mut stopped = stopped.clone();
        // The sender lives as long as this function.
        async move { drop(stopped.wait_for(|is_stopping| *is_stopping).await) }
    };
    let on_nats = async {
        let Some((client, _)) = nats else { return std::future::pending().await };
        let clock: Clock = Arc::new(surroundings.now);
        a2a_nats::serve(client, service, ServeOptions::new(TENANT, AGENT, clock), until()).await
    };
    let serving = async {
        tokio::select! {
            () = a2a_http::serve(listener, router, until()) => Ok(()),
            ended = on_nats => ended.map_err(HostError::from),
            () = engine.broken() => Err(HostError::Broken),
        }
    };
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop => {
            stopping.send_replace(true);
            serving.await
        }
    };
    engine.stop().await;
    ended
}

/// Starts the engine, with the card that says where it is reached.
async fn start(
    store: Store,
    url: &Url,
    nats: Option<&str>,
    surroundings: Surroundings,
) -> Result<Engine<ConformanceAgent>, StartError> {
    let address = nats.zip(Address::new(TENANT, AGENT).ok()).map(|(server, address)| address.url(server));
    let card = card(over_http(url).into_iter().chain(address.map(|url| AgentInterface::new(url, BINDING))).collect());
    let extended = extended_card(&card);
    let options = Options {
        agent: AGENT.to_owned(),
        extended_card: Some(ExtendedCard::new(move |_| Ok(extended.clone()))),
        card,
        surroundings,
        limits: Limits::default(),
        // Kits listen on this machine. No other agent of ours may post there.
        push: PushOptions { targets: Targets::Anywhere, ..PushOptions::default() },
    };
    Engine::start(store, ConformanceAgent { surroundings }, options).await
}

/// The bindings of one listener.
fn over_http(url: &Url) -> [AgentInterface; 3] {
    let http = url.as_str().trim_end_matches('/');
    // Libraries of gRPC take host and port, and clients hand them what the card says.
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    [
        AgentInterface::new(http, a2a::card::JSON_RPC),
        AgentInterface::new(http, a2a::card::HTTP_JSON),
        AgentInterface::new(format!("{host}:{port}"), a2a::card::GRPC),
    ]
}

/// Lets everybody in. A token is the caller's name, so that tests can be several callers; it proves nothing.
struct Doors;

impl Authenticate for Doors {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, A2aError> {
        let sender = bearer(headers).unwrap_or(ANYBODY);
        let is_plain = sender.len() <= 63 && sender.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !is_plain {
            return Err(A2aError::new(
                ErrorKind::Unauthenticated,
                "the token is taken as a name here: letters, digits, '_' and '-'",
            ));
        }
        Ok(Caller { tenant: TENANT.to_owned(), sender: sender.to_owned(), ..Caller::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_says_where_clients_come() {
        for (url, http, grpc) in [
            ("http://127.0.0.1:9999", "http://127.0.0.1:9999", "127.0.0.1:9999"),
            ("http://[::1]:9999", "http://[::1]:9999", "[::1]:9999"),
            ("https://kit.example/", "https://kit.example", "kit.example:443"),
        ] {
            let urls = over_http(&url.parse().unwrap()).map(|interface| interface.url);
            assert_eq!(urls, [http, http, grpc]);
        }
    }
}
