//! Rules of this repository that a program can check: how crates depend on each other, how large files are, what is generated, and
//! whether the documentation says what is true. A rule that is broken names the file and what to do.

mod docs;
mod layout;
mod make;
mod wire;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Folders with what nobody wrote.
const NOT_OURS: [&str; 5] = ["target", ".git", ".paramedic", ".paramedic-compose", "node_modules"];

/// The checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file of the checkout, by its path from the root.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All text files of the checkout below `folder` whose names end like this, as paths from the root, sorted.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = vec![];
    walk(&root().join(folder), &mut found);
    let from_root = |path: PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let mut found: Vec<String> = found.into_iter().map(from_root).filter(|path| path.ends_with(ending)).collect();
    found.sort();
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let is_ours = !path.file_name().is_some_and(|name| NOT_OURS.iter().any(|other| name == *other));
        if path.is_dir() && is_ours {
            walk(&path, found);
        } else if path.is_file() && is_ours {
            found.push(path);
        }
    }
}

/// Runs the command as a person would at the root, without the settings of whoever runs the tests.
pub(crate) fn paramedic(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = std::env::current_exe().unwrap();
    let program = folder.ancestors().nth(2).unwrap().join("paramedic");
    assert!(program.exists(), "{} is missing: cargo build -p cli --bin paramedic", program.display());
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(root()).output().unwrap()
}

/// Fails with all that was found, so that one run shows everything.
fn none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}\n  {}", broken.join("\n  "));
}
