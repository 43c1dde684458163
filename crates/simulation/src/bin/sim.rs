//! `sim`: plays the days of many seeds, and says which broke a promise. `make sim` runs it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use simulation::run::failure;
use simulation::scenario::Scenario;
use simulation::shrink::shrink;

/// Failures that are made short and shown; one is enough to begin with.
const SHOWN_MAX: usize = 3;

/// Plays simulated days.
#[derive(Parser)]
struct Arguments {
    /// How many seeds; ignored with --hours.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed; the others count up from it.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Go on for so many hours instead.
    #[arg(long)]
    hours: Option<f64>,
    /// Where the scenarios are.
    #[arg(long, default_value = "tests/scenarios")]
    scenarios: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let scenarios = Scenario::read_all(&arguments.scenarios)?;
    let until = arguments.hours.map(|hours| Instant::now() + Duration::from_secs_f64(hours * 3_600.0));
    let mut out = std::io::stdout();
    let (mut played, mut violations) = (0, 0);
    loop {
        let is_over = until.map_or(played >= arguments.seeds, |until| Instant::now() >= until);
        if is_over {
            break;
        }
        if let Some(failure) = failure(&scenarios, arguments.seed + played, None) {
            violations += 1;
            write!(out, "{failure}")?;
            if violations <= SHOWN_MAX {
                writeln!(out, "{}\n", shrink(&failure))?;
            }
        }
        played += 1;
    }
    writeln!(out, "seeds={played} violations={violations}")?;
    Ok(if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
