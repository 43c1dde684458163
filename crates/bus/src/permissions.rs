//! Who may say and hear what, as nats-server configuration: one user per role, and an admin who sets up and cleans up.
//!
//! | user | may publish, besides `fact.>` and `dead.<itself>` | takes from |
//! |---|---|---|
//! | gateway | `alerts.>`, `approval.*.*.decided` (only it), `a2a.*.{diagnostics,communication,remediation}.request` | APPROVALS: requested, closed; A2A: its events |
//! | monitoring | `alerts.*.*` (what its own watch sees), `a2a.*.{diagnostics,communication,remediation}.request` | ALERTS; A2A: its events |
//! | diagnostics | `a2a.*.{monitoring,gateway}.event` | A2A: its requests |
//! | communication | `a2a.*.{monitoring,gateway}.event`, `a2a.*.monitoring.announced` | A2A: its requests; FACTS: incidents that open |
//! | remediation | `a2a.*.{monitoring,gateway}.event`, `approval.*.*.requested`, `approval.*.*.closed` | A2A: its requests; APPROVALS: decided |
//! | connectors | | |
//! | ledger | | FACTS |
//! | admin | everything | everything |
//!
//! Every role may subscribe to its own inbox and to nothing else (but the gateway to A2A calls, below): what it takes, it takes through its durable consumer, whose filter is
//! not its to change. On a consumer it may ask for messages, ask how it stands, and acknowledge; for another's it may do none of these.
//! The gateway answers calls to our agents from outside (`schemas/a2a-nats.md`): it hears `a2a.*.<agent>.rpc.>` and questions of
//! discovery, may answer whoever asked, says that the agents live, and writes their cards. Users who call are rendered beside the roles.
//!
//! Communication may look at ALERTS without taking anything, and keeps a notebook of what it announced from there (see `waiting`).
//! Monitoring may also purge ALERTS, to trim what it has handled, and write there what it notices itself: as its only reader it could drop
//! or make up alerts all the same.

use std::collections::BTreeMap;
use std::fmt;

use incident::task::Role;
use secrecy::{ExposeSecret as _, SecretString};

use crate::connection::User;
use crate::stream::Consumer;

/// The largest message the server takes: a notification of 4 MiB with its headers, within what NATS advises (8 MiB).
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// Passwords shorter than this are guessed.
const PASSWORD_LENGTH_MIN: usize = 16;
/// Longer than any generator makes them.
const PASSWORD_LENGTH_MAX: usize = 256;

/// A configuration that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermissionsError {
    /// Somebody has no password.
    #[error("NATS user {user} has no password: give one for every role and for admin")]
    PasswordMissing {
        /// Who.
        user: User,
    },
    /// A password that is weak or that the configuration's syntax could misread.
    #[error("the password of NATS user {user} must be 16 to 256 characters out of a-z, A-Z, 0-9, '_' and '-'")]
    PasswordUnfit {
        /// Who.
        user: String,
    },
}

/// What a role may publish.
pub fn publish_allowed(role: Role) -> Vec<String> {
    let mut allowed: Vec<String> = own_words(role).iter().map(|&subject| subject.to_owned()).collect();
    allowed.push("fact.>".to_owned());
    allowed.push(crate::subject::dead(role));
    for consumer in Consumer::of(role) {
        let (stream, durable) = (consumer.stream.name(), role.as_str());
        allowed.push(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"));
        allowed.push(format!("$JS.API.CONSUMER.INFO.{stream}.{durable}"));
        allowed.push(format!("$JS.ACK.{stream}.{durable}.>"));
        // The longer form of ADR-15, with domain and account before the stream.
        allowed.push(format!("$JS.ACK.*.*.{stream}.{durable}.>"));
        if consumer.stream.is_trimmed() {
            allowed.push(format!("$JS.API.STREAM.PURGE.{stream}"));
        }
    }
    allowed
}

/// What a role may subscribe to.
pub fn subscribe_allowed(role: Role) -> Vec<String> {
    let mut allowed = vec![format!("{}.>", User::Role(role).inbox_prefix())];
    if role == Role::Gateway {
        allowed.extend(CALLS.map(str::to_owned));
    }
    allowed
}

/// Calls to our agents, in the queue group of their replicas; what belongs to one call under way; questions of discovery (ADR-32).
const CALLS: [&str; 9] = [
    "a2a.*.diagnostics.rpc.* a2a",
    "a2a.*.diagnostics.rpc.*.*.*.*",
    "a2a.*.remediation.rpc.* a2a",
    "a2a.*.remediation.rpc.*.*.*.*",
    "a2a.*.communication.rpc.* a2a",
    "a2a.*.communication.rpc.*.*.*.*",
    "$SRV.*",
    "$SRV.*.*",
    "$SRV.*.*.*",
];
/// How long a call may be answered. What a client says after that, naming its inbox, opens the same time anew (`schemas/a2a-nats.md`).
const ANSWER_WITHIN: &str = "1h";

/// A user who is none of ours, as a client of our agents.
#[derive(Debug, Clone)]
pub struct Other {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// The value of `permissions` in the server's configuration.
    pub permissions: String,
}

const fn own_words(role: Role) -> &'static [&'static str] {
    match role {
        Role::Gateway => &[
            "alerts.>",
            "approval.*.*.decided",
            "a2a.*.*.alive",
            "$KV.A2A_CARDS.*.*",
            "$JS.API.STREAM.INFO.KV_A2A_CARDS",
            "a2a.*.diagnostics.request",
            "a2a.*.communication.request",
            "a2a.*.remediation.request",
        ],
        // Its watch's alerts go the way of all others, and it is their only reader anyway.
        Role::Monitoring => {
            &["alerts.*.*", "a2a.*.diagnostics.request", "a2a.*.communication.request", "a2a.*.remediation.request"]
        }
        Role::Diagnostics => &["a2a.*.monitoring.event", "a2a.*.gateway.event"],
        Role::Communication => &[
            "a2a.*.monitoring.event",
            "a2a.*.gateway.event",
            "a2a.*.monitoring.announced",
            "$JS.API.DIRECT.GET.ALERTS",
            "$JS.API.STREAM.INFO.KV_FALLBACK",
            "$JS.API.DIRECT.GET.KV_FALLBACK.$KV.FALLBACK.*",
            "$KV.FALLBACK.*",
        ],
        Role::Remediation => &["a2a.*.monitoring.event", "a2a.*.gateway.event", "approval.*.*.requested", "approval.*.*.closed"],
        Role::Connectors | Role::Ledger => &[],
    }
}

/// Configuration text for nats-server: `max_payload` and `authorization`. The text holds the passwords: write it to a file that only
/// the server can read.
///
/// # Errors
/// If a user has no password, or one that is unfit.
pub fn render(passwords: &BTreeMap<User, SecretString>, others: &[Other]) -> Result<String, PermissionsError> {
    let mut users = Vec::new();
    for user in User::all() {
        let password = passwords.get(&user).ok_or(PermissionsError::PasswordMissing { user })?;
        let password = fit(user, password.expose_secret())?;
        let permissions = match user {
            User::Admin => String::new(),
            User::Role(role) => format!(
                ", permissions: {{\n      publish: {{ allow: [{}] }}\n      subscribe: {{ allow: [{}] }}{}\n    }}",
                quoted(&publish_allowed(role)),
                quoted(&subscribe_allowed(role)),
                answers(role),
            ),
        };
        users.push(format!("    {{ user: \"{user}\", password: \"{password}\"{permissions} }}\n"));
    }
    for Other { user, password, permissions } in others {
        let password = fit(user, password.expose_secret())?;
        users.push(format!("    {{ user: \"{user}\", password: \"{password}\", permissions: {permissions} }}\n"));
    }
    let users = users.concat();
    Ok(format!("max_payload: {MESSAGE_BYTES_MAX}\nauthorization {{\n  users = [\n{users}  ]\n}}\n"))
}

fn answers(role: Role) -> String {
    let may = role == Role::Gateway;
    if may { format!("\n      allow_responses: {{ max: -1, expires: \"{ANSWER_WITHIN}\" }}") } else { String::new() }
}

fn fit(user: impl fmt::Display, password: &str) -> Result<&str, PermissionsError> {
    let is_plain = password.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let is_long = (PASSWORD_LENGTH_MIN..=PASSWORD_LENGTH_MAX).contains(&password.len());
    if is_plain && is_long { Ok(password) } else { Err(PermissionsError::PasswordUnfit { user: user.to_string() }) }
}

fn quoted(subjects: &[String]) -> String {
    subjects.iter().map(|subject| format!("\"{subject}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gateway_may_decide_and_only_it_and_the_watch_let_alerts_in() {
        for role in Role::ALL {
            let allowed = publish_allowed(role);
            let may = |word: &str| allowed.iter().any(|subject| subject == word);
            assert_eq!(may("approval.*.*.decided"), role == Role::Gateway, "{role}");
            assert_eq!(may("alerts.>"), role == Role::Gateway, "{role}");
            assert_eq!(may("alerts.*.*"), role == Role::Monitoring, "{role}");
            // A whole-tree right would let in what the table does not name.
            let trees = allowed.iter().filter(|subject| subject.ends_with('>') && !subject.starts_with("$JS.ACK."));
            assert!(trees.into_iter().all(|tree| tree == "fact.>" || (tree == "alerts.>" && role == Role::Gateway)), "{role}");
        }
    }

    #[test]
    fn passwords_are_there_long_and_plain() {
        let mut passwords: BTreeMap<User, SecretString> =
            User::all().map(|user| (user, SecretString::from("0123456789abcdef"))).collect();
        assert!(render(&passwords, &[]).is_ok());
        for unfit in ["short", "has \"quotes\" in it and more", "$2a$11$looks.like.a.hash.of.bcrypt"] {
            passwords.insert(User::Admin, SecretString::from(unfit));
            assert_eq!(render(&passwords, &[]), Err(PermissionsError::PasswordUnfit { user: "admin".to_owned() }));
        }
        passwords.remove(&User::Admin);
        assert_eq!(render(&passwords, &[]), Err(PermissionsError::PasswordMissing { user: User::Admin }));
    }
}
