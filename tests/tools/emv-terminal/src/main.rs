//! The contact kernel of the crate `emv`, led line by line.
//!
//! First come lines of settings, `KEY VALUE...`, up to `go`. Then the terminal speaks, and each of its lines but the last
//! wants one line of answer:
//!
//! - `send HEX`: a command; answer: the card's bytes in hex
//! - `choose AID...`: answer: one of them
//! - `pin offline` or `pin online`: answer: digits, or `-` where none were entered
//! - `host`: the card wants the bank; answer: `unable`, or `approved|declined ARC TAG91 SCRIPTS` in hex, `-` for none
//! - `end WORD TVR TSI CVM CID`: approved, declined, terminated or error, and what stands in the results then; `-` for none
use std::collections::HashMap;
use std::io::{self, BufRead as _, Write as _};

use emv::contact::online_processing::{OnlineAuthorisationOutcome, OnlineAuthorisationResponse};
use emv::contact::terminal::{Terminal, TerminalApplication};
use emv::contact::transaction::TransactionInputs;
use emv::contact::transaction_driver::Transaction;
use emv::contact::transaction_flow::{self as flow, HostMediated, PinRequirement, TransactionFlowStep as Step};
use emv::core::apdu::{Command, Response};
use emv::core::card_reader::CardReader;
use emv::core::oda::CaPublicKey;
use emv::core::tags;
use emv::core::tlv::Tlv;
use emv::de::additional_terminal_capabilities::AdditionalTerminalCapabilities;
use emv::de::authorisation_response_code::AuthorisationResponseCode;
use emv::de::terminal_capabilities::TerminalCapabilities;
use emv::de::terminal_type::TerminalType;

/// Says a line and takes the answer.
fn ask(line: &str) -> String {
    println!("{line}");
    io::stdout().flush().unwrap();
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).unwrap();
    answer.trim().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn fixed<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().unwrap()
}

/// BCD digits as a number.
fn digits(text: &str) -> u16 {
    text.parse().unwrap()
}

struct Card;

impl CardReader for Card {
    type Error = String;

    fn transmit(&mut self, command: &Command) -> Result<Response, String> {
        let command = command.to_bytes().map_err(|error| format!("{error:?}"))?;
        Response::parse(&bytes(&ask(&format!("send {}", hex(&command))))).map_err(|error| format!("{error:?}"))
    }
}

/// What was set before `go`.
struct Settings {
    values: HashMap<String, String>,
    aids: Vec<TerminalApplication>,
    capks: Vec<CaPublicKey>,
}

impl Settings {
    fn read() -> Self {
        let (mut values, mut aids, mut capks) = (HashMap::new(), Vec::new(), Vec::new());
        for line in io::stdin().lock().lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["go"] => break,
                ["aid", aid, partial, version, floor, denial, online, default, ddol, target, max, threshold] => {
                    aids.push(TerminalApplication {
                        aid: bytes(aid),
                        partial_match_allowed: *partial == "true",
                        application_version_number: fixed(version),
                        terminal_floor_limit: floor.parse().unwrap(),
                        terminal_risk_management_data: None,
                        default_ddol: Some(bytes(ddol)),
                        default_tdol: None,
                        tac_denial: Some(fixed(denial)),
                        tac_online: Some(fixed(online)),
                        tac_default: Some(fixed(default)),
                        // `-`: no random selection.
                        rts_target_percentage: target.parse().ok(),
                        rts_max_target_percentage: max.parse().ok(),
                        rts_threshold_value: threshold.parse().ok(),
                    });
                }
                ["capk", rid, index, exponent, modulus] => capks.push(CaPublicKey {
                    rid: fixed(rid),
                    index: bytes(index)[0],
                    modulus: bytes(modulus),
                    exponent: bytes(exponent),
                }),
                [key, value] => drop(values.insert((*key).to_owned(), (*value).to_owned())),
                _ => panic!("not a setting: {line}"),
            }
        }
        Self { values, aids, capks }
    }

    fn get(&self, key: &str) -> &str {
        self.values.get(key).unwrap_or_else(|| panic!("{key} is not set"))
    }

    fn terminal(&self) -> Terminal {
        Terminal {
            terminal_type: TerminalType(bytes(self.get("type"))[0]),
            terminal_capabilities: TerminalCapabilities::parse(&bytes(self.get("capabilities"))).unwrap(),
            additional_terminal_capabilities: AdditionalTerminalCapabilities::parse(&bytes(
                self.get("additional-capabilities"),
            ))
            .unwrap(),
            terminal_country_code: digits(self.get("country")),
            terminal_identification: fixed(self.get("terminal-id")),
            ifd_serial_number: fixed(self.get("serial")),
            merchant_category_code: digits(self.get("category")),
            merchant_identifier: fixed(self.get("merchant-id")),
            merchant_name_and_location: bytes(self.get("merchant-name")),
            acquirer_identifier: None,
            cardholder_selection_and_confirmation_supported: true,
            applications: self.aids.clone(),
        }
    }

    fn inputs(&self) -> TransactionInputs {
        TransactionInputs {
            amount_authorised: self.get("amount").parse().unwrap(),
            amount_other: self.get("amount-other").parse().unwrap(),
            transaction_currency_code: digits(self.get("currency")),
            transaction_currency_exponent: self.get("exponent").parse().unwrap(),
            transaction_date: fixed(self.get("date")),
            transaction_time: fixed(self.get("time")),
            transaction_type: bytes(self.get("transaction-type"))[0],
            transaction_sequence_counter: self.get("counter").parse().unwrap(),
            unpredictable_number: fixed(self.get("unpredictable")),
        }
    }
}

/// The bank as the one who leads us tells it; `None`: out of reach.
fn host() -> Option<(OnlineAuthorisationResponse, OnlineAuthorisationOutcome)> {
    let answer = ask("host");
    let words: Vec<&str> = answer.split(' ').collect();
    let [word, arc, data, scripts] = words.as_slice() else { return None };
    let given = |text: &str| if text == "-" { Vec::new() } else { bytes(text) };
    let response = OnlineAuthorisationResponse {
        authorisation_response_code: AuthorisationResponseCode(fixed(arc)),
        issuer_authentication_data: (*data != "-").then(|| bytes(data)),
        issuer_scripts: Tlv::parse_all(&given(scripts)).unwrap(),
    };
    let outcome = match *word {
        "approved" => OnlineAuthorisationOutcome::Approved,
        _ => OnlineAuthorisationOutcome::Declined,
    };
    Some((response, outcome))
}

fn main() {
    let settings = Settings::read();
    let (terminal, keys, roll) = (settings.terminal(), &settings.capks, settings.get("roll").parse().ok());
    let mut tx = Transaction::new(Card, &terminal, settings.inputs(), HostMediated);
    let mut step = flow::start(&mut tx, keys, &[], &[], roll);
    let (word, cid) = loop {
        step = match step {
            Ok(Step::SelectApplication { mut candidates }) => {
                let names: Vec<String> = candidates.iter().map(|candidate| hex(&candidate.df_name)).collect();
                let chosen = bytes(&ask(&format!("choose {}", names.join(" "))));
                flow::continue_with_application(&mut tx, keys, &[], &[], roll, &mut candidates, &chosen)
            }
            Ok(Step::CardholderVerification { requirement }) => {
                let offline = matches!(requirement, PinRequirement::OfflinePin);
                let pin = ask(if offline { "pin offline" } else { "pin online" });
                if pin == "-" {
                    flow::bypass_pin_entry(&mut tx, keys, roll)
                } else {
                    let digits: Vec<u8> = pin.bytes().map(|digit| digit - b'0').collect();
                    let fill = |padding: &mut [u8]| {
                        padding.fill(0x5A);
                        true
                    };
                    flow::submit_pin(&mut tx, keys, roll, &digits, fill)
                }
            }
            Ok(Step::OnlineRequest { first_generate_ac }) => match host() {
                Some((response, outcome)) => {
                    flow::submit_authorisation_response(&mut tx, &first_generate_ac, &response, outcome)
                }
                None => flow::submit_unable_to_go_online(&mut tx, &first_generate_ac),
            },
            Ok(Step::Approved { generate_ac }) => break ("approved", generate_ac.cid.to_byte()),
            Ok(Step::Declined { generate_ac }) => break ("declined", generate_ac.cid.to_byte()),
            Ok(Step::Terminated { reason }) => {
                eprintln!("terminated: {reason:?}");
                break ("terminated", 0xFF);
            }
            Err(error) => {
                eprintln!("error: {error:?}");
                break ("error", 0xFF);
            }
        };
    };
    let ctx = &tx.ctx;
    let cvm = ctx.tag_store.get(tags::CVM_RESULTS).map_or_else(|| "-".to_owned(), hex);
    let (tvr, tsi) = (hex(&ctx.tvr.to_bytes()), hex(&ctx.tsi.to_bytes()));
    println!("end {word} {tvr} {tsi} {cvm} {cid:02X}");
}
