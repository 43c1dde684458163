//! JSON bodies into typed values, and where they are wrong.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::{Path, Segment};

use crate::problem::{Kind, Problem, Violation};

/// What the JSON library says of a wrong value may repeat that value.
const REASON_CHARS_MAX: usize = 300;

/// Reads a body.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| unreadable::<T>(body, &error))
}

/// A body that is not JSON, or whose values have other types. Only now it is read a second time, to find out where: keeping track of
/// the place costs, and good bodies need not pay for it.
fn unreadable<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Problem {
    // The library's own kind of error will not do: a number in the place of an enum counts as bad syntax there.
    if serde_json::from_slice::<IgnoredAny>(body).is_err() {
        return Problem::new(Kind::Malformed, format!("the body is not JSON: {}", short(error)));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let field = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => String::new(),
        Err(located) => pointer(located.path()),
    };
    Problem::invalid(vec![Violation { field, rule: short(error).into(), name: "type" }])
}

fn short(error: &serde_json::Error) -> String {
    error.to_string().chars().take(REASON_CHARS_MAX).collect()
}

/// As a JSON Pointer (RFC 6901); the empty one is the whole body.
fn pointer(path: &Path) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } | Segment::Enum { variant: key } => format!("/{}", escaped(key)),
        Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}

/// A key as one step of a pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
