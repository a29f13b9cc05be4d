//! Slips of every kind, character by character. Golden files are written anew with `POSD_BLESS=1`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "helpers of tests fail like tests, and read golden files"
)]
mod settled;

use posd::domain::calendar::{LocalTime, WallTime};
use posd::domain::ident::{
    AuthCode, BatchNumber, MerchantId, OperatorId, RequestId, ResponseCode, Rrn, Stan, TerminalId, TxnId,
};
use posd::domain::money::{Amount, Currency};
use posd::domain::outcome::{
    CardClass, CvmMethod, EntryMode, EntryType, Kind, Outcome, Ply, QueueState, ResultCode,
};
use posd::domain::receipt::{Bitmap, Document, text};
use posd::domain::record::{CardFacts, EntryRow, HostFacts, OriginalRef, Terms, TxnRow, TxnStart};
use posd::domain::secret::Pan;
use posd::domain::slip::declined::{Declined, declined};
use posd::domain::slip::page::{PrinterFacts, marked, own_slip, test_page};
use posd::domain::slip::{FootLine, Language, Logo, QrText, Shop, Template, receipt};
use posd::domain::text::{Bilingual, ended};
use std::path::Path;
use std::sync::Arc;

fn shop(language: Language) -> Shop {
    Shop {
        profile: posd::domain::profile::Profile::unionpay(),
        merchant_name: "示例商户".to_owned(),
        terminal_id: TerminalId::new("10000001").unwrap(),
        merchant_id: MerchantId::new("102100058120001").unwrap(),
        language,
        currency_symbol: "RMB".to_owned(),
        testing: false,
        template: Arc::default(),
    }
}

const TERMINAL_TIME: LocalTime = LocalTime { year: 2026, month: 11, day: 22, hour: 9, minute: 30, second: 1 };

/// An approved chip sale of 12.50 with online PIN.
pub(crate) fn approved() -> TxnRow {
    let request = RequestId::new("sale-1").unwrap();
    let chip = [
        ("ARQC", "0123456789ABCDEF"),
        ("TC", "FEDCBA9876543210"),
        ("TVR", "0000048000"),
        ("TSI", "F800"),
        ("ATC", "0012"),
    ];
    let start = TxnStart {
        id: TxnId::of(&request),
        request_id: request,
        kind: Kind::Sale,
        amount: Amount::from_minor(1250).unwrap(),
        currency: Currency::CNY,
        arguments_sha256: [0; 32],
        operator: OperatorId::new("01").unwrap(),
        created_at: WallTime(0),
        cashier_ref: Some("A-1042".to_owned()),
        metadata: Vec::new(),
        plies: 2,
        terms: Terms::default(),
    };
    let card = CardFacts {
        pan: Pan::new("6225880012345678").unwrap(),
        expiry: Some("3012".to_owned()),
        sequence: Some(1),
        entry_mode: EntryMode::Chip,
        token: "0011223344556677".to_owned(),
        brand: "unionpay".to_owned(),
        aid: "A000000333010101".to_owned(),
        label: "PBOC DEBIT".to_owned(),
        cvm: CvmMethod::OnlinePin,
        signature_required: false,
        chip: chip.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
    };
    let host = HostFacts {
        response_code: Some(ResponseCode::new("00").unwrap()),
        rrn: Some(Rrn::new("092211000012").unwrap()),
        auth_code: Some(AuthCode::new("A10042").unwrap()),
        host_time: Some(LocalTime { second: 0, ..TERMINAL_TIME }),
        settlement_date: Some("1122".to_owned()),
        acquirer: Some("48021000".to_owned()),
        institutions: Some("01030000   48021000   ".to_owned()),
        organisation: Some("CUP".to_owned()),
        text: Some("交易成功            ".to_owned()),
        balance: None,
    };
    TxnRow {
        start,
        stan: Some(Stan::new(12).unwrap()),
        batch: BatchNumber::FIRST,
        masked_pan: card.pan.masked(),
        card: Some(Arc::new(card)),
        wire: None,
        outcome: Outcome::Approved,
        result: Some(ResultCode::Approved),
        host,
        approved_amount: Amount::from_minor(1250).unwrap(),
        finished_at: Some(WallTime(0)),
        in_open_batch: true,
        card_seen: None,
        card_class: CardClass::Domestic,
        entries: Vec::new(),
        follow_ups: Vec::new(),
        plies: Vec::new(),
    }
}

pub(crate) fn signed() -> TxnRow {
    let mut row = approved();
    let card = Arc::make_mut(row.card.as_mut().unwrap());
    card.cvm = CvmMethod::Signature;
    card.signature_required = true;
    row
}

pub(crate) fn slip(row: &TxnRow, language: Language, ply: Ply, copy: bool) -> Document {
    receipt(row, &shop(language), TERMINAL_TIME, ply, copy).unwrap()
}

/// A transaction of another kind that follows one: 12.50, the original in voucher 7 of yesterday.
fn follow_up(kind: Kind) -> TxnRow {
    let mut row = approved();
    row.start.kind = kind;
    row.start.cashier_ref = None;
    row.start.terms.supervisor = kind_needs_supervisor(kind).then(|| OperatorId::new("00").unwrap());
    row.start.terms.original = Some(OriginalRef {
        stan: Some(Stan::new(7).unwrap()),
        date: Some("1121".to_owned()),
        rrn: Some(Rrn::new("092111000007").unwrap()),
        auth_code: Some(AuthCode::new("P10007").unwrap()),
        ..OriginalRef::default()
    });
    row.host.text = None;
    let card = Arc::make_mut(row.card.as_mut().unwrap());
    card.cvm = CvmMethod::NoCvm;
    // The chip was read for its number only.
    card.chip.clear();
    row
}

fn kind_needs_supervisor(kind: Kind) -> bool {
    posd::domain::rules::rule(kind).supervisor
}

/// A sale that the card approved; the bank hears of it later.
fn offline() -> TxnRow {
    let mut row = approved();
    row.start.kind = Kind::OfflineSale;
    row.outcome = Outcome::StoredOffline;
    row.result = Some(ResultCode::OfflineApproved);
    row.host = HostFacts::default();
    let card = Arc::make_mut(row.card.as_mut().unwrap());
    card.cvm = CvmMethod::NoCvm;
    card.chip.retain(|(name, _)| name != "ARQC");
    let more = [("AIP", "7C00"), ("TermCap", "E0F8C8"), ("UNPR NUM", "01020304"), ("IAD", "07010103A4B001")];
    card.chip.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    row
}

/// A slip of every kind: its name, what it is of, the ply, and whether it is a copy.
fn cases() -> Vec<(String, TxnRow, Ply, bool)> {
    use Ply::{Bank, Customer, Merchant};
    let mut partial = approved();
    partial.start.amount = Amount::from_minor(2000).unwrap();
    partial.result = Some(ResultCode::Partial);
    let mut voice = offline();
    voice.start.terms.auth_code = Some(AuthCode::new("V12345").unwrap());
    Arc::make_mut(voice.card.as_mut().unwrap()).chip.clear();
    let mut hold = signed();
    hold.start.kind = Kind::PreAuth;
    let mut advice = follow_up(Kind::PreAuthAdvice);
    advice.outcome = Outcome::StoredOffline;
    advice.host = HostFacts::default();
    let mut cases = vec![
        ("sale-pin-merchant", approved(), Merchant, false),
        ("sale-pin-customer", approved(), Customer, false),
        ("sale-signature-merchant", signed(), Merchant, false),
        ("sale-signature-bank", signed(), Bank, false),
        ("sale-reprint-customer", signed(), Customer, true),
        ("sale-partial-customer", partial, Customer, false),
        ("offline-sale-merchant", offline(), Merchant, false),
        ("offline-sale-customer", offline(), Customer, false),
        ("offline-sale-voice-customer", voice, Customer, false),
        ("pre-auth-merchant", hold.clone(), Merchant, false),
        ("pre-auth-customer", hold, Customer, false),
        ("pre-auth-advice-merchant", advice, Merchant, false),
    ]
    .into_iter()
    .map(|(name, row, ply, copy)| (name.to_owned(), row, ply, copy))
    .collect::<Vec<_>>();
    for kind in
        [Kind::Void, Kind::Refund, Kind::PreAuthVoid, Kind::PreAuthComplete, Kind::PreAuthCompleteVoid]
    {
        cases.push((format!("{kind}-merchant"), follow_up(kind), Merchant, false));
        cases.push((format!("{kind}-customer"), follow_up(kind), Customer, false));
    }
    cases
}

/// A shop with a picture, last words and a QR code, whose terminal is in test mode.
fn shop_with_template(language: Language) -> Shop {
    let lines = ["谢谢惠顾", "退换货请持本单, 7 日内有效"].map(|line| FootLine::new(line).unwrap());
    let template = Template {
        logo: Logo::new(teacup()),
        foot: lines.to_vec(),
        foot_qr: QrText::new("https://shop.example/i/A-1042"),
        settlement_detail: true,
    };
    Shop { template: Arc::new(template), testing: true, ..shop(language) }
}

/// A picture of 160 x 96 dots.
pub(crate) fn teacup() -> Bitmap {
    let mut dots = Bitmap::white(160, 96);
    let round = |x: i32, y: i32, (cx, cy, r): (i32, i32, i32)| (x - cx).pow(2) + (y - cy).pow(2) <= r * r;
    for (x, y) in (0..96).flat_map(|y| (0..160).map(move |x| (x, y))) {
        let cup = y >= 36 && round(x, y, (72, 36, 48));
        let handle = round(x, y, (122, 52, 20)) && !round(x, y, (122, 52, 12));
        let saucer = (88..93).contains(&y) && (16..128).contains(&x);
        let steam =
            (6..28).contains(&y) && [52, 72, 92].iter().any(|at| (x - at - (y / 6) % 2 * 3).abs() < 2);
        if cup || handle || saucer || steam {
            dots.blacken(x.unsigned_abs(), y.unsigned_abs());
        }
    }
    dots
}

/// Every slip in both languages, by the name of its golden file.
pub(crate) fn kinds() -> Vec<(String, Document)> {
    let both = |(name, row, ply, copy): (String, TxnRow, Ply, bool)| {
        [Language::Zh, Language::En]
            .map(|language| (format!("{name}-{language}"), slip(&row, language, ply, copy)))
    };
    cases().into_iter().flat_map(both).chain(pages()).collect()
}

/// What the catalogue says of code 51.
fn declined_by_bank() -> Bilingual {
    let catalogue = &posd::domain::profile::Profile::unionpay().catalogue;
    ended(Kind::Sale, Outcome::Declined, ResultCode::DeclinedHost, Some("51"), catalogue)
}

/// Paper that tells of no transaction.
fn pages() -> Vec<(String, Document)> {
    let facts = PrinterFacts { model: "SIM-58", device: "/dev/usb/lp0", evidence: "process-id", dots: 384 };
    let page = |language: Language| test_page(&shop(language), facts, TERMINAL_TIME);
    let deposit = own_slip("寄存牌 17\n\n物品: 雨伞一把\n请妥善保管, 凭牌领取");
    let (row, refusal) = (approved(), declined_by_bank());
    let refused = |language: Language| {
        let facts = Declined {
            kind: row.start.kind,
            amount: row.start.amount,
            currency: row.start.currency,
            masked_pan: &row.masked_pan,
            operator: row.start.operator.as_str(),
            batch: 1,
            stan: 12,
            response_code: "51",
            reason: &refusal,
        };
        declined(facts, &shop(language), TERMINAL_TIME)
    };
    let own = |language: Language, ply: Ply| {
        receipt(&row, &shop_with_template(language), TERMINAL_TIME, ply, false).unwrap()
    };
    vec![
        ("sale-own-merchant-zh".to_owned(), own(Language::Zh, Ply::Merchant)),
        ("sale-own-customer-zh".to_owned(), own(Language::Zh, Ply::Customer)),
        ("sale-own-customer-en".to_owned(), own(Language::En, Ply::Customer)),
        ("settlement-plain-zh".to_owned(), settled::agreed(&shop(Language::Zh))),
        ("settlement-detail-zh".to_owned(), settled::differs(&shop_with_template(Language::Zh))),
        ("settlement-detail-en".to_owned(), settled::differs(&shop_with_template(Language::En))),
        ("declined-zh".to_owned(), refused(Language::Zh)),
        ("declined-en".to_owned(), refused(Language::En)),
        ("test-page-zh".to_owned(), page(Language::Zh)),
        ("test-page-en".to_owned(), page(Language::En)),
        ("own-slip-zh".to_owned(), deposit.clone()),
        ("own-slip-reprint-zh".to_owned(), marked(deposit, Language::Zh)),
    ]
}

/// Goal: what stands on the slips of each kind, character by character.
#[test]
fn slips_say_what_the_golden_files_say() {
    for (name, document) in kinds() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/receipts/{name}.txt"));
        let shown = text(&document, 32);
        if std::env::var_os("POSD_BLESS").is_some() {
            std::fs::write(&path, &shown).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(shown, golden, "{name}:\n{shown}");
    }
}

/// Goal: only what stands goes on paper, and a balance never.
#[test]
fn only_what_stands_has_a_slip() {
    for (kind, outcome) in Kind::ALL.iter().flat_map(|kind| Outcome::ALL.iter().map(move |o| (*kind, *o))) {
        let mut row = approved();
        row.start.kind = kind;
        row.outcome = outcome;
        let made = receipt(&row, &shop(Language::Zh), TERMINAL_TIME, Ply::Customer, false);
        let stands = matches!(outcome, Outcome::Approved | Outcome::StoredOffline) && kind != Kind::Balance;
        assert_eq!(made.is_some(), stands, "{kind} {outcome}");
    }
}

/// Goal: a slip that is printed again after its upload does not say that the bank is still to be told.
#[test]
fn an_uploaded_sale_does_not_wait_any_more() {
    let mut row = offline();
    row.entries.push(EntryRow {
        entry_type: EntryType::OfflineSale,
        state: QueueState::Done,
        armed: false,
        reason: None,
        attempts: 1,
        ask_again: false,
        created_at: WallTime(0),
        changed_at: WallTime(0),
        response_code: None,
        last_error: String::new(),
        resolution: None,
        stan: None,
        icc: Vec::new(),
    });
    let shown = text(&slip(&row, Language::Zh, Ply::Customer, true), 32);
    assert!(shown.contains("已上送") && !shown.contains("待上送"), "{shown}");
}

/// No slip shows the whole card number or the expiry, also when the shop's own texts are long or hostile.
#[test]
fn no_slip_shows_card_data() {
    for (ply, copy) in [(Ply::Merchant, false), (Ply::Customer, false), (Ply::Merchant, true)] {
        let mut row = signed();
        row.start.cashier_ref = Some("x".repeat(256));
        let shown = text(&slip(&row, Language::Zh, ply, copy), 32).replace(' ', "");
        assert!(!shown.contains("6225880012345678") && !shown.contains("3012"), "{shown}");
        assert!(shown.contains("622588******5678I"), "{shown}");
    }
}

/// Sealed card data is wiped after settlement; the slip can still be printed, without the chip's part.
#[test]
fn a_slip_of_a_wiped_card_keeps_the_masked_number_and_the_terminals_time() {
    let mut row = approved();
    row.card = None;
    row.host.host_time = None;
    let shown = text(&slip(&row, Language::En, Ply::Merchant, true), 32);
    assert!(shown.contains("6225 88** **** 5678\n") && shown.contains("2026/11/22 09:30:01"), "{shown}");
    assert!(!shown.contains("ARQC") && shown.contains("****DUPLICATED****"), "{shown}");
}
