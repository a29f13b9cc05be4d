//! `posd-sim card`: a simulated card in a virtual reader, commanded over a Unix socket.
//!
//! A line in, a line of JSON out: `insert PRESET` or `insert FILE.toml`, `remove`, `fault STEP KIND
//! [always]`, `fault clear`, `status`, `apdus`. Answers carry `ok`; where it is false, `error` says why. The
//! process lives where vpcd listens, usually in a network namespace; the socket is a file and reaches out of
//! it.
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::card::{Fault, Profile};
use super::vpcd::{self, Slot};

/// Longest line that is read.
const LINE_MAX: u64 = 4096;
/// How many clients may be connected.
const CLIENTS_MAX: usize = 16;
/// Longest profile file.
const PROFILE_MAX: u64 = 64 * 1024;

/// Arguments of `posd-sim card`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where vpcd listens
    #[arg(long, default_value = "127.0.0.1:35963", value_name = "ADDRESS:PORT")]
    vpcd: SocketAddr,
    /// Unix socket that takes the commands
    #[arg(long, value_name = "PATH")]
    control: PathBuf,
    /// Card that is in at the start: a preset or a profile file (*.toml)
    #[arg(long, value_name = "CARD")]
    insert: Option<String>,
    /// End when standard input closes
    #[arg(long)]
    exit_with_stdin: bool,
}

/// Why the card cannot be served.
#[derive(Debug, thiserror::Error)]
enum CardError {
    #[error("control socket {0}: {1}")]
    Control(PathBuf, std::io::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Order(String),
}

/// Serves the card until the process is ended. Writes `ready` to standard output when the socket takes
/// commands.
#[must_use]
pub fn run(args: Args) -> ExitCode {
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CardError::from)
        .and_then(|runtime| runtime.block_on(serve(args)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; then there is nobody to tell.
            drop(writeln!(std::io::stderr(), "posd-sim card: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> Result<(), CardError> {
    let listener = listen(&args.control).map_err(|error| CardError::Control(args.control.clone(), error))?;
    let (slot, task) = vpcd::serve(args.vpcd);
    let slot_task = tokio::spawn(task);
    if let Some(card) = &args.insert {
        insert(&slot, card).await.map_err(CardError::Order)?;
    }
    let end = if args.exit_with_stdin { Some(stdin_end()?) } else { None };
    writeln!(std::io::stdout(), "ready")?;
    tokio::select! {
        () = accept(listener, slot) => {}
        () = ended(end) => {}
    }
    slot_task.abort();
    drop(std::fs::remove_file(&args.control));
    Ok(())
}

/// Listens; a socket file that nobody answers on is a leftover and is replaced.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_err() && path.exists() {
        std::fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

/// Watches standard input on its own thread, because reading it blocks.
fn stdin_end() -> std::io::Result<oneshot::Receiver<()>> {
    let (ended, wait) = oneshot::channel();
    std::thread::Builder::new().name("sim-stdin".to_owned()).spawn(move || {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(1..)) {}
        ended.send(()).ok();
    })?;
    Ok(wait)
}

async fn ended(end: Option<oneshot::Receiver<()>>) {
    match end {
        Some(wait) => drop(wait.await),
        None => core::future::pending().await,
    }
}

async fn accept(listener: UnixListener, slot: Slot) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if clients.len() < CLIENTS_MAX => {
                    clients.spawn(converse(stream, slot.clone()));
                }
                Ok(_) => {} // one too many: closed
                Err(_) => return,
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

/// Answers one client until it closes or sends a line that is too long.
async fn converse(stream: UnixStream, slot: Slot) {
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read);
    loop {
        let mut line = String::new();
        let mut limited = (&mut reader).take(LINE_MAX);
        match limited.read_line(&mut line).await {
            Ok(1..) if line.ends_with('\n') => {}
            _ => return,
        }
        let answer = match obey(&slot, line.trim()).await {
            Ok(mut answer) => {
                answer.insert("ok".to_owned(), Value::Bool(true));
                Value::Object(answer)
            }
            Err(error) => json!({ "ok": false, "error": error }),
        };
        if write.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Does one line.
async fn obey(slot: &Slot, line: &str) -> Result<serde_json::Map<String, Value>, String> {
    let text = |error: vpcd::SlotError| error.to_string();
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut answer = serde_json::Map::new();
    match (word, rest.trim()) {
        ("insert", card) => insert(slot, card).await?,
        ("remove", "") => {
            answer.insert("removed".to_owned(), slot.remove().await.map_err(text)?.into());
        }
        ("fault", "clear") => slot.clear_faults().await.map_err(text)?,
        ("fault", fault) => {
            let fault: Fault = fault.parse().map_err(|error: super::card::FaultSyntax| error.to_string())?;
            slot.fault(fault).await.map_err(text)?;
        }
        ("status", "") => {
            let status = slot.status().await.map_err(text)?;
            answer.insert("card".to_owned(), status.card.into());
            answer.insert("connected".to_owned(), status.connected.into());
            answer.insert("apdus".to_owned(), status.apdus.into());
        }
        ("apdus", "") => {
            let row = |entry: super::card::LogEntry| {
                let super::card::LogEntry { command, length, status, micros } = entry;
                json!({ "command": command, "length": length, "status": status, "us": micros })
            };
            let log = slot.log().await.map_err(text)?;
            answer.insert("apdus".to_owned(), log.into_iter().map(row).collect());
        }
        _ => {
            return Err("one of: insert CARD, remove, fault STEP KIND, fault clear, status, apdus".to_owned());
        }
    }
    Ok(answer)
}

async fn insert(slot: &Slot, card: &str) -> Result<(), String> {
    let profile = if card.ends_with(".toml") {
        let file = std::fs::File::open(card).map_err(|error| format!("{card}: {error}"))?;
        let mut text = String::new();
        file.take(PROFILE_MAX).read_to_string(&mut text).map_err(|error| format!("{card}: {error}"))?;
        Profile::from_toml(&text)
    } else {
        Profile::preset(card)
    };
    slot.insert(card, profile.map_err(|error| error.to_string())?).await.map_err(|error| error.to_string())
}
