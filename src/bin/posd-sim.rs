//! The simulators as a process: each subcommand is one of them, on the real interface.
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use posd::sim::host;

/// Simulated devices for tests and demonstrations of posd
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// An acquirer on TCP
    Host(host::Args),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Host(args) => host::run(args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("posd-sim: {error}");
            ExitCode::FAILURE
        }
    }
}
