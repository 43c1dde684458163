//! Everything that runs while A2A is measured: Postgres and NATS, our agent, the agent without memory, and the Python SDK's server.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use a2a_nats::Address;
use anyhow::{Context as _, Result};
use local::install::{self, Environment};
use local::nats::Nats;
use local::postgres::{Durability, Postgres};

use super::{instant, work};
use crate::figures::note;
use crate::load::Target;
use crate::process::{Process, free_address};
use crate::stage::paramedic;

/// The Python SDK's server, with the same work to do.
const PYTHON_SERVER: &str = include_str!("server.py");

/// How an agent is reached.
pub(super) enum Way {
    Http(Target),
    Grpc(SocketAddr),
    Nats(Address),
}

/// An agent under load, over one binding.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) way: Way,
    pub(super) pid: u32,
    /// Whether Postgres works for it.
    pub(super) stores: bool,
}

pub(super) const JSON_RPC: &str = "JSON-RPC";
pub(super) const NATS: &str = "NATS";
pub(super) const INSTANT: &str = "NATS, nothing stored";
pub(super) const PYTHON: &str = "Python SDK: JSON-RPC, in memory";

/// All of it.
pub(super) struct Bed {
    pub(super) subjects: Vec<Subject>,
    /// For requests over NATS.
    pub(super) client: async_nats::Client,
    pub(super) nats_pid: u32,
    pub(super) postgres_pid: u32,
    /// Why there is no Python server, if there is none.
    pub(super) python_missing: Option<String>,
    children: Vec<Process>,
    _nats: Nats,
    _postgres: Postgres,
}

impl Bed {
    /// Starts everything.
    pub(super) async fn start(dir: &Path) -> Result<Self> {
        note("a2a: starting NATS, Postgres, the conformance agent and what it is compared with");
        let environment = Environment::from_process();
        let programs = install::postgres(&environment, &|line| note(line)).await?;
        let (home, durability) = (dir.join("postgres"), Durability::Durable);
        let options = local::postgres::Options { programs, dir: home, port: None, durability, settings: vec![] };
        let postgres = Postgres::start(options).await?;
        let program = install::nats(&environment, &|line| note(line)).await?;
        let options = local::nats::Options { program, dir: dir.join("nats"), port: None, node: None, config: String::new() };
        let nats = Nats::start(options).await?;
        let client = async_nats::connect(nats.url()).await.context("connecting to NATS")?;
        let (agent, at) = agent(dir, &postgres, &nats).await?;
        let own = std::env::current_exe().context("finding our own binary")?;
        let instant = Process::start("instant", &own, &words(&["serve-instant", &nats.url()]), dir)?;
        let mut subjects = ours(agent.pid(), at)?;
        subjects.push(Subject { name: INSTANT, way: Way::Nats(instant::address()?), pid: instant.pid(), stores: false });
        let mut children = vec![agent, instant];
        let python_missing = match install::a2a_python(&environment, &|line| note(line)).await {
            Ok(program) => {
                let (server, at) = python(dir, &program).await?;
                let pid = server.pid();
                subjects.push(Subject { name: PYTHON, way: Way::Http(work::json_rpc(at)), pid, stores: false });
                let way = Way::Http(work::http_json(at));
                subjects.push(Subject { name: "Python SDK: HTTP+JSON, in memory", way, pid, stores: false });
                children.push(server);
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let nats_pid = nats.server.pid().context("NATS has ended")?;
        let postgres_pid = postgres.server.pid().context("Postgres has ended")?;
        Ok(Self { subjects, client, nats_pid, postgres_pid, python_missing, children, _nats: nats, _postgres: postgres })
    }

    /// Stops what serves; the servers end with it.
    pub(super) async fn stop(self) -> Result<()> {
        for child in self.children {
            child.stop().await?;
        }
        Ok(())
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// Our agent, on all bindings.
async fn agent(dir: &Path, postgres: &Postgres, nats: &Nats) -> Result<(Process, SocketAddr)> {
    let (at, home) = (free_address()?, dir.join("agent").display().to_string());
    let (listen, database, nats) = (at.to_string(), postgres.url(), nats.url());
    let arguments =
        ["a2a", "conformance-agent", "--listen", &listen, "--database-url", &database, "--nats-url", &nats, "--home", &home];
    let mut agent = Process::start("agent", &paramedic()?, &words(&arguments), dir)?;
    agent.listening(at).await?;
    Ok((agent, at))
}

fn ours(pid: u32, at: SocketAddr) -> Result<Vec<Subject>> {
    let on_nats = Address::new(CONFORMANCE.0, CONFORMANCE.1).context("naming an agent")?;
    let ways = [
        (JSON_RPC, Way::Http(work::json_rpc(at))),
        ("HTTP+JSON", Way::Http(work::http_json(at))),
        ("gRPC", Way::Grpc(at)),
        (NATS, Way::Nats(on_nats)),
    ];
    Ok(ways.into_iter().map(|(name, way)| Subject { name, way, pid, stores: true }).collect())
}

/// The conformance agent's tenant and name.
const CONFORMANCE: (&str, &str) = ("conformance", "agent");

async fn python(dir: &Path, program: &Path) -> Result<(Process, SocketAddr)> {
    let (at, script) = (free_address()?, dir.join("server.py"));
    std::fs::write(&script, PYTHON_SERVER).with_context(|| format!("writing {}", script.display()))?;
    let arguments = [script.into_os_string(), at.port().to_string().into()];
    let mut server = Process::start("python", program, &arguments, dir)?;
    server.listening(at).await?;
    Ok((server, at))
}
