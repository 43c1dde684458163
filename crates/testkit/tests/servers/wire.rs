//! A wire carries what it is given, and fails as it is told to.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};
use testkit::{Wire, WireFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

const SOON: Duration = Duration::from_secs(30);
/// An answer over loopback takes far less.
const A_WHILE: Duration = Duration::from_millis(300);

/// A server that says everything back, and counts what it was asked.
async fn echo() -> Result<(std::net::SocketAddr, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (address, asked) = (listener.local_addr()?, Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let mut byte = [0];
                while stream.read_exact(&mut byte).await.is_ok() {
                    counter.fetch_add(1, Ordering::SeqCst);
                    if stream.write_all(&byte).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok((address, asked))
}

async fn ask(stream: &mut TcpStream) -> Result<()> {
    let mut byte = [0];
    stream.write_all(b"?").await?;
    stream.read_exact(&mut byte).await.context("no answer")?;
    Ok(())
}

#[tokio::test]
async fn a_wire_carries_and_fails_as_it_is_told() -> Result<()> {
    let (server, asked) = echo().await?;
    let wire = Wire::to(server).await?;
    let mut stream = TcpStream::connect(wire.address()).await?;
    ask(&mut stream).await?;

    wire.fails(Some(WireFault::Silent));
    ensure!(timeout(A_WHILE, ask(&mut stream)).await.is_err(), "it is not silent");
    wire.fails(None);
    timeout(SOON, stream.read_exact(&mut [0])).await.context("what was on its way is lost")??;

    wire.fails(Some(WireFault::Slow(A_WHILE)));
    let began = Instant::now();
    ask(&mut stream).await?;
    ensure!(began.elapsed() >= A_WHILE, "it is not slow");

    wire.fails(Some(WireFault::LosesAnswers));
    let before = asked.load(Ordering::SeqCst);
    ensure!(timeout(SOON, ask(&mut stream)).await?.is_err(), "the answer came");
    ensure!(asked.load(Ordering::SeqCst) == before + 1, "the question did not get through");

    wire.fails(Some(WireFault::Refuses));
    let mut stream = TcpStream::connect(wire.address()).await?;
    ensure!(timeout(SOON, ask(&mut stream)).await?.is_err(), "it does not refuse");

    wire.fails(None);
    ask(&mut TcpStream::connect(wire.address()).await?).await
}

#[tokio::test]
async fn a_query_whose_answer_was_lost_was_done() -> Result<()> {
    let server = testkit::private_postgres().await?;
    let url = reqwest::Url::parse(&server.url())?;
    let wire = Wire::to_postgres(([127, 0, 0, 1], url.port().context("a port")?).into()).await?;
    let through =
        server.url().replacen(&format!(":{}/", url.port().context("a port")?), &format!(":{}/", wire.address().port()), 1);
    wire.fails(Some(WireFault::LosesAnswers));
    let mut cut = timeout(SOON, PgConnection::connect(&through)).await?.context("connecting is not a query")?;
    ensure!(timeout(SOON, sqlx::raw_sql("create table was_done ()").execute(&mut cut)).await?.is_err(), "the answer came");
    let mut direct = PgConnection::connect(&server.url()).await?;
    let there: bool =
        sqlx::query_scalar("select exists (select from pg_class where relname = 'was_done')").fetch_one(&mut direct).await?;
    ensure!(there, "the query did not get through");
    Ok(())
}
