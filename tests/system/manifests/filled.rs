//! The example as somebody fills it in: its script run in a copy, and what it made read by the real parts.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use incident::task::Role;
use testkit::Folder;

use super::configuration::{check, paramedic};
use super::objects::{checkout, name, render, run, workloads};

/// Copies `k8s/`, and in it the example to `yours`.
fn copied() -> Result<Folder> {
    let folder = Folder::new()?;
    run(Command::new("cp").arg("-r").arg(checkout("k8s")).arg(folder.path()))?;
    let overlays = folder.join("k8s/overlays");
    run(Command::new("cp").arg("-r").arg(overlays.join("example")).arg(overlays.join("yours")))?;
    Ok(folder)
}

/// Runs the copy's script, as the example's comment says.
fn fill(yours: &Path) -> Result<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let command = paramedic()?;
    let dirs = command.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    run(Command::new(yours.join("secrets.sh")).env("PATH", std::env::join_paths(dirs)?))
}

fn value(yours: &Path, file: &str, key: &str) -> Result<String> {
    let text = std::fs::read_to_string(yours.join("paramedic/secrets").join(file))?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.map(str::to_owned).with_context(|| format!("{file} has no {key}"))
}

#[tokio::test]
async fn the_example_s_script_makes_all_that_must_agree() -> Result<()> {
    let folder = copied()?;
    let yours = folder.join("k8s/overlays/yours");
    let said = fill(&yours)?;
    ensure!(said.contains("jira-token") && !said.contains("nats-password"), "{said}");

    let users = std::fs::read_to_string(yours.join("nats-users.conf"))?;
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Connectors) {
        let file = format!("{role}.env");
        let (nats, database) = (value(&yours, &file, "nats-password")?, value(&yours, &file, "database-password")?);
        ensure!(users.contains(&format!("user: \"{role}\", password: \"{nats}\"")), "{role} cannot log in to NATS");
        ensure!(value(&yours, "migrate.env", &format!("{role}-database-password"))? == database, "{role}'s database password");
    }
    ensure!(users.contains(&value(&yours, "migrate.env", "nats-admin-password")?));
    let (environment, progress) = testkit::programs();
    let server = local::install::nats(&environment, &progress).await?;
    let config = folder.join("nats.conf");
    std::fs::write(&config, "jetstream { sync_interval: always }\ninclude k8s/overlays/yours/nats-users.conf\n")?;
    run(Command::new(server).arg("-t").arg("-c").arg(&config))?;

    let objects = render(yours.to_str().context("a path")?)?;
    for workload in workloads(&objects) {
        check(&objects, workload).with_context(|| name(workload).to_owned())?;
    }
    let before = value(&yours, "gateway.env", "signing-key")?;
    fill(&yours)?;
    ensure!(value(&yours, "gateway.env", "signing-key")? == before, "what is filled in must stay");
    Ok(())
}
