//! The kernel of the terminal and the simulated card, face to face, with the bank behind. No reader between
//! them.
use super::*;
use crate::domain::emv::kernel::{CardSummary, Conclusion, HostAnswer, KernelError, Verdict};
use crate::domain::emv::params::EmvConfig;
use crate::domain::outcome::CvmMethod;
use crate::sim::conversation::{Chip, End, Holder};

/// What the bank does when the card goes online.
#[derive(Clone, Copy)]
enum Bank {
    Approves,
    Declines,
    /// Approves, with an ARPC that is not its own.
    Forged,
    Unreachable,
    /// Approves and sends a script command.
    Script,
}

impl Bank {
    fn answer(self, card: &Card, tags: &TagStore) -> HostAnswer {
        let application = &card.profile.applications[card.volatile.selected.unwrap()];
        let (imk, pan, psn) = (&application.imk, &application.pan, application.sequence);
        assert_eq!(issuer::verify_arqc(imk, pan, psn, tags), Ok(true), "the ARQC is believed");
        let approved = !matches!(self, Self::Declines);
        let response_code = if approved { *b"00" } else { *b"05" };
        let mut answer = issuer::authentication_data(imk, pan, psn, tags, response_code).unwrap();
        if matches!(self, Self::Forged) {
            answer[3] ^= 0x55;
        }
        let script = vec![0x72, 0x0B, 0x86, 0x09, 0x04, 0xDA, 0x9F, 0x58, 0x04, 1, 2, 3, 4];
        match self {
            Self::Unreachable => HostAnswer::Unable,
            _ => HostAnswer::Answered {
                approved,
                response_code,
                issuer_authentication: Some(answer.to_vec()),
                scripts: if matches!(self, Self::Script) { vec![script] } else { Vec::new() },
            },
        }
    }
}

/// Lets the kernel and the card talk to the end.
fn talk(bench: &mut Bench, bank: Bank) -> Result<Conclusion, KernelError> {
    talk_at(&conversation::terminal(), bench, bank)
}

fn talk_at(config: &EmvConfig, bench: &mut Bench, bank: Bank) -> Result<Conclusion, KernelError> {
    bench.0.inserted();
    let holder = Holder { choice: 0, pin: Some("1234".to_owned()) };
    let answer = |card: &mut Card, summary: &CardSummary| bank.answer(card, &summary.tags);
    match conversation::hold(config, &conversation::purchase(), &mut bench.0, &holder, answer) {
        End::Concluded(conclusion) => Ok(*conclusion),
        End::Broken(error) => Err(error),
        end @ (End::Gone | End::Endless) => panic!("{end:?}"),
    }
}

fn verdict(preset: &str, bank: Bank) -> Verdict {
    talk(&mut Bench::preset(preset), bank).unwrap().verdict
}

/// Every preset, with every kind of bank, ends as the table says.
#[test]
fn the_kernel_and_every_preset_come_to_the_right_verdict() {
    for preset in PRESETS {
        let expected = |bank: Bank| match (preset, bank) {
            ("declines-offline", _) => Verdict::DeclinedOffline,
            (_, Bank::Declines) => Verdict::DeclinedOnline,
            (_, Bank::Unreachable) => Verdict::DeclinedUnableOnline,
            ("declines-after-approval", _) | (_, Bank::Forged) => Verdict::DeclinedByCard,
            _ => Verdict::Approved,
        };
        for bank in [Bank::Approves, Bank::Declines, Bank::Forged, Bank::Unreachable, Bank::Script] {
            let given = verdict(preset, bank);
            assert_eq!(given, expected(bank), "{preset}");
        }
    }
}

/// Where terminal and card leave it to the floor limit, a card approves below it without being asked about the bank
/// (Y1), and above it, or where it wants the bank itself, without the bank (Y3); its certificate is believed.
#[test]
fn a_card_that_may_approves_without_the_bank() {
    let mut config = conversation::terminal();
    for entry in &mut config.aids {
        entry.tac_default = [0; 5];
        entry.tac_online = [0, 0, 0, 0x80, 0];
        entry.floor_limit = 2000;
    }
    for (preset, floor_limit, code) in
        [("approves-offline", 2000, "Y1"), ("approves-offline", 1000, "Y3"), ("asks-first", 2000, "Y3")]
    {
        config.aids.iter_mut().for_each(|entry| entry.floor_limit = floor_limit);
        let mut bench = Bench::preset(preset);
        let conclusion = talk_at(&config, &mut bench, Bank::Unreachable).unwrap();
        assert_eq!(conclusion.verdict, Verdict::Approved, "{preset}");
        let tags = conclusion.card.unwrap().tags;
        assert_eq!(tags.value(Tag(0x8A)), Some(code.as_bytes()), "{preset}");
        assert_eq!(tags.value(Tag(0x9F27)), Some(&[0x40][..]), "{preset}");
        assert!(bank(&bench, &tags, *b"00").0, "{preset}");
    }
}

#[test]
fn the_cardholder_is_verified_as_the_card_asks() {
    for (preset, method) in [
        ("unionpay", CvmMethod::OnlinePin),
        ("signature", CvmMethod::Signature),
        ("no-cvm", CvmMethod::NoCvm),
    ] {
        let conclusion = talk(&mut Bench::preset(preset), Bank::Approves).unwrap();
        assert_eq!(conclusion.card.unwrap().cvm, method, "{preset}");
    }
}

/// Broken answers at every step end in an error or a verdict, never in an approval by luck and never in a
/// loop.
#[test]
fn faults_of_the_card_never_end_in_approval() {
    let steps = ["select", "gpo", "read-record", "first-ac", "external-authenticate", "second-ac"];
    for step in steps {
        for kind in ["garbage", "status:6985", "status:6F00"] {
            let mut bench = Bench::preset("unionpay");
            bench.0.add_fault(format!("{step} {kind} always").parse().unwrap());
            let end = talk(&mut bench, Bank::Approves).map(|conclusion| conclusion.verdict);
            // A card that does not like the ARPC may still give its TC: EMV leaves that to the card.
            let may_approve = step == "external-authenticate";
            assert!(may_approve || end != Ok(Verdict::Approved), "{step} {kind}: {end:?}");
        }
    }
}

/// A card that compares what is asked with what was said to follow.
struct Foretold {
    card: Card,
    /// What follows the next command.
    next: Option<CommandApdu>,
    /// What had to follow the last one.
    expected: Option<CommandApdu>,
    foretold: usize,
}

impl Chip for Foretold {
    fn answer(&mut self, command: &CommandApdu) -> Option<ResponseApdu> {
        if let Some(expected) = self.expected.take() {
            assert_eq!(*command, expected);
            self.foretold += 1;
        }
        let answer = self.card.answer(command)?;
        self.expected = self.next.take().filter(|_| answer.status.is_ok());
        if let Some(next) = &self.expected {
            assert!(matches!(next.ins, 0xB2 | 0xCA), "{next:?} could change the card");
        }
        Some(answer)
    }

    fn follows(&mut self, next: Option<CommandApdu>) {
        self.next = next;
    }
}

/// Goal: where the kernel says what follows, that follows, and it only reads; it says so of most records.
#[test]
fn what_is_said_to_follow_follows() {
    for name in PRESETS {
        let (card, bank) = (Bench::preset(name).0, Bank::Approves);
        let mut chip = Foretold { card, next: None, expected: None, foretold: 0 };
        chip.card.inserted();
        let holder = Holder { choice: 0, pin: Some("1234".to_owned()) };
        let answer = |chip: &mut Foretold, summary: &CardSummary| bank.answer(&chip.card, &summary.tags);
        let end = conversation::hold(
            &conversation::terminal(),
            &conversation::purchase(),
            &mut chip,
            &holder,
            answer,
        );
        assert!(chip.foretold >= 2, "{name}: {} {end:?}", chip.foretold);
    }
}
