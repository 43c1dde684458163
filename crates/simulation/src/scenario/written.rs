//! Happenings as people write them: one line for the time, one for what happens.

use incident::task::Role;
use serde::Deserialize;

use super::{Answers, Fires, Happening, Moment, Orders, Place, Provider, Trouble, What, When};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    at_s: Option<u32>,
    once: Option<Once>,
    plus_s: Option<u32>,
    times: Option<u32>,
    every_s: Option<u32>,
    release: Option<Release>,
    edit: Option<Workload>,
    trouble: Option<Workload>,
    relief: Option<Workload>,
    stuck: Option<ForAWhile>,
    lags: Option<ForAWhile>,
    fires: Option<Fires>,
    resolves: Option<Fires>,
    beats: Option<Nothing>,
    silence: Option<ForAWhile>,
    orders: Option<Orders>,
    answers: Option<Answers>,
    outage: Option<Outage>,
    away: Option<Away>,
    policy: Option<NewPolicy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Once {
    asked: Option<u32>,
    changed: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    workload: Place,
    #[serde(default)]
    bad: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Workload {
    workload: Place,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForAWhile {
    workload: Place,
    for_s: u32,
}

#[derive(Deserialize)]
#[serde(try_from = "AnyOutage")]
struct Outage {
    of: Provider,
    how: Trouble,
    for_s: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnyOutage {
    of: Provider,
    how: Trouble,
    for_s: u32,
}

impl TryFrom<AnyOutage> for Outage {
    type Error = String;
    fn try_from(AnyOutage { of, how, for_s }: AnyOutage) -> Result<Self, String> {
        if of.can_fail(how) {
            return Ok(Self { of, how, for_s });
        }
        Err(format!("{of:?} cannot fail like this ({how:?}); the README beside this file says who can fail how").to_lowercase())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Away {
    role: Role,
    for_s: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPolicy {
    approvers: u8,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Bound {
    Exactly(u32),
    Within(Within),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Within {
    at_least: Option<u32>,
    at_most: Option<u32>,
}

impl TryFrom<Bound> for super::Bound {
    type Error = String;
    fn try_from(written: Bound) -> Result<Self, String> {
        match written {
            Bound::Exactly(n) => Ok(Self { at_least: n, at_most: n }),
            Bound::Within(Within { at_least: None, at_most: None }) => Err("say at_least, at_most, or both".to_owned()),
            Bound::Within(Within { at_least, at_most }) => {
                Ok(Self { at_least: at_least.unwrap_or(0), at_most: at_most.unwrap_or(u32::MAX) })
            }
        }
    }
}

impl TryFrom<String> for Place {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (tenant, name) = text.split_once('/').unwrap_or(("acme", &text));
        if crate::scene::TENANTS.contains(&tenant) && !name.is_empty() {
            return Ok(Self { tenant: tenant.to_owned(), name: name.to_owned() });
        }
        Err(format!("workload {text:?} must be `name` or `tenant/name`; tenants are: {}", crate::scene::TENANTS.join(", ")))
    }
}

impl TryFrom<Written> for Happening {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        let when = when(&written)?;
        let (times, every_s) = match (written.times, written.every_s) {
            (None, None) => (1, 0),
            (Some(times), Some(every_s)) if times > 0 && every_s > 0 => (times, every_s),
            _ => return Err("times and every_s go together, both at least 1".to_owned()),
        };
        Ok(Self { when, what: what(written)?, times, every_s })
    }
}

fn when(written: &Written) -> Result<When, String> {
    let s = written.plus_s.unwrap_or(0);
    match (written.at_s, &written.once) {
        (Some(s), None) if written.plus_s.is_none() => Ok(When::At { s }),
        (None, Some(Once { asked: Some(n), changed: None })) => Ok(When::After { moment: Moment::Asked(*n), s }),
        (None, Some(Once { asked: None, changed: Some(n) })) => Ok(When::After { moment: Moment::Changed(*n), s }),
        _ => Err("say when: either `at_s: 20`, or `once: {asked: 1}` (or changed) and perhaps `plus_s: 20`".to_owned()),
    }
}

fn what(written: Written) -> Result<What, String> {
    let all = [
        written.release.map(|Release { workload, bad }| What::Release { workload, bad }),
        written.edit.map(|Workload { workload }| What::Edit { workload }),
        written.trouble.map(|Workload { workload }| What::Trouble { workload, begins: true }),
        written.relief.map(|Workload { workload }| What::Trouble { workload, begins: false }),
        written.stuck.map(|ForAWhile { workload, for_s }| What::Stuck { workload, for_s }),
        written.lags.map(|ForAWhile { workload, for_s }| What::Lags { workload, for_s }),
        written.fires.map(What::Fires),
        written.resolves.map(What::Resolves),
        written.beats.map(|Nothing {}| What::Beats),
        written.silence.map(|ForAWhile { workload, for_s }| What::Silences { workload, for_s }),
        written.orders.map(What::Orders),
        written.answers.map(What::Answers),
        written.outage.map(|Outage { of, how, for_s }| What::Outage { of, how, for_s }),
        written.away.map(|Away { role, for_s }| What::Away { role, for_s }),
        written.policy.map(|NewPolicy { approvers }| What::Approvers { approvers }),
    ];
    let mut said: Vec<What> = all.into_iter().flatten().collect();
    match (said.pop(), said.is_empty()) {
        (Some(what), true) => Ok(what),
        _ => Err(
            "say one thing that happens: release, edit, trouble, relief, stuck, lags, fires, resolves, beats, silence, orders, answers, \
                  outage, away or policy"
                .to_owned(),
        ),
    }
}
