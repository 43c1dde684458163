//! libFuzzer's way into `fuzz::a2a`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::a2a::run(input);
});
