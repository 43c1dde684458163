//! Keys that sign cards: ECDSA on P-256, which JOSE calls ES256.

use std::fmt;

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePublicKey as _, LineEnding};

/// A text that is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a P-256 key in PKCS#8 PEM.
    #[error("reading a private key for ES256")]
    Private(#[source] p256::pkcs8::Error),
    /// Not a P-256 key in SPKI PEM.
    #[error("reading a public key for ES256")]
    Public(#[source] p256::pkcs8::spki::Error),
    /// Cannot be written.
    #[error("writing a public key for ES256")]
    Write(#[source] p256::pkcs8::spki::Error),
}

/// Signs cards. Shows nothing of itself.
#[derive(Clone)]
pub struct SignKey(SigningKey);

impl fmt::Debug for SignKey {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("SignKey")
    }
}

impl SignKey {
    /// Reads a private key (`BEGIN PRIVATE KEY`).
    ///
    /// # Errors
    /// If it is no key of P-256.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_pem(pem).map(Self).map_err(KeyError::Private)
    }

    /// Its public half.
    pub fn verify_key(&self) -> VerifyKey {
        VerifyKey(*self.0.verifying_key())
    }

    /// Always the same for the same bytes (RFC 6979), so no randomness is needed.
    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(bytes);
        signature.to_bytes().to_vec()
    }
}

/// Checks signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyKey(VerifyingKey);

impl VerifyKey {
    /// Reads a public key (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// If it is no key of P-256.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        VerifyingKey::from_public_key_pem(pem).map(Self).map_err(KeyError::Public)
    }

    /// Writes it so.
    ///
    /// # Errors
    /// Never for keys that were read.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(KeyError::Write)
    }

    pub(super) fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify(bytes, &signature).is_ok())
    }
}
