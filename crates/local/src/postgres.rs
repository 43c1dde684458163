//! A private PostgreSQL: TCP on loopback only, one superuser with a random password, no socket file.

mod account;

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::unistd::User;

use crate::install::PostgresPrograms;
use crate::probe::Probe;
use crate::server::{Launch, Server};
use crate::spawn::{Program, spawn};
use crate::{Error, Result};

/// The superuser of every private server.
const SUPERUSER: &str = "paramedic";
/// 24 bytes, as strong as the hash the server keeps of it.
const PASSWORD_BYTES: usize = 24;

/// How to start it.
pub struct Options {
    /// initdb and postgres, from [`crate::install`].
    pub programs: PostgresPrograms,
    /// Data, password and log go here; created when missing. See [`Postgres::dir`].
    pub dir: PathBuf,
    /// TCP port; `None` for any free one.
    pub port: Option<u16>,
    /// What a crash of the machine may cost.
    pub durability: Durability,
    /// More settings, as in postgresql.conf: name and value.
    pub settings: Vec<(String, String)>,
}

/// What a crash of the machine may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: fsync on, as delivered.
    Durable,
    /// Everything: for tests. A crash of the server's processes alone still loses nothing.
    Volatile,
}

/// A running PostgreSQL.
pub struct Postgres {
    /// The process: stop, kill, restart.
    pub server: Server,
    port: u16,
    dir: PathBuf,
    password: String,
}

impl Postgres {
    /// Starts it, on the data of the last time when there are any, and waits until it takes connections.
    pub async fn start(options: Options) -> Result<Self> {
        let user = account::unprivileged()?;
        let dir = account::reachable_dir(&options.dir, user.as_ref())?;
        create_dir(&dir, user.as_ref())?;
        let password = password(&dir, user.as_ref())?;
        initialise(&options, &dir, user.as_ref()).await?;
        let launch = |[any_port]: [u16; 1]| Ok(launch(&options, &dir, user.clone(), options.port.unwrap_or(any_port)));
        let (server, [any_port]) = Server::start_on_free_ports(launch).await?;
        Ok(Self { server, port: options.port.unwrap_or(any_port), dir, password })
    }

    /// The superuser's URL of the database `postgres`.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The superuser's URL of `database`.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the data are. Not the folder that was asked for when the user that runs PostgreSQL cannot get there
    /// (root's home is closed to others): then one below /var/lib, the same each time for the same wish.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn create_dir(dir: &Path, user: Option<&User>) -> Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(Error::file("creating the folder", dir))?;
    account::give(dir, user)
}

/// The superuser's password: made once, kept beside the data in a file that only its owner may read.
fn password(dir: &Path, user: Option<&User>) -> Result<String> {
    let path = dir.join("password");
    if path.exists() {
        let text = std::fs::read_to_string(&path).map_err(Error::file("reading", &path))?;
        return Ok(text.trim().to_owned());
    }
    let mut bytes = [0; PASSWORD_BYTES];
    getrandom::fill(&mut bytes).map_err(|source| Error::Random(std::io::Error::other(source)))?;
    let password = hex::encode(bytes);
    let mut file = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(Error::file("creating", &path))?;
    file.write_all(password.as_bytes()).map_err(Error::file("writing", &path))?;
    account::give(&path, user)?;
    Ok(password)
}

/// Makes the data folder when there is none, under another name first: an interrupted initdb leaves nothing usable.
async fn initialise(options: &Options, dir: &Path, user: Option<&User>) -> Result<()> {
    let (data, partial) = (dir.join("data"), dir.join("data.partial"));
    if data.exists() {
        return Ok(());
    }
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(Error::file("removing", &partial))?;
    }
    let mut args = vec![
        format!("--pgdata={}", partial.display()),
        format!("--username={SUPERUSER}"),
        format!("--pwfile={}", dir.join("password").display()),
        "--auth=scram-sha-256".into(),
        "--encoding=UTF8".into(),
        "--locale=C.UTF-8".into(),
        // A young server fills each segment of its log with zeros while everybody waits: 25 ms for the usual 16 MB.
        "--wal-segsize=1".into(),
    ];
    if options.durability == Durability::Volatile {
        args.push("--no-sync".into());
    }
    let path = options.programs.initdb.clone();
    let program = Program { path, args, dir: dir.to_owned(), user: user.cloned(), orphan_signal: Signal::SIGTERM };
    run(&program).await?;
    std::fs::rename(&partial, &data).map_err(Error::file("renaming", &partial))
}

async fn run(program: &Program) -> Result<()> {
    let mut command = program.command();
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let failed = |source| Error::Run { program: program.path.clone(), source };
    let output = spawn(command).await.map_err(failed)?.wait_with_output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let tail = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    Err(Error::Failed { program: program.path.clone(), status: output.status, tail })
}

fn launch(options: &Options, dir: &Path, user: Option<User>, port: u16) -> Launch {
    let mut settings = vec![
        ("port".to_owned(), port.to_string()),
        ("listen_addresses".into(), "127.0.0.1".into()),
        // A socket's path may have 107 bytes, and folders of tests are deep: TCP will do.
        ("unix_socket_directories".into(), String::new()),
        // As for segments of the usual size; initdb makes them smaller with them.
        ("max_wal_size".into(), "1GB".into()),
        ("min_wal_size".into(), "80MB".into()),
    ];
    if options.durability == Durability::Volatile {
        // Not synchronous_commit: without it a kill of the processes loses what they had committed.
        for name in ["fsync", "full_page_writes"] {
            settings.push((name.into(), "off".into()));
        }
    }
    settings.extend(options.settings.iter().cloned());
    let mut args = vec!["-D".to_owned(), dir.join("data").display().to_string()];
    args.extend(settings.into_iter().flat_map(|(name, value)| ["-c".into(), format!("{name}={value}")]));
    let path = options.programs.postgres.clone();
    Launch {
        name: "PostgreSQL",
        // SIGINT is a fast shutdown: clients are cut off, nothing is lost. SIGTERM would wait for the clients to leave.
        program: Program { path, args, dir: dir.to_owned(), user, orphan_signal: Signal::SIGINT },
        log: dir.join("postgres.log"),
        probe: Probe::Postgres(port),
        stop_signal: Signal::SIGINT,
    }
}
