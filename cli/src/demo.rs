//! `paramedic demo`: breaks a sample shop on a real Kubernetes API, and shows how it is repaired. Everything that `up` runs, and what it
//! watches and repairs besides. Nothing is staged but the release: what is shown is the incident's own record, as it is written.

mod cluster;
mod follow;
mod leftover;
mod rights;
mod stage;
mod story;
mod watching;

use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::args::Demo;
use crate::log::LogFile;
use crate::output::line;
use crate::up::{Home, Machine, asked_to_stop};
use stage::Stage;
use story::Ending;

/// Between two looks at something that will come true.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// From the first server to the last step, when nobody is waited for: five times what it takes on two busy cores.
const UNATTENDED_WITHIN: Duration = Duration::from_mins(5);

pub(crate) async fn run(arguments: Demo) -> anyhow::Result<()> {
    let mut home = Home::open(&arguments.up)?;
    let log = LogFile::redirect(&home.path)?;
    // An API server that is asked whether it is up yet does not fail by not answering.
    home.config.telemetry.log.push_str(",kube_client=off");
    let _telemetry = runtime::telemetry::start(&home.config.telemetry, "paramedic")?;
    line(&format!("Everything you will see is real, but the shop's customers and pods. The log: {}\n", log.path().display()));
    let (mut machine, mut stage) = (Machine::default(), Stage::default());
    let life = machine.life.clone();
    let told = tokio::select! {
        result = tell(&arguments, &mut home, &mut machine, &mut stage) => result.and_then(|ending| verdict(ending, arguments.approve)),
        result = asked_to_stop() => result.and_then(|()| interrupted(arguments.approve)),
        () = life.stopping() => Ok(()),
    };
    let ended = tokio::select! {
        ended = stop(&mut machine, &mut stage) => ended,
        _ = asked_to_stop() => Err(anyhow::anyhow!("asked twice: what still ran was killed")),
    };
    told.and(ended)
}

async fn tell(arguments: &Demo, home: &mut Home, machine: &mut Machine, stage: &mut Stage) -> anyhow::Result<Ending> {
    let programs = stage::find(arguments, home).await?;
    let play = async {
        stage.set(home, machine, programs).await?;
        follow::follow(arguments, home, stage).await
    };
    if !arguments.approve {
        return play.await;
    }
    match tokio::time::timeout(UNATTENDED_WITHIN, play).await {
        Ok(ending) => ending,
        Err(_) => bail!(
            "the incident was not resolved within {} minutes; the last line above says how far it came",
            UNATTENDED_WITHIN.as_secs() / 60
        ),
    }
}

fn verdict(ending: Ending, is_unattended: bool) -> anyhow::Result<()> {
    match ending {
        Ending::Resolved => Ok(()),
        Ending::Rejected(words) if !is_unattended => {
            line(&format!("\nYou said no, so nothing was changed and the shop stays broken ({words})."));
            Ok(())
        }
        Ending::Rejected(why) | Ending::Otherwise(why) => bail!("the incident was not resolved by the approved rollback: {why}"),
    }
}

fn interrupted(is_unattended: bool) -> anyhow::Result<()> {
    line("\nStopping.");
    anyhow::ensure!(!is_unattended, "stopped before the incident was resolved");
    Ok(())
}

/// The world first, while there is still somebody to be told that it ended.
async fn stop(machine: &mut Machine, stage: &mut Stage) -> anyhow::Result<()> {
    let staged = stage.stop().await;
    machine.stop().await.and(staged)
}

/// Waits until `look` finds something.
async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < deadline {
        tick.tick().await;
        if let Some(found) = look().await {
            return Ok(found);
        }
    }
    bail!("{what} did not come within {} s; the log may say why", within.as_secs())
}
