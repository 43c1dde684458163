//! Chance by a seed: the same series in every run.

/// `SplitMix64`: one state, and good enough for noise.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From zero to one, neither included.
    pub(super) fn share(&mut self) -> f64 {
        let high = u32::try_from(self.next() >> 32).unwrap_or_default();
        (f64::from(high) + 0.5) / (f64::from(u32::MAX) + 1.0)
    }

    /// A whole number below `end`.
    pub(super) fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.next() % end.unsigned_abs().max(1)).unwrap_or_default()
    }

    /// Normal noise of one (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        (-2.0 * self.share().ln()).sqrt() * (std::f64::consts::TAU * self.share()).cos()
    }

    /// Student's t with three degrees of freedom, scaled to a standard deviation of one: one value in 140 is beyond three, thirty times as
    /// many as of normal noise beyond four.
    pub(super) fn heavy(&mut self) -> f64 {
        let squares: f64 = (0..3).map(|_| self.normal().powi(2)).sum();
        self.normal() / (squares / 3.0).sqrt() / 3.0_f64.sqrt()
    }
}
