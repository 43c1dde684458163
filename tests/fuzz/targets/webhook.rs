//! libFuzzer's way into `fuzz::webhook`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::webhook::run(input);
});
