//! What a signature of a card covers.

use crate::types::AgentCard;

/// The card as bytes that are the same for everybody (§8.4.1): without its signatures, without fields at their default unless REQUIRED
/// or `optional` and set — our way to write it is just that —, and then in the canonical form of RFC 8785.
///
/// # Errors
/// If a number in it is none (NaN).
pub fn canonical(card: &AgentCard) -> Result<Vec<u8>, serde_json::Error> {
    let card = AgentCard { signatures: vec![], ..card.clone() };
    serde_json_canonicalizer::to_vec(&card)
}
