//! The connection: one per role, made as that role's own user, kept through server restarts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{ConnectOptions, Event};
use incident::task::Role;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

/// How long the first connection may take: a server that starts beside us is up in well under a second.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Between two tries to connect, at first; doubles up to [`RECONNECT_WAIT_MAX`].
const RECONNECT_WAIT_FIRST: Duration = Duration::from_millis(20);
/// Longest wait between two tries: a returning server is noticed within a second, an absent one costs nothing.
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long an acknowledgement may take. An fsync takes milliseconds, a slow disk tenths of a second; Alertmanager waits 10 s and more.
const ACK_WITHIN: Duration = Duration::from_secs(5);

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum User {
    /// A service, with just the rights of its role.
    Role(Role),
    /// Sets up streams and handles dead letters; no service runs as it.
    Admin,
}

impl User {
    /// Everyone there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Role::ALL.into_iter().map(Self::Role).chain([Self::Admin])
    }

    /// The name in the server's configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Role(role) => role.as_str(),
            Self::Admin => "admin",
        }
    }

    /// Where answers to this user go. Each has its own, so that none can listen to another's.
    pub fn inbox_prefix(self) -> String {
        format!("_INBOX_{}", self.as_str())
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How to connect.
#[derive(Debug, Clone)]
pub struct Connect {
    /// Such as `nats://127.0.0.1:4222`; several servers of one cluster are separated by commas.
    pub url: String,
    /// As whom.
    pub user: User,
    /// The user's password; none for a server without users, or if the URL holds the credentials.
    pub password: Option<SecretString>,
    /// How long an acknowledgement may take before it counts as missing.
    pub ack_within: Duration,
}

impl Connect {
    /// With the usual patience.
    pub fn new(url: impl Into<String>, user: User, password: Option<SecretString>) -> Self {
        Self { url: url.into(), user, password, ack_within: ACK_WITHIN }
    }
}

/// No connection could be made.
#[derive(Debug, thiserror::Error)]
#[error(
    "connecting to NATS at {place} as user {user}: check that the server runs, that the address is right, and the user's password"
)]
pub struct ConnectError {
    place: String,
    user: User,
    #[source]
    source: async_nats::ConnectError,
}

/// How the bus is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether the server is reached.
    pub connected: bool,
    /// Consumers that we take from and have not heard from lately, as `STREAM/durable`.
    pub silent: Vec<String>,
}

impl Health {
    /// Connected, and every consumer answers.
    pub fn is_good(&self) -> bool {
        self.connected && self.silent.is_empty()
    }
}

/// JetStream, as one user.
#[derive(Clone)]
pub struct Bus {
    pub(crate) client: async_nats::Client,
    pub(crate) ack_within: Duration,
    user: User,
    links: watch::Receiver<Links>,
    consumers: Arc<Mutex<BTreeMap<String, bool>>>,
}

/// Counts what happened to the connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) made: u64,
    pub(crate) lost: u64,
}

/// Tells what happened to the connection since a moment.
pub(crate) struct LinkWatch {
    from: Links,
    links: watch::Receiver<Links>,
}

impl LinkWatch {
    /// Resolves when the connection was lost: what was asked over it will not be answered.
    pub(crate) async fn lost(&mut self) {
        let before = self.from.lost;
        self.until(|now| now.lost != before).await;
    }

    /// Resolves when a new connection was made.
    pub(crate) async fn made(&mut self) {
        let before = self.from.made;
        self.until(|now| now.made != before).await;
    }

    async fn until(&mut self, is_so: impl FnMut(&Links) -> bool) {
        if self.links.wait_for(is_so).await.is_err() {
            // The client has ended for good; whoever waits has a deadline of its own.
            std::future::pending::<()>().await;
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("user", &self.user).field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}

impl Bus {
    /// The connection itself, for protocols of others that are no matter of the bus.
    pub fn client(&self) -> async_nats::Client {
        self.client.clone()
    }

    /// The server's JetStream, for what is no stream of ours.
    pub fn jetstream(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(self.client.clone())
    }

    /// Connects, and from then on reconnects by itself for ever.
    ///
    /// # Errors
    /// If the server cannot be reached within 15 s, or refuses the user.
    pub async fn connect(settings: &Connect) -> Result<Self, ConnectError> {
        let (counting, links) = watch::channel(Links::default());
        let failed = |source| ConnectError { place: without_credentials(&settings.url), user: settings.user, source };
        let servers: Vec<&str> = settings.url.split(',').map(str::trim).collect();
        let started = tokio::time::Instant::now();
        let mut attempt = 0;
        let client = loop {
            match options(settings, counting.clone()).connect(servers.as_slice()).await {
                Ok(client) => break client,
                Err(error) if is_final(&error) || started.elapsed() > CONNECT_WITHIN => return Err(failed(error)),
                Err(_) => {
                    attempt += 1;
                    tokio::time::sleep(reconnect_wait(attempt)).await;
                }
            }
        };
        let consumers = Arc::default();
        Ok(Self { client, ack_within: settings.ack_within, user: settings.user, links, consumers })
    }

    /// As whom this is connected.
    pub const fn user(&self) -> User {
        self.user
    }

    /// Whether the server is reached right now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Connection and consumers.
    pub fn health(&self) -> Health {
        let consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = consumers.iter().filter(|(_, is_heard)| !**is_heard).map(|(name, _)| name.clone()).collect();
        Health { connected: self.is_connected(), silent }
    }

    /// Sends what is still in memory, such as the last acknowledgements. For a graceful stop.
    pub async fn flush(&self) {
        // A server that does not answer will deliver again; there is nothing else to do about it.
        let _ = tokio::time::timeout(self.ack_within, self.client.flush()).await;
    }

    /// Watches the connection from here on.
    pub(crate) fn watch_link(&self) -> LinkWatch {
        LinkWatch { from: *self.links.borrow(), links: self.links.clone() }
    }

    pub(crate) fn note_consumer(&self, name: &str, is_heard: bool) {
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.insert(name.to_owned(), is_heard);
    }

    pub(crate) fn forget_consumer(&self, name: &str) {
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.remove(name);
    }
}

fn options(settings: &Connect, counting: watch::Sender<Links>) -> ConnectOptions {
    let user = settings.user;
    let options = ConnectOptions::new()
        .name(format!("paramedic {user}"))
        .custom_inbox_prefix(user.inbox_prefix())
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_wait)
        .event_callback(move |event| {
            note(user, &event, &counting);
            std::future::ready(())
        });
    match &settings.password {
        Some(password) => options.user_and_password(user.as_str().to_owned(), password.expose_secret().to_owned()),
        None => options,
    }
}

fn note(user: User, event: &Event, counting: &watch::Sender<Links>) {
    match event {
        Event::Connected => {
            tracing::info!(%user, "connected to NATS");
            counting.send_modify(|links| links.made += 1);
        }
        Event::Disconnected => {
            tracing::warn!(%user, "lost the connection to NATS; reconnecting");
            counting.send_modify(|links| links.lost += 1);
        }
        // Among these: permission violations, which the server tells of only here.
        event @ (Event::ServerError(_) | Event::SlowConsumer(_)) => tracing::warn!(%user, %event, "NATS complains"),
        event => tracing::info!(%user, %event, "NATS"),
    }
}

fn reconnect_wait(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.min(10)).unwrap_or_default();
    RECONNECT_WAIT_FIRST.saturating_mul(2_u32.saturating_pow(doublings)).min(RECONNECT_WAIT_MAX)
}

/// Trying again would not help.
fn is_final(error: &async_nats::ConnectError) -> bool {
    use async_nats::ConnectErrorKind as Kind;
    matches!(error.kind(), Kind::Authentication | Kind::AuthorizationViolation | Kind::ServerParse | Kind::Tls)
}

/// The address without what stands before an `@`: it goes into errors and logs.
fn without_credentials(url: &str) -> String {
    let clean = |one: &str| match one.rsplit_once('@') {
        Some((_, host)) => format!("nats://{host}"),
        None => one.to_owned(),
    };
    url.split(',').map(|one| clean(one.trim())).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_no_password() {
        assert_eq!(without_credentials("nats://me:secret@a:1, nats://b:2"), "nats://a:1,nats://b:2");
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        assert!(reconnect_wait(1) < reconnect_wait(2));
        assert_eq!(reconnect_wait(1_000_000), RECONNECT_WAIT_MAX);
    }
}
