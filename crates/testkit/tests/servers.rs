//! Every private server starts, does its work, keeps its data over a crash and is gone after a stop.

#[path = "servers/alerting.rs"]
mod alerting;
#[path = "servers/shop.rs"]
mod shop;
#[path = "servers/testbed.rs"]
mod testbed;
#[path = "servers/wire.rs"]
mod wire;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid, getpgid};
use sqlx::{Connection, PgConnection};

const SOON: Duration = Duration::from_secs(30);

fn process(pid: Option<u32>) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(pid.context("the server does not run")?)?))
}

fn listens(port: u16) -> bool {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}

fn port_of(url: &str) -> Result<u16> {
    let after_colon = url.rsplit_once(':').context("a port")?.1;
    Ok(after_colon.split('/').next().context("a port")?.parse()?)
}

#[tokio::test]
async fn nats_keeps_what_it_acknowledged() -> Result<()> {
    let mut nats = testkit::nats("max_payload: 64KB").await?;
    let client = async_nats::connect(nats.url()).await?;
    ensure!(client.server_info().max_payload == 65_536, "the extra configuration counts");
    let jetstream = async_nats::jetstream::new(client);
    let config =
        async_nats::jetstream::stream::Config { name: "ALERTS".into(), subjects: vec!["alerts.>".into()], ..Default::default() };
    jetstream.create_stream(config).await?;
    jetstream.publish("alerts.one", "kept".into()).await?.await?;

    let pid = process(nats.server().pid())?;
    ensure!(getpgid(Some(pid))? == pid, "Ctrl-C in the terminal must not reach the server");
    nats.server().kill().await?;
    ensure!(kill(pid, None).is_err(), "killed is gone");
    nats.server().restart().await?;

    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await?);
    let stream = jetstream.get_stream("ALERTS").await?;
    ensure!(stream.get_raw_message(1).await?.payload == "kept");

    let (pid, port) = (process(nats.server().pid())?, port_of(&nats.url())?);
    nats.server().stop().await?;
    ensure!(kill(pid, None).is_err() && !listens(port), "stopped is gone");
    ensure!(nats.server().pid().is_none());
    Ok(nats.server().stop().await?)
}

#[tokio::test]
async fn servers_started_together_do_not_meet() -> Result<()> {
    let (one, two, three, four) = tokio::try_join!(testkit::nats(""), testkit::nats(""), testkit::nats(""), testkit::nats(""))?;
    let mut urls = vec![one.url(), two.url(), three.url(), four.url()];
    urls.sort();
    urls.dedup();
    ensure!(urls.len() == 4, "{urls:?}");
    Ok(())
}

#[tokio::test]
async fn a_failed_start_shows_the_servers_own_words() -> Result<()> {
    let error = testkit::nats("no_such_setting: {").await.err().context("started with a broken configuration")?;
    let text = format!("{error:#}");
    ensure!(text.contains("nats.log") && text.contains("Parse error"), "{text}");
    Ok(())
}

#[tokio::test]
async fn postgres_keeps_what_it_committed() -> Result<()> {
    let mut postgres = testkit::private_postgres().await?;
    let mut connection = PgConnection::connect(&postgres.url()).await?;
    sqlx::raw_sql("create table kept (n int)").execute(&mut connection).await?;
    sqlx::raw_sql("insert into kept values (42)").execute(&mut connection).await?;

    postgres.server().kill().await?;
    postgres.server().restart().await?;
    let mut connection = PgConnection::connect(&postgres.url()).await?;
    let kept: i32 = sqlx::query_scalar("select n from kept").fetch_one(&mut connection).await?;
    ensure!(kept == 42);

    let wrong = postgres.url().replace("paramedic:", "paramedic:wrong");
    ensure!(PgConnection::connect(&wrong).await.is_err(), "a password is needed, on loopback too");
    let (pid, port) = (process(postgres.server().pid())?, port_of(&postgres.url())?);
    postgres.server().stop().await?;
    ensure!(kill(pid, None).is_err() && !listens(port), "stopped is gone");
    Ok(())
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() -> Result<()> {
    let (one, two) = tokio::try_join!(testkit::postgres_database(), testkit::postgres_database())?;
    ensure!(one.url != two.url);
    let mut connection = PgConnection::connect(&one.url).await?;
    sqlx::raw_sql("create table mine (n int); create role r_unused_here").execute(&mut connection).await?;
    sqlx::raw_sql("drop role r_unused_here").execute(&mut connection).await?;
    let mut other = PgConnection::connect(&two.url).await?;
    ensure!(sqlx::raw_sql("select * from mine").execute(&mut other).await.is_err());
    Ok(())
}

fn durable(dir: &std::path::Path, programs: local::install::PostgresPrograms) -> local::postgres::Options {
    local::postgres::Options {
        programs,
        dir: dir.to_owned(),
        port: None,
        durability: local::postgres::Durability::Durable,
        settings: Vec::new(),
    }
}

/// `make up` in a checkout below root's home, twice.
#[tokio::test]
async fn a_second_start_continues_even_where_postgres_user_cannot_go() -> Result<()> {
    let (environment, progress) = testkit::programs();
    let programs = local::install::postgres(&environment, &progress).await?;
    let folder = testkit::Folder::new()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
    let wanted = folder.join("state/postgres");

    let mut first = local::postgres::Postgres::start(durable(&wanted, programs.clone())).await?;
    let dir = first.dir().to_owned();
    ensure!((dir == wanted) != Uid::effective().is_root(), "{}", dir.display());
    let mut connection = PgConnection::connect(&first.url()).await?;
    let fsync: String = sqlx::query_scalar("show fsync").fetch_one(&mut connection).await?;
    ensure!(fsync == "on");
    sqlx::raw_sql("create table kept (n int)").execute(&mut connection).await?;
    first.server.stop().await?;

    let mut second = local::postgres::Postgres::start(durable(&wanted, programs)).await?;
    let mut connection = PgConnection::connect(&second.url()).await?;
    sqlx::raw_sql("select * from kept").execute(&mut connection).await?;
    second.server.stop().await?;
    if dir != wanted {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(())
}
