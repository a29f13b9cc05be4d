//! What every codec's process does: it tells its name, then answers questions, one a line, with one line each.
//!
//! `decode N` and `encode N` are answered with the nanoseconds of N calls, by the process's own clock; `allocations`
//! with those of one decode and one encode. `others.py` and `others.js` speak the same.
use super::ALLOCATOR;
use stats_alloc::Region;
use std::io::BufRead as _;
use std::time::Instant;

/// Serves the judge until it hangs up. The remark says what the judge must know of the codec, if anything.
pub(crate) fn serve(name: &str, remark: &str, mut decode: impl FnMut(), mut encode: impl FnMut()) {
    println!("{name}\t{remark}");
    for line in std::io::stdin().lock().lines() {
        match line.unwrap().split_once(' ') {
            Some(("decode", count)) => println!("{}", nanoseconds(count, &mut decode)),
            Some(("encode", count)) => println!("{}", nanoseconds(count, &mut encode)),
            _ => println!("{} {}", allocations(&mut decode), allocations(&mut encode)),
        }
    }
}

fn nanoseconds(count: &str, call: &mut impl FnMut()) -> u128 {
    let count: u64 = count.parse().unwrap();
    let began = Instant::now();
    (0..count).for_each(|_| call());
    began.elapsed().as_nanos()
}

fn allocations(call: &mut impl FnMut()) -> usize {
    let region = Region::new(ALLOCATOR);
    call();
    let change = region.change();
    change.allocations + change.reallocations
}
