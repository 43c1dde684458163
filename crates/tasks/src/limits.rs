//! How much of everything one engine bears, each with its reason. What one message or artifact may hold is said in [`a2a::limits`].

use std::time::Duration;

/// The limits of an engine. The default is for production; tests set smaller ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Tasks of one tenant that are worked on at once in this process: what each holds in memory is bounded, so their number must be.
    pub running_per_tenant_max: usize,
    /// Messages of one task that wait for the one before them. People do not type faster; a program that does shall wait.
    pub messages_waiting_max: usize,
    /// How long a message may wait to be stored. A caller who is told that it was not can send it again; one who waits cannot.
    pub accept_max: Duration,
    /// How long `SendMessage` waits for the task; then it answers how the task stands. Below the 60 s after which common proxies and
    /// clients give up.
    pub blocking_max: Duration,
    /// How long one call of the executor may take. What takes longer should return and go on from outside.
    pub execution_max: Duration,
    /// How often work is begun, where each time but the last its process died: a task that kills its process must not do so for ever.
    pub attempts_max: u32,
    /// How long a call of the executor may go on after it was asked to stop.
    pub stop_max: Duration,
    /// A process that was silent for this long is dead, and its tasks go to another. As for outbox rows.
    pub lease: Duration,
    /// How often a process looks for dead ones, and what others did to tasks that it watches.
    pub look_every: Duration,
    /// Bytes of one task as JSON, messages and all: it is read, written and sent as a whole. Below what the store takes (16 MiB).
    pub task_bytes_max: usize,
    /// Bytes of tasks after which a page of a listing ends, though fewer than asked for are on it: it is read and sent as a whole.
    pub page_bytes_max: u32,
    /// Artifacts of one task.
    pub artifacts_max: usize,
    /// Messages that a task remembers; the oldest are forgotten first.
    pub history_max: usize,
    /// Events of one task. An agent that says more is caught in a loop.
    pub events_max: u64,
    /// Bytes of events of one task that are not yet written. Whoever reports faster than Postgres writes waits.
    pub unwritten_bytes_max: usize,
    /// Streams of one task.
    pub subscribers_per_task_max: usize,
    /// Streams in all: each holds some KiB, and wakes up for every event of its task.
    pub subscribers_max: usize,
    /// Bytes of new events kept in memory for a task's streams. A stream that is further behind reads them from the table.
    pub recent_bytes_max: usize,
    /// Configurations for push notifications of one task: each event is posted to all of them.
    pub pushes_per_task_max: u32,
    /// Posts under way at once: sockets, and memory for their bodies.
    pub posts_at_once_max: usize,
    /// How long one post may take, from the look-up of the name to the last byte of the answer.
    pub post_max: Duration,
    /// How often a post is tried before the configuration is given up. With the pauses below: about 8 hours.
    pub post_attempts_max: u32,
    /// The first pause after a failed post; each further one is twice as long.
    pub post_pause: Duration,
    /// The longest pause.
    pub post_pause_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            running_per_tenant_max: 5_000,
            messages_waiting_max: 16,
            accept_max: Duration::from_secs(10),
            blocking_max: Duration::from_secs(50),
            execution_max: Duration::from_hours(24),
            attempts_max: 5,
            stop_max: Duration::from_secs(5),
            lease: Duration::from_secs(10),
            look_every: Duration::from_secs(1),
            task_bytes_max: 8 << 20,
            page_bytes_max: 16 << 20,
            artifacts_max: 256,
            history_max: 1_000,
            events_max: 100_000,
            unwritten_bytes_max: 1 << 20,
            subscribers_per_task_max: 64,
            subscribers_max: 10_000,
            recent_bytes_max: 256 << 10,
            pushes_per_task_max: 16,
            posts_at_once_max: 64,
            post_max: Duration::from_secs(10),
            post_attempts_max: 20,
            post_pause: Duration::from_secs(1),
            post_pause_max: Duration::from_hours(1),
        }
    }
}

/// Tasks written in one transaction: more would make the first ones wait for the last ones.
pub(crate) const BATCH_MAX: usize = 256;
/// Bytes after which a batch ends, be it of one task: a statement with many large tasks would take longer than the store lets it.
pub(crate) const BATCH_BYTES_MAX: usize = 16 << 20;
/// One batch is prepared while the other is under way; two cores commit no faster with more.
pub(crate) const WRITERS: usize = 2;
/// Ids are parts of index entries, of which Postgres takes 2704 bytes: the longest has four, and the time.
pub(crate) const ID_BYTES_MAX: usize = 600;
/// Tasks that one look takes over from a dead process; the rest follows with the next.
pub(crate) const TAKE_OVER_MAX: u32 = 256;
/// Tasks of this process that one look compares with its memory.
pub(crate) const HELD_MAX: u32 = 10_000;
/// Tasks that one statement compares.
pub(crate) const COMPARED_MAX: usize = 1_000;
/// Bytes after which no further write's events are read at once: a stream, or a post, holds so much and the events of one write, which
/// are one event, or `unwritten_bytes_max`.
pub(crate) const EVENT_BYTES_MAX: u32 = 256 << 10;
/// Bytes of new events that a small task may gather before it is written as a whole again.
pub(crate) const UNSAVED_BYTES_MIN: usize = 4 << 10;
