//! `paramedic.toml`, without what the environment lays over it.
//!
//! What can be used is shown as it is in force, as TOML; what cannot is refused with a reason.

use std::str;

use cli::texts;
use toml::Table;

/// Named by a `{ file = … }`, a secret is read from this machine's disk: that is not for made-up names.
const FILE: &str = "file";

/// Reads a text.
///
/// # Panics
/// If a property is broken.
pub fn run(input: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(input) else { return false };
    if text.contains(FILE) {
        return false;
    }
    match texts::config(text) {
        Ok(shown) => {
            let table: Result<Table, _> = shown.parse();
            assert!(table.is_ok(), "what is shown is no TOML: {shown}");
            true
        }
        Err(error) => {
            assert!(!format!("{error:#}").is_empty());
            false
        }
    }
}
