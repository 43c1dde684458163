//! A bad network in front of nats-server: what is delivered to a client can be dropped, doubled or changed, and connections be cut.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    Drop,
    Double,
    /// One byte of the body becomes another.
    Spoil,
}

/// What the server delivers, by its headers.
#[derive(Debug)]
pub(crate) struct Delivery {
    headers: String,
}

impl Delivery {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The number of a frame; none for heartbeats and the like.
    pub(crate) fn frame(&self) -> Option<u64> {
        self.header("A2A-Seq")?.parse().ok().filter(|_| self.header("A2A-Status") == Some("ok"))
    }
}

type Rule = Box<dyn FnMut(&Delivery) -> Fate + Send>;

pub(crate) struct Proxy {
    port: u16,
    rule: Arc<Mutex<Rule>>,
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// In front of a server such as `nats://127.0.0.1:4222`.
    pub(crate) async fn start(url: &str) -> Result<Self> {
        let server = url.trim_start_matches("nats://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_| Fate::Pass)));
        let cuts = watch::Sender::new(0);
        let (rules, cutting) = (rule.clone(), cuts.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A server that is down is a connection that ends.
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let mut cut = cutting.subscribe();
                let rule = rules.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = carry(client, server, rule) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Ok(Self { port, rule, cuts })
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// From now on this decides what becomes of deliveries.
    pub(crate) fn decide(&self, rule: impl FnMut(&Delivery) -> Fate + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// Ends all connections, without a farewell.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn carry(client: TcpStream, server: TcpStream, rule: Arc<Mutex<Rule>>) -> Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let mut from_server = BufReader::new(from_server);
    let down = async {
        loop {
            let mut line = String::new();
            if from_server.read_line(&mut line).await? == 0 {
                return anyhow::Ok(());
            }
            if !line.starts_with("HMSG ") {
                to_client.write_all(line.as_bytes()).await?;
                continue;
            }
            let mut numbers = line.split_whitespace().rev().map(str::parse::<usize>);
            let (total, headers) = numbers.next().zip(numbers.next()).context("an HMSG without lengths")?;
            let (total, headers) = (total?, headers?);
            let mut rest = vec![0; total + 2];
            from_server.read_exact(&mut rest).await?;
            let delivery = Delivery { headers: String::from_utf8_lossy(&rest[..headers]).into_owned() };
            let fate = (rule.lock().unwrap())(&delivery);
            if fate == Fate::Spoil && total > headers {
                rest[headers] ^= 1;
            }
            let times = match fate {
                Fate::Drop => 0,
                Fate::Pass | Fate::Spoil => 1,
                Fate::Double => 2,
            };
            for _ in 0..times {
                to_client.write_all(line.as_bytes()).await?;
                to_client.write_all(&rest).await?;
            }
        }
    };
    tokio::select! {
        _ = copy(&mut from_client, &mut to_server) => {}
        _ = down => {}
    }
    Ok(())
}
