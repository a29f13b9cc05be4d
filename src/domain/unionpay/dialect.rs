//! The element table of UnionPay terminals.
//!
//! Source: field lists of public UnionPay terminal code (LiaoYang_POS for PAX terminals, wuxinxi/unionpay,
//! Newland `com.newland.payment`), the first two agreeing on every row used by a sale; Spec: unverified.
use crate::domain::iso8583::dialect::{Table, table};
use crate::domain::iso8583::{De, Dialect, Element, Form, Format};

const fn row(de: De, name: &'static str, format: Format) -> Element {
    Element { de, name, format }
}

/// The dialect.
pub static DIALECT: Dialect = Dialect::new("unionpay", Form::Packed, &TABLE);

static TABLE: Table = table(&[
    row(De::PAN, "card number", Format::digits(19).ll()),
    row(De::PROCESSING_CODE, "processing code", Format::digits(6)),
    row(De::AMOUNT, "amount", Format::digits(12)),
    row(De::STAN, "STAN", Format::digits(6)),
    row(De::TIME, "local time", Format::digits(6)),
    row(De::DATE, "local date", Format::digits(4)),
    row(De::EXPIRY, "expiry", Format::digits(4)),
    row(De::SETTLEMENT_DATE, "settlement date", Format::digits(4)),
    row(De::ENTRY_MODE, "entry mode", Format::digits(3)),
    row(De::CARD_SEQUENCE, "card sequence number", Format::digits(3).right()),
    row(De::CONDITION, "condition code", Format::digits(2)),
    row(De::PIN_CAPTURE, "PIN capture code", Format::digits(2)),
    row(De::ACQUIRER, "acquiring institution", Format::digits(11).ll()),
    row(De::TRACK2, "track 2", Format::nibbles(37).ll()),
    row(De::TRACK3, "track 3", Format::nibbles(104).lll()),
    row(De::RRN, "RRN", Format::text(12)),
    row(De::AUTH_CODE, "authorisation code", Format::text(6)),
    row(De::RESPONSE_CODE, "response code", Format::text(2)),
    row(De::TERMINAL, "terminal id", Format::text(8)),
    row(De::MERCHANT, "merchant id", Format::text(15)),
    row(De::ADDITIONAL_RESPONSE, "issuer and acquirer", Format::text(25).ll()),
    row(De::ADDITIONAL_DATA, "additional data", Format::digits(322).lll()),
    row(De::CURRENCY, "currency", Format::text(3)),
    row(De::PIN_BLOCK, "PIN block", Format::bytes(8)),
    row(De::SECURITY, "security control", Format::digits(16)),
    // Choice: one balance is 20 characters and hosts may send several; ISO 8583 allows 120.
    row(De::BALANCE, "balances", Format::text(120).lll()),
    row(De::ICC, "chip data", Format::bytes(255).lll()),
    row(De::ACQUIRER_PRIVATE, "acquirer's own", Format::text(999).lll()),
    row(De::PURSE, "e-purse data", Format::text(100).lll()),
    row(De::EXTENSION, "extension", Format::text(999).lll()),
    row(De::PRIVATE_60, "type, batch, management code", Format::digits(17).lll()),
    row(De::ORIGINAL, "original message", Format::digits(29).lll()),
    row(De::PRIVATE_62, "private by message", Format::bytes(999).lll()),
    row(De::PRIVATE_63, "operator, organisation, texts", Format::text(163).lll()),
    row(De::MAC, "MAC", Format::bytes(8)),
]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::iso8583::frame::PAYLOAD_MAX;
    use crate::domain::iso8583::{Message, pack};

    /// The bound of the frame reader lets every message through that the table allows.
    #[test]
    fn the_longest_message_fits_into_a_frame() {
        let mut message = Message::new("0200");
        for element in DIALECT.elements() {
            message.set(element.de, vec![b'1'; element.format.most()]);
        }
        let longest = pack(&DIALECT, &message).unwrap();
        assert!(longest.len() + 11 <= PAYLOAD_MAX, "{}", longest.len());
    }
}
