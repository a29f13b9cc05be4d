//! Questions to a printer and its answers: status (DLE EOT 1 to 4), what it is (GS I), the barrier (GS r 1) and the
//! process id (GS ( H) that comes back when everything before it is on paper. Source: Epson ESC/POS reference.
use super::port::{Port, Received, Sent, Stop};
use std::time::{Duration, Instant};

/// ESC @ FS &: forget a half line, multi-byte characters on.
const RESET: &[u8] = b"\x1b@\x1c&";
/// GS r 1: answered with the paper sensor when everything before it is processed.
const BARRIER: &[u8] = b"\x1dr\x01";
/// GS I 2: what it has, as bits.
const KIND: &[u8] = b"\x1dI\x02";
/// DLE EOT 1: it cannot print now.
const OFFLINE: u8 = 0x08;
/// Answers kept unread; more means that the other side is not a printer.
const INBOX_MAX: usize = 1024;
const BLOCK_MAX: usize = 80;

/// GS ( H, function 48: answered with the id when everything before it is printed. The id is four printable characters.
pub(super) fn process_id_request(id: [u8; 4]) -> Vec<u8> {
    [b"\x1d(H\x06\x00\x30\x30".as_slice(), &id].concat()
}

/// The id of a job. Only the latest can be asked back, so it may repeat after 10,000 jobs.
pub(super) fn process_id(job: u64) -> [u8; 4] {
    let digit = |power: u64| b'0'.saturating_add(u8::try_from(job / power % 10).unwrap_or(0));
    [digit(1000), digit(100), digit(10), digit(1)]
}

/// What DLE EOT 1 to 4 say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) offline: bool,
    pub(super) cover_open: bool,
    pub(super) paper_out: bool,
    pub(super) paper_low: bool,
    pub(super) cutter_error: bool,
    pub(super) fault: bool,
    pub(super) overheated: bool,
    /// Pin 3 of the drawer's plug.
    pub(super) drawer_high: bool,
}

impl Condition {
    /// Reads the four answers. Bits: Epson ESC/POS reference, DLE EOT.
    pub(super) const fn of(answers: [u8; 4]) -> Self {
        let [printer, offline, error, paper] = answers;
        Self {
            offline: printer & OFFLINE != 0,
            cover_open: offline & 0x04 != 0,
            paper_out: offline & 0x20 != 0 || paper & 0x60 != 0,
            paper_low: paper & 0x0c != 0,
            cutter_error: error & 0x08 != 0,
            fault: error & 0x24 != 0 || offline & 0x40 != 0,
            overheated: error & 0x40 != 0,
            drawer_high: printer & 0x04 != 0,
        }
    }

    /// Why it cannot print now, in one word, the cause that a person can mend first.
    pub(super) const fn trouble(self) -> Option<&'static str> {
        if self.cover_open {
            Some("cover-open")
        } else if self.paper_out {
            Some("paper-out")
        } else if self.overheated {
            Some("overheated")
        } else if self.cutter_error {
            Some("cutter-error")
        } else if self.fault {
            Some("fault")
        } else if self.offline {
            Some("offline")
        } else {
            None
        }
    }
}

/// Texts that GS I gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Information {
    /// GS I 65.
    Firmware,
    /// GS I 66.
    Maker,
    /// GS I 67: the model's name.
    Model,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Nothing came in time.
    Silent,
    /// The connection is gone.
    Gone,
}

/// One answer, told apart by its fixed bits.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    /// DLE EOT: 0xx1xx10.
    RealTime(u8),
    /// GS r 1, and GS I 2: 0000xxxx.
    Byte(u8),
    /// GS ( H: the id that was printed.
    Printed(Vec<u8>),
    /// GS I: a text.
    Text(Vec<u8>),
}

/// A conversation over an open port.
pub(super) struct Talk {
    port: Box<dyn Port>,
    inbox: Vec<u8>,
    printed: Vec<Vec<u8>>,
    barriers: usize,
    answer: Duration,
}

impl Talk {
    /// Starts; what an earlier program left unread in a device is thrown away.
    pub(super) fn new(mut port: Box<dyn Port>, answer: Duration) -> Self {
        for _ in 0..16 {
            match port.receive(Instant::now()) {
                Received::Bytes(_) => {}
                Received::Silence | Received::Gone => break,
            }
        }
        Self { port, inbox: Vec::new(), printed: Vec::new(), barriers: 0, answer }
    }

    /// True if the other side could answer at all.
    pub(super) fn answers(&self) -> bool {
        self.port.answers()
    }

    /// Sends raw bytes.
    pub(super) fn send(&mut self, bytes: &[u8], stall: Duration) -> Sent {
        self.port.send(bytes, stall)
    }

    /// Asks for the condition. The printer answers these at once, whatever it is doing.
    pub(super) fn condition(&mut self) -> Result<Condition, NoAnswer> {
        let mut answers = [0_u8; 4];
        for (which, answer) in (1_u8..).zip(&mut answers) {
            *answer = self.real_time_status(which)?;
        }
        Ok(Condition::of(answers))
    }

    /// Asks by one question whether it can print, and by all four why not.
    pub(super) fn trouble(&mut self) -> Result<Option<(&'static str, Condition)>, NoAnswer> {
        if self.real_time_status(1)? & OFFLINE == 0 {
            return Ok(None);
        }
        let condition = self.condition()?;
        Ok(condition.trouble().map(|reason| (reason, condition)))
    }

    fn real_time_status(&mut self, which: u8) -> Result<u8, NoAnswer> {
        self.ask(&[0x10, 0x04, which])?;
        let until = Instant::now() + self.answer;
        loop {
            if let Reply::RealTime(byte) = self.reply(until)? {
                return Ok(byte);
            }
        }
    }

    /// Something that it says of itself.
    pub(super) fn information(&mut self, what: Information) -> Result<String, NoAnswer> {
        let which = match what {
            Information::Firmware => 65,
            Information::Maker => 66,
            Information::Model => 67,
        };
        self.ask(&[RESET, &[0x1d, b'I', which]].concat())?;
        let until = Instant::now() + self.answer;
        loop {
            if let Reply::Text(name) = self.reply(until)? {
                return Ok(String::from_utf8_lossy(&name).chars().filter(|c| !c.is_control()).collect());
            }
        }
    }

    /// The bits of what it has.
    pub(super) fn kind(&mut self) -> Result<u8, NoAnswer> {
        self.ask(KIND)?;
        let until = Instant::now() + self.answer;
        loop {
            if let Reply::Byte(bits) = self.reply(until)? {
                return Ok(bits);
            }
        }
    }

    /// True if the printer answers a process id with nothing before it. ESC @ throws away what a printer that does not
    /// know the command may have put into its line.
    pub(super) fn knows_process_ids(&mut self) -> Result<bool, NoAnswer> {
        let id = *b"post";
        self.ask(&[RESET, &process_id_request(id), RESET].concat())?;
        self.came(Instant::now() + self.answer, |talk| talk.has_printed(id))
    }

    /// True if the printer answers the barrier with nothing before it.
    pub(super) fn knows_barrier(&mut self) -> Result<bool, NoAnswer> {
        self.send_barrier()?;
        self.came(Instant::now() + self.answer, Self::passed_barrier)
    }

    /// Puts a barrier behind what was sent.
    pub(super) fn send_barrier(&mut self) -> Result<(), NoAnswer> {
        self.barriers = 0;
        self.ask(BARRIER)
    }

    /// True once the barrier has come back.
    pub(super) fn passed_barrier(&self) -> bool {
        self.barriers > 0
    }

    /// True once this id has come back.
    pub(super) fn has_printed(&self, id: [u8; 4]) -> bool {
        self.printed.iter().any(|printed| *printed == id)
    }

    /// Reads answers until something has come; false at the deadline.
    pub(super) fn came(&mut self, until: Instant, seen: impl Fn(&Self) -> bool) -> Result<bool, NoAnswer> {
        while !seen(self) {
            match self.reply(until) {
                Ok(_) => {}
                Err(NoAnswer::Silent) => return Ok(seen(self)),
                Err(NoAnswer::Gone) => return Err(NoAnswer::Gone),
            }
        }
        Ok(true)
    }

    /// Ends the conversation.
    ///
    /// # Errors
    /// It is not known that what was sent has left in order.
    pub(super) fn close(self, wait: Duration) -> Result<(), Stop> {
        self.port.close(wait)
    }

    fn ask(&mut self, bytes: &[u8]) -> Result<(), NoAnswer> {
        match self.port.send(bytes, self.answer).stop {
            None => Ok(()),
            Some(Stop::Stalled) => Err(NoAnswer::Silent),
            Some(Stop::Gone) => Err(NoAnswer::Gone),
        }
    }

    fn reply(&mut self, until: Instant) -> Result<Reply, NoAnswer> {
        loop {
            if let Some(reply) = take_reply(&mut self.inbox) {
                match &reply {
                    Reply::Printed(id) => self.printed.push(id.clone()),
                    Reply::Byte(_) => self.barriers = self.barriers.saturating_add(1),
                    Reply::RealTime(_) | Reply::Text(_) => {}
                }
                return Ok(reply);
            }
            match self.port.receive(until) {
                Received::Bytes(bytes) => {
                    if self.inbox.len() > INBOX_MAX {
                        self.inbox.clear();
                    }
                    self.inbox.extend(bytes);
                }
                Received::Silence => return Err(NoAnswer::Silent),
                Received::Gone => return Err(NoAnswer::Gone),
            }
        }
    }
}

/// Takes the first whole answer out of the inbox. Flow control and automatic status (which another program may have
/// turned on) are dropped.
fn take_reply(inbox: &mut Vec<u8>) -> Option<Reply> {
    loop {
        let first = *inbox.first()?;
        match first {
            0x37 | 0x5f | 0x3d => {
                let end = inbox.iter().take(BLOCK_MAX).position(|byte| *byte == 0);
                let Some(end) = end else {
                    if inbox.len() < BLOCK_MAX {
                        return None;
                    }
                    inbox.remove(0);
                    continue;
                };
                let block: Vec<u8> = inbox.drain(..=end).skip(1).take_while(|byte| *byte != 0).collect();
                match (first, block.split_first()) {
                    (0x37, Some((0x22, id))) => return Some(Reply::Printed(id.to_vec())),
                    (0x5f, _) => return Some(Reply::Text(block)),
                    _ => {}
                }
            }
            byte if byte & 0x93 == 0x12 => {
                inbox.remove(0);
                return Some(Reply::RealTime(byte));
            }
            byte if byte & 0x93 == 0x10 => {
                if inbox.len() < 4 {
                    return None;
                }
                inbox.drain(..4);
            }
            byte => {
                inbox.remove(0);
                if byte & 0xf0 == 0 {
                    return Some(Reply::Byte(byte));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers of one printer, recorded from an emulator for each fault.
    #[test]
    fn the_four_status_bytes_name_the_trouble() {
        let check =
            |answers, trouble| assert_eq!(Condition::of(answers).trouble(), trouble, "{answers:02x?}");
        check([0x12, 0x12, 0x12, 0x12], None);
        check([0x12, 0x12, 0x12, 0x1e], None);
        check([0x1a, 0x32, 0x12, 0x7e], Some("paper-out"));
        check([0x1a, 0x16, 0x12, 0x12], Some("cover-open"));
        check([0x1a, 0x12, 0x12, 0x12], Some("offline"));
        check([0x1a, 0x52, 0x1a, 0x12], Some("cutter-error"));
        check([0x1a, 0x52, 0x52, 0x12], Some("overheated"));
        check([0x1a, 0x52, 0x32, 0x12], Some("fault"));
        assert!(Condition::of([0x12, 0x12, 0x12, 0x1e]).paper_low);
    }

    #[test]
    fn answers_are_told_apart_by_their_fixed_bits() {
        let mut inbox = vec![0x11, 0x12, 0x10, 0, 0, 0, 0x37, 0x22, b'0', b'0', b'4', b'2', 0];
        inbox.extend(b"\x5fTM-X\0\x00\x0c\x5fhalf");
        let mut replies = Vec::new();
        while let Some(reply) = take_reply(&mut inbox) {
            replies.push(reply);
        }
        let expected = [
            Reply::RealTime(0x12),
            Reply::Printed(b"0042".to_vec()),
            Reply::Text(b"TM-X".to_vec()),
            Reply::Byte(0x00),
            Reply::Byte(0x0c),
        ];
        assert_eq!(replies, expected);
        assert_eq!(inbox, b"\x5fhalf");
    }

    #[test]
    fn a_job_has_a_printable_id() {
        assert_eq!(process_id(42), *b"0042");
        assert_eq!(process_id(123_456), *b"3456");
        assert_eq!(process_id_request(*b"0042"), b"\x1d(H\x06\x00000042");
    }
}
