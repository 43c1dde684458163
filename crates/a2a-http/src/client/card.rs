//! Finding agents: the public card at its well-known path (spec §8.2).

use std::time::Duration;

use a2a::card::WELL_KNOWN_PATH;
use a2a::{A2aError, AgentCard};
use url::Url;

use super::exchange::{http_client, lost, read_whole};

/// A card is a page of text.
const CARD_BYTES_MAX: usize = 1 << 20;
/// Until it is there. A card is looked up before anything else, often while somebody waits.
const CARD_WITHIN: Duration = Duration::from_secs(10);

/// Fetches a card. An address that does not end like one is that of a host or agent, below which the card is.
///
/// The card is what its host says, and need not keep the rules for cards that we publish; its size is bounded. Whether its signatures are right is to be asked of [`a2a::card::verify`].
///
/// # Errors
/// Unavailable if there is no answer, and InvalidAgentResponse if it is no card.
pub async fn fetch_card(url: &Url) -> Result<AgentCard, A2aError> {
    let mut url = url.clone();
    if url.path().rsplit_once('.').is_none_or(|(_, ending)| ending != "json") {
        let path = format!("{}{WELL_KNOWN_PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    let fetched = async {
        let http = http_client(&url).map_err(|error| lost(&error))?;
        let response = http.get(url.clone()).send().await.map_err(|error| lost(&error))?;
        read_whole(response, CARD_BYTES_MAX).await
    };
    let late = |_| A2aError::unavailable("the card was not there in time");
    let answer = tokio::time::timeout(CARD_WITHIN, fetched).await.map_err(late)??;
    if !answer.status.is_success() {
        let body = serde_json::from_slice(&answer.body).unwrap_or_default();
        return Err(A2aError::from_http_body(answer.status.as_u16(), &body));
    }
    a2a::read(&answer.body).map_err(A2aError::in_response)
}
