//! The cards, and every difference that is allowed, each with its reason.
use posd::sim::card::{IssuerAuthentication, Profile};

/// What the bank does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bank {
    Approves,
    Declines,
    /// Approves with an ARPC that is not its own.
    Forged,
    Unreachable,
    /// Approves, with a script before and one after the second GENERATE AC.
    Scripts,
}

/// Why the two may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    SecondSignature,
    AuthenticationTried,
    Refused,
    SignedType,
    NextOccurrence,
    Words,
    MandatoryData,
    BrokenDirectory,
    GivenUp,
    CvmListMissing,
    TooMuch,
    ServiceNotAllowed,
    PinTries,
}

impl Reason {
    pub(super) const ALL: &[Self] = &[
        Self::SecondSignature,
        Self::AuthenticationTried,
        Self::Refused,
        Self::SignedType,
        Self::NextOccurrence,
        Self::Words,
        Self::MandatoryData,
        Self::BrokenDirectory,
        Self::GivenUp,
        Self::CvmListMissing,
        Self::TooMuch,
        Self::ServiceNotAllowed,
        Self::PinTries,
    ];

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::SecondSignature => {
                "emv keeps the dynamic number (9F4C) of both signatures, refuses the second one as a doubled object, and \
                 declines a transaction that bank and card approved"
            }
            Self::AuthenticationTried => {
                "CDA failed: posd says in the TSI that authentication was performed, as both do for SDA and DDA, EMV 4.4 \
                 Book 3 §10.3; emv does not"
            }
            Self::Refused => {
                "INTERNAL AUTHENTICATE is refused: posd ends, as for every status word that EMV 4.4 Book 3 §6.3.5 does \
                 not allow; emv counts DDA as failed and goes on"
            }
            Self::SignedType => {
                "the type of cryptogram inside the signature is another one: posd goes by the signed one, EMV 4.4 Book 4 \
                 §6.3.2.1, and declines a TC at once; emv goes by the one in clear and asks for an AAC"
            }
            Self::NextOccurrence => {
                "posd finds every application of a partial name and offers them by priority; emv takes the first one. \
                 EMV 4.4 Book 1 §12.3.3"
            }
            Self::Words => "a blocked card ends the conversation in both; emv calls that an error",
            Self::MandatoryData => {
                "posd checks that the mandatory objects are there when the records are read, EMV 4.4 Book 3 §7.2; emv \
                 misses the card number never, and CDOL2 only when it needs it, after the bank was asked"
            }
            Self::BrokenDirectory => {
                "posd passes over a directory record that it cannot read and looks at the others; emv gives the \
                 directory up at once. Both come to the list of AIDs"
            }
            Self::GivenUp => {
                "posd takes a broken answer to GET PROCESSING OPTIONS as 6985, because no record was read yet; emv ends \
                 with an error. No money either way"
            }
            Self::CvmListMissing => {
                "the AIP promises a CVM list that is not there: posd sets `ICC data missing`, EMV 4.4 Book 3 §7.5; emv \
                 does not"
            }
            Self::TooMuch => {
                "an ARQC was asked and a TC came: posd ends with an error, because the card broke EMV 4.4 Book 3 §9.3; \
                 emv approves without the bank"
            }
            Self::ServiceNotAllowed => {
                "an AAC with the reason `service not allowed` ends the sale in both; emv ends without results"
            }
            Self::PinTries => {
                "no tries are left by 9F17: posd does not ask the PIN; emv sends one and is told 6983"
            }
        }
    }
}

/// Commands that the two give differently with any card, by how they begin, and why.
pub(super) const ALWAYS: &[(&str, &str)] = &[
    (
        "80CA9F36",
        "emv always reads the counters for its velocity checks; posd only where the card has limits (9F14, 9F23)",
    ),
    ("80CA9F13", "as 9F36"),
    (
        "00A40402",
        "emv does not ask for the next occurrence of a partial name; EMV 4.4 Book 1 §12.3.3 wants it",
    ),
    (
        "80CA9F17",
        "posd reads the PIN tries before it asks the PIN, as EMV 4.4 Book 3 §10.5.1 allows; emv does not",
    ),
];

/// Data of the second GENERATE AC, and of VERIFY, that is not compared, and why.
pub(super) const BLANK: &[(&str, &str)] = &[
    (
        "8A",
        "emv keeps the bank's response code where its lists do not look, and fills zeros; EMV 4.4 Book 3 §10.9",
    ),
    ("VERIFY", "an enciphered PIN is padded with random bytes, so its block is not compared"),
    ("91", "emv fills zeros where CDOL2 asks for the issuer's answer"),
];

/// A card, its surroundings, and what may differ.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// The card as a profile file.
    pub(super) card: &'static str,
    pub(super) faults: &'static [&'static str],
    pub(super) bank: Bank,
    /// Which application the cardholder chooses.
    pub(super) choice: usize,
    pub(super) pin: Option<&'static str>,
    /// Floor limit; the amount is 12.34.
    pub(super) floor: u64,
    /// Both percentages of random selection, and the number drawn.
    pub(super) percent: u8,
    pub(super) roll: u8,
    pub(super) tac_default: [u8; 5],
    pub(super) tac_online: [u8; 5],
    pub(super) capabilities: [u8; 3],
    pub(super) differs: &'static [(&'static str, Reason)],
}

impl Row {
    pub(super) fn profile(&self) -> Profile {
        Profile::from_toml(self.card).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// How many bytes of CDOL2 the objects of [`BLANK`] take; they stand first.
    pub(super) fn bytes_from_bank(&self) -> usize {
        let profile = self.profile();
        let in_second_ac = profile.applications[0].issuer_authentication == IssuerAuthentication::InSecondAc;
        if in_second_ac { 12 } else { 2 }
    }
}

/// An attended terminal that asks the bank for everything, with every method but biometrics.
const USUAL: Row = Row {
    name: "",
    card: "",
    faults: &[],
    bank: Bank::Approves,
    choice: 0,
    pin: Some("1234"),
    floor: 0,
    percent: 0,
    roll: 50,
    tac_default: [0xD8, 0x40, 0x00, 0xA8, 0x00],
    tac_online: [0xD8, 0x40, 0x04, 0xF8, 0x00],
    capabilities: [0xE0, 0xF8, 0xC8],
    differs: &[],
};
/// The same where card and terminal may decide alone below 20.00.
const ALONE: Row = Row { floor: 2000, tac_default: [0; 5], tac_online: [0, 0, 0, 0x80, 0], ..USUAL };

pub(super) const ROWS: &[Row] = &[
    // Selection.
    Row { name: "directory", card: "", ..USUAL },
    Row { name: "no directory", card: "pse = false", ..USUAL },
    Row { name: "a directory below the directory", card: "ddf = true", ..USUAL },
    Row { name: "two applications, the first", card: "preset = 'two-applications'", ..USUAL },
    Row { name: "two applications, the second", card: "preset = 'two-applications'", choice: 1, ..USUAL },
    Row {
        name: "two applications, no directory",
        card: "preset = 'two-applications'\npse = false",
        differs: &[("commands", Reason::NextOccurrence)],
        ..USUAL
    },
    Row { name: "an application to be confirmed", card: "priority = 129", ..USUAL },
    Row { name: "preferred name", card: "preferred-name = 'D2F86C'\ncode-table = 5", ..USUAL },
    Row { name: "card blocked", card: "card-blocked = true", differs: &[("end", Reason::Words)], ..USUAL },
    Row { name: "application blocked", card: "pse = false\nblocked = true", ..USUAL },
    Row { name: "application blocked, in the directory", card: "blocked = true", ..USUAL },
    Row { name: "unknown application", card: "aid = 'A0000009990101'", ..USUAL },
    Row {
        name: "application refuses to start",
        card: "preset = 'two-applications'",
        faults: &["gpo status:6985"],
        ..USUAL
    },
    // Start and records.
    Row { name: "format 1", card: "format = 1", ..USUAL },
    Row { name: "no PDOL", card: "pdol = ''", ..USUAL },
    Row { name: "Visa", card: "preset = 'visa'", ..USUAL },
    Row { name: "no expiry date", card: "objects = { 5F24 = '' }", ..USUAL },
    Row {
        name: "no card number",
        card: "objects = { 5A = '', 57 = '' }",
        differs: &[
            ("end", Reason::MandatoryData),
            ("commands", Reason::MandatoryData),
            ("tvr", Reason::MandatoryData),
            ("tsi", Reason::MandatoryData),
            ("cvm", Reason::MandatoryData),
            ("cid", Reason::MandatoryData),
        ],
        ..USUAL
    },
    Row {
        name: "no CDOL2",
        card: "objects = { 8D = '' }",
        differs: &[("commands", Reason::MandatoryData)],
        ..USUAL
    },
    Row { name: "a record is missing", card: "objects = { 94 = '080101001001040018010200' }", ..USUAL },
    Row {
        name: "records are garbage",
        card: "",
        faults: &["read-record garbage always"],
        differs: &[("commands", Reason::BrokenDirectory)],
        ..USUAL
    },
    Row {
        name: "processing options are garbage",
        card: "",
        faults: &["gpo garbage"],
        differs: &[("end", Reason::GivenUp)],
        ..USUAL
    },
    Row { name: "processing options refused", card: "", faults: &["gpo status:6A81"], ..USUAL },
    // Offline data authentication.
    Row { name: "SDA", card: "oda = 'sda'", ..USUAL },
    Row { name: "DDA", card: "oda = 'dda'", ..USUAL },
    Row { name: "DDA, format 1", card: "oda = 'dda'\nformat = 1", ..USUAL },
    Row { name: "CDA", card: "oda = 'cda'", differs: &[("end", Reason::SecondSignature)], ..USUAL },
    Row { name: "CDA, offline", card: "preset = 'approves-offline'\noda = 'cda'", ..ALONE },
    Row { name: "SDA, wrong hash", card: "oda = 'sda'\nspoilt = 'static hash'", ..USUAL },
    Row { name: "SDA, no signature", card: "oda = 'sda'\nspoilt = 'static missing'", ..USUAL },
    Row { name: "unknown CA key", card: "oda = 'dda'\nobjects = { 8F = '01' }", ..USUAL },
    Row { name: "issuer certificate ended", card: "oda = 'dda'\nspoilt = 'issuer expiry'", ..USUAL },
    Row { name: "another issuer's certificate", card: "oda = 'dda'\nspoilt = 'issuer subject'", ..USUAL },
    Row { name: "another card's certificate", card: "oda = 'dda'\nspoilt = 'icc subject'", ..USUAL },
    Row { name: "wrong dynamic signature", card: "oda = 'dda'\nspoilt = 'dynamic hash'", ..USUAL },
    Row {
        name: "no dynamic signature",
        card: "oda = 'dda'",
        faults: &["internal-authenticate status:6985"],
        differs: &[
            ("end", Reason::Refused),
            ("commands", Reason::Refused),
            ("tvr", Reason::Refused),
            ("tsi", Reason::Refused),
            ("cvm", Reason::Refused),
            ("cid", Reason::Refused),
        ],
        ..USUAL
    },
    Row {
        name: "CDA, wrong signature",
        card: "oda = 'cda'\nspoilt = 'cryptogram hash'",
        differs: &[("tsi", Reason::AuthenticationTried)],
        ..USUAL
    },
    Row {
        name: "CDA, wrong type",
        card: "oda = 'cda'\nspoilt = 'cryptogram cid'",
        differs: &[
            ("commands", Reason::SignedType),
            ("tsi", Reason::AuthenticationTried),
            ("cid", Reason::SignedType),
        ],
        ..USUAL
    },
    Row {
        name: "CDA, card certificate ended",
        card: "oda = 'cda'\nspoilt = 'icc expiry'",
        differs: &[("tsi", Reason::AuthenticationTried)],
        ..USUAL
    },
    // Restrictions.
    Row { name: "expired", card: "expiry = '2001'", ..USUAL },
    Row { name: "not yet effective", card: "objects = { 5F25 = '290101' }", ..USUAL },
    Row { name: "other version", card: "objects = { 9F08 = '0001' }", ..USUAL },
    Row { name: "no goods", card: "objects = { 9F07 = 'C300' }", ..USUAL },
    // Cardholder verification.
    Row { name: "signature", card: "preset = 'signature'", ..USUAL },
    Row { name: "no CVM", card: "preset = 'no-cvm'", ..USUAL },
    Row { name: "online PIN not entered", card: "", pin: None, ..USUAL },
    Row { name: "offline PIN", card: "preset = 'offline-pin'", ..USUAL },
    Row {
        name: "offline PIN, last try",
        card: "preset = 'offline-pin'\npin-tries-left = 1",
        pin: Some("9999"),
        ..USUAL
    },
    Row {
        name: "offline PIN blocked",
        card: "preset = 'offline-pin'\npin-tries-left = 0",
        differs: &[("commands", Reason::PinTries)],
        ..USUAL
    },
    Row { name: "offline PIN not entered", card: "preset = 'offline-pin'", pin: None, ..USUAL },
    Row {
        name: "enciphered PIN",
        card: "preset = 'enciphered-pin'",
        differs: &[("end", Reason::SecondSignature)],
        ..USUAL
    },
    Row {
        name: "enciphered PIN under the card's key",
        card: "preset = 'enciphered-pin'\npin-key = false",
        differs: &[("end", Reason::SecondSignature)],
        ..USUAL
    },
    Row {
        name: "enciphered PIN, bad key",
        card: "preset = 'enciphered-pin'\nspoilt = 'pin hash'",
        differs: &[("end", Reason::SecondSignature)],
        ..USUAL
    },
    Row { name: "CVM below X", card: "cvm-list = '1F065E03'\ncvm-amounts = '000007D000000000'", ..USUAL },
    Row { name: "CVM above X", card: "cvm-list = '1F065E07'\ncvm-amounts = '000003E800000000'", ..USUAL },
    Row {
        name: "CVM between X and Y",
        card: "cvm-list = '1F061F095E08'\ncvm-amounts = '000003E8000007D0'",
        ..USUAL
    },
    Row { name: "CVM fails by rule", card: "cvm-list = '0000'", ..USUAL },
    Row { name: "unknown CVM, another follows", card: "cvm-list = '60001F00'", ..USUAL },
    Row { name: "unknown CVM alone", card: "cvm-list = '2000'", ..USUAL },
    Row { name: "no condition holds", card: "cvm-list = '1F05'", ..USUAL },
    Row {
        name: "no CVM list",
        card: "objects = { 8E = '' }",
        differs: &[("commands", Reason::CvmListMissing), ("tvr", Reason::CvmListMissing)],
        ..USUAL
    },
    Row { name: "no cardholder verification", card: "objects = { 82 = '0C00' }", ..USUAL },
    // Risk management and action analysis.
    Row { name: "offline below the limit", card: "preset = 'approves-offline'", ..ALONE },
    Row {
        name: "drawn for the bank",
        card: "preset = 'approves-offline'\nobjects = { 9F0F = '0000001000' }",
        percent: 60,
        ..ALONE
    },
    Row {
        name: "not drawn",
        card: "preset = 'approves-offline'\nobjects = { 9F0F = '0000001000' }",
        percent: 40,
        ..ALONE
    },
    Row {
        name: "too often offline",
        card: "preset = 'approves-offline'\nobjects = { 9F14 = '00', 9F23 = '00' }",
        ..ALONE
    },
    Row {
        name: "refused by its own codes",
        card: "expiry = '2001'\nobjects = { 9F0E = '0040000000' }",
        ..USUAL
    },
    Row { name: "no action codes", card: "objects = { 9F0D = '', 9F0E = '', 9F0F = '' }", ..USUAL },
    // The cryptograms.
    Row { name: "card declines", card: "preset = 'declines-offline'", ..USUAL },
    Row { name: "card wants the bank", card: "preset = 'asks-first'", ..ALONE },
    Row {
        name: "card approves unasked",
        card: "first-ac = 'approve'",
        differs: &[
            ("end", Reason::TooMuch),
            ("tvr", Reason::TooMuch),
            ("tsi", Reason::TooMuch),
            ("cvm", Reason::TooMuch),
            ("cid", Reason::TooMuch),
        ],
        ..USUAL
    },
    Row { name: "card gives advice", card: "cid = '08'", ..USUAL },
    Row {
        name: "service not allowed",
        card: "preset = 'declines-offline'\ncid = '01'",
        differs: &[
            ("end", Reason::ServiceNotAllowed),
            ("tvr", Reason::ServiceNotAllowed),
            ("tsi", Reason::ServiceNotAllowed),
            ("cvm", Reason::ServiceNotAllowed),
            ("cid", Reason::ServiceNotAllowed),
        ],
        ..USUAL
    },
    Row { name: "first cryptogram refused", card: "", faults: &["first-ac status:6985"], ..USUAL },
    Row { name: "bank declines", card: "", bank: Bank::Declines, ..USUAL },
    Row { name: "bank out of reach", card: "", bank: Bank::Unreachable, ..USUAL },
    Row {
        name: "bank out of reach, card may",
        card: "preset = 'asks-first'",
        bank: Bank::Unreachable,
        ..ALONE
    },
    Row { name: "wrong ARPC", card: "", bank: Bank::Forged, ..USUAL },
    Row { name: "ARPC in the second cryptogram", card: "issuer-authentication = 'in-second-ac'", ..USUAL },
    Row { name: "card declines after approval", card: "preset = 'declines-after-approval'", ..USUAL },
    Row { name: "scripts", card: "", bank: Bank::Scripts, ..USUAL },
    Row { name: "scripts refused", card: "scripts = 'refuse'", bank: Bank::Scripts, ..USUAL },
    Row { name: "second cryptogram refused", card: "", faults: &["second-ac status:6985"], ..USUAL },
    Row { name: "CDA, bank declines", card: "oda = 'cda'", bank: Bank::Declines, ..USUAL },
    Row {
        name: "CDA, bank out of reach",
        card: "oda = 'cda'\npreset = 'asks-first'",
        bank: Bank::Unreachable,
        differs: &[("end", Reason::SecondSignature)],
        ..ALONE
    },
];
