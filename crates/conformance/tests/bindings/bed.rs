//! The conformance agent on real Postgres and NATS, and clients of every binding.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use a2a::{AgentCard, Caller};
use a2a_http::{Binding, Client, Endpoint, fetch_card};
use a2a_nats::{Address, ClientOptions, NatsClient};
use conformance::{AGENT, ANYBODY, Host, TENANT};
use incident::task::Role;
use runtime::clock;
use secrecy::SecretString;
use store::{Options, Store, migrate, role_url};
use tasks::Surroundings;
use testkit::{Database, Nats};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::suite::Side;

const STRANGER: &str = "stranger";

pub(crate) struct Bed {
    url: Url,
    card: AgentCard,
    nats: Nats,
    _stop: DropGuard,
    _database: Database,
}

pub(crate) async fn bed() -> Bed {
    let (nats, database) = tokio::join!(testkit::nats(""), testkit::postgres_database());
    let (nats, database) = (nats.unwrap(), database.unwrap());
    let password = "a-password-of-the-test";
    migrate(&database.url, &[(Role::Gateway, password.to_owned())]).await.unwrap();
    let store = Options::new(role_url(&database.url, Role::Gateway, password).unwrap(), Role::Gateway);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let client = async_nats::connect(nats.url()).await.unwrap();
    let host = Host {
        listener,
        public_url: None,
        store: Store::connect(&store).await.unwrap(),
        nats: Some((client, nats.url())),
        surroundings: Surroundings { now: clock::now, random: clock::random },
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(async move { Box::pin(conformance::serve(host, stopped)).await.unwrap() });
    let card = testkit::eventually("the card", std::time::Duration::from_secs(20), async || fetch_card(&url).await.ok());
    let card = card.await.unwrap();
    Bed { url, card, nats, _stop: stop.drop_guard(), _database: database }
}

fn caller(sender: &str) -> Caller {
    Caller { tenant: TENANT.to_owned(), sender: sender.to_owned(), ..Caller::default() }
}

fn side<S>(name: &'static str, agent: S, stranger: S) -> Side<S> {
    Side { name, agent, stranger, caller: caller(ANYBODY), other: caller(STRANGER), counter: AtomicU32::new(0) }
}

impl Bed {
    fn over(&self, name: &'static str, binding: Binding) -> Side<Client> {
        let client = |token: Option<&str>| {
            let endpoint = Endpoint::new(self.url.clone(), token.map(SecretString::from));
            Client::new(binding, Endpoint { card: self.card.clone(), ..endpoint }).unwrap()
        };
        side(name, client(None), client(Some(STRANGER)))
    }

    pub(crate) fn json_rpc(&self) -> Side<Client> {
        self.over("json-rpc", Binding::JsonRpc)
    }

    pub(crate) fn http_json(&self) -> Side<Client> {
        self.over("http-json", Binding::HttpJson)
    }

    pub(crate) fn grpc(&self) -> Side<Client> {
        self.over("grpc", Binding::Grpc)
    }

    pub(crate) async fn nats(&self) -> Side<NatsClient> {
        let client = async |sender: &str| {
            let client = async_nats::connect(self.nats.url()).await.unwrap();
            let options = ClientOptions::new(Address::new(TENANT, AGENT).unwrap(), sender, Arc::new(clock::now));
            NatsClient::connect(client, options).await.unwrap()
        };
        side("nats", client(ANYBODY).await, client(STRANGER).await)
    }
}
