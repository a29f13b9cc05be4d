//! The other terminal: built on demand, led over its standard input and output.
use super::ours::{self, Watched};
use super::table::Row;
use super::{Seen, hex};
use posd::domain::emv::apdu::CommandApdu;
use posd::domain::emv::kernel::HostAnswer;
use posd::sim::conversation::Chip as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

/// Builds it, or tells why it cannot be built. Its folder below target outlives the suite, so this is slow once.
pub(super) fn build() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (package, folder) =
        (root.join("tests/tools/emv-terminal/Cargo.toml"), root.join("target/emv-terminal"));
    // `timeout` is the deadline: a network without answers must not hold up the suite.
    let output = Command::new("timeout")
        .args(["600", env!("CARGO"), "build", "--locked", "--quiet", "--manifest-path"])
        .arg(package)
        .arg("--target-dir")
        .arg(&folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("no word").to_owned());
    }
    Ok(folder.join("debug/emv-terminal"))
}

/// The settings of a row, as lines.
fn settings(row: &Row) -> String {
    let (config, params) = (ours::config(row), ours::params(row));
    let terminal = &config.terminal;
    let mut lines = vec![
        format!("type {:02X}", terminal.terminal_type),
        format!("capabilities {}", hex(&terminal.capabilities)),
        format!("additional-capabilities {}", hex(&terminal.additional_capabilities)),
        format!("country {}", hex(&terminal.country_code)),
        format!("terminal-id {}", hex(&terminal.terminal_id)),
        format!("serial {}", hex(&terminal.ifd_serial)),
        format!("category {}", hex(&terminal.merchant_category_code)),
        format!("merchant-id {}", hex(&terminal.merchant_id)),
        format!("merchant-name {}", hex(&terminal.merchant_name)),
        format!("amount {}", params.amount.minor()),
        format!("amount-other {}", params.amount_other.minor()),
        format!("currency {}", hex(&params.currency.numeric_bcd())),
        format!("exponent {}", params.currency.exponent()),
        format!("date {}", hex(&params.now.yymmdd_bcd())),
        format!("time {}", hex(&params.now.hhmmss_bcd())),
        format!("transaction-type {:02X}", params.transaction_type),
        format!("counter {}", params.sequence_counter),
        format!("unpredictable {}", hex(&params.unpredictable_number)),
        format!("roll {}", params.selection_roll),
    ];
    for aid in &config.aids {
        // It refuses percentages without a floor limit.
        let draws = if aid.random_max_percent == 0 {
            "- - -".to_owned()
        } else {
            format!("{} {} {}", aid.random_target_percent, aid.random_max_percent, aid.random_threshold)
        };
        lines.push(format!(
            "aid {} {} {} {} {} {} {} {} {draws}",
            hex(aid.aid.bytes()),
            aid.partial_match,
            hex(&aid.version),
            aid.floor_limit,
            hex(&aid.tac_denial),
            hex(&aid.tac_online),
            hex(&aid.tac_default),
            hex(&aid.default_ddol),
        ));
    }
    for key in config.capks.iter() {
        let (rid, exponent) = (hex(&key.rid), hex(&key.exponent));
        lines.push(format!("capk {rid} {:02X} {exponent} {}", key.index, hex(&key.modulus)));
    }
    lines.push("go\n".to_owned());
    lines.join("\n")
}

/// Runs a row: card, holder and bank answer its lines.
pub(super) fn run(terminal: &Path, row: &Row) -> Seen {
    let mut child = Command::new(terminal)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the second terminal");
    let mut input = child.stdin.take().unwrap();
    input.write_all(settings(row).as_bytes()).unwrap();
    let mut watched = Watched::new(row);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut end = None;
    for line in lines {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["end", word, tvr, tsi, cvm, cid] => {
                end = Some([word, tvr, tsi, cvm, cid].map(|word| (*word).to_owned()))
            }
            [word, rest @ ..] => answer(&mut input, &mut watched, row, word, rest),
            [] => panic!("an empty line"),
        }
    }
    assert!(child.wait().unwrap().success(), "{}: the second terminal ended badly", row.name);
    let [word, tvr, tsi, cvm, cid] = end.expect("its end");
    let commands = watched.commands;
    // It has results from the start; ours are told only where an application was opened and spoken to.
    let opened = word == "approved" || word == "declined";
    let told = |value: String| if opened { value } else { "-".to_owned() };
    Seen { commands, tvr: told(tvr), tsi: told(tsi), cvm: told(cvm), cid: told(cid), word }
}

/// Answers one line.
fn answer(input: &mut ChildStdin, watched: &mut Watched, row: &Row, word: &str, rest: &[&str]) {
    let text = match (word, rest) {
        ("send", [command]) => {
            let bytes: Vec<u8> = (0..command.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&command[at..at + 2], 16).unwrap())
                .collect();
            let response = watched.answer(&CommandApdu::parse(&bytes).unwrap());
            // A card that is gone answers nothing; one byte is no answer either.
            response.map_or_else(|| "00".to_owned(), |response| hex(&response.bytes()))
        }
        ("choose", names) => names.get(row.choice).or(names.last()).unwrap().to_string(),
        ("pin", _) => row.pin.unwrap_or("-").to_owned(),
        ("host", []) => match watched.bank(row.bank) {
            HostAnswer::Unable => "unable".to_owned(),
            HostAnswer::Answered { approved, response_code, issuer_authentication, scripts } => {
                let word = if approved { "approved" } else { "declined" };
                let or_none = |bytes: &[u8]| if bytes.is_empty() { "-".to_owned() } else { hex(bytes) };
                let data = or_none(&issuer_authentication.unwrap_or_default());
                format!("{word} {} {data} {}", hex(&response_code), or_none(&scripts.concat()))
            }
        },
        _ => panic!("{}: the second terminal said {word} {rest:?}", row.name),
    };
    writeln!(input, "{text}").unwrap();
}
