//! Signatures of cards (spec §8.4): JWS of RFC 7515 with the card as detached payload, ES256 only.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{SignKey, VerifyKey, canonical};
use crate::limits::CARD_ENTRIES_MAX;
use crate::types::{AgentCard, AgentCardSignature};

/// The one algorithm that is taken: a reader that lets the header choose can be talked into a weak one.
const ALGORITHM: &str = "ES256";
/// What the header says the whole is.
const KIND: &str = "JOSE";

/// A card that cannot be signed, or whose signatures do not prove anything.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The card or header cannot be written.
    #[error("writing the card's canonical form")]
    Write(#[from] serde_json::Error),
    /// There is none.
    #[error("the card is not signed")]
    Unsigned,
    /// It is by a key that is not known here.
    #[error("the card is signed by the unknown key {0:?}")]
    UnknownKey(String),
    /// A header cannot be read, or asks for what is not done here.
    #[error("the header of signature {index} {problem}")]
    Header {
        /// Which signature.
        index: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The card or the signature was changed.
    #[error("the signature by key {0:?} is not of this card")]
    Tampered(String),
}

/// Adds a signature to the card. `jku` is where the public key is published.
///
/// # Errors
/// If the card cannot be written.
pub fn sign(card: &AgentCard, key: &SignKey, kid: &str, jku: Option<&str>) -> Result<AgentCard, CardError> {
    let mut header = BTreeMap::from([("alg", ALGORITHM), ("kid", kid), ("typ", KIND)]);
    header.extend(jku.map(|jku| ("jku", jku)));
    let protected = URL_SAFE_NO_PAD.encode(serde_json_canonicalizer::to_vec(&header)?);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(&signed_bytes(&protected, &canonical(card)?)));
    let mut card = card.clone();
    card.signatures.push(AgentCardSignature { protected, signature, header: None });
    Ok(card)
}

/// Checks the card's signatures against keys by their `kid`; gives the `kid` of the first that holds. A `jku` is never followed: whom to
/// trust is not the card's to say.
///
/// # Errors
/// If none holds: what is wrong with the first of them, and rather with one by a key that is known here.
pub fn verify(card: &AgentCard, keys: &BTreeMap<String, VerifyKey>) -> Result<String, CardError> {
    let payload = canonical(card)?;
    let mut why = CardError::Unsigned;
    for (index, signature) in card.signatures.iter().take(CARD_ENTRIES_MAX).enumerate() {
        match check(index, signature, &payload, keys) {
            Ok(kid) => return Ok(kid),
            Err(error) if why.says_less_than(&error) => why = error,
            Err(_) => {}
        }
    }
    Err(why)
}

impl CardError {
    const fn says_less_than(&self, other: &Self) -> bool {
        matches!(self, Self::Unsigned) || matches!((self, other), (Self::UnknownKey(_), Self::Header { .. } | Self::Tampered(_)))
    }
}

fn check(
    index: usize,
    signature: &AgentCardSignature,
    payload: &[u8],
    keys: &BTreeMap<String, VerifyKey>,
) -> Result<String, CardError> {
    let problem = |problem| CardError::Header { index, problem };
    let header = URL_SAFE_NO_PAD.decode(&signature.protected).map_err(|_| problem("is not base64url"))?;
    let header: Map<String, Value> = serde_json::from_slice(&header).map_err(|_| problem("is no JSON object"))?;
    if header.get("alg").and_then(Value::as_str) != Some(ALGORITHM) {
        return Err(problem("asks for another algorithm than ES256"));
    }
    // Extensions that a reader must understand. We understand none.
    if header.contains_key("crit") {
        return Err(problem("asks for extensions of JWS"));
    }
    let kid = header.get("kid").and_then(Value::as_str).ok_or_else(|| problem("names no key"))?.to_owned();
    let Some(key) = keys.get(&kid) else { return Err(CardError::UnknownKey(kid)) };
    let bytes = URL_SAFE_NO_PAD.decode(&signature.signature).unwrap_or_default();
    if key.verify(&signed_bytes(&signature.protected, payload), &bytes) {
        return Ok(kid);
    }
    Err(CardError::Tampered(kid))
}

/// What is signed (RFC 7515 §5.1).
fn signed_bytes(protected: &str, payload: &[u8]) -> Vec<u8> {
    format!("{protected}.{}", URL_SAFE_NO_PAD.encode(payload)).into_bytes()
}
