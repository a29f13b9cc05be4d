//! The acquirer's rules as far as they differ from bank to bank. Each is a setting and not a constant in code, because
//! no public document fixes it; the one profile that ships is the common form of public terminal code.
//!
//! A profile is a TOML text: the compiled-in [`unionpay`](SHIPPED) names every key, a file of an acquirer only what it
//! does differently. See [`read`] for the keys.
mod read;

use crate::domain::download;
use crate::domain::ident::BatchNumber;
use crate::domain::iso8583::Dialect;
use crate::domain::keystore::KeyRules;
use crate::domain::outcome::words;
use crate::domain::record::ReversalReason;
use crate::domain::settings::ConfigErrors;
use crate::domain::unionpay::catalogue::Catalogue;
use crate::domain::unionpay::de55::IccLists;
use core::time::Duration;
use std::path::Path;
use std::sync::{Arc, LazyLock};

pub use read::read;

/// Name of the profile that ships.
pub const UNIONPAY: &str = "unionpay";
/// Its text, with every key, its default and why.
pub const SHIPPED: &str = include_str!("unionpay.toml");

words! {
    /// What is done with a refusal that carries no MAC.
    UnsignedRefusals {
        /// It is a refusal.
        Accept = "accept",
        /// On a line without TLS anybody could have sent it: the outcome stays declined, and a reversal is due; an
        /// entry of the queue goes again.
        Reverse = "reverse",
    }
}

words! {
    /// What is done with an upload that waited longer than `[store-and-forward] max-age-h`.
    LateUploads {
        /// It is sent all the same, and marked late.
        Send = "send",
        /// The bank refuses late ones: its entry becomes `expired`, and the shop resolves it.
        Expire = "expire",
    }
}

words! {
    /// DE 61 of a reversal: how it names what it undoes. Batch and STAN are its own, for it repeats the original's.
    NamesOriginal {
        /// As the request matrix has it: voids with batch and STAN, the pre-authorisation family with the day, too.
        ByKind = "by-kind",
        /// Not at all.
        Never = "never",
        /// Every reversal with batch and STAN.
        Numbers = "numbers",
        /// … and the day of the answer, `0000` where there was none.
        NumbersAndDay = "numbers-and-day",
    }
}

words! {
    /// Where a sale that was voided in its batch stands in field 48, and its void.
    VoidedSales {
        /// The sale stays a debit, the void is a credit.
        BothSides = "both-sides",
        /// Neither of them is counted, nor told in the detail.
        Neither = "neither",
    }
}

/// Forms of elements that differ from acquirer to acquirer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forms {
    /// First two digits of DE 22 of a scanned code: 03, some use 04.
    pub entry_mode_code: String,
    /// First two digits of DE 22 of a swipe after a failed chip read: 80; where it is 02, 60.5 = 2 tells it.
    pub entry_mode_fallback: String,
    /// DE 26, longest PIN.
    pub pin_capture: String,
    /// DE 53, first digit where there is a PIN: 2 = the block holds the card's number, 1 = it does not.
    pub security_pin: String,
    /// DE 53, second digit; `None`: that of the key, 0 DES, 6 3DES, 3 SM4.
    pub security_cipher: Option<char>,
    /// Digits of DE 60 in requests for money: 13 ends with 60.5, 14 with 60.6.
    pub private_60_digits: usize,
    /// DE 63 of a refund.
    pub refund_63: String,
    /// DE 63 of a completion advice; empty leaves it out.
    pub advice_63: String,
    /// DE 63.1 of an upload that the chip approved.
    pub upload_63: String,
    /// A script result repeats DE 25 of its original.
    pub script_condition: bool,
    /// DE 62 of the sign-on, after `Sequence No` and its length: licence and device number; empty leaves DE 62 out.
    pub sequence_number: String,
}

impl Forms {
    /// DE 60 of a message about money: type, batch, management code 000, terminal capability and what follows it. Rows
    /// of the first schema have no 60.6: it was 0.
    #[must_use]
    pub fn private_60(&self, message_type: &str, batch: BatchNumber, capability: &str) -> String {
        let mut text = format!("{message_type}{batch}000{capability:0<3}");
        text.truncate(self.private_60_digits);
        text
    }
}

/// DE 39 of a reversal: why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReversalCodes {
    /// No, a late or an unreadable answer.
    pub no_answer: String,
    /// The answer's MAC was wrong.
    pub mac_error: String,
    /// The card refused what the bank approved, or the outcome could not be kept.
    pub refused: String,
}

impl ReversalCodes {
    /// DE 39 of a reversal.
    #[must_use]
    pub fn of(&self, reason: ReversalReason) -> &str {
        match reason {
            ReversalReason::NoAnswer => &self.no_answer,
            ReversalReason::MacError => &self.mac_error,
            ReversalReason::Refused => &self.refused,
        }
    }
}

/// Downloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloads {
    /// What a download without further words brings, in this order.
    pub kinds: Vec<download::Kind>,
    /// Tag `DF01` of an application: this value lets longer AIDs of the card match too. Spec: unverified, the sources
    /// contradict each other.
    pub partial_match: u8,
    /// The parameters have an end message of their own, 0800/361. Spec: unverified.
    pub parameters_end: bool,
    /// When an unfinished download is tried again; doubles up to a day.
    pub retry: Duration,
}

/// One acquirer's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name, as `[host] profile` calls it.
    pub name: String,
    /// Transport protocol data unit of requests, unless `[host] tpdu` says otherwise.
    pub tpdu: [u8; 5],
    /// Header of requests, unless `[host] header` says otherwise.
    pub header: [u8; 6],
    /// How long an answer is waited for, unless `[host] response-timeout-s` says otherwise.
    pub response_timeout: Duration,
    /// How data elements stand on the wire.
    pub dialect: Dialect,
    /// Forms of single elements.
    pub forms: Forms,
    /// Which keys, MAC, key block, tracks.
    pub keys: KeyRules,
    /// Why a reversal is sent.
    pub reversal_codes: ReversalCodes,
    /// DE 61 of a reversal.
    pub names_original: NamesOriginal,
    /// What DE 55 holds.
    pub icc: IccLists,
    /// What DE 39 means to people.
    pub catalogue: Catalogue,
    /// Attempts of a reversal before it is `failed` and no longer blocks trading: parameter 23 plus one; 3 is the
    /// factory default of Newland terminals.
    pub reversal_attempts: u32,
    /// After 25 the bank is asked once more when so much time has passed; zero = never.
    pub repeat_not_found: Duration,
    /// Attempts of an upload, advice or script result before it is `failed`.
    pub upload_attempts: u32,
    /// Downloads.
    pub downloads: Downloads,
    /// Refusals without a MAC.
    pub unsigned_refusals: UnsignedRefusals,
    /// Voided sales in field 48.
    pub voided_sales: VoidedSales,
    /// Uploads that waited too long.
    pub late_uploads: LateUploads,
    /// Void kinds ask for the card again ("void needs card").
    pub void_needs_card: bool,
    /// A void asks the PIN.
    pub void_pin: bool,
    /// A pre-authorisation void asks the PIN.
    pub pre_auth_void_pin: bool,
    /// A completion request asks the PIN.
    pub completion_pin: bool,
    /// A completion void asks the PIN.
    pub completion_void_pin: bool,
    /// A completion may reach so many percent of its pre-authorisation. Spec: unverified (common issuer rule).
    pub completion_percent_max: u32,
    /// A stripe may stand in for a chip that cannot be read.
    pub swipe_fallback: bool,
    /// The same card and amount within this time is suspected to be a duplicate; zero = never.
    pub duplicate_window: Duration,
}

impl Profile {
    /// The same rules on a line on which only the bank can write, as TLS makes it: a refusal needs no MAC there.
    #[must_use]
    pub fn on_private_line(mut self: Arc<Self>) -> Arc<Self> {
        if self.unsigned_refusals != UnsignedRefusals::Accept {
            Arc::make_mut(&mut self).unsigned_refusals = UnsignedRefusals::Accept;
        }
        self
    }

    /// `unionpay`, the profile that ships.
    #[must_use]
    pub fn unionpay() -> Arc<Self> {
        static PROFILE: LazyLock<Arc<Profile>> = LazyLock::new(|| Arc::new(shipped()));
        Arc::clone(&PROFILE)
    }

    /// An answer without a MAC is not believed: the profile says so, and on a line without TLS anybody could have
    /// sent it. `signed`: it carries a good one. `tls`: the line is under TLS.
    #[must_use]
    pub fn doubts(&self, signed: bool, tls: bool) -> bool {
        self.unsigned_refusals == UnsignedRefusals::Reverse && !signed && !tls
    }
}

/// Reads the compiled-in text. It is part of the program: a test reads it, so it cannot be wrong in a shop.
#[allow(clippy::expect_used, reason = "the text is compiled in and read by a test")]
fn shipped() -> Profile {
    read(UNIONPAY, Path::new("unionpay.toml"), SHIPPED, None).expect("the shipped profile can be read")
}

/// Everything that is wrong with a profile, with file and line.
pub type ProfileErrors = ConfigErrors;

#[cfg(test)]
mod tests;
