//! The digest of a body: what is lost or changed between two clients of a server shows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The one algorithm. Another one would be another binding.
const ALGORITHM: &str = "sha-256=";

/// As it stands in the header.
pub(crate) fn digest(body: &[u8]) -> String {
    let mut text = String::with_capacity(ALGORITHM.len() + 44);
    text.push_str(ALGORITHM);
    STANDARD.encode_string(Sha256::digest(body), &mut text);
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_empty_body_has_the_digest_that_everybody_knows() {
        assert_eq!(super::digest(b""), "sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
