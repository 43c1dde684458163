//! What was measured on: only figures of one machine and one run compare.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use crate::figures::{line, percentile};

/// Enough for a 99th percentile, well below a second on a slow disk.
const FSYNCS: usize = 200;
/// What one small commit writes.
const FSYNC_BYTES: usize = 4096;

/// Nanoseconds since 1970, as spans have them.
#[expect(
    clippy::disallowed_methods,
    reason = "measuring is what this process is for; spans of another process are compared with it"
)]
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Prints cores, processor, kernel, how long the disk of `dir` takes, and what else the machine was doing.
pub(crate) fn describe(dir: &Path) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    line(&format!("machine     {cores} cores, {processor}, {memory}, Linux {}", kernel.trim()));
    let fsyncs = fsyncs(dir)?;
    let (p50, p99) = (percentile(&fsyncs, 50.0), percentile(&fsyncs, 99.0));
    line(&format!("disk        4 KiB written and fsynced in p50 {p50:.2} ms, p99 {p99:.2} ms ({FSYNCS} times)"));
    load_line("before");
    Ok(())
}

/// Prints the load average: other work on the machine makes every figure worse.
pub(crate) fn load_line(when: &str) {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<&str> = load.split(' ').take(3).collect();
    line(&format!("load        {} {when} the run (1, 5, 15 min); it counts this run's own work too", averages.join(" ")));
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn fsyncs(dir: &Path) -> Result<Vec<f64>> {
    let path = dir.join("fsync");
    let mut file = fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let mut took = Vec::with_capacity(FSYNCS);
    for _ in 0..FSYNCS {
        let began = Instant::now();
        file.write_all(&[7; FSYNC_BYTES])
            .and_then(|()| file.sync_data())
            .with_context(|| format!("writing {}", path.display()))?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    Ok(took)
}
