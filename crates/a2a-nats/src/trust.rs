//! Whose signatures are believed, and that none is believed twice.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use sha2::{Digest as _, Sha256};

use crate::sign::{ALGORITHM, Claims, Header, KIND, KeyError};

/// How far clocks may be apart, and how long a request may be on its way.
const WINDOW: Duration = Duration::from_mins(1);
/// Signed requests that are remembered: 4000 a second, at some 60 bytes each 30 MB.
const REMEMBERED_MAX: usize = 500_000;

/// Why a signature proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Distrust {
    #[error("the message is not signed")]
    Unsigned,
    #[error("the signature is no JWS with ES256")]
    Unreadable,
    #[error("the signature is by a key that is not known for this sender")]
    UnknownKey,
    #[error("the signature does not hold")]
    Forged,
    #[error("the signature is of another message")]
    OtherMessage,
    #[error("the signature was made too long ago, or in the future")]
    Stale,
    #[error("the signed request was seen before")]
    Replayed,
    #[error("too many signed requests at once")]
    Busy,
}

/// What a signature has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Who sends the message.
    Proved,
    /// Nothing, and nothing was demanded.
    None,
}

/// Public keys and what to do with messages that are not signed.
///
/// A signature that is there must hold, whether it is demanded or not, as soon as any key is known for who sends it.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    keys: BTreeMap<(String, String), VerifyingKey>,
    is_demanded: bool,
}

impl Trust {
    /// Believes nobody's signature, and demands none.
    pub fn nobody() -> Self {
        Self::default()
    }

    /// Adds a public key (`BEGIN PUBLIC KEY`). `owner` is `<tenant>.<sender>` or `<tenant>.<agent>`: a key proves one name only.
    ///
    /// # Errors
    /// If it is no key of P-256.
    pub fn with_key(mut self, owner: impl Into<String>, kid: impl Into<String>, pem: &str) -> Result<Self, KeyError> {
        let kid = kid.into();
        match VerifyingKey::from_public_key_pem(pem) {
            Ok(key) => {
                self.keys.insert((owner.into(), kid), key);
                Ok(self)
            }
            Err(source) => Err(KeyError::Public { kid, source }),
        }
    }

    /// Refuses messages without a signature.
    #[must_use]
    pub fn demanded(self) -> Self {
        Self { is_demanded: true, ..self }
    }

    /// Whether the signature is the owner's and says just what the message says. `claims` are the message's own, but for the time.
    pub(crate) fn check(
        &self,
        owner: &str,
        signature: Option<&str>,
        claims: &Claims,
        now: DateTime<Utc>,
    ) -> Result<Proof, Distrust> {
        let Some(signature) = signature else {
            return if self.is_demanded { Err(Distrust::Unsigned) } else { Ok(Proof::None) };
        };
        if !self.is_demanded && !self.knows(owner) {
            return Ok(Proof::None);
        }
        let said = self.read(owner, signature)?;
        if (Claims { iat: said.iat, ..claims.clone() }) != said {
            return Err(Distrust::OtherMessage);
        }
        let apart = now.timestamp().abs_diff(said.iat);
        if apart > WINDOW.as_secs() { Err(Distrust::Stale) } else { Ok(Proof::Proved) }
    }

    fn knows(&self, owner: &str) -> bool {
        let from = (owner.to_owned(), String::new());
        self.keys.range(from..).next().is_some_and(|((other, _), _)| other == owner)
    }

    fn read(&self, owner: &str, signature: &str) -> Result<Claims, Distrust> {
        let (signed, signature) = signature.rsplit_once('.').ok_or(Distrust::Unreadable)?;
        let (header, claims) = signed.split_once('.').ok_or(Distrust::Unreadable)?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Distrust::Unreadable);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Distrust::Unreadable)?;
        if header.alg != ALGORITHM || header.typ != KIND {
            return Err(Distrust::Unreadable);
        }
        let key = self.keys.get(&(owner.to_owned(), header.kid)).ok_or(Distrust::UnknownKey)?;
        let signature = Signature::from_slice(&decode(signature)?).map_err(|_| Distrust::Unreadable)?;
        key.verify(signed.as_bytes(), &signature).map_err(|_| Distrust::Forged)?;
        serde_json::from_slice(&decode(claims)?).map_err(|_| Distrust::Unreadable)
    }
}

/// Signed requests of the last minute. Each replica has its own: a request that is replayed to another one is an honest repetition to
/// the service, which knows message ids.
#[derive(Default)]
pub(crate) struct Replays {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: HashSet<Fingerprint>,
    in_order: VecDeque<(DateTime<Utc>, Fingerprint)>,
}

/// Of what makes a request unique; shorter, and nobody finds two that are alike.
type Fingerprint = [u8; 16];

impl Replays {
    /// Notes a request by what makes it unique.
    pub(crate) fn note(&self, request: &str, now: DateTime<Utc>) -> Result<(), Distrust> {
        let digest = Sha256::digest(request);
        let mut request = Fingerprint::default();
        request.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // A request may be signed up to a window in the future.
        let kept_from = now - 2 * WINDOW;
        while let Some((_, old)) = seen.in_order.pop_front_if(|(at, _)| *at < kept_from) {
            seen.requests.remove(&old);
        }
        if seen.requests.contains(&request) {
            return Err(Distrust::Replayed);
        }
        if seen.in_order.len() >= REMEMBERED_MAX {
            return Err(Distrust::Busy);
        }
        seen.in_order.push_back((now, request));
        seen.requests.insert(request);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::Signer;
    use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};

    fn pair(seed: u8) -> (Signer, String) {
        let key = p256::SecretKey::from_slice(&[seed; 32]).unwrap();
        let public = key.public_key().to_public_key_pem(LineEnding::LF).unwrap();
        (Signer::from_pem("k1", &key.to_pkcs8_pem(LineEnding::LF).unwrap()).unwrap(), public)
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn claims() -> Claims {
        Claims { iat: 1_000, sub: "a2a.acme.a.rpc.s".to_owned(), digest: Some("sha-256=x".to_owned()), ..Claims::default() }
    }

    #[test]
    fn only_the_owners_signature_of_this_message_holds() {
        let (signer, public) = pair(7);
        let trust = Trust::nobody().with_key("acme.s", "k1", &public).unwrap().demanded();
        let signature = signer.sign(&claims()).unwrap();
        let check = |owner: &str, signature: &str, claims: &Claims, now| trust.check(owner, Some(signature), claims, at(now));
        assert_eq!(check("acme.s", &signature, &claims(), 1_060), Ok(Proof::Proved));
        assert_eq!(check("acme.s", &signature, &claims(), 1_061), Err(Distrust::Stale));
        assert_eq!(check("acme.s", &signature, &claims(), 939), Err(Distrust::Stale));
        assert_eq!(check("acme.t", &signature, &claims(), 1_000), Err(Distrust::UnknownKey));
        let other = Claims { method: Some("CancelTask".to_owned()), ..claims() };
        assert_eq!(check("acme.s", &signature, &other, 1_000), Err(Distrust::OtherMessage));
        let forged = pair(8).0.sign(&claims()).unwrap();
        assert_eq!(check("acme.s", &forged, &claims(), 1_000), Err(Distrust::Forged));
        for nonsense in ["", "a", "a.b", "a.b.c", &signature.replace('.', "")] {
            assert_eq!(check("acme.s", nonsense, &claims(), 1_000), Err(Distrust::Unreadable), "{nonsense}");
        }
        assert_eq!(trust.check("acme.s", None, &claims(), at(1_000)), Err(Distrust::Unsigned));
    }

    #[test]
    fn what_is_not_demanded_may_be_missing_but_not_wrong() {
        let (signer, public) = pair(7);
        let trust = Trust::nobody().with_key("acme.s", "k1", &public).unwrap();
        let signature = signer.sign(&claims()).unwrap();
        assert_eq!(trust.check("acme.s", None, &claims(), at(1_000)), Ok(Proof::None));
        assert_eq!(trust.check("acme.s", Some(&signature), &claims(), at(5_000)), Err(Distrust::Stale));
        assert_eq!(trust.check("acme.stranger", Some("whatever"), &claims(), at(1_000)), Ok(Proof::None));
    }

    #[test]
    fn a_request_counts_once_within_the_window() {
        let replays = Replays::default();
        assert_eq!(replays.note("a", at(0)), Ok(()));
        assert_eq!(replays.note("a", at(100)), Err(Distrust::Replayed));
        assert_eq!(replays.note("a", at(200)), Ok(()));
        for n in 1..REMEMBERED_MAX {
            assert_eq!(replays.note(&n.to_string(), at(200)), Ok(()));
        }
        assert_eq!(replays.note("one more", at(200)), Err(Distrust::Busy));
    }
}
