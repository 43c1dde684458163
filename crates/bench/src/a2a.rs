//! How many A2A tasks are done in a second, and how long one takes, over each binding of the conformance agent: each task durable, from
//! the message to the answer that it is completed. Beside it the Python SDK's own server, which keeps its tasks in memory.

mod bed;
mod instant;
mod lanes;
mod work;

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use self::bed::{Bed, INSTANT, JSON_RPC, NATS, PYTHON, Subject, Way};
pub(crate) use self::instant::serve as serve_instant;
use crate::figures::{line, median, note, number, verdict};
use crate::intake::Pace;
use crate::load::{self, Outcome, Plan};
use crate::process::{cpu_seconds, family_cpu_seconds};

/// Requests under way: on so many connections, over NATS on one.
const UNDER_WAY: [usize; 2] = [1, 64];
/// Goals: so many times the tasks of the Python SDK's server, and milliseconds of a round trip over NATS without and with commits.
const TIMES_PYTHON_MIN: f64 = 20.0;
const NATS_MS_MAX: f64 = 2.0;
const NATS_DURABLE_MS_MAX: f64 = 6.0;

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    outcome: Outcome,
    cpu_us: f64,
    postgres_cpu_us: f64,
    nats_cpu_us: f64,
}

/// All measurements of one subject, by how many requests were under way.
type Samples = [Vec<Sample>; UNDER_WAY.len()];

/// Measures and prints.
pub(crate) async fn run(dir: &Path, pace: Pace) -> Result<()> {
    let bed = Bed::start(dir).await?;
    let mut samples: Vec<Samples> = vec![Samples::default(); bed.subjects.len()];
    for round in 1..=pace.rounds {
        for (at, under_way) in UNDER_WAY.into_iter().enumerate() {
            for (subject, of_subject) in bed.subjects.iter().zip(&mut samples) {
                note(&format!("a2a, round {round}: {}, {under_way} under way", subject.name));
                let plan = Plan { connections: under_way, warm_up: pace.warm_up, measure: pace.measure };
                let sample = measure(&bed, subject, plan).await.with_context(|| subject.name)?;
                if let Some(list) = of_subject.get_mut(at) {
                    list.push(sample);
                }
            }
        }
    }
    report(&bed, &samples, pace);
    bed.stop().await
}

async fn measure(bed: &Bed, subject: &Subject, plan: Plan) -> Result<Sample> {
    let mut used = Vec::with_capacity(2);
    let edge = || {
        used.push([cpu_seconds(subject.pid)?, family_cpu_seconds(bed.postgres_pid)?, cpu_seconds(bed.nats_pid)?]);
        Ok(())
    };
    let outcome = match &subject.way {
        Way::Http(target) => load::run(target, plan, edge).await?,
        Way::Grpc(address) => load::drive(lanes::grpc(*address, plan.connections).await?, plan, edge).await?,
        Way::Nats(agent) => load::drive(lanes::nats(&bed.client, agent, plan.connections).await?, plan, edge).await?,
    };
    ensure!(outcome.accepted > 0, "no task was completed ({} failed)", outcome.refused);
    let [before, after] = used.as_slice() else { bail!("CPU time is read twice") };
    let [own, postgres, nats] = std::array::from_fn(|which| {
        let spent = after.get(which).zip(before.get(which)).map_or(0.0, |(after, before)| after - before);
        spent * 1e6 / number(outcome.accepted)
    });
    let postgres_cpu_us = if subject.stores { postgres } else { 0.0 };
    let nats_cpu_us = if matches!(subject.way, Way::Nats(_)) { nats } else { 0.0 };
    Ok(Sample { outcome, cpu_us: own, postgres_cpu_us, nats_cpu_us })
}

/// The median of a figure of one subject.
fn of(samples: &[Sample], figure: fn(&Sample) -> f64) -> f64 {
    median(&samples.iter().map(figure).collect::<Vec<_>>())
}

fn report(bed: &Bed, samples: &[Samples], pace: Pace) {
    line(&format!(
        "\n4. A2A: SendMessage until its task is completed, {} round(s) of {:.0} s each, interleaved; medians. Ours are durable: two\n   \
         commits a task in a Postgres that fsyncs. HTTP on as many connections as requests are under way, NATS on one.",
        pace.rounds,
        pace.measure.as_secs_f64(),
    ));
    for (at, under_way) in UNDER_WAY.into_iter().enumerate() {
        line(&format!("\n   {under_way} request(s) under way"));
        line("                                       tasks/s   p50 ms   p99 ms  CPU µs/task  Postgres µs  NATS µs  failed");
        for (subject, of_subject) in bed.subjects.iter().zip(samples) {
            let list = of_subject.get(at).map_or(&[][..], Vec::as_slice);
            line(&format!(
                "   {:<34}{:>9.0}{:>9.2}{:>9.2}{:>13.0}{:>13.0}{:>9.0}{:>8}",
                subject.name,
                of(list, |s| s.outcome.per_second),
                of(list, |s| s.outcome.p50_ms),
                of(list, |s| s.outcome.p99_ms),
                of(list, |s| s.cpu_us),
                of(list, |s| s.postgres_cpu_us),
                of(list, |s| s.nats_cpu_us),
                list.iter().map(|s| s.outcome.refused).sum::<u64>(),
            ));
        }
        goals(bed, samples, at);
    }
}

fn goals(bed: &Bed, samples: &[Samples], at: usize) {
    let find = |name: &str, figure: fn(&Sample) -> f64| {
        let (_, of_subject) = bed.subjects.iter().zip(samples).find(|(subject, _)| subject.name == name)?;
        Some(of(of_subject.get(at)?, figure))
    };
    if at == 0 {
        for (name, goal) in [(INSTANT, NATS_MS_MAX), (NATS, NATS_DURABLE_MS_MAX)] {
            let Some(took) = find(name, |s| s.outcome.p50_ms) else { continue };
            let verdict = verdict(took < goal);
            line(&format!("   goal: {name}: round trip p50 below {goal:.0} ms: {took:.2} ms {verdict}"));
        }
    }
    if let Some(missing) = &bed.python_missing {
        line(&format!("   (nothing to compare with: {missing})"));
        return;
    }
    let rate = |name| find(name, |s| s.outcome.per_second).unwrap_or_default();
    let times = rate(JSON_RPC) / rate(PYTHON);
    // One sender waits for the disk twice a task, Python for nothing: only the capacities compare.
    let verdict =
        if at == 0 { "not judged: one sender waits for one fsync after the other" } else { verdict(times >= TIMES_PYTHON_MIN) };
    line(&format!("   goal: JSON-RPC at least {TIMES_PYTHON_MIN:.0} times the Python SDK's tasks/s: {times:.1} times {verdict}"));
}
