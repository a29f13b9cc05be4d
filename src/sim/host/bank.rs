//! The bank's judgement: what one request is answered with, and what it does to the books.
//!
//! It speaks sign-on (0800/003), sign-off (0820/002), echo (0820/301), sale (0200) and reversal (0400); all
//! else is refused with 40. It injects no faults; a refusal wanted by a rule comes in as an argument.
//! Source: field lists and response codes of public UnionPay terminal and host code; which code answers
//! which fault is our choice where marked.
use std::collections::BTreeMap;
use std::io;

use crate::domain::calendar::LocalTime;
use crate::domain::emv::tlv::{Tag, TagStore};
use crate::domain::ident::{MerchantId, TerminalId};
use crate::domain::iso8583::{De, Message};
use crate::domain::secret::{ClearPin, Pan, PinBlock};
use crate::domain::unionpay::de55;
use crate::domain::unionpay::issuer::{ClearMak, clear_pin, key_block};
use crate::domain::unionpay::keys::{MasterKey, WorkingKeys};
use crate::sim::issuer;

use super::ledger::{Effect, Key, Ledger, Reversal, Row, Standing};

/// DE 32 and the second half of DE 44. Choice: invented.
const ACQUIRER: &str = "01025810";
/// First half of DE 44: whose card it is. Choice: invented.
const ISSUER: &str = "03080000";
/// What a reversal must repeat of its original beside amount, terminal, batch and STAN.
const REPEATED: [De; 6] =
    [De::PROCESSING_CODE, De::ENTRY_MODE, De::CONDITION, De::MERCHANT, De::CURRENCY, De::PRIVATE_60];
/// What a reversal must not carry: tracks, PIN and RRN.
const NOT_IN_REVERSAL: [De; 6] =
    [De::TRACK2, De::TRACK3, De::PIN_CAPTURE, De::PIN_BLOCK, De::SECURITY, De::RRN];

/// What the bank knows of its customers and of itself.
#[derive(Clone)]
pub struct BankSettings {
    /// Terminal master key (TMK) of every terminal.
    pub tmk: MasterKey,
    /// Issuer master key (IMK) of every card.
    pub imk: [u8; 16],
    /// Terminals and the merchant of each.
    pub terminals: Vec<(TerminalId, MerchantId)>,
    /// PINs of cards that have another than `default_pin`.
    pub pins: Vec<(Pan, ClearPin)>,
    /// The PIN of all other cards.
    pub default_pin: ClearPin,
    /// Hands out MAC keys of double length instead of single.
    pub double_mak: bool,
    /// Hands out these keys for PINs and MACs at each sign-on instead of new ones, so that a test can look for them.
    pub session_keys: Option<([u8; 16], [u8; 16])>,
    /// Hands out this batch number at sign-on instead of echoing the terminal's.
    pub batch: Option<u32>,
    /// Books a sale that comes after its own reversal, instead of refusing it with 12.
    pub books_late: bool,
}

/// An answer before it is packed.
pub(super) struct Answer {
    /// All elements but the MAC.
    pub(super) message: Message,
    /// With these it is signed; without it has no MAC.
    pub(super) keys: Option<WorkingKeys>,
    /// Why it is a refusal, for the log.
    pub(super) why: &'static str,
}

/// A refusal: DE 39 and the reason for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    code: String,
    why: &'static str,
}

fn refuse<T>(code: &str, why: &'static str) -> Result<T, Refusal> {
    Err(Refusal { code: code.to_owned(), why })
}

/// The bank and its books.
pub(super) struct Bank {
    pub(super) settings: BankSettings,
    pub(super) ledger: Ledger,
    sessions: BTreeMap<String, WorkingKeys>,
    serial: u32,
}

impl Bank {
    pub(super) const fn new(settings: BankSettings, ledger: Ledger) -> Self {
        Self { settings, ledger, sessions: BTreeMap::new(), serial: 0 }
    }

    /// Forgets all working keys, as after a restart: the next financial message is refused with A0.
    pub(super) fn forget_keys(&mut self) {
        self.sessions.clear();
    }

    /// Judges a request. `packed` is its bytes from MTI to the end; `decline` refuses it with this code
    /// whatever it is.
    ///
    /// # Errors
    /// No randomness, or the ledger cannot be written.
    pub(super) fn answer(
        &mut self,
        request: &Message,
        packed: &[u8],
        decline: Option<&str>,
        now: LocalTime,
    ) -> io::Result<Answer> {
        self.serial = self.serial.checked_add(1).filter(|serial| *serial < 1_000_000).unwrap_or(1);
        let mut answer = self.frame_of_answer(request, now);
        let mut keys = None;
        let judged = match (request.mti(), management_code(request)) {
            ("0800", Some("003")) => self.sign_on(request, decline, &mut answer)?,
            ("0820", Some("301")) => self.known(request),
            ("0820", Some("002")) => self.known(request).map(|()| self.sign_off(request)),
            ("0200" | "0400", _) => match self.authentic(request, packed) {
                Ok(session) => {
                    let judged = if request.mti() == "0200" {
                        self.sale(request, &session, decline, &mut answer)?
                    } else {
                        self.reversal(request, decline, &answer)?
                    };
                    keys = Some(session);
                    judged
                }
                Err(refusal) => Err(refusal),
            },
            _ => refuse("40", "this kind of message is not supported"),
        };
        let (code, why) = judged.map_or_else(|no| (no.code, no.why), |()| ("00".to_owned(), ""));
        answer.set(De::RESPONSE_CODE, code);
        Ok(Answer { message: answer, keys, why })
    }

    /// What every answer has: the request's own elements, time, acquirer and RRN.
    fn frame_of_answer(&self, request: &Message, now: LocalTime) -> Message {
        let mti = request.mti().parse::<u16>().unwrap_or_default().saturating_add(10);
        let mut answer = Message::new(&format!("{mti:04}"));
        let echoed =
            [3, 4, 11, 25, 41, 42, 49, 60].into_iter().filter_map(De::new).filter(|de| request.has(*de));
        for de in echoed {
            answer.set_some(de, request.bytes(de));
        }
        let time = format!("{:02}{:02}{:02}", now.hour, now.minute, now.second);
        answer.set(De::RRN, format!("{time}{:06}", self.serial));
        answer.set(De::TIME, time).set(De::DATE, now.mmdd()).set(De::ACQUIRER, ACQUIRER);
        answer
    }

    /// Terminal and merchant are registered, and belong together.
    fn known(&self, request: &Message) -> Result<(), Refusal> {
        let terminal = request.text(De::TERMINAL).unwrap_or_default();
        let merchant = request.text(De::MERCHANT).unwrap_or_default();
        match self.settings.terminals.iter().find(|(known, _)| known.as_str() == terminal) {
            None => refuse("97", "unknown terminal"),
            Some((_, known)) if known.as_str() != merchant => refuse("03", "unknown merchant"),
            Some(_) => Ok(()),
        }
    }

    /// The terminal is registered and signed on, and the MAC is right.
    fn authentic(&self, request: &Message, packed: &[u8]) -> Result<WorkingKeys, Refusal> {
        self.known(request)?;
        let session = self.sessions.get(request.text(De::TERMINAL).unwrap_or_default());
        match session {
            None => refuse("A0", "not signed on"),
            Some(keys) if request.has(De::MAC) && keys.verifies(packed) => Ok(keys.clone()),
            Some(_) => refuse("A0", "wrong MAC"),
        }
    }

    fn sign_on(
        &mut self,
        request: &Message,
        decline: Option<&str>,
        answer: &mut Message,
    ) -> io::Result<Result<(), Refusal>> {
        if let Err(refusal) = self.known(request).and_then(|()| declined(decline)) {
            return Ok(Err(refusal));
        }
        let mut pik = [0; 16];
        let mut mak = [0; 16];
        match self.settings.session_keys {
            Some(keys) => (pik, mak) = keys,
            None => {
                getrandom::fill(&mut pik)
                    .and_then(|()| getrandom::fill(&mut mak))
                    .map_err(io::Error::other)?;
            }
        }
        let (single, _) = mak.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        let mak = if self.settings.double_mak { ClearMak::Double(mak) } else { ClearMak::Single(*single) };
        let block = key_block(&self.settings.tmk, &pik, &mak, None);
        let session = WorkingKeys::open(&self.settings.tmk, &block).map_err(io::Error::other)?;
        self.sessions.insert(request.text(De::TERMINAL).unwrap_or_default().to_owned(), session);
        answer.set(De::PRIVATE_62, block);
        if let (Some(batch), Some(sixty)) = (self.settings.batch, request.text(De::PRIVATE_60)) {
            let (kind, rest) = (sixty.get(..2).unwrap_or_default(), sixty.get(8..).unwrap_or_default());
            answer.set(De::PRIVATE_60, format!("{kind}{batch:06}{rest}"));
        }
        Ok(Ok(()))
    }

    fn sign_off(&mut self, request: &Message) {
        self.sessions.remove(request.text(De::TERMINAL).unwrap_or_default());
    }

    fn sale(
        &mut self,
        request: &Message,
        keys: &WorkingKeys,
        decline: Option<&str>,
        answer: &mut Message,
    ) -> io::Result<Result<(), Refusal>> {
        let (key, amount) = match numbers(request) {
            Ok(numbers) => numbers,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let standing = self.ledger.standing(&key);
        if standing == Standing::Repeated {
            self.ledger.repeat(&key)?;
            return Ok(refuse("94", "this STAN was used in this batch"));
        }
        let card = Card::read(request);
        let judged = if standing == Standing::AfterReversal && !self.settings.books_late {
            refuse("12", "its reversal came first")
        } else {
            declined(decline)
                .and_then(|()| card.as_ref().map_err(Clone::clone))
                .and_then(|card| self.judge(request, amount, card, keys))
        };
        let rrn = answer.text(De::RRN).unwrap_or_default().to_owned();
        let mut auth_code = String::new();
        if let (Ok(proof), Ok(card)) = (&judged, &card) {
            auth_code = format!("A{:05}", self.serial % 100_000);
            answer.set(De::AUTH_CODE, &auth_code).set(De::PAN, card.pan.reveal());
            answer.set_some(De::SETTLEMENT_DATE, answer.text(De::DATE).map(str::to_owned));
            for de in [De::EXPIRY, De::CARD_SEQUENCE] {
                answer.set_some(de, request.bytes(de));
            }
            answer.set(De::ADDITIONAL_RESPONSE, format!("{ISSUER:<11}{ACQUIRER:<11}"));
            answer.set(De::PRIVATE_63, "CUP").set_some(De::ICC, proof.as_ref());
        }
        self.ledger.enter(Row {
            terminal: key.terminal,
            batch: key.batch,
            stan: key.stan,
            amount,
            state: if judged.is_ok() { Effect::Held } else { Effect::Declined },
            response_code: judged.as_ref().err().map_or("00", |refusal| &refusal.code).to_owned(),
            rrn,
            auth_code,
            pan: card.map(|card| card.pan.masked()).unwrap_or_default(),
            requests_seen: 1,
            reversals_seen: 0,
            booked_late: false,
            repeats: repeated(request),
        })?;
        Ok(judged.map(|_| ()))
    }

    /// Judges card, PIN, chip and amount; gives DE 55 of the answer where there is a chip.
    fn judge(
        &self,
        request: &Message,
        amount: u64,
        card: &Card,
        keys: &WorkingKeys,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        if request.text(De::PROCESSING_CODE) != Some("000000") || message_type(request) != Some("22") {
            return refuse("40", "only sales are supported");
        }
        if amount == 0 {
            return refuse("13", "the amount is zero");
        }
        self.check_pin(request, card, keys)?;
        if card.has_chip { self.check_chip(request, card).map(Some) } else { Ok(None) }
    }

    /// Compares the PIN, where one came. Choice: 99 for a block that is not ISO 9564-1 format 0 under the
    /// session's key.
    fn check_pin(&self, request: &Message, card: &Card, keys: &WorkingKeys) -> Result<(), Refusal> {
        let announced = request.text(De::ENTRY_MODE).is_some_and(|mode| mode.ends_with('1'));
        let Some(block) = request.bytes(De::PIN_BLOCK) else {
            return if announced { refuse("30", "DE 22 tells of a PIN, DE 52 is missing") } else { Ok(()) };
        };
        let block = <[u8; 8]>::try_from(block).map(PinBlock::new);
        let Some(pin) = block.ok().and_then(|block| clear_pin(keys, &block, &card.pan)) else {
            return refuse("99", "the PIN block cannot be read");
        };
        let own = self.settings.pins.iter().find(|(pan, _)| *pan == card.pan).map(|(_, pin)| pin);
        if pin == *own.unwrap_or(&self.settings.default_pin) { Ok(()) } else { refuse("55", "wrong PIN") }
    }

    /// Verifies the ARQC and makes tag 91. Choice: A7 where nothing can be verified, 05 where it is wrong.
    fn check_chip(&self, request: &Message, card: &Card) -> Result<Vec<u8>, Refusal> {
        let Some(tags) = request.bytes(De::ICC).and_then(read_tags) else {
            return refuse("30", "DE 55 is missing or unreadable");
        };
        let signed_amount: String =
            tags.value(Tag(0x9F02)).unwrap_or_default().iter().map(|byte| format!("{byte:02X}")).collect();
        if request.text(De::AMOUNT) != Some(&signed_amount) {
            return refuse("13", "tag 9F02 is not the amount of DE 4");
        }
        let imk = &self.settings.imk;
        match issuer::verify_arqc(imk, &card.pan, card.sequence, &tags) {
            Err(_) => return refuse("A7", "the ARQC cannot be verified"),
            Ok(false) => return refuse("05", "wrong ARQC"),
            Ok(true) => {}
        }
        match issuer::authentication_data(imk, &card.pan, card.sequence, &tags, *b"00") {
            Ok(proof) => Ok([&[0x91, 10], proof.as_slice()].concat()),
            Err(_) => refuse("A7", "no ARPC can be made"),
        }
    }

    /// A reversal of an original that was refused, or reversed before, is answered 00: nothing is held.
    fn reversal(
        &mut self,
        request: &Message,
        decline: Option<&str>,
        answer: &Message,
    ) -> io::Result<Result<(), Refusal>> {
        let checked = declined(decline).and_then(|()| numbers(request)).and_then(|numbers| {
            match NOT_IN_REVERSAL.iter().find(|de| request.has(**de)) {
                Some(_) => refuse("30", "a reversal carries no track, PIN or RRN"),
                None if !request.has(De::RESPONSE_CODE) => refuse("30", "DE 39, the reason, is missing"),
                None => Ok(numbers),
            }
        });
        let (key, amount) = match checked {
            Ok(numbers) => numbers,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(original) = self.ledger.row(&key).filter(|row| row.requests_seen > 0) {
            if original.amount != amount {
                return Ok(refuse("64", "DE 4 is not the original's"));
            }
            if original.repeats != repeated(request) {
                return Ok(refuse("30", "DE 3, 22, 25, 42, 49 or 60 is not the original's"));
            }
        }
        Ok(match self.ledger.reverse(&key, amount, answer.text(De::RRN).unwrap_or_default())? {
            Reversal::Done | Reversal::NothingHeld => Ok(()),
            Reversal::NotFound => refuse("25", "no such original"),
        })
    }
}

/// Turns a rule's wish into a refusal.
fn declined(code: Option<&str>) -> Result<(), Refusal> {
    code.map_or(Ok(()), |code| refuse(code, "a rule wants it"))
}

/// What of the card a sale is judged by.
struct Card {
    pan: Pan,
    sequence: u8,
    has_chip: bool,
}

impl Card {
    fn read(request: &Message) -> Result<Self, Refusal> {
        let track = request.text(De::TRACK2).and_then(|track| track.split('D').next());
        let digits = request.text(De::PAN).or(track).unwrap_or_default();
        let Ok(pan) = Pan::new(digits) else { return refuse("14", "no card number") };
        let sequence = request.text(De::CARD_SEQUENCE).and_then(|psn| psn.parse().ok()).unwrap_or(0);
        let mode = request.text(De::ENTRY_MODE).unwrap_or_default();
        Ok(Self { pan, sequence, has_chip: mode.starts_with("05") || mode.starts_with("07") })
    }
}

fn read_tags(icc: &[u8]) -> Option<TagStore> {
    let mut tags = TagStore::default();
    for object in de55::objects(icc).ok()? {
        tags.put(object.tag, object.value);
    }
    Some(tags)
}

/// Terminal, batch, STAN and amount, without which nothing can be booked.
fn numbers(request: &Message) -> Result<(Key, u64), Refusal> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let batch = number(request.text(De::PRIVATE_60).and_then(|sixty| sixty.get(2..8)));
    let stan = number(request.text(De::STAN));
    let amount = request.text(De::AMOUNT).and_then(|text| text.parse().ok());
    match (request.text(De::TERMINAL), batch, stan, amount) {
        (Some(terminal), Some(batch), Some(stan), Some(amount)) => {
            Ok((Key { terminal: terminal.to_owned(), batch, stan }, amount))
        }
        _ => refuse("30", "DE 4, 11, 41 or 60 is missing"),
    }
}

/// DE 60.1.
fn message_type(request: &Message) -> Option<&str> {
    request.text(De::PRIVATE_60)?.get(..2)
}

/// DE 60.3.
fn management_code(request: &Message) -> Option<&str> {
    request.text(De::PRIVATE_60)?.get(8..11)
}

fn repeated(request: &Message) -> BTreeMap<u8, String> {
    let text = |de: De| request.text(de).map(|text| (de.number(), text.to_owned()));
    REPEATED.into_iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::iso8583::{Frame, unpack};
    use crate::domain::unionpay::dialect::DIALECT;
    use crate::sim::host::Config;

    const SYNTHETIC: &str = include_str!("../../../tests/data/iso8583/synthetic.txt");
    const NOW: LocalTime = LocalTime { year: 2026, month: 1, day: 15, hour: 9, minute: 31, second: 5 };

    /// The bytes of one entry of the data file, from the MTI on, and the message in them.
    fn vector(name: &str) -> (Vec<u8>, Message) {
        let block = SYNTHETIC.split("\n== ").find(|block| block.split(' ').next() == Some(name)).unwrap();
        let digits: String = block.lines().filter_map(|line| line.strip_prefix("hex ")).collect();
        let bytes: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect();
        let packed = Frame::parse(&bytes[2..]).unwrap().message.clone();
        let message = unpack(&DIALECT, &packed).unwrap();
        (packed, message)
    }

    /// A bank that has answered the terminal with the keys of B2.
    fn bank() -> Bank {
        let settings = Config::test().unwrap().bank;
        let block = vector("B2").1.bytes(De::PRIVATE_62).unwrap().to_vec();
        let keys = WorkingKeys::open(&settings.tmk, &block).unwrap();
        let mut bank = Bank::new(settings, Ledger::open(None).unwrap());
        bank.sessions.insert("10000001".to_owned(), keys);
        bank
    }

    fn code(bank: &mut Bank, (packed, message): &(Vec<u8>, Message)) -> String {
        let answer = bank.answer(message, packed, None, NOW).unwrap();
        answer.message.text(De::RESPONSE_CODE).unwrap().to_owned()
    }

    /// Sign-on B1 is answered with the elements of B2, and its keys open under the master key.
    #[test]
    fn the_published_form_of_a_sign_on_is_answered_in_the_published_form() {
        let (packed, request) = vector("B1");
        let mut bank = Bank::new(Config::test().unwrap().bank, Ledger::open(None).unwrap());
        let answer = bank.answer(&request, &packed, None, NOW).unwrap();
        let elements = |message: &Message| message.fields().map(|(de, _)| de.number()).collect::<Vec<_>>();
        let published = vector("B2").1;
        assert_eq!(elements(&answer.message), elements(&published));
        for de in [De::STAN, De::TERMINAL, De::MERCHANT, De::PRIVATE_60, De::RESPONSE_CODE, De::ACQUIRER] {
            assert_eq!(answer.message.text(de), published.text(de), "{de}");
        }
        let block = answer.message.bytes(De::PRIVATE_62).unwrap();
        assert_eq!(block.len(), 40);
        assert!(WorkingKeys::open(&bank.settings.tmk, block).is_ok());
        assert!(answer.keys.is_none(), "a sign-on has no MAC");
    }

    /// Sale B3 with its PIN block and MAC is approved, then its reversal B7 is done; a bent MAC is refused.
    #[test]
    fn the_synthetic_sale_and_its_reversal_are_believed() {
        let mut bank = bank();
        let (sale, reversal) = (vector("B3"), vector("B7"));
        let mut bent = sale.clone();
        *bent.0.last_mut().unwrap() ^= 1;
        assert_eq!(code(&mut bank, &bent), "A0");
        assert_eq!(bank.ledger.rows().len(), 0);
        assert_eq!(code(&mut bank, &sale), "00");
        assert_eq!(bank.ledger.held(), (1000, 1));
        assert_eq!(code(&mut bank, &reversal), "00");
        assert_eq!(bank.ledger.held(), (0, 0));
        assert_eq!(code(&mut bank, &sale), "94");
    }

    /// The answer to B3 has the elements of B4 (the expiry aside, which a swiped request does not tell) and
    /// a MAC.
    #[test]
    fn an_approval_has_the_elements_of_the_published_form() {
        let mut bank = bank();
        let (packed, request) = vector("B3");
        let answer = bank.answer(&request, &packed, None, NOW).unwrap();
        let mut elements: Vec<u8> = answer.message.fields().map(|(de, _)| de.number()).collect();
        elements.push(De::MAC.number());
        let published: Vec<u8> = vector("B4").1.fields().map(|(de, _)| de.number()).collect();
        assert_eq!(elements, published.into_iter().filter(|de| *de != 14).collect::<Vec<_>>());
        assert!(answer.keys.is_some());
        let reversal = vector("B7");
        let answer = bank.answer(&reversal.1, &reversal.0, None, NOW).unwrap();
        let elements: Vec<u8> = answer.message.fields().map(|(de, _)| de.number()).collect();
        let published: Vec<u8> = vector("B8").1.fields().map(|(de, _)| de.number()).collect();
        assert_eq!(elements, published.into_iter().filter(|de| *de != 64).collect::<Vec<_>>());
    }

    #[test]
    fn what_it_does_not_speak_is_refused_with_40() {
        let mut bank = bank();
        for name in ["B10", "B12", "B16", "B20", "B28"] {
            let refused = code(&mut bank, &vector(name));
            assert!(["40", "30"].contains(&refused.as_str()), "{name}: {refused}");
        }
        assert_eq!(bank.ledger.held(), (0, 0));
    }
}
