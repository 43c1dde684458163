//! Taps: a relay in front of each outside service that notes when somebody waited for it, to the microsecond and without reading
//! what is said, so that TLS stays what it is.
//!
//! A wait begins with the first bytes of a request and ends with the last bytes of its answer: right for HTTP/1.1 without
//! pipelining, which is what Paramedic speaks to all of them. A tap costs each call one more hop on loopback, which counts as outside.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::machine::now_ns;

const READ_BYTES: usize = 64 << 10;
/// Waits that are kept: a run makes some thousands.
const WAITS_MAX: usize = 1_000_000;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// From when to when somebody waited, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

type Waits = Arc<Mutex<Vec<Wait>>>;

/// A relay to one service. It ends when it is dropped.
pub(crate) struct Tap {
    address: SocketAddr,
    waits: Waits,
    serving: AbortHandle,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Tap {
    /// Relays to `upstream`.
    pub(crate) async fn open(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("opening a tap")?;
        let address = listener.local_addr().context("opening a tap")?;
        let waits = Waits::default();
        let noted = Arc::clone(&waits);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let noted = Arc::clone(&noted);
                // A connection that breaks is its client's business: it opens a new one.
                tokio::spawn(async move { relay(client, upstream, &noted).await });
            }
        });
        Ok(Self { address, waits, serving: serving.abort_handle() })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All waits that overlap with `from` to `to`, cut to it.
    pub(crate) fn waits(&self, from: u64, to: u64) -> Vec<Wait> {
        let all = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = |wait: &Wait| Wait { from: wait.from.max(from), to: wait.to.min(to) };
        all.iter().map(cut).filter(|wait| wait.from < wait.to).collect()
    }

    fn last(&self) -> u64 {
        let all = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|wait| wait.from.max(wait.to)).max().unwrap_or_default()
    }
}

/// Waits until nobody has asked anything of any of them for `quiet`.
pub(crate) async fn silence(taps: &[&Tap], quiet: Duration, within: Duration) {
    let deadline = tokio::time::Instant::now() + within;
    let quiet = u64::try_from(quiet.as_nanos()).unwrap_or(u64::MAX);
    let began = now_ns();
    while tokio::time::Instant::now() < deadline {
        let last = taps.iter().map(|tap| tap.last()).max().unwrap_or_default().max(began);
        if now_ns().saturating_sub(last) > quiet {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How long at least one of the waits lasted, in nanoseconds.
pub(crate) fn union_ns(mut waits: Vec<Wait>) -> u64 {
    waits.sort_by_key(|wait| wait.from);
    let mut until = 0;
    waits.iter().fold(0, |sum, wait| {
        let more = wait.to.saturating_sub(wait.from.max(until));
        until = until.max(wait.to);
        sum + more
    })
}

async fn relay(mut client: TcpStream, upstream: SocketAddr, waits: &Waits) -> std::io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asked, mut answered) = (vec![0; READ_BYTES], vec![0; READ_BYTES]);
    let mut note = Note { waits, at: None, is_answered: true };
    loop {
        tokio::select! {
            bytes = client.read(&mut asked) => {
                let Some(sent) = asked.get(..bytes?).filter(|sent| !sent.is_empty()) else { return Ok(()) };
                note.asked();
                server.write_all(sent).await?;
            }
            bytes = server.read(&mut answered) => {
                let Some(sent) = answered.get(..bytes?).filter(|sent| !sent.is_empty()) else { return Ok(()) };
                client.write_all(sent).await?;
                note.answered();
            }
        }
    }
}

/// One connection's place in the notes.
struct Note<'a> {
    waits: &'a Waits,
    at: Option<usize>,
    is_answered: bool,
}

impl Note<'_> {
    fn asked(&mut self) {
        if !self.is_answered {
            return;
        }
        self.is_answered = false;
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        self.at = (waits.len() < WAITS_MAX).then(|| {
            waits.push(Wait { from: now_ns(), to: 0 });
            waits.len() - 1
        });
    }

    fn answered(&mut self) {
        self.is_answered = true;
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = self.at.and_then(|at| waits.get_mut(at)) {
            wait.to = now_ns();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_waits_count_once() {
        let wait = |(from, to)| Wait { from, to };
        let table: [(&[(u64, u64)], u64); 5] =
            [(&[], 0), (&[(1, 4)], 3), (&[(5, 9), (1, 4)], 7), (&[(1, 9), (2, 3), (8, 12)], 11), (&[(1, 2), (2, 3)], 2)];
        for (waits, expected) in table {
            assert_eq!(union_ns(waits.iter().copied().map(wait).collect()), expected, "{waits:?}");
        }
    }

    #[tokio::test]
    async fn a_wait_is_from_question_to_answer() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let tap = Tap::open(server.local_addr().unwrap()).await.unwrap();
        let mut client = TcpStream::connect(tap.address()).await.unwrap();
        let (mut inside, _) = server.accept().await.unwrap();
        let mut buffer = [0; 4];
        let before = now_ns();
        for _ in 0..2 {
            client.write_all(b"ask?").await.unwrap();
            inside.read_exact(&mut buffer).await.unwrap();
            let until = tokio::time::Instant::now() + Duration::from_millis(20);
            tokio::time::sleep_until(until).await;
            inside.write_all(b"yes!").await.unwrap();
            client.read_exact(&mut buffer).await.unwrap();
        }
        silence(&[&tap], Duration::from_millis(30), Duration::from_secs(5)).await;
        let after = now_ns();
        let waits = tap.waits(before, after);
        assert_eq!(waits.len(), 2, "{waits:?}");
        let waited = union_ns(waits);
        assert!((40_000_000..after - before).contains(&waited), "{waited}");
        assert_eq!(tap.waits(after, after + 1), vec![]);
    }
}
