//! The storm of `posd-sim storm`, a short one: the real daemon is killed in the middle of mixed business.
use posd::sim::vpcd::Bench;
use std::path::Path;
use std::process::Command;

use crate::support::skip;

/// Goal: however often the power fails, no told outcome changes, and terminal and bank agree on every line. `make
/// storm` runs a long one; the seed is printed.
#[test]
fn twenty_kills_leave_both_ends_in_agreement() {
    // The storm itself opens a bench; here it is only asked whether there can be one.
    if let Err(why) = Bench::start() {
        skip::<()>(&why.to_string());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let daemon = Path::new(env!("CARGO_BIN_EXE_posd"));
    let output = Command::new(env!("CARGO_BIN_EXE_posd-sim"))
        .args([
            "storm",
            "--kills",
            "20",
            "--emv",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/emv.toml"),
        ])
        .arg("--bin")
        .arg(daemon.parent().unwrap())
        .arg("--log")
        .arg(folder.path().join("posd.log"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let log = std::fs::read_to_string(folder.path().join("posd.log")).unwrap_or_default();
    assert!(output.status.success(), "{said}\n{log}");
    assert!(said.contains(" 0 differences"), "{said}");
}
