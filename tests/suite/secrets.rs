//! Nothing secret leaves the daemon but where it must: log, bus, disk, paper and the bank's own log are searched
//! after a day's business, in every form in which a secret could stand there.
use crate::support::{Options, PASSWORD, Till, Typed, with_till};
use posd::domain::secret::{ClearPin, Pan};
use posd::domain::unionpay::issuer::{ClearMak, key_block};
use posd::domain::unionpay::keys::{MasterKey, WorkingKeys};
use posd::sim::host::TEST_TMK;
use posd::sim::host::rules::{Fault, Rule};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use zbus::export::ordered_stream::OrderedStreamExt;

/// The number of the simulated cards.
const PAN: &str = "6225880012345675";
/// What follows it on track 2: expiry, service code.
const TRACK2_REST: &str = "D3012";
/// Long enough not to stand anywhere by chance.
const PIN: &str = "739582610457";
const WRONG_PIN: &str = "840271936550";
/// The keys that the bank hands out.
const PIK: [u8; 16] = *b"\x91\x3e\xb5\x58\x0d\xc4\x2f\x67\xa8\x1c\x73\xe6\x49\x9d\xf2\x04";
const MAK: [u8; 16] = *b"\x6b\xd0\x15\xfe\x83\x29\xca\x74\x6b\xd0\x15\xfe\x83\x29\xca\x74";

/// Goal: after sales that were approved, declined, lost, reprinted and mistyped, no card number, track 2, PIN, PIN
/// block, password or clear key is in the log (at `trace`), on the bus, on the disk, on paper or in the bank's log.
#[test]
fn no_secret_is_left_anywhere_after_a_day() {
    let options = Options {
        response_timeout_s: 1,
        log: "trace",
        bank: |bank| {
            bank.bank.default_pin = ClearPin::new(PIN.as_bytes()).unwrap();
            bank.bank.session_keys = Some((PIK, MAK));
        },
        ..Options::default()
    };
    with_till(options, async |till| {
        let mut traffic = listen_in(till).await;
        day(till).await;
        let paper = till.paper(3).await.join("\n");
        let bank = serde_json::to_string(&till.acquirer.messages().unwrap()).unwrap();
        till.stop_daemon().await;
        let mut bus = Vec::new();
        while let Ok(bytes) = traffic.try_recv() {
            bus.extend(bytes);
        }
        let disk = files(&till.state_dir());
        let log = till.log();
        // The search is worth something only if there is something to search in.
        assert!(
            log.contains("posd::engine") && log.contains("DEBUG") | log.contains("TRACE"),
            "a log at trace"
        );
        assert!(find(&bus, b"StartTransaction") && find(&bus, b"622588******5675"), "the bus was heard");
        assert!(disk.iter().any(|(_, bytes)| find(bytes, b"622588******5675")), "the journal was read");
        assert!(paper.contains("6225 88** **** 5675") && bank.contains("622588******5675"));

        let mut places = vec![
            ("the log".to_owned(), log.into_bytes()),
            ("the bus".to_owned(), bus),
            ("the paper".to_owned(), paper.replace(' ', "").into_bytes()),
            ("the bank's log".to_owned(), bank.into_bytes()),
        ];
        places.extend(disk.into_iter().map(|(path, bytes)| (path.display().to_string(), bytes)));
        // The bank's own log has the MAC of each message in digits, one in ten of which would do for a card number.
        for (place, bytes) in places.iter().filter(|(place, _)| place != "the bank's log") {
            assert_eq!(card_numbers(bytes), Vec::<String>::new(), "in {place}");
        }
        for (name, form) in secrets() {
            for (place, bytes) in &places {
                assert!(!find(bytes, &form), "{name} as {:?} is in {place}", String::from_utf8_lossy(&form));
            }
        }
    });
}

/// Whatever could be a card number, whosever: as many digits in a row, of a brand, with the right check digit (ISO/IEC
/// 7812-1). Times in µs begin with 1, which no brand does.
pub(crate) fn card_numbers(bytes: &[u8]) -> Vec<String> {
    let runs = bytes.split(|byte| !byte.is_ascii_digit());
    let fits =
        |run: &&[u8]| (13..=19).contains(&run.len()) && (b'3'..=b'6').contains(&run[0]) && is_luhn(run);
    runs.filter(fits).map(|run| String::from_utf8_lossy(run).into_owned()).collect()
}

fn is_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(digit - b'0');
            let doubled = if at % 2 == 1 { digit * 2 } else { digit };
            doubled / 10 + doubled % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Goal: the search for card numbers finds one.
#[test]
fn a_card_number_would_be_found() {
    assert_eq!(card_numbers(b"txn 6225880012345675, 6225880012345676"), ["6225880012345675"]);
    assert_eq!(card_numbers(PAN.as_bytes()), [PAN]);
    assert!(card_numbers(b"1764212345678901 622588******5675").is_empty());
}

/// A sale, a reprint, a wrong PIN, a refusal, a lost answer, each with PIN.
async fn day(till: &mut Till) {
    till.typed.send_replace(Typed::Pin(PIN));
    till.open().await;
    till.put_card("unionpay");
    let sale = till.sale("s-1", 1250).await;
    assert_eq!(till.finished(&sale).await.outcome, "approved");
    till.plies_are(&sale, "confirmed").await;
    let job = till.transaction(&sale).await.reprint("customer", Default::default()).await.unwrap();
    till.until_is(job.as_str(), "PrintJob.State", "confirmed").await;
    let expected = [
        ("s-2", WRONG_PIN, None, "declined"),
        ("s-3", PIN, Some(Fault::Decline("51".to_owned())), "declined"),
        ("s-4", PIN, Some(Fault::Drop), "unknown"),
        ("s-5", PIN, Some(Fault::BadMac), "unknown"),
    ];
    for (request, pin, fault, outcome) in expected {
        till.take_card().await;
        till.typed.send_replace(Typed::Pin(pin));
        if let Some(fault) = fault {
            till.acquirer.rule(Rule::once("0200", fault)).unwrap();
        }
        till.put_card("unionpay");
        let sale = till.sale(request, 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, outcome, "{request}");
        till.timeline(&sale).await;
        till.nothing_owed().await;
    }
    drop(till.sign_on("01", "kasse-7731-sued").await);
}

/// Every byte on the bus from now on, as a monitor hears it.
async fn listen_in(till: &Till) -> mpsc::UnboundedReceiver<Vec<u8>> {
    let monitor = till.bus.connect().await;
    let mut messages = zbus::MessageStream::from(&monitor);
    let monitoring = zbus::fdo::MonitoringProxy::new(&monitor).await.unwrap();
    monitoring.become_monitor(&[], 0).await.unwrap();
    let (heard, traffic) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let _kept = monitor;
        while let Some(Ok(message)) = OrderedStreamExt::next(&mut messages).await {
            if heard.send(message.data().bytes().to_vec()).is_err() {
                return;
            }
        }
    });
    traffic
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if entry.file_name() != "storage-key" {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

/// Each secret by name, in each form.
fn secrets() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    let track2 = format!("{PAN}{TRACK2_REST}");
    for (name, digits) in
        [("the card number", PAN), ("track 2", &track2), ("the PIN", PIN), ("the wrong PIN", WRONG_PIN)]
    {
        all.extend(forms(digits.as_bytes()).map(|form| (name, form)));
        all.extend(forms(&bcd(digits)).map(|form| (name, form)));
        let groups: Vec<&str> =
            digits.as_bytes().chunks(4).map(|four| std::str::from_utf8(four).unwrap()).collect();
        all.push((name, groups.join(" ").into_bytes()));
    }
    let tmk = MasterKey::from_bytes(TEST_TMK);
    let (single, _) = MAK.split_first_chunk().unwrap();
    let block = key_block(&tmk, &PIK, &ClearMak::Single(*single), None);
    let keys = WorkingKeys::open(&tmk, &block).unwrap();
    let pan = Pan::new(PAN).unwrap();
    for pin in [PIN, WRONG_PIN] {
        let sealed = keys.pin_block(&ClearPin::new(pin.as_bytes()).unwrap(), &pan);
        all.extend(forms(sealed.reveal()).map(|form| ("a PIN block", form)));
        all.extend(forms(&clear_block(pin)).map(|form| ("a clear PIN block", form)));
    }
    for (name, key) in
        [("the PIN key", PIK.as_slice()), ("the MAC key", single), ("the master key", &TEST_TMK)]
    {
        all.extend(forms(key).map(|form| (name, form)));
    }
    all.extend(forms(&block).map(|form| ("the key block", form)));
    for password in [PASSWORD, "kasse-7731-sued"] {
        all.extend(forms(password.as_bytes()).map(|form| ("a password", form)));
    }
    all
}

/// Bytes as they are, as hex in both cases, and as Rust's `Debug` shows them.
fn forms(bytes: &[u8]) -> [Vec<u8>; 4] {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let list: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    [bytes.to_vec(), hex.clone().into_bytes(), hex.to_lowercase().into_bytes(), list.join(", ").into_bytes()]
}

/// Two digits a byte, `D` as on track 2; an odd one is filled.
fn bcd(digits: &str) -> Vec<u8> {
    let nibble = |c: Option<&u8>| c.and_then(|c| char::from(*c).to_digit(16)).unwrap_or(0) as u8;
    let odd = digits.len() % 2;
    // Without the last digit where it would have to be filled.
    digits.as_bytes()[..digits.len() - odd]
        .chunks(2)
        .map(|two| nibble(two.first()) << 4 | nibble(two.get(1)))
        .collect()
}

/// ISO 9564 format 0 before encryption: length, PIN and filling, against the twelve rightmost digits without the last.
fn clear_block(pin: &str) -> Vec<u8> {
    let filled = format!("0{:X}{pin:F<14}", pin.len());
    let account = format!("0000{}", &PAN[PAN.len() - 13..PAN.len() - 1]);
    bcd(&filled).iter().zip(bcd(&account)).map(|(a, b)| a ^ b).collect()
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Goal: the daemon that is shipped has no simulator and no cut point in it. `POSD_PLAIN` is the folder of such a
/// build; without one the test says so and passes, because making one takes minutes.
#[test]
fn the_shipped_daemon_has_no_simulator_in_it() {
    let folder = std::env::var_os("POSD_PLAIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/plain/debug"), PathBuf::from);
    let Ok(plain) = std::fs::read(folder.join("posd")) else {
        println!("skipped: no plain build in {}", folder.display());
        return;
    };
    let ours = std::fs::read(env!("CARGO_BIN_EXE_posd")).unwrap();
    for word in ["POSD_CUT", "posd::sim", "before store Sending"] {
        assert!(!find(&plain, word.as_bytes()), "{word} is in the shipped daemon");
    }
    assert!(find(&ours, b"POSD_CUT"), "the search finds what is there");
}
