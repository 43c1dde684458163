//! libFuzzer's way into `fuzz::slack`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::slack::run(input);
});
