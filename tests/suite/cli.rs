//! The real posctl binary: offline decoding, usage errors, no daemon, and exit codes by outcome against a small fake
//! daemon on a private bus. The fake knows the contract, not the product.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test: a surprise shall end it, and it makes its own files"
)]
mod care;
mod daemon;
mod decode;
mod fake;
mod offline;
mod outcomes;
mod verbs;

use serde_json::Value as Json;
use std::process::{Command, Output, Stdio};

const POSCTL: &str = env!("CARGO_BIN_EXE_posctl");

fn posctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(POSCTL);
    command.args(arguments).env("LANG", "C").env_remove("LC_ALL").env_remove("LC_MESSAGES");
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    posctl(arguments).output().unwrap()
}

/// The one document on stdout.
fn document(output: &Output) -> Json {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "one document, not {text:?}");
    let document: Json = serde_json::from_str(text).unwrap();
    assert_eq!(document["schema"], "posctl.v1");
    document
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
