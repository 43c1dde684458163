//! What an alert of the watch says to people, and the expression that shows whether it still holds.

use super::judge::{Departure, End, Way};
use super::rule::Rule;

/// Digits that say something.
const DIGITS: i32 = 4;

/// One line on what is unusual.
pub(super) fn description(departure: &Departure) -> String {
    let side = match departure.way {
        Way::Up => "above",
        Way::Down => "below",
    };
    let against = if departure.is_seasonal { "for this hour of the week" } else { "of the time before" };
    let Departure { value, usual, bound, .. } = departure;
    format!(
        "{} is {side} the usual {} {against}; up to {} either way would still be usual",
        plain(*value),
        plain(*usual),
        plain(*bound)
    )
}

/// One line on why it is over.
pub(super) const fn ended(end: End) -> &'static str {
    match end {
        End::Back => "back to usual",
        End::NoData => "no data any more: it is not known whether it recovered",
        End::Stayed => "it has stayed for a week and is the new usual",
    }
}

/// The rule's expression, compared with where the departure ends: true while it lasts, for those who verify a repair.
pub(super) fn condition(rule: &Rule, departure: &Departure) -> String {
    let compared = match departure.way {
        Way::Up => '>',
        Way::Down => '<',
    };
    format!("({}) {compared} {}", rule.expr.trim(), plain(departure.ends_at_value()))
}

/// A number as PromQL and people read it: four digits, no exponent.
fn plain(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "exponents of floating point numbers are small")]
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    // Numbers below 1e-300 need no more places to be zero for everybody.
    let places = (DIGITS - 1 - magnitude).clamp(0, 300).unsigned_abs() as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_and_no_exponent() {
        let table = [
            (0.0, "0"),
            (12.345_678, "12.35"),
            (-0.000_012_345, "-0.00001234"),
            (1_234_567.0, "1234567"),
            (100.0, "100"),
            (0.5, "0.5"),
        ];
        for (value, text) in table {
            assert_eq!(plain(value), text);
        }
    }
}
