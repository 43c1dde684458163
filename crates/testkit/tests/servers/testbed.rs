//! The testbed command: its servers serve the command, and end with it, however that ends.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use testkit::eventually;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{SOON, listens, port_of};

/// `folder` takes its temporary files: one that is killed cannot remove them.
fn testbed(script: &str, folder: &testkit::Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testbed"));
    command.env("TMPDIR", folder.path());
    command.args(["sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

async fn first_line(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.take().context("its output")?;
    let line = BufReader::new(stdout).lines().next_line().await?;
    line.context("the testbed ended without a line")
}

#[tokio::test]
async fn the_commands_exit_code_comes_back_and_the_servers_go() -> Result<()> {
    let folder = testkit::Folder::new()?;
    let mut child = testbed("test -s $TESTBED_KUBECONFIG && echo $TESTBED_POSTGRES_URL && exit 7", &folder).spawn()?;
    let url = first_line(&mut child).await?;
    let status = child.wait().await?;
    ensure!(status.code() == Some(7), "{status}");
    ensure!(!listens(port_of(&url)?), "PostgreSQL outlived the testbed");
    Ok(())
}

#[tokio::test]
async fn servers_die_with_a_killed_parent() -> Result<()> {
    let folder = testkit::Folder::new()?;
    // `cat` ends when this test does, because its input does.
    let mut child = testbed("echo $TESTBED_POSTGRES_URL; cat", &folder).spawn()?;
    let port = port_of(&first_line(&mut child).await?)?;
    ensure!(listens(port));
    child.kill().await?;
    eventually("the end of an orphaned PostgreSQL", SOON, async || (!listens(port)).then_some(())).await
}
