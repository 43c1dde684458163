//! The days of `tests/scenarios` on real parts: real processes that are killed, real servers that are taken down, connections that are
//! cut, providers that misbehave. What must be so at the end stands in the files; the promises must hold besides.

mod alerts;
mod ending;
mod faults;
mod people;
mod play;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use incident::storm::StormRules;
use incident::topology::{Service, Topology};
use simulation::scenario::{Place, Rules, Scenario};

use crate::pipeline::{Options, Pipeline};
use play::Play;

/// A real machine is slower than a simulated one, and busy: verification may take so much longer than a scenario says.
const SLOWER: u32 = 3;
/// The least that may be configured: after so many seconds without many more incidents a storm is over.
const CALM_S: u32 = 10;

/// A scenario, and how long a second of it takes: its waits are made for clocks that cost nothing.
type Timed = (&'static str, Duration);

const fn timed(name: &'static str, second_ms: u64) -> Timed {
    (name, Duration::from_millis(second_ms))
}

fn read(name: &str) -> Result<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    Scenario::read(&folder.join(name).with_extension("yaml")).with_context(|| format!("reading the scenario {name}"))
}

/// What a pipeline is started with to play by these rules, on which a second of the first day takes so long.
fn options(rules: &Rules, second: Duration, shops: Vec<Place>) -> Options {
    let silent_after = second * rules.heartbeat_s;
    Options {
        apart: true,
        shops,
        heartbeat_s: (!silent_after.is_zero()).then_some(u32::try_from(silent_after.as_secs()).unwrap_or(u32::MAX)),
        storm: Some(StormRules { opened: rules.storm_opened, within_s: 60, calm_s: CALM_S }),
        topology: rules.topology.then(topology),
        approvers: rules.approvers,
        expires_s: rules.expires_s,
        remind_s: rules.remind_s,
        settle_s: rules.settle_s,
        verify_deadline_s: rules.deadline_s.saturating_mul(SLOWER),
        alertmanagers: vec![],
        ..Options::default()
    }
}

/// The same as in the simulation.
fn topology() -> Topology {
    let on = |names: &[&str]| Service { depends_on: names.iter().map(|&name| name.to_owned()).collect() };
    let services = [("web", on(&["checkout"])), ("checkout", on(&["payments"])), ("payments", on(&[]))];
    Topology { window_s: 600, services: services.map(|(name, service)| (name.to_owned(), service)).into() }
}

/// Plays these, one after the other, all by the same rules, each with shops of its own; `change` says what the pipeline has besides.
/// Gives how often webhooks were not accepted.
async fn play_all(days: &[Timed], change: impl FnOnce(Options) -> Options) -> Result<u32> {
    let scenarios = days.iter().map(|(name, second)| Ok((read(name)?, *second))).collect::<Result<Vec<_>>>()?;
    let (first, second) = scenarios.first().context("no scenario")?;
    let shops = scenarios.iter().flat_map(|(scenario, _)| play::shops(scenario)).collect();
    let mut pipeline = Pipeline::with(change(options(&first.rules, *second, shops))).await?;
    let mut namespaces = pipeline.namespaces.clone().into_iter();
    let mut refused = 0;
    for (scenario, second) in &scenarios {
        ensure!(scenario.rules == first.rules, "{}: a pipeline has one set of rules", scenario.name);
        let play = Play::new(&mut pipeline, scenario, *second, &mut namespaces)?;
        refused += play.run().await.with_context(|| format!("playing {}", scenario.name))?;
    }
    ensure!(namespaces.next().is_none(), "a shop was not used");
    pipeline.process.stop().await?;
    Ok(refused)
}

#[tokio::test]
async fn what_people_decide_is_what_happens() -> Result<()> {
    let days = [timed("approved", 100), timed("several-workloads", 100), timed("storm", 50), timed("edited", 100)];
    play_all(&days, |options| options).await?;
    Ok(())
}

#[tokio::test]
async fn any_role_may_be_killed_at_any_moment() -> Result<()> {
    play_all(&[timed("everybody-dies", 1_000)], |options| options).await?;
    Ok(())
}

#[tokio::test]
async fn providers_may_limp_and_be_away() -> Result<()> {
    let days = [timed("providers-limp", 1_000), timed("slack-is-away", 30), timed("jira-loses-answers", 60)];
    play_all(&days, |options| options).await?;
    Ok(())
}

#[tokio::test]
async fn postgres_may_die_lose_answers_and_be_silent() -> Result<()> {
    let days = [timed("store-dies", 1_000), timed("store-loses-answers", 1_000)];
    play_all(&days, |options| Options { private_postgres: true, ..options }).await?;
    Ok(())
}

#[tokio::test]
async fn the_bus_may_die_and_be_full() -> Result<()> {
    let days = [timed("bus-dies", 1_000), timed("bus-is-full", 1_000)];
    let refused = play_all(&days, |options| options).await?;
    ensure!(refused > 0, "a bus without room took an alert");
    Ok(())
}

#[tokio::test]
async fn a_cluster_of_the_bus_may_lose_its_leader() -> Result<()> {
    play_all(&[timed("bus-dies", 1_000)], |options| Options { nats_cluster: true, ..options }).await?;
    Ok(())
}

/// A heartbeat must be silent for half a minute at least, so a second takes a sixth of one.
#[tokio::test]
async fn a_heartbeat_that_stops_is_an_incident_until_it_beats_again() -> Result<()> {
    play_all(&[timed("heartbeat-pauses", 167)], |options| Options { two_tenants: true, ..options }).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_silenced_is_kept_and_nobody_is_told_until_that_ends() -> Result<()> {
    play_all(&[timed("silenced", 30), timed("silence-ends", 50)], |options| options).await?;
    Ok(())
}

#[tokio::test]
async fn what_fails_because_of_another_is_part_of_it() -> Result<()> {
    play_all(&[timed("dependency-fails", 30)], |options| options).await?;
    Ok(())
}

#[tokio::test]
async fn a_storm_is_one_notice_and_nothing_of_it_is_lost() -> Result<()> {
    play_all(&[timed("storm-of-incidents", 33)], |options| options).await?;
    Ok(())
}

#[tokio::test]
async fn tenants_are_apart_and_a_policy_may_become_stricter() -> Result<()> {
    let days = [timed("two-tenants", 100), timed("stricter-policy", 100)];
    play_all(&days, |options| Options { two_tenants: true, ..options }).await?;
    Ok(())
}

#[test]
fn what_cannot_be_played_for_real_is_refused() -> Result<()> {
    for (name, why) in [
        ("stuck-rollout", "nobody can make a real API server say that a rollout is stuck"),
        ("diagnosed-too-early", "a real API server shows what there is"),
    ] {
        let scenario = read(name)?;
        let refused = play::check(&scenario).err().with_context(|| format!("{name} was not refused"))?;
        ensure!(format!("{refused:#}").contains(why), "{name}: {refused:#}");
    }
    Ok(())
}
