//! Medians and spreads that a few wild values do not move.

/// Makes the median absolute deviation of normal noise its standard deviation.
const MAD_TO_SIGMA: f64 = 1.482_6;
/// The same for the distance between the first and the last decile.
const DECILES_TO_SIGMA: f64 = 1.0 / 2.563_1;

/// The middle value; none of nothing.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    Sorted::of(values).at(0.5)
}

/// The median absolute deviation as a standard deviation: half of the values may be anything.
pub(super) fn deviation(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    Sorted::of(values).deviation()
}

/// The spread of values as a standard deviation, whatever a tenth of them does at either end: the larger of what the median absolute
/// deviation says and what the deciles say. The first alone would call a counter that is zero in six of ten minutes noiseless.
pub(super) fn spread(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let sorted = Sorted::of(values);
    let deciles = sorted.at(0.9)? - sorted.at(0.1)?;
    Some(sorted.deviation()?.max(deciles * DECILES_TO_SIGMA))
}

struct Sorted(Vec<f64>);

impl Sorted {
    fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        Self(values)
    }

    fn deviation(&self) -> Option<f64> {
        let middle = self.at(0.5)?;
        Some(median(self.0.iter().map(|value| (value - middle).abs()))? * MAD_TO_SIGMA)
    }

    /// The value below which this share lies, between two neighbours in proportion.
    fn at(&self, share: f64) -> Option<f64> {
        let last = self.0.len().checked_sub(1)?;
        #[expect(clippy::cast_precision_loss, reason = "series have some hundred points")]
        let place = share * last as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between zero and the last place")]
        let below = place.floor() as usize;
        let (low, high) = (*self.0.get(below)?, *self.0.get((below + 1).min(last))?);
        Some(low + (high - low) * (place - place.floor()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_wild_values_move_neither() {
        let table: [(&[f64], f64, f64); 5] = [
            (&[1.0], 1.0, 0.0),
            (&[4.0, 1.0, 2.0, 3.0], 2.5, 1.482_6),
            (&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9_999.0], 0.0, 0.0),
            (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 9_999.0], 6.0, 4.447_8),
            // The median deviation is zero here, but a third of the values differ.
            (&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], 0.0, 0.390_15),
        ];
        for (values, middle, wide) in table {
            assert!((median(values.iter().copied()).unwrap() - middle).abs() < 1e-6, "{values:?}");
            assert!((spread(values.iter().copied()).unwrap() - wide).abs() < 1e-4, "{values:?}");
        }
        assert_eq!((median([]), spread([])), (None, None));
    }
}
