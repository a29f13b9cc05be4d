//! What is done next in a storm, drawn from a seed: a kind of business, a card, and often a fault of the bank.
use crate::sim::host::rules::{Fault, Rule};
use crate::sim::world::chance::SplitMix64;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// A transaction of its own.
    New {
        /// Kind.
        kind: &'static str,
        /// Card in the reader.
        card: &'static str,
        /// The bank takes no connection meanwhile.
        bank_away: bool,
    },
    /// One that follows an earlier transaction, if there is one that takes it.
    Follow {
        /// Kind.
        kind: &'static str,
    },
    /// The queue is sent.
    Flush,
    /// The batch is settled.
    Settle,
}

/// Message type and DE 60.1 of each kind at the bank.
const fn names(kind: &str) -> (&'static str, &'static str) {
    match kind.as_bytes() {
        b"void" => ("0200", "23"),
        b"refund" => ("0220", "25"),
        b"balance" => ("0200", "01"),
        b"pre-auth" => ("0100", "10"),
        b"pre-auth-void" => ("0100", "11"),
        b"pre-auth-complete" => ("0200", "20"),
        b"pre-auth-advice" => ("0220", "24"),
        b"pre-auth-complete-void" => ("0200", "21"),
        b"offline-sale" => ("0200", "36"),
        _ => ("0200", "22"),
    }
}

/// What a kind may follow.
pub(super) const fn originals(kind: &str) -> &'static [&'static str] {
    match kind.as_bytes() {
        b"void" => &["sale", "offline-sale"],
        b"refund" => &["sale", "offline-sale", "pre-auth-complete", "pre-auth-advice"],
        b"pre-auth-complete-void" => &["pre-auth-complete"],
        _ => &["pre-auth"],
    }
}

/// Weights; they add up to 100.
const DEEDS: &[(u32, Deed)] = &[
    (18, Deed::New { kind: "sale", card: "unionpay", bank_away: false }),
    (8, Deed::New { kind: "sale", card: "signature", bank_away: false }),
    (3, Deed::New { kind: "sale", card: "visa", bank_away: false }),
    (4, Deed::New { kind: "sale", card: "declines-after-approval", bank_away: false }),
    (4, Deed::New { kind: "sale", card: "asks-first", bank_away: true }),
    (3, Deed::New { kind: "sale", card: "unionpay", bank_away: true }),
    (6, Deed::New { kind: "offline-sale", card: "approves-offline", bank_away: false }),
    (4, Deed::New { kind: "offline-sale", card: "approves-offline", bank_away: true }),
    (2, Deed::New { kind: "balance", card: "unionpay", bank_away: false }),
    (8, Deed::New { kind: "pre-auth", card: "unionpay", bank_away: false }),
    (10, Deed::Follow { kind: "void" }),
    (7, Deed::Follow { kind: "refund" }),
    (7, Deed::Follow { kind: "pre-auth-complete" }),
    (3, Deed::Follow { kind: "pre-auth-advice" }),
    (2, Deed::Follow { kind: "pre-auth-void" }),
    (5, Deed::Follow { kind: "pre-auth-complete-void" }),
    (3, Deed::Flush),
    (3, Deed::Settle),
];

/// Draws the next deed.
pub(super) fn draw(dice: &mut SplitMix64) -> Deed {
    let mut at = dice.below(DEEDS.iter().map(|(weight, _)| weight).sum());
    for (weight, deed) in DEEDS {
        match at.checked_sub(*weight) {
            Some(rest) => at = rest,
            None => return deed.clone(),
        }
    }
    Deed::Flush
}

/// An issuer script for the chip: PIN CHANGE/UNBLOCK in template 72. EMV 4.4 Book 3 §10.10.
const SCRIPT: [u8; 11] = [0x72, 0x09, 0x86, 0x07, 0x84, 0x24, 0, 0, 2, 0xAA, 0xBB];

/// The longest time in milliseconds that an answer takes and is still in time: the terminal waits one second.
const IN_TIME_MS: u32 = 800;

/// Draws what is special at the bank during a deed: nothing in about two of three. What is told afterwards is never
/// refused: the shop would have to clear that up with people. A bank that is `unhurried` takes its time in a third of
/// all cases, and is still in time: cuts that are aimed at its messages then meet money
/// on its way.
pub(super) fn rules(dice: &mut SplitMix64, kind: &str, unhurried: bool) -> Vec<Rule> {
    // A late answer comes after the terminal has given up: it waits one second.
    let asked = [
        Fault::Drop,
        Fault::DropBefore,
        Fault::Close,
        Fault::CloseBefore,
        Fault::Duplicate,
        Fault::Late(1500),
        Fault::BadMac,
        Fault::Truncate,
        Fault::Decline("51".to_owned()),
    ];
    let told = [Fault::Drop, Fault::CloseBefore, Fault::Late(1500)];
    let undone = [Fault::Drop, Fault::CloseBefore, Fault::Decline("96".to_owned())];
    let pick = |dice: &mut SplitMix64, faults: &[Fault]| {
        let at = dice.below(u32::try_from(faults.len()).unwrap_or(0));
        faults.get(usize::try_from(at).unwrap_or(0)).cloned().unwrap_or(Fault::Drop)
    };
    let (mti, message_type) = names(kind);
    let of_kind = |fault| Rule::once(mti, fault).of_type(message_type);
    let later = ["pre-auth-advice", "offline-sale"].contains(&kind);
    let scripted = ["sale", "pre-auth"].contains(&kind);
    match dice.below(30) {
        0..=7 => vec![of_kind(pick(dice, if later { &told } else { &asked }))],
        8..=9 => vec![Rule::once("0400", pick(dice, &undone))],
        10..=12 if scripted => vec![of_kind(Fault::Script(SCRIPT.to_vec()))],
        // The result of the script is told later; nothing hangs on it but that it is told.
        13 if scripted => {
            vec![of_kind(Fault::Script(SCRIPT.to_vec())), Rule::once("0620", pick(dice, &told))]
        }
        14..=23 if unhurried => vec![of_kind(Fault::Late(u64::from(dice.below(IN_TIME_MS))))],
        _ => Vec::new(),
    }
}

/// Draws whether the next kill comes before the daemon has come up, and after how many milliseconds of at most
/// `start_ms`.
pub(super) fn dies_young(dice: &mut SplitMix64, start_ms: u32) -> Option<u64> {
    (dice.below(8) == 0).then(|| dice.below(start_ms).into())
}

/// An amount between 1.00 and 199.99: below the floor limit of the cards that approve alone.
pub(super) fn amount(dice: &mut SplitMix64) -> i64 {
    i64::from(dice.below(19_900)) + 100
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same seed gives the same day, and a long day has every deed in it.
    #[test]
    fn a_seed_is_a_day() {
        let day = |seed| {
            let mut dice = SplitMix64::new(seed);
            (0..2000).map(|_| draw(&mut dice)).collect::<Vec<_>>()
        };
        assert_eq!(day(1), day(1));
        assert_ne!(day(1), day(2));
        let long = day(3);
        assert!(DEEDS.iter().all(|(_, deed)| long.contains(deed)));
        assert_eq!(DEEDS.iter().map(|(weight, _)| weight).sum::<u32>(), 100);
    }
}
