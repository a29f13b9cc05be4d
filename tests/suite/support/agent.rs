//! The agent of the tests: types what it is told to, and reports every call as an event.
use super::till::Heard;
use std::collections::HashMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{mpsc, watch};
use zbus::interface;
use zbus::zvariant::{self, OwnedObjectPath, OwnedValue};

/// The supervisor's own password, once the factory's is changed.
pub(crate) const SUPERVISOR: &str = "chefin-2210-sued";

/// What the customer does when the PIN is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Types these digits.
    Pin(&'static str),
    /// Types these, one after the other; after the last nothing.
    Pins(&'static [&'static str]),
    /// Presses enter: no PIN.
    Bypass,
    /// Presses cancel.
    Cancel,
    /// Nothing yet; changes when the test says so.
    Nothing,
}

/// The customer and the cashier in one.
pub(super) struct Agent {
    pub(super) typed: watch::Receiver<Typed>,
    pub(super) signature: watch::Receiver<bool>,
    /// Whether a suspected duplicate is meant.
    pub(super) duplicate: watch::Receiver<bool>,
    pub(super) heard: mpsc::UnboundedSender<Heard>,
    /// PINs asked so far.
    pub(super) pins: AtomicUsize,
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.posd.Pos1.Error")]
enum AgentError {
    #[zbus(error)]
    ZBus(zbus::Error),
    Cancelled(String),
}

type Options = HashMap<String, OwnedValue>;

impl Agent {
    fn tell(&self, what: impl Into<String>) {
        self.heard.send(Heard::Agent(what.into())).ok();
    }
}

#[interface(name = "org.posd.Pos1.Agent")]
impl Agent {
    async fn request_pin(
        &self,
        _txn: OwnedObjectPath,
        options: Options,
    ) -> Result<zvariant::OwnedFd, AgentError> {
        self.tell("RequestPin");
        let number = |key| options.get(key).and_then(|value| u8::try_from(value).ok());
        self.tell(format!("PIN {} {:?}", super::words::dict_text(&options, "kind"), number("tries-left")));
        let at = self.pins.fetch_add(1, Ordering::Relaxed);
        let mut typed = self.typed.clone();
        loop {
            let now = *typed.borrow_and_update();
            match now {
                Typed::Pin(digits) => return Ok(sealed(digits.as_bytes()).into()),
                Typed::Pins(list) if at < list.len() => return Ok(sealed(list[at].as_bytes()).into()),
                Typed::Bypass => return Ok(sealed(b"").into()),
                Typed::Cancel => return Err(AgentError::Cancelled("the customer pressed cancel".to_owned())),
                Typed::Nothing | Typed::Pins(_) => {
                    typed.changed().await.map_err(|e| AgentError::Cancelled(e.to_string()))?
                }
            }
        }
    }

    async fn select_application(
        &self,
        _txn: OwnedObjectPath,
        candidates: Vec<HashMap<String, OwnedValue>>,
        _options: Options,
    ) -> Result<String, AgentError> {
        self.tell(format!("SelectApplication {}", candidates.len()));
        let last = candidates.last().map(|row| super::words::dict_text(row, "aid"));
        Ok(last.unwrap_or_default())
    }

    async fn confirm_card(&self, _txn: OwnedObjectPath, _options: Options) -> bool {
        self.tell("ConfirmCard");
        true
    }

    async fn confirm_signature(&self, _txn: OwnedObjectPath, _options: Options) -> bool {
        self.tell("ConfirmSignature");
        *self.signature.borrow()
    }

    async fn confirm_duplicate(
        &self,
        _txn: OwnedObjectPath,
        earlier: OwnedObjectPath,
        _options: Options,
    ) -> bool {
        self.tell(format!("ConfirmDuplicate {earlier}"));
        *self.duplicate.borrow()
    }

    /// The supervisor comes and types.
    async fn authorize(
        &self,
        _txn: OwnedObjectPath,
        action: &str,
        _options: Options,
    ) -> (String, zvariant::OwnedFd) {
        self.tell(format!("Authorize {action}"));
        ("00".to_owned(), sealed(SUPERVISOR.as_bytes()).into())
    }

    async fn show_prompt(
        &self,
        _txn: OwnedObjectPath,
        code: &str,
        _text: HashMap<String, String>,
        _options: Options,
    ) {
        self.tell(format!("ShowPrompt {code}"));
    }

    async fn cancel(&self, _txn: OwnedObjectPath, why: &str, _options: Options) {
        self.tell(format!("Cancel {why}"));
    }

    async fn release(&self, _options: Options) {
        self.tell("Release");
    }
}

/// A memfd that nobody can change any more: how secrets travel.
pub(crate) fn sealed(bytes: &[u8]) -> OwnedFd {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let fd = memfd_create("secret", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes).unwrap();
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK).unwrap();
    file.into()
}
