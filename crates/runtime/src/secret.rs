//! Secrets in configuration: given as text, or as `{ file = "/path" }` so that Kubernetes can mount them. Never shown.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

/// A password, token or key. `Debug` and `Serialize` show `***`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The secret itself: for the call that needs it, never for a log, an error or a result.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// For libraries that take the same type.
    pub fn to_secret_string(&self) -> SecretString {
        self.0.clone()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a secret is a text, or { file = \"/path/to/it\" }")]
        enum Form {
            Text(String),
            File { file: PathBuf },
        }
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Self::new(text)),
            Form::File { file } => {
                let text = std::fs::read_to_string(&file).map_err(|error| {
                    serde::de::Error::custom(format!("cannot read the secret file {}: {error}", file.display()))
                })?;
                Ok(Self::new(text.trim_end()))
            }
        }
    }
}
