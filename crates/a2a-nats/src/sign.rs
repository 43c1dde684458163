//! End-to-end signatures: NATS' server proves to the agent who asks, but whoever runs the server could speak as anybody. A signature
//! proves it without them. It is a compact JWS whose claims name the message; the body stands in it by its digest only.

use std::fmt;

use a2a::parameters::EXTENSIONS_PARAMETER;
use async_nats::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use serde::{Deserialize, Serialize};

use crate::digest::digest;
use crate::header;

/// The one algorithm: a reader that lets the header choose can be talked into a weak one.
pub(crate) const ALGORITHM: &str = "ES256";
/// What the header says the whole is, so that no token made for something else passes for a signature of ours.
pub(crate) const KIND: &str = "a2a-nats+jws";

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a P-256 key in PKCS#8 PEM.
    #[error("reading the private key {kid:?} for ES256")]
    Private {
        /// Which.
        kid: String,
        /// Why.
        #[source]
        source: p256::pkcs8::Error,
    },
    /// Not a P-256 key in SPKI PEM.
    #[error("reading the public key {kid:?} for ES256")]
    Public {
        /// Which.
        kid: String,
        /// Why.
        #[source]
        source: p256::pkcs8::spki::Error,
    },
}

/// Signs messages. Shows nothing of its key.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    kid: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Signer({:?})", self.kid)
    }
}

/// The protected header.
#[derive(Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) kid: String,
    pub(crate) typ: String,
}

/// What is signed. Each side writes the members that its messages have, and the other compares them with the message before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Seconds since 1970.
    pub(crate) iat: i64,
    /// The subject that the message goes to.
    pub(crate) sub: String,
    /// `A2A-Digest`; none for messages without a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// `A2A-Method` of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// `A2A-Extensions` of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extensions: Option<String>,
    /// Where a request wants its answer. Unique, so that a request counts once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply: Option<String>,
    /// Which request an answer belongs to, as [`fingerprint`] writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<String>,
    /// `A2A-Status` of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// `A2A-Seq` of a frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<u64>,
}

/// What an answer names its request by. Without it, whoever sees all subjects could ask something as themselves and want the answer, which
/// the agent signs, in the inbox of another.
pub(crate) fn fingerprint(subject: &str, inbox: &str, headers: Option<&HeaderMap>) -> String {
    let header = |name| header::get(headers, name).unwrap_or_default();
    let asked = [a2a::nats::METHOD_HEADER, header::DIGEST, EXTENSIONS_PARAMETER].map(header);
    // None of them can hold a line feed.
    digest([subject, inbox, asked[0], asked[1], asked[2]].join("\n").as_bytes())
}

impl Signer {
    /// Reads a private key (`BEGIN PRIVATE KEY`). `kid` is how the other side knows it.
    ///
    /// # Errors
    /// If it is no key of P-256.
    pub fn from_pem(kid: impl Into<String>, pem: &str) -> Result<Self, KeyError> {
        let kid = kid.into();
        match SigningKey::from_pkcs8_pem(pem) {
            Ok(key) => Ok(Self { key, kid }),
            Err(source) => Err(KeyError::Private { kid, source }),
        }
    }

    /// Always the same for the same claims (RFC 6979), so no randomness is needed.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, serde_json::Error> {
        let header = Header { alg: ALGORITHM.to_owned(), kid: self.kid.clone(), typ: KIND.to_owned() };
        let encode = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
        let mut text = format!("{}.{}", encode(serde_json::to_vec(&header)?), encode(serde_json::to_vec(claims)?));
        let signature: Signature = self.key.sign(text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut text);
        Ok(text)
    }
}
