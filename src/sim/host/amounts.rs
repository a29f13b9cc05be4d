//! `--by-amount`: the last digits of an amount choose what happens to a sale or a pre-authorisation. For people who try
//! an application by hand; the table is told to them in `src/docs/simulator.md`, and a test holds the two together.
use super::rules::Fault;

/// Endings of an amount in fen, and the words of the rule that an amount with that ending meets. Choice: our own table.
/// Two digits are the response code where it is a number; four digits tell all else, and win.
const ENDINGS: &[(&str, &str)] = &[
    ("10", "partial"),
    ("98", "drop"),
    ("99", "drop-before"),
    ("9001", "late 3000"),
    ("9002", "close"),
    ("9003", "close-before"),
    ("9004", "half-close"),
    ("9005", "bad-mac"),
    ("9006", "no-mac"),
    ("9007", "garbage"),
    ("9008", "truncate"),
    ("9009", "split"),
    ("9010", "duplicate"),
    ("9011", "wrong-stan"),
    ("9021", "header 1"),
    ("9022", "header 2"),
    ("9023", "header 3"),
    ("9024", "header 4"),
    ("9025", "header 5"),
    ("9026", "header 6"),
    ("9027", "header 7"),
    ("9100", "decline A0"),
    ("9101", "decline A1"),
    ("9103", "decline A3"),
    ("9107", "decline A7"),
    ("9108", "decline A8"),
    ("9111", "decline B1"),
    ("9112", "decline C1"),
    ("9113", "decline N1"),
    ("9114", "decline P1"),
    ("9198", "decline 98"),
    ("9199", "decline 99"),
    ("9202", "approve A2"),
    ("9204", "approve A4"),
    ("9205", "approve A5"),
    ("9206", "approve A6"),
    ("9211", "approve 11"),
];

/// Endings that are refused with themselves as DE 39: every number among the response codes of the display table that
/// neither approves nor has another meaning here.
const REFUSED: &[u64] = &[
    1, 3, 4, 5, 12, 13, 14, 15, 21, 22, 25, 30, 34, 38, 40, 41, 43, 45, 51, 54, 55, 57, 58, 59, 61, 62, 64,
    65, 68, 75, 77, 90, 91, 92, 94, 95, 96, 97,
];

/// The fault of an amount in minor units under `--by-amount`; `None`: it is judged like any other.
#[must_use]
pub fn fault_by_amount(amount: u64) -> Option<Fault> {
    let found = [(10_000, 4), (100, 2)].into_iter().find_map(|(modulus, digits)| {
        let ending = format!("{:0digits$}", amount % modulus);
        ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, words)| *words)
    });
    let code = amount % 100;
    match found {
        Some("partial") => Some(Fault::Partial(amount / 2)),
        Some(words) => {
            let mut words = words.split(' ');
            Fault::parse(words.next(), words.next()).ok()
        }
        None => REFUSED.contains(&code).then(|| Fault::Decline(format!("{code:02}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::Profile;
    use crate::domain::unionpay::response;

    /// Goal: every response code that ships can be had by an amount, and every ending is a rule.
    #[test]
    fn every_response_code_can_be_had() {
        let words: Vec<String> =
            (0..10_000).filter_map(fault_by_amount).map(|fault| fault.to_string()).collect();
        for entry in Profile::unionpay().catalogue.rows() {
            let code = entry.code.as_ref();
            let word = match code {
                "00" => continue,
                "10" => "partial 5".to_owned(),
                code if response::books(code) => format!("approve {code}"),
                code => format!("decline {code}"),
            };
            assert!(words.contains(&word), "{word}");
        }
        for (ending, _) in ENDINGS {
            assert!(fault_by_amount(ending.parse().unwrap()).is_some(), "{ending}");
        }
        let is = |amount, word: Option<&str>| {
            assert_eq!(fault_by_amount(amount).map(|fault| fault.to_string()).as_deref(), word, "{amount}");
        };
        is(1250, None);
        is(12_000, None);
        is(1051, Some("decline 51"));
        is(109_051, Some("decline 51"));
        is(19_001, Some("late 3000"));
        is(1001, Some("decline 01"));
        is(2010, Some("partial 1005"));
    }
}
