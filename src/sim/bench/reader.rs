//! The same card conversation over pcscd: posd's card thread and kernel against the test terminal of the crate `emv`,
//! in one run, turn by turn. The card's own log is the clock: from the first command to the last.
use super::super::conversation::{self, Chip, End, Holder};
use super::super::vpcd::Bench;
use super::{median, tell};
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu};
use crate::domain::emv::kernel::{HostAnswer, Verdict};
use crate::ports::{CardCommand, CardEvent, ReaderStatus};
use crate::sim::card::test_capk;
use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// How often each terminal has its turn. So many, because one turn differs from the next by more than the terminals do.
const ROUNDS: usize = 80;
/// So many pairs of turns may fail: the other terminal misses a card now and then.
const FAILED_MAX: usize = 4;
/// Longest wait for the card to be noticed.
const NOTICED_IN: Duration = Duration::from_secs(10);
/// Longest turn of one terminal.
const TURN_IN: Duration = Duration::from_secs(20);
/// How often a program is asked whether it has ended; the card's log is the clock, so this is in no figure.
const POLL: Duration = Duration::from_millis(2);
/// A CDA card without a PIN, with limits, so that both terminals read its counters.
const CARD: &str =
    "preset = 'cda'\nprotocol = 't1'\ncvm-list = '1F00'\nobjects = { 9F14 = '7E', 9F23 = '7F' }\n";

/// A place to send card commands to; false: the card thread is gone.
pub type ToCard = Box<dyn Fn(CardCommand) -> bool>;
/// Starts the card thread, which sends its events there.
pub type OpenReader = fn(mpsc::Sender<CardEvent>) -> Result<ToCard, Error>;

/// The card in the reader, as the engine has it.
struct Reader {
    send: ToCard,
    events: mpsc::Receiver<CardEvent>,
    runtime: Runtime,
    id: u64,
    next: Option<CommandApdu>,
}

impl Reader {
    /// The first event that is wanted.
    fn until<T>(&mut self, wanted: impl Fn(CardEvent) -> Option<T>) -> Option<T> {
        let Self { events, runtime, .. } = self;
        runtime.block_on(async {
            tokio::time::timeout(NOTICED_IN, async {
                loop {
                    if let Some(found) = wanted(events.recv().await?) {
                        return Some(found);
                    }
                }
            })
            .await
            .ok()?
        })
    }

    fn next_id(&mut self) -> u64 {
        self.id = self.id.saturating_add(1);
        self.id
    }
}

impl Chip for Reader {
    fn follows(&mut self, next: Option<CommandApdu>) {
        self.next = next;
    }

    fn answer(&mut self, command: &CommandApdu) -> Option<ResponseApdu> {
        let id = self.next_id();
        let next = self.next.take();
        if !(self.send)(CardCommand::Transmit { id, command: command.clone(), next }) {
            return None;
        }
        self.until(|event| match event {
            CardEvent::Response { id: of, result } if of == id => Some(result.ok()),
            _ => None,
        })?
    }
}

/// Waits until no card is in the reader.
pub(super) fn wait_until_empty(open: OpenReader) -> Result<(), Error> {
    let empty = |event| match event {
        CardEvent::Readers(readers) => {
            let is_empty = |reader: &ReaderStatus| reader.contactless || !reader.card_present;
            (!readers.is_empty() && readers.iter().all(is_empty)).then_some(())
        }
        _ => None,
    };
    start(open)?.until(empty).ok_or_else(|| Error::other("the reader is not empty"))
}

fn start(open: OpenReader) -> Result<Reader, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, events) = mpsc::channel(16);
    Ok(Reader { send: open(sender)?, events, runtime, id: 0, next: None })
}

/// One purchase with the card in the reader. The bank approves and proves nothing, as the other test terminal has it.
pub(super) fn pay(open: OpenReader) -> Result<(), Error> {
    let mut reader = start(open)?;
    let present = |event| match event {
        CardEvent::Inserted => Some(()),
        _ => None,
    };
    reader.until(present).ok_or_else(|| Error::other("no card is noticed"))?;
    let id = reader.next_id();
    (reader.send)(CardCommand::PowerOn { id });
    let powered = reader.until(|event| match event {
        CardEvent::Powered { result, .. } => Some(result),
        _ => None,
    });
    powered.ok_or_else(|| Error::other("no power"))?.map_err(Error::other)?;
    let holder = Holder { choice: 0, pin: None };
    let (config, params) = (conversation::terminal(), conversation::purchase());
    let end = conversation::hold(&config, &params, &mut reader, &holder, |_, _| HostAnswer::Answered {
        approved: true,
        response_code: *b"00",
        issuer_authentication: None,
        scripts: Vec::new(),
    });
    match end {
        End::Concluded(conclusion) if conclusion.verdict == Verdict::Approved => Ok(()),
        End::Concluded(conclusion) => Err(Error::other(format!("{:?}", conclusion.verdict))),
        end => Err(Error::other(format!("{end:?}"))),
    }
}

/// Both terminals: commands of a conversation, and its time, the median of all turns.
pub(super) struct Turns {
    pub(super) ours: (usize, Duration),
    pub(super) theirs: (usize, Duration),
    /// The ratio of two turns that followed each other, the middle of all: between these two with 95 %.
    pub(super) between: (f64, f64),
}

/// The bounds that the median of what was drawn has with 95 %, by the ranks of the sorted values: no shape of the
/// distribution is assumed. David and Nagaraja, Order Statistics, 3rd edition, §7.1. Spec: unverified.
fn median_between(values: &mut [f64]) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    // 1.96 standard deviations of a coin that is thrown so often, half a square root each, to both sides of the middle.
    let reach = values.len().isqrt().saturating_mul(98).div_ceil(100);
    let middle = values.len() / 2;
    let at = |rank: usize| values.get(rank.min(values.len().saturating_sub(1))).copied().unwrap_or_default();
    (at(middle.saturating_sub(reach).saturating_sub(1)), at(middle.saturating_add(reach)))
}

/// Measures, if the test terminal is there: `program` is posd-sim, `other` the crate's own program.
pub(super) fn measure(program: &Path, other: Option<&Path>, folder: &Path) -> Result<Option<Turns>, Error> {
    let Some(other) = other.filter(|path| path.exists()) else {
        tell("no test terminal of the crate emv: conversations over pcscd are not compared");
        return Ok(None);
    };
    fs::create_dir_all(folder)?;
    let (card, settings) = (folder.join("card.toml"), write_settings(folder)?);
    fs::write(&card, CARD)?;
    let card = card.to_string_lossy();
    let bench = match Bench::start() {
        Ok(bench) => bench,
        Err(skip) => {
            tell(&skip.to_string());
            return Ok(None);
        }
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let round = |ours: &mut Vec<_>, theirs: &mut Vec<_>| {
        let (mut we, mut they) = (Command::new(program), Command::new(other));
        let own = turn(&bench, &card, we.args(["chip", "--card", "cda", "--reader"]), "");
        until_empty(&bench, program)?;
        let own = own?;
        let other = turn(&bench, &card, they.args(&settings), "00\n");
        until_empty(&bench, program)?;
        theirs.push(other?);
        ours.push(own);
        Ok::<_, Error>(())
    };
    let mut failed = 0;
    while ours.len() < ROUNDS {
        let Err(error) = round(&mut ours, &mut theirs) else { continue };
        failed += 1;
        // A row that is missing says so; the rest of the table is worth its minutes.
        if failed > FAILED_MAX {
            tell(&format!("conversations over pcscd are not compared: {error}"));
            return Ok(None);
        }
        tell(&format!("a pair of conversations does not count: {error}"));
    }
    let of = |turns: &mut Vec<(usize, Duration)>| {
        let count = turns.first().map_or(0, |(count, _)| *count);
        (count, median(&mut turns.iter().map(|(_, time)| *time).collect::<Vec<_>>()))
    };
    let ratio = |(ours, theirs): (&(usize, Duration), &(usize, Duration))| ours.1.div_duration_f64(theirs.1);
    let between = median_between(&mut ours.iter().zip(&theirs).map(ratio).collect::<Vec<_>>());
    Ok(Some(Turns { ours: of(&mut ours), theirs: of(&mut theirs), between }))
}

/// pcscd has seen that the card is out. One that comes back before that is taken for the same one, still powered.
fn until_empty(bench: &Bench, program: &Path) -> Result<(), Error> {
    let arguments = ["chip", "--card", "cda", "--empty"];
    let status = Command::new(program).args(arguments).env("PCSCLITE_CSOCK_NAME", bench.socket()).status()?;
    if status.success() { Ok(()) } else { Err(Error::other("the card is not seen to leave")) }
}

/// The card goes in, a program talks to it, the card goes out: how many commands it saw, and in which time.
fn turn(bench: &Bench, card: &str, program: &mut Command, input: &str) -> Result<(usize, Duration), Error> {
    use std::io::Write as _;
    bench.insert(card)?;
    let mut child = program
        .env("PCSCLITE_CSOCK_NAME", bench.socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let status = ended(&mut child);
    let log = bench.apdus()?;
    bench.remove()?;
    let status =
        status.map_err(|error| Error::other(format!("{}: {error}", program.get_program().display())))?;
    if !status.success() {
        return Err(Error::other(format!("{program:?} failed: {status}")));
    }
    let times: Vec<u64> = log.iter().filter_map(|entry| entry.get("us")?.as_u64()).collect();
    match times.as_slice() {
        [first, .., last] => Ok((times.len(), Duration::from_micros(last.saturating_sub(*first)))),
        _ => Err(Error::other("the card saw no conversation")),
    }
}

/// How a program ended; one that does not within its time is killed, and that is an error. The crate's terminal waits
/// for a card without end.
fn ended(child: &mut Child) -> Result<ExitStatus, Error> {
    let until = Instant::now() + TURN_IN;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Err(Error::other(format!("no end of a conversation within {} s", TURN_IN.as_secs())));
        }
        std::thread::sleep(POLL);
    }
}

/// Settings of the other terminal that make it see the card as ours does; its arguments.
fn write_settings(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let key = test_capk([0xA0, 0, 0, 0x03, 0x33]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let files = [
        (
            "terminal",
            "ifd_serial_number = \"POSD0001\"\nterminal_country_code = 156\nterminal_type = \"22\"\n\
             terminal_capabilities = \"E0F8C8\"\ncardholder_selection_and_confirmation_supported = true\n\
             additional_terminal_capabilities = \"6000F0A001\"\n"
                .to_owned(),
        ),
        (
            "aids",
            "[defaults]\nmerchant_category_code = 5411\nmerchant_identifier = \"102290054110001\"\n\
             merchant_name_and_location = \"POSD TEST\"\nterminal_identification = \"12345678\"\n\
             transaction_currency_code = 156\ntransaction_currency_exponent = 2\n\
             partial_match_allowed = true\ndefault_ddol = \"9F3704\"\nterminal_floor_limit = 0\n\
             [[aids]]\naid = \"A000000333\"\napplication_version_number = \"0030\"\n\
             tac_denial = \"0010000000\"\ntac_online = \"D84004F800\"\ntac_default = \"D84000A800\"\n"
                .to_owned(),
        ),
        (
            "capk",
            format!(
                "[[capk_rsa]]\nrid = \"{}\"\nindex = \"{:02X}\"\nmodulus = \"{}\"\nexponent = \"{}\"\n",
                hex(&key.rid),
                key.index,
                hex(&key.modulus),
                hex(&key.exponent),
            ),
        ),
    ];
    let mut arguments = Vec::new();
    for (name, text) in files {
        let path = folder.join(format!("{name}.toml"));
        fs::write(&path, text)?;
        arguments.extend([PathBuf::from(format!("--{name}")), path]);
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a hundred values the median lies between the 40th and the 61st: the usual table's ranks.
    #[test]
    fn the_median_has_bounds() {
        let mut values: Vec<f64> = (1..=100_u8).rev().map(f64::from).collect();
        assert_eq!(median_between(&mut values), (40.0, 61.0));
        assert_eq!(median_between(&mut [2.0]), (2.0, 2.0));
        assert_eq!(median_between(&mut []), (0.0, 0.0));
    }
}
