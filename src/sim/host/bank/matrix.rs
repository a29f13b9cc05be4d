//! The request matrix as the bank has it: which elements each request must have, may have and must not have.
//!
//! Written from the field documents, row by element as they print it, and not from the terminal's table: the two shall
//! not share a mistake. Source: request field matrix of public terminal code (LiaoYang_POS, Newland, PAX agreeing);
//! Spec: unverified.
use super::super::business::Business;
use super::{Refusal, refuse};
use crate::domain::iso8583::{De, Message};

/// Columns of [`MATRIX`]; the last but one is the reversal.
const COLUMNS: [Option<Business>; 13] = [
    Some(Business::Balance),
    Some(Business::Sale),
    Some(Business::Void),
    Some(Business::Refund),
    Some(Business::PreAuth),
    Some(Business::PreAuthVoid),
    Some(Business::PreAuthComplete),
    Some(Business::PreAuthAdvice),
    Some(Business::PreAuthCompleteVoid),
    Some(Business::OfflineSale),
    Some(Business::ChipOfflineSale),
    None,
    Some(Business::ScriptResult),
];

/// M always, C perhaps, `.` never. An element without a row never. What a reversal or a script result repeats of its
/// original (S) every original has, so it is M here.
const MATRIX: &[(&[u8], &str)] = &[
    //                   BAL SAL VOI REF PRE PVO CMP ADV CVO OFF ICO REV SCR
    (&[2], "               C   C   C   C   C   C   C   C   C   M   M   C   C"),
    (&[3], "               M   M   M   M   M   M   M   M   M   M   M   M   M"),
    (&[4], "               .   M   M   M   M   M   M   M   M   M   M   M   M"),
    (&[11], "              M   M   M   M   M   M   M   M   M   M   M   M   M"),
    (&[14], "              C   C   C   C   C   C   C   C   C   C   M   C   ."),
    (&[22], "              M   M   M   M   M   M   M   M   M   M   M   M   M"),
    (&[23], "              C   C   C   C   C   .   C   C   .   .   C   C   C"),
    // A script result without: LiaoYang_POS; with its original's: PAX.
    (&[25], "              M   M   M   M   M   M   M   M   M   M   M   M   C"),
    (&[26, 52], "          C   C   C   .   C   C   C   .   C   .   .   .   ."),
    (&[32], "              .   .   .   .   .   .   .   .   .   .   .   .   M"),
    (&[35, 36], "          C   C   C   C   C   C   C   C   C   .   .   .   ."),
    (&[37], "              .   .   M   M   .   .   .   .   M   C   .   .   M"),
    (&[38], "              .   .   C   .   .   M   M   M   M   C   .   C   C"),
    (&[39], "              .   .   .   .   .   .   .   .   .   .   .   M   ."),
    (&[41, 42, 49], "      M   M   M   M   M   M   M   M   M   M   M   M   M"),
    (&[48], "              .   .   .   .   .   .   .   .   .   C   .   .   ."),
    (&[53], "              C   C   C   C   C   C   C   C   C   .   .   .   ."),
    (&[55], "              C   C   .   .   C   .   .   .   .   .   M   C   M"),
    (&[59], "              C   C   C   C   C   C   C   C   C   .   C   C   ."),
    (&[60, 64], "          M   M   M   M   M   M   M   M   M   M   M   M   M"),
    (&[61], "              .   .   M   M   .   M   M   M   M   M   .   C   M"),
    (&[63], "              .   .   .   M   .   .   .   C   .   M   M   .   ."),
];

/// Holds a request against its column; `None` is a reversal. What is wrong is refused with 30 and named.
pub(super) fn check(request: &Message, business: Option<Business>) -> Result<(), Refusal> {
    let Some(column) = COLUMNS.iter().position(|known| *known == business) else {
        return refuse("30", "the request matrix has no such message");
    };
    let all = || (1..=128).filter_map(De::new);
    if let Some(de) = all().find(|de| mark(de.number(), column) == 'M' && !request.has(*de)) {
        return refuse("30", format!("{de} is missing"));
    }
    match all().find(|de| mark(de.number(), column) == '.' && request.has(*de)) {
        Some(de) => refuse("30", format!("{de} does not belong here")),
        None => Ok(()),
    }
}

fn mark(number: u8, column: usize) -> char {
    let row = MATRIX.iter().find(|(numbers, _)| numbers.contains(&number));
    let mark = row.and_then(|(_, marks)| marks.split_whitespace().nth(column)?.chars().next());
    mark.unwrap_or('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::unionpay::matrix::{self, Elements, Name};

    /// Goal: the table is whole: a mark for every column, M, C or a point, and no element twice.
    #[test]
    fn every_row_has_a_mark_for_every_column() {
        let mut seen = std::collections::BTreeSet::new();
        for (numbers, marks) in MATRIX {
            let marks: Vec<&str> = marks.split_whitespace().collect();
            assert_eq!(marks.len(), COLUMNS.len(), "{numbers:?}");
            assert!(marks.iter().all(|mark| ["M", "C", "."].contains(mark)), "{numbers:?}");
            assert!(numbers.iter().all(|number| seen.insert(*number)), "{numbers:?}");
        }
    }

    /// Goal: bank and terminal have written the same documents down: where the two tables differ, one is wrong.
    #[test]
    fn the_terminals_own_table_agrees() {
        let name = |column: &Option<Business>| match column {
            Some(Business::Balance) => Name::Balance,
            Some(Business::Sale) => Name::Sale,
            Some(Business::Void) => Name::Void,
            Some(Business::Refund) => Name::Refund,
            Some(Business::PreAuth) => Name::PreAuth,
            Some(Business::PreAuthVoid) => Name::PreAuthVoid,
            Some(Business::PreAuthComplete) => Name::Completion,
            Some(Business::PreAuthAdvice) => Name::Advice,
            Some(Business::PreAuthCompleteVoid) => Name::CompletionVoid,
            Some(Business::OfflineSale) => Name::VoiceSale,
            Some(Business::ChipOfflineSale) => Name::ChipSale,
            Some(Business::ScriptResult) => Name::ScriptResult,
            None => Name::Reversal,
        };
        for (column, business) in COLUMNS.iter().enumerate() {
            let row = matrix::row(name(business));
            let told = |elements: Elements| elements.iter().map(De::number).collect::<Vec<_>>();
            let ours =
                |wanted| (1..=128).filter(|number| mark(*number, column) == wanted).collect::<Vec<u8>>();
            assert_eq!((told(row.must), told(row.may)), (ours('M'), ours('C')), "{business:?}");
        }
    }
}
