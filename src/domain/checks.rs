//! What a self-test looks at, how far it goes, and what it finds. The words people read are in
//! [`super::text::check`].
use super::outcome::words;
use super::text::{Bilingual, check};

words! {
    /// A part of the terminal that can be tested.
    Part {
        /// The card reader.
        Reader = "reader",
        /// The slip printer.
        Printer = "printer",
        /// The cash drawer.
        Drawer = "drawer",
        /// The way to the bank, and its answer to an echo.
        Host = "host",
        /// Ethernet, Wi-Fi, mobile network.
        Links = "links",
        /// The disk and the journal on it.
        Storage = "storage",
        /// The clock.
        Clock = "clock",
    }
}

words! {
    /// How far a self-test goes.
    Level {
        /// Nothing moves and nothing is printed.
        Internal = "internal",
        /// The printer prints its test page too.
        External = "external",
        /// As external; the person who asked looks at what came out.
        Interactive = "interactive",
    }
}

words! {
    /// Why a part is not well. Readers, links and the way to the bank have words of their own besides.
    Reason {
        /// It is in use: it was not looked at.
        Busy = "busy",
        /// There is none.
        Absent = "absent",
        /// The configuration has none.
        NotConfigured = "not-configured",
        /// It did not answer in time.
        NoAnswer = "no-answer",
        /// It is there and cannot work.
        NotReady = "not-ready",
        /// No paper.
        PaperOut = "paper-out",
        /// The cover is open.
        CoverOpen = "cover-open",
        /// The cutter is stuck.
        CutterError = "cutter-error",
        /// The print head is too hot.
        Overheated = "overheated",
        /// The test page may not be whole.
        Unconfirmed = "unconfirmed",
        /// The bank is there and does not answer.
        HostTimeout = "host-timeout",
        /// The bank answers something else.
        HostFailed = "host-failed",
        /// No link is connected.
        NoLink = "no-link",
        /// Nothing can be written to the state directory.
        NotWritable = "not-writable",
        /// The disk is nearly full.
        NearlyFull = "nearly-full",
        /// The journal is damaged.
        Damaged = "damaged",
        /// The journal cannot be read or written.
        StorageFault = "storage-fault",
        /// The clock is behind what was recorded.
        ClockUntrusted = "clock-untrusted",
        /// pcscd does not run.
        PcscdAbsent = "pcscd-absent",
        /// The reader is not plugged in.
        Unplugged = "unplugged",
        /// The reader does not come back from a command.
        Hung = "hung",
        /// Another program holds the reader.
        Shared = "shared",
    }
}

/// What a self-test found of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The part.
    pub part: Part,
    /// Why it is not well, as a word; `None`: it is.
    pub reason: Option<String>,
    /// What was seen, in English: numbers and names.
    pub detail: String,
}

impl Finding {
    /// It is well.
    #[must_use]
    pub fn good(part: Part, detail: impl Into<String>) -> Self {
        Self { part, reason: None, detail: detail.into() }
    }

    /// It is not.
    #[must_use]
    pub fn bad(part: Part, reason: &str, detail: impl Into<String>) -> Self {
        Self { part, reason: Some(reason.to_owned()), detail: detail.into() }
    }

    /// Cause and next step, where it is not well.
    #[must_use]
    pub fn text(&self) -> Option<Bilingual> {
        self.reason.as_deref().map(check::reason)
    }
}

/// The parts as they are tested: each once, in the order of the contract; without any name, `all`.
#[must_use]
pub fn in_order(wanted: &[Part], all: &[Part]) -> Vec<Part> {
    let chosen = if wanted.is_empty() { all } else { wanted };
    Part::ALL.iter().copied().filter(|part| chosen.contains(part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: nothing is tested twice, and nothing named means all that is there.
    #[test]
    fn parts_are_tested_once_in_order() {
        let twice = [Part::Clock, Part::Reader, Part::Clock];
        assert_eq!(in_order(&twice, Part::ALL), [Part::Reader, Part::Clock]);
        assert_eq!(in_order(&[], &[Part::Clock, Part::Host]), [Part::Host, Part::Clock]);
    }
}
