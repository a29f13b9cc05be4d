//! ISO 8583 messages: codec by table.
//!
//! A dialect is a table of data elements and their formats ([`mod@format`]); [`codec`] packs and unpacks any
//! message by such a table; [`frame`] puts length, TPDU and header around it. What the elements mean, which
//! are sent when, and the MAC are not here: see [`crate::domain::unionpay`]. Source: ISO 8583:1987 (one
//! bitmap of 64, MTI and data elements); Spec: unverified, restated from public code.
pub mod codec;
pub mod element;
pub mod format;
pub mod frame;
pub mod message;

pub use codec::{PackError, Part, UnpackError, pack, unpack};
pub use element::De;
pub use format::{Dialect, Element, Encoding, Filler, Format, Prefix};
pub use frame::{Frame, FrameError, FrameReader};
pub use message::Message;
