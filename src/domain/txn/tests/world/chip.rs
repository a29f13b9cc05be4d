//! The chip of a world: a test card with a PIN of its own where one is wanted, and what goes wrong with its commands.
use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum ChipFault {
    Removed,
    Mute,
    /// Answers with a status word that no phase allows.
    Refuses,
}

/// The chip.
pub(in super::super) struct Chip {
    pub(in super::super) card: TestCard,
    pub(in super::super) present: bool,
    pub(in super::super) powered: bool,
    pub(in super::super) in_directory: bool,
    pub(in super::super) commands: usize,
    pub(in super::super) cryptograms: usize,
    /// Its second cryptogram was a TC.
    pub(in super::super) said_tc: bool,
    /// The PIN that it checks itself.
    pub(in super::super) pin: Option<ChipPin>,
}

/// A PIN with its tries.
pub(in super::super) struct ChipPin {
    pub(in super::super) left: u8,
    /// So many of the next ones are wrong.
    pub(in super::super) wrong: u8,
}

impl ChipPin {
    /// What it says to GET DATA for its counter, to GET CHALLENGE and to VERIFY; `None` to everything else.
    fn answers(&mut self, command: &CommandApdu) -> Option<ResponseApdu> {
        let counter = unhex(&tlv(0x9F17, &format!("{:02X}", self.left)));
        let (data, status) = match command.ins {
            0xCA => (counter, 0x9000),
            0x84 => (vec![5; 8], 0x9000),
            0x20 if self.left == 0 => (Vec::new(), 0x6983),
            0x20 if self.wrong == 0 => (Vec::new(), 0x9000),
            0x20 => {
                (self.left, self.wrong) = (self.left - 1, self.wrong - 1);
                (Vec::new(), 0x63C0 | u16::from(self.left))
            }
            _ => return None,
        };
        Some(ResponseApdu { data, status: StatusWord(status) })
    }
}

impl Chip {
    pub(in super::super) const fn pull(&mut self) {
        self.present = false;
    }

    /// The reader's PIN pad sends VERIFY with a PIN by itself: what the chip answers.
    pub(super) fn pin_from_pad(&mut self) -> Answer {
        let verify = CommandApdu { cla: 0x00, ins: 0x20, p1: 0x00, p2: 0x80, data: vec![0x24; 8], le: None };
        let answer = self.pin.as_mut().and_then(|pin| pin.answers(&verify));
        answer.map_or(Answer::PinNotAvailable, |answer| Answer::PinPresented(answer.status))
    }
}

impl World {
    pub(super) fn transmit(&mut self, command: &CommandApdu) {
        let number = self.chip.commands;
        self.chip.commands += 1;
        let fault = self.faults.iter().find_map(|fault| match fault {
            Fault::Chip(n, fault) if *n == number => Some(*fault),
            _ => None,
        });
        match fault {
            Some(ChipFault::Removed) => {
                self.chip.present = false;
                self.events.push_back(Event::CardRemoved);
            }
            Some(ChipFault::Mute) => {
                return self.events.push_back(Event::CardFailed(CardTrouble::Unreadable));
            }
            Some(ChipFault::Refuses) => {
                let refusal = ResponseApdu { data: Vec::new(), status: StatusWord(0x6F00) };
                return self.events.push_back(Event::CardAnswered(refusal));
            }
            None => {}
        }
        if !self.chip.present {
            return self.events.push_back(Event::CardFailed(CardTrouble::Removed));
        }
        self.chip.in_directory &= command.ins != 0xA8;
        if let Some(answer) = self.chip.pin.as_mut().and_then(|pin| pin.answers(command)) {
            return self.events.push_back(Event::CardAnswered(answer));
        }
        let mut answer = self.chip.card.answers(command, self.chip.in_directory);
        if command.ins == 0xAE {
            self.chip.cryptograms += 1;
            if self.chip.cryptograms == 2 {
                let tc_after_decline = self.bank.declined && command.p1 == 0x40;
                assert!(!(tc_after_decline && self.judged), "a TC is asked for after a decline");
                if self.faults.contains(&Fault::ChipDeclines) {
                    answer.data = unhex(AAC);
                }
                self.chip.said_tc = answer.data.get(2) == Some(&0x40);
            }
        }
        self.events.push_back(Event::CardAnswered(answer));
    }
}
