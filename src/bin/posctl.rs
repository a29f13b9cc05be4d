//! posctl, the technician's command line. All of it is in [`posd::cli`].
fn main() -> std::process::ExitCode {
    posd::cli::run(std::env::args_os())
}
