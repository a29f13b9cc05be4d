//! Messages of the queue against the synthetic ones: reversal B7, script result B19, advice B13.
use super::{NOW, entry as listed, hex, identity, keys, stan, to_hex, wire};
use posd::domain::calendar::WallTime;
use posd::domain::ident::{AuthCode, BatchNumber, Rrn, TerminalId, TxnId};
use posd::domain::iso8583::{De, Message};
use posd::domain::money::{Amount, Currency};
use posd::domain::outcome::{EntryType, Kind};
use posd::domain::queue::{Content, Entry, waiting_state};
use posd::domain::record::{EntryId, ReversalReason, WireFacts};
use posd::domain::secret::Pan;
use posd::domain::unionpay::Identity;
use posd::domain::unionpay::answers::read_financial;
use posd::domain::unionpay::messages::{self, BuildError};

/// An entry of the original that is the `number`-th of batch 1.
fn owed(kind: Kind, entry_type: EntryType, number: u32, minor: u64) -> Entry {
    let txn = TxnId::parse("0123456789abcdef0123456789abcdef").unwrap();
    Entry {
        id: EntryId::new(txn, entry_type),
        kind,
        txn_stan: Some(stan(number)),
        own_stan: None,
        batch: BatchNumber::FIRST,
        amount: Amount::from_minor(minor).unwrap(),
        currency: Currency::CNY,
        state: waiting_state(entry_type),
        attempts: 0,
        ask_again: false,
        response_code: None,
        created_at: WallTime::default(),
        changed_at: WallTime::default(),
        last_error: String::new(),
        content: Some(Box::new(content(entry_type))),
    }
}

fn content(entry_type: EntryType) -> Content {
    Content {
        pan: Pan::new("6225880012345678").unwrap(),
        expiry: Some("3012".to_owned()),
        sequence: Some(1),
        brand: "unionpay".to_owned(),
        wire: wire(Kind::Sale, None, false, &[], &[]),
        acquirer: None,
        rrn: None,
        auth_code: None,
        answered_on: None,
        reason: (entry_type == EntryType::Reversal).then_some(ReversalReason::NoAnswer),
        icc: Vec::new(),
    }
}

/// The entry with its content changed.
fn with(mut entry: Entry, change: impl FnOnce(&mut Content)) -> Entry {
    change(entry.content.as_mut().unwrap());
    entry
}

fn fields(entry: &Entry) -> Message {
    messages::queued(&identity(), entry, &keys()).unwrap().fields
}

fn numbers(message: &Message) -> Vec<u8> {
    message.fields().map(|(de, _)| de.number()).collect()
}

/// The reversal of the swiped sale B3.
fn b7() -> Entry {
    with(owed(Kind::Sale, EntryType::Reversal, 2, 1000), |content| {
        content.wire.entry_mode = "021".to_owned();
    })
}

/// B7 to the byte: the reversal of a swiped sale repeats neither card number nor PIN.
#[test]
fn a_reversal_of_a_swiped_sale_is_b7() {
    // Terminal and merchant are those of the original, whoever we are today.
    let today = Identity { terminal_id: TerminalId::new("20000002").unwrap(), ..identity() };
    assert_eq!(messages::queued(&today, &b7(), &keys()).unwrap().frame, listed("B7").bytes);
}

/// B8 answers the reversal B7.
#[test]
fn the_reversal_answer_is_read_like_any_other() {
    let request = messages::queued(&identity(), &b7(), &keys()).unwrap();
    let answer = read_financial(&request, listed("B8").payload(), &keys(), NOW).unwrap();
    assert!(answer.approved);
}

/// The reversal of a chip sale: card number, expiry, sequence, chip data; after a wrong MAC without tag 9F36.
#[test]
fn a_reversal_of_a_chip_sale_repeats_the_card_but_no_secret() {
    let icc = hex("950508000080009F1E0831323334353637389F36020001");
    let request = |reason| {
        fields(&with(owed(Kind::Sale, EntryType::Reversal, 3, 1000), |content| {
            content.auth_code = Some(AuthCode::new("A12346").unwrap());
            content.icc.clone_from(&icc);
            content.reason = Some(reason);
        }))
    };
    let refused = request(ReversalReason::Refused);
    assert_eq!(numbers(&refused), [2, 3, 4, 11, 14, 22, 23, 25, 38, 39, 41, 42, 49, 55, 60, 64]);
    assert_eq!(refused.text(De::RESPONSE_CODE), Some("06"));
    assert_eq!(refused.bytes(De::ICC), Some(icc.as_slice()));
    let mac_error = request(ReversalReason::MacError);
    assert_eq!(mac_error.text(De::RESPONSE_CODE), Some("A0"));
    assert_eq!(to_hex(mac_error.bytes(De::ICC).unwrap()), "950508000080009F1E083132333435363738");
}

/// The reversal of a void names itself; one of the pre-authorisation family adds the day of its answer, or 0000.
#[test]
fn a_reversal_names_itself_where_the_bank_wants_it() {
    let check = |kind, answered_on: Option<&str>, expected: Option<&str>| {
        let entry = with(owed(kind, EntryType::Reversal, 7, 1000), |content| {
            content.wire = wire(kind, None, false, &[], &[]);
            content.answered_on = answered_on.map(str::to_owned);
        });
        assert_eq!(fields(&entry).text(De::ORIGINAL), expected, "{kind}");
    };
    check(Kind::Sale, Some("0115"), None);
    check(Kind::Void, Some("0115"), Some("000001000007"));
    for kind in [Kind::PreAuth, Kind::PreAuthVoid, Kind::PreAuthComplete, Kind::PreAuthCompleteVoid] {
        check(kind, Some("0115"), Some("0000010000070115"));
        check(kind, None, Some("0000010000070000"));
    }
}

/// B19 to the byte: the result of the scripts of B6, with a STAN of its own.
#[test]
fn a_script_result_is_b19() {
    let theirs = listed("B19");
    let mut entry = with(owed(Kind::Sale, EntryType::Script, 3, 1000), |content| {
        content.acquirer = Some("01025810".to_owned());
        content.rrn = Some(Rrn::new("093205000003").unwrap());
        content.auth_code = Some(AuthCode::new("A12346").unwrap());
        content.answered_on = Some("0115".to_owned());
        content.icc = theirs.unpacked().bytes(De::ICC).unwrap().to_vec();
    });
    let early = messages::queued(&identity(), &entry, &keys());
    assert_eq!(early.unwrap_err(), BuildError::NothingToSend, "its STAN is taken by its first attempt");
    entry.own_stan = Some(stan(13));
    assert_eq!(messages::queued(&identity(), &entry, &keys()).unwrap().frame, theirs.bytes);
    // Where the acquirer wants it, DE 25 of the original is told too.
    let mut told = identity();
    std::sync::Arc::make_mut(&mut told.profile).forms.script_condition = true;
    let told = messages::queued(&told, &entry, &keys()).unwrap().fields;
    assert_eq!(told.text(De::CONDITION), Some("00"));
}

fn upload_wire(mti: &str, condition: &str, message_type: &str, original: &str) -> WireFacts {
    WireFacts {
        mti: mti.to_owned(),
        condition: condition.to_owned(),
        message_type: message_type.to_owned(),
        original: original.to_owned(),
        ..wire(Kind::Sale, None, false, &[], &[])
    }
}

/// B13 but for the swiped card's track, which is never stored: the advice tells the card number instead.
#[test]
fn an_advice_is_b13_with_the_card_number_for_the_track() {
    let entry = with(owed(Kind::PreAuthAdvice, EntryType::Advice, 8, 45_000), |content| {
        content.wire = upload_wire("0220", "06", "24", "0000000000000115");
        content.wire.entry_mode = "022".to_owned();
        content.sequence = None;
        content.auth_code = Some(AuthCode::new("B00001").unwrap());
    });
    let (mut ours, mut theirs) = (fields(&entry), listed("B13").unpacked());
    for track in [De::TRACK2, De::SECURITY, De::MAC] {
        theirs.remove(track);
    }
    ours.remove(De::MAC);
    assert_eq!((ours.text(De::PAN), ours.text(De::EXPIRY)), (Some("6225880012345678"), Some("3012")));
    ours.remove(De::PAN);
    ours.remove(De::EXPIRY);
    assert_eq!(ours, theirs);
}

/// An offline sale that the chip approved goes up with its chip data, as the field matrix lists it.
#[test]
fn an_upload_of_a_chip_sale_carries_its_chip_data() {
    let icc = hex("9F2608112233445566778895050000000000");
    let entry = with(owed(Kind::OfflineSale, EntryType::OfflineSale, 21, 1000), |content| {
        content.wire = upload_wire("0200", "00", "36", "");
        content.icc.clone_from(&icc);
    });
    let message = fields(&entry);
    assert_eq!(message.mti(), "0200");
    assert_eq!(numbers(&message), [2, 3, 4, 11, 14, 22, 23, 25, 41, 42, 49, 55, 60, 63, 64]);
    let text = |de| message.text(de);
    assert_eq!((text(De::STAN), text(De::ENTRY_MODE)), (Some("000021"), Some("052")));
    assert_eq!((text(De::PRIVATE_60), text(De::PRIVATE_63)), (Some("36000001000500"), Some("CUP")));
    assert_eq!(message.bytes(De::ICC), Some(icc.as_slice()));
}

/// An offline sale that somebody approved by voice goes up with that code and without chip data.
#[test]
fn an_upload_of_a_voice_authorised_sale_carries_its_code() {
    let entry = with(owed(Kind::OfflineSale, EntryType::OfflineSale, 22, 1000), |content| {
        content.wire = upload_wire("0220", "00", "30", "000000000000000001");
        content.auth_code = Some(AuthCode::new("V00001").unwrap());
        content.brand = "visa".to_owned();
    });
    let message = fields(&entry);
    assert_eq!(message.mti(), "0220");
    assert_eq!(numbers(&message), [2, 3, 4, 11, 14, 22, 25, 38, 41, 42, 49, 60, 61, 63, 64]);
    let text = |de| message.text(de);
    assert_eq!((text(De::AUTH_CODE), text(De::PRIVATE_63)), (Some("V00001"), Some("VIS")));
    assert_eq!(text(De::ORIGINAL), Some("000000000000000001"));
}

/// Nothing leaves for a refund without an answer.
#[test]
fn there_is_no_message_for_a_refund_without_an_answer() {
    let entry = owed(Kind::Refund, EntryType::RefundUnknown, 5, 1000);
    let built = messages::queued(&identity(), &entry, &keys());
    assert_eq!(built.unwrap_err(), BuildError::NothingToSend);
}

/// Messages of the queue show no card number in a log line.
#[test]
fn an_entry_shows_no_card_number() {
    let shown = format!("{:?}", b7());
    assert!(shown.contains("622588") && !shown.contains("6225880012345678"), "{shown}");
}
