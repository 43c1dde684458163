//! Names of things. Each id is its own type, so that a task's id cannot be passed for an incident's.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A name that breaks the rules of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?} must be 1 to {length_max} characters out of a-z, A-Z, 0-9, '_' and '-'")]
pub struct BadId {
    kind: &'static str,
    value: String,
    length_max: usize,
}

/// Ids travel as NATS subject tokens and Kubernetes annotation values; the shorter of the two limits is 63.
const LENGTH_MAX: usize = 63;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(#[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9_-]+$"))] String);

        impl $name {
            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(value: String) -> Result<Self, BadId> {
                let fits = (1..=LENGTH_MAX).contains(&value.len());
                let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                if fits && plain {
                    Ok(Self(value))
                } else {
                    let value = value.chars().take(LENGTH_MAX + 1).collect();
                    Err(BadId { kind: $kind, value, length_max: LENGTH_MAX })
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(value: &str) -> Result<Self, BadId> {
                Self::try_from(value.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A customer, team or environment whose data never meets another's. One token of every subject, a column of every row.
    TenantId, "tenant"
);
id!(
    /// One incident, from its first alert to its closing.
    IncidentId, "incident id"
);
id!(
    /// One A2A task, named by the agent that took it.
    TaskId, "task id"
);
id!(
    /// One request for approval, bound to one plan.
    ApprovalId, "approval id"
);
id!(
    /// A person as the people file names them: the verified identity behind a Slack user or a token.
    PersonId, "person"
);
id!(
    /// A silence of alerts.
    SilenceId, "silence id"
);
id!(
    /// What a person wants of an incident.
    OrderId, "order id"
);
id!(
    /// A heartbeat as the configuration names it: what sends it, such as `alertmanager`.
    HeartbeatName, "heartbeat name"
);

/// The parts of a derived id, hashed: equal parts always give an equal id, on every replica and after every crash.
pub fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}

macro_rules! derived {
    ($name:ident, $prefix:literal) => {
        impl $name {
            /// Derives the id from what makes the thing unique, so that doing it twice names the same thing.
            pub fn derive(parts: &[&str]) -> Self {
                let digest = fingerprint(parts);
                let short: String = digest.chars().take(16).collect();
                Self(format!(concat!($prefix, "_{}"), short))
            }
        }
    };
}
derived!(IncidentId, "inc");
derived!(TaskId, "task");
derived!(ApprovalId, "apr");
derived!(SilenceId, "sil");
derived!(OrderId, "ord");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_says_its_kind_and_rule() {
        for bad in ["", "a.b", "a b", "ü", "*", ">", &"x".repeat(64)] {
            let error = TenantId::try_from(bad.to_owned()).unwrap_err().to_string();
            assert!(error.starts_with("tenant "), "{error}");
        }
        assert!("team-a_1".parse::<TenantId>().is_ok());
    }

    #[test]
    fn derived_ids_keep_their_parts_apart() {
        assert_eq!(TaskId::derive(&["a", "b"]), TaskId::derive(&["a", "b"]));
        assert_ne!(TaskId::derive(&["ab", ""]), TaskId::derive(&["a", "b"]));
    }
}
