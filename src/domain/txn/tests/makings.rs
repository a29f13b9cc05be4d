//! What a test transaction is made from: terminal, business, original, card on file.
use super::super::Setup;
use crate::domain::calendar::WallTime;
use crate::domain::emv::tests::config;
use crate::domain::ident::{
    AuthCode, BatchNumber, MerchantId, OperatorId, RequestId, Rrn, Stan, TerminalId, TxnId,
};
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{CvmMethod, EntryMode, Kind, PinEntry};
use crate::domain::profile::Profile;
use crate::domain::record::{CardFacts, OriginalRef, Terms, TxnStart};
use crate::domain::rules::{OriginalRule, Undo, rule};
use crate::domain::secret::{Pan, TokenKey};
use crate::domain::unionpay::Identity;
use core::time::Duration;

pub(super) const CUSTOMER_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(40);

pub(super) fn setup() -> Setup {
    Setup {
        emv: config(),
        identity: Identity {
            terminal_id: TerminalId::new("12345678").unwrap(),
            merchant_id: MerchantId::new("102290054110001").unwrap(),
            tpdu: [0x60, 0, 1, 0, 0],
            header: [0x60, 0x31, 0, 0x31, 0, 0],
            profile: Profile::unionpay(),
        },
        customer_timeout: CUSTOMER_TIMEOUT,
        response_timeout: RESPONSE_TIMEOUT,
        tls: false,
        token_key: TokenKey::derive(&[7; 32]),
        blacklist: std::sync::Arc::default(),
        recent: std::sync::Arc::default(),
        pin_entry: PinEntry::Agent,
        reads_stripes: false,
        confirm_card: false,
        may_store: false,
        allow_duplicate: false,
        undo: Undo::Online,
        stored_card: None,
    }
}

/// The card number of the test card.
pub(super) const PAN: &str = "6228480000001234";

/// A transaction that follows another has its original; kinds that need a supervisor have none yet.
pub(super) fn start_of(kind: Kind) -> TxnStart {
    let request_id = RequestId::new("order-1").unwrap();
    let original = (rule(kind).original != OriginalRule::None).then(original);
    let amount = if kind == Kind::Balance { 0 } else { 1250 };
    TxnStart {
        id: TxnId::of(&request_id),
        request_id,
        kind,
        amount: Amount::from_minor(amount).unwrap(),
        currency: Currency::CNY,
        arguments_sha256: [1; 32],
        operator: OperatorId::new("01").unwrap(),
        created_at: WallTime(1),
        cashier_ref: None,
        metadata: Vec::new(),
        plies: 2,
        terms: Terms { original, ..Terms::default() },
    }
}

pub(super) fn start() -> TxnStart {
    start_of(Kind::Sale)
}

/// The original of every follow-up: its card is the test card.
pub(super) fn original() -> OriginalRef {
    OriginalRef {
        txn: Some(TxnId::of(&RequestId::new("order-0").unwrap())),
        batch: Some(BatchNumber::FIRST),
        stan: Some(Stan::new(900).unwrap()),
        date: Some("1122".to_owned()),
        rrn: Some(Rrn::new("093000000900").unwrap()),
        auth_code: Some(AuthCode::new("OLD900").unwrap()),
        card_token: Some(setup().token_key.token(&Pan::new(PAN).unwrap())),
    }
}

/// The card of that original as the journal has it.
pub(super) fn card_on_file() -> CardFacts {
    CardFacts {
        pan: Pan::new(PAN).unwrap(),
        expiry: Some("2912".to_owned()),
        sequence: Some(1),
        entry_mode: EntryMode::Chip,
        token: original().card_token.unwrap(),
        brand: "unionpay".to_owned(),
        aid: "A000000333010101".to_owned(),
        label: "UNIONPAY DEBIT".to_owned(),
        cvm: CvmMethod::OnlinePin,
        signature_required: true,
        chip: vec![("TC".to_owned(), "00".to_owned())],
    }
}
