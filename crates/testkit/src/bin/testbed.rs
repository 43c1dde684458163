//! `testbed CMD ARGS…`: runs a command with a Kubernetes control plane and a PostgreSQL that its tests share.
//!
//! cargo-nextest runs each test in a process of its own, so what is slow to start has to live outside of them. Ends with
//! the command's exit code, all servers stopped and the temporary files of all tests removed.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::{Context, Result};
use local::install;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// What a shell answers for a command that a signal ended.
const ENDED_BY_SIGNAL: u8 = 1;

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let Some(program) = args.next() else {
        eprintln!("usage: testbed COMMAND [ARGUMENT]...");
        return ExitCode::from(2);
    };
    match run(program, args.collect()).await {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            ExitCode::from(code.unwrap_or(ENDED_BY_SIGNAL))
        }
        Err(error) => {
            eprintln!("testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(program: OsString, args: Vec<OsString>) -> Result<ExitStatus> {
    let started = Instant::now();
    let (mut cluster, mut postgres) = {
        let (cluster, postgres, ()) = tokio::try_join!(testkit::private_kubernetes(), testkit::private_postgres(), fetch())?;
        (cluster, postgres)
    };
    eprintln!("testbed: Kubernetes and PostgreSQL run after {:.1} s", started.elapsed().as_secs_f32());
    let folder = testkit::Folder::new()?;
    // Like /tmp: every user may create files, nobody may remove another's.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o1777))
        .context("opening the tests' temporary folder to all")?;
    let child = without_cargos_environment(&mut Command::new(&program))
        .args(args)
        .env(testkit::KUBECONFIG_VARIABLE, &cluster.kubeconfig)
        .env(testkit::POSTGRES_VARIABLE, postgres.url())
        .env("TMPDIR", folder.path())
        .spawn()
        .with_context(|| format!("running {}", program.display()))?;
    let status = outlive(child).await;
    if let Some(plane) = cluster.control_plane() {
        plane.stop().await?;
    }
    postgres.server().stop().await?;
    status
}

/// `cargo run` describes the testbed's own package to it. Handed on to a cargo below, that would look like a change to
/// build scripts that watch these variables, and half the libraries would be compiled again.
fn without_cargos_environment(command: &mut Command) -> &mut Command {
    const OF_A_PACKAGE: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    for (name, _) in std::env::vars_os() {
        if OF_A_PACKAGE.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
            command.env_remove(name);
        }
    }
    command
}

/// Tests of NATS, Alertmanager and manifests start their own programs; here these only get downloaded, once and not under a test's clock.
async fn fetch() -> Result<()> {
    let (environment, progress) = testkit::programs();
    install::nats(&environment, &progress).await?;
    for suite in [install::Suite::Forky, install::Suite::Trixie, install::Suite::Bookworm] {
        install::monitoring_of(&environment, suite, &progress).await?;
    }
    install::manifest_readers(&environment, &progress).await?;
    Ok(())
}

/// Waits for the command whatever signals come: Ctrl-C reaches it through the terminal, a SIGTERM is passed on. The
/// servers must not go before it has ended.
async fn outlive(mut child: Child) -> Result<ExitStatus> {
    let mut interrupted = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut terminated = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    loop {
        tokio::select! {
            ended = child.wait() => return ended.context("waiting for the command"),
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {
                if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                    kill(Pid::from_raw(pid), Signal::SIGTERM).context("passing SIGTERM on")?;
                }
            }
        }
    }
}
