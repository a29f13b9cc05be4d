//! A dialect of another network's kind: all 128 elements of ISO 8583:1987, everything in ASCII.
//!
//! No acquirer of ours speaks it. It is here to prove that a network is a table, and as the base of such tables: binary
//! values are in hexadecimal, lengths in characters, no value is completed. Source: the element list of ISO 8583:1987
//! as public code restates it (jPOS `iso87ascii.xml`, pyiso8583 `specs.py`); Spec: unverified, row by row, and with it
//! the variants: implementations differ about 28 to 31 and 97 (sign and digits, here text), 34, 36, 46 to 63 (text
//! here) and 105 to 127. Element 65, a third bitmap, is not defined. Names are ours.
use super::dialect::{Dialect, Element, Form, Table, table};
use super::element::De;
use super::format::{Encoding, Format, Prefix};

/// The dialect.
pub static ASCII: Dialect = Dialect::new("iso8583-1987-ascii", Form::Ascii, &TABLE);

const fn digits(max: u16) -> Format {
    Format::fixed(Encoding::AsciiDigits, max)
}

const fn track(max: u16) -> Format {
    Format::fixed(Encoding::AsciiTrack, max)
}

const fn hex(max: u16) -> Format {
    Format::fixed(Encoding::Hex, max)
}

const fn ll(format: Format) -> Format {
    format.prefixed(Prefix::LlAscii)
}

const fn lll(format: Format) -> Format {
    format.prefixed(Prefix::LllAscii)
}

const fn row(number: u8, name: &'static str, format: Format) -> Element {
    match De::new(number) {
        Some(de) => Element { de, name, format },
        // Never reached: the tests compare the numbers.
        None => Element { de: De::MAC, name, format },
    }
}

static TABLE: Table = table(&[
    row(2, "card number", ll(digits(19))),
    row(3, "processing code", digits(6)),
    row(4, "amount", digits(12)),
    row(5, "amount, settlement", digits(12)),
    row(6, "amount, cardholder billing", digits(12)),
    row(7, "transmission date and time", digits(10)),
    row(8, "cardholder billing fee", digits(8)),
    row(9, "conversion rate, settlement", digits(8)),
    row(10, "conversion rate, cardholder billing", digits(8)),
    row(11, "STAN", digits(6)),
    row(12, "local time", digits(6)),
    row(13, "local date", digits(4)),
    row(14, "expiry", digits(4)),
    row(15, "settlement date", digits(4)),
    row(16, "conversion date", digits(4)),
    row(17, "capture date", digits(4)),
    row(18, "merchant type", digits(4)),
    row(19, "country, acquiring institution", digits(3)),
    row(20, "country, card number", digits(3)),
    row(21, "country, forwarding institution", digits(3)),
    row(22, "entry mode", digits(3)),
    row(23, "card sequence number", digits(3)),
    row(24, "network international identifier", digits(3)),
    row(25, "condition code", digits(2)),
    row(26, "PIN capture code", digits(2)),
    row(27, "authorisation code length", digits(1)),
    row(28, "transaction fee", Format::text(9)),
    row(29, "settlement fee", Format::text(9)),
    row(30, "transaction processing fee", Format::text(9)),
    row(31, "settlement processing fee", Format::text(9)),
    row(32, "acquiring institution", ll(digits(11))),
    row(33, "forwarding institution", ll(digits(11))),
    row(34, "card number, extended", ll(Format::text(28))),
    row(35, "track 2", ll(track(37))),
    row(36, "track 3", lll(track(104))),
    row(37, "RRN", Format::text(12)),
    row(38, "authorisation code", Format::text(6)),
    row(39, "response code", Format::text(2)),
    row(40, "service restriction code", Format::text(3)),
    row(41, "terminal id", Format::text(8)),
    row(42, "merchant id", Format::text(15)),
    row(43, "name and place of the merchant", Format::text(40)),
    row(44, "additional response data", ll(Format::text(25))),
    row(45, "track 1", ll(Format::text(76))),
    row(46, "additional data, ISO", lll(Format::text(999))),
    row(47, "additional data, national", lll(Format::text(999))),
    row(48, "additional data, private", lll(Format::text(999))),
    row(49, "currency", Format::text(3)),
    row(50, "currency, settlement", Format::text(3)),
    row(51, "currency, cardholder billing", Format::text(3)),
    row(52, "PIN block", hex(8)),
    row(53, "security control", digits(16)),
    row(54, "additional amounts", lll(Format::text(120))),
    row(55, "reserved, ISO", lll(Format::text(999))),
    row(56, "reserved, ISO", lll(Format::text(999))),
    row(57, "reserved, national", lll(Format::text(999))),
    row(58, "reserved, national", lll(Format::text(999))),
    row(59, "reserved, national", lll(Format::text(999))),
    row(60, "reserved, private", lll(Format::text(999))),
    row(61, "reserved, private", lll(Format::text(999))),
    row(62, "reserved, private", lll(Format::text(999))),
    row(63, "reserved, private", lll(Format::text(999))),
    row(64, "MAC", hex(8)),
    row(66, "settlement code", digits(1)),
    row(67, "extended payment code", digits(2)),
    row(68, "country, receiving institution", digits(3)),
    row(69, "country, settlement institution", digits(3)),
    row(70, "network management code", digits(3)),
    row(71, "message number", digits(4)),
    row(72, "last message number", digits(4)),
    row(73, "action date", digits(6)),
    row(74, "credits, number", digits(10)),
    row(75, "credits reversed, number", digits(10)),
    row(76, "debits, number", digits(10)),
    row(77, "debits reversed, number", digits(10)),
    row(78, "transfers, number", digits(10)),
    row(79, "transfers reversed, number", digits(10)),
    row(80, "inquiries, number", digits(10)),
    row(81, "authorisations, number", digits(10)),
    row(82, "credits, processing fee", digits(12)),
    row(83, "credits, transaction fee", digits(12)),
    row(84, "debits, processing fee", digits(12)),
    row(85, "debits, transaction fee", digits(12)),
    row(86, "credits, amount", digits(16)),
    row(87, "credits reversed, amount", digits(16)),
    row(88, "debits, amount", digits(16)),
    row(89, "debits reversed, amount", digits(16)),
    row(90, "original data elements", digits(42)),
    row(91, "file update code", Format::text(1)),
    row(92, "file security code", Format::text(2)),
    row(93, "response indicator", Format::text(5)),
    row(94, "service indicator", Format::text(7)),
    row(95, "replacement amounts", Format::text(42)),
    row(96, "message security code", hex(8)),
    row(97, "net settlement amount", Format::text(17)),
    row(98, "payee", Format::text(25)),
    row(99, "settlement institution", ll(digits(11))),
    row(100, "receiving institution", ll(digits(11))),
    row(101, "file name", ll(Format::text(17))),
    row(102, "account 1", ll(Format::text(28))),
    row(103, "account 2", ll(Format::text(28))),
    row(104, "transaction description", lll(Format::text(100))),
    row(105, "reserved, ISO", lll(Format::text(999))),
    row(106, "reserved, ISO", lll(Format::text(999))),
    row(107, "reserved, ISO", lll(Format::text(999))),
    row(108, "reserved, ISO", lll(Format::text(999))),
    row(109, "reserved, ISO", lll(Format::text(999))),
    row(110, "reserved, ISO", lll(Format::text(999))),
    row(111, "reserved, ISO", lll(Format::text(999))),
    row(112, "reserved, national", lll(Format::text(999))),
    row(113, "reserved, national", lll(Format::text(999))),
    row(114, "reserved, national", lll(Format::text(999))),
    row(115, "reserved, national", lll(Format::text(999))),
    row(116, "reserved, national", lll(Format::text(999))),
    row(117, "reserved, national", lll(Format::text(999))),
    row(118, "reserved, national", lll(Format::text(999))),
    row(119, "reserved, national", lll(Format::text(999))),
    row(120, "reserved, private", lll(Format::text(999))),
    row(121, "reserved, private", lll(Format::text(999))),
    row(122, "reserved, private", lll(Format::text(999))),
    row(123, "reserved, private", lll(Format::text(999))),
    row(124, "reserved, private", lll(Format::text(999))),
    row(125, "reserved, private", lll(Format::text(999))),
    row(126, "reserved, private", lll(Format::text(999))),
    row(127, "reserved, private", lll(Format::text(999))),
    row(128, "MAC", hex(8)),
]);
