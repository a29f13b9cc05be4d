//! Fault injection: which request meets which fault. Rules are tried in the order they were set; the first
//! that fits fires, and is gone unless it is sticky.
use std::fmt;

use crate::domain::unionpay::response::APPROVED;

/// What goes wrong. "Books" means: the request is judged and written down as without a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Books, does not answer.
    Drop,
    /// Neither books nor answers.
    DropBefore,
    /// Books, answers this many milliseconds later; other messages on the line are served meanwhile.
    Late(u64),
    /// Books, keeps the answer until `release`.
    Hold,
    /// Books, answers with a wrong MAC.
    BadMac,
    /// Books, answers without a MAC.
    NoMac,
    /// Refuses with this response code.
    Decline(String),
    /// Refuses with this response code, and without a MAC.
    DeclineUnsigned(String),
    /// Approves with this code instead of 00, if it is approved at all: 11, A2, A4, A5, A6.
    Approve(String),
    /// Books, answers with this request in the sixth digit of the header, 0 to 9.
    Header(u8),
    /// Approves no more than this, in minor units, with code 10.
    Partial(u64),
    /// Answers a chip that is approved with these script templates (71, 72), whole objects.
    Script(Vec<u8>),
    /// Books, closes the connection instead of answering.
    Close,
    /// Closes the connection without booking.
    CloseBefore,
    /// Books, closes its own direction instead of answering and goes on reading.
    HalfClose,
    /// Books, answers twice.
    Duplicate,
    /// Books, answers a frame whose content is noise.
    Garbage,
    /// Books, answers with another STAN and a right MAC.
    WrongStan,
    /// Books, sends the first half of the answer and closes the connection.
    Truncate,
    /// Books, sends the answer byte by byte.
    Split,
    /// Answers a sign-on with a wrong check value of the PIN key.
    BadCheckValue,
}

/// Which requests a rule fits, and what happens to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// MTI of the request, such as `0200`; `None` fits all.
    pub mti: Option<String>,
    /// DE 4 in minor units; `None` fits all.
    pub amount: Option<u64>,
    /// DE 11; `None` fits all.
    pub stan: Option<u32>,
    /// DE 60.1, such as `23` for a void; `None` fits all.
    pub message_type: Option<String>,
    /// Lets the first `nth - 1` fitting requests pass.
    pub nth: u32,
    /// Stays after it has fired.
    pub sticky: bool,
    /// What happens.
    pub fault: Fault,
}

impl Rule {
    /// A rule for the next request of an MTI.
    #[must_use]
    pub fn once(mti: &str, fault: Fault) -> Self {
        let mti = Some(mti.to_owned());
        Self { mti, amount: None, stan: None, message_type: None, nth: 1, sticky: false, fault }
    }

    /// A rule for every request of an MTI.
    #[must_use]
    pub fn always(mti: &str, fault: Fault) -> Self {
        Self { sticky: true, ..Self::once(mti, fault) }
    }

    /// The same rule for one kind of request only, by its DE 60.1.
    #[must_use]
    pub fn of_type(self, message_type: &str) -> Self {
        Self { message_type: Some(message_type.to_owned()), ..self }
    }

    /// Reads the words of the control socket: `[sticky] MTI|* [type=NN] [amount=N] [stan=N] [nth=N] FAULT [ARGUMENT]`.
    ///
    /// # Errors
    /// [`RuleError`] names the word and what is allowed.
    pub fn parse(words: &[&str]) -> Result<Self, RuleError> {
        let mut words = words.iter().copied().peekable();
        let sticky = words.next_if_eq(&"sticky").is_some();
        let mti = match words.next() {
            Some("*") => None,
            Some(mti) if mti.len() == 4 && mti.bytes().all(|b| b.is_ascii_digit()) => Some(mti.to_owned()),
            other => return Err(RuleError::new("MTI", other, "four digits or *")),
        };
        let mut rule = Self { mti, sticky, ..Self::once("", Fault::Drop) };
        while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
            let bad = || RuleError::new("condition", Some(name), "type=NN, amount=N, stan=N, nth=N");
            match name {
                "type" if value.len() == 2 => rule.message_type = Some(value.to_owned()),
                "amount" => rule.amount = Some(value.parse().map_err(|_| bad())?),
                "stan" => rule.stan = Some(value.parse().map_err(|_| bad())?),
                "nth" => rule.nth = value.parse().ok().filter(|nth| *nth > 0).ok_or_else(bad)?,
                _ => return Err(bad()),
            }
            words.next();
        }
        rule.fault = Fault::parse(words.next(), words.next())?;
        match words.next() {
            None => Ok(rule),
            more => Err(RuleError::new("word", more, "nothing after the fault")),
        }
    }

    fn fits(&self, request: &Seen<'_>) -> bool {
        self.mti.as_deref().is_none_or(|mti| mti == request.mti)
            && self.amount.is_none_or(|amount| Some(amount) == request.amount)
            && self.stan.is_none_or(|stan| Some(stan) == request.stan)
            && self.message_type.as_deref().is_none_or(|kind| Some(kind) == request.message_type)
    }
}

impl fmt::Display for Rule {
    /// The words that [`Rule::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sticky {
            f.write_str("sticky ")?;
        }
        f.write_str(self.mti.as_deref().unwrap_or("*"))?;
        if let Some(kind) = &self.message_type {
            write!(f, " type={kind}")?;
        }
        if let Some(amount) = self.amount {
            write!(f, " amount={amount}")?;
        }
        if let Some(stan) = self.stan {
            write!(f, " stan={stan}")?;
        }
        if self.nth > 1 {
            write!(f, " nth={}", self.nth)?;
        }
        write!(f, " {}", self.fault)
    }
}

/// Faults without an argument and their words.
const PLAIN: &[(&str, Fault)] = &[
    ("drop", Fault::Drop),
    ("drop-before", Fault::DropBefore),
    ("hold", Fault::Hold),
    ("bad-mac", Fault::BadMac),
    ("no-mac", Fault::NoMac),
    ("close", Fault::Close),
    ("close-before", Fault::CloseBefore),
    ("half-close", Fault::HalfClose),
    ("duplicate", Fault::Duplicate),
    ("garbage", Fault::Garbage),
    ("wrong-stan", Fault::WrongStan),
    ("truncate", Fault::Truncate),
    ("split", Fault::Split),
    ("bad-check-value", Fault::BadCheckValue),
];

/// The longest `late`. Choice: ten minutes is beyond every time-out of a terminal.
const LATE_MAX_MS: u64 = 600_000;

impl Fault {
    pub(super) fn parse(word: Option<&str>, argument: Option<&str>) -> Result<Self, RuleError> {
        match (word, argument) {
            (Some("late"), Some(ms)) => match ms.parse() {
                Ok(ms) if ms <= LATE_MAX_MS => Ok(Self::Late(ms)),
                _ => Err(RuleError::new("late", Some(ms), "milliseconds, at most 600000")),
            },
            (Some(word @ ("decline" | "decline-unsigned")), Some(code)) => {
                if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_alphanumeric()) || code == "00" {
                    return Err(RuleError::new("decline", Some(code), "two letters or digits other than 00"));
                }
                let fault = if word == "decline" { Self::Decline } else { Self::DeclineUnsigned };
                Ok(fault(code.to_owned()))
            }
            (Some("approve"), Some(code)) => match APPROVED.contains(&code) && code != "00" {
                true => Ok(Self::Approve(code.to_owned())),
                false => Err(RuleError::new("approve", Some(code), "11, A2, A4, A5 or A6")),
            },
            (Some("header"), Some(digit)) => match digit.parse() {
                Ok(digit) if digit <= 9 => Ok(Self::Header(digit)),
                _ => Err(RuleError::new("header", Some(digit), "one digit")),
            },
            (Some("partial"), Some(amount)) => match amount.parse() {
                Ok(amount) if amount > 0 => Ok(Self::Partial(amount)),
                _ => Err(RuleError::new("partial", Some(amount), "minor units above zero")),
            },
            (Some("script"), Some(hex)) => read_hex(hex)
                .map(Self::Script)
                .ok_or_else(|| RuleError::new("script", Some(hex), "templates 71 and 72 in hexadecimal")),
            (Some(word), None) => {
                let plain = PLAIN.iter().find(|(name, _)| *name == word);
                let allowed = "late MS, decline CODE, decline-unsigned CODE, approve CODE, partial N, script HEX, \
                               header N, or a plain fault";
                plain
                    .map(|(_, fault)| fault.clone())
                    .ok_or_else(|| RuleError::new("fault", Some(word), allowed))
            }
            (Some(_), more) => Err(RuleError::new("word", more, "nothing after this fault")),
            (None, _) => Err(RuleError::new("fault", None, "a fault after the conditions")),
        }
    }

    /// True if the request must leave no trace in the books.
    #[must_use]
    pub const fn before_booking(&self) -> bool {
        matches!(self, Self::DropBefore | Self::CloseBefore)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(ms) => write!(f, "late {ms}"),
            Self::Decline(code) => write!(f, "decline {code}"),
            Self::DeclineUnsigned(code) => write!(f, "decline-unsigned {code}"),
            Self::Approve(code) => write!(f, "approve {code}"),
            Self::Header(digit) => write!(f, "header {digit}"),
            Self::Partial(amount) => write!(f, "partial {amount}"),
            Self::Script(templates) => {
                f.write_str("script ")?;
                templates.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
            }
            plain => {
                let name = PLAIN.iter().find(|(_, fault)| fault == plain).map(|(name, _)| *name);
                f.write_str(name.unwrap_or_default())
            }
        }
    }
}

/// Why words are not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {found:?}: {allowed} is allowed")]
pub struct RuleError {
    what: &'static str,
    found: String,
    allowed: &'static str,
}

impl RuleError {
    fn new(what: &'static str, found: Option<&str>, allowed: &'static str) -> Self {
        Self { what, found: found.unwrap_or_default().to_owned(), allowed }
    }
}

/// What a rule looks at in a request.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// MTI.
    pub mti: &'a str,
    /// DE 4.
    pub amount: Option<u64>,
    /// DE 11.
    pub stan: Option<u32>,
    /// DE 60.1.
    pub message_type: Option<&'a str>,
}

fn read_hex(text: &str) -> Option<Vec<u8>> {
    let pair = |at| u8::from_str_radix(text.get(at..usize::saturating_add(at, 2))?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect::<Option<Vec<u8>>>().filter(|bytes| !bytes.is_empty())
}

/// How many rules may wait.
const RULES_MAX: usize = 256;

/// The rules that are set.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Adds a rule behind the others; false if there are too many (256).
    pub fn add(&mut self, rule: Rule) -> bool {
        let fits = self.0.len() < RULES_MAX;
        if fits {
            self.0.push(rule);
        }
        fits
    }

    /// Forgets all rules.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The rules as words, in order.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        self.0.iter().map(Rule::to_string).collect()
    }

    /// The fault that this request meets. Rules it fits but must let pass count it.
    pub fn fault_for(&mut self, request: &Seen<'_>) -> Option<Fault> {
        for at in 0..self.0.len() {
            let Some(rule) = self.0.get_mut(at).filter(|rule| rule.fits(request)) else { continue };
            if rule.nth > 1 {
                rule.nth = rule.nth.saturating_sub(1);
                continue;
            }
            let fault = rule.fault.clone();
            if !rule.sticky {
                self.0.remove(at);
            }
            return Some(fault);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Rule, RuleError> {
        Rule::parse(&text.split_whitespace().collect::<Vec<_>>())
    }

    fn seen(mti: &str, amount: u64, stan: u32) -> Seen<'_> {
        Seen { mti, amount: Some(amount), stan: Some(stan), message_type: Some("22") }
    }

    #[test]
    fn rules_are_read_and_written_in_the_same_words() {
        for (word, _) in PLAIN {
            let text = format!("0200 {word}");
            assert_eq!(parse(&text).unwrap().to_string(), text);
        }
        for text in [
            "sticky * late 250",
            "0200 approve A2",
            "0800 header 4",
            "0400 amount=1250 stan=7 nth=2 decline A0",
            "0200 type=23 partial 500",
            "0200 script 7206860484240000",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "0200",
            "020 drop",
            "0200 fall",
            "0200 drop 1",
            "0200 late x",
            "0200 decline 00",
            "0200 approve 51",
            "0200 header 10",
            "0200 partial 0",
            "0200 script 7",
            "0200 type=2 drop",
            "0200 nth=0 drop",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let error = parse("0200 decline 5").unwrap_err().to_string();
        assert_eq!(error, "decline \"5\": two letters or digits other than 00 is allowed");
    }

    #[test]
    fn the_first_fitting_rule_fires_once_unless_sticky() {
        let mut rules = Rules::default();
        rules.add(parse("0200 amount=100 drop").unwrap());
        rules.add(parse("sticky 0400 late 5").unwrap());
        rules.add(parse("0200 nth=2 close").unwrap());
        assert_eq!(rules.fault_for(&seen("0800", 0, 1)), None);
        assert_eq!(rules.fault_for(&seen("0200", 7, 2)), None);
        assert_eq!(rules.fault_for(&seen("0200", 100, 3)), Some(Fault::Drop));
        assert_eq!(rules.fault_for(&seen("0200", 100, 4)), Some(Fault::Close));
        assert_eq!(rules.fault_for(&seen("0200", 100, 5)), None);
        assert_eq!(rules.fault_for(&seen("0400", 100, 5)), Some(Fault::Late(5)));
        assert_eq!(rules.fault_for(&seen("0400", 100, 5)), Some(Fault::Late(5)));
        assert_eq!(rules.words(), ["sticky 0400 late 5"]);
    }
}
