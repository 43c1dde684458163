//! Bodies, read within a time and up to a size, and no more of them at once than there is room for.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use futures::StreamExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::problem::{Kind, Problem};

/// Our callers stand in the same data centre, or are Slack.
pub(crate) const READ_MAX: Duration = Duration::from_secs(10);
/// A body that is too large is read on to here and dropped, so that the caller is done writing and reads the answer instead of a
/// connection reset.
const DROPPED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// One call ends within this; a second later there is room again.
const BUSY_AGAIN_AFTER_S: u32 = 1;

/// Room for calls of one kind: how many are under way, and how much memory their bodies may take.
#[derive(Debug)]
pub(crate) struct Room {
    calls: Semaphore,
    kib: Semaphore,
}

impl Room {
    pub(crate) fn new(calls_max: usize, kib_max: usize) -> Self {
        Self { calls: Semaphore::new(calls_max), kib: Semaphore::new(kib_max) }
    }

    /// Room for one more call, or none: then the caller waits, not we.
    pub(crate) fn take(&self, body: &Body, bytes_max: usize) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), Problem> {
        // A body that does not say how large it is counts as the largest.
        let said = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
        let bytes = said.unwrap_or(bytes_max).min(bytes_max);
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let busy = |_| Problem::new(Kind::Busy, "too many calls at once; send it again").retry_after(BUSY_AGAIN_AFTER_S);
        Ok((self.calls.try_acquire().map_err(busy)?, self.kib.try_acquire_many(kib).map_err(busy)?))
    }
}

/// The whole body.
pub(crate) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    read_within(body, bytes_max, READ_MAX).await
}

/// The whole body, within a time of the caller's.
pub(crate) async fn read_within(body: Body, bytes_max: usize, within: Duration) -> Result<Bytes, Problem> {
    let too_slow = |_| Problem::new(Kind::TooSlow, format!("the body did not arrive within {} ms", within.as_millis()));
    tokio::time::timeout(within, collect(body, bytes_max)).await.map_err(too_slow)?
}

async fn collect(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    // Most bodies come in one piece, which need not be copied.
    let (mut first, mut whole) = (Bytes::new(), Vec::new());
    let mut count = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Kind::Malformed, "the body ended before its end"))?;
        if count == 0 {
            (count, first) = (chunk.len(), chunk);
            continue;
        }
        count += chunk.len();
        if count > DROPPED_BYTES_MAX {
            break;
        }
        if count <= bytes_max {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&chunk);
        } else {
            whole = Vec::new();
        }
    }
    if count > bytes_max {
        return Err(Problem::new(Kind::TooLarge, format!("the body must have at most {bytes_max} bytes")));
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

/// Checks the content type: this one, whatever its parameters.
pub(crate) fn check_type(headers: &HeaderMap, expected: &'static str) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Problem::new(Kind::MediaType, format!("Content-Type must be {expected}")))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    fn chunks(count: usize, size: usize) -> Body {
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, Infallible>(vec![b'x'; size]))))
    }

    async fn outcome(body: Body, bytes_max: usize) -> Result<usize, Vec<&'static str>> {
        let read = read_within(body, bytes_max, Duration::from_millis(200)).await;
        read.map(|bytes| bytes.len()).map_err(|problem| problem.names())
    }

    #[tokio::test]
    async fn bodies_are_bounded_in_size_and_time() {
        assert_eq!(outcome(Body::empty(), 10).await, Ok(0));
        assert_eq!(outcome(chunks(5, 2), 10).await, Ok(10));
        assert_eq!(outcome(chunks(6, 2), 10).await, Err(vec!["too-large"]));
        assert_eq!(outcome(chunks(1, 11), 10).await, Err(vec!["too-large"]));
        let endless = stream::iter(std::iter::repeat_with(|| Ok::<_, Infallible>(vec![b'x'; 1024 * 1024])));
        assert_eq!(outcome(Body::from_stream(endless), 10).await, Err(vec!["too-large"]));
        assert_eq!(outcome(Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>()), 10).await, Err(vec!["too-slow"]));
        let broken = stream::iter([Ok(vec![b'x']), Err(std::io::Error::other("cut"))]);
        assert_eq!(outcome(Body::from_stream(broken), 10).await, Err(vec!["malformed"]));
    }

    #[tokio::test]
    async fn pieces_are_put_together_in_order() {
        for pieces in [&["abc"][..], &["", "abc"], &["a", "", "bc"], &["a", "b", "c"]] {
            let body = Body::from_stream(stream::iter(pieces.iter().map(|piece| Ok::<_, Infallible>(*piece))));
            assert_eq!(read(body, 3).await.map_err(|problem| problem.names()), Ok(Bytes::from("abc")), "{pieces:?}");
        }
    }

    #[test]
    fn parameters_of_a_content_type_do_not_matter() {
        let check =
            |given: &'static str| check_type(&HeaderMap::from_iter([(CONTENT_TYPE, given.parse().unwrap())]), "application/json");
        assert!(check("application/json").is_ok());
        assert!(check("Application/JSON; charset=utf-8").is_ok());
        assert!(check("text/plain").is_err());
        assert!(check("application/json-seq").is_err());
        assert!(check_type(&HeaderMap::new(), "application/json").is_err());
    }
}
