//! The slip, character by character on a line of 32.
use super::rows::{day, foreign, offline};
use crate::domain::calendar::{LocalTime, WallTime};
use crate::domain::ident::{BatchNumber, MerchantId, OperatorId, TerminalId};
use crate::domain::money::Currency;
use crate::domain::outcome::{BatchState, QueueState, Verdict};
use crate::domain::profile::Profile;
use crate::domain::receipt::{Document, text};
use crate::domain::record::{BatchRow, TxnRow};
use crate::domain::settlement::slip::{Settled, slip};
use crate::domain::slip::{Language, Shop};

use std::sync::Arc;

use Verdict::{Agreed, Disagreed, Unknown};

const CLOSED_AT: LocalTime = LocalTime { year: 2026, month: 1, day: 15, hour: 22, minute: 5, second: 9 };

fn settlement(
    rows: &[TxnRow],
    verdict: (Verdict, Verdict),
    forced: bool,
    language: Language,
    copy: bool,
) -> Document {
    let batch = BatchRow {
        number: BatchNumber::FIRST,
        state: BatchState::Closed,
        opened_at: WallTime(1),
        closed_at: Some(WallTime(2)),
        operator: OperatorId::new("01").ok(),
        verdict: Some(verdict),
        forced,
        field48: None,
        totals: Vec::new(),
    };
    let shop = Shop {
        merchant_name: "测试商店".to_owned(),
        terminal_id: TerminalId::new("10000001").unwrap(),
        merchant_id: MerchantId::new("102100058120001").unwrap(),
        language,
        currency_symbol: "RMB".to_owned(),
        testing: false,
        template: Arc::default(),
        profile: Profile::unionpay(),
    };
    let settled = Settled { batch: &batch, rows, closed_at: CLOSED_AT, currency: Currency::CNY };
    slip(&settled, &shop, copy)
}

/// To make a golden file anew, take what the failing test shows.
fn check(document: &Document, golden: &str) {
    let shown = text(document, 32);
    assert!(shown == golden, "the slip is now:\n{shown}");
}

#[test]
fn slips_say_what_the_golden_files_say() {
    use Language::{En, Zh};
    let both = (Agreed, Agreed);
    let agreed = |language| settlement(&day()[..6], both, false, language, false);
    check(&agreed(Zh), include_str!("../../../../tests/data/receipts/settlement-agreed-zh.txt"));
    check(&agreed(En), include_str!("../../../../tests/data/receipts/settlement-agreed-en.txt"));
    let differs = |language| settlement(&day(), (Disagreed, Agreed), false, language, false);
    check(&differs(Zh), include_str!("../../../../tests/data/receipts/settlement-differs-zh.txt"));
    check(&differs(En), include_str!("../../../../tests/data/receipts/settlement-differs-en.txt"));
    let forced = |language| settlement(&day(), (Unknown, Unknown), true, language, true);
    check(&forced(Zh), include_str!("../../../../tests/data/receipts/settlement-forced-copy-zh.txt"));
    check(&forced(En), include_str!("../../../../tests/data/receipts/settlement-forced-copy-en.txt"));
}

/// Only the class about which bank and terminal differ is looked into; English paper is ASCII but for the shop's
/// name.
#[test]
fn suspects_stand_where_a_class_did_not_agree() {
    let rows = [offline(1, 100, QueueState::Done, "94"), foreign(offline(2, 200, QueueState::Done, "94"))];
    let shown = |verdict| text(&settlement(&rows, verdict, false, Language::En, false), 32);
    assert!(!shown((Agreed, Agreed)).contains("duplicate"));
    assert_eq!(shown((Disagreed, Agreed)).matches("duplicate").count(), 1);
    assert_eq!(shown((Disagreed, Disagreed)).matches("duplicate").count(), 2);
    let lines: Vec<String> = shown((Disagreed, Disagreed)).lines().map(str::to_owned).collect();
    assert!(
        lines
            .iter()
            .filter(|line| !line.contains("MERCHANT"))
            .all(|line| line.is_ascii() || line.contains("测试"))
    );
}
