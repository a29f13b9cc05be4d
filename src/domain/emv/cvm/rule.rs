//! One rule of the list: which method, when, and whether this terminal can. EMV 4.4 Book 3 Annex C3; what a terminal
//! can: Book 4 Annex A2. Spec: unverified.
use super::super::results::{Capabilities, CvmOutcome, CvmResults};
use super::super::session::Session;
use super::super::tlv::Tag;

/// Two bytes of the list: what to do, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) code: u8,
    pub(super) condition: u8,
}

/// What a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// 00: verification fails.
    Fail,
    /// 02: a PIN for the bank.
    OnlinePin,
    /// 01, 03 plain; 04, 05 enciphered: a PIN for the card, and with 03 and 05 a signature too.
    OfflinePin { form: PinForm, with_signature: bool },
    /// 1E.
    Signature,
    /// 1F.
    NoCvm,
    /// 06 to 0D: known by name, and never supported here.
    Biometric,
    /// Everything else.
    Unrecognised,
}

/// How a PIN travels to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PinForm {
    Plain,
    Enciphered,
}

impl Rule {
    /// The method, bits 6 to 1.
    pub(super) const fn method(self) -> Method {
        match self.code & 0x3F {
            0x00 => Method::Fail,
            0x01 => Method::OfflinePin { form: PinForm::Plain, with_signature: false },
            0x02 => Method::OnlinePin,
            0x03 => Method::OfflinePin { form: PinForm::Plain, with_signature: true },
            0x04 => Method::OfflinePin { form: PinForm::Enciphered, with_signature: false },
            0x05 => Method::OfflinePin { form: PinForm::Enciphered, with_signature: true },
            0x06..=0x0D => Method::Biometric,
            0x1E => Method::Signature,
            0x1F => Method::NoCvm,
            _ => Method::Unrecognised,
        }
    }

    /// True if the next rule applies when this one is unsuccessful: bit 7.
    pub(super) const fn may_continue(self) -> bool {
        self.code & 0x40 != 0
    }

    /// Tag 9F34 for this rule.
    pub(super) const fn results(self, outcome: CvmOutcome) -> CvmResults {
        CvmResults { method: self.code, condition: self.condition, outcome }
    }

    /// The condition code against amounts X and Y of the list and this transaction. Codes that are not known never
    /// hold.
    pub(super) fn condition_holds(self, x: u64, y: u64, session: &Session) -> bool {
        let params = &session.app.params;
        let cash = params.transaction_type == 0x01;
        let cashback = params.transaction_type == 0x09 || !params.amount_other.is_zero();
        let unattended = session.app.terminal.is_unattended();
        let in_currency =
            session.app.card.value(Tag::APPLICATION_CURRENCY) == Some(&params.currency.numeric_bcd());
        let amount = params.amount.minor();
        match self.condition {
            0x00 => true,
            0x01 => cash && unattended,
            0x02 => !cash && !cashback,
            0x03 => self.method().is_supported(session),
            0x04 => cash && !unattended,
            0x05 => cashback,
            0x06 => in_currency && amount < x,
            0x07 => in_currency && amount > x,
            0x08 => in_currency && amount < y,
            0x09 => in_currency && amount > y,
            _ => false,
        }
    }
}

impl Method {
    /// True if this terminal can carry the method out: all of it, where it has two parts.
    pub(super) fn is_supported(self, session: &Session) -> bool {
        let can = session.capabilities();
        match self {
            Self::Fail => true,
            Self::OnlinePin => self.has_pin_entry(session),
            Self::OfflinePin { with_signature, .. } => {
                self.has_pin_entry(session) && (!with_signature || can.has(Capabilities::SIGNATURE))
            }
            Self::Signature => can.has(Capabilities::SIGNATURE),
            Self::NoCvm => can.has(Capabilities::NO_CVM),
            Self::Biometric | Self::Unrecognised => false,
        }
    }

    /// True if the terminal has the entry for a PIN of this kind. False for methods without a PIN.
    pub(super) fn has_pin_entry(self, session: &Session) -> bool {
        let can = session.capabilities();
        match self {
            Self::OnlinePin => session.app.entry.online_pin && can.has(Capabilities::ONLINE_PIN),
            Self::OfflinePin { form: PinForm::Plain, .. } => can.has(Capabilities::OFFLINE_PIN_PLAIN),
            Self::OfflinePin { form: PinForm::Enciphered, .. } => {
                can.has(Capabilities::OFFLINE_PIN_ENCIPHERED)
            }
            Self::Fail | Self::Signature | Self::NoCvm | Self::Biometric | Self::Unrecognised => false,
        }
    }
}
