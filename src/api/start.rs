//! Checks the form of `StartTransaction`'s arguments and hashes those that idempotency compares. What the
//! arguments mean for the shop (limits, originals, the terminal's currency) the engine decides.
use super::auth::Action;
use super::error::invalid;
use super::options::{Dict, Options, shorten};
use super::{free_text, path};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{AuthCode, IdentError, RequestId, Rrn};
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{EntryMode, Kind};
use crate::domain::rules::{AmountRule, OriginalRule, rule};
use crate::domain::txn::refused;
use crate::engine::handle::{OriginalArgument, StartRequest};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Structure, Value};

/// Most pairs in option `metadata`.
const METADATA_PAIRS: usize = 16;
/// Option `customer-timeout`, s. Choice: an hour is more than any customer needs.
const CUSTOMER_TIMEOUT_S: core::ops::RangeInclusive<u32> = 1..=3600;
/// Option `host-timeout`, s. Choice.
const HOST_TIMEOUT_S: core::ops::RangeInclusive<u32> = 1..=600;

/// What a caller's agent may do is not known here; the caller of this module fills it in.
pub(super) fn read(
    request_id: &str,
    kind: &str,
    amount: i64,
    currency: &str,
    options: Dict,
) -> Result<StartRequest, Fault> {
    let request_id = RequestId::new(request_id).map_err(|e| invalid(e.to_string()))?;
    if refused::is_linked(&request_id) {
        return Err(invalid(
            "a request id that begins with \"linked:\" is the terminal's own; choose another one",
        ));
    }
    let kind = Kind::from_word(kind)
        .ok_or_else(|| invalid(format!("kind {:?} is not known; EnabledKinds lists them", shorten(kind))))?;
    let amount = read_amount(kind, amount)?;
    let currency = read_currency(currency)?;
    let mut options = Options::new("option", options);
    let (compared, entry_modes) = read_compared(kind, &mut options)?;
    let arguments_sha256 = compared.hash(kind, amount, currency, &entry_modes);
    let request = StartRequest {
        arguments_sha256,
        request_id,
        kind,
        amount,
        currency,
        customer_timeout_s: options.number("customer-timeout", CUSTOMER_TIMEOUT_S)?,
        host_timeout_s: options.number("host-timeout", HOST_TIMEOUT_S)?,
        plies: options.number("plies", 0..=3)?.and_then(|plies| u8::try_from(plies).ok()),
        cashier_ref: free_option(&mut options, "cashier-ref")?,
        metadata: read_metadata(&mut options)?,
        confirm_card: options.take("confirm-card", "b")?.unwrap_or(false),
        entry_modes,
        has_pin_agent: false,
        original: compared.original,
        rrn: compared.rrn,
        date: compared.date,
        auth_code: compared.auth_code,
        allow_duplicate: options.take::<bool>("allow-duplicate", "b")?.unwrap_or(false),
        allow_partial: options.take::<bool>("allow-partial", "b")?.unwrap_or(false),
        authorization: options.authorization()?,
    };
    options.finish()?;
    Ok(request)
}

/// The polkit action that starting this kind needs.
pub(super) const fn action(kind: Kind) -> Action {
    match kind {
        Kind::Sale | Kind::Balance | Kind::OfflineSale | Kind::QrSale => Action::Trade,
        Kind::Void => Action::Void,
        Kind::Refund | Kind::QrRefund => Action::Refund,
        Kind::PreAuth
        | Kind::PreAuthVoid
        | Kind::PreAuthComplete
        | Kind::PreAuthAdvice
        | Kind::PreAuthCompleteVoid => Action::PreAuth,
    }
}

/// Kinds that follow an earlier transaction.
fn follows(kind: Kind) -> bool {
    kind == Kind::QrRefund || rule(kind).original != OriginalRule::None
}

fn read_amount(kind: Kind, amount: i64) -> Result<Amount, Fault> {
    let refuse = |text: String| Fault::new(FaultName::AmountInvalid, text);
    let minor = u64::try_from(amount)
        .map_err(|_| refuse("the amount is negative; give minor units above 0".to_owned()))?;
    let amount = Amount::from_minor(minor).map_err(|e| refuse(e.to_string()))?;
    match rule(kind).amount {
        AmountRule::Zero if !amount.is_zero() => Err(refuse(format!("a {kind} inquiry has amount 0"))),
        AmountRule::Positive if amount.is_zero() => {
            Err(refuse(format!("a {kind} needs an amount above 0 minor units")))
        }
        _ => Ok(amount),
    }
}

fn read_currency(currency: &str) -> Result<Currency, Fault> {
    if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(invalid("currency must be three capital letters of ISO 4217, such as CNY"));
    }
    Currency::from_alpha(currency).ok_or_else(|| {
        Fault::new(FaultName::CurrencyMismatch, format!("currency {currency} is not one this terminal knows"))
    })
}

fn free_option(options: &mut Options, key: &str) -> Result<Option<String>, Fault> {
    let text = options.text(key)?;
    if let Some(text) = &text {
        free_text::check(&format!("option {key}"), text)?;
    }
    Ok(text)
}

/// Pairs in the order of their keys, so that the same call is the same request.
fn read_metadata(options: &mut Options) -> Result<Vec<(String, String)>, Fault> {
    let pairs: HashMap<String, String> = options.take("metadata", "a{ss}")?.unwrap_or_default();
    if pairs.len() > METADATA_PAIRS {
        return Err(invalid(format!(
            "option metadata has {} pairs; {METADATA_PAIRS} are allowed",
            pairs.len()
        )));
    }
    for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
        free_text::check("option metadata", text)?;
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort();
    Ok(pairs)
}

/// The options that idempotency compares.
#[derive(Default)]
struct Compared {
    original: Option<OriginalArgument>,
    /// As it is hashed; empty = not given.
    original_text: String,
    rrn: Option<Rrn>,
    date: Option<String>,
    auth_code: Option<AuthCode>,
}

fn read_compared(kind: Kind, options: &mut Options) -> Result<(Compared, Vec<String>), Fault> {
    let (original, original_text) = read_original(options)?;
    let compared = Compared {
        original,
        original_text,
        rrn: checked(options, "rrn", Rrn::new)?,
        date: read_date(options)?,
        auth_code: checked(options, "auth-code", AuthCode::new)?,
    };
    let misplaced = |key: &str| Err(invalid(format!("option {key} does not go with kind {kind}")));
    for (key, given) in [
        ("original", !compared.original_text.is_empty()),
        ("rrn", compared.rrn.is_some()),
        ("date", compared.date.is_some()),
    ] {
        if given && !follows(kind) {
            return misplaced(key);
        }
    }
    if compared.auth_code.is_some() && !follows(kind) && kind != Kind::OfflineSale {
        return misplaced("auth-code");
    }
    if options.take::<OwnedValue>("qr-code", "h")?.is_some() && kind != Kind::QrSale {
        return misplaced("qr-code");
    }
    Ok((compared, read_entry_modes(options)?))
}

/// `entry-modes`: words, each once, in the order of the contract.
fn read_entry_modes(options: &mut Options) -> Result<Vec<String>, Fault> {
    let words: Vec<String> = options.take("entry-modes", "as")?.unwrap_or_default();
    for word in &words {
        if EntryMode::from_word(word).is_none() {
            return Err(invalid(format!("option entry-modes has no value {:?}", shorten(word))));
        }
    }
    let wanted = |mode: &&EntryMode| words.iter().any(|word| word == mode.word());
    Ok(EntryMode::ALL.iter().filter(wanted).map(|mode| mode.word().to_owned()).collect())
}

/// A text of a form of its own, or none.
fn checked<T>(
    options: &mut Options,
    key: &str,
    read: fn(&str) -> Result<T, IdentError>,
) -> Result<Option<T>, Fault> {
    let wrong = |error: IdentError| invalid(format!("option {key} must be {}", error.allowed));
    options.text(key)?.map(|text| read(&text).map_err(wrong)).transpose()
}

fn read_date(options: &mut Options) -> Result<Option<String>, Fault> {
    match options.text("date")? {
        Some(date) if !is_mmdd(&date) => Err(invalid("option date must be MMDD, such as 1122")),
        date => Ok(date),
    }
}

fn is_mmdd(text: &str) -> bool {
    let part = |range| text.get(range).and_then(|digits: &str| digits.parse::<u8>().ok());
    text.len() == 4
        && text.bytes().all(|b| b.is_ascii_digit())
        && part(0..2).is_some_and(|month| (1..=12).contains(&month))
        && part(2..4).is_some_and(|day| (1..=31).contains(&day))
}

/// `original`: an object path, or batch, trace and MMDD, of which 0 and empty mean not known. Also as it is hashed.
fn read_original(options: &mut Options) -> Result<(Option<OriginalArgument>, String), Fault> {
    let signature = options.signature_of("original").map(ToString::to_string);
    if signature.as_deref() == Some("(uus)") {
        let parts: Option<Structure<'static>> = options.take("original", "(uus)")?;
        return parts.as_ref().map_or(Ok((None, String::new())), |parts| read_numbers(parts.fields()));
    }
    let path: Option<OwnedObjectPath> = options.take("original", "o")?;
    let path = path.map(ObjectPath::from).filter(|path| path.as_str() != "/");
    let Some(path) = path else { return Ok((None, String::new())) };
    let id = path::read_transaction(path.as_str())
        .ok_or_else(|| invalid("option original is not the path of a transaction"))?;
    Ok((Some(OriginalArgument::Object(id)), path.to_string()))
}

fn read_numbers(parts: &[Value<'_>]) -> Result<(Option<OriginalArgument>, String), Fault> {
    let [Value::U32(batch), Value::U32(trace), Value::Str(date)] = parts else {
        return Err(invalid("option original must be a path or (batch, trace, MMDD)"));
    };
    let (batch, trace, date) = (*batch, *trace, date.to_string());
    if batch > 999_999 || trace > 999_999 || !(date.is_empty() || is_mmdd(&date)) {
        return Err(invalid(
            "option original must have a batch and trace of 6 digits at most and a date MMDD",
        ));
    }
    let text = format!("{batch:06}/{trace:06}/{date}");
    let known = batch != 0 || trace != 0 || !date.is_empty();
    Ok((known.then_some(OriginalArgument::Numbers { batch, trace, date }), text))
}

impl Compared {
    /// SHA-256 over name and value of each compared argument, each with its length before it.
    ///
    /// The journal keeps the hash, so the form must never change.
    fn hash(&self, kind: Kind, amount: Amount, currency: Currency, entry_modes: &[String]) -> [u8; 32] {
        let parts = [
            ("kind", kind.word().to_owned()),
            ("amount", amount.minor().to_string()),
            ("currency", currency.alpha().to_owned()),
            ("original", self.original_text.clone()),
            ("rrn", self.rrn.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("date", self.date.clone().unwrap_or_default()),
            ("auth-code", self.auth_code.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("entry-modes", entry_modes.join(",")),
        ];
        let mut hash = Sha256::new();
        for text in parts.iter().flat_map(|(name, value)| [*name, value.as_str()]) {
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ident::TxnId;
    use proptest::prelude::*;

    fn dict(pairs: Vec<(&str, Value<'static>)>) -> Dict {
        pairs.into_iter().map(|(k, v)| (k.to_owned(), OwnedValue::try_from(v).unwrap())).collect()
    }

    fn refusal(kind: &str, amount: i64, options: Vec<(&str, Value<'static>)>) -> (FaultName, String) {
        let fault = read("r-1", kind, amount, "CNY", dict(options)).unwrap_err();
        (fault.name, fault.text)
    }

    #[test]
    fn amounts_are_judged_per_kind() {
        for (kind, amount) in [
            ("sale", 0),
            ("sale", -1),
            ("sale", 1_000_000_000_000),
            ("balance", 1),
            ("refund", 0),
            ("void", -5),
        ] {
            assert_eq!(refusal(kind, amount, vec![]).0, FaultName::AmountInvalid, "{kind} {amount}");
        }
        for (kind, amount) in [
            ("sale", 1),
            ("sale", 999_999_999_999),
            ("balance", 0),
            ("void", 0),
            ("void", 7),
            ("pre-auth-void", 0),
        ] {
            assert!(read("r-1", kind, amount, "CNY", dict(vec![])).is_ok(), "{kind} {amount}");
        }
    }

    #[test]
    fn arguments_of_the_wrong_form_are_named() {
        let check = |request_id: &str, kind, currency, expected: &str| {
            let fault = read(request_id, kind, 1, currency, dict(vec![])).unwrap_err();
            assert!(fault.text.contains(expected), "{}", fault.text);
        };
        check("", "sale", "CNY", "request id");
        check("a b", "sale", "CNY", "request id");
        check("r-1", "Sale", "CNY", "kind \"Sale\"");
        check("r-1", "sale", "cny", "ISO 4217");
        check("r-1", "sale", "XXX", "XXX");
    }

    /// Nobody can take the name of the undo that a refused signature starts by itself, not even of one to come.
    #[test]
    fn the_terminals_own_request_ids_are_refused() {
        let sale = TxnId::of(&RequestId::new("r-1").unwrap());
        let linked = refused::linked_request(&sale).unwrap();
        for request_id in [linked.as_str(), "linked:", "linked:x"] {
            let fault = read(request_id, "void", 0, "CNY", dict(vec![])).unwrap_err();
            assert_eq!(fault.name, FaultName::InvalidArgument, "{request_id}");
            assert!(fault.text.contains("choose another"), "{}", fault.text);
        }
        for request_id in ["linked", "Linked:x", "x-linked:"] {
            assert!(read(request_id, "void", 0, "CNY", dict(vec![])).is_ok(), "{request_id}");
        }
    }

    #[test]
    fn options_of_the_wrong_form_are_named() {
        let pairs: HashMap<String, String> = (0..17).map(|n| (format!("k{n}"), String::new())).collect();
        let card = HashMap::from([("note".to_owned(), "6225 8800 1234 5675".to_owned())]);
        for (key, value, expected) in [
            ("plies", Value::from(4_u32), "0 to 3"),
            ("plies", Value::from("1"), "type u"),
            ("customer-timeout", Value::from(0_u32), "1 to 3600"),
            ("confirm-card", Value::from(1_u32), "type b"),
            ("cashier-ref", Value::from("x".repeat(257)), "256 bytes"),
            ("cashier-ref", Value::from("6225880012345675"), "card number"),
            ("metadata", Value::from(pairs), "17 pairs"),
            ("metadata", Value::from(card), "card number"),
            ("entry-modes", Value::from(vec!["chip", "nose"]), "nose"),
            ("allow-duplicate", Value::from("yes"), "type b"),
            ("original", Value::from("x"), "type o"),
            ("rrn", Value::from("123456789012"), "does not go with kind sale"),
            ("date", Value::from("1332"), "MMDD"),
            ("colour", Value::from("red"), "unknown option \"colour\""),
        ] {
            let (name, text) = refusal("sale", 1, vec![(key, value)]);
            assert_eq!(name, FaultName::InvalidArgument, "{key}");
            assert!(text.contains(key) && text.contains(expected), "{text}");
        }
    }

    /// The journal keeps the hash; a change of the form would turn every repeat after an upgrade into a
    /// conflict.
    #[test]
    fn the_hash_of_the_compared_arguments_has_not_changed() {
        let request = read("r-1", "sale", 1250, "CNY", dict(vec![])).unwrap();
        let hex: String = request.arguments_sha256.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "b790daf17392568aa8d97548fd6cbcc339f5a89ba69e7f7974dbaa4b265027e4");
    }

    #[test]
    fn only_the_compared_arguments_change_the_hash() {
        let hash =
            |amount, options| read("r-1", "sale", amount, "CNY", dict(options)).unwrap().arguments_sha256;
        let plain = hash(1, vec![]);
        assert_eq!(plain, hash(1, vec![("plies", Value::from(1_u32)), ("cashier-ref", Value::from("a"))]));
        assert_ne!(plain, hash(2, vec![]));
        assert_ne!(plain, hash(1, vec![("entry-modes", Value::from(vec!["chip"]))]));
        let modes = |words: Vec<&'static str>| hash(1, vec![("entry-modes", Value::from(words))]);
        assert_eq!(modes(vec!["chip", "swipe"]), modes(vec!["swipe", "chip", "chip"]));
        let refund = |original: Value<'static>| {
            read("r-1", "refund", 1, "CNY", dict(vec![("original", original)])).unwrap().arguments_sha256
        };
        assert_ne!(refund(Value::from((1_u32, 2_u32, "1122"))), refund(Value::from((1_u32, 3_u32, "1122"))));
    }

    #[test]
    fn an_original_is_a_path_or_numbers_of_which_some_may_be_unknown() {
        let original = |value: Value<'static>| {
            read("r-1", "void", 0, "CNY", dict(vec![("original", value)])).map(|request| request.original)
        };
        let numbers =
            |batch, trace, date: &str| OriginalArgument::Numbers { batch, trace, date: date.to_owned() };
        assert_eq!(original(Value::from((0_u32, 7_u32, ""))), Ok(Some(numbers(0, 7, ""))));
        assert_eq!(original(Value::from((3_u32, 7_u32, "1122"))), Ok(Some(numbers(3, 7, "1122"))));
        assert_eq!(original(Value::from((0_u32, 0_u32, ""))), Ok(None));
        let object = |path: &'static str| original(Value::from(ObjectPath::try_from(path).unwrap()));
        assert!(matches!(
            object("/org/posd/Pos1/transaction/ba7816bf8f01cfea414140de5dae2223"),
            Ok(Some(OriginalArgument::Object(_)))
        ));
        assert_eq!(object("/"), Ok(None));
        assert!(object("/org/posd/Pos1/job/1").is_err());
        assert!(original(Value::from((1_000_000_u32, 7_u32, ""))).is_err());
    }

    /// A token may hold digits that look like a card number, so its own form is checked and nothing else.
    #[test]
    fn an_authorization_is_a_token() {
        let token = "62258800123456750123456789abcdef";
        let request =
            read("r-1", "refund", 1, "CNY", dict(vec![("authorization", Value::from(token))])).unwrap();
        assert_eq!(request.authorization.as_deref(), Some(token));
        assert!(refusal("refund", 1, vec![("authorization", Value::from("x"))]).1.contains("32 hex digits"));
    }

    proptest! {
        /// No dictionary makes it panic, and what is accepted has its bounds.
        #[test]
        fn any_call_is_read_or_refused(
            request_id in ".{0,70}", kind in "(sale|void|balance|refund|.{0,8})", amount in any::<i64>(),
            plies in any::<u32>(), reference in ".{0,300}", key in "(plies|cashier-ref|rrn|.{0,6})",
        ) {
            let options = dict(vec![("plies", Value::from(plies)), (key.as_str(), Value::from(reference))]);
            if let Ok(request) = read(&request_id, &kind, amount, "CNY", options) {
                prop_assert!(request.plies.is_none_or(|plies| plies <= 3));
                prop_assert!(request.cashier_ref.is_none_or(|text| text.len() <= 256));
            }
        }
    }
}
