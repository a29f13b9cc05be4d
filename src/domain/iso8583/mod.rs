//! ISO 8583 messages: codec by table.
//!
//! A [`Dialect`] is a table of data elements and their formats ([`mod@format`], written down as [`notation`] in
//! profiles); [`mod@decode`] reads any message by such a table into a [`View`] that borrows, [`mod@encode`] writes one;
//! a [`Message`] is the owned form between them; [`frame`] puts length, TPDU and header around it. What the elements
//! mean, which are sent when, and the MAC are not here: see [`crate::domain::unionpay`]. Source: ISO 8583:1987 (one or
//! two bitmaps of 64, MTI and data elements); Spec: unverified, restated from public code.
pub mod decode;
pub mod dialect;
pub mod element;
pub mod encode;
pub mod format;
pub mod frame;
pub mod iso1987;
pub mod message;
pub mod notation;
pub mod view;

#[cfg(test)]
mod tests;

pub use decode::{Part, UnpackError, decode, decode_partly, unpack};
pub use dialect::{Counted, Dialect, Element, Form};
pub use element::De;
pub use encode::{PackError, pack};
pub use format::{Encoding, Fill, Filler, Format, Prefix, Side};
pub use frame::{Frame, FrameError, FrameReader};
pub use message::Message;
pub use notation::FormatError;
pub use view::{Field, View};
