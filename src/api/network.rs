//! `org.posd.Pos1.Network` and `org.posd.Pos1.Link`: links, and the wireless networks that can be joined.
use super::auth::Action;
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, Options, no_options};
use super::path;
use super::secret_fd::{SECRET_WAIT, SecretFdError, read_secret};
use crate::domain::fault::{Fault, FaultName};
use crate::engine::handle::{Command, JoinRequest};
use crate::engine::view::{LinkView, Snapshot};
use std::sync::Arc;
use tokio::sync::watch;
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::{OwnedFd, OwnedObjectPath};

/// Bytes of a network's name. IEEE 802.11: SSID element, 0 to 32 octets.
const SSID_MAX: usize = 32;
/// Characters of a passphrase; 64 hexadecimal digits are the key itself. IEEE 802.11: passphrase mapping.
const PASSPHRASE: core::ops::RangeInclusive<usize> = 8..=63;
const KEY_DIGITS: usize = 64;

/// The root's object.
#[derive(Clone, Debug)]
pub(super) struct NetworkObject {
    pub(super) desk: Desk,
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
}

#[interface(name = "org.posd.Pos1.Network", introspection_docs = false)]
impl NetworkObject {
    #[zbus(out_args("job"))]
    async fn scan(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::Network).await?;
        Ok(path::job(self.desk.ask_and_settle(Command::Scan).await?))
    }

    #[zbus(out_args("job"))]
    async fn connect(
        &self,
        ssid: Vec<u8>,
        secret: OwnedFd,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        let mut options = Options::new("option", options);
        let hidden = options.take::<bool>("hidden", "b")?.unwrap_or_default();
        options.finish()?;
        self.desk.admit(&header, Action::Network).await?;
        if ssid.is_empty() || ssid.len() > SSID_MAX {
            return Err(invalid(format!("ssid must have 1 to {SSID_MAX} bytes, not {}", ssid.len())).into());
        }
        let secret = match read_secret(secret.into(), SECRET_WAIT).await {
            Ok(secret) => secret,
            Err(error @ SecretFdError::TooMany) => {
                return Err(Fault::new(FaultName::Busy, error.to_string()).into());
            }
            Err(error) => return Err(invalid(format!("secret: {error}")).into()),
        };
        if !is_wifi_secret(&secret) {
            let words = "secret: a Wi-Fi password has 8 to 63 characters of ASCII; empty for an open network";
            return Err(invalid(words.to_owned()).into());
        }
        let wanted = Box::new(JoinRequest { ssid, secret, hidden });
        Ok(path::job(self.desk.ask_and_settle(|answer| Command::Join { wanted, answer }).await?))
    }

    #[zbus(property)]
    fn links(&self) -> Vec<OwnedObjectPath> {
        self.snapshot.borrow().links.iter().map(|link| path::link(link.facts.name)).collect()
    }

    #[zbus(property)]
    fn active_link(&self) -> OwnedObjectPath {
        self.snapshot.borrow().network.active.map_or_else(path::none, path::link)
    }

    #[zbus(property)]
    fn preference(&self) -> Vec<&'static str> {
        self.snapshot.borrow().network.preference.iter().map(|kind| kind.word()).collect()
    }
}

fn is_wifi_secret(secret: &[u8]) -> bool {
    let printable = secret.iter().all(|byte| (0x20..=0x7E).contains(byte));
    let key = secret.len() == KEY_DIGITS && secret.iter().all(u8::is_ascii_hexdigit);
    secret.is_empty() || key || (printable && PASSPHRASE.contains(&secret.len()))
}

/// A link's object.
#[derive(Clone, Debug)]
pub(super) struct LinkObject {
    pub(super) view: watch::Receiver<Arc<LinkView>>,
}

#[interface(name = "org.posd.Pos1.Link", introspection_docs = false)]
impl LinkObject {
    #[zbus(property)]
    fn kind(&self) -> &'static str {
        self.view.borrow().facts.name.kind.word()
    }

    #[zbus(property)]
    fn interface(&self) -> String {
        self.view.borrow().facts.interface.clone()
    }

    #[zbus(property)]
    fn state(&self) -> &'static str {
        self.view.borrow().facts.state.word()
    }

    #[zbus(property)]
    fn operator(&self) -> String {
        self.view.borrow().facts.operator.clone()
    }

    #[zbus(property)]
    fn technology(&self) -> String {
        self.view.borrow().facts.technology.clone()
    }

    #[zbus(property)]
    fn address(&self) -> String {
        self.view.borrow().facts.address.clone()
    }

    #[zbus(property)]
    fn reason(&self) -> &'static str {
        self.view.borrow().reason.map_or("", |reason| reason.word())
    }

    #[zbus(property)]
    fn signal_quality(&self) -> u8 {
        self.view.borrow().facts.signal
    }

    #[zbus(property)]
    fn metered(&self) -> bool {
        self.view.borrow().facts.metered
    }

    /// -1 = no PIN is wanted.
    #[zbus(property)]
    fn pin_tries(&self) -> i32 {
        self.view.borrow().facts.pin_tries.map_or(-1, |tries| i32::try_from(tries).unwrap_or(i32::MAX))
    }

    #[zbus(property)]
    fn last_verified(&self) -> u64 {
        self.view.borrow().last_verified.0
    }

    #[zbus(property)]
    fn verified(&self) -> bool {
        self.view.borrow().verified
    }
}

#[cfg(test)]
mod tests {
    use super::is_wifi_secret;

    /// Goal: what no access point could take is refused before anything is touched.
    #[test]
    fn passwords_of_networks_have_their_form() {
        for good in ["", "12345678", &"x".repeat(63), &"0aF9".repeat(16)] {
            assert!(is_wifi_secret(good.as_bytes()), "{good}");
        }
        for bad in ["1234567", &"x".repeat(64), "12345678\n", "密码密码密码"] {
            assert!(!is_wifi_secret(bad.as_bytes()), "{bad}");
        }
    }
}
