//! posctl: what a technician types and a script calls. It translates between a command line and the public D-Bus API,
//! and knows nothing that another client could not know.
//!
//! Every path ends in one exit status of [`failure`], and with `--json` in one document, usage errors too.
#![allow(clippy::result_large_err, reason = "an error ends the command: its size is paid once")]
mod agent;
mod args;
mod backup;
mod books;
mod care;
mod client;
mod config;
mod decode;
mod doctor;
mod explain;
mod failure;
mod follow;
mod jobs;
mod learn;
mod leave;
mod link;
mod monitor;
mod printer;
mod queue;
mod reconcile;
mod schema;
mod screen;
mod secret;
mod status;
mod till;
mod trade;
mod tty;
mod txn;
mod way;
mod words;

use args::{Cli, Command};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use failure::{Exit, Failure};
use screen::Screen;
use serde_json::json;
use std::ffi::OsString;
use std::process::ExitCode;
use words::Lang;

/// Runs posctl with the arguments of the process, program name first.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let exit = match Cli::try_parse_from(&arguments) {
        Ok(cli) => {
            let screen = Screen::new(cli.global.json, cli.global.lang.unwrap_or_else(default_language));
            let done = carry_out(&screen, cli);
            done.unwrap_or_else(|failure| screen.failure(&failure))
        }
        Err(error) => not_a_command(&arguments, &error),
    };
    ExitCode::from(exit as u8)
}

/// The language of the environment.
#[allow(clippy::disallowed_methods, reason = "posctl is an outer layer and speaks the user's language")]
fn default_language() -> Lang {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_MESSAGES")).or_else(|| set("LANG"));
    Lang::from_locale(&locale.unwrap_or_default())
}

/// Help, version, and command lines that make no sense. `--json` may stand anywhere in them.
fn not_a_command(arguments: &[OsString], error: &clap::Error) -> Exit {
    let json = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    let screen = Screen::new(json, default_language());
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp => screen.answer(json!({ "help": text }), &text),
        ErrorKind::DisplayVersion => screen.answer(json!({ "version": env!("CARGO_PKG_VERSION") }), &text),
        _ if json => {
            let first: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
            let message = first.join(" ");
            let message = message.strip_prefix("error: ").unwrap_or(&message);
            return screen.failure(&Failure::usage(message).with("help", text.as_str()));
        }
        _ => {
            screen.note(text.trim_end());
            return Exit::Usage;
        }
    }
    Exit::Done
}

/// Runs one command to its end, or to the first signal that asks to stop.
fn carry_out(screen: &Screen, cli: Cli) -> Result<Exit, Failure> {
    let no_runtime = |error: std::io::Error| Failure::io("no runtime", &error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    runtime.block_on(async {
        let interrupted = interrupted()?;
        tokio::select! {
            done = command(screen, cli) => done,
            () = interrupted => Err(screen.parting()),
        }
    })
    // The runtime ends here, and with it every open question: the terminal has its echo back.
}

async fn command(screen: &Screen, cli: Cli) -> Result<Exit, Failure> {
    let address = cli.global.address.as_deref();
    match cli.command.unwrap_or(Command::Status) {
        Command::Status => status::status(screen, address).await,
        Command::Operator(verb) => till::operator(screen, address, &verb).await,
        Command::Host(verb) => till::host(screen, address, &verb).await,
        Command::Queue(verb) => queue::queue(screen, address, &verb).await,
        Command::Sale(sale) => trade::sale(screen, address, &sale).await,
        Command::Void(void) => trade::void(screen, address, &void).await,
        Command::Refund(refund) => trade::refund(screen, address, &refund).await,
        Command::Balance(balance) => trade::balance(screen, address, &balance).await,
        Command::PreAuth(verb) => trade::pre_auth(screen, address, &verb).await,
        Command::Settle(settle) => books::settle(screen, address, &settle).await,
        Command::Ledger(verb) => books::ledger(screen, address, &verb).await,
        Command::Backup(verb) => backup::backup(screen, address, &verb).await,
        Command::Explain { which } => explain::explain(screen, address, &which).await,
        Command::Txn(verb) => txn::txn(screen, address, &verb).await,
        Command::Reprint(wanted) => txn::reprint(screen, address, &wanted).await,
        Command::Link(verb) => link::link(screen, address, &verb).await,
        Command::Reader(verb) => status::readers(screen, address, &verb).await,
        Command::Printer(verb) => printer::printer(screen, address, &verb).await,
        Command::Test(wanted) => care::test(screen, address, &wanted).await,
        Command::Security => care::security(screen, address).await,
        Command::Report { file } => backup::report(screen, address, &file).await,
        Command::Doctor => doctor::doctor(screen, address).await,
        Command::Monitor { count } => monitor::monitor(screen, address, count).await,
        Command::Schema { form } => Ok(schema::schema(screen, form)),
        Command::Config(verb) => config::config(screen, address, &verb).await,
        Command::Decode(what) => decode::run(screen, &what),
        Command::Completions { shell } => Ok(completions(screen, shell)),
    }
}

/// What the shell must know to complete posctl's command lines.
fn completions(screen: &Screen, shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "posctl", &mut script);
    let script = String::from_utf8_lossy(&script);
    screen.answer(json!({ "shell": shell.to_string(), "script": script }), &script);
    Exit::Done
}

/// Completes at the first SIGINT, SIGTERM, SIGHUP or SIGQUIT.
fn interrupted() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let catch = |kind| signal(kind).map_err(|error| Failure::io("signals cannot be caught", &error));
    let mut interrupt = catch(SignalKind::interrupt())?;
    let mut terminate = catch(SignalKind::terminate())?;
    let mut hangup = catch(SignalKind::hangup())?;
    let mut quit = catch(SignalKind::quit())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    })
}
