//! Every input that is kept is tried again, as the fuzzers would: what they once found stays found.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use fuzz::TARGETS;

/// A file whose name begins so is taken. If it is not, a format has changed, and the corpus no longer shows the fuzzers what to begin with.
const TAKEN: &str = "good-";
/// Kinds of input are tried with a handful, not with all that was ever found: `make fuzz` finds the rest again.
const FILES_MAX: usize = 100;
/// All files together. They travel with every clone.
const BYTES_MAX: u64 = 300 * 1024;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Tries a kind's files, and says of each by its name on stderr, which is shown if one panics.
fn check(kind: &str) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == kind).unwrap();
    let paths = files(&corpus().join(kind));
    assert!((1..=FILES_MAX).contains(&paths.len()), "{kind}: {} files", paths.len());
    let mut refused = vec![];
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        eprintln!("corpus/{kind}/{name}");
        let is_taken = run(&std::fs::read(&path).unwrap());
        if name.starts_with(TAKEN) && !is_taken {
            refused.push(name);
        }
    }
    assert!(refused.is_empty(), "{kind}: these were taken once: {refused:?}");
}

#[test]
fn webhooks() {
    check("webhook");
}

#[test]
fn clicks_in_slack() {
    check("slack");
}

#[test]
fn messages_of_agents() {
    check("a2a");
}

#[test]
fn texts_of_people() {
    check("runbook");
}

#[test]
fn configurations() {
    check("config");
}

#[test]
fn the_corpus_is_small_and_each_folder_has_its_fuzzer() {
    let folders = files(&corpus());
    let names: Vec<_> = folders.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!(names, TARGETS.map(|(name, _)| name));
    let all = folders.iter().flat_map(|folder| files(folder));
    let bytes: u64 = all.map(|path| path.metadata().unwrap().len()).sum();
    assert!(bytes <= BYTES_MAX, "{bytes} bytes; `-merge=1` keeps what is needed");
}
