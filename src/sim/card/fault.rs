//! Faults that a test switches on in the simulated card: what goes wrong, and at which command.
use core::fmt;
use core::str::FromStr;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The answer is broken TLV with status 9000.
    Garbage,
    /// The command is not done; this status word is answered.
    Status(u16),
    /// No answer ever; the card has to be removed.
    Mute,
    /// The card is pulled instead of answering.
    Remove,
}

/// At which command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// SELECT of the directory.
    SelectPse,
    /// SELECT of anything else.
    Select,
    /// GET PROCESSING OPTIONS.
    Gpo,
    /// READ RECORD, of the directory too.
    ReadRecord,
    /// The first GENERATE AC.
    FirstAc,
    /// EXTERNAL AUTHENTICATE.
    ExternalAuthenticate,
    /// The second GENERATE AC.
    SecondAc,
    /// INTERNAL AUTHENTICATE.
    InternalAuthenticate,
    /// VERIFY.
    Verify,
    /// GET CHALLENGE.
    GetChallenge,
    /// GET DATA.
    ReadObject,
    /// An issuer script command.
    Script,
    /// The n-th command since insertion, from 1. GET RESPONSE counts.
    Apdu(u32),
}

/// One switched-on fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub step: Step,
    /// What.
    pub kind: FaultKind,
    /// True: each time. False: once, then it is gone.
    pub always: bool,
}

/// The steps by name; the n-th command is `apdu:N`.
const STEPS: [(&str, Step); 12] = [
    ("select-pse", Step::SelectPse),
    ("select", Step::Select),
    ("gpo", Step::Gpo),
    ("read-record", Step::ReadRecord),
    ("first-ac", Step::FirstAc),
    ("external-authenticate", Step::ExternalAuthenticate),
    ("second-ac", Step::SecondAc),
    ("internal-authenticate", Step::InternalAuthenticate),
    ("verify", Step::Verify),
    ("get-challenge", Step::GetChallenge),
    ("get-data", Step::ReadObject),
    ("script", Step::Script),
];

/// Why a text is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fault is `STEP KIND [always]`; STEP: {steps}, apdu:N; KIND: garbage, mute, remove, status:XXXX",
    steps = STEPS.map(|(name, _)| name).join(", ")
)]
pub struct FaultSyntax;

impl FromStr for Fault {
    type Err = FaultSyntax;

    /// Reads `gpo status:6985`, `apdu:7 remove`, `read-record garbage always`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (step, kind, always) = match words.as_slice() {
            [step, kind] => (*step, *kind, false),
            [step, kind, "always"] => (*step, *kind, true),
            _ => return Err(FaultSyntax),
        };
        let kind = match (kind, kind.strip_prefix("status:")) {
            ("garbage", _) => FaultKind::Garbage,
            ("mute", _) => FaultKind::Mute,
            ("remove", _) => FaultKind::Remove,
            (_, Some(word)) if word.len() == 4 => {
                FaultKind::Status(u16::from_str_radix(word, 16).map_err(|_| FaultSyntax)?)
            }
            _ => return Err(FaultSyntax),
        };
        let step = match step.strip_prefix("apdu:") {
            Some(number) => Step::Apdu(number.parse().map_err(|_| FaultSyntax)?),
            None => STEPS.iter().find(|(name, _)| *name == step).map(|(_, step)| *step).ok_or(FaultSyntax)?,
        };
        Ok(Self { step, kind, always })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Step::Apdu(number) => write!(f, "apdu:{number}")?,
            step => {
                let name = STEPS.iter().find(|(_, known)| *known == step).map_or("", |(name, _)| name);
                f.write_str(name)?;
            }
        }
        match self.kind {
            FaultKind::Garbage => f.write_str(" garbage")?,
            FaultKind::Mute => f.write_str(" mute")?,
            FaultKind::Remove => f.write_str(" remove")?,
            FaultKind::Status(word) => write!(f, " status:{word:04X}")?,
        }
        if self.always { f.write_str(" always") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_back_as_it_is_written() {
        for text in ["gpo status:6985", "apdu:7 remove", "read-record garbage always", "first-ac mute"] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        for wrong in ["", "gpo", "gpo 6985", "gpo status:69", "gpo mute once", "apdu:x mute", "lunch mute"] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }
}
