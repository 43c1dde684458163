//! YAML that people write: runbooks, watch rules, topologies. One text is tried as each of them.
//!
//! What can be used means the same when it is written again, in YAML and in JSON, and can be worked with.

use std::fmt::Debug;
use std::str;

use cli::texts;
use incident::alert::Labels;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::twice;

/// Reads a text.
pub fn run(input: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(input) else { return false };
    runbook(text) | watch_rules(text) | topology(text)
}

fn runbook(text: &str) -> bool {
    let Ok(runbook) = texts::runbook("input", text) else { return false };
    in_yaml(&runbook);
    let labels = labels();
    for matcher in &runbook.when.alerts {
        let again = matcher.to_string().parse();
        assert_eq!(again.as_ref(), Ok(matcher), "written again it is another matcher");
        let _any = matcher.is_satisfied(&labels);
    }
    true
}

fn watch_rules(text: &str) -> bool {
    let Ok(rules) = texts::watch_rules("input", text) else { return false };
    in_yaml(&rules);
    true
}

fn topology(text: &str) -> bool {
    let Ok(topology) = texts::topology("input", text) else { return false };
    in_yaml(&topology);
    for service in topology.services.keys() {
        let labels = [("service".to_owned(), service.clone())].into();
        assert!(topology.service(&labels).is_some(), "{service} is listed and not found");
    }
    true
}

fn in_yaml<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    twice::equal(value);
    let text = serde_yaml_ng::to_string(value).unwrap_or_else(|error| panic!("what was read cannot be written: {error}"));
    let again = serde_yaml_ng::from_str::<T>(&text);
    let again = again.unwrap_or_else(|error| panic!("what was written cannot be read: {error}\n{text}"));
    assert!(again == *value, "read again it is another value:\n{value:?}\n{again:?}");
}

fn labels() -> Labels {
    [("severity", "critical"), ("service", "checkout")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
