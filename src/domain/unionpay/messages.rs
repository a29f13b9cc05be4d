//! Requests: typed builders that give whole frames. Each says which elements it sends. Those about money stand in
//! `financial`.
//!
//! Source: field matrix and reversal rules of public terminal code (LiaoYang_POS, Newland, PAX agreeing on
//! these rows); Spec: unverified.
mod download;
mod financial;
mod queued;

pub use download::{download, state_upload};
pub(super) use financial::{Card, Money, common, some};
pub use financial::{Extra, RequestFields, WireSource, request, request_with, wire_facts};
pub use queued::{queued, queued_with};

use super::Identity;
use super::mac::pack_signed;
use crate::domain::ident::{BatchNumber, OperatorId, Stan};
use crate::domain::iso8583::{De, Frame, FrameError, Message, PackError, pack};
use crate::domain::keystore::{KeyError, SessionKeys};
use crate::domain::profile::Profile;
use std::sync::Arc;

/// A request ready to send, and what its answer is checked against.
///
/// `Debug` shows element numbers and lengths only; `frame` holds card data in clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Message type.
    pub mti: &'static str,
    /// DE 11; the echo test has none.
    pub stan: Option<Stan>,
    /// The whole frame, its two length bytes included.
    pub frame: Vec<u8>,
    /// The elements sent.
    pub fields: Message,
    /// The rules by which it was made and its answer is read.
    pub profile: Arc<Profile>,
}

impl core::fmt::Debug for Request {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("Request");
        shown.field("stan", &self.stan).field("frame", &self.frame.len()).field("fields", &self.fields);
        shown.finish()
    }
}

/// Why a request cannot be made: a value from configuration or journal has the wrong form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// An element's value does not fit.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The message does not fit into a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// No key of this sign-on answers.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Nothing is ever sent for this entry of the queue, or what it needs is gone.
    #[error("there is no message for this entry")]
    NothingToSend,
    /// No row of the matrix has this message type and DE 60.1.
    #[error("the request matrix has no such message")]
    UnknownMessage,
}

/// POS sign-on (签到), 0800 with 60.3 by the profile: DE 11, 41, 42, 60, 62 where the profile has a number, 63. No MAC.
///
/// DE 63.1 is the operator, two digits and a blank; `00` when nobody is signed on.
///
/// # Errors
/// [`BuildError`].
pub fn sign_on(
    identity: &Identity,
    stan: Stan,
    batch: BatchNumber,
    operator: Option<&OperatorId>,
) -> Result<Request, BuildError> {
    let forms = &identity.profile.forms;
    let mut message = management("0800", identity, Some(stan), batch, identity.profile.keys.sign_on.word());
    if !forms.sequence_number.is_empty() {
        let number = &forms.sequence_number;
        message.set(De::PRIVATE_62, format!("Sequence No{:02}{number}", number.len()));
    }
    message.set(De::PRIVATE_63, format!("{} ", operator.map_or("00", OperatorId::as_str)));
    plain(identity, "0800", Some(stan), message)
}

/// POS sign-off (签退), 0820 with 60.3 = 002: DE 11, 41, 42, 60. No MAC.
///
/// # Errors
/// [`BuildError`].
pub fn sign_off(identity: &Identity, stan: Stan, batch: BatchNumber) -> Result<Request, BuildError> {
    plain(identity, "0820", Some(stan), management("0820", identity, Some(stan), batch, "002"))
}

/// Echo test (回响), 0820 with 60.3 = 301: DE 41, 42, 60. No STAN, no MAC.
///
/// # Errors
/// [`BuildError`].
pub fn echo(identity: &Identity, batch: BatchNumber) -> Result<Request, BuildError> {
    plain(identity, "0820", None, management("0820", identity, None, batch, "301"))
}

pub(super) fn management(
    mti: &str,
    identity: &Identity,
    stan: Option<Stan>,
    batch: BatchNumber,
    code: &str,
) -> Message {
    let mut message = Message::new(mti);
    message
        .set_some(De::STAN, stan.map(|stan| stan.to_string()))
        .set(De::TERMINAL, identity.terminal_id.as_str())
        .set(De::MERCHANT, identity.merchant_id.as_str())
        .set(De::PRIVATE_60, format!("00{batch}{code}"));
    message
}

pub(super) fn plain(
    identity: &Identity,
    mti: &'static str,
    stan: Option<Stan>,
    fields: Message,
) -> Result<Request, BuildError> {
    let packed = pack(&identity.profile.dialect, &fields)?;
    framed(identity, mti, stan, fields, packed)
}

fn signed(
    identity: &Identity,
    mti: &'static str,
    stan: Stan,
    mut fields: Message,
    keys: &dyn SessionKeys,
) -> Result<Request, BuildError> {
    let packed = pack_signed(&identity.profile.dialect, &mut fields, keys)?;
    framed(identity, mti, Some(stan), fields, packed)
}

fn framed(
    identity: &Identity,
    mti: &'static str,
    stan: Option<Stan>,
    fields: Message,
    message: Vec<u8>,
) -> Result<Request, BuildError> {
    let frame = Frame { tpdu: identity.tpdu, header: identity.header, message }.encode()?;
    Ok(Request { mti, stan, frame, fields, profile: Arc::clone(&identity.profile) })
}
