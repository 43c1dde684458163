//! Time and chance, as they are handed in.

use chrono::{DateTime, Utc};

/// Where time and chance come from.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// Now, in whole milliseconds: what is stored and sent then reads back equal.
    pub now: fn() -> DateTime<Utc>,
    /// Random bits, from a source that nobody can guess.
    pub random: fn() -> u128,
}

impl Surroundings {
    pub(crate) fn now(self) -> DateTime<Utc> {
        (self.now)()
    }

    /// A new id.
    pub fn id(self) -> String {
        id((self.now)(), (self.random)())
    }
}

/// A UUID of version 7 (RFC 9562, section 5.7): it begins with the time, so that what is written together stands together in indexes.
fn id(now: DateTime<Utc>, random: u128) -> String {
    let millis = u128::from(now.timestamp_millis().unsigned_abs()) & 0xffff_ffff_ffff;
    let random = random & 0x0fff_3fff_ffff_ffff_ffff;
    let bits = (millis << 80) | (0x7 << 76) | (0b10 << 62) | random;
    let hex = format!("{bits:032x}");
    let mut id = String::with_capacity(36);
    for (n, digit) in hex.chars().enumerate() {
        if matches!(n, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::id;
    use chrono::DateTime;

    fn check(millis: i64, random: u128, expected: &str) {
        assert_eq!(id(DateTime::from_timestamp_millis(millis).expect("a time"), random), expected);
    }

    #[test]
    fn ids_are_uuids_that_begin_with_the_time() {
        // The time is the example of RFC 9562, appendix A.6.
        check(0x017F_22E2_79B0, 0, "017f22e2-79b0-7000-8000-000000000000");
        check(0x017F_22E2_79B0, u128::MAX, "017f22e2-79b0-7fff-bfff-ffffffffffff");
        check(0, 0, "00000000-0000-7000-8000-000000000000");
    }
}
