//! The kernel of the terminal and a simulated card that signs: verdict, TVR and TSI of each kind of authentication,
//! good, spoilt, meddled with on the line, and cut off. That another terminal sees the same is in the suite
//! (`second_terminal`).
use super::*;
use crate::domain::emv::apdu::CommandApdu;
use crate::domain::emv::kernel::{Conclusion, HostAnswer, Verdict};
use crate::sim::conversation::{Chip, End, Holder, exchange, hold, purchase};

/// Somebody on the line between terminal and card, who counts the commands.
struct Line {
    card: Card,
    seen: Vec<CommandApdu>,
    /// Changes the last byte of the answer to this command: INS, and which one of these.
    meddle: Option<(u8, usize)>,
    /// Pulls the card at this command.
    pull: Option<u8>,
}

impl Line {
    fn new(profile: &str) -> Self {
        let card = Bench::changed(profile).0;
        Self { card, seen: Vec::new(), meddle: None, pull: None }
    }

    fn count(&self, ins: u8) -> usize {
        self.seen.iter().filter(|command| command.ins == ins).count()
    }

    fn run(&mut self, offline: bool) -> End {
        self.card.inserted();
        self.seen.clear();
        let holder = Holder { choice: 0, pin: Some("1234".to_owned()) };
        let mut config = conversation::terminal();
        for entry in &mut config.aids {
            if offline {
                (entry.tac_default, entry.tac_online, entry.floor_limit) = ([0; 5], [0, 0, 0, 0x80, 0], 2000);
            }
        }
        let approves = |_: &mut Self, _: &_| HostAnswer::Answered {
            approved: true,
            response_code: *b"00",
            issuer_authentication: None,
            scripts: Vec::new(),
        };
        hold(&config, &purchase(), self, &holder, approves)
    }

    fn concludes(&mut self, offline: bool) -> Conclusion {
        match self.run(offline) {
            End::Concluded(conclusion) => *conclusion,
            end => panic!("{end:?}"),
        }
    }
}

impl Chip for Line {
    fn answer(&mut self, command: &CommandApdu) -> Option<ResponseApdu> {
        self.seen.push(command.clone());
        if self.pull == Some(command.ins) {
            return None;
        }
        let mut answer = exchange(&mut self.card, command)?;
        if self.meddle == Some((command.ins, self.count(command.ins))) {
            *answer.data.last_mut().unwrap() ^= 1;
        }
        Some(answer)
    }
}

/// Verdict, TVR, TSI, and how often the card was asked for a signature and for a cryptogram.
fn check(line: &mut Line, offline: bool, verdict: Verdict, tvr: [u8; 5], tsi: u8, asked: (usize, usize)) {
    let conclusion = line.concludes(offline);
    let tags = conclusion.card.unwrap().tags;
    let expected = (verdict, tvr.as_slice(), [tsi, 0]);
    let (seen_tvr, seen_tsi) = (tags.value(Tag(0x95)).unwrap(), tags.array(Tag(0x9B)).unwrap());
    assert_eq!((conclusion.verdict, seen_tvr, seen_tsi), expected);
    assert_eq!((line.count(0x88), line.count(0xAE)), asked);
}

/// Good cards of each kind are authenticated, and the objects that come out of signatures are there.
#[test]
fn good_signatures_leave_a_clean_record() {
    for (oda, first, asked, found) in
        [("sda", 0x02, (0, 2), 0x9F45), ("dda", 0x00, (1, 2), 0x9F4C), ("cda", 0x00, (0, 2), 0x9F4C)]
    {
        let mut line = Line::new(&format!("oda = '{oda}'"));
        check(&mut line, false, Verdict::Approved, [first, 0, 4, 0x80, 0], 0xE8, asked);
        let tags = line.concludes(false).card.unwrap().tags;
        assert!(tags.value(Tag(found)).is_some_and(|value| value.len() >= 2), "{oda}");
        assert_eq!(tags.value(Tag(0x9F26)).map(<[u8]>::len), Some(8), "{oda}");
    }
}

/// A bit that somebody changes in a signature is noticed; the sale goes on as the action codes say.
#[test]
fn a_changed_dynamic_signature_fails_and_goes_on() {
    let mut line = Line::new("oda = 'dda'");
    line.meddle = Some((0x88, 1));
    check(&mut line, false, Verdict::Approved, [0x08, 0, 4, 0x80, 0], 0xE8, (1, 2));
    assert_eq!(line.concludes(false).card.unwrap().tags.value(Tag(0x9F4C)), None);
}

/// An ARQC whose signature is changed is never shown to the bank: an AAC is asked at once. EMV 4.4 Book 4 §6.3.2.1.
#[test]
fn a_changed_first_signature_declines_without_the_bank() {
    let mut line = Line::new("oda = 'cda'");
    line.meddle = Some((0xAE, 1));
    check(&mut line, false, Verdict::DeclinedOffline, [0x04, 0, 4, 0x80, 0], 0xE8, (0, 2));
    let cryptograms: Vec<u8> =
        line.seen.iter().filter(|command| command.ins == 0xAE).map(|command| command.p1).collect();
    assert_eq!(cryptograms, [0x90, 0x00]);
    // And a TC is none: the card is not asked again.
    let mut line = Line::new("preset = 'approves-offline'\noda = 'cda'");
    line.meddle = Some((0xAE, 1));
    check(&mut line, true, Verdict::DeclinedOffline, [0x04, 0, 0, 0, 0], 0xE8, (0, 1));
}

/// Goal: a wrong signature that claims a TC where the bank was wanted is a decline, and no fault of the conversation.
#[test]
fn a_wrong_signature_that_claims_more_than_was_asked_declines() {
    let mut line = Line::new("oda = 'cda'\nspoilt = 'cryptogram cid'");
    check(&mut line, false, Verdict::DeclinedOffline, [0x04, 0, 4, 0x80, 0], 0xE8, (0, 1));
}

/// A TC after the bank's approval whose signature is changed is no approval: the bank gets a reversal.
#[test]
fn a_changed_second_signature_declines_what_the_bank_approved() {
    let mut line = Line::new("oda = 'cda'");
    line.meddle = Some((0xAE, 2));
    check(&mut line, false, Verdict::DeclinedByCard, [0x04, 0, 4, 0x80, 0], 0xE8, (0, 2));
}

/// What a card lacks is missing, not merely wrong; without its keys it is not asked to sign, and the action codes see
/// the failure already in the first GENERATE AC.
#[test]
fn missing_data_is_told_and_no_signature_is_asked() {
    for (oda, failed) in [("sda", 0x42), ("dda", 0x08), ("cda", 0x04)] {
        let mut line = Line::new(&format!("oda = '{oda}'\nobjects = {{ 90 = '' }}"));
        check(&mut line, false, Verdict::Approved, [0x20 | failed, 0, 4, 0x80, 0], 0xE8, (0, 2));
        assert!(line.seen.iter().filter(|command| command.ins == 0xAE).all(|command| command.p1 & 0x10 == 0));
    }
}

/// A list for the challenge without the unpredictable number would let a copy repeat an old signature: DDA fails. Where
/// the card has no list the terminal's serves.
#[test]
fn a_challenge_must_hold_the_unpredictable_number() {
    let mut line = Line::new("oda = 'dda'\nobjects = { 9F49 = '9F3602' }");
    check(&mut line, false, Verdict::Approved, [0x08, 0, 4, 0x80, 0], 0xE8, (0, 2));
    let mut line = Line::new("oda = 'dda'\nobjects = { 9F49 = '' }");
    line.run(false);
    let challenge = line.seen.iter().find(|command| command.ins == 0x88).unwrap();
    assert_eq!(challenge.data, [1, 2, 3, 4]);
}

/// A card pulled while it signs ends the conversation without an outcome; the kernel invents none.
#[test]
fn a_card_pulled_while_it_signs_is_gone() {
    for (oda, ins) in [("dda", 0x88), ("cda", 0xAE)] {
        let mut line = Line::new(&format!("oda = '{oda}'"));
        line.pull = Some(ins);
        assert!(matches!(line.run(false), End::Gone), "{oda}");
        assert_eq!(line.seen.last().map(|command| command.ins), Some(ins));
    }
}
