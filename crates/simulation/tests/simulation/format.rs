//! The format of scenarios: what is explained is so, and a mistake is named.

use std::path::Path;

use simulation::scenario::{Scenario, ScenarioError};

use crate::folder;

fn examples() -> Vec<String> {
    let page = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    blocks.map(|(block, _)| block.to_owned()).collect()
}

/// Reads a scenario from a file as people would write it.
fn read(name: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let folder = std::env::temp_dir().join(format!("paramedic-scenario-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(Path::new(name).with_extension("yaml"));
    std::fs::write(&path, text).unwrap();
    let read = Scenario::read(&path);
    std::fs::remove_dir_all(&folder).unwrap();
    read
}

#[test]
fn the_readme_shows_a_scenario() {
    let examples = examples();
    assert!(!examples.is_empty());
    for example in examples {
        let scenario = read("night-release", &example).unwrap_or_else(|error| panic!("{error}: {example}"));
        assert!(scenario.happens.len() > 2 && scenario.always.incidents.is_some(), "{scenario:?}");
    }
}

#[test]
fn a_mistake_in_a_scenario_is_named() {
    let good =
        "name: a\nabout: b\nhappens:\n  - at_s: 1\n    fires: { workload: checkout, alert: X }\nalways: { incidents: 1 }\n";
    read("a", good).unwrap();
    let cases = [
        ("happens:", "hapens:", "unknown field `hapens`"),
        ("at_s: 1", "at_m: 1", "unknown field `at_m`"),
        ("    at_s: 1\n", "", "say when"),
        ("at_s: 1", "plus_s: 1", "say when"),
        ("at_s: 1", "at_s: 1\n    times: 3", "times and every_s"),
        ("fires: { workload: checkout, alert: X }", "times: 2\n    every_s: 2", "say one thing that happens"),
        ("alert: X }", "alert: X }\n    edit: { workload: checkout }", "say one thing that happens"),
        ("checkout", "initech/checkout", "tenants are: acme, globex"),
        ("alert: X", "alert: X, cuont: 2", "unknown field `cuont`"),
        (
            "fires: { workload: checkout, alert: X }",
            "outage: { of: nats, how: slow, for_s: 3 }",
            "nats cannot fail like this (slow)",
        ),
        ("incidents: 1", "incidents: {}", "say at_least, at_most, or both"),
        ("incidents: 1", "incidants: 1", "unknown field `incidants`"),
    ];
    for (from, to, expected) in cases {
        let bad = good.replace("- at_s", "-\n    at_s").replace(from, to);
        let error = read("a", &bad).unwrap_err();
        let text = format!("{error}: {}", std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default());
        assert!(text.contains(expected) && text.contains("a.yaml"), "{to}: {text}");
    }
    assert!(matches!(read("b", good), Err(ScenarioError::Name { .. })));
}
