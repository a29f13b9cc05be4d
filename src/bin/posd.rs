//! The daemon: flags, configuration, exit code. Everything else is in [`posd::daemon`].
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Payment-terminal daemon
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Configuration file; FILE.d/*.toml beside it is read too
    #[arg(long, value_name = "FILE", default_value = "/etc/posd/posd.toml")]
    config: PathBuf,
    /// State directory [default: $STATE_DIRECTORY, else /var/lib/posd]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Check the configuration, say what is wrong, and exit (78 if anything is)
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.check_config {
        posd::daemon::check_config(&cli.config)
    } else {
        posd::daemon::run(&cli.config, cli.state_dir)
    }
}
