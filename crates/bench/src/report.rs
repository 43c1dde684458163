//! What the times of the path come to: all of it, the part that is ours, and where that goes.

use std::collections::BTreeMap;

use crate::chain::{CARD, Hops, PATCH};
use crate::figures::{line, median, millis, percentile, verdict};
use crate::path::{Incident, Measured, Scene, TAPS, WARM_UP, Window};
use crate::tap::{Tap, Wait, union_ns};
use crate::trace::Span;

/// Goals, in milliseconds: all of it, and ours.
const CARD_GOALS: (f64, f64) = (150.0, 30.0);
const PATCH_GOALS: (f64, f64) = (60.0, 10.0);
/// A step is shown that this share of incidents have.
const SHOWN_FROM: f64 = 0.5;
/// Which taps a card waits for. Jira's issue is opened beside it, so its time is not taken off.
const CARD_TAPS: usize = 3;
/// Which taps a patch waits for.
const PATCH_TAPS: usize = 1;

/// Prints both ways.
pub(crate) fn print(scene: &Scene, measured: &Measured) {
    let count = measured.incidents.len();
    line(&format!(
        "\n2. Path: {count} incidents, one at a time, after {WARM_UP} to warm up. Real NATS, Postgres, Kubernetes (etcd fsyncs) and Prometheus;\n   \
         Slack and Jira are local stand-ins that answer at once, their usual limits (about 1 post a second) raised. Traces are on.\n   \
         A Deployment is patched when the API server's audit log says that the change was answered, or when a watch tells of it.\n   \
         Kubernetes and Prometheus run when nothing else does (SCHED_IDLE), because elsewhere they have machines of their own.\n   \
         Outside is when a request to {} is under way, seen by a relay in front of each; ours is the rest.",
        TAPS.join(", "),
    ));
    let taps = scene.taps();
    let outside_card: Vec<u64> = measured.incidents.iter().map(|one| outside(&taps, CARD_TAPS, one.card, &[])).collect();
    let windows: Vec<Window> = measured.incidents.iter().map(|one| one.card).collect();
    way("webhook → card with its buttons at Slack", CARD_GOALS, &windows, &outside_card);
    floor(CARD, &measured.card_floor_ms);
    cpu("CPU of Paramedic for a card and its rest", measured.card_cpu_ms);
    let accepted: Vec<f64> = measured.incidents.iter().map(|one| millis(one.accepted.saturating_sub(one.card.from))).collect();
    line(&format!(
        "   of it until the webhook is answered    p50 {:>7.1} ms   p99 {:>7.1} ms",
        median(&accepted),
        percentile(&accepted, 99.0)
    ));
    by_tap(&taps, &windows);
    breakdown(&measured.incidents, |one| steps(&measured.spans, &one.trace, one.card));

    let applies: Vec<Vec<&Span>> = measured.incidents.iter().map(|one| applies(&measured.spans, one.patch)).collect();
    let outside_patch: Vec<u64> =
        measured.incidents.iter().zip(&applies).map(|(one, applies)| outside(&taps, PATCH_TAPS, one.patch, applies)).collect();
    let windows: Vec<Window> = measured.incidents.iter().map(|one| one.patch).collect();
    way("press of Approve → Deployment patched", PATCH_GOALS, &windows, &outside_patch);
    let late: Vec<f64> = measured.incidents.iter().map(|one| millis(one.told.saturating_sub(one.patch.to))).collect();
    let what = "a watch of Deployments tells later by";
    line(&format!("   {what:<38} p50 {:>7.1} ms   p99 {:>7.1} ms", median(&late), percentile(&late, 99.0)));
    floor(PATCH, &measured.patch_floor_ms);
    cpu("CPU of Paramedic for an approval, repair and verification", measured.patch_cpu_ms);
    let traces: BTreeMap<&str, String> = measured
        .incidents
        .iter()
        .zip(&applies)
        .filter_map(|(one, all)| Some((one.name.as_str(), all.first()?.trace.clone())))
        .collect();
    breakdown(&measured.incidents, |one| {
        traces.get(one.name.as_str()).map(|trace| steps(&measured.spans, trace, one.patch)).unwrap_or_default()
    });
}

/// One way of one incident.
struct Passage<'a> {
    name: &'a str,
    window: Window,
    ours_ns: u64,
}

/// Prints both ways of the incident that took as much of our time as the median, and of the slowest, step by step: with the calls outside,
/// and with what was under way for other incidents.
pub(crate) fn timeline(scene: &Scene, measured: &Measured) {
    let taps = scene.taps();
    let cards = measured.incidents.iter().map(|one| (one, one.card, outside(&taps, CARD_TAPS, one.card, &[])));
    passages("webhook to card", &taps, &measured.spans, cards);
    let patches = measured.incidents.iter().map(|one| {
        let applies = applies(&measured.spans, one.patch);
        (one, one.patch, outside(&taps, PATCH_TAPS, one.patch, &applies))
    });
    passages("press to patch", &taps, &measured.spans, patches);
}

fn passages<'a>(way: &str, taps: &[&Tap], spans: &[Span], all: impl Iterator<Item = (&'a Incident, Window, u64)>) {
    let passage = |(one, window, outside): (&'a Incident, Window, u64)| Passage {
        name: &one.name,
        window,
        ours_ns: window.nanos().saturating_sub(outside),
    };
    let mut sorted: Vec<Passage<'_>> = all.map(passage).collect();
    sorted.sort_by_key(|one| one.ours_ns);
    let each: Vec<String> = sorted.iter().map(|one| format!("{:.1}", millis(one.ours_ns))).collect();
    line(&format!("\n   {way}, ms ours of each: {}", each.join(" ")));
    for Passage { name, window, ours_ns } in [sorted.get(sorted.len() / 2), sorted.last()].into_iter().flatten() {
        line(&format!("\n   {name}: {:.1} ms from {way}, {:.1} ms ours", millis(window.nanos()), millis(*ours_ns)));
        let at = |when: u64| millis(when.saturating_sub(window.from));
        let steps = spans.iter().filter(|span| span.to > window.from && span.from < window.to);
        let steps =
            steps.map(|span| (at(span.from), at(span.to), format!("{} {}", span.label, span.trace.get(..4).unwrap_or_default())));
        let calls = TAPS.iter().zip(taps).flat_map(|(name, tap)| {
            let waits = tap.waits(window.from, window.to).into_iter();
            waits.map(|wait| (at(wait.from), at(wait.to), format!("    {name}"))).collect::<Vec<_>>()
        });
        let mut lines: Vec<(f64, f64, String)> = steps.chain(calls).collect();
        lines.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (from_ms, to_ms, label) in lines {
            line(&format!("     {label:<43} {from_ms:>8.1} ms to {to_ms:>8.1} ms"));
        }
    }
}

/// Nanoseconds of the window in which an outside call was under way; where spans are given, only calls within one of them, because
/// earlier incidents are still being verified then.
fn outside(taps: &[&Tap], first: usize, window: Window, within: &[&Span]) -> u64 {
    let all = taps.iter().take(first).flat_map(|tap| tap.waits(window.from, window.to));
    let is_ours = |wait: &Wait| within.is_empty() || within.iter().any(|span| wait.from >= span.from && wait.from <= span.to);
    union_ns(all.filter(is_ours).collect())
}

/// The change itself, of which there is one at a time.
fn applies(spans: &[Span], window: Window) -> Vec<&Span> {
    spans
        .iter()
        .filter(|span| span.label == "effect remediation apply" && span.from >= window.from && span.from < window.to)
        .collect()
}

fn way(name: &str, goals: (f64, f64), windows: &[Window], outside: &[u64]) {
    let all: Vec<f64> = windows.iter().map(|window| millis(window.nanos())).collect();
    let ours: Vec<f64> =
        windows.iter().zip(outside).map(|(window, outside)| millis(window.nanos().saturating_sub(*outside))).collect();
    line(&format!("\n   {name}"));
    for (what, values, goal) in [("in all", all, goals.0), ("ours, outside calls taken off", ours, goals.1)] {
        let (p50, p99) = (median(&values), percentile(&values, 99.0));
        let verdict = verdict(p99 < goal);
        line(&format!("   {what:<38} p50 {p50:>7.1} ms   p99 {p99:>7.1} ms   goal: p99 below {goal:.0} ms {verdict}"));
    }
}

fn floor(hops: Hops, took: &[f64]) {
    let what = format!("floor: {} messages, {} commits, bare", hops.messages, hops.commits);
    line(&format!("   {what:<38} p50 {:>7.1} ms   p99 {:>7.1} ms", median(took), percentile(took, 99.0)));
}

fn cpu(what: &str, millis: f64) {
    line(&format!("   {what}: {millis:.1} ms an incident (all roles; until the next one begins)"));
}

fn by_tap(taps: &[&Tap], windows: &[Window]) {
    for (tap, name) in taps.iter().zip(TAPS) {
        let waits: Vec<Vec<Wait>> = windows.iter().map(|window| tap.waits(window.from, window.to)).collect();
        let calls: Vec<f64> = waits.iter().map(|waits| waits.iter().map(|_| 1.0).sum()).collect();
        let took: Vec<f64> = waits.into_iter().map(|waits| millis(union_ns(waits))).collect();
        let what = format!("outside: {name}, {:.0} calls", median(&calls));
        line(&format!("   {what:<38} p50 {:>7.1} ms   p99 {:>7.1} ms", median(&took), percentile(&took, 99.0)));
    }
}

/// What it is, and the how manieth of its kind.
type Key<'a> = (&'a str, usize);

/// A step of one incident: what, and when within its window.
struct Step<'a> {
    key: Key<'a>,
    at_ms: f64,
    took_ms: f64,
}

fn steps<'a>(spans: &'a [Span], trace: &str, window: Window) -> Vec<Step<'a>> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let ours = spans.iter().filter(|span| span.trace == trace && span.to > window.from && span.from < window.to);
    let step = |span: &'a Span| {
        let nth = seen.entry(&span.label).or_default();
        *nth += 1;
        let at_ms = millis(span.from.saturating_sub(window.from));
        Step { key: (&span.label, *nth), at_ms, took_ms: millis(span.to.saturating_sub(span.from)) }
    };
    ours.map(step).collect()
}

/// The steps of a usual incident, in their order.
fn breakdown<'a>(incidents: &'a [Incident], steps_of: impl Fn(&'a Incident) -> Vec<Step<'a>>) {
    let mut all: BTreeMap<Key<'_>, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for step in incidents.iter().flat_map(steps_of) {
        let (at, took) = all.entry(step.key).or_default();
        at.push(step.at_ms);
        took.push(step.took_ms);
    }
    let enough = SHOWN_FROM * incidents.iter().map(|_| 1.0).sum::<f64>();
    let mut rows: Vec<_> = all.into_iter().filter(|(_, (at, _))| at.iter().map(|_| 1.0).sum::<f64>() >= enough).collect();
    rows.sort_by(|(_, (one, _)), (_, (other, _))| median(one).total_cmp(&median(other)));
    line("   where it goes (from the traces)          begins p50    takes p50    takes p99");
    for ((label, nth), (at, took)) in rows {
        let what = if nth > 1 { format!("{label} ({nth})") } else { label.to_owned() };
        line(&format!("     {what:<38} {:>8.1} ms  {:>8.1} ms  {:>8.1} ms", median(&at), median(&took), percentile(&took, 99.0)));
    }
}
