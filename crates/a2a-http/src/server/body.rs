//! Bodies of requests: read within a time and up to a size, and no more of them at once than there is room for.

use std::sync::Arc;
use std::time::Duration;

use a2a::A2aError;
use axum::body::{Body, Bytes, HttpBody as _};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body that is too large is read on to here and dropped, so that the caller is done writing and reads the answer instead of a
/// connection reset.
const DROPPED_BYTES_MAX: usize = 16 << 20;
/// What a request takes beside its body: headers, and what is kept while it is answered.
const REQUEST_KIB: usize = 8;
/// Requests are short; a second later there is room again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Room for requests under way, by the memory that they take.
#[derive(Debug, Clone)]
pub(super) struct Room {
    kib: Arc<Semaphore>,
    bytes_max: usize,
    within: Duration,
}

impl Room {
    pub(super) fn new(kib_max: usize, bytes_max: usize, within: Duration) -> Self {
        // Room for one at least: nobody would ever come in otherwise.
        Self { kib: Arc::new(Semaphore::new(kib_max.max(kib(bytes_max)))), bytes_max, within }
    }

    /// What the body takes at most, in KiB. One that does not say how large it is counts as the largest until it is there.
    pub(super) fn most(&self, body: &Body) -> usize {
        let said = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
        kib(said.unwrap_or(self.bytes_max).min(self.bytes_max))
    }

    /// The whole body, and its place in the room, which is to be kept as long as the request is.
    pub(super) async fn read(&self, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), A2aError> {
        let most = self.most(&body);
        let full = || A2aError::resource_exhausted("too many requests at once", Some(AGAIN_AFTER));
        let place = tokio::time::timeout(self.within, self.kib.clone().acquire_many_owned(permits(most))).await;
        let mut place = place.map_err(|_| full())?.map_err(|_| full())?;
        let collected = tokio::time::timeout(self.within, collect(body, self.bytes_max)).await;
        let late = |_| A2aError::invalid_request(format!("the body did not arrive within {} ms", self.within.as_millis()));
        let body = collected.map_err(late)??;
        drop(place.split(most.saturating_sub(kib(body.len()))));
        Ok((body, place))
    }
}

/// What a request with a body of so many bytes takes.
pub(super) const fn kib(bytes: usize) -> usize {
    bytes / 1024 + REQUEST_KIB
}

fn permits(kib: usize) -> u32 {
    u32::try_from(kib).unwrap_or(u32::MAX)
}

async fn collect(body: Body, bytes_max: usize) -> Result<Bytes, A2aError> {
    let mut chunks = body.into_data_stream();
    let (mut first, mut whole, mut count) = (Bytes::new(), Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| A2aError::invalid_request("the body ended before its end"))?;
        count += chunk.len();
        if count > DROPPED_BYTES_MAX {
            break;
        }
        if count > bytes_max {
            whole = Vec::new();
        } else if first.is_empty() {
            // Nearly all bodies come in one piece, which needs no copy.
            first = chunk;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&chunk);
        }
    }
    if count > bytes_max {
        let error = A2aError::invalid_request(format!("the body must have at most {bytes_max} bytes"));
        return Err(error.with("bytesMax", bytes_max.to_string()));
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use a2a::ErrorKind;
    use futures::stream;

    use super::*;

    fn chunks(count: usize, size: usize) -> Body {
        Body::from_stream(stream::iter((0..count).map(move |n| Ok::<_, Infallible>(vec![b'a' + u8::try_from(n).unwrap(); size]))))
    }

    fn room(kib_max: usize) -> Room {
        Room::new(kib_max, 10, Duration::from_millis(100))
    }

    #[tokio::test]
    async fn bodies_are_bounded_in_size_and_time() {
        let read = async |body| room(100).read(body).await.map(|(bytes, _)| bytes).map_err(|error| error.kind);
        assert_eq!(read(Body::empty()).await, Ok(Bytes::new()));
        assert_eq!(read(Body::from("x")).await, Ok(Bytes::from("x")));
        assert_eq!(read(chunks(5, 2)).await, Ok(Bytes::from("aabbccddee")));
        let endless = stream::iter(std::iter::repeat_with(|| Ok::<_, Infallible>(vec![b'x'; 1 << 20])));
        let broken = stream::iter([Ok(vec![b'x']), Err(std::io::Error::other("cut"))]);
        let silent = stream::pending::<Result<Vec<u8>, Infallible>>();
        for body in
            [chunks(6, 2), chunks(1, 11), Body::from_stream(endless), Body::from_stream(broken), Body::from_stream(silent)]
        {
            assert_eq!(read(body).await, Err(ErrorKind::InvalidRequest));
        }
    }

    #[tokio::test]
    async fn there_is_room_for_so_many_and_it_comes_back() {
        let room = room(2 * REQUEST_KIB);
        let (one, two) = (room.read(Body::from("x")).await.unwrap(), room.read(chunks(1, 1)).await.unwrap());
        let full = room.read(Body::from("x")).await.unwrap_err();
        assert_eq!(full.kind, ErrorKind::ResourceExhausted { retry_after: Some(AGAIN_AFTER) });
        drop(one);
        assert!(room.read(Body::from("x")).await.is_ok());
        drop(two);
        assert_eq!(room.kib.available_permits(), 2 * REQUEST_KIB);
    }
}
