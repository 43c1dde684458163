//! Room for so many bytes of messages: what is counted in pieces is not bounded, because a piece may be a hundred alerts.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// In KiB, as they are on the bus; once they are read they take several times as much.
#[derive(Debug)]
pub(crate) struct Room {
    kib: Arc<Semaphore>,
    kib_max: u32,
}

impl Room {
    pub(crate) fn new(kib_max: u32) -> Self {
        Self { kib: Arc::new(Semaphore::new(usize::try_from(kib_max).unwrap_or(usize::MAX))), kib_max }
    }

    /// A place for so many bytes, as soon as there is one; whoever comes first gets it first. What is larger than the room takes it all.
    #[expect(clippy::expect_used, reason = "it is closed nowhere")]
    pub(crate) async fn place(&self, bytes: usize) -> OwnedSemaphorePermit {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(self.kib_max);
        self.kib.clone().acquire_many_owned(kib).await.expect("it is open")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn there_is_room_for_so_many_bytes() {
        let room = Room::new(2);
        let (one, two) = (room.place(1023).await, room.place(0).await);
        let soon = |bytes| tokio::time::timeout(Duration::from_millis(20), room.place(bytes));
        assert!(soon(1).await.is_err(), "there is no room for a third");
        drop(one);
        assert!(soon(1).await.is_ok());
        drop(two);
        assert!(soon(usize::MAX).await.is_ok(), "one that is too large takes all");
    }
}
