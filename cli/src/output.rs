//! What commands print: tables and sentences for people, JSON for programs.

use std::io::Write as _;

use serde::Serialize;

use crate::args::Output;

/// Prints a line; a closed pipe ends the reading, not the world.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints `value` as JSON, or what `text` makes of it.
pub(crate) fn show<T: Serialize>(output: Output, value: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
    match output {
        Output::Json => line(&serde_json::to_string_pretty(value)?),
        Output::Text => line(&text(value)),
    }
    Ok(())
}

/// Columns as wide as their widest cell.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |n: usize| rows.iter().filter_map(move |row| row.get(n)).map(|cell| cell.chars().count());
    let widths: Vec<usize> = head.iter().enumerate().map(|(n, name)| cells(n).max().unwrap_or(0).max(name.len())).collect();
    let write = |row: Vec<&str>| {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![write(head.to_vec())];
    lines.extend(rows.iter().map(|row| write(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}
