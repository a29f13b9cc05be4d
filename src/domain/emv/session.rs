//! What is known while one application is in use: its objects, the terminal's objects, the results so far.
//!
//! Nothing is decided here; the phases decide. EMV 4.4 Book 3 §7; EMV 4.4 Book 4 Annex A. Spec: unverified.
use super::dol::{self, DolError};
use super::kernel::{CardSummary, KernelError};
use super::oda::StaticData;
use super::oda::cda::Cda;
use super::params::{Aid, AidEntry, Capk, EmvConfig, Revocation, TerminalData, TxnParams};
use super::results::{Aip, Capabilities, CvmResults, Tsi, Tvr};
use super::tlv::{Tag, TagStore};
use crate::domain::outcome::CvmMethod;
use crate::domain::secret::{Pan, Track2};
use std::sync::Arc;

/// An application that was selected, before its records are read.
#[derive(Clone)]
pub(super) struct App {
    pub(super) terminal: TerminalData,
    pub(super) params: TxnParams,
    pub(super) entry: AidEntry,
    pub(super) aid: Aid,
    pub(super) label: String,
    /// What the card said.
    pub(super) card: TagStore,
    /// What the terminal says. The card cannot change it.
    pub(super) own: TagStore,
    pub(super) capks: Arc<[Capk]>,
    pub(super) revoked: Arc<[Revocation]>,
    /// The values that GET PROCESSING OPTIONS carried.
    pub(super) options_data: Vec<u8>,
    /// The records that the issuer signed.
    pub(super) signed: StaticData,
}

impl App {
    pub(super) fn new(
        config: &EmvConfig,
        params: &TxnParams,
        entry: AidEntry,
        aid: Aid,
        label: String,
        card: TagStore,
    ) -> Self {
        let own = own_objects(&config.terminal, params, &entry, &aid);
        Self {
            terminal: config.terminal.clone(),
            params: params.clone(),
            entry,
            aid,
            label,
            card,
            own,
            capks: Arc::clone(&config.capks),
            revoked: Arc::clone(&config.revoked),
            options_data: Vec::new(),
            signed: StaticData::default(),
        }
    }

    /// An object by tag; the terminal's own goes first.
    pub(super) fn value(&self, tag: Tag) -> Option<&[u8]> {
        self.own.value(tag).or_else(|| self.card.value(tag))
    }

    pub(super) fn fill(&self, list: &[u8]) -> Result<Vec<u8>, DolError> {
        dol::fill(list, |tag| self.value(tag))
    }
}

/// Who the card is.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) pan: Pan,
    pub(super) track2: Option<Track2>,
    pub(super) expiry: String,
    pub(super) sequence: Option<u8>,
}

/// An application whose records are read.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) app: App,
    pub(super) identity: Identity,
    pub(super) aip: Aip,
    pub(super) tvr: Tvr,
    pub(super) tsi: Tsi,
    pub(super) cvm: CvmMethod,
    pub(super) cvm_results: CvmResults,
    /// The card wanted a PIN for the bank, whatever became of it.
    pub(super) pin_asked: bool,
    /// Cryptograms are to be signed, and the key for it is good.
    pub(super) cda: Option<Cda>,
}

impl Session {
    pub(super) fn new(app: App, identity: Identity, aip: Aip) -> Self {
        Self {
            app,
            identity,
            aip,
            tvr: Tvr::default(),
            tsi: Tsi::default(),
            cvm: CvmMethod::NoCvm,
            cvm_results: CvmResults::NOT_PERFORMED,
            pin_asked: false,
            cda: None,
        }
    }

    /// An object of the card with a fixed length.
    ///
    /// # Errors
    /// [`KernelError::Data`] if it is there with another length.
    pub(super) fn fixed<const N: usize>(
        &self,
        tag: Tag,
        phase: &'static str,
    ) -> Result<Option<[u8; N]>, KernelError> {
        let Some(value) = self.app.card.value(tag) else { return Ok(None) };
        value.try_into().map(Some).map_err(|_| wrong_length(tag, value.len(), phase))
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.app.terminal.capabilities)
    }

    /// Fills a list with everything known now, the results included.
    pub(super) fn fill(&self, list: &[u8]) -> Result<Vec<u8>, DolError> {
        let results = self.cvm_results.bytes();
        dol::fill(list, |tag| match tag {
            Tag::TVR => Some(self.tvr.bytes()),
            Tag::TSI => Some(self.tsi.bytes()),
            Tag::CVM_RESULTS => Some(&results),
            _ => self.app.value(tag),
        })
    }

    pub(super) fn summary(&self) -> Box<CardSummary> {
        let mut tags = self.app.card.overlaid(&self.app.own);
        tags.put(Tag::TVR, self.tvr.bytes());
        tags.put(Tag::TSI, self.tsi.bytes());
        tags.put(Tag::CVM_RESULTS, &self.cvm_results.bytes());
        Box::new(CardSummary {
            aid: self.app.aid.clone(),
            label: self.app.label.clone(),
            pan: self.identity.pan.clone(),
            track2: self.identity.track2.clone(),
            expiry: Some(self.identity.expiry.clone()),
            sequence: self.identity.sequence,
            cvm: self.cvm,
            tags,
        })
    }
}

/// Kinds of terminal that tell phases what may be done. EMV 4.4 Book 4 Annex A1.
impl TerminalData {
    /// True if no clerk is there: the second digit is 4 to 6.
    pub(super) const fn is_unattended(&self) -> bool {
        matches!(self.terminal_type & 0x0F, 4..=6)
    }

    /// True if it can only ask the host: the second digit is 1 or 4.
    pub(super) const fn is_online_only(&self) -> bool {
        matches!(self.terminal_type & 0x0F, 1 | 4)
    }

    /// True if it never asks the host: the second digit is 3 or 6.
    pub(super) const fn is_offline_only(&self) -> bool {
        matches!(self.terminal_type & 0x0F, 3 | 6)
    }

    /// True if it can ask the host and need not: only such a terminal picks sales at random for the host (Book 3
    /// §10.6.2).
    pub(super) const fn may_decide(&self) -> bool {
        !self.is_online_only() && !self.is_offline_only()
    }

    /// True for a cash machine: a bank's, unattended, and it gives cash.
    pub(super) const fn is_atm(&self) -> bool {
        let [first, ..] = self.additional_capabilities;
        matches!(self.terminal_type, 0x14..=0x16) && first & 0x80 != 0
    }
}

/// The terminal's objects before the first command to the application. TVR, TSI and CVM results are kept as
/// types.
fn own_objects(terminal: &TerminalData, params: &TxnParams, entry: &AidEntry, aid: &Aid) -> TagStore {
    let mut own = TagStore::default();
    let amount = params.amount.minor();
    let other = params.amount_other.minor();
    own.put(Tag::TERMINAL_AID, aid.bytes());
    own.put(Tag::TERMINAL_COUNTRY, &terminal.country_code);
    own.put(Tag::TERMINAL_TYPE, &[terminal.terminal_type]);
    own.put(Tag::CAPABILITIES, &terminal.capabilities);
    own.put(Tag::ADDITIONAL_CAPABILITIES, &terminal.additional_capabilities);
    own.put(Tag::MERCHANT_CATEGORY, &terminal.merchant_category_code);
    own.put(Tag::IFD_SERIAL, &terminal.ifd_serial);
    own.put(Tag::TERMINAL_ID, &terminal.terminal_id);
    own.put(Tag::MERCHANT_ID, &terminal.merchant_id);
    own.put(Tag::MERCHANT_NAME, &terminal.merchant_name);
    own.put(Tag::TERMINAL_VERSION, &entry.version);
    own.put(Tag::FLOOR_LIMIT, &binary(entry.floor_limit));
    own.put(Tag::AMOUNT, &bcd::<6>(amount));
    own.put(Tag::AMOUNT_OTHER, &bcd::<6>(other));
    own.put(Tag::AMOUNT_BINARY, &binary(amount));
    own.put(Tag::AMOUNT_OTHER_BINARY, &binary(other));
    own.put(Tag::CURRENCY, &params.currency.numeric_bcd());
    own.put(Tag::CURRENCY_EXPONENT, &[params.currency.exponent()]);
    own.put(Tag::TRANSACTION_TYPE, &[params.transaction_type]);
    own.put(Tag::DATE, &params.now.yymmdd_bcd());
    own.put(Tag::TIME, &params.now.hhmmss_bcd());
    own.put(Tag::UNPREDICTABLE_NUMBER, &params.unpredictable_number);
    own.put(Tag::SEQUENCE_COUNTER, &bcd::<4>(u64::from(params.sequence_counter)));
    own.put(Tag::ENTRY_MODE, &[ENTRY_MODE_CONTACT]);
    own
}

/// Tag 9F39 as in the first two digits of ISO 8583 DE 22: the chip was read through its contacts.
const ENTRY_MODE_CONTACT: u8 = 0x05;

/// Four bytes, the largest value if it does not fit.
fn binary(amount: u64) -> [u8; 4] {
    u32::try_from(amount).unwrap_or(u32::MAX).to_be_bytes()
}

/// The last digits of a number in binary-coded decimal.
fn bcd<const N: usize>(mut number: u64) -> [u8; N] {
    let mut bytes = [0; N];
    for byte in bytes.iter_mut().rev() {
        let two = u8::try_from(number % 100).unwrap_or_default();
        *byte = (two / 10) << 4 | (two % 10);
        number /= 100;
    }
    bytes
}

pub(super) fn wrong_length(tag: Tag, length: usize, phase: &'static str) -> KernelError {
    KernelError::Data { phase, what: format!("tag {tag} has {length} bytes") }
}

pub(super) fn missing(tag: Tag, phase: &'static str) -> KernelError {
    KernelError::Data { phase, what: format!("tag {tag} is missing") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_digits_and_bytes() {
        assert_eq!(bcd::<6>(123_456), [0, 0, 0, 0x12, 0x34, 0x56]);
        assert_eq!(bcd::<2>(123_456), [0x34, 0x56]);
        assert_eq!(binary(258), [0, 0, 1, 2]);
        assert_eq!(binary(999_999_999_999), [0xFF; 4]);
    }
}
