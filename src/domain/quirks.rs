//! What a printer of a certain make is and cannot do: data files by USB identity and model, and which of them fit.
//!
//! A file holds `[[printer]]` tables. Each says for whom it is (`usb`, `model`) and what is so (everything else). All
//! that fit count, the later over the earlier; what `posd.toml` says itself counts over all of them.
use crate::domain::settings::{ConfigError, ConfigErrors, Section, Tables};
use core::fmt;
use std::path::Path;

/// Longest name of a model that is compared.
const MODEL_MAX: usize = 80;

/// Vendor and product of a USB device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsbId {
    /// idVendor.
    pub vendor: u16,
    /// idProduct.
    pub product: u16,
}

impl UsbId {
    /// From `04b8:0202`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (vendor, product) = text.split_once(':')?;
        let hex = |digits: &str| {
            let good = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            good.then(|| u16::from_str_radix(digits, 16).ok())?
        };
        Some(Self { vendor: hex(vendor)?, product: hex(product)? })
    }
}

impl fmt::Display for UsbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.product)
    }
}

/// The most that a printer's word about a finished slip is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Nothing: each slip is looked at.
    #[default]
    Nothing,
    /// It is asked while it prints: GS r and DLE EOT.
    Poll,
    /// Its process id: GS ( H.
    ProcessId,
}

impl Proof {
    /// All words.
    pub const ALL: &[Self] = &[Self::Nothing, Self::Poll, Self::ProcessId];

    /// As files and the bus write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Poll => "poll",
            Self::ProcessId => "process-id",
        }
    }

    /// From its word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|proof| proof.word() == word)
    }
}

/// What is so; `None`: nothing is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Dots on a line.
    pub width_dots: Option<u32>,
    /// Chinese goes out as pictures (true) or as GB18030 text (false).
    pub raster: Option<bool>,
    /// It has a cutter. Without one no cut is sent, and the paper is fed to the tear bar.
    pub cutter: Option<bool>,
    /// Lines between the last one and the cut or the tear bar.
    pub feed_lines: Option<u8>,
    /// How long the drawer's coil pulls, in milliseconds.
    pub drawer_pulse_ms: Option<u16>,
    /// Its answers to DLE EOT mean something.
    pub status: Option<bool>,
    /// The most that its word is worth.
    pub proof: Option<Proof>,
    /// Speed of the paper in mm/s, low rather than high.
    pub paper_mm_s: Option<u32>,
}

impl Traits {
    /// What is said here, each as a key of the file with its value.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        let said = |key: &str, value: Option<String>| value.map(|value| format!("{key}={value}"));
        let chinese = self.raster.map(|raster| if raster { "raster" } else { "gb18030" }.to_owned());
        [
            said("width-dots", self.width_dots.map(|v| v.to_string())),
            said("chinese", chinese),
            said("cutter", self.cutter.map(|v| v.to_string())),
            said("feed-lines", self.feed_lines.map(|v| v.to_string())),
            said("drawer-pulse-ms", self.drawer_pulse_ms.map(|v| v.to_string())),
            said("status", self.status.map(|v| v.to_string())),
            said("proof", self.proof.map(|v| v.word().to_owned())),
            said("paper-mm-s", self.paper_mm_s.map(|v| v.to_string())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What `later` says counts over this.
    fn overlaid(self, later: &Self) -> Self {
        Self {
            width_dots: later.width_dots.or(self.width_dots),
            raster: later.raster.or(self.raster),
            cutter: later.cutter.or(self.cutter),
            feed_lines: later.feed_lines.or(self.feed_lines),
            drawer_pulse_ms: later.drawer_pulse_ms.or(self.drawer_pulse_ms),
            status: later.status.or(self.status),
            proof: later.proof.or(self.proof),
            paper_mm_s: later.paper_mm_s.or(self.paper_mm_s),
        }
    }
}

/// One `[[printer]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quirk {
    /// Name of its file, for people.
    pub file: String,
    usb: Option<UsbId>,
    model: Option<String>,
    traits: Traits,
}

impl Quirk {
    /// True if it is about a printer with this identity; what is not known of a printer fits nothing.
    fn fits(&self, usb: Option<UsbId>, model: &str) -> bool {
        self.usb.is_none_or(|wanted| usb == Some(wanted))
            && self.model.as_ref().is_none_or(|wanted| !model.is_empty() && matches(wanted, model))
    }
}

/// What all fitting tables say together, and what that is in words: `width-dots=384 (50-xprinter.toml)`.
#[must_use]
pub fn apply(quirks: &[Quirk], usb: Option<UsbId>, model: &str) -> (Traits, Vec<String>) {
    let model: String = model.chars().take(MODEL_MAX).collect();
    let mut traits = Traits::default();
    let mut words: Vec<(String, String)> = Vec::new();
    for quirk in quirks.iter().filter(|quirk| quirk.fits(usb, &model)) {
        traits = traits.overlaid(&quirk.traits);
        for said in quirk.traits.said() {
            let key = said.split('=').next().unwrap_or_default().to_owned();
            words.retain(|(known, _)| *known != key);
            words.push((key, format!("{said} ({})", quirk.file)));
        }
    }
    (traits, words.into_iter().map(|(_, word)| word).collect())
}

/// Compares a name with a pattern in which `*` stands for any characters; upper and lower case are the same.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some((_, after)) = rest.split_once(middle) else { return false };
            rest = after;
        }
    }
    last.map_or(rest.is_empty(), |end| rest.ends_with(end))
}

/// Reads the text of a file.
///
/// # Errors
/// Everything that is wrong with it, each with its line.
pub fn read(file: &Path, text: &str) -> Result<Vec<Quirk>, ConfigErrors> {
    let mut errors: Vec<ConfigError> = Vec::new();
    let mut tables = Tables::parse(file, text, &mut errors);
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let printers = tables.lists.remove("printer").unwrap_or_default();
    for other in tables.lists.keys().chain(tables.tables.keys()) {
        errors.push(ConfigError {
            file: file.to_owned(),
            line: tables.lines.get(other).map_or(0, |(_, line)| *line),
            key: other.clone(),
            problem: "is not known here".to_owned(),
            allowed: "[[printer]] tables".to_owned(),
        });
    }
    let mut quirks = Vec::new();
    for (entries, line) in printers {
        let section = Section::new("[[printer]]", (file.to_owned(), line), entries, &mut errors);
        quirks.extend(printer(section, &name));
    }
    if errors.is_empty() { Ok(quirks) } else { Err(ConfigErrors(errors)) }
}

fn printer(mut s: Section<'_>, file: &str) -> Option<Quirk> {
    let usb = s.text("usb", Some(None), "vendor:product, four hex digits each", |t| UsbId::read(t).map(Some));
    let pattern = |t: &str| (!t.is_empty() && t.len() <= MODEL_MAX).then(|| Some(t.to_owned()));
    let model = s.text("model", Some(None), "1 to 80 characters, * stands for any", pattern);
    let width = s.number_if_there("width-dots", 192..=1024, " dots, a multiple of 8");
    let raster = s.text("chinese", Some(None), "gb18030, raster", |t| match t {
        "raster" => Some(Some(true)),
        "gb18030" => Some(Some(false)),
        _ => None,
    });
    let cutter = s.flag_if_there("cutter");
    let feed_lines = s.number_if_there("feed-lines", 0..=12, "");
    let pulse = s.number_if_there("drawer-pulse-ms", 20..=500, " ms");
    let status = s.flag_if_there("status");
    let proof = s.text("proof", Some(None), "none, poll, process-id", |t| Proof::from_word(t).map(Some));
    let paper = s.number_if_there("paper-mm-s", 10..=400, " mm/s");
    if matches!((usb, &model), (Some(None), Some(None))) {
        s.wrong_table("usb", "and model are both missing", "one of them, or both");
    }
    if let Some(Some(width)) = width.filter(|width: &Option<u32>| width.is_some_and(|w| !w.is_multiple_of(8)))
    {
        s.wrong_table("width-dots", &format!("is {width}"), "a multiple of 8");
    }
    s.finish();
    let traits = Traits {
        width_dots: width?,
        raster: raster?,
        cutter: cutter?,
        feed_lines: feed_lines?,
        drawer_pulse_ms: pulse?,
        status: status?,
        proof: proof?,
        paper_mm_s: paper?,
    };
    Some(Quirk { file: file.to_owned(), usb: usb?, model: model?, traits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Quirk>, String> {
        read(Path::new("/x/10-a.toml"), text).map_err(|errors| errors.to_string())
    }

    /// Goal: a pattern fits as a person expects, whatever stands in it.
    #[test]
    fn stars_stand_for_anything() {
        let check =
            |pattern, name, expected| assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        check("XP-58", "xp-58", true);
        check("XP-58", "XP-58H", false);
        check("XP-*", "XP-80C", true);
        check("*58*", "POS-58MM", true);
        check("*58", "POS-58-58", true);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-c-b", false);
        check("a*a", "a", false);
        check("*", "", true);
        check("", "x", false);
    }

    /// Goal: all that fit count, the later over the earlier, and it is said which file said what.
    #[test]
    fn later_tables_count_over_earlier_ones() {
        let text = "[[printer]]\nmodel = \"*58*\"\nwidth-dots = 384\ncutter = false\n\
                    [[printer]]\nusb = \"0416:5011\"\nproof = \"poll\"\ncutter = true\n\
                    [[printer]]\nusb = \"0416:5011\"\nmodel = \"other\"\nstatus = false\n";
        let quirks = of(text).unwrap();
        let usb = UsbId::read("0416:5011");
        let (traits, said) = apply(&quirks, usb, "POS58");
        let wanted = Traits {
            width_dots: Some(384),
            cutter: Some(true),
            proof: Some(Proof::Poll),
            ..Traits::default()
        };
        assert_eq!(traits, wanted);
        assert_eq!(said, ["width-dots=384 (10-a.toml)", "cutter=true (10-a.toml)", "proof=poll (10-a.toml)"]);
        assert_eq!(apply(&quirks, None, ""), (Traits::default(), Vec::new()));
        assert_eq!(apply(&quirks, UsbId::read("0416:5012"), "POS58").0.cutter, Some(false));
    }

    /// Goal: the files of the package can be read, and fit the printers they name.
    #[test]
    fn the_files_of_the_package_are_good() {
        let quirks = of(include_str!("../quirks/10-epson.toml")).unwrap();
        assert_eq!(apply(&quirks, None, "TM-T88V").0.width_dots, Some(512));
        assert_eq!(apply(&quirks, None, "TM-T70II").0.raster, Some(true));
    }

    /// Goal: what is wrong is told with its line and what is allowed, all of it.
    #[test]
    fn a_wrong_file_says_where() {
        let text = "[[printer]]\nwidth-dots = 390\n[[printer]]\nusb = \"416:5011\"\ncuter = true\n[printers]\nx = 1\n";
        let said = of(text).unwrap_err();
        for wanted in [
            "/x/10-a.toml:1: [[printer]] usb and model are both missing; allowed: one of them, or both",
            "[[printer]] width-dots is 390; allowed: a multiple of 8",
            "/x/10-a.toml:4: [[printer]] usb is \"416:5011\"; allowed: vendor:product, four hex digits each",
            "[[printer]] cuter is not known",
            "/x/10-a.toml:6: printers is not known here; allowed: [[printer]] tables",
        ] {
            assert!(said.contains(wanted), "{wanted}\n{said}");
        }
        assert_eq!(of("").unwrap(), []);
    }
}
