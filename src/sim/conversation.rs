//! A whole conversation of the kernel with a card, its holder and its bank, in memory: for tests, fuzzing and counts.
use crate::domain::calendar::LocalTime;
use crate::domain::emv::apdu::{CommandApdu, Exchange, ExchangeStep, Protocol, ResponseApdu};
use crate::domain::emv::kernel::{
    CardSummary, Conclusion, HostAnswer, Input, Kernel, KernelError, Output, PinKind, PinResult,
};
use crate::domain::emv::params::{Aid, AidEntry, EmvConfig, Purpose, TerminalData, TxnParams};
use crate::domain::money::{Amount, Currency};
use crate::domain::secret::{ClearPin, PinSeed};

use super::card::{Card, Reply, test_capk};

/// How many steps a conversation may take. Far above the longest that the limits of the kernel's phases allow.
pub const STEPS_MAX: usize = 4000;

/// RIDs of the preset cards: UnionPay and Visa.
const RIDS: [[u8; 5]; 2] = [[0xA0, 0, 0, 0x03, 0x33], [0xA0, 0, 0, 0, 0x03]];

/// An attended terminal that can everything.
#[must_use]
pub fn shop() -> TerminalData {
    TerminalData {
        country_code: [0x01, 0x56],
        terminal_type: 0x22,
        capabilities: [0xE0, 0xF8, 0xC8],
        additional_capabilities: [0x60, 0x00, 0xF0, 0xA0, 0x01],
        merchant_category_code: [0x54, 0x11],
        ifd_serial: *b"POSD0001",
        terminal_id: *b"12345678",
        merchant_id: *b"102290054110001",
        merchant_name: b"POSD TEST".to_vec(),
    }
}

/// An application whose sales all go to the bank; longer names match too. `None` for what is no AID.
#[must_use]
pub fn application(aid: &[u8]) -> Option<AidEntry> {
    Some(AidEntry {
        aid: Aid::new(aid)?,
        partial_match: true,
        version: [0x00, 0x30],
        tac_default: [0xD8, 0x40, 0x00, 0xA8, 0x00],
        tac_online: [0xD8, 0x40, 0x04, 0xF8, 0x00],
        tac_denial: [0x00, 0x10, 0x00, 0x00, 0x00],
        floor_limit: 0,
        random_threshold: 0,
        random_max_percent: 0,
        random_target_percent: 0,
        default_ddol: vec![0x9F, 0x37, 0x04],
        online_pin: true,
    })
}

/// That terminal, which knows the preset cards and their test CA, and asks the bank each time.
#[must_use]
pub fn terminal() -> EmvConfig {
    EmvConfig {
        terminal: shop(),
        aids: RIDS.iter().filter_map(|rid| application(rid)).collect(),
        capks: RIDS.into_iter().map(test_capk).collect(),
        revoked: [].into(),
    }
}

/// A purchase of 12.34 yuan on a fixed day, with fixed numbers.
#[must_use]
pub fn purchase() -> TxnParams {
    TxnParams {
        amount: Amount::from_minor(1234).unwrap_or(Amount::ZERO),
        amount_other: Amount::ZERO,
        currency: Currency::CNY,
        transaction_type: 0,
        now: LocalTime { year: 2026, month: 11, day: 22, hour: 9, minute: 30, second: 0 },
        unpredictable_number: [1, 2, 3, 4],
        sequence_counter: 7,
        selection_roll: 50,
        pin_seed: PinSeed::new([9; 32]),
        purpose: Purpose::Pay,
        watch: None,
    }
}

/// Who stands at the terminal.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Which of the offered applications is chosen, from 0; the last one if there are fewer.
    pub choice: usize,
    /// The PIN; `None`: nothing is entered.
    pub pin: Option<String>,
}

impl Holder {
    /// The same PIN each time it is asked.
    fn enters(&self, kind: PinKind) -> PinResult {
        match (kind, self.pin.as_deref().and_then(|digits| ClearPin::new(digits.as_bytes()).ok())) {
            (_, None) => PinResult::Bypassed,
            (PinKind::Online, Some(_)) => PinResult::Entered,
            (PinKind::OfflinePlain | PinKind::OfflineEnciphered, Some(pin)) => PinResult::Typed(pin),
        }
    }
}

/// How a conversation ended.
#[derive(Clone, Debug)]
pub enum End {
    /// As EMV ends it.
    Concluded(Box<Conclusion>),
    /// Somebody broke the rules.
    Broken(KernelError),
    /// The card answers no more.
    Gone,
    /// It did not end within [`STEPS_MAX`].
    Endless,
}

/// Anything that answers commands. `None`: it is gone, or mute.
pub trait Chip {
    /// Answers one command, 61xx and 6Cxx done.
    fn answer(&mut self, command: &CommandApdu) -> Option<ResponseApdu>;

    /// Is told what will follow the next command.
    fn follows(&mut self, _next: Option<CommandApdu>) {}
}

impl Chip for Card {
    fn answer(&mut self, command: &CommandApdu) -> Option<ResponseApdu> {
        exchange(self, command)
    }
}

/// Sends a command to a card as a reader would.
pub fn exchange(card: &mut Card, command: &CommandApdu) -> Option<ResponseApdu> {
    let protocol: Protocol = card.profile().protocol;
    let (mut exchange, mut bytes) = Exchange::start(command.clone(), protocol).ok()?;
    loop {
        let Reply::Answer(raw) = card.transmit(&bytes) else { return None };
        match exchange.answered(&raw).ok()? {
            ExchangeStep::Done(response) => return Some(response),
            ExchangeStep::Send(next, wire) => (exchange, bytes) = (next, wire),
        }
    }
}

/// Lets the kernel talk to the end. `bank` is asked when the card wants it; it may look at the chip, and at what the
/// terminal would send it.
pub fn hold<C: Chip>(
    config: &EmvConfig,
    params: &TxnParams,
    chip: &mut C,
    holder: &Holder,
    mut bank: impl FnMut(&mut C, &CardSummary) -> HostAnswer,
) -> End {
    let (mut kernel, mut output) = Kernel::start(config, params.clone());
    for _ in 0..STEPS_MAX {
        let input = match output {
            Output::Transmit(command) => {
                chip.follows(kernel.ahead());
                match chip.answer(&command) {
                    Some(answer) => Input::Response(answer),
                    None => return kernel.gone().map_or(End::Gone, |end| End::Concluded(Box::new(end))),
                }
            }
            Output::Choose(candidates) => match candidates.get(holder.choice).or_else(|| candidates.last()) {
                Some(chosen) => Input::Chosen(chosen.aid.clone()),
                None => return End::Endless,
            },
            Output::AskPin(request) => Input::PinDone(holder.enters(request.kind)),
            Output::GoOnline(summary) => Input::Host(bank(chip, &summary)),
            Output::Done(conclusion) => return End::Concluded(conclusion),
        };
        match kernel.step(input) {
            Ok(next) => (kernel, output) = next,
            Err(error) => return End::Broken(error),
        }
    }
    End::Endless
}
