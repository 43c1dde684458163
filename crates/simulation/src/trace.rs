//! What happened in a run, line by line: for people who read a failure, and to tell whether two runs were the same.

use crate::choices::hash;
use crate::scene::{Time, beginning};

/// Lines of a run, if somebody wants them.
#[derive(Debug, Clone, Default)]
pub struct Trace(Option<Vec<String>>);

impl Trace {
    /// Keeps nothing: for runs that only have to hold.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Keeps every line.
    pub const fn on() -> Self {
        Self(Some(vec![]))
    }

    pub(crate) fn say(&mut self, now: Time, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            let passed = (now - beginning()).num_milliseconds();
            lines.push(format!("{:>6}.{:03}  {}", passed / 1_000, passed % 1_000, line()));
        }
    }

    /// The lines, in order.
    pub fn lines(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Equal for equal lines.
    pub fn digest(&self) -> u64 {
        self.lines().iter().fold(0, |digest, line| hash(hash(digest, line.as_bytes()), b"\n"))
    }
}
