//! Slips of a settled batch of a few transactions.
use super::{TERMINAL_TIME, approved, follow_up, signed};
use crate::journal::wire;
use posd::domain::calendar::WallTime;
use posd::domain::ident::{BatchNumber, OperatorId, Stan};
use posd::domain::money::{Amount, Currency};
use posd::domain::outcome::{BatchState, Kind, Outcome, Verdict};
use posd::domain::receipt::Document;
use posd::domain::record::{BatchRow, FollowUp, TxnRow};
use posd::domain::settlement::slip::{Settled, slip};
use posd::domain::slip::Shop;

/// The bank agrees.
pub(super) fn agreed(shop: &Shop) -> Document {
    settlement(shop, (Verdict::Agreed, Verdict::Agreed))
}

/// The bank does not.
pub(super) fn differs(shop: &Shop) -> Document {
    settlement(shop, (Verdict::Disagreed, Verdict::Agreed))
}

fn settlement(shop: &Shop, verdict: (Verdict, Verdict)) -> Document {
    let batch = BatchRow {
        number: BatchNumber::FIRST,
        state: BatchState::Closed,
        opened_at: WallTime(1),
        closed_at: Some(WallTime(2)),
        operator: OperatorId::new("01").ok(),
        verdict: Some(verdict),
        forced: false,
        field48: None,
        totals: Vec::new(),
    };
    let rows = rows();
    slip(
        &Settled { batch: &batch, rows: &rows, closed_at: TERMINAL_TIME, currency: Currency::CNY },
        shop,
        false,
    )
}

/// Two sales, a sale that was undone, its void, and a refund.
fn rows() -> Vec<TxnRow> {
    let numbered = |row: TxnRow, stan: u32, minor: u64| TxnRow {
        stan: Some(Stan::new(stan).unwrap()),
        wire: Some(wire()),
        approved_amount: Amount::from_minor(minor).unwrap(),
        ..row
    };
    let mut undone = numbered(approved(), 14, 8_800);
    let void = numbered(follow_up(Kind::Void), 15, 8_800);
    undone.follow_ups.push(FollowUp {
        id: void.start.id.clone(),
        kind: Kind::Void,
        outcome: Outcome::Approved,
        amount: void.approved_amount,
        unresolved: false,
        stands: true,
    });
    let refund = numbered(follow_up(Kind::Refund), 16, 1_250);
    vec![numbered(approved(), 12, 1_250), numbered(signed(), 13, 126_000), undone, void, refund]
}
