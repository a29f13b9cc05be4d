//! What a printer is found to be: by asking it, and by a page that a person reads.
use super::talk::{Information, NoAnswer, Talk};
use crate::domain::quirks::{Proof, UsbId};
use crate::ports::Learnt;
use std::time::Duration;

/// GS I 2, bit 0: two-byte characters; bit 1: cutter. Spec: unverified, and many printers do not answer.
const TYPE_CHINESE: u8 = 0x01;
const TYPE_CUTTER: u8 = 0x02;
/// Columns that the page counts. Choice: 64, more than any receipt printer has.
const COUNTED: usize = 64;

/// What a ready printer was found to be able to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) model: String,
    /// GS ( H comes back.
    process_id: bool,
    /// GS r comes back.
    barrier: bool,
}

impl Known {
    /// Finds it out; `None` if the printer went away meanwhile.
    pub(super) fn of(talk: &mut Talk) -> Option<Self> {
        let model = answered(talk.information(Information::Model))?.unwrap_or_default();
        let process_id = answered(talk.knows_process_ids())?.unwrap_or(false);
        let barrier = answered(talk.knows_barrier())?.unwrap_or(false);
        Some(Self { model, process_id, barrier })
    }

    /// How the end of a job can be proven, with no more than `most`.
    pub(super) fn proof(&self, most: Proof) -> Proof {
        let can = |proof: &Proof| match proof {
            Proof::ProcessId => self.process_id,
            Proof::Poll => self.barrier,
            Proof::Nothing => true,
        };
        Proof::ALL.iter().copied().filter(|proof| *proof <= most).rfind(can).unwrap_or(Proof::Nothing)
    }
}

/// `Some(None)`: it does not say. `None`: it is gone.
fn answered<T>(answer: Result<T, NoAnswer>) -> Option<Option<T>> {
    match answer {
        Ok(value) => Some(Some(value)),
        Err(NoAnswer::Silent) => Some(None),
        Err(NoAnswer::Gone) => None,
    }
}

/// Asks a ready printer for everything, and prints the page to be read. `known` is `None` for one that says nothing.
///
/// # Errors
/// One word why not: `stalled`, `gone`.
pub(super) fn examine(
    talk: &mut Talk,
    known: Option<&Known>,
    usb: Option<UsbId>,
    stall: Duration,
) -> Result<Learnt, &'static str> {
    let mut learnt = Learnt { usb, ..Learnt::default() };
    if let Some(known) = known {
        let mut ask = |what| answered(talk.information(what)).ok_or("gone").map(Option::unwrap_or_default);
        learnt.maker = ask(Information::Maker)?;
        learnt.firmware = ask(Information::Firmware)?;
        learnt.model.clone_from(&known.model);
        learnt.status = true;
        learnt.proof = known.proof(Proof::ProcessId);
        let kind = answered(talk.kind()).ok_or("gone")?;
        learnt.cutter = kind.map(|kind| kind & TYPE_CUTTER != 0);
        learnt.chinese = kind.map(|kind| kind & TYPE_CHINESE != 0);
    }
    match talk.send(&page(), stall).stop {
        None => Ok(learnt),
        Some(stop) => Err(stop.word()),
    }
}

/// A row that counts its columns by fours, over the end of the line; a word that only a printer with Chinese characters
/// prints; a cut. What a printer does with each says what it is.
fn page() -> Vec<u8> {
    let counts: String = (4..=COUNTED).step_by(4).map(|column| format!("{column:>4}")).collect();
    let (chinese, _, _) = encoding_rs::GB18030.encode("汉字 ABC\n");
    [b"\x1b@\x1c&".as_slice(), counts.as_bytes(), b"\n", &chinese, b"\x1bd\x04\x1dVB\x00"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the strongest proof that is there and allowed.
    #[test]
    fn the_proof_is_the_strongest_allowed() {
        let known = |process_id, barrier| Known { model: String::new(), process_id, barrier };
        assert_eq!(known(true, true).proof(Proof::ProcessId), Proof::ProcessId);
        assert_eq!(known(true, true).proof(Proof::Poll), Proof::Poll);
        assert_eq!(known(true, false).proof(Proof::Poll), Proof::Nothing);
        assert_eq!(known(false, true).proof(Proof::ProcessId), Proof::Poll);
        assert_eq!(known(true, true).proof(Proof::Nothing), Proof::Nothing);
    }

    /// Goal: the number that a line of n columns ends with is n, for all usual widths.
    #[test]
    fn the_page_counts_columns() {
        let page = page();
        let counts = page.get(4..4 + COUNTED).unwrap();
        for columns in [32, 48, 64] {
            let line = std::str::from_utf8(counts.get(..columns).unwrap()).unwrap();
            assert_eq!(line.split_whitespace().next_back(), Some(columns.to_string().as_str()));
        }
        assert_eq!(counts.len(), COUNTED);
    }
}
