//! Idempotency keys, as they are left with a provider.

use mcp::ToolFault;
use sha2::{Digest, Sha256};

/// Longest key taken: effect ids are far shorter, and it is stored with every message.
pub(crate) const KEY_CHARS_MAX: usize = 200;

/// What every mark of ours starts with.
const PREFIX: &str = "paramedic-";

/// Checks a caller's key.
pub(crate) fn check(key: &str) -> Result<(), ToolFault> {
    let is_sound = (1..=KEY_CHARS_MAX).contains(&key.chars().count()) && !key.chars().any(char::is_control);
    if is_sound {
        return Ok(());
    }
    let rule = format!("1 to {KEY_CHARS_MAX} characters, none of them a control character");
    Err(ToolFault::invalid_argument("idempotency_key", rule))
}

/// The mark under which an effect is found again: the key itself where it is a plain word, else
/// its digest, so that it fits a Jira label and needs no quoting in JQL.
pub(crate) fn mark(key: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if key.chars().all(is_plain) {
        format!("{PREFIX}{key}")
    } else {
        format!("{PREFIX}{}", hex::encode(Sha256::digest(key.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::{check, mark};

    #[test]
    fn marks_are_single_words_and_tell_keys_apart() {
        assert_eq!(mark("eff_01J.a-b"), "paramedic-eff_01J.a-b");
        let digest = mark("inc 7/step \"x\"");
        assert_eq!(digest.len(), "paramedic-".len() + 64);
        assert!(!digest.contains(|c: char| c.is_whitespace() || c == '"'));
        assert_ne!(digest, mark("inc 7/step \"y\""));
    }

    #[test]
    fn keys_are_bounded() {
        assert!(check("k").is_ok());
        for bad in [String::new(), "x".repeat(201), "a\nb".to_owned()] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
    }
}
