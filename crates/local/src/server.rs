//! One running server process: started, awaited, stopped, killed, started again.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use crate::probe::Probe;
use crate::spawn::{Program, spawn};
use crate::{Error, Result};

/// Generous: a cold start on a machine that compiles at the same time.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Between two questions: short beside the fastest start (NATS, 10 ms).
const PROBE_EVERY: Duration = Duration::from_millis(15);
/// A polite stop is given this long, then the process is killed. The API server needs 6 s when clients still watch.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// The processes that a killed PostgreSQL leaves behind notice it within a second or so.
const LINGER_WITHIN: Duration = Duration::from_secs(10);
/// A log this long is started afresh at the next start.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// As much of a log's end as an error shows.
const TAIL_BYTES: u64 = 2000;
/// Starts on fresh ports when another process took one in between.
pub(crate) const START_ATTEMPTS: usize = 4;

/// Everything needed to start a server, again and again.
#[derive(Clone)]
pub(crate) struct Launch {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) log: PathBuf,
    pub(crate) probe: Probe,
    pub(crate) stop_signal: Signal,
}

/// A server that runs, or that was stopped and can be started again on the same ports and data.
///
/// Dropping it kills the process.
pub struct Server {
    launch: Launch,
    child: Option<Child>,
}

impl Server {
    /// Starts the server and waits until it says that it is ready.
    pub(crate) async fn start(launch: Launch) -> Result<Self> {
        let mut server = Self { launch, child: None };
        server.start_again().await?;
        Ok(server)
    }

    /// Starts a server on ports chosen afresh, again when another process was faster to take one of them.
    pub(crate) async fn start_on_free_ports<const N: usize>(
        launch: impl Fn([u16; N]) -> Result<Launch>,
    ) -> Result<(Self, [u16; N])> {
        let mut attempt = 1;
        loop {
            let ports = crate::ports::free::<N>()?;
            match Self::start(launch(ports)?).await {
                Ok(server) => return Ok((server, ports)),
                Err(error) if attempt < START_ATTEMPTS && lost_a_port(&error) => {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Process id, as long as it was neither stopped nor killed.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// The file that holds what the server writes to its standard streams.
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    /// Ends when the process does, and says how: the way to notice a server that dies under us.
    pub async fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        child.wait().await.map(Some).map_err(self.process_error("waiting for"))
    }

    /// Asks the process to end, waits, and kills it when it takes too long. Does nothing when it has ended already.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        if let Some(pid) = child.id() {
            signal(pid, self.launch.stop_signal).map_err(|source| Error::Process {
                doing: "stopping",
                server: self.launch.name,
                source,
            })?;
            if timeout(STOP_WITHIN, child.wait()).await.is_err() {
                tracing::warn!(server = self.launch.name, pid, "server did not stop when asked, killing it");
            }
        }
        self.kill().await
    }

    /// Ends the process at once, as a crash would.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return Ok(());
        }
        child.kill().await.map_err(self.process_error("killing"))
    }

    /// Stops the process if it runs, and starts it on the same ports and data.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    async fn start_again(&mut self) -> Result<()> {
        let deadline = Instant::now() + LINGER_WITHIN;
        loop {
            match self.start_once().await {
                Err(error) if predecessor_lingers(&error) && Instant::now() < deadline => sleep(PROBE_EVERY).await,
                started => return started,
            }
        }
    }

    async fn start_once(&mut self) -> Result<()> {
        let (log, start) = open_log(&self.launch.log)?;
        let errors = log.try_clone().map_err(Error::file("opening", &self.launch.log))?;
        let mut command = self.launch.program.command();
        command.stdout(Stdio::from(log)).stderr(Stdio::from(errors));
        let run_error = |source| Error::Run { program: self.launch.program.path.clone(), source };
        self.child = Some(spawn(command).await.map_err(run_error)?);
        self.await_ready(start).await
    }

    async fn await_ready(&mut self, log_start: u64) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if self.launch.probe.ready().await && self.exit_status()?.is_none() {
                return Ok(());
            }
            let (server, log) = (self.launch.name, self.launch.log.clone());
            if let Some(status) = self.exit_status()? {
                self.child = None;
                return Err(Error::Ended { server, status, tail: tail(&log, log_start), log });
            }
            if Instant::now() > deadline {
                self.kill().await?;
                return Err(Error::NotReady { server, within: READY_WITHIN, tail: tail(&log, log_start), log });
            }
            sleep(PROBE_EVERY).await;
        }
    }

    fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        child.try_wait().map_err(self.process_error("watching"))
    }

    fn process_error(&self, doing: &'static str) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let server = self.launch.name;
        move |source| Error::Process { doing, server, source }
    }
}

fn signal(pid: u32, signal: Signal) -> std::io::Result<()> {
    let pid = i32::try_from(pid).map_err(std::io::Error::other)?;
    kill(Pid::from_raw(pid), signal).map_err(Into::into)
}

/// Whether a server ended because another process was faster to listen on its port.
pub(crate) fn lost_a_port(error: &Error) -> bool {
    matches!(error, Error::Ended { tail, .. } if tail.to_lowercase().contains("address already in use"))
}

/// Whether PostgreSQL refused to start because processes of a killed one have not noticed its end yet.
fn predecessor_lingers(error: &Error) -> bool {
    matches!(error, Error::Ended { tail, .. } if tail.contains("pre-existing shared memory block"))
}

/// Opens a log to append to, and says where this run's part begins.
fn open_log(path: &Path) -> Result<(File, u64)> {
    let failed = || Error::file("opening the log", path);
    let log = OpenOptions::new().create(true).append(true).open(path).map_err(failed())?;
    let mut length = log.metadata().map_err(failed())?.len();
    if length > LOG_BYTES_MAX {
        log.set_len(0).map_err(failed())?;
        length = 0;
    }
    Ok((log, length))
}

/// The last lines of a log, none from before `start`.
fn tail(path: &Path, start: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(start.max(length.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    read().unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
}
