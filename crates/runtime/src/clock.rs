//! Time and chance: the only place where either comes from, so that everything else can be run with other ones.

use chrono::{DateTime, Utc};

/// Now, in whole milliseconds: what is stored, signed and sent then reads back equal.
#[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
pub fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now)
}

/// Random bits from the operating system, for ids.
///
/// # Panics
/// If the operating system has none; then nothing here could run at all.
#[expect(clippy::expect_used, reason = "without random bytes there is no TLS either, and so nothing to do")]
pub fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    u128::from_ne_bytes(bytes)
}

/// `N` random bytes from the operating system, in hex.
///
/// # Errors
/// If the operating system has none.
pub fn random_hex<const N: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}
