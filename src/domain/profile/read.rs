//! A profile as a TOML text. Keys that a text leaves out are those of its base; a key that is unknown or out of range
//! is told with file, line and what is allowed.
use super::{
    Downloads, Forms, LateUploads, NamesOriginal, Profile, ReversalCodes, UnsignedRefusals, VoidedSales,
};
use crate::domain::crypto::mac::MacAlgorithm;
use crate::domain::download;
use crate::domain::emv::tlv::Tag;
use crate::domain::iso8583::{De, Dialect, Fill, Form, Format};
use crate::domain::keystore::{
    Contradiction, KeyBlockLayout, KeyRules, MacForm, MakLength, MissingTdk, SignOnKeys,
};
use crate::domain::settings::{ConfigError, ConfigErrors, Section, Tables};
use crate::domain::unionpay::catalogue::{Catalogue, Class, Entry, Next};
use crate::domain::unionpay::de55::{IccLists, UnableOnline};
use crate::domain::unionpay::dialect::DIALECT;
use crate::domain::unionpay::response;
use core::time::Duration;
use std::path::Path;

/// Longest time that a profile may name, seconds.
const DAY_S: i64 = 86_400;
/// Most objects of one list of DE 55.
const TAGS_MAX: usize = 40;
/// Elements that an answer repeats: 3, 4, 11, 25, 41, 42, 49, 60.
const REPEATED: [u8; 8] = [3, 4, 11, 25, 41, 42, 49, 60];
const TAG: &str =
    "tags of one to three bytes in hexadecimal digits, none of card number, track, name, expiry or PIN";

/// Reads a text. `base` gives what it leaves out; without one every key must be there.
///
/// # Errors
/// Everything that is wrong, not only the first thing.
pub fn read(name: &str, file: &Path, text: &str, base: Option<&Profile>) -> Result<Profile, ConfigErrors> {
    let mut errors = Vec::new();
    let mut tables = Tables::parse(file, text, &mut errors);
    if !errors.is_empty() {
        return Err(ConfigErrors(errors));
    }
    let mut section = |name: &str, read: &mut dyn FnMut(&mut Section<'_>)| {
        let place = tables.lines.get(name).map_or((file.to_owned(), 0), |(f, l)| (f.as_ref().clone(), *l));
        let entries = tables.tables.remove(name).unwrap_or_default();
        let mut section = Section::new(&format!("[{name}]"), place, entries, &mut errors);
        read(&mut section);
        section.finish();
    };
    let (mut frame, mut dialect, mut forms, mut keys, mut reversal) = (None, None, None, None, None);
    let (mut uploads, mut downloads, mut voided_sales, mut people, mut icc) = (None, None, None, None, None);
    section("frame", &mut |s| frame = self::frame(s, base));
    section("fields", &mut |s| dialect = fields(s, base.map_or(&DIALECT, |base| &base.dialect)));
    section("forms", &mut |s| forms = self::forms(s, base.map(|base| &base.forms)));
    section("keys", &mut |s| keys = self::keys(s, base.map(|base| &base.keys)));
    section("reversal", &mut |s| reversal = self::reversal(s, base));
    section("uploads", &mut |s| uploads = self::uploads(s, base));
    section("settlement", &mut |s| voided_sales = settlement(s, base));
    section("downloads", &mut |s| downloads = self::downloads(s, base.map(|base| &base.downloads)));
    section("business", &mut |s| people = self::business(s, base));
    section("chip-data", &mut |s| icc = self::icc(s, base.map(|base| &base.icc)));
    let rows = tables.lists.remove("response").unwrap_or_default();
    let catalogue = catalogue(file, rows, base.map(|base| &base.catalogue), &mut errors);
    unknown(file, &tables, &mut errors);
    let profile = (|| {
        let Frame { tpdu, header, response_timeout, mti, bitmap } = frame?;
        let people = people?;
        let (reversal_codes, reversal_attempts, repeat_not_found, names_original) = reversal?;
        let (upload_attempts, late_uploads) = uploads?;
        Some(Profile {
            name: name.to_owned(),
            tpdu,
            header,
            response_timeout,
            dialect: dialect?.with_forms(mti, bitmap),
            forms: forms?,
            keys: keys?,
            reversal_codes,
            names_original,
            icc: icc?,
            catalogue: catalogue?,
            reversal_attempts,
            repeat_not_found,
            upload_attempts,
            downloads: downloads?,
            unsigned_refusals: people.unsigned_refusals,
            late_uploads,
            voided_sales: voided_sales?,
            void_needs_card: people.void_needs_card,
            void_pin: people.void_pin,
            pre_auth_void_pin: people.pre_auth_void_pin,
            completion_pin: people.completion_pin,
            completion_void_pin: people.completion_void_pin,
            completion_percent_max: people.completion_percent_max,
            swipe_fallback: people.swipe_fallback,
            duplicate_window: people.duplicate_window,
        })
    })();
    match profile {
        Some(profile) if errors.is_empty() => Ok(profile),
        _ => {
            errors.sort_by_key(|error| error.line);
            Err(ConfigErrors(errors))
        }
    }
}

fn seconds(duration: Duration) -> Option<i64> {
    i64::try_from(duration.as_secs()).ok()
}

fn all<T: Copy + core::fmt::Display>(words: &[T]) -> String {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    words.join(", ")
}

struct Frame {
    tpdu: [u8; 5],
    header: [u8; 6],
    response_timeout: Duration,
    mti: Form,
    bitmap: Form,
}

fn frame(s: &mut Section<'_>, base: Option<&Profile>) -> Option<Frame> {
    let tpdu = s.text("tpdu", base.map(|b| b.tpdu), "10 hex digits", hex);
    let header = s.text("header", base.map(|b| b.header), "12 hex digits", hex);
    let default = base.and_then(|b| seconds(b.response_timeout));
    let response = s.number_or("response-timeout-s", default, 1..=300, " s");
    let mut form = |key, part: fn(&Dialect) -> Form| {
        s.text(key, base.map(|b| part(&b.dialect)), &all(Form::ALL), Form::from_word)
    };
    let (mti, bitmap) = (form("mti", Dialect::mti), form("bitmap", Dialect::bitmap));
    let response_timeout = Duration::from_secs(response?);
    Some(Frame { tpdu: tpdu?, header: header?, response_timeout, mti: mti?, bitmap: bitmap? })
}

/// Elements on the wire. DE 1 is the secondary bitmap, which no terminal sends; DE 64 is the MAC, whose form `[keys]`
/// says.
fn fields(s: &mut Section<'_>, base: &Dialect) -> Option<Dialect> {
    let read = |text: &str| Format::parse(text).map_err(|error| error.allowed.to_owned());
    let changed =
        s.numbered(2..=63, "the elements 2 to 63, each with a format such as \"n..19 ll\"", read)?;
    for (number, _) in changed.iter().filter(|(n, format)| REPEATED.contains(n) && format.fill != Fill::None)
    {
        let allowed = "a format without spaces and zeros: answers repeat this element, unit by unit";
        s.wrong_table(&number.to_string(), "is filled", allowed);
    }
    let with = |dialect: Dialect, (number, format)| match De::new(number) {
        Some(de) => dialect.with(de, format),
        None => dialect,
    };
    Some(changed.into_iter().fold(base.clone(), with))
}

/// A text of exactly so many digits.
fn digits(count: usize) -> impl Fn(&str) -> Option<String> {
    move |text| (text.len() == count && text.bytes().all(|c| c.is_ascii_digit())).then(|| text.to_owned())
}

/// A text of at most so many printable characters, perhaps none.
fn printable(most: usize) -> impl Fn(&str) -> Option<String> {
    let good = |c: u8| c == b' ' || c.is_ascii_graphic();
    move |text| (text.len() <= most && text.bytes().all(good)).then(|| text.to_owned())
}

/// A text of one to so many printable characters.
fn shown(most: usize) -> impl Fn(&str) -> Option<String> {
    move |text| printable(most)(text).filter(|text| !text.is_empty())
}

fn forms(s: &mut Section<'_>, base: Option<&Forms>) -> Option<Forms> {
    let of = |part: fn(&Forms) -> &String| base.map(|base| part(base).clone());
    let code = s.text("entry-mode-code", of(|f| &f.entry_mode_code), "2 digits", digits(2));
    let fallback = s.text("entry-mode-fallback", of(|f| &f.entry_mode_fallback), "80, 02", |t| {
        matches!(t, "80" | "02").then(|| t.to_owned())
    });
    let capture = s.text("pin-capture", of(|f| &f.pin_capture), "2 digits", digits(2));
    let pin = s.text("security-pin", of(|f| &f.security_pin), "1, 2", |t| {
        matches!(t, "1" | "2").then(|| t.to_owned())
    });
    let cipher = s.text("security-cipher", base.map(|f| f.security_cipher), "by-key, or one digit", |t| {
        let mut characters = t.chars();
        match (characters.next(), characters.next()) {
            _ if t == "by-key" => Some(None),
            (Some(digit @ '0'..='9'), None) => Some(Some(digit)),
            _ => None,
        }
    });
    let private = s.number_or(
        "private-60-digits",
        base.and_then(|f| i64::try_from(f.private_60_digits).ok()),
        13..=14,
        " digits",
    );
    let refund = s.text("refund-63", of(|f| &f.refund_63), "1 to 20 characters", shown(20));
    let advice = s.text("advice-63", of(|f| &f.advice_63), "at most 20 characters", printable(20));
    let upload = s.text("upload-63", of(|f| &f.upload_63), "1 to 20 characters", shown(20));
    let script = s.flag_or("script-condition", base.map(|f| f.script_condition));
    let number =
        s.text("sequence-number", of(|f| &f.sequence_number), "at most 99 characters", printable(99));
    Some(Forms {
        entry_mode_code: code?,
        entry_mode_fallback: fallback?,
        pin_capture: capture?,
        security_pin: pin?,
        security_cipher: cipher?,
        private_60_digits: private?,
        refund_63: refund?,
        advice_63: advice?,
        upload_63: upload?,
        script_condition: script?,
        sequence_number: number?,
    })
}

fn keys(s: &mut Section<'_>, base: Option<&KeyRules>) -> Option<KeyRules> {
    let sign_on =
        s.text("sign-on-keys", base.map(|k| k.sign_on), &all(SignOnKeys::ALL), SignOnKeys::from_word);
    let mac = s.text("mac", base.map(|k| k.mac), &all(MacAlgorithm::ALL), MacAlgorithm::from_word);
    let form = s.text("mac-form", base.map(|k| k.mac_form), &all(MacForm::ALL), MacForm::from_word);
    let block =
        s.text("block", base.map(|k| k.key_block), &all(KeyBlockLayout::ALL), KeyBlockLayout::from_word);
    let mak = s.text("mak", base.map(|k| k.mak), &all(MakLength::ALL), MakLength::from_word);
    let tracks = s.flag_or("track-encryption", base.map(|k| k.track_encryption));
    let missing =
        s.text("missing-tdk", base.map(|k| k.missing_tdk), &all(MissingTdk::ALL), MissingTdk::from_word);
    let rules = KeyRules {
        sign_on: sign_on?,
        mac: mac?,
        mac_form: form?,
        key_block: block?,
        mak: mak?,
        track_encryption: tracks?,
        missing_tdk: missing?,
    };
    if let Some(Contradiction { keys, why }) = rules.contradiction() {
        s.contradiction(keys, why);
    }
    Some(rules)
}

fn reversal(
    s: &mut Section<'_>,
    base: Option<&Profile>,
) -> Option<(ReversalCodes, u32, Duration, NamesOriginal)> {
    let of = |part: fn(&ReversalCodes) -> &String| base.map(|base| part(&base.reversal_codes).clone());
    let code = |text: &str| {
        (text.len() == 2 && text.bytes().all(|c| c.is_ascii_alphanumeric())).then(|| text.to_owned())
    };
    const CODE: &str = "2 letters or digits";
    let no_answer = s.text("no-answer", of(|c| &c.no_answer), CODE, code);
    let mac_error = s.text("mac-error", of(|c| &c.mac_error), CODE, code);
    let refused = s.text("refused", of(|c| &c.refused), CODE, code);
    let attempts = s.number_or("attempts", base.map(|b| i64::from(b.reversal_attempts)), 1..=99, "");
    let default = base.and_then(|b| seconds(b.repeat_not_found));
    let repeat = s.number_or("repeat-not-found-s", default, 0..=DAY_S, " s, 0 = never");
    let names = s.text(
        "names-original",
        base.map(|b| b.names_original),
        &all(NamesOriginal::ALL),
        NamesOriginal::from_word,
    );
    let codes = ReversalCodes { no_answer: no_answer?, mac_error: mac_error?, refused: refused? };
    Some((codes, attempts?, Duration::from_secs(repeat?), names?))
}

fn uploads(s: &mut Section<'_>, base: Option<&Profile>) -> Option<(u32, LateUploads)> {
    let attempts = s.number_or("attempts", base.map(|b| i64::from(b.upload_attempts)), 1..=99, "");
    let late = s.text("late", base.map(|b| b.late_uploads), &all(LateUploads::ALL), LateUploads::from_word);
    Some((attempts?, late?))
}

fn settlement(s: &mut Section<'_>, base: Option<&Profile>) -> Option<VoidedSales> {
    s.text("voided-sales", base.map(|b| b.voided_sales), &all(VoidedSales::ALL), VoidedSales::from_word)
}

fn downloads(s: &mut Section<'_>, base: Option<&Downloads>) -> Option<Downloads> {
    let most = download::Kind::ALL.len();
    let kinds = base.map(|b| b.kinds.clone());
    let kinds = s.list("kinds", kinds, 1..=most, &all(download::Kind::ALL), download::Kind::from_word);
    let partial = s.text("partial-match", base.map(|b| b.partial_match), "00, 01", |t| match t {
        "00" => Some(0),
        "01" => Some(1),
        _ => None,
    });
    let end = s.flag_or("parameters-end", base.map(|b| b.parameters_end));
    let retry = s.number_or("retry-s", base.and_then(|b| seconds(b.retry)), 1..=DAY_S, " s");
    Some(Downloads {
        kinds: kinds?,
        partial_match: partial?,
        parameters_end: end?,
        retry: Duration::from_secs(retry?),
    })
}

struct Business {
    unsigned_refusals: UnsignedRefusals,
    void_needs_card: bool,
    void_pin: bool,
    pre_auth_void_pin: bool,
    completion_pin: bool,
    completion_void_pin: bool,
    completion_percent_max: u32,
    swipe_fallback: bool,
    duplicate_window: Duration,
}

fn business(s: &mut Section<'_>, base: Option<&Profile>) -> Option<Business> {
    let refusals = s.text(
        "unsigned-refusals",
        base.map(|b| b.unsigned_refusals),
        &all(UnsignedRefusals::ALL),
        UnsignedRefusals::from_word,
    );
    let card = s.flag_or("void-needs-card", base.map(|b| b.void_needs_card));
    let void_pin = s.flag_or("void-pin", base.map(|b| b.void_pin));
    let pre_auth = s.flag_or("pre-auth-void-pin", base.map(|b| b.pre_auth_void_pin));
    let completion = s.flag_or("completion-pin", base.map(|b| b.completion_pin));
    let completion_void = s.flag_or("completion-void-pin", base.map(|b| b.completion_void_pin));
    let percent = base.map(|b| i64::from(b.completion_percent_max));
    let percent = s.number_or("completion-percent-max", percent, 100..=200, " %");
    let fallback = s.flag_or("swipe-fallback", base.map(|b| b.swipe_fallback));
    let window = base.and_then(|b| seconds(b.duplicate_window));
    let window = s.number_or("duplicate-window-s", window, 0..=DAY_S, " s, 0 = never");
    Some(Business {
        unsigned_refusals: refusals?,
        void_needs_card: card?,
        void_pin: void_pin?,
        pre_auth_void_pin: pre_auth?,
        completion_pin: completion?,
        completion_void_pin: completion_void?,
        completion_percent_max: percent?,
        swipe_fallback: fallback?,
        duplicate_window: Duration::from_secs(window?),
    })
}

fn icc(s: &mut Section<'_>, base: Option<&IccLists>) -> Option<IccLists> {
    let mut list = |key, part: fn(&IccLists) -> &Vec<Tag>| {
        s.list(key, base.map(|base| part(base).clone()), 0..=TAGS_MAX, TAG, tag)
    };
    let mandatory = list("mandatory", |l| &l.mandatory);
    let optional = list("optional", |l| &l.optional);
    let no_answer = list("reversal-no-answer", |l| &l.reversal_no_answer);
    let refused = list("reversal-refused", |l| &l.reversal_refused);
    let script = list("script-result", |l| &l.script_result);
    let unable =
        s.text("upload-unable-online", base.map(|l| l.unable_online), &all(UnableOnline::ALL), |t| {
            UnableOnline::from_word(t)
        });
    Some(IccLists {
        mandatory: mandatory?,
        optional: optional?,
        reversal_no_answer: no_answer?,
        reversal_refused: refused?,
        script_result: script?,
        unable_online: unable?,
    })
}

/// A tag of one to three bytes, upper-case.
fn tag(text: &str) -> Option<Tag> {
    let good = matches!(text.len(), 2 | 4 | 6)
        && text.bytes().all(|c| c.is_ascii_digit() || (b'A'..=b'F').contains(&c));
    let tag = good.then(|| u32::from_str_radix(text, 16).ok().map(Tag)).flatten();
    // DE 55 stays in the journal: what has an element of its own, or is a secret, never stands in it.
    tag.filter(|tag| !tag.is_sensitive() && ![Tag::EXPIRY, Tag::PAN_SEQUENCE].contains(tag))
}

/// Exactly N bytes in hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != N.checked_mul(2)? || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    for (to, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *to = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// The rows `[[response]]`, laid over those of the base. What reads as approved must be what is booked: the terminal's
/// own list of approving codes is not a setting.
fn catalogue(
    file: &Path,
    rows: Vec<crate::domain::settings::ListedTable>,
    base: Option<&Catalogue>,
    errors: &mut Vec<ConfigError>,
) -> Option<Catalogue> {
    let mut catalogue = base.cloned().unwrap_or_default();
    let (mut whole, mut named) = (true, Vec::new());
    for (entries, line) in rows {
        let mut s = Section::new("[[response]]", (file.to_owned(), line), entries, errors);
        let entry = row(&mut s);
        let fits = entry
            .as_ref()
            .is_none_or(|entry| response::books(&entry.code) == (entry.class == Class::Approved));
        if !fits {
            s.wrong_table(
                "class",
                "does not fit the code",
                "approved for 00, 10, 11, A2, A4, A5, A6 and no other",
            );
        }
        s.finish();
        match entry {
            Some(entry) if named.contains(&entry.code) => {
                errors.push(ConfigError {
                    file: file.to_owned(),
                    line,
                    key: "[[response]] code".to_owned(),
                    problem: format!("{} stands twice", entry.code),
                    allowed: "each code once".to_owned(),
                });
            }
            Some(entry) => {
                named.push(entry.code.clone());
                catalogue.put(entry);
            }
            None => whole = false,
        }
    }
    whole.then_some(catalogue)
}

fn row(s: &mut Section<'_>) -> Option<Entry> {
    let good = |text: &str| (1..=60).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let text = |text: &str| good(text).then(|| text.to_owned());
    let code = s.text("code", None, "2 letters or digits", |text| {
        (text.len() == 2 && text.bytes().all(|c| c.is_ascii_alphanumeric())).then(|| text.to_owned())
    });
    let class = s.text("class", None, &all(Class::ALL), Class::from_word);
    let zh = s.text("zh", None, "1 to 60 characters, none of them a control character", text);
    let en = s.text("en", None, "1 to 60 characters, none of them a control character", text);
    let next = s.text("next", None, &all(Next::ALL), Next::from_word);
    Some(Entry { code: code?.into(), class: class?, zh: zh?.into(), en: en?.into(), next: next? })
}

/// Tables that nobody took.
fn unknown(file: &Path, tables: &Tables, errors: &mut Vec<ConfigError>) {
    const ALLOWED: &str = "[frame], [fields], [forms], [keys], [reversal], [uploads], [settlement], [downloads], \
        [business], [chip-data], [[response]]";
    for name in tables.tables.keys().chain(tables.lists.keys()) {
        let line = tables.lines.get(name).map_or(0, |(_, line)| *line);
        errors.push(ConfigError {
            file: file.to_owned(),
            line,
            key: if name.is_empty() { "keys outside any table".to_owned() } else { format!("[{name}]") },
            problem: "is not known".to_owned(),
            allowed: ALLOWED.to_owned(),
        });
    }
}
