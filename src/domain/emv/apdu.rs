//! Command and response APDUs as plain data. EMV 4.4 Book 1 §9.4; ISO/IEC 7816-3.
use core::fmt;

use zeroize::Zeroize;

/// A command: four header bytes, data, and the expected length. Short form only.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandApdu {
    /// Class.
    pub cla: u8,
    /// Instruction.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// At most 255 bytes.
    pub data: Vec<u8>,
    /// Expected length; `Some(0)` asks for all there is.
    pub le: Option<u8>,
}

/// The status word SW1 SW2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StatusWord(pub u16);

/// A response: data and status word.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseApdu {
    /// At most 256 bytes from a well-behaved card; more is refused when it is read.
    pub data: Vec<u8>,
    /// The status word.
    pub status: StatusWord,
}

impl Drop for ResponseApdu {
    fn drop(&mut self) {
        self.data.zeroize(); // records carry the track
    }
}

impl fmt::Debug for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for CommandApdu {
    /// Header and length only: the data may hold card data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cla, ins, p1, p2, data, .. } = self;
        write!(f, "{cla:02X}{ins:02X}{p1:02X}{p2:02X} +{}", data.len())
    }
}

impl fmt::Debug for ResponseApdu {
    /// Length and status only: records carry the track.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{} {:?}", self.data.len(), self.status)
    }
}
