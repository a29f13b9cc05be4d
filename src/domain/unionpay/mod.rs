//! The UnionPay dialect of ISO 8583: which elements there are, which are sent when, keys, MAC, PIN block,
//! answers.
//!
//! The paid terminal specification (Q/CUP 006 series) was not at hand: the rules are restated from public
//! terminal and host code and marked `Spec: unverified`; what an acquirer does differently belongs into its
//! profile. No downloads yet.
pub mod answers;
pub mod catalogue;
pub mod de55;
pub mod describe;
pub mod dialect;
pub mod extension;
#[cfg(any(test, feature = "sim"))]
pub mod issuer;
mod key_block;
pub mod keys;
pub mod mac;
pub mod matrix;
pub mod messages;
pub mod response;
pub mod settlement;

use super::download::Kind;
use super::ident::{MerchantId, TerminalId};
use super::profile::Profile;
use std::sync::Arc;

/// Who we are on the wire, and by which rules we speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// DE 41.
    pub terminal_id: TerminalId,
    /// DE 42.
    pub merchant_id: MerchantId,
    /// `60`, destination address (NII), source address; all given by the acquirer.
    pub tpdu: [u8; 5],
    /// Twelve packed digits; the sixth is 0 in requests.
    pub header: [u8; 6],
    /// The acquirer's rules.
    pub profile: Arc<Profile>,
}

/// The sixth digit of a header; see [`HostWish`].
#[must_use]
pub fn header_request(header: [u8; 6]) -> u8 {
    let [_, _, third, ..] = header;
    third & 0x0F
}

/// True if the header says that the terminal is in test or training mode: its fifth digit is 1.
#[must_use]
pub fn in_test_mode(header: [u8; 6]) -> bool {
    let [_, _, third, ..] = header;
    third >> 4 == 1
}

/// What the host wants of the terminal when the transaction is over. The header is not covered by the MAC, so it may
/// cause a download or a sign-on and nothing more. Source: LiaoYang_POS; Spec: unverified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostWish {
    /// 0: nothing.
    Nothing,
    /// 3: sign on again.
    SignOn,
    /// 1 parameters, 4 CA keys, 5 applications, 7 blacklist.
    Download(Kind),
    /// 2: upload the state of the terminal.
    State,
    /// 6: a new application; nothing that posd does.
    Application,
    /// Anything else.
    Unknown(u8),
}

impl HostWish {
    /// By the sixth digit of the header.
    #[must_use]
    pub const fn of(digit: u8) -> Self {
        match digit {
            0 => Self::Nothing,
            1 => Self::Download(Kind::Parameters),
            2 => Self::State,
            3 => Self::SignOn,
            4 => Self::Download(Kind::Capk),
            5 => Self::Download(Kind::Aid),
            6 => Self::Application,
            7 => Self::Download(Kind::Blacklist),
            other => Self::Unknown(other),
        }
    }
}

/// A text of the host: ASCII, or GBK (DE 44, 59, 63), without what fills it at its end. `None` if it is empty, not of
/// that code, or holds control characters: it goes on slips and screens.
#[must_use]
pub fn host_text(bytes: &[u8]) -> Option<String> {
    let text = encoding_rs::GBK.decode_without_bom_handling_and_without_replacement(bytes)?;
    let text = text.trim_end();
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::host_text;

    /// Goal: Chinese texts are read; half a character, control characters and nothing are not.
    #[test]
    fn texts_of_the_host_are_gbk() {
        let read = |bytes: &[u8]| host_text(bytes);
        assert_eq!(read(b"03080000   01025810   ").as_deref(), Some("03080000   01025810"));
        assert_eq!(read(b"\xD5\xD0\xC9\xCC\xD2\xF8\xD0\xD0  OK ").as_deref(), Some("招商银行  OK"));
        assert_eq!(
            read(b"           01025810").as_deref(),
            Some("           01025810"),
            "the place tells whose it is"
        );
        for bad in [&b"\xD5"[..], b"\xD5\xD0\xC9", b"a\nb", b"\x1B@", b"", b"   "] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
