//! Signatures of posts: JWS of RFC 7515 with the body as detached payload (appendix F), ES256 only, like those of agent cards. So a
//! receiver needs no secret of ours, and may keep one key for both.
//!
//! `X-A2A-Notification-Signature: <protected>..<signature>`. What is signed is `<protected>.<base64url of the body>`. The protected
//! header has `alg`, `typ`, `kid`, `iat` (when it was posted, in seconds) and `jti` (the value of `X-A2A-Notification-Id`).

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use serde::Serialize;

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
#[error("reading the private key that signs push notifications: it must be one of P-256 in PKCS#8 PEM")]
pub struct SignerError(#[source] p256::pkcs8::Error);

/// Signs posts. Shows nothing of its key.
#[derive(Clone)]
pub struct PushSigner {
    kid: Arc<str>,
    key: SigningKey,
}

impl fmt::Debug for PushSigner {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.debug_struct("PushSigner").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Protected<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
    iat: i64,
    jti: &'a str,
}

impl PushSigner {
    /// From a private key (`BEGIN PRIVATE KEY`), and the name by which receivers find the public one.
    ///
    /// # Errors
    /// If it is no key of P-256.
    pub fn from_pem(kid: &str, pem: &str) -> Result<Self, SignerError> {
        let key = SigningKey::from_pkcs8_pem(pem).map_err(SignerError)?;
        Ok(Self { kid: kid.into(), key })
    }

    /// The value of the header. None if the header cannot be written.
    pub(super) fn sign(&self, id: &str, body: &[u8], now: DateTime<Utc>) -> Option<String> {
        let protected = Protected { alg: "ES256", typ: "JOSE", kid: &self.kid, iat: now.timestamp(), jti: id };
        let protected = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&protected).ok()?);
        let payload = URL_SAFE_NO_PAD.encode(body);
        let signature: Signature = self.key.sign(format!("{protected}.{payload}").as_bytes());
        Some(format!("{protected}..{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
    }
}
