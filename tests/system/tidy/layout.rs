//! Crates, files and what is generated.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use toml::Table;

use super::{files, none, paramedic, read};

/// How high each crate stands. A crate may depend on what stands lower, never on its equals: so services know nothing of each other.
const HEIGHTS: [(&str, u8); 25] = [
    ("incident", 0),
    ("a2a", 1),
    ("bus", 1),
    ("cluster", 1),
    ("local", 1),
    ("mcp", 1),
    ("simulation", 1),
    ("store", 1),
    ("a2a-http", 2),
    ("a2a-nats", 2),
    ("runtime", 2),
    ("tasks", 2),
    ("conformance", 3),
    ("communication", 3),
    ("connectors", 3),
    ("diagnostics", 3),
    ("gateway", 3),
    ("ledger", 3),
    ("monitoring", 3),
    ("remediation", 3),
    ("cli", 4),
    ("testkit", 5),
    ("bench", 6),
    ("fuzz", 6),
    ("tests", 6),
];

/// All that the pure core may use: data, text, hashes and signatures. None of them waits, asks the time or talks to anybody.
const PURE: [&str; 12] = [
    "base64",
    "chrono",
    "ed25519-dalek",
    "hex",
    "regex",
    "schemars",
    "serde",
    "serde_json",
    "serde_json_canonicalizer",
    "serde_yaml_ng",
    "sha2",
    "thiserror",
];

/// What would make the core impure, though its dependencies allow it.
const IMPURE: [&str; 13] = [
    "async fn",
    ".await",
    "Utc::now",
    "Local::now",
    "SystemTime",
    "Instant",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "OsRng",
];

const FILE_LINES_MAX: usize = 500;
/// Words about the people or programs that wrote something, and paths of their machines, built so that this file does not hold them.
const UNFIT: [&str; 10] = [
    concat!("/wor", "k/"),
    concat!("clau", "de"),
    concat!("anthro", "pic"),
    concat!("chat", "gpt"),
    concat!("copi", "lot"),
    concat!("co-author", "ed-by"),
    concat!("to", "do!("),
    concat!("// to", "do"),
    concat!("fix", "me"),
    concat!("as an ", "ai"),
];
/// Files that are read by people or compilers; pictures and the like are not searched.
const TEXT: [&str; 9] = [".rs", ".md", ".toml", ".yaml", ".yml", ".sh", ".sql", ".json", "file"];

fn manifests() -> BTreeMap<String, Table> {
    let paths = files("", "Cargo.toml").into_iter().filter(|path| path != "Cargo.toml");
    paths.map(|path| (path.clone(), read(&path).parse().unwrap_or_else(|error| panic!("{path}: {error}")))).collect()
}

fn name(manifest: &Table) -> &str {
    manifest["package"]["name"].as_str().unwrap()
}

fn dependencies<'a>(manifest: &'a Table, kind: &str) -> Vec<&'a str> {
    manifest
        .get(kind)
        .and_then(|value| value.as_table())
        .map(|table| table.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

#[test]
fn dependencies_point_one_way() {
    let heights = BTreeMap::from(HEIGHTS);
    let mut broken = vec![];
    for (path, manifest) in manifests() {
        let crate_name = name(&manifest);
        let Some(height) = heights.get(crate_name) else {
            broken.push(format!("{path}: give {crate_name} its height in this file"));
            continue;
        };
        for other in dependencies(&manifest, "dependencies") {
            if heights.get(other).is_some_and(|lower| lower >= height) {
                broken.push(format!("{path}: {crate_name} must not depend on {other}"));
            }
        }
        // Private servers are for one machine and for tests; a deployment has no business with them.
        let is_local = ["cli", "testkit", "bench", "tests"].contains(&crate_name);
        if dependencies(&manifest, "dependencies").contains(&"local") && !is_local {
            broken.push(format!("{path}: only the command and tests may start servers"));
        }
    }
    none("a crate depends on what does not stand lower", &broken);
}

#[test]
fn the_core_is_pure() {
    let manifest: Table = read("crates/incident/Cargo.toml").parse().unwrap();
    let foreign = dependencies(&manifest, "dependencies").into_iter().filter(|name| !PURE.contains(name));
    let mut broken: Vec<String> = foreign.map(|name| format!("crates/incident/Cargo.toml: {name}")).collect();
    for path in files("crates/incident/src", ".rs") {
        let text = read(&path);
        let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (n, line) in code {
            let found = IMPURE.iter().filter(|word| line.contains(**word));
            broken.extend(found.map(|word| format!("{path}:{}: {word}", n + 1)));
        }
    }
    none("the core waits, asks the time, or touches the outside", &broken);
}

#[test]
fn every_crate_keeps_the_house_rules() {
    let mut broken = vec![];
    for (path, manifest) in manifests() {
        let folder = path.trim_end_matches("/Cargo.toml").rsplit('/').next().unwrap();
        if name(&manifest) != folder {
            broken.push(format!("{path}: the crate must be called like its folder, {folder}"));
        }
        if manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) != Some(true) {
            broken.push(format!("{path}: [lints] workspace = true is missing"));
        }
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for dependency in dependencies(&manifest, kind) {
                if manifest[kind][dependency].get("workspace").is_none() {
                    broken.push(format!("{path}: {dependency} must be listed once, in the workspace"));
                }
            }
        }
    }
    none("a manifest breaks a rule", &broken);
}

#[test]
fn files_can_be_read_in_one_go() {
    let mut broken = vec![];
    // Tests may be as long as what they test needs.
    for path in files("", ".rs").iter().filter(|path| path.contains("/src/") && !path.ends_with("tests.rs")) {
        let text = read(path);
        let tests = text.lines().position(|line| line.trim() == "#[cfg(test)]");
        let lines = tests.unwrap_or_else(|| text.lines().count());
        if lines > FILE_LINES_MAX {
            broken.push(format!("{path}: {lines} lines without its tests"));
        }
        if !text.starts_with("//!") {
            broken.push(format!("{path}: say first (//!) what it owns and must never do"));
        }
    }
    none("files end before line 500 and say what they are", &broken);
}

#[test]
fn no_file_speaks_of_who_wrote_it() {
    let mut broken = vec![];
    for path in files("", "").iter().filter(|path| TEXT.iter().any(|ending| path.to_lowercase().ends_with(ending))) {
        for (n, line) in read(path).to_lowercase().lines().enumerate() {
            let found = UNFIT.iter().filter(|word| line.contains(**word));
            broken.extend(found.map(|word| format!("{path}:{}: {word}", n + 1)));
        }
    }
    none("a word that does not belong into the project", &broken);
}

#[test]
fn one_cryptography_library_is_linked() {
    let lock: Table = read("Cargo.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap().iter().filter_map(|package| package["name"].as_str());
    let banned = ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"];
    let found: Vec<String> = packages.filter(|name| banned.contains(name)).map(str::to_owned).collect();
    none("Cargo.lock: TLS is rustls with ring", &found);
}

#[test]
fn every_runbook_can_be_used() {
    let schema: Value = serde_json::from_str(&read("schemas/runbook.json")).unwrap();
    let rules = jsonschema::validator_for(&schema).unwrap();
    let all = files("runbooks", ".yaml");
    // Those beside them say what is watched, not what is done.
    let paths: Vec<&String> = all.iter().filter(|path| !path.starts_with("runbooks/watch/")).collect();
    assert!(!paths.is_empty());
    for path in paths {
        let runbook: Value = serde_yaml_ng::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        rules.validate(&runbook).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(format!("runbooks/{}.yaml", runbook["name"].as_str().unwrap()), *path, "a runbook's file is called like it");
    }
    let checked = paramedic(&["runbook", "check", "runbooks"], &[]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn every_watch_rule_can_be_used() {
    let schema: Value = serde_json::from_str(&read("schemas/watch.json")).unwrap();
    let rules = jsonschema::validator_for(&schema).unwrap();
    let paths = files("runbooks/watch", ".yaml");
    assert!(!paths.is_empty());
    for path in &paths {
        let file: Value = serde_yaml_ng::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        rules.validate(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let checked = paramedic(&["watch", "check", "runbooks/watch"], &[]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn a_watch_rule_that_cannot_be_used_is_refused_with_its_name_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    let good = read("runbooks/watch/http.yaml");
    for (from, to, said) in [
        ("direction: down", "direction: sideways", "direction"),
        ("min_duration_s: 600", "min_duration_s: 0", "rule HttpRequestsUnusual: min_duration_s must be 1 to 7200"),
        ("min_duration_s: 600", "min_durations: 600", "min_durations"),
        ("severity: critical", "severity: loud", "labels.severity must be critical, warning or info"),
        (
            "sum by (namespace, service) (rate(http_requests_total[5m]))\n",
            "sum by (namespace\n",
            "rule HttpRequestsUnusual: expr",
        ),
        ("sum by (namespace, service) (rate(http_requests_total[5m]))\n", "http_requests_total[5m]\n", "it is a range"),
        ("sum by (namespace, service) (rate(http_requests_total[5m]))\n", "up == 0\n", "it compares"),
        ("name: HttpErrorsUnusual", "name: HttpRequestsUnusual", "name must be that of no other rule"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from:?} is not in the example");
        std::fs::write(&path, bad).unwrap();
        let checked = paramedic(&["watch", "check", path.to_str().unwrap()], &[]);
        let told = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(!checked.status.success() && told.contains(said), "{to:?}: {said:?} is not in {told}");
    }
}

#[test]
fn a_runbook_that_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = read("runbooks/rollback-bad-deploy.yaml");
    for (case, bad) in [
        ("an unknown key", format!("{good}\nforce: true\n")),
        ("an unknown action", good.replace("roll_back_to_previous_revision", "delete_namespace")),
        ("a deadline before the settling time", good.replace("deadline_s: 600", "deadline_s: 5")),
        ("a matcher that is none", good.replace("severity=~\"critical|page|warning\"", "severity")),
    ] {
        assert_ne!(bad, good, "{case}");
        let path = folder.path().join("bad.yaml");
        std::fs::write(&path, bad).unwrap();
        assert!(!paramedic(&["runbook", "check", path.to_str().unwrap()], &[]).status.success(), "{case}");
    }
}

#[test]
fn the_schemas_are_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let written = paramedic(&["schemas", folder.path().to_str().unwrap()], &[]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let names = |paths: Vec<String>| -> BTreeSet<String> {
        paths.iter().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect()
    };
    let fresh =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names(files("schemas", ".json")), fresh, "schemas/ has other files than `paramedic schemas` writes");
    for name in fresh {
        let text = std::fs::read_to_string(folder.path().join(&name)).unwrap();
        assert!(text == read(&format!("schemas/{name}")), "schemas/{name} is stale: run `paramedic schemas`");
        let schema: Value = serde_json::from_str(&text).unwrap();
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("schemas/{name}: {error}"));
    }
}
