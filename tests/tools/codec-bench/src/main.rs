//! Measures the codec and others on the elements of vector B5, in a dialect that all of them speak: MTI and elements
//! in characters, binary bitmap.
//!
//! `codec-bench compare PROGRAM SCRIPT ...` is the judge: every codec works in a process of its own, the Rust ones as
//! `codec-bench work NAME`, those of other languages as `PROGRAM SCRIPT MESSAGE`. `codec-bench loop decode N` is what
//! valgrind counts.
mod codecs;
mod compare;
mod work;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["compare", others @ ..] => println!("{:#}", compare::all(others)),
        ["work", name] => codecs::work(name),
        ["loop", what, count] => codecs::repeat(what, count.parse().unwrap()),
        _ => {
            eprintln!("codec-bench: compare [PROGRAM SCRIPT]... | work NAME | loop decode|encode COUNT");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
