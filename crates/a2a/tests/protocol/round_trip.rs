//! Whatever our types can hold is read again as it was written, and protobuf reads the same.

use proptest::prelude::Strategy as _;
use proptest::test_runner::{Config, TestRunner};

use crate::generate::{broken, values};
use crate::kinds::KINDS;
use crate::proto::{messages, pool, says};

/// For each of the messages.
const CASES: u32 = 64;

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() })
}

#[test]
fn everything_reads_as_it_was_written() {
    for kind in KINDS {
        let values = values(&(kind.schema)().to_value());
        let outcome = runner().run(&values, |value| {
            let written = (kind.again)(value).unwrap();
            assert_eq!((kind.again)(written.clone()), Ok(written));
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
    }
}

#[test]
fn what_we_write_says_to_protobuf_what_we_read() {
    let pool = pool();
    for message in messages(&pool) {
        let kind = crate::kinds::kind(message.name());
        let values = values(&(kind.schema)().to_value());
        let outcome = runner().run(&values, |value| {
            let written = (kind.again)(value.clone()).unwrap();
            assert_eq!(says(&message, &written), says(&message, &value));
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
    }
}

/// We are not more lenient than protobuf, and do not misunderstand: what we take of strange JSON, it takes too, and means the same.
#[test]
fn what_we_take_means_the_same_to_protobuf() {
    let pool = pool();
    for message in messages(&pool) {
        let kind = crate::kinds::kind(message.name());
        let values = broken(values(&(kind.schema)().to_value()))
            .prop_filter_map("refused", |value| (kind.again)(value.clone()).ok().map(|written| (value, written)));
        let outcome = runner().run(&values, |(value, written)| {
            assert_eq!(says(&message, &written), says(&message, &value));
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
    }
}
