//! A wire to a server that can be cut, as networks do it. What goes over it is not looked into, but for one thing: when a connection to
//! Postgres is ready for queries, so that a lost answer is that of a query.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a read takes at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// `ReadyForQuery`, idle: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
const POSTGRES_IS_READY: &[u8] = b"Z\0\0\0\x05I";

/// How a wire fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireFault {
    /// Connections are closed, and new ones right after they were made.
    Refuses,
    /// Nothing gets through in either direction, and nobody is told.
    Silent,
    /// Whatever the server says takes so much longer.
    Slow(Duration),
    /// Questions get through; a connection ends when an answer comes. Where answers are part of making a connection, as with TLS, new
    /// ones cannot be made.
    LosesAnswers,
}

/// A wire. Dropping it cuts it.
pub struct Wire {
    address: SocketAddr,
    fault: watch::Sender<Option<WireFault>>,
    listening: JoinHandle<()>,
}

impl Wire {
    /// A wire to a server.
    ///
    /// # Errors
    /// If there is no port for it.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        Self::start(server, None).await
    }

    /// A wire to a Postgres, without TLS.
    ///
    /// # Errors
    /// If there is no port for it.
    pub async fn to_postgres(server: SocketAddr) -> Result<Self> {
        Self::start(server, Some(POSTGRES_IS_READY)).await
    }

    async fn start(server: SocketAddr, greeting: Option<&'static [u8]>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("finding a port for a wire")?;
        let address = listener.local_addr().context("reading a wire's address")?;
        let fault = watch::Sender::new(None);
        let state = fault.subscribe();
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = state.clone();
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(server).await {
                        carry(client, server, state, greeting).await;
                    }
                });
            }
        });
        Ok(Self { address, fault, listening })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it fails like this; none: not at all.
    pub fn fails(&self, how: Option<WireFault>) {
        self.fault.send_replace(how);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Carries one connection until an end closes it, or the wire does. Dropping both ends closes them.
async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    mut state: watch::Receiver<Option<WireFault>>,
    greeting: Option<&'static [u8]>,
) {
    let (mut asked, mut answered) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut is_greeted = greeting.is_none();
    loop {
        let fault = *state.borrow_and_update();
        match fault {
            Some(WireFault::Refuses) => return,
            Some(WireFault::Silent) => {
                if state.changed().await.is_err() {
                    return;
                }
                continue;
            }
            None | Some(WireFault::Slow(_) | WireFault::LosesAnswers) => {}
        }
        tokio::select! {
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            read = client.read(&mut asked) => {
                let Some(bytes) = read.ok().and_then(|read| asked.get(..read)).filter(|bytes| !bytes.is_empty()) else { return };
                if server.write_all(bytes).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Some(bytes) = read.ok().and_then(|read| answered.get(..read)).filter(|bytes| !bytes.is_empty()) else { return };
                match fault {
                    Some(WireFault::LosesAnswers) if is_greeted => return,
                    Some(WireFault::Slow(longer)) => tokio::time::sleep(longer).await,
                    _ => {}
                }
                is_greeted |= greeting.is_some_and(|greeting| bytes.ends_with(greeting));
                if client.write_all(bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}
