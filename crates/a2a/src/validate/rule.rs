//! Rules for single values.

use chrono::{DateTime, Datelike as _, Utc};
use serde_json::Value;
use url::{Host, Url};

use super::Violations;
use crate::limits::{ID_CHARS_MAX, JSON_DEPTH_MAX, NAME_CHARS_MAX, URL_CHARS_MAX};

/// What is said of REQUIRED fields that hold nothing.
pub(super) const EMPTY: &str = "must not be empty";

pub(super) fn filled(text: &str, found: &mut Violations) {
    if text.is_empty() {
        found.report(EMPTY);
    }
}

pub(super) fn short(text: &str, chars_max: usize, found: &mut Violations) {
    // Counting characters is only worth it where the bytes do not answer.
    if text.len() > chars_max && text.chars().count() > chars_max {
        found.report(format!("must have at most {chars_max} characters"));
    }
}

/// Ids end up in logs and headers, where a control character would begin something new.
pub(super) fn id(id: &str, found: &mut Violations) {
    filled(id, found);
    if id.chars().any(char::is_control) {
        found.report("must be printable");
    }
    short(id, ID_CHARS_MAX, found);
}

pub(super) fn name(name: &str, found: &mut Violations) {
    filled(name, found);
    short(name, NAME_CHARS_MAX, found);
}

pub(super) fn url(url: &str, found: &mut Violations) {
    let _parsed = parse(url, found);
}

fn parse(url: &str, found: &mut Violations) -> Option<Url> {
    short(url, URL_CHARS_MAX, found);
    if url.is_empty() {
        found.report(EMPTY);
        return None;
    }
    Url::parse(url).map_err(|error| found.report(format!("must be an absolute URL: {error}"))).ok()
}

/// Where gRPC is served: host and port, as its libraries take it and the proto says it since it was corrected after 1.0.1, or a URL,
/// as the proto said before.
pub(super) fn grpc_address(address: &str, found: &mut Violations) {
    if address.is_empty() || address.contains("://") {
        return url(address, found);
    }
    short(address, URL_CHARS_MAX, found);
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if !address.rsplit_once(':').is_some_and(|(host, port)| Host::parse(host).is_ok() && is_port(port)) {
        found.report("must be host:port, or an absolute URL");
    }
}

/// An address that somebody will call: http or https, and no password in it, since addresses are logged.
pub(super) fn web_url(url: &str, found: &mut Violations) {
    let Some(url) = parse(url, found) else { return };
    if !["http", "https"].contains(&url.scheme()) {
        found.report("must be http or https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        found.report("must not hold credentials");
    }
}

/// What goes into an HTTP header as it is: anything else could end the header and begin another.
pub(super) fn header_value(text: &str, chars_max: usize, found: &mut Violations) {
    if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        found.report("must be printable ASCII");
    }
    short(text, chars_max, found);
}

pub(super) fn time(time: DateTime<Utc>, found: &mut Violations) {
    if !(1..=9999).contains(&time.year()) {
        found.report("must be in the years 1 to 9999");
    }
}

pub(super) fn bounded(size: Size, bytes_max: usize, found: &mut Violations) {
    if size.bytes > bytes_max {
        found.report(format!("must have at most {bytes_max} bytes"));
    }
    if size.depth > JSON_DEPTH_MAX {
        found.report(format!("must nest at most {JSON_DEPTH_MAX} deep"));
    }
}

/// How large JSON is, near enough: text and names as they are, anything else as eight bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    bytes: usize,
    depth: usize,
}

pub(super) fn size_of(value: &Value) -> Size {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Size { bytes: 8, depth: 0 },
        Value::String(text) => Size { bytes: text.len() + 2, depth: 0 },
        Value::Array(list) => list.iter().fold(Size::default(), |all, element| all.and(0, size_of(element))).wrapped(),
        Value::Object(object) => size_of_object(object),
    }
}

pub(super) fn size_of_object<'a>(object: impl IntoIterator<Item = (&'a String, &'a Value)>) -> Size {
    object.into_iter().fold(Size::default(), |all, (key, value)| all.and(key.len(), size_of(value))).wrapped()
}

impl Size {
    fn and(self, key: usize, other: Self) -> Self {
        Self { bytes: self.bytes + key + other.bytes, depth: self.depth.max(other.depth) }
    }

    const fn wrapped(self) -> Self {
        Self { bytes: self.bytes + 2, depth: self.depth + 1 }
    }
}
