//! Nonsense is refused in an orderly way, whoever reads it: never a panic, always a parse error or a named field.

use std::collections::BTreeMap;

use a2a::parameters::ServiceParameters;
use a2a::rpc::{Request, Response};
use a2a::{A2aError, AgentCard, ErrorKind};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::Index;
use proptest::strategy::BoxedStrategy;
use serde_json::Value;

use crate::generate::{broken, json_values, values};
use crate::kinds::KINDS;

fn is_orderly(result: Result<(), A2aError>) {
    let Err(error) = result else { return };
    match &error.kind {
        ErrorKind::ParseError => {}
        ErrorKind::InvalidParams { violations } => assert!(!violations.is_empty(), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(A2aError::from_json_rpc_error(&error.to_json_rpc_error()), error);
}

fn read_by_all(bytes: &[u8]) {
    for kind in KINDS {
        is_orderly((kind.read_valid)(bytes));
    }
    let _request = Request::read(bytes);
    let _response = Response::read(bytes);
    let value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let _error = (A2aError::from_json_rpc_error(&value), A2aError::from_http_body(500, &value));
    let text = String::from_utf8_lossy(bytes);
    let _parameters = ServiceParameters::read([("A2A-Version", &*text), ("A2A-Extensions", &*text)]);
    if let Ok(card) = a2a::read::<AgentCard>(bytes) {
        let _kid = a2a::card::verify(&card, &BTreeMap::new());
    }
}

/// A message as it should be.
fn messages() -> BoxedStrategy<Value> {
    let all = KINDS.iter().map(|kind| values(&(kind.schema)().to_value()));
    proptest::strategy::Union::new(all).boxed()
}

/// What breaks parsers.
fn spanners() -> BoxedStrategy<Vec<u8>> {
    const WORDS: &[&str] =
        &["\"", "{", "}", "[[[[", "null", "-1", "1e999", ":", "\\u0000", "\\ud800", "\u{feff}", "1.5", "true", ",,"];
    prop_oneof![proptest::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()), vec(any::<u8>(), 0..8)].boxed()
}

proptest! {
    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..256)) {
        read_by_all(&bytes);
    }

    #[test]
    fn random_json(value in json_values()) {
        read_by_all(&serde_json::to_vec(&value).unwrap());
    }

    #[test]
    fn messages_with_broken_bytes(message in messages(), cuts in vec((any::<Index>(), 0..8_usize, spanners()), 1..4)) {
        let mut bytes = serde_json::to_vec(&message).unwrap();
        for (place, length, spanner) in cuts {
            let start = place.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, spanner);
        }
        read_by_all(&bytes);
    }

    #[test]
    fn messages_with_strange_values(message in broken(messages())) {
        read_by_all(&serde_json::to_vec(&message).unwrap());
    }
}

#[test]
fn deep_json_is_a_parse_error() {
    for depth in [127, 128, 100_000] {
        let deep = format!("{{\"metadata\":{}1{}}}", "{\"a\":".repeat(depth), "}".repeat(depth));
        read_by_all(deep.as_bytes());
        read_by_all("[".repeat(depth).as_bytes());
    }
}
