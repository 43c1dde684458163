//! Runbook files: those that come with Paramedic, and a team's own.

use std::path::Path;

use anyhow::{Context as _, bail};
use incident::runbook::{Runbook, check_all};

/// The files of `runbooks/`, carried in the binary.
const BUILT_IN: &[(&str, &str)] = &[("rollback-bad-deploy.yaml", include_str!("../../runbooks/rollback-bad-deploy.yaml"))];

/// The runbooks that come with Paramedic.
pub(crate) fn built_in() -> anyhow::Result<Vec<Runbook>> {
    BUILT_IN.iter().map(|(name, text)| parse(name, text)).collect()
}

/// All `*.yaml` files of a folder, by name.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<Runbook>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading the runbooks in {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
    paths.sort();
    if paths.is_empty() {
        bail!("{} holds no runbooks (*.yaml)", folder.display());
    }
    let runbooks = paths.iter().map(|path| read_one(path)).collect::<anyhow::Result<Vec<_>>>()?;
    check_all(&runbooks)?;
    Ok(runbooks)
}

/// One file.
pub(crate) fn read_one(path: &Path) -> anyhow::Result<Runbook> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&path.display().to_string(), &text)
}

/// One runbook; `name` says of which file, should it be none.
///
/// # Errors
/// What is wrong with it.
pub fn parse(name: &str, text: &str) -> anyhow::Result<Runbook> {
    let runbook: Runbook = serde_yaml_ng::from_str(text).with_context(|| format!("{name} is not a runbook"))?;
    runbook.check().with_context(|| name.to_owned())?;
    Ok(runbook)
}
