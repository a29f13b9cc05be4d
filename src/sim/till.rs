//! `posd-sim till`: the people at a till that others drive over the bus, perhaps from another machine: file
//! descriptors do not leave one, so whoever gives passwords and PINs has to be beside the daemon.
//!
//! It signs the supervisor on with the factory password, answers what an agent is asked, and does both again when the
//! daemon comes back. Transactions of the same user are served.
use super::client::Client;
use super::guest::PATIENCE;
use std::convert::Infallible;
use std::io::{Error, Write as _};
use std::process::ExitCode;

/// Number and factory password of the supervisor.
pub(super) const SUPERVISOR: (&str, &[u8]) = ("00", b"123456");

/// Arguments of `posd-sim till`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Address of the bus
    #[arg(long, value_name = "ADDRESS", default_value = "unix:path=/run/dbus/system_bus_socket")]
    address: String,
}

/// Runs until the bus ends.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(&args.address))) {
        Ok(never) => match never {},
        Err(error) => {
            // Standard error may be closed; then there is nobody to tell.
            drop(writeln!(std::io::stderr(), "posd-sim till: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: &str) -> Result<Infallible, Error> {
    let mut client = Client::connect(address, PATIENCE).await?;
    loop {
        client.until_it_answers().await?;
        client.sign_on_operator(SUPERVISOR.0, SUPERVISOR.1).await?;
        // Whoever sees an agent knows that a session is open, too.
        client.register_agent().await?;
        client.until_it_is_gone().await?;
    }
}
