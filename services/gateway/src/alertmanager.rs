//! From a webhook body to notifications: parsed once, every rule checked, nothing taken that breaks one.
//!
//! Pure. It must never answer, log or send; and it never lets a body through that a later step would have to refuse.

mod wire;

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use incident::alert::{Alert, AlertStatus, Correlation, Labels, Notification};
use incident::heartbeat::{self, Heartbeats};
use incident::id::TenantId;
use url::form_urlencoded;

use crate::json::{self, escaped};
use crate::problem::{Kind, Problem, Violation};

/// The only version there has ever been a description of.
const VERSION: &str = "4";
/// One call's alerts. `max_alerts` in Alertmanager's configuration has no limit by default, and what is refused here is refused for
/// ever: so this is what a body of the largest size holds, at some 400 bytes each.
const ALERTS_MAX: usize = 10_000;
/// Labels, or annotations, of one alert. Prometheus' own hosted offerings allow 30 to 40.
const LABELS_MAX: usize = 64;
/// Bytes of a label's name.
const NAME_BYTES_MAX: usize = 256;
/// Bytes of a label's value: what hosted Prometheus allows.
const VALUE_BYTES_MAX: usize = 4 * 1024;
/// Bytes of an annotation: a description with a list of hosts in it.
const ANNOTATION_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the group key: matchers of the route and labels of the group.
const GROUP_KEY_BYTES_MAX: usize = 16 * 1024;
/// Bytes of all copies of the group key: every notification has one, and a call may become as many as it has alerts.
const GROUP_KEY_COPIES_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of an address; the one of a rule holds its whole expression.
const URL_BYTES_MAX: usize = 16 * 1024;
/// Digits of a fingerprint. Alertmanager's have 16.
const FINGERPRINT_DIGITS_MAX: usize = 64;
/// Rules named in one answer: enough to repair a template, too few to be a load.
const VIOLATIONS_MAX: usize = 20;
/// Bytes of one notification on the bus, below the 1 MiB that NATS servers take by default, headers included.
const NOTIFICATION_BYTES_MAX: usize = 960 * 1024;

/// A notification with its body for the bus.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) notification: Notification,
    pub(crate) body: Vec<u8>,
}

/// How a tenant's alerts are sorted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sorting<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) correlation: &'a Correlation,
    pub(crate) heartbeats: &'a Heartbeats,
}

/// Reads a call that came `now`, takes heartbeats out, and sorts its other alerts into one notification a correlation key; a notification
/// that would be too large for the bus becomes several.
pub(crate) fn read(by: Sorting<'_>, body: &[u8], now: DateTime<Utc>) -> Result<Vec<Written>, Problem> {
    let Call { group_key, mut alerts, truncated_alerts } = check_call(json::read(body)?)?;
    let Sorting { tenant, correlation, heartbeats } = by;
    let beats = heartbeat::take(heartbeats, tenant, &mut alerts, now);
    check_copies(&group_key, &alerts, correlation)?;
    let split = Notification::split(tenant, &group_key, alerts, truncated_alerts, correlation);
    let notifications: Vec<Notification> = beats.into_iter().chain(split).collect();
    // About what each takes, so that it need not grow while it is written.
    let usual_bytes = body.len() / notifications.len().max(1);
    let mut written = Vec::with_capacity(notifications.len());
    for notification in notifications {
        write(Notification { received_at: Some(now), ..notification }, usual_bytes, &mut written)?;
    }
    Ok(written)
}

/// Holds an alert that came in another way to the rules of those that come by webhook. The field that breaks one, and the rule.
pub(crate) fn check(alert: &Alert) -> Result<(), (String, String)> {
    let mut broken = Broken::default();
    broken.fingerprint(|| "/fingerprint".to_owned(), &alert.fingerprint);
    broken.labels(|| "/labels".to_owned(), &alert.labels, VALUE_BYTES_MAX);
    broken.labels(|| "/annotations".to_owned(), &alert.annotations, ANNOTATION_BYTES_MAX);
    if alert.expression.as_ref().is_some_and(|expression| expression.len() > URL_BYTES_MAX) {
        broken.add("/expression", at_most(URL_BYTES_MAX, "bytes"), "text-bytes");
    }
    broken.0.into_iter().next().map_or(Ok(()), |violation| Err((violation.field, violation.rule.into_owned())))
}

fn check_copies(group_key: &str, alerts: &[Alert], by: &Correlation) -> Result<(), Problem> {
    if group_key.len() * alerts.len() <= GROUP_KEY_COPIES_BYTES_MAX {
        return Ok(());
    }
    let keys = alerts.iter().map(|alert| by.key(&alert.labels).0).collect::<BTreeSet<_>>().len();
    let bytes_max = GROUP_KEY_COPIES_BYTES_MAX / keys.max(1);
    if group_key.len() <= bytes_max {
        return Ok(());
    }
    let rule = format!("with alerts of {keys} correlation keys, it {}", at_most(bytes_max, "bytes"));
    Err(Problem::invalid(vec![Violation { field: "/groupKey".to_owned(), rule: rule.into(), name: "text-bytes" }]))
}

fn write(notification: Notification, usual_bytes: usize, written: &mut Vec<Written>) -> Result<(), Problem> {
    let mut body = Vec::with_capacity(usual_bytes);
    serde_json::to_writer(&mut body, &notification)
        .map_err(|_| Problem::new(Kind::Internal, "the alerts cannot be written as JSON"))?;
    if body.len() <= NOTIFICATION_BYTES_MAX {
        written.push(Written { notification, body });
        return Ok(());
    }
    if let [only] = notification.alerts.as_slice() {
        let rule = format!("alert {} must take at most {NOTIFICATION_BYTES_MAX} bytes as JSON", only.fingerprint);
        return Err(Problem::invalid(vec![Violation { field: "/alerts".to_owned(), rule: rule.into(), name: "alert-bytes" }]));
    }
    // Halved where it always would be, so that a retry gives the same messages with the same ids.
    let mut first = notification;
    let rest = first.alerts.split_off(first.alerts.len() / 2);
    let second = Notification { alerts: rest, ..first.clone() };
    write(first, usual_bytes / 2, written)?;
    write(second, usual_bytes / 2, written)
}

/// A call that keeps every rule.
struct Call {
    group_key: String,
    alerts: Vec<Alert>,
    truncated_alerts: u64,
}

fn check_call(call: wire::Call) -> Result<Call, Problem> {
    let mut broken = Broken::default();
    match call.version.as_deref() {
        Some(VERSION) => {}
        _ => broken.add("/version", "must be \"4\"", "version"),
    }
    if call.status.is_none() {
        broken.add("/status", "must be \"firing\" or \"resolved\"", "status");
    }
    let group_key = broken.text("/groupKey", call.group_key, GROUP_KEY_BYTES_MAX);
    for (field, value) in [("/receiver", &call.receiver), ("/externalURL", &call.external_url)] {
        if value.as_ref().is_some_and(|text| text.len() > URL_BYTES_MAX) {
            broken.add(field, at_most(URL_BYTES_MAX, "bytes"), "text-bytes");
        }
    }
    let wire::Entries { kept, count } = call.alerts.unwrap_or_default();
    if !(1..=ALERTS_MAX).contains(&count) {
        broken.add("/alerts", format!("must hold 1 to {ALERTS_MAX} alerts; this one holds {count}"), "alerts");
        return Err(broken.into());
    }
    let alerts: Vec<Alert> = kept.into_iter().enumerate().filter_map(|(n, entry)| alert(n, entry, &mut broken)).collect();
    match group_key {
        Some(group_key) if broken.0.is_empty() => {
            Ok(Call { group_key, alerts, truncated_alerts: call.truncated_alerts.unwrap_or_default() })
        }
        _ => Err(broken.into()),
    }
}

/// One alert; none if it breaks a rule.
fn alert(n: usize, entry: wire::Entry, broken: &mut Broken) -> Option<Alert> {
    let before = broken.0.len();
    let at = |field: &str| format!("/alerts/{n}/{field}");
    let wire::Entry { fingerprint, status, labels, annotations, starts_at, ends_at, generator_url } = entry;
    let fingerprint = fingerprint.unwrap_or_default();
    broken.fingerprint(|| at("fingerprint"), &fingerprint);
    if status.is_none() {
        broken.add(at("status"), "must be \"firing\" or \"resolved\"", "status");
    }
    let starts_at = starts_at.filter(|time| !is_no_time(time));
    if starts_at.is_none() {
        broken.add(at("startsAt"), "must be an RFC 3339 time after 1970", "starts-at");
    }
    let labels = labels.unwrap_or_default();
    if labels.is_empty() {
        broken.add(at("labels"), "must hold at least one label", "labels");
    }
    broken.labels(|| at("labels"), &labels, VALUE_BYTES_MAX);
    let annotations = annotations.unwrap_or_default();
    broken.labels(|| at("annotations"), &annotations, ANNOTATION_BYTES_MAX);
    if generator_url.as_ref().is_some_and(|url| url.len() > URL_BYTES_MAX) {
        broken.add(at("generatorURL"), at_most(URL_BYTES_MAX, "bytes"), "text-bytes");
    }
    let (Some(status), Some(starts_at)) = (status, starts_at) else { return None };
    if broken.0.len() > before {
        return None;
    }
    // An alert that fires has no end, whatever the sender guesses it will be.
    let ends_at = ends_at.filter(|time| status == AlertStatus::Resolved && !is_no_time(time));
    let expression = generator_url.as_deref().and_then(expression);
    Some(Alert { fingerprint, status, labels, annotations, starts_at, ends_at, expression })
}

/// Go writes "no time" as 0001-01-01T00:00:00Z.
fn is_no_time(time: &DateTime<Utc>) -> bool {
    *time <= DateTime::UNIX_EPOCH
}

/// The PromQL expression in the address of a rule's graph: `…/graph?g0.expr=EXPRESSION&g0.tab=1`.
fn expression(generator_url: &str) -> Option<String> {
    let (_, rest) = generator_url.split_once('?')?;
    let query = rest.split_once('#').map_or(rest, |(query, _)| query);
    let (_, expression) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "g0.expr")?;
    (!expression.is_empty()).then(|| expression.into_owned())
}

fn at_most(limit: usize, unit: &str) -> String {
    format!("must have at most {limit} {unit}")
}

/// Rules broken so far, at most [`VIOLATIONS_MAX`].
#[derive(Default)]
struct Broken(Vec<Violation>);

impl Broken {
    fn add(&mut self, field: impl Into<String>, rule: impl Into<Cow<'static, str>>, name: &'static str) {
        if self.0.len() < VIOLATIONS_MAX {
            self.0.push(Violation { field: field.into(), rule: rule.into(), name });
        }
    }

    fn text(&mut self, field: &str, value: Option<String>, bytes_max: usize) -> Option<String> {
        let value = value.filter(|text| (1..=bytes_max).contains(&text.len()));
        if value.is_none() {
            self.add(field, format!("must have 1 to {bytes_max} bytes"), "text-bytes");
        }
        value
    }

    /// Here and below, what the field is called is asked only if it breaks a rule: this is done for every alert.
    fn fingerprint(&mut self, field: impl Fn() -> String, fingerprint: &str) {
        let is_hex = fingerprint.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hex || fingerprint.is_empty() || fingerprint.len() > FINGERPRINT_DIGITS_MAX {
            self.add(field(), format!("must be 1 to {FINGERPRINT_DIGITS_MAX} hexadecimal digits"), "fingerprint");
        }
    }

    fn labels(&mut self, field: impl Fn() -> String, labels: &Labels, bytes_max: usize) {
        if labels.len() > LABELS_MAX {
            self.add(field(), format!("must hold at most {LABELS_MAX}; this one holds {}", labels.len()), "labels-max");
            return;
        }
        for (name, value) in labels {
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                self.add(field(), format!("names must have 1 to {NAME_BYTES_MAX} bytes"), "label-name");
            }
            if value.len() > bytes_max {
                let name: String = name.chars().take(NAME_BYTES_MAX).collect();
                self.add(format!("{}/{}", field(), escaped(&name)), at_most(bytes_max, "bytes"), "label-value");
            }
        }
    }
}

impl From<Broken> for Problem {
    fn from(broken: Broken) -> Self {
        Self::invalid(broken.0)
    }
}

#[cfg(test)]
mod tests;
