//! Ten thousand bad days with every test run, in parts that run side by side. `make sim` plays others.

use simulation::run::failure;
use simulation::shrink::shrink;

use crate::scenarios;

/// Sixteen parts make more than ten thousand, and none takes long.
const EACH: u64 = 650;

/// Plays a part of the seeds.
fn hold(part: u64) {
    let scenarios = scenarios();
    for seed in part * EACH..(part + 1) * EACH {
        if let Some(failure) = failure(&scenarios, seed, None) {
            panic!("{failure}{}", shrink(&failure));
        }
    }
}

macro_rules! parts {
    ($($name:ident: $part:literal,)*) => { $(#[test] fn $name() { hold($part); })* };
}

parts! {
    the_promises_hold_on_bad_days_01: 0,
    the_promises_hold_on_bad_days_02: 1,
    the_promises_hold_on_bad_days_03: 2,
    the_promises_hold_on_bad_days_04: 3,
    the_promises_hold_on_bad_days_05: 4,
    the_promises_hold_on_bad_days_06: 5,
    the_promises_hold_on_bad_days_07: 6,
    the_promises_hold_on_bad_days_08: 7,
    the_promises_hold_on_bad_days_09: 8,
    the_promises_hold_on_bad_days_10: 9,
    the_promises_hold_on_bad_days_11: 10,
    the_promises_hold_on_bad_days_12: 11,
    the_promises_hold_on_bad_days_13: 12,
    the_promises_hold_on_bad_days_14: 13,
    the_promises_hold_on_bad_days_15: 14,
    the_promises_hold_on_bad_days_16: 15,
}
