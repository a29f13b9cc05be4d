//! The simulators as a process: each subcommand is one of them, on the real interface.
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use posd::sim::cardd;

/// Simulated devices for tests and demonstrations of posd
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A chip card in a virtual reader (vpcd)
    Card(cardd::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Card(args) => cardd::run(args),
    }
}
