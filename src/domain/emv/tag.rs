//! The dictionary of data objects: tag, name, format, where it comes from. EMV 4.4 Book 3 Annex A.
//!
//! One line declares a constant (`Tag::TVR`) and its dictionary entry. Formats matter for filling DOLs; names
//! and sources are for people. UnionPay's own objects stand at the end. Spec: unverified.
use super::tlv::Tag;

/// How a value is coded. EMV 4.4 Book 3 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Letters, one a byte.
    A,
    /// Letters and digits, one a byte.
    An,
    /// Printable characters, one a byte.
    Ans,
    /// Bits and bytes.
    B,
    /// Digits, two a byte, left-justified, filled with F.
    Cn,
    /// Digits, two a byte, right-justified, filled with 0.
    N,
    /// A list of tags and lengths.
    Dol,
    /// Other data objects.
    Template,
}

/// Who provides a data object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The card.
    Card,
    /// The terminal.
    Terminal,
    /// The issuer, in the host's answer.
    Issuer,
}

/// One line of the dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The tag.
    pub tag: Tag,
    /// Its name.
    pub name: &'static str,
    /// How the value is coded.
    pub format: Format,
    /// Who provides it.
    pub source: Source,
}

macro_rules! dictionary {
    ($($constant:ident = $number:literal, $name:literal, $format:ident, $source:ident;)+) => {
        impl Tag {
            $(#[doc = $name] #[doc = "."] pub const $constant: Self = Self($number);)+
        }

        /// Every data object that is known by name: those of EMV, then those of UnionPay.
        pub const DICTIONARY: &[Entry] = &[
            $(Entry { tag: Tag::$constant, name: $name, format: Format::$format, source: Source::$source },)+
        ];
    };
}

dictionary! {
    IIN = 0x42, "Issuer identification number", N, Card;
    AID = 0x4F, "Application identifier of the card", B, Card;
    LABEL = 0x50, "Application label", Ans, Card;
    TRACK1 = 0x56, "Track 1 data", Ans, Card;
    TRACK2 = 0x57, "Track 2 equivalent data", B, Card;
    PAN = 0x5A, "Primary account number", Cn, Card;
    APPLICATION_TEMPLATE = 0x61, "Application template", Template, Card;
    FCI_TEMPLATE = 0x6F, "File control information template", Template, Card;
    RECORD_TEMPLATE = 0x70, "Record template", Template, Card;
    SCRIPT_BEFORE = 0x71, "Issuer script template 1", Template, Issuer;
    SCRIPT_AFTER = 0x72, "Issuer script template 2", Template, Issuer;
    DIRECTORY_DISCRETIONARY = 0x73, "Directory discretionary template", Template, Card;
    RESPONSE_FORMAT_2 = 0x77, "Response message template format 2", Template, Card;
    RESPONSE_FORMAT_1 = 0x80, "Response message template format 1", B, Card;
    AMOUNT_BINARY = 0x81, "Amount, authorised (binary)", B, Terminal;
    AIP = 0x82, "Application interchange profile", B, Card;
    COMMAND_TEMPLATE = 0x83, "Command template", B, Terminal;
    DF_NAME = 0x84, "Dedicated file name", B, Card;
    SCRIPT_COMMAND = 0x86, "Issuer script command", B, Issuer;
    PRIORITY = 0x87, "Application priority indicator", B, Card;
    SFI = 0x88, "Short file identifier", B, Card;
    AUTHORISATION_CODE = 0x89, "Authorisation code", B, Issuer;
    RESPONSE_CODE = 0x8A, "Authorisation response code", An, Issuer;
    CDOL1 = 0x8C, "Card risk management data object list 1", Dol, Card;
    CDOL2 = 0x8D, "Card risk management data object list 2", Dol, Card;
    CVM_LIST = 0x8E, "Cardholder verification method list", B, Card;
    CA_KEY_INDEX = 0x8F, "Certification authority public key index", B, Card;
    ISSUER_CERTIFICATE = 0x90, "Issuer public key certificate", B, Card;
    ISSUER_AUTHENTICATION = 0x91, "Issuer authentication data", B, Issuer;
    ISSUER_REMAINDER = 0x92, "Issuer public key remainder", B, Card;
    SIGNED_STATIC_DATA = 0x93, "Signed static application data", B, Card;
    AFL = 0x94, "Application file locator", B, Card;
    TVR = 0x95, "Terminal verification results", B, Terminal;
    TDOL = 0x97, "Transaction certificate data object list", Dol, Card;
    TC_HASH = 0x98, "Transaction certificate hash value", B, Terminal;
    PIN_BLOCK = 0x99, "Transaction PIN data", B, Terminal;
    DATE = 0x9A, "Transaction date", N, Terminal;
    TSI = 0x9B, "Transaction status information", B, Terminal;
    TRANSACTION_TYPE = 0x9C, "Transaction type", N, Terminal;
    DDF_NAME = 0x9D, "Directory definition file name", B, Card;
    FCI_PROPRIETARY = 0xA5, "FCI proprietary template", Template, Card;
    CARDHOLDER_NAME = 0x5F20, "Cardholder name", Ans, Card;
    EXPIRY = 0x5F24, "Application expiration date", N, Card;
    EFFECTIVE_DATE = 0x5F25, "Application effective date", N, Card;
    ISSUER_COUNTRY = 0x5F28, "Issuer country code", N, Card;
    CURRENCY = 0x5F2A, "Transaction currency code", N, Terminal;
    LANGUAGES = 0x5F2D, "Language preference", An, Card;
    SERVICE_CODE = 0x5F30, "Service code", N, Card;
    PAN_SEQUENCE = 0x5F34, "Primary account number sequence number", N, Card;
    CURRENCY_EXPONENT = 0x5F36, "Transaction currency exponent", N, Terminal;
    ISSUER_URL = 0x5F50, "Issuer URL", Ans, Card;
    IBAN = 0x5F53, "International bank account number", B, Card;
    BIC = 0x5F54, "Bank identifier code", B, Card;
    ISSUER_COUNTRY_ALPHA2 = 0x5F55, "Issuer country code, two letters", A, Card;
    ISSUER_COUNTRY_ALPHA3 = 0x5F56, "Issuer country code, three letters", A, Card;
    ACCOUNT_TYPE = 0x5F57, "Account type", N, Terminal;
    ACQUIRER_ID = 0x9F01, "Acquirer identifier", N, Terminal;
    AMOUNT = 0x9F02, "Amount, authorised (numeric)", N, Terminal;
    AMOUNT_OTHER = 0x9F03, "Amount, other (numeric)", N, Terminal;
    AMOUNT_OTHER_BINARY = 0x9F04, "Amount, other (binary)", B, Terminal;
    CARD_DISCRETIONARY = 0x9F05, "Application discretionary data", B, Card;
    TERMINAL_AID = 0x9F06, "Application identifier of the terminal", B, Terminal;
    AUC = 0x9F07, "Application usage control", B, Card;
    CARD_VERSION = 0x9F08, "Application version number of the card", B, Card;
    TERMINAL_VERSION = 0x9F09, "Application version number of the terminal", B, Terminal;
    CARDHOLDER_NAME_EXTENDED = 0x9F0B, "Cardholder name, extended", Ans, Card;
    IAC_DEFAULT = 0x9F0D, "Issuer action code, default", B, Card;
    IAC_DENIAL = 0x9F0E, "Issuer action code, denial", B, Card;
    IAC_ONLINE = 0x9F0F, "Issuer action code, online", B, Card;
    IAD = 0x9F10, "Issuer application data", B, Card;
    CODE_TABLE = 0x9F11, "Issuer code table index", N, Card;
    PREFERRED_NAME = 0x9F12, "Application preferred name", Ans, Card;
    LAST_ONLINE_ATC = 0x9F13, "Last online application transaction counter", B, Card;
    LOWER_OFFLINE_LIMIT = 0x9F14, "Lower consecutive offline limit", B, Card;
    MERCHANT_CATEGORY = 0x9F15, "Merchant category code", N, Terminal;
    MERCHANT_ID = 0x9F16, "Merchant identifier", Ans, Terminal;
    PIN_TRY_COUNTER = 0x9F17, "PIN try counter", B, Card;
    SCRIPT_ID = 0x9F18, "Issuer script identifier", B, Issuer;
    TERMINAL_COUNTRY = 0x9F1A, "Terminal country code", N, Terminal;
    FLOOR_LIMIT = 0x9F1B, "Terminal floor limit", B, Terminal;
    TERMINAL_ID = 0x9F1C, "Terminal identification", An, Terminal;
    TERMINAL_RISK_DATA = 0x9F1D, "Terminal risk management data", B, Terminal;
    IFD_SERIAL = 0x9F1E, "Interface device serial number", An, Terminal;
    TRACK1_DISCRETIONARY = 0x9F1F, "Track 1 discretionary data", Ans, Card;
    TRACK2_DISCRETIONARY = 0x9F20, "Track 2 discretionary data", Cn, Card;
    TIME = 0x9F21, "Transaction time", N, Terminal;
    TERMINAL_CA_KEY_INDEX = 0x9F22, "Certification authority public key index of the terminal", B, Terminal;
    UPPER_OFFLINE_LIMIT = 0x9F23, "Upper consecutive offline limit", B, Card;
    CRYPTOGRAM = 0x9F26, "Application cryptogram", B, Card;
    CID = 0x9F27, "Cryptogram information data", B, Card;
    PIN_CERTIFICATE = 0x9F2D, "PIN encipherment public key certificate", B, Card;
    PIN_EXPONENT = 0x9F2E, "PIN encipherment public key exponent", B, Card;
    PIN_REMAINDER = 0x9F2F, "PIN encipherment public key remainder", B, Card;
    ISSUER_EXPONENT = 0x9F32, "Issuer public key exponent", B, Card;
    CAPABILITIES = 0x9F33, "Terminal capabilities", B, Terminal;
    CVM_RESULTS = 0x9F34, "Cardholder verification method results", B, Terminal;
    TERMINAL_TYPE = 0x9F35, "Terminal type", N, Terminal;
    ATC = 0x9F36, "Application transaction counter", B, Card;
    UNPREDICTABLE_NUMBER = 0x9F37, "Unpredictable number", B, Terminal;
    PDOL = 0x9F38, "Processing options data object list", Dol, Card;
    ENTRY_MODE = 0x9F39, "Point-of-service entry mode", N, Terminal;
    REFERENCE_AMOUNT = 0x9F3A, "Amount in the reference currency", B, Terminal;
    CARD_REFERENCE_CURRENCY = 0x9F3B, "Application reference currency", N, Card;
    REFERENCE_CURRENCY = 0x9F3C, "Transaction reference currency code", N, Terminal;
    REFERENCE_EXPONENT = 0x9F3D, "Transaction reference currency exponent", N, Terminal;
    ADDITIONAL_CAPABILITIES = 0x9F40, "Additional terminal capabilities", B, Terminal;
    SEQUENCE_COUNTER = 0x9F41, "Transaction sequence counter", N, Terminal;
    APPLICATION_CURRENCY = 0x9F42, "Application currency code", N, Card;
    CARD_REFERENCE_EXPONENT = 0x9F43, "Application reference currency exponent", N, Card;
    APPLICATION_EXPONENT = 0x9F44, "Application currency exponent", N, Card;
    DATA_AUTHENTICATION_CODE = 0x9F45, "Data authentication code", B, Card;
    ICC_CERTIFICATE = 0x9F46, "ICC public key certificate", B, Card;
    ICC_EXPONENT = 0x9F47, "ICC public key exponent", B, Card;
    ICC_REMAINDER = 0x9F48, "ICC public key remainder", B, Card;
    DDOL = 0x9F49, "Dynamic data authentication data object list", Dol, Card;
    SDA_TAG_LIST = 0x9F4A, "Static data authentication tag list", B, Card;
    SIGNED_DYNAMIC_DATA = 0x9F4B, "Signed dynamic application data", B, Card;
    ICC_DYNAMIC_NUMBER = 0x9F4C, "ICC dynamic number", B, Card;
    LOG_ENTRY = 0x9F4D, "Log entry", B, Card;
    MERCHANT_NAME = 0x9F4E, "Merchant name and location", Ans, Terminal;
    LOG_FORMAT = 0x9F4F, "Log format", Dol, Card;
    SCRIPT_RESULTS = 0x9F5B, "Issuer script results", B, Terminal;
    TRACK2_CONTACTLESS = 0x9F6B, "Track 2 data of a contactless card", B, Card;
    FCI_DISCRETIONARY = 0xBF0C, "FCI issuer discretionary data", Template, Card;

    CARD_PRODUCT = 0x9F63, "Card product identification (UnionPay)", B, Card;
    TTQ = 0x9F66, "Terminal transaction qualifiers (contactless)", B, Terminal;
    FDDA_DATA = 0x9F69, "Card authentication related data (contactless)", B, Card;
    CTQ = 0x9F6C, "Card transaction qualifiers (contactless)", B, Card;
    ECASH_AUTHORISATION = 0x9F74, "E-cash issuer authorisation code (UnionPay)", An, Card;
    ECASH_LIMIT = 0x9F77, "E-cash balance limit (UnionPay)", N, Card;
    ECASH_SINGLE_LIMIT = 0x9F78, "E-cash single transaction limit (UnionPay)", N, Card;
    ECASH_BALANCE = 0x9F79, "E-cash balance (UnionPay)", N, Card;
    ECASH_INDICATOR = 0x9F7A, "E-cash terminal support indicator (UnionPay)", N, Terminal;
    ECASH_TERMINAL_LIMIT = 0x9F7B, "E-cash terminal transaction limit (UnionPay)", N, Terminal;
    UNIONPAY_SCRIPT_RESULTS = 0xDF31, "Issuer script results (UnionPay)", B, Terminal;
    SM_INDICATOR = 0xDF69, "SM algorithm support indicator (UnionPay)", B, Terminal;
}

/// The dictionary entry of a tag.
#[must_use]
pub fn entry(tag: Tag) -> Option<&'static Entry> {
    DICTIONARY.iter().find(|entry| entry.tag == tag)
}

impl Tag {
    /// The name of the data object, if the dictionary has it.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        entry(self).map(|entry| entry.name)
    }

    /// True for values that must not be shown: card number, tracks, names, PIN data. PCI DSS 4.0 requirement
    /// 3.4.
    #[must_use]
    pub const fn is_sensitive(self) -> bool {
        matches!(
            self,
            Self::PAN
                | Self::TRACK1
                | Self::TRACK2
                | Self::TRACK2_CONTACTLESS
                | Self::TRACK1_DISCRETIONARY
                | Self::TRACK2_DISCRETIONARY
                | Self::CARDHOLDER_NAME
                | Self::CARDHOLDER_NAME_EXTENDED
                | Self::IBAN
                | Self::PIN_BLOCK
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_tag_is_declared_once_and_templates_are_constructed() {
        let mut seen = BTreeSet::new();
        for entry in DICTIONARY {
            assert!(seen.insert(entry.tag), "{}", entry.tag);
            assert_eq!(entry.tag.is_constructed(), entry.format == Format::Template, "{}", entry.tag);
        }
        assert_eq!(Tag::TVR.name(), Some("Terminal verification results"));
        assert_eq!(Tag(0x9F7F).name(), None);
    }
}
