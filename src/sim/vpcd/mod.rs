//! Puts a simulated card into a virtual reader: vpcd, the reader driver of the vsmartcard project.
//!
//! The card is a TCP *client* of vpcd. Every message is a two-byte length, high byte first, and that many
//! bytes. One byte is a control: 00 power off, 01 power on, 02 reset, 04 asks the answer to reset; only 04 is
//! answered. Anything else is a command APDU and is answered by its response. To connect is to insert, to
//! close is to remove. Seen on the wire with vpcd 3.3.
mod bench;
mod slot;

pub use bench::{Bench, Skip};
pub use slot::{Slot, SlotError, SlotStatus, serve};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What vpcd sent.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    /// 00: the card loses its volatile state.
    PowerOff,
    /// 01 or 02: the card starts from its reset.
    PowerOn,
    /// 04: vpcd waits for the answer to reset.
    Atr,
    /// A command.
    Apdu(Vec<u8>),
}

impl Request {
    /// Reads the payload of one message; an unknown control or an empty message is nothing.
    fn read(payload: &[u8]) -> Option<Self> {
        match payload {
            [] => None,
            [0] => Some(Self::PowerOff),
            [1 | 2] => Some(Self::PowerOn),
            [4] => Some(Self::Atr),
            [_] => None,
            bytes => Some(Self::Apdu(bytes.to_vec())),
        }
    }
}

/// A connection to vpcd.
struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    const fn new(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Waits for the next message. Nothing is lost if the wait is dropped half-way.
    async fn next(&mut self) -> std::io::Result<Vec<u8>> {
        loop {
            if let Some((payload, used)) = first_message(&self.unread) {
                self.unread.drain(..used);
                return Ok(payload);
            }
            // vpcd sends length and payload apart and waits for the first to be acknowledged (Nagle). Without
            // this every command takes 40 ms. The kernel forgets it with each answer; it is a matter of speed
            // only.
            rustix::net::sockopt::set_tcp_quickack(&self.stream, true).ok();
            // A message is at most 65537 bytes, so this buffer is bounded.
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn answer(&mut self, payload: &[u8]) -> std::io::Result<()> {
        let length = u16::try_from(payload.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        self.stream.write_all(&[&length.to_be_bytes(), payload].concat()).await
    }
}

/// The first whole message and how many bytes it took.
fn first_message(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    rest.get(..length).map(|payload| (payload.to_vec(), length.saturating_add(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_by_their_length() {
        assert_eq!(first_message(&[0, 1]), None);
        assert_eq!(first_message(&[0, 1, 4, 0, 2]), Some((vec![4], 3)));
        assert_eq!(Request::read(&[4]), Some(Request::Atr));
        assert_eq!(Request::read(&[2]), Some(Request::PowerOn));
        assert_eq!(Request::read(&[9]), None);
        assert_eq!(Request::read(&[0, 0xB2, 1, 0x0C, 0]), Some(Request::Apdu(vec![0, 0xB2, 1, 0x0C, 0])));
    }
}
