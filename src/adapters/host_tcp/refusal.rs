//! What a failed handshake means to people: which of the causes it is, and the facts that a technician compares.
use std::io;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::tls::PinMismatch;
use crate::domain::way::{Stage, WayCause, WayFault};
use crate::ports::LineClock;

/// The fault behind an error of reading, writing or shaking hands; `None` where TLS has no part in it.
pub(super) fn of(error: &io::Error, endpoint: &str, clock: LineClock) -> Option<WayFault> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    let (cause, what) = match error {
        Error::InvalidCertificate(error) => certificate(error, clock),
        Error::AlertReceived(alert) => self::alert(*alert),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => (WayCause::NoTls, "what answers there does not speak TLS".to_owned()),
        Error::PeerIncompatible(why) => {
            (WayCause::TlsVersion, format!("no TLS that both sides speak ({why:?})"))
        }
        other => (WayCause::Tls, format!("the TLS handshake failed: {other}")),
    };
    Some(WayFault::new(Stage::Tls, cause, format!("{endpoint}: {what}")))
}

fn certificate(error: &CertificateError, clock: LineClock) -> (WayCause, String) {
    let by_clock = |cause| if clock.trusted { cause } else { WayCause::Clock };
    match error {
        // A forged CA that bears the name of ours fails by its signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            (WayCause::UnknownCa, "the host's certificate is not signed by a CA of tls-ca".to_owned())
        }
        CertificateError::NotValidForName => {
            (WayCause::WrongName, "the host's certificate is for another name".to_owned())
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = presented.join(", ");
            (WayCause::WrongName, format!("the host's certificate is for other names: {names}"))
        }
        CertificateError::Expired => (by_clock(WayCause::Expired), expired(None, clock)),
        CertificateError::ExpiredContext { not_after, .. } => {
            (by_clock(WayCause::Expired), expired(Some(*not_after), clock))
        }
        CertificateError::NotValidYet => (by_clock(WayCause::NotYetValid), not_yet(None, clock)),
        CertificateError::NotValidYetContext { not_before, .. } => {
            (by_clock(WayCause::NotYetValid), not_yet(Some(*not_before), clock))
        }
        CertificateError::Other(other) if other.0.downcast_ref::<PinMismatch>().is_some() => (
            WayCause::PinMismatch,
            format!("the host's certificate is good, but its key is not pinned: {}", other.0),
        ),
        other => (WayCause::Tls, format!("the host's certificate is not usable: {other}")),
    }
}

/// Words for a certificate that has ended.
pub(super) fn expired(until: Option<UnixTime>, clock: LineClock) -> String {
    let until = until.map_or_else(String::new, |at| format!(" on {}", day(at.as_secs())));
    format!("the host's certificate expired{until}, {}", by_our_clock(clock))
}

fn not_yet(from: Option<UnixTime>, clock: LineClock) -> String {
    let from = from.map_or_else(String::new, |at| format!(" before {}", day(at.as_secs())));
    format!("the host's certificate is not valid{from}, {}", by_our_clock(clock))
}

fn by_our_clock(clock: LineClock) -> String {
    let today = day(clock.now.0 / 1_000_000);
    if clock.trusted {
        format!("and today is {today}")
    } else {
        format!("and the clock of this terminal cannot be trusted: not before {today} is all it knows")
    }
}

fn day(seconds: u64) -> String {
    let stamp = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    stamp.map_or_else(|| "an unknown day".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}

/// What the host says of us.
fn alert(alert: AlertDescription) -> (WayCause, String) {
    use AlertDescription as A;
    let said = format!("the host refused with TLS alert {alert:?}");
    match alert {
        A::ProtocolVersion | A::HandshakeFailure | A::InsufficientSecurity => (WayCause::TlsVersion, said),
        A::CertificateRequired
        | A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::NoCertificate
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError => {
            (WayCause::ClientRefused, format!("{said}: it does not accept this terminal's certificate"))
        }
        A::UnrecognisedName => (WayCause::WrongName, said),
        _ => (WayCause::Tls, said),
    }
}
