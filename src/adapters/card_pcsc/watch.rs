//! What the readers' states mean: pure, so that every plug, pull and swap can be tested without a reader.
use crate::ports::{CardEvent, ReaderStatus};

/// Reason: pcscd does not run.
pub(super) const PCSCD_ABSENT: &str = "pcscd-absent";
/// Reason: the reader is not plugged in.
pub(super) const UNPLUGGED: &str = "unplugged";
/// Reason: another program holds the reader.
pub(super) const SHARED: &str = "shared";
/// Reason: the program behind it may be the one; its name follows.
const HELD_BY: &str = "held-by-";
/// Reason: a command of ours hangs in the reader.
pub(super) const HUNG: &str = "hung";
/// Reason: a slot for security modules, no cardholder's card fits.
const SAM_SLOT: &str = "sam-slot";

/// Which contact readers may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReaderNames {
    /// The first one that works.
    Auto,
    /// The first of these that works. Each is a PC/SC name or the beginning of one: pcscd appends numbers.
    Named(Vec<String>),
}

/// One look at the readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// All readers of concern.
    pub(super) readers: Vec<ReaderStatus>,
    /// PC/SC name of the contact reader in use.
    pub(super) in_use: Option<String>,
}

/// One reader as PC/SC reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) name: String,
    pub(super) present: bool,
    /// Held exclusively by somebody else.
    pub(super) held: bool,
    /// Programs that may be the one, where they can be seen.
    pub(super) holders: Vec<String>,
    pub(super) pin_pad: bool,
    pub(super) event_count: u32,
}

impl View {
    /// Judges what PC/SC reports. The reader in use stays in use while it is plugged in.
    pub(super) fn new(names: &ReaderNames, reported: &[Reported], in_use: Option<&str>) -> Self {
        let mut readers: Vec<ReaderStatus> = match names {
            ReaderNames::Auto => reported.iter().map(status).collect(),
            ReaderNames::Named(wanted) => wanted.iter().flat_map(|name| named(name, reported)).collect(),
        };
        readers.dedup_by(|a, b| a.name == b.name);
        let usable = |reader: &&ReaderStatus| {
            let sound = reader.reasons.iter().all(|reason| is_about_holding(reason));
            sound && !reader.contactless
        };
        let kept = readers.iter().filter(usable).find(|reader| Some(reader.name.as_str()) == in_use);
        let first = readers.iter().filter(usable).find(|reader| reader.ok);
        let chosen = kept.or(first).or_else(|| readers.iter().find(usable));
        let in_use = chosen.map(|reader| reader.name.clone());
        Self { readers, in_use }
    }

    /// The readers last known, without pcscd: none works.
    pub(super) fn without_pcscd(&self, names: &ReaderNames) -> Self {
        let mut readers = match names {
            ReaderNames::Named(wanted) if self.readers.is_empty() => {
                wanted.iter().flat_map(|name| named(name, &[])).collect()
            }
            _ => self.readers.clone(),
        };
        for reader in &mut readers {
            reader.ok = false;
            reader.card_present = false;
            reader.reasons = vec![PCSCD_ABSENT.to_owned()];
        }
        Self { readers, in_use: None }
    }

    /// What the engine is told when one view follows another; `None` before the first.
    pub(super) fn events_after(&self, before: Option<&Self>) -> Vec<CardEvent> {
        let mut events = Vec::new();
        if before.is_none_or(|before| before.readers != self.readers) {
            events.push(CardEvent::Readers(self.readers.clone()));
        }
        let was = before.and_then(Self::card);
        let now = self.card();
        // Another count on the same reader: the card was swapped between two looks.
        if was != now {
            events.extend(was.map(|_| CardEvent::Removed));
            events.extend(now.map(|_| CardEvent::Inserted));
        }
        events
    }

    /// This view, with what is now known of a reader's PIN pad.
    pub(super) fn with_pin_pad(&self, reader: &str, has_one: bool) -> Self {
        let mut view = self.clone();
        view.readers.iter_mut().filter(|r| r.name == reader).for_each(|r| r.pin_pad = has_one);
        view
    }

    /// The card, if the reader in use is still this one.
    pub(super) fn card_in(&self, reader: Option<&str>) -> Option<u32> {
        self.card().filter(|(name, _)| Some(*name) == reader).map(|(_, count)| count)
    }

    /// The card in the reader in use: which reader, and its event counter.
    fn card(&self) -> Option<(&str, u32)> {
        let in_use = self.in_use.as_deref()?;
        let reader = self.readers.iter().find(|reader| reader.name == in_use)?;
        reader.card_present.then_some((in_use, reader.event_count))
    }
}

fn named(wanted: &str, reported: &[Reported]) -> Vec<ReaderStatus> {
    let mut found: Vec<ReaderStatus> =
        reported.iter().filter(|reader| reader.name.starts_with(wanted)).map(status).collect();
    if found.is_empty() {
        found.push(ReaderStatus {
            name: wanted.to_owned(),
            contactless: is_contactless(wanted),
            card_present: false,
            pin_pad: false,
            ok: false,
            reasons: vec![UNPLUGGED.to_owned()],
            event_count: 0,
        });
    }
    found
}

fn status(reported: &Reported) -> ReaderStatus {
    let reasons = match () {
        () if words(&reported.name).any(|word| word == "SAM") => vec![SAM_SLOT.to_owned()],
        () if reported.held => {
            let holders = reported.holders.iter().map(|program| held_by(program));
            core::iter::once(SHARED.to_owned()).chain(holders).collect()
        }
        () => Vec::new(),
    };
    ReaderStatus {
        name: reported.name.clone(),
        contactless: is_contactless(&reported.name),
        card_present: reported.present,
        pin_pad: reported.pin_pad,
        ok: reasons.is_empty(),
        reasons,
        event_count: reported.event_count,
    }
}

/// The reason that names a holder. Choice: reasons are words of small letters, digits and hyphens, so the name becomes
/// one.
fn held_by(program: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    HELD_BY.chars().chain(program.chars().map(word)).collect()
}

/// True of reasons that end when another program lets go of the reader.
pub(super) fn is_about_holding(reason: &str) -> bool {
    reason == SHARED || reason.starts_with(HELD_BY)
}

/// Contactless slots are known by their names only: PC/SC tells nothing else before a card is in.
/// Choice: the words that readers on the market use (`PICC`, `Contactless`, `CL`, `NFC`, `RFID`).
fn is_contactless(name: &str) -> bool {
    words(name).any(|word| {
        matches!(word.as_str(), "PICC" | "CL" | "NFC" | "RFID") || word.starts_with("CONTACTLESS")
    })
}

fn words(name: &str) -> impl Iterator<Item = String> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(name: &str, present: bool, event_count: u32) -> Reported {
        Reported {
            name: name.to_owned(),
            present,
            held: false,
            holders: Vec::new(),
            pin_pad: false,
            event_count,
        }
    }

    fn names(view: &View) -> Vec<&str> {
        view.readers.iter().map(|reader| reader.name.as_str()).collect()
    }

    const CONTACT: &str = "ACS ACR39U ICC Reader 00 00";

    /// Names as readers on the market give them; the contact slot is found among them.
    #[test]
    fn the_first_contact_reader_is_in_use() {
        let reported = [
            reader("ACS ACR1281 1S Dual Reader PICC 00 00", true, 1),
            reader("ACS ACR1281 1S Dual Reader SAM 00 02", true, 1),
            reader(
                "HID Global OMNIKEY 5422 Smartcard Reader [OMNIKEY 5422CL Smartcard Reader] 01 00",
                false,
                0,
            ),
            reader(CONTACT, false, 0),
        ];
        let view = View::new(&ReaderNames::Auto, &reported[..2], None);
        assert_eq!(view.in_use, None);
        assert_eq!(view.readers[1].reasons, [SAM_SLOT]);
        let view = View::new(&ReaderNames::Auto, &[reported[0].clone(), reported[3].clone()], None);
        assert_eq!(view.in_use.as_deref(), Some(CONTACT));
        assert!(view.readers[0].contactless && !view.readers[1].contactless);
        for name in ["SCM SCL011 Contactless Reader", "Duali DE-620 CL 00 00", "Feitian NFC 00"] {
            assert!(is_contactless(name), "{name}");
        }
        assert!(!is_contactless("Gemalto PC Twin Reader") && !is_contactless("Cloud ICC"));
    }

    #[test]
    fn a_reader_in_use_stays_in_use_while_it_is_there() {
        let (a, b) = (reader("A 00 00", false, 0), reader("B 00 00", false, 0));
        let view = View::new(&ReaderNames::Auto, &[a.clone(), b.clone()], Some("B 00 00"));
        assert_eq!(view.in_use.as_deref(), Some("B 00 00"));
        let held = Reported { held: true, ..a.clone() };
        let view = View::new(&ReaderNames::Auto, &[held.clone(), b], None);
        assert_eq!(view.in_use.as_deref(), Some("B 00 00"));
        let view = View::new(&ReaderNames::Auto, &[held], None);
        assert_eq!(view.in_use.as_deref(), Some("A 00 00"), "a held reader is better than none");
        assert_eq!(view.readers[0].reasons, [SHARED]);
    }

    #[test]
    fn configured_readers_are_reported_when_they_are_missing() {
        let wanted = ReaderNames::Named(vec!["X".to_owned(), "B".to_owned()]);
        let view = View::new(&wanted, &[reader("A 00 00", false, 0), reader("B 00 00", false, 0)], None);
        assert_eq!(names(&view), ["X", "B 00 00"]);
        assert_eq!(view.readers[0].reasons, [UNPLUGGED]);
        assert_eq!(view.in_use.as_deref(), Some("B 00 00"));
        let gone = view.without_pcscd(&wanted);
        assert!(gone.readers.iter().all(|reader| !reader.ok && reader.reasons == [PCSCD_ABSENT]));
        assert_eq!(names(&View::default().without_pcscd(&wanted)), ["X", "B"]);
        assert_eq!(gone.in_use, None);
    }

    /// Plug, insert, swap, pull: each as the engine has to hear it.
    #[test]
    fn changes_become_events() {
        let view = |present, count| View::new(&ReaderNames::Auto, &[reader(CONTACT, present, count)], None);
        let readers = |view: &View| CardEvent::Readers(view.readers.clone());
        let check = |before: Option<View>, after: View, expected: &[CardEvent]| {
            let told = [&[readers(&after)], expected].concat();
            assert_eq!(after.events_after(before.as_ref()), told);
        };
        check(None, View::default(), &[]);
        check(None, view(true, 1), &[CardEvent::Inserted]);
        check(Some(view(false, 2)), view(true, 3), &[CardEvent::Inserted]);
        check(Some(view(true, 3)), view(true, 5), &[CardEvent::Removed, CardEvent::Inserted]);
        check(Some(view(true, 3)), view(false, 4), &[CardEvent::Removed]);
        check(Some(view(true, 3)), view(true, 3).without_pcscd(&ReaderNames::Auto), &[CardEvent::Removed]);
        check(Some(view(false, 0)), view(false, 2), &[]);
        assert_eq!(view(true, 3).events_after(Some(&view(true, 3))), []);
    }
}
