//! The control socket: one command a line, one line of JSON back.
//!
//! ```text
//! rule [sticky] MTI|* [type=NN] [amount=N] [stan=N] [nth=N] FAULT [ARGUMENT]
//! rules · clear · release · listen · no-listen · hang-up · forget-keys · batch N|echo
//! books-late on|off · totals-code on|off · foreign [PAN]…
//! table capk|aid|lacking [HEX]… · table parameters|contactless HEX
//! table blacklist [PAN]… · table page N
//! downloads · ledger · ledger-sum · batches · messages · wait-for MTI COUNT TIMEOUT_MS
//! ```
//! Faults: see [`Fault`](super::rules::Fault), and `src/docs/simulator.md` for people.
//! Answers: `{"ok":true,…}` or `{"ok":false,"error":"…"}`.
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::Remote;
use super::rules::Rule;
use crate::domain::secret::Pan;

/// The longest command.
const COMMAND_MAX: u64 = 4096;
/// How long a tester may refuse to take an answer.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// The longest wait that may be asked for.
const WAIT_MAX_MS: u64 = 600_000;

/// Serves one tester until it hangs up.
pub(super) fn serve(remote: &Remote, stream: &UnixStream) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_MAX))?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        let read = reader.by_ref().take(COMMAND_MAX).read_line(&mut line)?;
        if read == 0 {
            return Ok(());
        }
        if !line.ends_with('\n') && u64::try_from(read).is_ok_and(|read| read >= COMMAND_MAX) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut answer = obey(remote, &line).unwrap_or_else(|why| json!({ "ok": false, "error": why }));
        if let Some(object) = answer.as_object_mut() {
            object.entry("ok").or_insert(Value::Bool(true));
        }
        (&*stream).write_all(format!("{answer}\n").as_bytes())?;
    }
}

fn obey(remote: &Remote, line: &str) -> Result<Value, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let gone = |error: io::Error| error.to_string();
    match words.as_slice() {
        ["rule", rest @ ..] => {
            let rule = Rule::parse(rest).map_err(|error| error.to_string())?;
            remote.rule(rule).map_err(gone)?;
        }
        ["rules"] => return Ok(json!({ "rules": remote.rules().map_err(gone)? })),
        ["clear"] => remote.clear_rules().map_err(gone)?,
        ["release"] => return Ok(json!({ "released": remote.release().map_err(gone)? })),
        ["listen"] => remote.accept_connections().map_err(gone)?,
        ["no-listen"] => remote.refuse_connections().map_err(gone)?,
        ["hang-up"] => remote.hang_up().map_err(gone)?,
        ["forget-keys"] => remote.forget_keys().map_err(gone)?,
        ["batch", "echo"] => remote.hand_out_batch(None).map_err(gone)?,
        ["batch", number] => {
            let number = number.parse().ok().filter(|number| (1..=999_999).contains(number));
            remote.hand_out_batch(Some(number.ok_or("batch must be 1 to 999999, or echo")?)).map_err(gone)?;
        }
        ["books-late", word @ ("on" | "off")] => remote.book_late(*word == "on").map_err(gone)?,
        ["totals-code", word @ ("on" | "off")] => {
            remote.leave_out_totals_code(*word == "off").map_err(gone)?
        }
        ["foreign", numbers @ ..] => {
            let cards = numbers.iter().map(|digits| Pan::new(digits)).collect::<Result<_, _>>();
            remote.foreign(cards.map_err(|error| error.to_string())?).map_err(gone)?;
        }
        ["table", table, values @ ..] => remote.set_table(table, values).map_err(gone)?,
        ["downloads"] => return Ok(json!({ "asked": remote.download_questions().map_err(gone)? })),
        ["batches"] => return Ok(json!({ "batches": remote.batches().map_err(gone)? })),
        ["ledger"] => return Ok(json!({ "ledger": remote.ledger().map_err(gone)? })),
        ["ledger-sum"] => {
            let (amount, count) = remote.held().map_err(gone)?;
            return Ok(json!({ "held": amount, "count": count }));
        }
        ["messages"] => return Ok(json!({ "messages": remote.messages().map_err(gone)? })),
        ["wait-for", mti, count, timeout] => {
            let count = count.parse().map_err(|_| "COUNT must be a number")?;
            let timeout = timeout.parse().ok().filter(|ms| *ms <= WAIT_MAX_MS);
            let timeout = Duration::from_millis(timeout.ok_or("TIMEOUT_MS must be at most 600000")?);
            return Ok(json!({ "seen": remote.wait_for(mti, count, timeout).map_err(gone)? }));
        }
        other => return Err(format!("unknown command {:?}", other.first().unwrap_or(&""))),
    }
    Ok(json!({}))
}
