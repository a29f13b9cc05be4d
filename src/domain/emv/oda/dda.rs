//! Dynamic data authentication: the card signs what the terminal has just thought of. EMV 4.4 Book 2 §6.5.
//!
//! One command, INTERNAL AUTHENTICATE, and one state. Spec: unverified.
use super::super::apdu::CommandApdu;
use super::super::dol;
use super::super::kernel::{Input, KernelError, Output, State, Step, response};
use super::super::results::Tvr;
use super::super::session::{Session, missing};
use super::super::tlv::{self, Tag};
use super::keys::RsaKey;
use super::signed::Recovered;
use super::{Defect, signing_key};

const PHASE: &str = "internal authenticate";

/// Signed dynamic data; a cryptogram that is signed too has the same format.
pub(super) const FORMAT: u8 = 0x05;

/// The card signs.
#[derive(Clone)]
pub(in crate::domain::emv) struct AwaitSignature {
    session: Box<Session>,
    key: RsaKey,
    /// What it signs beside its own number.
    challenge: Vec<u8>,
}

/// Asks for a signature, if the card's key is good.
pub(super) fn ask(session: Box<Session>) -> Step {
    match prepare(&session) {
        Ok((key, challenge)) => {
            let data = challenge.clone();
            let command = CommandApdu { cla: 0x00, ins: 0x88, p1: 0, p2: 0, data, le: Some(0) };
            let state = AwaitSignature { session, key, challenge };
            Ok((State::Signature(state), Output::Transmit(command)))
        }
        Err(defect) => super::end(session, Tvr::DDA_FAILED, Err(defect)),
    }
}

/// The card's key, and the data for it: as its own list says, else the terminal's. A list without the unpredictable
/// number would let a copy repeat an old signature. EMV 4.4 Book 2 §6.5.1.
fn prepare(session: &Session) -> Result<(RsaKey, Vec<u8>), Defect> {
    let key = signing_key(&session.app)?;
    let list = session.app.card.value(Tag::DDOL).unwrap_or(&session.app.entry.default_ddol);
    let entries = dol::entries(list).map_err(|_| Defect::Failed)?;
    if !entries.iter().any(|entry| entry.tag == Tag::UNPREDICTABLE_NUMBER) {
        return Err(Defect::Failed);
    }
    let challenge = session.fill(list).map_err(|_| Defect::Failed)?;
    Ok((key, challenge))
}

impl AwaitSignature {
    pub(in crate::domain::emv) const fn session(&self) -> &Session {
        &self.session
    }

    /// A card that does not answer as it must ends the conversation; a wrong signature does not. EMV 4.4 Book 3
    /// §6.5.9.4.
    pub(in crate::domain::emv) fn step(mut self, input: Input) -> Step {
        let answer = response(input, PHASE)?;
        if !answer.status.is_ok() {
            return Err(KernelError::Status { phase: PHASE, status: answer.status.0 });
        }
        let signature = signature(&answer.data)?;
        let number = Recovered::open(&self.key, signature, FORMAT)
            .filter(|signed| signed.covers([self.challenge.as_slice()]))
            .and_then(|signed| signed.dynamic().map(|(number, _)| number.to_vec()));
        self.session.app.card.put(Tag::SIGNED_DYNAMIC_DATA, signature);
        let verdict = match number {
            Some(number) => {
                self.session.app.card.put(Tag::ICC_DYNAMIC_NUMBER, &number);
                Ok(())
            }
            None => Err(Defect::Failed),
        };
        super::end(self.session, Tvr::DDA_FAILED, verdict)
    }
}

/// Tag 9F4B from either format. EMV 4.4 Book 3 §6.5.9.4.
fn signature(data: &[u8]) -> Result<&[u8], KernelError> {
    let bad = |what: String| KernelError::Data { phase: PHASE, what };
    let template = tlv::single(data).map_err(|error| bad(error.to_string()))?;
    let signature = match template {
        Some(template) if template.tag == Tag::RESPONSE_FORMAT_1 => Some(template.value),
        Some(template) if template.tag == Tag::RESPONSE_FORMAT_2 => {
            let mut found = None;
            for object in template.children() {
                let object = object.map_err(|error| bad(error.to_string()))?;
                if object.tag == Tag::SIGNED_DYNAMIC_DATA && found.replace(object.value).is_some() {
                    return Err(bad("tag 9F4B appears twice".to_owned()));
                }
            }
            found
        }
        _ => return Err(bad("neither template 80 nor 77".to_owned())),
    };
    signature.filter(|value| !value.is_empty()).ok_or_else(|| missing(Tag::SIGNED_DYNAMIC_DATA, PHASE))
}
