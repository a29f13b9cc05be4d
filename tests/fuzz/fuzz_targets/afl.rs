//! The target `afl`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = posd::sim::fuzz::targets::named("afl").expect("a target");
    (target.feed)(bytes).expect("a law holds");
});
