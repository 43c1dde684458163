//! Pages of listings. A page goes on after the last task of the page before, so that no task is shown twice or left out because
//! others changed. A task whose status changes meanwhile moves to the front, as a listing that begins then shows it. Pure.

use a2a::limits::PAGE_SIZE_DEFAULT;
use a2a::{A2aError, Caller, ListTasksRequest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use sha2::{Digest as _, Sha256};
use store::a2a::{Filter, Place};

/// A token begins with this, the digest of the filter, and the time.
const VERSION: u8 = 1;
const DIGEST_BYTES: usize = 8;

/// What a listing asks of the table.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) filter: Filter,
    pub(crate) after: Option<Place>,
    pub(crate) size: u32,
}

/// Reads a request.
pub(crate) fn read(caller: &Caller, request: &ListTasksRequest) -> Result<Page, A2aError> {
    let filter = Filter {
        tenant: caller.tenant.clone(),
        owner: caller.sender.clone(),
        context_id: request.context_id.clone(),
        state: request.status.map(a2a::TaskState::as_str),
        since: request.status_timestamp_after,
    };
    let after = request.page_token.as_deref().map(|token| read_token(token, &filter)).transpose()?;
    Ok(Page { filter, after, size: request.page_size.unwrap_or(PAGE_SIZE_DEFAULT) })
}

/// The token of the page that begins after a task.
pub(crate) fn write_token(filter: &Filter, place: &Place) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(digest(filter));
    bytes.extend(place.status_at.timestamp_micros().to_be_bytes());
    bytes.extend(place.id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_token(token: &str, filter: &Filter) -> Result<Place, A2aError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    place(bytes.as_deref(), filter).ok_or_else(|| A2aError::invalid_field("pageToken", "is not of a listing like this"))
}

fn place(bytes: Option<&[u8]>, filter: &Filter) -> Option<Place> {
    let (version, rest) = bytes?.split_first()?;
    let (of, rest) = rest.split_at_checked(DIGEST_BYTES)?;
    let (micros, id) = rest.split_first_chunk::<8>()?;
    if *version != VERSION || of != digest(filter) {
        return None;
    }
    let status_at = DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))?;
    Some(Place { status_at, id: std::str::from_utf8(id).ok()?.to_owned() })
}

/// A token is good for the listing that it is from: with another filter it would point nowhere.
fn digest(filter: &Filter) -> [u8; DIGEST_BYTES] {
    let Filter { tenant, owner, context_id, state, since } = filter;
    let since = since.map(|since| since.timestamp_micros().to_string());
    let parts = [Some(tenant.as_str()), Some(owner), context_id.as_deref(), *state, since.as_deref()];
    let mut hash = Sha256::new();
    for part in parts {
        // With its length, so that no two filters read alike.
        hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        hash.update(part.unwrap_or_default());
    }
    let whole: [u8; 32] = hash.finalize().into();
    let mut short = [0; DIGEST_BYTES];
    short.copy_from_slice(whole.first_chunk::<DIGEST_BYTES>().unwrap_or(&[0; DIGEST_BYTES]));
    short
}

#[cfg(test)]
mod tests;
