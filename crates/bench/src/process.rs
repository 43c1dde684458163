//! Servers under test, each a process of its own: started, watched from outside through `/proc`, stopped.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Has the kernel end a child when we die, however we die (util-linux).
const SETPRIV: &str = "/usr/bin/setpriv";
/// A cold start of everything, servers of its own included.
const UP_WITHIN: Duration = Duration::from_mins(1);
/// Work under way gets 20 s of grace in a role; then it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(25);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Linux tells user programs CPU time in hundredths of a second (USER_HZ), whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;
/// As much of a log's end as an error shows.
const TAIL_BYTES: usize = 3000;

/// A running child.
pub(crate) struct Process {
    child: Child,
    pid: u32,
    name: &'static str,
    log: std::path::PathBuf,
}

impl Process {
    /// Starts `program`; what it says goes to `dir/NAME.log`. Must be called on the main thread, which lives as long as we do.
    pub(crate) fn start(name: &'static str, program: &Path, args: &[OsString], dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let file = fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let errors = file.try_clone().context("opening a log twice")?;
        let mut command = if Path::new(SETPRIV).exists() {
            let mut command = Command::new(SETPRIV);
            command.args(["--pdeathsig", "TERM", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(args);
        // What a developer has set must not change what is measured: backtraces alone cost hundreds of MiB of symbols.
        for variable in ["NATS_URL", "DATABASE_URL", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(file).stderr(errors).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        Ok(Self { child, pid, name, log })
    }

    /// Waits until it takes connections.
    pub(crate) async fn listening(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + UP_WITHIN;
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = self.child.try_wait().context("watching a child")? {
                bail!("{} ended with {status} before it listened on {address}:\n{}", self.name, self.tail());
            }
            ensure!(Instant::now() < deadline, "{} does not listen on {address}:\n{}", self.name, self.tail());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits for its end, which must be a success.
    pub(crate) async fn finished(mut self) -> Result<()> {
        let ended = tokio::time::timeout(UP_WITHIN, self.child.wait()).await;
        let status = ended.with_context(|| format!("{} does not end", self.name))?.context("watching a child")?;
        ensure!(status.success(), "{} ended with {status}:\n{}", self.name, self.tail());
        Ok(())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The end of what it said.
    pub(crate) fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(TAIL_BYTES);
        text.get(from..).unwrap_or(&text).to_owned()
    }

    /// Asks it to end, and waits.
    pub(crate) async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.pid)?), Signal::SIGTERM).with_context(|| format!("stopping {}", self.name))?;
        if tokio::time::timeout(STOP_WITHIN, self.child.wait()).await.is_err() {
            self.child.kill().await.with_context(|| format!("killing {}", self.name))?;
        }
        Ok(())
    }
}

/// A port on loopback that nobody listened on just now.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    listener.local_addr().context("looking for a free port")
}

/// CPU seconds, of user and system, that a process has used so far, ended children not counted.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    Ok(stat(pid)?.own / TICKS_PER_SECOND)
}

/// The same of a process and its children, which are its own way to work at several things at once; those that have ended as well.
pub(crate) fn family_cpu_seconds(pid: u32) -> Result<f64> {
    let parent = stat(pid)?;
    let names = fs::read_dir("/proc").context("reading /proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // A process that ends meanwhile is counted by its parent the next time.
    let others = names.filter_map(|name| stat(name.parse().ok()?).ok());
    let children: f64 = others.filter(|other| other.parent == pid).map(|child| child.own).sum();
    Ok((parent.own + parent.ended_children + children) / TICKS_PER_SECOND)
}

/// What the kernel says of a process: its parent, and times in ticks.
struct Stat {
    parent: u32,
    own: f64,
    ended_children: f64,
}

/// proc(5), stat fields 4 and 14 to 17.
fn stat(pid: u32) -> Result<Stat> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    // The name may hold blanks; it ends at the last bracket, and the third field follows.
    let (_, rest) = text.rsplit_once(')').with_context(|| format!("{path} has no name"))?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |nth: usize| fields.get(nth - 3).with_context(|| format!("{path} has no field {nth}"));
    let ticks = |nth| field(nth)?.parse::<f64>().with_context(|| format!("{path}: field {nth} is no number"));
    let parent = field(4)?.parse().with_context(|| format!("{path}: field 4 is no process"))?;
    Ok(Stat { parent, own: ticks(14)? + ticks(15)?, ended_children: ticks(16)? + ticks(17)? })
}

/// Memory of a process in MiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Resident set: all of its pages that are in memory.
    pub(crate) rss: f64,
    /// The same, pages shared with other processes divided among them.
    pub(crate) pss: f64,
}

/// Memory of a process now (proc(5), smaps_rollup).
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let mib = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).with_context(|| format!("{path} has no {name}"))?;
        let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0).with_context(|| format!("{path}: {name} is no number"))
    };
    Ok(Memory { rss: mib("Rss:")?, pss: mib("Pss:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_time_and_memory_can_be_read() {
        let pid = std::process::id();
        let before = cpu_seconds(pid).unwrap();
        let began = Instant::now();
        let mut spins = 0_u64;
        while began.elapsed() < Duration::from_millis(200) {
            spins = std::hint::black_box(spins + 1);
        }
        let used = cpu_seconds(pid).unwrap() - before;
        assert!((0.02..20.0).contains(&used), "{used} s of CPU in 0.2 s of spinning");
        let memory = memory(pid).unwrap();
        assert!(memory.rss >= memory.pss && memory.pss > 0.5, "{memory:?}");
    }
}
