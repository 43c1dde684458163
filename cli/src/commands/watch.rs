//! `paramedic watch check|test`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use cluster::prometheus::{Prometheus, Series};
use incident::alert::Labels;
use incident::watch::Grid;
use incident::watch::judge::{Departure, End, Way};
use incident::watch::replay::{Ended, Replay, replay};
use incident::watch::rule::Rule;
use serde::Serialize;

use crate::args::{Output, WatchTest};
use crate::output::{line, show};
use crate::watches;

/// A recording as large as that is some thousand series of five weeks; more would be better tried one by one.
const RECORDING_BYTES_MAX: u64 = 1 << 30;
/// Looks further apart see nothing that lasts for five minutes.
const INTERVAL_S_MAX: i64 = 300;

/// What became of one file.
#[derive(Debug, Serialize)]
struct Checked {
    path: String,
    rules: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Checks files, and all files of folders together.
pub(crate) fn check(paths: &[PathBuf], output: Output) -> anyhow::Result<()> {
    let checked: Vec<Checked> = paths.iter().flat_map(|path| of(path)).collect();
    show(output, &checked, |checked| checked.iter().map(line_of).collect::<Vec<_>>().join("\n"))?;
    let bad = checked.iter().filter(|one| one.error.is_some()).count();
    ensure!(bad == 0, "{bad} of {} cannot be used", checked.len());
    Ok(())
}

fn of(path: &Path) -> Vec<Checked> {
    if !path.is_dir() {
        return vec![checked(path, watches::read_one(path))];
    }
    let files = match watches::files(path) {
        Ok(files) => files,
        Err(error) => return vec![checked(path, Err(error))],
    };
    let mut all: Vec<Checked> = files.iter().map(|file| checked(file, watches::read_one(file))).collect();
    // Each may be good, and two of them name a rule alike.
    if all.iter().all(|one| one.error.is_none()) {
        all.extend(watches::read(path).err().map(|error| checked(path, Err(error))));
    }
    all
}

fn checked(path: &Path, read: anyhow::Result<Vec<Rule>>) -> Checked {
    let path = path.display().to_string();
    match read {
        Ok(rules) => Checked { path, rules: rules.into_iter().map(|rule| rule.name).collect(), error: None },
        Err(error) => Checked { path, rules: vec![], error: Some(format!("{error:#}")) },
    }
}

fn line_of(checked: &Checked) -> String {
    match &checked.error {
        // It begins with the path.
        Some(error) => error.clone(),
        None => format!("{}: {}", checked.path, checked.rules.join(", ")),
    }
}

/// What a rule would have said of one series.
#[derive(Debug, Serialize)]
struct Tested {
    labels: Labels,
    points: usize,
    /// Looks at which there was enough to judge.
    judged: u64,
    /// Of those, with the same hour of earlier weeks.
    seasonal: u64,
    episodes: Vec<Episode>,
}

#[derive(Debug, Serialize)]
struct Episode {
    fires_at: DateTime<Utc>,
    way: Way,
    value: f64,
    usual: f64,
    bound: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolves_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'static str>,
}

/// Plays a rule over recorded series.
pub(crate) fn test(arguments: &WatchTest) -> anyhow::Result<()> {
    let rule = chosen(watches::read_one(&arguments.file)?, arguments.rule.as_deref())?;
    let name = arguments.series.display();
    let size = std::fs::metadata(&arguments.series).with_context(|| format!("reading {name}"))?.len();
    ensure!(size <= RECORDING_BYTES_MAX, "{name} has more than {RECORDING_BYTES_MAX} bytes; record fewer series");
    let answer = std::fs::read(&arguments.series).with_context(|| format!("reading {name}"))?;
    let series = Prometheus::read_range(&answer)
        .map_err(|why| anyhow::anyhow!("{name} is not what /api/v1/query_range answers: {why}"))?;
    ensure!(!series.is_empty(), "{name} holds no series: does the expression find any? curl it from /api/v1/query_range");
    let tested =
        series.into_iter().map(|series| tested(&rule, arguments.interval_s, series)).collect::<anyhow::Result<Vec<_>>>()?;
    show(arguments.output, &tested, |tested| tested.iter().map(|one| told(&rule, one)).collect::<Vec<_>>().join("\n"))?;
    if tested.iter().all(|one| one.judged == 0) && arguments.output == Output::Text {
        line("Nothing could be judged: a look needs the points of the rule's min_duration_s, and at least 30 of the 120 before.");
    }
    Ok(())
}

fn chosen(rules: Vec<Rule>, name: Option<&str>) -> anyhow::Result<Rule> {
    let names = rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>().join(", ");
    let count = rules.len();
    let mut fitting = rules.into_iter().filter(|rule| name.is_none_or(|name| rule.name == name));
    match (fitting.next(), name) {
        (Some(_), None) if count > 1 => bail!("the file has {count} rules ({names}): say which with --rule"),
        (Some(rule), _) => Ok(rule),
        (None, _) => bail!("the file has no rule {}: it has {names}", name.unwrap_or_default()),
    }
}

fn tested(rule: &Rule, interval_s: Option<u32>, series: Series) -> anyhow::Result<Tested> {
    let interval_s = interval_s.map_or_else(|| apart_s(&series), Ok)?;
    let first = series.points.first().map(|(at, _)| *at).unwrap_or_default();
    let Replay { episodes, judged, seasonal, .. } = replay(rule, Grid::new(interval_s), &series.labels, &series.points, first);
    let episodes = episodes.into_iter().map(episode).collect();
    Ok(Tested { labels: series.labels, points: series.points.len(), judged, seasonal, episodes })
}

/// How far apart the points are: most of the time, because some may be missing.
fn apart_s(series: &Series) -> anyhow::Result<u32> {
    let mut apart: Vec<i64> =
        series.points.windows(2).filter_map(|two| Some((two.last()?.0 - two.first()?.0).num_seconds())).collect();
    apart.sort_unstable();
    let middle = apart.get(apart.len() / 2).copied().unwrap_or(1).max(1);
    ensure!(middle <= INTERVAL_S_MAX, "the points are {middle} s apart; record them with a step of at most {INTERVAL_S_MAX} s");
    Ok(u32::try_from(middle)?)
}

fn episode((departure, end): (Departure, Option<Ended>)) -> Episode {
    let Departure { starts_at, way, value, usual, bound, .. } = departure;
    let because = end.map(|(_, why)| match why {
        End::Back => "back to usual",
        End::NoData => "no data",
        End::Stayed => "it has stayed for a week",
    });
    Episode { fires_at: starts_at, way, value, usual, bound, resolves_at: end.map(|(at, _)| at), because }
}

fn told(rule: &Rule, tested: &Tested) -> String {
    let labels: Vec<String> = tested.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let season = if rule.seasonal { format!(", {} of them with earlier weeks", tested.seasonal) } else { String::new() };
    let mut lines = vec![format!("{{{}}}: {} points, {} looks{season}", labels.join(", "), tested.points, tested.judged)];
    for Episode { fires_at, way, value, usual, bound, resolves_at, because } in &tested.episodes {
        let way = match way {
            Way::Up => "above",
            Way::Down => "below",
        };
        let end = match (resolves_at, because) {
            (Some(at), Some(why)) => format!("resolves {} ({why})", at.to_rfc3339()),
            _ => "does not resolve".to_owned(),
        };
        lines.push(format!(
            "  fires {} ({value:.4} is {way} the usual {usual:.4} by more than {bound:.4}), {end}",
            fires_at.to_rfc3339()
        ));
    }
    if tested.episodes.is_empty() {
        lines.push("  never fires".to_owned());
    }
    lines.join("\n")
}
