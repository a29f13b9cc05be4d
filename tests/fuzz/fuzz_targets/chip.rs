//! The target `chip`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = posd::sim::fuzz::targets::named("chip").expect("a target");
    (target.feed)(bytes).expect("a law holds");
});
