//! Files of watch rules.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cluster::prometheus::Prometheus;
use incident::watch::rule::{Rule, WatchFile, check_all};

/// All rules of a folder's `*.yaml` files, by the names of the files.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for path in files(folder)? {
        rules.extend(read_one(&path)?);
    }
    // Once more, all together: names are unique among all files.
    fit(&folder.display().to_string(), &rules)?;
    Ok(rules)
}

/// The `*.yaml` files of a folder, sorted.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading the watch rules in {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
    paths.sort();
    if paths.is_empty() {
        bail!("{} holds no watch rules (*.yaml)", folder.display());
    }
    Ok(paths)
}

/// One file's rules; everything that is wrong with them is told at once.
pub(crate) fn read_one(path: &Path) -> anyhow::Result<Vec<Rule>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {name}"))?;
    parse(&name, &text)
}

/// One file's rules; `name` says of which file, should they be none.
///
/// # Errors
/// Everything that is wrong with them.
pub fn parse(name: &str, text: &str) -> anyhow::Result<Vec<Rule>> {
    let file: WatchFile = serde_yaml_ng::from_str(text).with_context(|| format!("{name} is no file of watch rules"))?;
    fit(name, &file.rules)?;
    Ok(file.rules)
}

fn fit(name: &str, rules: &[Rule]) -> anyhow::Result<()> {
    let mut wrong: Vec<String> = check_all(rules).err().unwrap_or_default().iter().map(ToString::to_string).collect();
    for Rule { name, expr, .. } in rules.iter().filter(|rule| !rule.expr.trim().is_empty()) {
        wrong.extend(Prometheus::check_measure(expr).err().map(|why| format!("rule {name}: expr cannot be watched: {why}")));
    }
    if wrong.is_empty() { Ok(()) } else { bail!("{name}: {}", wrong.join("; ")) }
}
