//! The frames of a stream that its client has not acknowledged: how many there may be, and what must be sent again.

use std::collections::VecDeque;

use async_nats::HeaderMap;
use bytes::Bytes;

use crate::header::Status;

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) status: Status,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// One numbered message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) seq: u64,
    pub(super) content: Content,
}

/// Numbers frames from 1 and keeps them until they are acknowledged.
#[derive(Debug)]
pub(super) struct Window {
    frames_max: usize,
    bytes_max: usize,
    last: u64,
    bytes: usize,
    frames: VecDeque<Frame>,
}

impl Window {
    pub(super) fn new(frames_max: usize, bytes_max: usize) -> Self {
        Self { frames_max: frames_max.max(1), bytes_max, last: 0, bytes: 0, frames: VecDeque::new() }
    }

    /// Whether another frame of so many bytes may go out. Alone, each may.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.frames.is_empty() || (self.frames.len() < self.frames_max && self.bytes + bytes <= self.bytes_max)
    }

    /// Numbers the next frame and keeps it.
    pub(super) fn add(&mut self, content: Content) -> Frame {
        self.last += 1;
        self.bytes += content.body.len();
        let frame = Frame { seq: self.last, content };
        self.frames.push_back(frame.clone());
        frame
    }

    /// The client has this frame and all before it.
    pub(super) fn acknowledge(&mut self, seq: u64) {
        while let Some(frame) = self.frames.pop_front_if(|frame| frame.seq <= seq) {
            self.bytes -= frame.content.body.len();
        }
    }

    /// What the client does not have, in order.
    pub(super) fn outstanding(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter()
    }

    /// Number of the last frame that went out; 0 before the first.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Number of the last frame that the client has; 0 before the first.
    pub(super) fn acknowledged(&self) -> u64 {
        self.frames.front().map_or(self.last, |frame| frame.seq - 1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(window: &mut Window, bytes: usize) {
        window.add(Content { status: Status::Ok, headers: HeaderMap::new(), body: vec![0; bytes].into() });
    }

    fn outstanding(window: &Window) -> Vec<u64> {
        window.outstanding().map(|frame| frame.seq).collect()
    }

    #[test]
    fn frames_are_bounded_and_kept_until_acknowledged() {
        let mut window = Window::new(3, 1_000);
        for _ in 0..3 {
            assert!(window.has_room(1));
            add(&mut window, 1);
        }
        assert!(!window.has_room(1));
        assert_eq!(window.acknowledged(), 0);
        window.acknowledge(2);
        assert_eq!((outstanding(&window), window.acknowledged()), (vec![3], 2));
        assert!(window.has_room(1));
        // Late, doubled and made-up acknowledgements change nothing that matters.
        window.acknowledge(1);
        window.acknowledge(99);
        assert!(window.is_empty());
        add(&mut window, 1);
        assert_eq!((outstanding(&window), window.last(), window.acknowledged()), (vec![4], 4, 3));
    }

    #[test]
    fn bytes_are_bounded_but_a_single_frame_may_always_go() {
        let mut window = Window::new(9, 100);
        assert!(window.has_room(500));
        add(&mut window, 500);
        assert!(!window.has_room(0));
        window.acknowledge(1);
        add(&mut window, 50);
        assert!(window.has_room(50) && !window.has_room(51));
        add(&mut window, 50);
        assert!(window.has_room(0) && !window.has_room(1));
    }
}
