//! `paramedic runbook check`.

use std::path::{Path, PathBuf};

use incident::runbook::Runbook;
use serde::Serialize;

use crate::args::Output;
use crate::output::show;
use crate::runbooks;

/// What became of one runbook, or of a file or folder that holds none that can be used.
#[derive(Debug, Serialize)]
struct Checked {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) fn check(paths: &[PathBuf], output: Output) -> anyhow::Result<()> {
    let checked: Vec<Checked> = paths.iter().flat_map(|path| of(path)).collect();
    show(output, &checked, |checked| checked.iter().map(line_of).collect::<Vec<_>>().join("\n"))?;
    let bad = checked.iter().filter(|one| one.error.is_some()).count();
    anyhow::ensure!(bad == 0, "{bad} of {} cannot be used", paths.len());
    Ok(())
}

fn of(path: &Path) -> Vec<Checked> {
    let read = if path.is_dir() { runbooks::read(path) } else { runbooks::read_one(path).map(|one| vec![one]) };
    let path = path.display().to_string();
    let good = |book: Runbook| Checked { path: path.clone(), name: Some(book.name), title: Some(book.title), error: None };
    match read {
        Ok(found) => found.into_iter().map(good).collect(),
        Err(error) => vec![Checked { path: path.clone(), name: None, title: None, error: Some(format!("{error:#}")) }],
    }
}

fn line_of(checked: &Checked) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match &checked.error {
        Some(error) => format!("{}: {error}", checked.path),
        None => format!("{}: {} — {}", checked.path, text(&checked.name), text(&checked.title)),
    }
}
