//! The agent's side: takes requests off the queue, lets the service answer them, and answers what concerns the replica itself.

mod alive;
mod attend;
mod ears;
mod envelope;
mod exchanges;
mod gate;
mod intake;
mod micro;
mod operate;
mod options;
mod post;
mod stats;
mod stream;
mod window;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use a2a::{A2aService, AgentCard};
use async_nats::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout_at};

use self::ears::Ears;
use self::exchanges::Exchanges;
use self::gate::Gate;
pub use self::options::{Cards, Limits, ServeOptions};
pub(crate) use self::options::{HEARTBEAT_MAX, HEARTBEAT_MIN, SILENT_BEATS_MAX};
use self::post::Post;
use self::stats::Stats;
use crate::address::{Address, AddressError, QUEUE_GROUP};
use crate::cards::{BucketError, put_card};
use crate::trust::Replays;

/// The server could not begin, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A name that is no token.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nobody's agent.
    #[error("an agent needs at least one tenant")]
    NoTenant,
    /// NATS takes no subscription.
    #[error("subscribing to {subject}")]
    Subscribe {
        /// Where.
        subject: String,
        /// Why not.
        #[source]
        source: async_nats::SubscribeError,
    },
    /// The card cannot be published.
    #[error("publishing the card")]
    Card(#[source] BucketError),
    /// The client was closed by somebody else.
    #[error("the connection to NATS was closed")]
    Closed,
}

/// How far a server is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// Nothing new is taken; streams are handed over, operations end.
    Draining,
    /// What still runs is told that it failed.
    Over,
}

/// Resolves as soon as the server is that far.
async fn reached(stage: &mut watch::Receiver<Stage>, wanted: Stage) {
    // The sender lives as long as the server that somebody waits in.
    let _ = stage.wait_for(|now| *now >= wanted).await;
}

/// What all requests share.
struct Server<S> {
    service: Arc<S>,
    /// For the extensions that it requires; a card does not change while the agent runs.
    card: AgentCard,
    addresses: Vec<Address>,
    options: ServeOptions,
    replica: String,
    post: Post,
    gate: Gate,
    exchanges: Exchanges,
    replays: Replays,
    stats: Stats,
    stage: watch::Sender<Stage>,
}

/// Serves until `stop` resolves; then takes nothing new, lets what runs come to its end within `limits.drain_within`, hands streams
/// over to other replicas, and returns.
///
/// # Errors
/// If it cannot begin, or the connection is closed under it.
pub async fn serve<S: A2aService>(
    client: Client,
    service: Arc<S>,
    options: ServeOptions,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let server = Arc::new(Server::new(client.clone(), service, options)?);
    let mut requests = Ears::new();
    let mut controls = Ears::new();
    let mut questions = Ears::new();
    for address in &server.addresses {
        // Who is asked must be able to hear what belongs to the request, so that goes first.
        controls.subscribe(&client, address.controls(&server.replica), None).await?;
        requests.subscribe(&client, address.requests(), Some(QUEUE_GROUP)).await?;
        for subject in micro::subjects(address, &server.replica) {
            questions.subscribe(&client, subject, None).await?;
        }
    }
    server.publish_cards(&client).await?;
    let mut running = JoinSet::new();
    let ended = tokio::select! {
        ended = attend_all(&server, &mut requests, &mut controls, &mut questions, &mut running) => ended,
        () = stop => Ok(()),
    };
    drop(questions);
    if ended.is_ok() {
        drain(&server, &mut requests, &mut controls, &mut running).await;
    }
    // A server that does not answer cannot be told anything; there is nothing else to do about it.
    let _ = tokio::time::timeout(FLUSH_WITHIN, client.flush()).await;
    ended
}

/// Who watches more closely than this watches nothing else.
const ALIVE_EVERY_MIN: Duration = Duration::from_millis(10);
/// The last answers are a few kilobytes.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// Only the connection's end ends it.
async fn attend_all<S: A2aService>(
    server: &Arc<Server<S>>,
    requests: &mut Ears,
    controls: &mut Ears,
    questions: &mut Ears,
    running: &mut JoinSet<()>,
) -> Result<(), ServeError> {
    let mut alive = interval(server.options.limits.alive_every.max(ALIVE_EVERY_MIN));
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            heard = controls.next() => match heard {
                Some((_, message)) => server.exchanges.route(&server.post, &message).await,
                None => return Err(ServeError::Closed),
            },
            heard = requests.next() => match heard {
                Some((place, message)) => intake::take(server, place, message, running).await,
                None => return Err(ServeError::Closed),
            },
            heard = questions.next() => match heard {
                Some((place, message)) => micro::answer(server, place, &message).await,
                None => return Err(ServeError::Closed),
            },
            Some(done) = running.join_next() => note(done),
            _ = alive.tick() => alive::tell(server).await,
        }
    }
}

/// Ends what runs, politely first.
async fn drain<S: A2aService>(server: &Arc<Server<S>>, requests: &mut Ears, controls: &mut Ears, running: &mut JoinSet<()>) {
    let deadline = tokio::time::Instant::now() + server.options.limits.drain_within;
    requests.drain().await;
    server.stage.send_replace(Stage::Draining);
    let politely = async {
        let mut is_heard_out = false;
        while !(is_heard_out && running.is_empty()) {
            tokio::select! {
                Some((_, message)) = controls.next() => server.exchanges.route(&server.post, &message).await,
                heard = requests.next(), if !is_heard_out => match heard {
                    Some((place, message)) => intake::take(server, place, message, running).await,
                    None => is_heard_out = true,
                },
                Some(done) = running.join_next() => note(done),
            }
        }
    };
    if timeout_at(deadline, politely).await.is_err() {
        tracing::warn!(requests = running.len(), "requests did not end in time, telling their senders");
        server.stage.send_replace(Stage::Over);
        let impolitely = async {
            while let Some(done) = running.join_next().await {
                note(done);
            }
        };
        // What does not even take its failure is aborted with the set.
        let _ = tokio::time::timeout(FLUSH_WITHIN, impolitely).await;
    }
}

fn note(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done {
        tracing::error!(%error, "a request ended abnormally");
    }
}

impl<S: A2aService> Server<S> {
    fn new(client: Client, service: Arc<S>, options: ServeOptions) -> Result<Self, ServeError> {
        if options.tenants.is_empty() {
            return Err(ServeError::NoTenant);
        }
        let addresses = options.tenants.iter().map(|tenant| Address::new(tenant, &options.agent));
        let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
        let replica = options.replica.clone().unwrap_or_else(|| unique(&client));
        Ok(Self {
            card: service.card(),
            service,
            addresses,
            post: Post::new(client, &options, &replica),
            gate: Gate::new(&options.limits),
            exchanges: Exchanges::default(),
            replays: Replays::default(),
            stats: Stats::new((options.clock)()),
            stage: watch::Sender::new(Stage::Serving),
            replica,
            options,
        })
    }

    async fn publish_cards(&self, client: &Client) -> Result<(), ServeError> {
        match self.options.cards {
            Cards::Keep => {}
            Cards::Publish => {
                let jetstream = async_nats::jetstream::new(client.clone());
                for address in &self.addresses {
                    put_card(&jetstream, address, &self.card).await.map_err(ServeError::Card)?;
                }
            }
        }
        Ok(())
    }
}

/// A name that nobody else has: the last token of an inbox.
pub(crate) fn unique(client: &Client) -> String {
    let inbox = client.new_inbox();
    inbox.rsplit('.').next().unwrap_or_default().to_owned()
}
