//! A whole conversation of the kernel with a card, its holder and its bank, in memory: for tests, fuzzing and counts.
use crate::domain::emv::apdu::{CommandApdu, Exchange, ExchangeStep, Protocol, ResponseApdu};
use crate::domain::emv::kernel::{Conclusion, HostAnswer, Input, Kernel, KernelError, Output, PinResult};
use crate::domain::emv::params::{EmvConfig, TxnParams};

use super::card::{Card, Reply};

/// How many steps a conversation may take. Far above the longest that the limits of the kernel's phases allow.
pub const STEPS_MAX: usize = 4000;

/// Who stands at the terminal.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Which of the offered applications is chosen, from 0; the last one if there are fewer.
    pub choice: usize,
    /// The PIN; `None`: nothing is entered.
    pub pin: Option<String>,
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

/// Lets the kernel talk to the end. `bank` is asked when the card wants it; it may look at the chip.
pub fn hold<C: Chip>(
    config: &EmvConfig,
    params: &TxnParams,
    chip: &mut C,
    holder: &Holder,
    mut bank: impl FnMut(&mut C) -> HostAnswer,
) -> End {
    let (mut kernel, mut output) = Kernel::start(config, params.clone());
    for _ in 0..STEPS_MAX {
        let input = match output {
            Output::Transmit(command) => match chip.answer(&command) {
                Some(answer) => Input::Response(answer),
                None => return kernel.gone().map_or(End::Gone, |end| End::Concluded(Box::new(end))),
            },
            Output::Choose(candidates) => match candidates.get(holder.choice).or_else(|| candidates.last()) {
                Some(chosen) => Input::Chosen(chosen.aid.clone()),
                None => return End::Endless,
            },
            Output::AskPin(_) => {
                Input::PinDone(if holder.pin.is_some() { PinResult::Entered } else { PinResult::Bypassed })
            }
            Output::GoOnline(_) => Input::Host(bank(chip)),
            Output::Done(conclusion) => return End::Concluded(conclusion),
        };
        match kernel.step(input) {
            Ok(next) => (kernel, output) = next,
            Err(error) => return End::Broken(error),
        }
    }
    End::Endless
}
