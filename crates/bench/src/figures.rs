//! Medians, percentiles and lines of output. Whatever is measured elsewhere becomes a number here, with its unit beside it.

use std::io::Write as _;

/// The middle of some repetitions; zero without any.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The smallest value that `percent` of all do not exceed (nearest rank); zero without any.
pub(crate) fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank lies between zero and the count")]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// A number of things, for calculating.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

/// Milliseconds between two moments in nanoseconds.
pub(crate) fn millis(nanos: u64) -> f64 {
    number(nanos) / 1e6
}

/// A line of the result.
pub(crate) fn line(text: &str) {
    // A closed terminal is no reason to stop measuring.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What goes on meanwhile; it is no part of the result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "  … {text}");
}

/// A goal and how it came out.
pub(crate) fn verdict(is_met: bool) -> &'static str {
    if is_met { "PASS" } else { "FAIL" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let table = [
            (&hundred[..], 50.0, 50.0),
            (&hundred[..], 99.0, 99.0),
            (&[7.0], 99.0, 7.0),
            (&[3.0, 1.0], 50.0, 1.0),
            (&[], 50.0, 0.0),
        ];
        for (values, percent, expected) in table {
            assert!((percentile(values, percent) - expected).abs() < f64::EPSILON, "{percent} of {values:?}");
        }
        // Of fifty, the 99th percentile is the worst: a single slow one shows.
        let fifty: Vec<f64> = (1..=50).map(f64::from).collect();
        assert!((percentile(&fifty, 99.0) - 50.0).abs() < f64::EPSILON);
        assert!((median(&[9.0, 2.0, 4.0]) - 4.0).abs() < f64::EPSILON);
    }
}
