//! What is fed to everything that reads bytes of a chip, and the laws that must hold for every input.
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu, StatusWord};
use crate::domain::emv::dol;
use crate::domain::emv::kernel::{CardSummary, Conclusion, HostAnswer, Verdict};
use crate::domain::emv::tlv::{self, Reader, Tag, TagStore};
use crate::sim::card::{Card, Oda, Profile};
use crate::sim::conversation::{self, Chip, End, Holder};

/// The most that a conversation may keep of a card: what an application's records can hold, and some.
const KEPT_MAX: usize = 64 * 256;
/// The most commands: selection by the directory and by the list, 64 records, PIN tries, scripts.
const COMMANDS_MAX: usize = 400;
/// Deepest nesting that is followed; templates of a chip have three levels.
const DEPTH_MAX: usize = 8;

/// Objects: their values lie in the input one after the other, and what is taken is written the same again.
pub(super) fn objects(bytes: &[u8]) -> Result<bool, &'static str> {
    level(bytes, 0)?;
    let Ok(Some(object)) = tlv::single(bytes) else { return Ok(false) };
    let Ok(again) = tlv::encode(object.tag, object.value) else { return Err("what was read is not written") };
    let same =
        matches!(tlv::single(&again), Ok(Some(read)) if read.tag == object.tag && read.value == object.value);
    if same { Ok(true) } else { Err("what was written is read differently") }
}

fn level(bytes: &[u8], depth: usize) -> Result<(), &'static str> {
    let mut store = TagStore::default();
    let mut total = 0_usize;
    for object in Reader::new(bytes) {
        let Ok(object) = object else { break };
        total = total.saturating_add(object.value.len());
        if store.put_new(object.tag, object.value).is_ok() && store.value(object.tag) != Some(object.value) {
            return Err("a stored object is another one");
        }
        if object.tag.is_constructed() && depth < DEPTH_MAX {
            level(object.value, depth.saturating_add(1))?;
        }
    }
    if total > bytes.len() { Err("more is read than came") } else { Ok(()) }
}

/// A data object list: it fills to the length that it asks for, whatever the values.
pub(super) fn list(bytes: &[u8]) -> Result<bool, &'static str> {
    let Ok(entries) = dol::entries(bytes) else {
        return if dol::fill(bytes, |_| None).is_err() { Ok(false) } else { Err("a broken list is filled") };
    };
    let asked: usize = entries.iter().map(|entry| usize::from(entry.length)).sum();
    for value in [&[][..], &[0x12, 0x34, 0x56]] {
        match dol::fill(bytes, |_| Some(value)) {
            Ok(filled) if filled.len() == asked && asked <= dol::FILLED_MAX => {}
            _ => return Err("a list is filled to another length"),
        }
    }
    Ok(!entries.is_empty())
}

/// A file locator in an otherwise good card: the conversation ends, within the commands of the most records.
pub(super) fn locator(bytes: &[u8]) -> Result<bool, &'static str> {
    let mut profile = preset("no-cvm")?;
    change(&mut profile, 0x94, bytes.get(..252).unwrap_or(bytes));
    let conclusion = converse(Fuzzed::new(profile, &[]))?;
    Ok(conclusion.is_some())
}

/// Objects of the signatures in an otherwise good card. The first byte chooses the kind; then come an object's number,
/// its length and its value, as often as there is input. What is not the issuer's is never authenticated.
pub(super) fn signatures(bytes: &[u8]) -> Result<bool, &'static str> {
    let Some((kind, mut rest)) = bytes.split_first() else { return Ok(false) };
    let (name, oda) = match kind % 3 {
        0 => ("sda", Oda::Sda),
        1 => ("dda", Oda::Dda),
        _ => ("cda", Oda::Cda),
    };
    let mut profile = preset(name)?;
    let mut forged = false;
    while let [number, length, tail @ ..] = rest {
        let (value, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        let (tag, signs) =
            SIGNED.into_iter().nth(usize::from(*number) % SIGNED.len()).unwrap_or((0x8F, false));
        change(&mut profile, tag, value);
        // An object that this kind does not read changes nothing.
        forged |= signs && (tag == 0x90 || (tag == 0x93) == (oda == Oda::Sda));
        rest = tail;
    }
    let Some(conclusion) = converse(Fuzzed::new(profile, &[]))? else { return Ok(false) };
    let Some(card) = conclusion.card else { return Ok(false) };
    let failed =
        card.tags.value(Tag::TVR).is_some_and(|tvr| tvr.first().is_some_and(|byte| byte & 0xCC != 0));
    if forged && !failed { Err("a forged signature is believed") } else { Ok(true) }
}

/// The objects of offline data authentication, and which of them are signatures.
const SIGNED: [(u32, bool); 10] = [
    (0x8F, false),
    (0x90, true),
    (0x92, false),
    (0x93, true),
    (0x9F32, false),
    (0x9F46, true),
    (0x9F47, false),
    (0x9F48, false),
    (0x9F49, false),
    (0x9F4A, false),
];

/// A whole conversation. The first byte chooses the card; each answer then takes a byte that says what becomes of it.
/// It ends, keeps little, and is not approved by luck: an approval needs a TC.
pub(super) fn conversation(bytes: &[u8]) -> Result<bool, &'static str> {
    let Some((card, changes)) = bytes.split_first() else { return Ok(false) };
    let presets = ["unionpay", "visa", "two-applications", "no-pse", "offline-pin", "sda", "dda", "cda"];
    let preset = preset(presets.into_iter().nth(usize::from(card % 8)).unwrap_or("unionpay"))?;
    let Some(conclusion) = converse(Fuzzed::new(preset, changes))? else { return Ok(false) };
    let cid = conclusion.card.as_ref().and_then(|card| card.tags.array::<1>(Tag::CID));
    if conclusion.verdict == Verdict::Approved && cid.is_none_or(|[cid]| cid & 0xC0 != 0x40) {
        return Err("approved without a TC");
    }
    Ok(true)
}

/// A card whose answers are changed on the way.
struct Fuzzed<'a> {
    card: Card,
    changes: &'a [u8],
    commands: usize,
}

impl<'a> Fuzzed<'a> {
    fn new(profile: Profile, changes: &'a [u8]) -> Self {
        Self { card: Card::new(profile), changes, commands: 0 }
    }

    fn draw(&mut self) -> Option<u8> {
        let (first, rest) = self.changes.split_first()?;
        self.changes = rest;
        Some(*first)
    }
}

impl Chip for Fuzzed<'_> {
    fn answer(&mut self, command: &CommandApdu) -> Option<ResponseApdu> {
        self.commands = self.commands.saturating_add(1);
        let mut answer = self.card.answer(command)?;
        // Most bytes leave an answer as it is, so that conversations get far.
        match self.draw().unwrap_or(0xFF) {
            0 => return None,
            1 => answer.status = StatusWord(u16::from_be_bytes([self.draw()?, self.draw()?])),
            2 => {
                let length = usize::from(self.draw()?);
                answer.data.truncate(length);
            }
            3 => {
                let (at, value) = (usize::from(self.draw()?), self.draw()?);
                if let Some(byte) = answer.data.get_mut(at) {
                    *byte = value;
                }
            }
            4 => {
                let length = usize::from(self.draw()?).min(self.changes.len());
                let (data, rest) = self.changes.split_at(length);
                answer.data = data.to_vec();
                self.changes = rest;
            }
            _ => {}
        }
        Some(answer)
    }
}

/// Lets terminal and card talk; the end as EMV has it, if there is one.
fn converse(mut chip: Fuzzed<'_>) -> Result<Option<Box<Conclusion>>, &'static str> {
    let holder = Holder { choice: 0, pin: Some("1234".to_owned()) };
    let bank = |chip: &mut Fuzzed<'_>, _: &CardSummary| HostAnswer::Answered {
        approved: true,
        response_code: *b"00",
        issuer_authentication: chip.card.issuer_answer(*b"00").map(Vec::from),
        scripts: Vec::new(),
    };
    let end =
        conversation::hold(&conversation::terminal(), &conversation::purchase(), &mut chip, &holder, bank);
    if chip.commands > COMMANDS_MAX {
        return Err("too many commands");
    }
    match end {
        End::Concluded(conclusion) => {
            let kept = |tags: &TagStore| tags.iter().map(|(_, value)| value.len()).sum::<usize>();
            match &conclusion.card {
                Some(card) if kept(&card.tags) > KEPT_MAX => Err("too much is kept"),
                _ => Ok(Some(conclusion)),
            }
        }
        End::Broken(_) | End::Gone => Ok(None),
        End::Endless => Err("no end"),
    }
}

fn preset(name: &str) -> Result<Profile, &'static str> {
    Profile::preset(name).map_err(|_| "a preset is missing")
}

fn change(profile: &mut Profile, tag: u32, value: &[u8]) {
    for application in &mut profile.applications {
        application.objects.insert(tag, (!value.is_empty()).then(|| value.to_vec()));
    }
}
