//! All chance of a run. A choice is named by where it is made and what it is about, and depends on the seed and that name alone. So one
//! deviation can be left out and the others stay what they were: a failing run is made shorter one deviation at a time.

use std::collections::{BTreeMap, HashMap};

/// How often a choice deviates from the undisturbed course, in 100,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Odds(pub u32);

const OUT_OF: u64 = 100_000;

/// A choice that deviated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Names the choice in every run of the same scenario.
    pub key: u64,
    /// What was chosen; never 0, which is the undisturbed course.
    pub value: u32,
    /// Where it was made and what it is about, for people.
    pub what: String,
}

/// The deviations that a run shall have, by key.
pub type Schedule = BTreeMap<u64, u32>;

#[derive(Debug)]
enum Source {
    Seed(u64),
    Schedule(Schedule),
}

/// The choices of one run.
#[derive(Debug)]
pub struct Choices {
    source: Source,
    /// How often each place was met: what happens again is another choice.
    met: HashMap<u64, u64>,
    taken: Vec<Choice>,
}

impl Choices {
    /// As the seed says.
    pub fn of_seed(seed: u64) -> Self {
        Self { source: Source::Seed(seed), met: HashMap::new(), taken: vec![] }
    }

    /// These deviations and no others.
    pub fn of_schedule(schedule: Schedule) -> Self {
        Self { source: Source::Schedule(schedule), met: HashMap::new(), taken: vec![] }
    }

    /// 0 most of the time, else one of `1..=most`.
    pub fn draw(&mut self, odds: Odds, most: u32, site: &'static str, about: &str) -> u32 {
        if odds.0 == 0 {
            return 0;
        }
        let place = hash(hash(FNV_BASE, site.as_bytes()), about.as_bytes());
        let nth = self.met.entry(place).or_default();
        *nth += 1;
        let key = mix(place ^ mix(*nth));
        let value = match &self.source {
            Source::Schedule(schedule) => schedule.get(&key).copied().unwrap_or(0).min(most),
            Source::Seed(seed) => {
                let bits = mix(key ^ mix(*seed));
                let deviates = bits % OUT_OF < u64::from(odds.0);
                let which = u32::try_from((bits >> 32) % u64::from(most.max(1))).unwrap_or(0);
                if deviates { 1 + which } else { 0 }
            }
        };
        if value > 0 {
            let what = if *nth == 1 { format!("{site}: {about}") } else { format!("{site}: {about}, time {nth}") };
            self.taken.push(Choice { key, value, what });
        }
        value
    }

    /// The deviations so far.
    pub fn taken(&self) -> &[Choice] {
        &self.taken
    }
}

/// One of `0..n` for a seed and a purpose, evenly.
pub fn pick(seed: u64, purpose: &str, n: usize) -> usize {
    let bits = mix(hash(FNV_BASE, purpose.as_bytes()) ^ mix(seed));
    usize::try_from(bits % u64::try_from(n.max(1)).unwrap_or(1)).unwrap_or(0)
}

/// FNV-1a, 64 bits: small, and the same everywhere.
const FNV_BASE: u64 = 0xcbf2_9ce4_8422_2325;

/// Goes on with a hash.
pub(crate) fn hash(base: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(base, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The finisher of SplitMix64: every bit of the result depends on every bit given.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_repeats_what_a_seed_chose_and_leaves_the_rest() {
        let all = |choices: &mut Choices| -> Vec<u32> {
            (0..200).map(|n| choices.draw(Odds(20_000), 5, "site", &format!("about {}", n % 50))).collect()
        };
        let mut seeded = Choices::of_seed(7);
        let values = all(&mut seeded);
        assert!(values.iter().any(|value| *value > 1) && values.contains(&0), "{values:?}");
        let schedule: Schedule = seeded.taken().iter().map(|choice| (choice.key, choice.value)).collect();
        assert_eq!(all(&mut Choices::of_schedule(schedule.clone())), values);
        let (left_out, _) = schedule.iter().next().unwrap();
        let fewer: Schedule = schedule.iter().filter(|(key, _)| *key != left_out).map(|(key, value)| (*key, *value)).collect();
        let changed = all(&mut Choices::of_schedule(fewer)).iter().zip(&values).filter(|(a, b)| a != b).count();
        assert_eq!(changed, 1);
    }
}
