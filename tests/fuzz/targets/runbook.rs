//! libFuzzer's way into `fuzz::runbook`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::runbook::run(input);
});
