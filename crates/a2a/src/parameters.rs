//! Service parameters, which travel beside a request: the version of A2A and the extensions that the client speaks (spec §3.2.6 and
//! §3.6). How they travel is the binding's matter: headers, metadata, or the query of a URL.

use std::collections::BTreeSet;

use crate::error::{A2aError, ErrorKind};
use crate::limits::{EXTENSIONS_MAX, URL_CHARS_MAX};
use crate::types::AgentCard;

/// Which version of A2A the client speaks.
pub const VERSION_PARAMETER: &str = "A2A-Version";
/// URIs of the extensions that the client speaks; in an answer, of those that were used.
pub const EXTENSIONS_PARAMETER: &str = "A2A-Extensions";
/// The version that we speak. Patches do not show on the wire.
pub const VERSION: &str = "1.0";
/// What a client speaks that does not say (§3.6.2).
pub const VERSION_UNSAID: &str = "0.3";

/// What a client said beside its request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceParameters {
    /// URIs of the extensions that it speaks.
    pub extensions: BTreeSet<String>,
}

impl ServiceParameters {
    /// Picks them out of all headers or parameters. Names are compared without case; a list may come in pieces.
    ///
    /// # Errors
    /// If the client speaks another version, or speaks of versions or extensions in a way that cannot be understood.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, A2aError> {
        let (mut version, mut extensions) = (None, BTreeSet::new());
        for (name, value) in pairs {
            if name.eq_ignore_ascii_case(VERSION_PARAMETER) {
                let value = value.trim();
                if version.is_some_and(|other| other != value) {
                    return Err(A2aError::invalid_field(VERSION_PARAMETER, "must be given once"));
                }
                version = Some(value);
            } else if name.eq_ignore_ascii_case(EXTENSIONS_PARAMETER) {
                extensions.extend(read_extensions(value)?);
            }
        }
        check_version(version)?;
        if extensions.len() > EXTENSIONS_MAX {
            return Err(A2aError::invalid_field(EXTENSIONS_PARAMETER, &format!("must hold at most {EXTENSIONS_MAX}")));
        }
        Ok(Self { extensions })
    }
}

/// Refuses any version but ours. Only major and minor number count.
///
/// # Errors
/// VersionNotSupported.
pub fn check_version(version: Option<&str>) -> Result<(), A2aError> {
    let version = version.map(str::trim).filter(|version| !version.is_empty()).unwrap_or(VERSION_UNSAID);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    let is_patch = |rest: &str| rest.is_empty() || rest.strip_prefix('.').is_some_and(is_number);
    if version.strip_prefix(VERSION).is_some_and(is_patch) {
        return Ok(());
    }
    let error = A2aError::new(ErrorKind::VersionNotSupported, format!("only version {VERSION} of A2A is spoken here"));
    Err(error.with("supported", VERSION))
}

/// Reads a list of URIs with commas between them.
///
/// # Errors
/// Invalid params, if one of them is too long.
pub fn read_extensions(value: &str) -> Result<Vec<String>, A2aError> {
    let uris = value.split(',').map(str::trim).filter(|uri| !uri.is_empty()).map(str::to_owned);
    let uris: Vec<_> = uris.collect();
    if uris.iter().any(|uri| uri.len() > URL_CHARS_MAX) {
        return Err(A2aError::invalid_field(EXTENSIONS_PARAMETER, &format!("must hold URIs of at most {URL_CHARS_MAX} bytes")));
    }
    Ok(uris)
}

/// Writes a list of URIs with commas between them.
pub fn write_extensions<'a>(uris: impl IntoIterator<Item = &'a String>) -> String {
    uris.into_iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

/// Refuses a client that does not declare what the card requires (§4.6).
///
/// # Errors
/// ExtensionSupportRequired, naming the first extension that is missing.
pub fn check_extensions(card: &AgentCard, declared: &BTreeSet<String>) -> Result<(), A2aError> {
    let mut required = card.capabilities.extensions.iter().filter(|extension| extension.required);
    let Some(missing) = required.find(|extension| !declared.contains(&extension.uri)) else { return Ok(()) };
    let error = A2aError::new(ErrorKind::ExtensionSupportRequired, format!("extension {} must be declared", missing.uri));
    Err(error.with("extension", &missing.uri))
}

/// The extensions that both sides speak; all others are ignored.
pub fn active_extensions(card: &AgentCard, declared: &BTreeSet<String>) -> BTreeSet<String> {
    let spoken = card.capabilities.extensions.iter().map(|extension| &extension.uri);
    spoken.filter(|uri| declared.contains(*uri)).cloned().collect()
}

#[cfg(test)]
mod tests;
