//! The load generator: lanes on each of which one request after the other is sent. Here is the lane of HTTP/1.1, a connection that is
//! kept. It writes requests that were made before and reads no more of an answer than it must, so that most of the machine is left to
//! the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::body::Template;
use crate::figures::{number, percentile};

/// An answer's head and the small bodies that our servers send.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Latencies kept per lane: the fastest server makes far fewer in a measurement.
const LATENCIES_MAX: usize = 1_000_000;

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const STOPPED: u8 = 2;

/// Where one request after the other is sent.
pub(crate) trait Lane: Send + 'static {
    /// Sends the request with this number, and says whether it was answered as it should be.
    fn ask(&mut self, number: u64) -> impl Future<Output = Result<bool>> + Send;
}

/// Where to, and what.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) template: Arc<Template>,
    /// What a good answer says; without it, its status is enough.
    pub(crate) says: Option<&'static str>,
}

/// A connection of HTTP/1.1.
pub(crate) struct Connection {
    stream: TcpStream,
    target: Target,
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// How hard, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// Answered as they should be, in a second.
    pub(crate) per_second: f64,
    /// Milliseconds from writing to the whole answer.
    pub(crate) p50_ms: f64,
    /// The same.
    pub(crate) p99_ms: f64,
    /// Answered so while measuring.
    pub(crate) accepted: u64,
    /// Answered otherwise while measuring.
    pub(crate) refused: u64,
}

struct Shared {
    phase: AtomicU8,
    next: AtomicU64,
}

#[derive(Default)]
struct Heard {
    accepted: u64,
    refused: u64,
    latencies_ms: Vec<f64>,
}

/// Sends over HTTP/1.1 for the time of the plan; calls `edge` when measuring begins and when it ends.
pub(crate) async fn run(target: &Target, plan: Plan, edge: impl FnMut() -> Result<()>) -> Result<Outcome> {
    let mut lanes = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        lanes.push(Connection::open(target).await?);
    }
    drive(lanes, plan, edge).await
}

/// Sends on all lanes for the time of the plan; calls `edge` when measuring begins and when it ends.
pub(crate) async fn drive<L: Lane>(lanes: Vec<L>, plan: Plan, mut edge: impl FnMut() -> Result<()>) -> Result<Outcome> {
    // Numbers are never used twice in a run of this program: every request is a new one.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let first = NEXT.fetch_add(1 << 32, Ordering::Relaxed);
    let shared = Arc::new(Shared { phase: AtomicU8::new(WARMING), next: AtomicU64::new(first) });
    let mut running = JoinSet::new();
    for lane in lanes {
        running.spawn(busy(lane, Arc::clone(&shared)));
    }
    tokio::time::sleep(plan.warm_up).await;
    edge()?;
    let began = Instant::now();
    shared.phase.store(MEASURING, Ordering::Relaxed);
    tokio::time::sleep(plan.measure).await;
    shared.phase.store(STOPPED, Ordering::Relaxed);
    let took = began.elapsed().as_secs_f64();
    edge()?;
    let mut all = Heard::default();
    while let Some(heard) = running.join_next().await {
        let heard = heard.context("a lane's task")??;
        all.accepted += heard.accepted;
        all.refused += heard.refused;
        all.latencies_ms.extend(heard.latencies_ms);
    }
    Ok(Outcome {
        per_second: number(all.accepted) / took,
        p50_ms: percentile(&all.latencies_ms, 50.0),
        p99_ms: percentile(&all.latencies_ms, 99.0),
        accepted: all.accepted,
        refused: all.refused,
    })
}

async fn busy(mut lane: impl Lane, shared: Arc<Shared>) -> Result<Heard> {
    let mut heard = Heard::default();
    loop {
        let phase = shared.phase.load(Ordering::Relaxed);
        if phase == STOPPED {
            return Ok(heard);
        }
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let is_accepted = lane.ask(number).await?;
        // Only what began and ended while measuring counts.
        if phase != MEASURING || shared.phase.load(Ordering::Relaxed) != MEASURING {
            continue;
        }
        if is_accepted {
            heard.accepted += 1;
        } else {
            heard.refused += 1;
        }
        if heard.latencies_ms.len() < LATENCIES_MAX {
            heard.latencies_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(target.address).await.context("connecting to a server under test")?;
        stream.set_nodelay(true)?;
        let (target, request) = (target.clone(), target.template.first());
        Ok(Self { stream, target, request, answer: Vec::with_capacity(4096) })
    }
}

impl Lane for Connection {
    async fn ask(&mut self, number: u64) -> Result<bool> {
        self.target.template.number(&mut self.request, number);
        self.stream.write_all(&self.request).await.context("sending to a server under test")?;
        let is_accepted = read_answer(&mut self.stream, &mut self.answer).await?;
        Ok(is_accepted && self.target.says.is_none_or(|text| holds(&self.answer, text)))
    }
}

/// Whether an answer says this.
pub(crate) fn holds(answer: &[u8], text: &str) -> bool {
    answer.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Reads one answer to its end, and says whether it was a 2xx.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<bool> {
    answer.clear();
    loop {
        ensure!(stream.read_buf(answer).await.context("reading an answer")? > 0, "a server under test closed a connection");
        if let Some((is_accepted, length)) = parse(answer)?
            && answer.len() >= length
        {
            return Ok(is_accepted);
        }
        ensure!(answer.len() < ANSWER_BYTES_MAX, "an answer of a server under test is too long");
    }
}

/// Whether it was accepted, and how long the whole answer is; none while its head is not complete.
fn parse(answer: &[u8]) -> Result<Option<(bool, usize)>> {
    let Some(head_bytes) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = answer.get(..head_bytes).unwrap_or_default();
    let text = std::str::from_utf8(head).context("an answer's head is not text")?;
    let mut lines = text.split("\r\n");
    let Some(status) = lines.next().and_then(|line| line.split(' ').nth(1)) else { bail!("an answer without status") };
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Ok(Some((status.starts_with('2'), head_bytes + 4 + length.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_to_their_end() {
        let table: [(&str, Option<(bool, usize)>); 5] = [
            ("HTTP/1.1 200 OK\r\ncontent-le", None),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", Some((true, 43))),
            ("HTTP/1.1 202 Accepted\r\nContent-Length:0\r\n\r\n", Some((true, 43))),
            ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}", Some((false, 57))),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some((true, 27))),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
        assert!(parse(b"nonsense\r\n\r\n").is_err());
    }
}
