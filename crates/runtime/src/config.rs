//! Reads `paramedic.toml` and the environment into one typed value, before anything starts.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Environment variables with this prefix override the file: `PARAMEDIC_GATEWAY__LISTEN` is `listen` in `[gateway]`.
const PREFIX: &str = "PARAMEDIC_";

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not valid TOML")]
    Syntax {
        /// Which file.
        path: String,
        /// Where and why.
        #[source]
        source: Wrong,
    },
    /// A variable names a place that is no table.
    #[error("environment variable {variable}: {part:?} is not a section of the configuration")]
    Variable {
        /// Which variable.
        variable: String,
        /// Which part of its name.
        part: String,
    },
    /// A field is unknown, missing, or of the wrong type.
    #[error("the configuration in {path} (with its PARAMEDIC_* variables) is not valid")]
    Content {
        /// Which file.
        path: String,
        /// Which field and rule.
        #[source]
        source: Wrong,
    },
}

/// What is wrong with a text in TOML. The library's own error shows the line as well, and that line may hold a secret: whoever mistypes
/// `webhook_token` has its value in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// From 1; none: it cannot be told.
    line: Option<usize>,
    /// Which field and rule.
    rule: String,
}

impl Wrong {
    fn new(mut error: toml::de::Error, text: &str) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        // Without the text, it says the path of the field instead, on a line of its own.
        error.set_input(None);
        Self { line, rule: error.to_string().trim_end().replace('\n', " ") }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.rule),
            None => f.write_str(&self.rule),
        }
    }
}

impl std::error::Error for Wrong {}

/// Reads `path`, lays `variables` over it, and checks it against `T`.
///
/// # Errors
/// What is wrong, and where.
pub fn load<T: DeserializeOwned>(path: &Path, variables: impl Iterator<Item = (String, String)>) -> Result<T, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: name.clone(), source })?;
    parse(&name, &text, variables)
}

/// As [`load`], from text.
///
/// # Errors
/// What is wrong, and where.
pub fn parse<T: DeserializeOwned>(
    name: &str,
    text: &str,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<T, ConfigError> {
    let path = name.to_owned();
    let overrides: Vec<(String, String)> =
        variables.filter(|(name, _)| name.starts_with(PREFIX) && name.contains("__")).collect();
    if overrides.is_empty() {
        // Parsed in one go, errors can point at the line.
        return toml::from_str(text).map_err(|error| ConfigError::Content { path, source: Wrong::new(error, text) });
    }
    let parsed: Result<Table, toml::de::Error> = text.parse();
    let mut table = parsed.map_err(|error| ConfigError::Syntax { path: path.clone(), source: Wrong::new(error, text) })?;
    for (variable, value) in overrides {
        lay_over(&mut table, &variable, value)?;
    }
    T::deserialize(Value::Table(table)).map_err(|error| ConfigError::Content { path, source: Wrong::new(error, "") })
}

fn lay_over(table: &mut Table, variable: &str, value: String) -> Result<(), ConfigError> {
    let name = variable.strip_prefix(PREFIX).unwrap_or(variable).to_ascii_lowercase();
    let mut parts: Vec<&str> = name.split("__").collect();
    let Some(last) = parts.pop() else { return Ok(()) };
    let mut at = table;
    for part in parts {
        let entry = at.entry(part).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(next) = entry else {
            return Err(ConfigError::Variable { variable: variable.to_owned(), part: part.to_owned() });
        };
        at = next;
    }
    at.insert(last.to_owned(), typed(value));
    Ok(())
}

/// Numbers, switches and lists as TOML writes them; everything else is text.
fn typed(value: String) -> Value {
    let document = format!("v = {value}");
    let parsed = document.parse::<Table>().ok().and_then(|mut table| table.remove("v"));
    match parsed {
        Some(value @ (Value::Integer(_) | Value::Boolean(_) | Value::Array(_) | Value::Table(_))) => value,
        _ => Value::String(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Example {
        gateway: Gateway,
    }

    #[derive(Debug, serde::Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Gateway {
        listen: String,
        #[serde(default)]
        body_bytes_max: u32,
    }

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Example, ConfigError> {
        parse("test.toml", text, variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn variables_lie_over_the_file() {
        let variables =
            [("PARAMEDIC_GATEWAY__LISTEN", "[::]:1"), ("PARAMEDIC_GATEWAY__BODY_BYTES_MAX", "5"), ("PARAMEDIC_TOKEN", "x")];
        let read = read("[gateway]\nlisten = \"a\"", &variables).unwrap();
        assert_eq!(read.gateway, Gateway { listen: "[::]:1".to_owned(), body_bytes_max: 5 });
    }

    #[test]
    fn unknown_fields_are_refused_by_name() {
        let error = read("[gateway]\nlisten = \"a\"\nlissten = \"b\"", &[]).unwrap_err();
        let ConfigError::Content { source, .. } = error else { panic!("{error}") };
        assert!(source.to_string().contains("lissten"), "{source}");
    }

    #[test]
    fn an_error_says_the_line_and_does_not_show_it() {
        for (text, line) in [
            ("[gateway]\nlisten = \"a\"\nlissten = \"s3cret\"", 3),
            ("[gateway]\nlisten = \"s3cret", 2),
            ("[gateway]\nlisten = \"s3cret\" x", 2),
            ("listen = \"s3cret\"\n[gateway]", 2),
        ] {
            let error = read(text, &[]).unwrap_err();
            let ConfigError::Content { source, .. } = error else { panic!("{error}") };
            let said = source.to_string();
            assert!(said.starts_with(&format!("line {line}: ")) && !said.contains("s3cret"), "{text:?}: {said}");
        }
    }
}
