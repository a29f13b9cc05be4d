//! The queue: entries as the journal has them, one run of each type, the order, the limits.
mod delivery;
mod entries;
mod limits;
mod order;

use super::Entry;
use crate::domain::calendar::{LocalTime, WallTime};
use crate::domain::ident::{
    AuthCode, BatchNumber, MerchantId, OperatorId, RequestId, ResponseCode, Rrn, Stan, TerminalId, TxnId,
};
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{CardClass, CvmMethod, EntryMode, EntryType, Kind, Outcome, QueueState};
use crate::domain::record::{
    CardFacts, EntryRow, HostFacts, ReversalReason, Terms, TxnRow, TxnStart, WireFacts,
};
use crate::domain::secret::Pan;
use std::sync::Arc;

/// A transaction of this kind, the `number`-th of the batch, that owes one entry of this type.
fn row(number: u32, kind: Kind, entry_type: EntryType) -> TxnRow {
    let request_id = RequestId::new(&format!("order-{number}")).unwrap();
    let at = WallTime(u64::from(number) * 1_000_000);
    TxnRow {
        start: TxnStart {
            id: TxnId::of(&request_id),
            request_id,
            kind,
            amount: Amount::from_minor(1000).unwrap(),
            currency: Currency::CNY,
            arguments_sha256: [0; 32],
            operator: OperatorId::new("01").unwrap(),
            created_at: at,
            cashier_ref: None,
            metadata: Vec::new(),
            plies: 2,
            terms: Terms::default(),
        },
        stan: Some(Stan::new(number).unwrap()),
        batch: BatchNumber::FIRST,
        in_open_batch: true,
        card: Some(Arc::new(card())),
        card_seen: Some(card().seen()),
        masked_pan: String::new(),
        wire: Some(wire()),
        outcome: Outcome::Unknown,
        result: None,
        host: HostFacts {
            host_time: Some(LocalTime { year: 2026, month: 1, day: 15, hour: 9, minute: 32, second: 5 }),
            rrn: Some(Rrn::new("093205000003").unwrap()),
            auth_code: Some(AuthCode::new("A12346").unwrap()),
            acquirer: Some("01025810".to_owned()),
            ..HostFacts::default()
        },
        approved_amount: Amount::ZERO,
        finished_at: Some(at),
        card_class: CardClass::Domestic,
        entries: vec![EntryRow {
            entry_type,
            state: super::waiting_state(entry_type),
            armed: false,
            reason: (entry_type == EntryType::Reversal).then_some(ReversalReason::NoAnswer),
            attempts: 0,
            ask_again: false,
            created_at: at,
            changed_at: at,
            response_code: None,
            last_error: String::new(),
            resolution: None,
            stan: None,
            icc: Vec::new(),
        }],
        follow_ups: Vec::new(),
        plies: Vec::new(),
    }
}

fn card() -> CardFacts {
    CardFacts {
        pan: Pan::new("6225880012345678").unwrap(),
        expiry: Some("3012".to_owned()),
        sequence: Some(1),
        entry_mode: EntryMode::Chip,
        token: String::new(),
        brand: "unionpay".to_owned(),
        aid: String::new(),
        label: String::new(),
        cvm: CvmMethod::NoCvm,
        signature_required: false,
        chip: Vec::new(),
    }
}

fn wire() -> WireFacts {
    WireFacts {
        mti: "0200".to_owned(),
        processing_code: "000000".to_owned(),
        entry_mode: "052".to_owned(),
        condition: "00".to_owned(),
        message_type: "22".to_owned(),
        capability: "500".to_owned(),
        original: String::new(),
        terminal_id: TerminalId::new("10000001").unwrap(),
        merchant_id: MerchantId::new("102100058120001").unwrap(),
        profile: "unionpay".to_owned(),
        reversal_icc: Vec::new(),
        icc: Vec::new(),
    }
}

/// The one entry of such a transaction.
fn entry(number: u32, entry_type: EntryType) -> Entry {
    let kind = match entry_type {
        EntryType::OfflineSale => Kind::OfflineSale,
        EntryType::Advice => Kind::PreAuthAdvice,
        EntryType::RefundUnknown => Kind::Refund,
        EntryType::Reversal | EntryType::Script => Kind::Sale,
    };
    let mut entries = Entry::all_of(&row(number, kind, entry_type));
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

fn in_state(number: u32, entry_type: EntryType, state: QueueState) -> Entry {
    Entry { state, ..entry(number, entry_type) }
}

fn code(text: &str) -> ResponseCode {
    ResponseCode::new(text).unwrap()
}
