//! Rows of a batch, each made by one word.
use crate::domain::calendar::WallTime;
use crate::domain::ident::{
    AuthCode, BatchNumber, MerchantId, OperatorId, RequestId, ResponseCode, Rrn, Stan, TerminalId, TxnId,
};
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{
    CardClass, CvmMethod, EntryMode, EntryType, Kind, Outcome, QueueState, ResultCode,
};
use crate::domain::record::{
    CardFacts, EntryRow, FollowUp, HostFacts, OriginalRef, ReversalReason, Terms, TxnRow, TxnStart, WireFacts,
};
use crate::domain::rules;
use crate::domain::secret::Pan;
use std::sync::Arc;

pub(in crate::domain) fn amount(minor: u64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

/// An approved transaction with the contact chip, as it stands after its second cryptogram.
pub(in crate::domain) fn approved(kind: Kind, stan: u32, minor: u64) -> TxnRow {
    let rule = rules::rule(kind);
    let said = crate::domain::unionpay::matrix::row(rule.message);
    let request_id = RequestId::new(&format!("order-{stan}")).unwrap();
    let chip = [("TC", "1122334455667788"), ("TVR", "0080000000"), ("IAD", "07010103A0A002")];
    let chip = if rule.card == rules::CardUse::Pay { chip.to_vec() } else { Vec::new() };
    TxnRow {
        start: TxnStart {
            id: TxnId::of(&request_id),
            request_id,
            kind,
            amount: amount(minor),
            currency: Currency::CNY,
            arguments_sha256: [1; 32],
            operator: OperatorId::new("01").unwrap(),
            created_at: WallTime(u64::from(stan)),
            cashier_ref: None,
            metadata: Vec::new(),
            plies: 2,
            terms: Terms::default(),
        },
        stan: Some(Stan::new(stan).unwrap()),
        batch: BatchNumber::FIRST,
        in_open_batch: true,
        card_seen: None,
        card: Some(Arc::new(CardFacts {
            pan: Pan::new("6225880012345678").unwrap(),
            expiry: Some("3012".to_owned()),
            sequence: Some(1),
            entry_mode: EntryMode::Chip,
            token: "0011223344556677".to_owned(),
            brand: "unionpay".to_owned(),
            aid: "A000000333010101".to_owned(),
            label: "UnionPay".to_owned(),
            cvm: CvmMethod::Signature,
            signature_required: true,
            chip: chip.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        })),
        masked_pan: "622588******5678".to_owned(),
        wire: Some(WireFacts {
            mti: said.mti.to_owned(),
            processing_code: said.processing_code.to_owned(),
            entry_mode: "052".to_owned(),
            condition: said.condition.to_owned(),
            message_type: said.message_type.to_owned(),
            capability: "500".to_owned(),
            original: String::new(),
            terminal_id: TerminalId::new("10000001").unwrap(),
            merchant_id: MerchantId::new("102100058120001").unwrap(),
            profile: "unionpay".to_owned(),
            reversal_icc: Vec::new(),
            icc: if rule.card == rules::CardUse::Pay { ICC.to_vec() } else { Vec::new() },
        }),
        outcome: Outcome::Approved,
        result: Some(ResultCode::Approved),
        host: HostFacts {
            response_code: Some(ResponseCode::new("00").unwrap()),
            rrn: Some(Rrn::new("093000000001").unwrap()),
            auth_code: Some(AuthCode::new("A12345").unwrap()),
            organisation: Some("CUP".to_owned()),
            ..HostFacts::default()
        },
        approved_amount: amount(minor),
        finished_at: Some(WallTime(u64::from(stan))),
        card_class: CardClass::Domestic,
        entries: Vec::new(),
        follow_ups: Vec::new(),
        plies: Vec::new(),
    }
}

/// 9F26, 9F27 (ARQC), 9F10 and 95 of a request.
pub(in crate::domain) const ICC: &[u8] = &[
    0x9F, 0x26, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0x9F, 0x27, 1, 0x80, 0x9F, 0x10, 2, 7, 1, 0x95, 5, 0, 0, 0, 0, 0,
];

pub(in crate::domain) fn entry(entry_type: EntryType, state: QueueState, code: &str) -> EntryRow {
    EntryRow {
        entry_type,
        state,
        armed: false,
        reason: (entry_type == EntryType::Reversal).then_some(ReversalReason::NoAnswer),
        attempts: 1,
        ask_again: false,
        created_at: WallTime(1),
        changed_at: WallTime(1),
        response_code: ResponseCode::new(code).ok(),
        last_error: String::new(),
        resolution: None,
        stan: None,
        icc: Vec::new(),
    }
}

/// A sale that the chip approved, and what became of its upload.
pub(in crate::domain) fn offline(stan: u32, minor: u64, state: QueueState, code: &str) -> TxnRow {
    let mut row = approved(Kind::OfflineSale, stan, minor);
    row.outcome = Outcome::StoredOffline;
    row.result = Some(ResultCode::OfflineApproved);
    row.entries = vec![entry(EntryType::OfflineSale, state, code)];
    row
}

/// A completion that is told, not asked.
pub(in crate::domain) fn advice(stan: u32, minor: u64, state: QueueState) -> TxnRow {
    let mut row = approved(Kind::PreAuthAdvice, stan, minor);
    row.outcome = Outcome::StoredOffline;
    row.result = Some(ResultCode::OfflineApproved);
    row.entries = vec![entry(EntryType::Advice, state, "00")];
    row
}

/// A sale of unknown outcome, and what became of its reversal.
pub(in crate::domain) fn reversed(stan: u32, minor: u64, state: QueueState, code: &str) -> TxnRow {
    let mut row = approved(Kind::Sale, stan, minor);
    row.outcome = if state == QueueState::Done { Outcome::Reversed } else { Outcome::Unknown };
    row.result = Some(ResultCode::HostTimeout);
    row.approved_amount = Amount::ZERO;
    row.entries = vec![entry(EntryType::Reversal, state, code)];
    row
}

/// A refund without an answer.
pub(in crate::domain) fn refund_unknown(stan: u32, minor: u64) -> TxnRow {
    let mut row = approved(Kind::Refund, stan, minor);
    row.outcome = Outcome::Unknown;
    row.result = Some(ResultCode::HostTimeout);
    row.approved_amount = Amount::ZERO;
    row.entries = vec![entry(EntryType::RefundUnknown, QueueState::Failed, "")];
    row
}

/// A sale and the void that undoes it.
pub(in crate::domain) fn voided_sale(stan: u32, minor: u64) -> [TxnRow; 2] {
    let mut sale = approved(Kind::Sale, stan, minor);
    let mut void = approved(Kind::Void, stan + 1, minor);
    void.start.terms.original = Some(OriginalRef { stan: sale.stan, ..OriginalRef::default() });
    sale.follow_ups = vec![FollowUp {
        id: void.start.id.clone(),
        kind: Kind::Void,
        outcome: Outcome::Approved,
        amount: amount(minor),
        unresolved: false,
        stands: true,
    }];
    [sale, void]
}

pub(in crate::domain) fn foreign(mut row: TxnRow) -> TxnRow {
    row.card_class = CardClass::Foreign;
    row.host.organisation = Some("VIS".to_owned());
    row
}

/// A day with everything in it. Domestic debits: sales 1000 + 2000 (voided), completion 3000, offline sale 400, advice
/// 500; credits: void 2000, refund 600. Foreign: one sale of 7000.
pub(in crate::domain) fn day() -> Vec<TxnRow> {
    let mut rows = vec![approved(Kind::Sale, 1, 1_000)];
    rows.extend(voided_sale(2, 2_000));
    rows.extend([
        approved(Kind::PreAuth, 4, 3_500),
        approved(Kind::PreAuthComplete, 5, 3_000),
        offline(6, 400, QueueState::Done, "00"),
        offline(7, 410, QueueState::Denied, "51"),
        offline(8, 420, QueueState::Failed, ""),
        advice(9, 500, QueueState::Done),
        approved(Kind::Refund, 10, 600),
        refund_unknown(11, 610),
        reversed(12, 1_200, QueueState::Done, "00"),
        reversed(13, 1_300, QueueState::Done, "25"),
        approved(Kind::Balance, 14, 0),
        foreign(approved(Kind::Sale, 15, 7_000)),
    ]);
    rows
}
