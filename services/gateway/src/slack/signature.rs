//! Slack's request signature, version 0, over the raw bytes: <https://docs.slack.dev/authentication/verifying-requests-from-slack>.

use axum::http::{HeaderMap, HeaderName};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const TIMESTAMP: HeaderName = HeaderName::from_static("x-slack-request-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("x-slack-signature");
const VERSION: &str = "v0";
/// Slack's own rule: older than five minutes may be a replay.
const AGE_S_MAX: u64 = 300;
/// Digits of a timestamp; no more fit an `i64`.
const TIMESTAMP_DIGITS_MAX: usize = 18;

/// Bytes of an HMAC with SHA-256.
const SIGNATURE_BYTES: usize = 32;

/// Why a request is not Slack's. The caller is told none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsigned {
    #[error("the timestamp is missing or no number")]
    Timestamp,
    #[error("the timestamp is too far from now")]
    Stale,
    #[error("the signature is missing or none")]
    Missing,
    #[error("the signature is not over this body with this secret")]
    Wrong,
}

impl Unsigned {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Timestamp => "slack-timestamp",
            Self::Stale => "slack-stale",
            Self::Missing => "slack-signature-missing",
            Self::Wrong => "slack-signature-wrong",
        }
    }
}

/// What a request says of itself, without its body: cheap to look at, and enough to turn most others away.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    timestamp: &'a str,
    signature: [u8; SIGNATURE_BYTES],
}

/// Checks that there is a signature of just now, whoever made it.
pub(crate) fn claim(headers: &HeaderMap, now: DateTime<Utc>) -> Result<Claim<'_>, Unsigned> {
    let timestamp = only(headers, &TIMESTAMP).ok_or(Unsigned::Timestamp)?;
    let is_number = timestamp.bytes().all(|b| b.is_ascii_digit()) && (1..=TIMESTAMP_DIGITS_MAX).contains(&timestamp.len());
    let sent: i64 = timestamp.parse().ok().filter(|_| is_number).ok_or(Unsigned::Timestamp)?;
    if now.timestamp().abs_diff(sent) > AGE_S_MAX {
        return Err(Unsigned::Stale);
    }
    let given = only(headers, &SIGNATURE).and_then(|text| text.strip_prefix("v0=")).ok_or(Unsigned::Missing)?;
    let mut signature = [0; SIGNATURE_BYTES];
    hex::decode_to_slice(given, &mut signature).map_err(|_| Unsigned::Missing)?;
    Ok(Claim { timestamp, signature })
}

impl Claim<'_> {
    /// Checks that it was Slack who signed this body.
    pub(crate) fn verify(&self, secret: &str, body: &[u8]) -> Result<(), Unsigned> {
        // A key of any length will do.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| Unsigned::Wrong)?;
        mac.update(VERSION.as_bytes());
        mac.update(b":");
        mac.update(self.timestamp.as_bytes());
        mac.update(b":");
        mac.update(body);
        // Compares in constant time.
        mac.verify_slice(&self.signature).map_err(|_| Unsigned::Wrong)
    }
}

/// The header's value, unless there is none or more than one: then it is not clear which was signed.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use axum::http::HeaderValue;
    use serde_json::Value;

    use super::*;

    /// Published in Slack's own description.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const SENT: &str = "1531420618";
    const GOOD: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
        &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

    fn verify(secret: &str, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<(), Unsigned> {
        claim(headers, now)?.verify(secret, body)
    }

    fn headers(timestamps: &[&str], signatures: &[&str]) -> HeaderMap {
        let value = |text: &&str| HeaderValue::from_str(text).unwrap();
        let timestamps = timestamps.iter().map(|t| (TIMESTAMP, value(t)));
        timestamps.chain(signatures.iter().map(|s| (SIGNATURE, value(s)))).collect()
    }

    fn check(timestamps: &[&str], signatures: &[&str], body: &str, late_s: i64) -> Result<(), Unsigned> {
        let now = DateTime::from_timestamp(1_531_420_618 + late_s, 0).unwrap();
        verify(SECRET, &headers(timestamps, signatures), body.as_bytes(), now)
    }

    #[test]
    fn the_published_example_is_genuine_for_five_minutes() {
        for late_s in [-300, 0, 300] {
            assert_eq!(check(&[SENT], &[GOOD], BODY, late_s), Ok(()), "{late_s}");
        }
        for late_s in [-301, 301, 1_000_000] {
            assert_eq!(check(&[SENT], &[GOOD], BODY, late_s), Err(Unsigned::Stale), "{late_s}");
        }
    }

    #[test]
    fn what_was_tampered_with_is_not() {
        let cases: Vec<(&str, Vec<&str>, Vec<&str>, Unsigned)> = vec![
            ("no timestamp", vec![], vec![GOOD], Unsigned::Timestamp),
            ("empty", vec![""], vec![GOOD], Unsigned::Timestamp),
            ("no number", vec!["soon"], vec![GOOD], Unsigned::Timestamp),
            ("signed number", vec!["+1531420618"], vec![GOOD], Unsigned::Timestamp),
            ("fraction", vec!["1531420618.0"], vec![GOOD], Unsigned::Timestamp),
            ("too large", vec!["15314206180000000000000"], vec![GOOD], Unsigned::Timestamp),
            ("two", vec![SENT, SENT], vec![GOOD], Unsigned::Timestamp),
            ("other time", vec!["1531420619"], vec![GOOD], Unsigned::Wrong),
            ("no signature", vec![SENT], vec![], Unsigned::Missing),
            ("two signatures", vec![SENT], vec![GOOD, GOOD], Unsigned::Missing),
            ("other version", vec![SENT], vec!["v1=a2114d57"], Unsigned::Missing),
            ("no hex", vec![SENT], vec!["v0=zz"], Unsigned::Missing),
            ("empty signature", vec![SENT], vec!["v0="], Unsigned::Missing),
            ("first bytes only", vec![SENT], vec!["v0=a2114d57"], Unsigned::Missing),
        ];
        for (name, timestamps, signatures, expected) in cases {
            assert_eq!(check(&timestamps, &signatures, BODY, 0), Err(expected), "{name}");
        }
        assert_eq!(check(&[SENT], &[GOOD], &format!("{BODY}&more=1"), 0), Err(Unsigned::Wrong));
        let now = DateTime::from_timestamp(1_531_420_618, 0).unwrap();
        assert_eq!(verify("other", &headers(&[SENT], &[GOOD]), BODY.as_bytes(), now), Err(Unsigned::Wrong));
    }

    #[test]
    fn vectors_made_by_slacks_own_sdk_agree() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contracts/signature-vectors.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            eprintln!("skipped: there is no {}", path.display());
            return;
        };
        let vectors: Value = serde_json::from_str(&text).unwrap();
        let slack = |v: &&Value| v["provider"] == "slack";
        let vectors: Vec<&Value> = vectors["vectors"].as_array().unwrap().iter().filter(slack).collect();
        assert!(vectors.len() >= 5);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().unwrap();
            let now = DateTime::from_timestamp(text("timestamp").parse().unwrap(), 0).unwrap();
            let headers = headers(&[text("timestamp")], &[text("signature")]);
            assert_eq!(verify(text("secret"), &headers, text("body").as_bytes(), now), Ok(()), "{vector}");
        }
    }
}
