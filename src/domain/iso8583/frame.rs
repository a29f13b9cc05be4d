//! What stands around a message on a terminal's line: two bytes of length, TPDU, header.
//!
//! Nothing here waits or reads a socket: [`FrameReader`] is fed whatever the socket gave. Source: UnionPay
//! terminal framing as in public terminal code (three sources agreeing); Spec: unverified.
use core::fmt;
use zeroize::Zeroize;

/// Bytes of the transport protocol data unit (TPDU): `60`, destination, source.
pub const TPDU_LENGTH: usize = 5;
/// Bytes of the UnionPay header, twelve packed digits.
pub const HEADER_LENGTH: usize = 6;
/// Least bytes after the length: TPDU, header, MTI and bitmap.
pub const PAYLOAD_MIN: usize = TPDU_LENGTH + HEADER_LENGTH + 2 + 8;
/// Most bytes after the length. Choice: room for every element of the UnionPay table at its maximum, so that
/// a broken length is noticed at once and memory stays bounded.
pub const PAYLOAD_MAX: usize = 4096;

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length says more than a frame may have.
    #[error("a frame of {length} bytes, at most {PAYLOAD_MAX} are allowed")]
    TooLong {
        /// What the length says.
        length: usize,
    },
    /// The length says less than TPDU, header, MTI and bitmap need.
    #[error("a frame of {length} bytes, at least {PAYLOAD_MIN} are needed")]
    TooShort {
        /// What the length says.
        length: usize,
    },
}

const fn check(length: usize) -> Result<usize, FrameError> {
    match length {
        0..PAYLOAD_MIN => Err(FrameError::TooShort { length }),
        PAYLOAD_MIN..=PAYLOAD_MAX => Ok(length),
        _ => Err(FrameError::TooLong { length }),
    }
}

/// TPDU, header and message. `Debug` shows no message bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// `60`, destination address, source address.
    pub tpdu: [u8; TPDU_LENGTH],
    /// Twelve packed digits; the sixth is the host's processing request.
    pub header: [u8; HEADER_LENGTH],
    /// MTI to last element.
    pub message: Vec<u8>,
}

impl Frame {
    /// Reads what comes after the two length bytes.
    ///
    /// # Errors
    /// [`FrameError`] if the length is out of bounds. The addresses are not judged.
    pub fn parse(payload: &[u8]) -> Result<Self, FrameError> {
        let length = check(payload.len())?;
        let too_short = FrameError::TooShort { length };
        let (tpdu, rest) = payload.split_first_chunk().ok_or(too_short)?;
        let (header, message) = rest.split_first_chunk().ok_or(too_short)?;
        Ok(Self { tpdu: *tpdu, header: *header, message: message.to_vec() })
    }

    /// The whole frame, length included.
    ///
    /// # Errors
    /// [`FrameError`] if the message is too long or too short.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let length = check(self.message.len().saturating_add(TPDU_LENGTH + HEADER_LENGTH))?;
        let prefix = u16::try_from(length).map_err(|_| FrameError::TooLong { length })?;
        let mut out = Vec::with_capacity(length.saturating_add(2));
        out.extend_from_slice(&prefix.to_be_bytes());
        out.extend_from_slice(&self.tpdu);
        out.extend_from_slice(&self.header);
        out.extend_from_slice(&self.message);
        Ok(out)
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.message.zeroize();
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:02X?} {:02X?} +{})", self.tpdu, self.header, self.message.len())
    }
}

/// Cuts a byte stream into frames. Holds at most one incomplete frame.
///
/// After an error the stream is out of step: the line must be closed, and every further read answers the same
/// error.
#[derive(Default)]
pub struct FrameReader {
    held: Vec<u8>,
    broken: Option<FrameError>,
}

impl FrameReader {
    /// Takes bytes off the front of `input` until a frame is complete or the input is used up.
    ///
    /// Returns the bytes after the length ([`Frame::parse`] reads them), or `None` when more input is needed.
    /// Call it again while it returns frames: one chunk may hold several.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the two length bytes are out of bounds.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        self.fill(2, input);
        let Some(prefix) = self.held.first_chunk::<2>() else { return Ok(None) };
        let length = check(usize::from(u16::from_be_bytes(*prefix)));
        let length = length.inspect_err(|error| self.broken = Some(*error))?;
        self.fill(length.saturating_add(2), input);
        if self.held.len() < length.saturating_add(2) {
            return Ok(None);
        }
        let payload = self.held.split_off(2);
        self.held.clear();
        Ok(Some(payload))
    }

    /// True if the stream may end here without cutting a frame in two.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.held.is_empty() && self.broken.is_none()
    }

    /// Takes input until `wanted` bytes are held.
    fn fill(&mut self, wanted: usize, input: &mut &[u8]) {
        let missing = wanted.saturating_sub(self.held.len());
        let (taken, rest) = input.split_at_checked(missing).unwrap_or((input, &[]));
        self.held.extend_from_slice(taken);
        *input = rest;
    }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameReader(+{})", self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything the reader gives for these chunks, until it is satisfied or breaks.
    fn read_all(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, FrameReader, Result<(), FrameError>) {
        let (mut reader, mut frames) = (FrameReader::default(), Vec::new());
        for chunk in chunks {
            let mut rest = *chunk;
            loop {
                match reader.read(&mut rest) {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => return (frames, reader, Err(error)),
                }
            }
            assert!(rest.is_empty(), "input was left though no frame was complete");
        }
        (frames, reader, Ok(()))
    }

    /// A broken length must not let the terminal wait for bytes that never come, nor take memory for them.
    #[test]
    fn a_length_out_of_bounds_breaks_the_line_for_good() {
        let (_, mut reader, end) = read_all(&[&[0x10], &[0x01, 0xFF]]);
        assert_eq!(end, Err(FrameError::TooLong { length: 4097 }));
        assert!(!reader.is_between_frames());
        assert_eq!(reader.read(&mut &[0_u8, 21][..]), Err(FrameError::TooLong { length: 4097 }));
        assert_eq!(read_all(&[&[0, 20]]).2, Err(FrameError::TooShort { length: 20 }));
        assert_eq!(read_all(&[&[0, 0]]).2, Err(FrameError::TooShort { length: 0 }));
    }

    #[test]
    fn a_cut_frame_is_noticed() {
        let (frames, reader, end) = read_all(&[&[0, 21, 0x60]]);
        assert!(frames.is_empty() && end.is_ok() && !reader.is_between_frames());
        assert!(FrameReader::default().is_between_frames());
    }

    fn bytes(least: usize, most: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), least..most)
    }

    proptest! {
        /// However the network cuts the stream, the same frames come out.
        #[test]
        fn frames_survive_any_splitting(
            messages in proptest::collection::vec(bytes(10, 300), 0..5),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
        ) {
            let frame = |m: &Vec<u8>| Frame { tpdu: [0x60; 5], header: [0; 6], message: m.clone() };
            let stream: Vec<u8> = messages.iter().flat_map(|m| frame(m).encode().unwrap()).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            let (read, reader, end) = read_all(&chunks);
            prop_assert_eq!(end, Ok(()));
            prop_assert!(reader.is_between_frames());
            let read: Vec<Frame> = read.iter().map(|payload| Frame::parse(payload).unwrap()).collect();
            prop_assert_eq!(read, messages.iter().map(frame).collect::<Vec<_>>());
        }

        /// Noise never panics, and never makes the reader hold more than one frame.
        #[test]
        fn noise_is_bounded(chunks in proptest::collection::vec(bytes(0, 2000), 0..8)) {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let (_, reader, _) = read_all(&chunks);
            prop_assert!(reader.held.len() <= PAYLOAD_MAX + 2);
        }
    }
}
