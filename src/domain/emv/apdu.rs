//! Command and response APDUs as plain data, their bytes, and the exchange that hides 61xx and 6Cxx.
//!
//! Nothing here knows what a command means; the phases do. EMV 4.4 Book 1 §9.4; ISO/IEC 7816-3. Spec:
//! unverified.
use core::fmt;

use zeroize::Zeroize;

/// The longest answer of the short form: 256 bytes of data and two of status.
pub const RESPONSE_MAX: usize = 258;

/// How many wire commands one logical command may take. Choice: 61xx once and 6Cxx once are usual.
const ROUNDS_MAX: u8 = 8;

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

/// Why bytes are not an APDU, or an exchange does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApduError {
    /// The data of a command does not fit the short form.
    #[error("{0} bytes of command data, at most 255 fit")]
    DataTooLong(usize),
    /// A command whose lengths do not agree.
    #[error("{0} bytes are not a command of the short form")]
    CommandForm(usize),
    /// Fewer bytes than a status word.
    #[error("{0} bytes are less than a status word")]
    NoStatus(usize),
    /// More than 256 bytes of data, in one answer or collected.
    #[error("{0} bytes of data, a card may give 256")]
    ResponseTooLong(usize),
    /// The card keeps answering 61xx or 6Cxx.
    #[error("no end after {ROUNDS_MAX} rounds of 61xx and 6Cxx")]
    TooManyRounds,
}

impl CommandApdu {
    /// The bytes of the short form: header, Lc and data if there are any, Le if it is asked. ISO/IEC 7816-3
    /// §12.1.
    ///
    /// # Errors
    /// [`ApduError::DataTooLong`].
    pub fn bytes(&self) -> Result<Vec<u8>, ApduError> {
        let length = u8::try_from(self.data.len()).map_err(|_| ApduError::DataTooLong(self.data.len()))?;
        // Room for everything at once: a vector that grows leaves its bytes behind.
        let mut bytes = Vec::with_capacity(self.data.len().saturating_add(6));
        bytes.extend_from_slice(&[self.cla, self.ins, self.p1, self.p2]);
        if length != 0 {
            bytes.push(length);
            bytes.extend_from_slice(&self.data);
        }
        bytes.extend(self.le);
        Ok(bytes)
    }

    /// GET RESPONSE for this many bytes; 0 asks for all there is. EMV 4.4 Book 1 §9.3.1.3 writes its class as 00
    /// whatever the class of the command before it, as emv-utils does; ISO/IEC 7816-4 would repeat that class. Spec:
    /// unverified.
    #[must_use]
    pub const fn get_response(le: u8) -> Self {
        Self { cla: 0x00, ins: 0xC0, p1: 0x00, p2: 0x00, data: Vec::new(), le: Some(le) }
    }

    /// Reads a command of the short form, as a card receives it.
    ///
    /// # Errors
    /// [`ApduError::CommandForm`] if header, Lc, data and Le do not make up the bytes exactly.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApduError> {
        let bad = ApduError::CommandForm(bytes.len());
        let (header, rest) = bytes.split_first_chunk::<4>().ok_or(bad)?;
        let [cla, ins, p1, p2] = *header;
        let (data, le) = match rest {
            [] => (&[][..], None),
            [le] => (&[][..], Some(*le)),
            [length, body @ ..] => {
                let (data, tail) = body.split_at_checked(usize::from(*length)).ok_or(bad)?;
                match (*length, tail) {
                    (1.., []) => (data, None),
                    (1.., [le]) => (data, Some(*le)),
                    _ => return Err(bad),
                }
            }
        };
        Ok(Self { cla, ins, p1, p2, data: data.to_vec(), le })
    }
}

impl StatusWord {
    /// 9000: done.
    pub const OK: Self = Self(0x9000);

    /// True for 9000.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 == 0x9000
    }

    /// SW1.
    #[must_use]
    pub const fn sw1(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// SW2.
    #[must_use]
    pub const fn sw2(self) -> u8 {
        self.0.to_be_bytes()[1]
    }
}

impl ResponseApdu {
    /// Reads a raw answer: up to 256 bytes of data, then the status word.
    ///
    /// # Errors
    /// [`ApduError::NoStatus`] or [`ApduError::ResponseTooLong`].
    pub fn parse(raw: &[u8]) -> Result<Self, ApduError> {
        let (data, status) = raw.split_last_chunk::<2>().ok_or(ApduError::NoStatus(raw.len()))?;
        if raw.len() > RESPONSE_MAX {
            return Err(ApduError::ResponseTooLong(data.len()));
        }
        Ok(Self { data: data.to_vec(), status: StatusWord(u16::from_be_bytes(*status)) })
    }

    /// The bytes as a card sends them: data, then the status word.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [self.data.as_slice(), &self.status.0.to_be_bytes()].concat()
    }
}

/// The transmission protocol that the reader and the card agreed on. ISO/IEC 7816-3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Bytes: a command has data or an expected length, never both.
    T0,
    /// Blocks: a command travels as it is.
    T1,
}

/// One logical command on its way: follows 61xx with GET RESPONSE and repeats on 6Cxx with the length asked
/// for.
///
/// Used below the kernel, where the reader is. EMV 4.4 Book 1 §9.3.1.
pub struct Exchange {
    command: CommandApdu,
    protocol: Protocol,
    collected: Vec<u8>,
    rounds: u8,
}

/// What an [`Exchange`] wants next.
#[derive(Debug)]
pub enum ExchangeStep {
    /// Send these bytes and feed the raw answer to [`Exchange::answered`].
    Send(Exchange, Vec<u8>),
    /// The whole answer.
    Done(ResponseApdu),
}

impl Exchange {
    /// Begins with a command; returns the first bytes to send.
    ///
    /// # Errors
    /// [`ApduError::DataTooLong`].
    pub fn start(command: CommandApdu, protocol: Protocol) -> Result<(Self, Vec<u8>), ApduError> {
        let exchange = Self { command, protocol, collected: Vec::new(), rounds: 0 };
        let bytes = exchange.wire_bytes()?;
        Ok((exchange, bytes))
    }

    /// Takes the raw answer to the last bytes.
    ///
    /// # Errors
    /// A broken answer, more than 256 bytes collected, or no end in sight.
    pub fn answered(mut self, raw: &[u8]) -> Result<ExchangeStep, ApduError> {
        let answer = ResponseApdu::parse(raw)?;
        match answer.status.sw1() {
            0x61 => {
                self.collect(&answer.data)?;
                self.command = CommandApdu::get_response(answer.status.sw2());
                self.again()
            }
            0x6C if answer.data.is_empty() => {
                self.command.le = Some(answer.status.sw2());
                self.again()
            }
            _ => {
                self.collect(&answer.data)?;
                let data = core::mem::take(&mut self.collected);
                Ok(ExchangeStep::Done(ResponseApdu { data, status: answer.status }))
            }
        }
    }

    fn collect(&mut self, data: &[u8]) -> Result<(), ApduError> {
        self.collected.extend_from_slice(data);
        if self.collected.len() > 256 {
            return Err(ApduError::ResponseTooLong(self.collected.len()));
        }
        Ok(())
    }

    fn again(mut self) -> Result<ExchangeStep, ApduError> {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds >= ROUNDS_MAX {
            return Err(ApduError::TooManyRounds);
        }
        let bytes = self.wire_bytes()?;
        Ok(ExchangeStep::Send(self, bytes))
    }

    fn wire_bytes(&self) -> Result<Vec<u8>, ApduError> {
        let mut bytes = self.command.bytes()?;
        // T=0 has no place for Le behind data; the card tells the length with 61xx. ISO/IEC 7816-3 §12.2.
        let both = !self.command.data.is_empty() && self.command.le.is_some();
        if both && self.protocol == Protocol::T0 {
            bytes.pop();
        }
        Ok(bytes)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.collected.zeroize();
    }
}

impl fmt::Debug for Exchange {
    /// The command as it debugs itself, and how much is collected.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} round {} +{}", self.command, self.rounds, self.collected.len())
    }
}

impl Drop for CommandApdu {
    fn drop(&mut self) {
        self.data.zeroize(); // VERIFY carries the PIN
    }
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
    /// Header and length only: the data may hold a PIN or card data.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn select(data: &[u8]) -> CommandApdu {
        CommandApdu { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: data.to_vec(), le: Some(0) }
    }

    /// Runs an exchange against a table of (wire command, raw answer).
    fn run(protocol: Protocol, table: &[(&[u8], &[u8])]) -> Result<ResponseApdu, ApduError> {
        let (mut exchange, mut bytes) = Exchange::start(select(&[1, 2]), protocol)?;
        for (command, answer) in table {
            assert_eq!(bytes, *command);
            match exchange.answered(answer)? {
                ExchangeStep::Done(response) => return Ok(response),
                ExchangeStep::Send(next, more) => (exchange, bytes) = (next, more),
            }
        }
        panic!("the table ends before the exchange");
    }

    #[test]
    fn commands_have_the_four_short_forms() {
        let check = |data: &[u8], le, bytes: &[u8]| {
            let command = CommandApdu { cla: 0x80, ins: 0xA8, p1: 1, p2: 2, data: data.to_vec(), le };
            assert_eq!(command.bytes().unwrap(), bytes);
            assert_eq!(CommandApdu::parse(bytes), Ok(command));
        };
        check(&[], None, &[0x80, 0xA8, 1, 2]);
        check(&[], Some(0), &[0x80, 0xA8, 1, 2, 0]);
        check(&[7, 8], None, &[0x80, 0xA8, 1, 2, 2, 7, 8]);
        check(&[7, 8], Some(0), &[0x80, 0xA8, 1, 2, 2, 7, 8, 0]);
        assert_eq!(select(&[0; 256]).bytes(), Err(ApduError::DataTooLong(256)));
        assert_eq!(CommandApdu::parse(&[0, 0xA4, 4]), Err(ApduError::CommandForm(3)));
        assert_eq!(CommandApdu::parse(&[0, 0xA4, 4, 0, 2, 1]), Err(ApduError::CommandForm(6)));
        assert_eq!(CommandApdu::parse(&[0, 0xA4, 4, 0, 1, 1, 0, 0]), Err(ApduError::CommandForm(8)));
    }

    #[test]
    fn answers_are_bounded() {
        assert_eq!(ResponseApdu::parse(&[0x90]), Err(ApduError::NoStatus(1)));
        assert_eq!(ResponseApdu::parse(&[0; 259]), Err(ApduError::ResponseTooLong(257)));
        let answer = ResponseApdu::parse(&[1, 2, 0x6A, 0x83]).unwrap();
        assert_eq!((answer.data.as_slice(), answer.status), ([1, 2].as_slice(), StatusWord(0x6A83)));
        assert_eq!(answer.bytes(), [1, 2, 0x6A, 0x83]);
    }

    #[test]
    fn an_answer_in_pieces_is_collected() {
        let table: &[(&[u8], &[u8])] = &[
            (&[0, 0xA4, 4, 0, 2, 1, 2], &[0x61, 3]),
            (&[0, 0xC0, 0, 0, 3], &[0x6C, 2]),
            (&[0, 0xC0, 0, 0, 2], &[8, 9, 0x90, 0]),
        ];
        assert_eq!(run(Protocol::T0, table).unwrap().bytes(), [8, 9, 0x90, 0]);
        let table: &[(&[u8], &[u8])] =
            &[(&[0, 0xA4, 4, 0, 2, 1, 2, 0], &[7, 0x61, 1]), (&[0, 0xC0, 0, 0, 1], &[8, 0x90, 0])];
        assert_eq!(run(Protocol::T1, table).unwrap().bytes(), [7, 8, 0x90, 0]);
    }

    #[test]
    fn a_card_that_never_ends_is_cut_off() {
        let more: (&[u8], &[u8]) = (&[0, 0xC0, 0, 0, 1], &[0x61, 1]);
        let mut table = vec![more; 9];
        table[0].0 = &[0, 0xA4, 4, 0, 2, 1, 2, 0];
        assert_eq!(run(Protocol::T1, &table).unwrap_err(), ApduError::TooManyRounds);
        let flood = [[0_u8; 200].as_slice(), &[0x61, 1]].concat();
        table[0].1 = &flood;
        table[1].1 = &flood;
        assert_eq!(run(Protocol::T1, &table).unwrap_err(), ApduError::ResponseTooLong(400));
    }

    proptest! {
        #[test]
        fn arbitrary_answers_end_an_exchange(answers in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..300), 10)) {
            let (mut exchange, _) = Exchange::start(select(&[1]), Protocol::T0).unwrap();
            let mut ended = false;
            for answer in &answers {
                match exchange.answered(answer) {
                    Ok(ExchangeStep::Send(next, _)) => exchange = next,
                    Ok(ExchangeStep::Done(_)) | Err(_) => { ended = true; break; }
                }
            }
            prop_assert!(ended);
        }

        #[test]
        fn arbitrary_command_bytes_are_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            if let Ok(command) = CommandApdu::parse(&bytes) {
                prop_assert_eq!(command.bytes().unwrap(), bytes);
            }
        }
    }
}
