//! Starting child processes that can not outlive this one.
//!
//! Three things hold for every child: it has a process group of its own, so that Ctrl-C in a terminal reaches only the
//! parent, which then stops its children in order; it gets no environment but what a server needs; and the kernel
//! signals it when this process dies, however it dies.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{LazyLock, mpsc};

use nix::sys::signal::Signal;
use nix::unistd::User;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// The only search path children get: they are started by their full path.
const CHILD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SETPRIV: &str = "/usr/bin/setpriv";

/// What to run, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<String>,
    /// Working directory.
    pub(crate) dir: PathBuf,
    /// `None`: as ourselves.
    pub(crate) user: Option<User>,
    /// What the kernel sends to the child when we die.
    pub(crate) orphan_signal: Signal,
}

impl Program {
    /// The command, its standard streams still to be chosen.
    pub(crate) fn command(&self) -> Command {
        // A death signal is set by the child itself before it becomes the program; setpriv (util-linux) does just that.
        // Where it is missing, children of a killed parent stay behind, as they would for any other program.
        let mut command = if Path::new(SETPRIV).exists() {
            let mut command = Command::new(SETPRIV);
            let signal = self.orphan_signal.as_str().trim_start_matches("SIG");
            command.args(["--pdeathsig", signal, "--"]).arg(&self.path);
            command
        } else {
            Command::new(&self.path)
        };
        command.args(&self.args).current_dir(&self.dir);
        command.env_clear().env("PATH", CHILD_PATH).env("HOME", &self.dir).env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }
}

struct Job {
    command: Command,
    runtime: tokio::runtime::Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

// "When the parent dies" means, to the kernel, when the *thread* ends that started the child. Threads of a runtime come
// and go, so one thread that lives as long as the process starts them all.
static STARTER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
    let (jobs, queue) = mpsc::channel::<Job>();
    let thread = std::thread::Builder::new().name("starter".into()).spawn(move || {
        for mut job in queue {
            let child = {
                let _entered = job.runtime.enter();
                job.command.spawn()
            };
            // A caller that has gone away drops the child, which kills it.
            drop(job.reply.send(child));
        }
    });
    if let Err(error) = thread {
        tracing::error!(%error, "no thread to start servers from");
    }
    jobs
});

/// Starts `command`; the child dies with this process.
pub(crate) async fn spawn(command: Command) -> io::Result<Child> {
    let (reply, answer) = oneshot::channel();
    let job = Job { command, runtime: tokio::runtime::Handle::current(), reply };
    STARTER.send(job).map_err(|_| io::Error::other("the thread that starts servers has ended"))?;
    answer.await.map_err(|_| io::Error::other("the thread that starts servers has ended"))?
}
