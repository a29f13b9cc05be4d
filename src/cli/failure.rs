//! What went wrong, as exit status, name and sentence. The only mapping from bus errors and outcomes to exit codes.
//!
//! The codes are a contract with scripts; posctl(1) lists them.
use crate::domain::fault::FaultName;
use crate::domain::outcome::{Outcome, ResultCode};
use serde_json::{Map, Value};

/// Prefix of the error names on the bus.
const ERRORS: &str = "org.posd.Pos1.Error.";

/// The exit status of posctl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done: approved, stored offline, also "nothing to do".
    Done = 0,
    /// Failed or cancelled.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Somebody or something took too long, the customer too.
    Timeout = 3,
    /// The daemon cannot be reached.
    NoDaemon = 4,
    /// Not authorized.
    NotAuthorized = 5,
    /// A device is not ready.
    Device = 6,
    /// Declined by bank or card.
    Declined = 7,
    /// The outcome is unknown, or was and has been reversed.
    Unknown = 8,
    /// Not signed on to the host, or no operator; `details.kind` says which.
    NotSignedOn = 9,
    /// Something else runs.
    Busy = 10,
    /// Interrupted: posctl has let go, the work goes on.
    Interrupted = 130,
}

/// Why a command could not do its work. A declined payment is not one of these.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// Status of the process.
    pub(crate) exit: Exit,
    /// Name for programs: an error name of the bus, or one of posctl's own.
    pub(crate) name: String,
    /// English sentence with cause and next step.
    pub(crate) message: String,
    /// More for programs.
    pub(crate) details: Box<Map<String, Value>>,
}

impl Failure {
    /// Makes a failure without details.
    pub(crate) fn new(exit: Exit, name: &str, message: impl Into<String>) -> Self {
        Self { exit, name: name.to_owned(), message: message.into(), details: Box::default() }
    }

    /// A wrong command line, found after it was parsed.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "Usage", message)
    }

    /// A file, terminal or stream that does not work.
    pub(crate) fn io(what: &str, error: &std::io::Error) -> Self {
        Self::new(Exit::Failed, "Failed", format!("{what}: {error}"))
    }

    /// Nobody answers for the name of the daemon.
    pub(crate) fn no_daemon(cause: &str) -> Self {
        Self::new(
            Exit::NoDaemon,
            "DaemonUnreachable",
            format!("posd does not answer ({cause}); see: systemctl status posd"),
        )
    }

    /// The action that a supervisor would have to allow, if that is what was missing.
    pub(crate) fn action(&self) -> Option<&str> {
        self.details.get("action").and_then(Value::as_str)
    }

    /// Adds a detail.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// A refusal by its name, with or without the prefix of the bus.
    pub(crate) fn named(name: &str, message: &str) -> Self {
        let short = name.strip_prefix(ERRORS).unwrap_or(name);
        let exit = FaultName::from_word(short).map_or(Exit::Failed, exit_of_fault);
        let (message, details) = split_details(message);
        let mut failure = Self::new(exit, short, message);
        failure.details.extend(details);
        match short {
            "NotSignedOn" => failure.with("kind", "host"),
            "OperatorRequired" => failure.with("kind", "operator"),
            _ => failure,
        }
    }
}

/// Details that the daemon puts behind its sentence: ` [action=void]`.
fn split_details(text: &str) -> (&str, Vec<(String, Value)>) {
    let parts = text.strip_suffix(']').and_then(|text| text.rsplit_once(" ["));
    let pair = |text: &str| text.split_once('=').map(|(key, value)| (key.to_owned(), Value::from(value)));
    let read = parts.and_then(|(sentence, inside)| {
        Some((sentence, inside.split(' ').map(pair).collect::<Option<Vec<_>>>()?))
    });
    read.unwrap_or((text, Vec::new()))
}

/// The status for a refusal of the daemon.
const fn exit_of_fault(name: FaultName) -> Exit {
    match name {
        FaultName::InvalidArgument => Exit::Usage,
        FaultName::HostTimeout => Exit::Timeout,
        FaultName::NotAuthorized | FaultName::AuthenticationRequired => Exit::NotAuthorized,
        FaultName::NotReady
        | FaultName::DeviceAbsent
        | FaultName::DeviceBusy
        | FaultName::DeviceFault
        | FaultName::PaperOut => Exit::Device,
        FaultName::NotSignedOn | FaultName::OperatorRequired => Exit::NotSignedOn,
        FaultName::Busy | FaultName::BatchClosing => Exit::Busy,
        _ => Exit::Failed,
    }
}

/// The status for a finished transaction.
pub(crate) fn exit_of_outcome(outcome: &str, result_code: &str) -> Exit {
    let code = ResultCode::from_word(result_code);
    match Outcome::from_word(outcome) {
        Some(Outcome::Approved | Outcome::StoredOffline) => Exit::Done,
        Some(Outcome::Declined) => Exit::Declined,
        Some(Outcome::Cancelled | Outcome::Failed) => match code {
            Some(ResultCode::CustomerTimeout | ResultCode::HostTimeout) => Exit::Timeout,
            Some(ResultCode::NotSignedOn) => Exit::NotSignedOn,
            Some(ResultCode::NotAuthorized) => Exit::NotAuthorized,
            _ => Exit::Failed,
        },
        // An outcome of a later daemon, or none at all: nothing may be promised.
        Some(Outcome::Unknown | Outcome::Reversed | Outcome::None) | None => Exit::Unknown,
    }
}

impl From<zbus::fdo::Error> for Failure {
    fn from(error: zbus::fdo::Error) -> Self {
        match error {
            zbus::fdo::Error::ZBus(error) => error.into(),
            other => from_standard_name(zbus::DBusError::name(&other).as_str(), &other.to_string()),
        }
    }
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, text, _) => {
                let text = text.unwrap_or_else(|| "posd gives no reason".to_owned());
                from_standard_name(name.as_str(), &text)
            }
            zbus::Error::FDO(error) => (*error).into(),
            zbus::Error::InputOutput(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                Self::new(Exit::Timeout, "Timeout", "posd did not answer in time; see: systemctl status posd")
            }
            zbus::Error::InputOutput(error) => Self::no_daemon(&error.to_string()),
            zbus::Error::Address(text) => Self::usage(format!("the bus address cannot be read: {text}")),
            zbus::Error::Handshake(text) => Self::no_daemon(&text),
            other => {
                Self::new(Exit::Failed, "ProtocolError", format!("unexpected answer on the bus: {other}"))
            }
        }
    }
}

/// Errors that the bus itself or zbus gives, and those of posd by name.
fn from_standard_name(name: &str, text: &str) -> Failure {
    match name.strip_prefix("org.freedesktop.DBus.Error.") {
        Some("AccessDenied" | "AuthFailed" | "InteractiveAuthorizationRequired") => {
            Failure::new(Exit::NotAuthorized, "NotAuthorized", format!("the bus refuses: {text}"))
        }
        Some("ServiceUnknown" | "NameHasNoOwner" | "Disconnected" | "NoServer") => Failure::no_daemon(text),
        // The daemon went away with the answer, or never came to it.
        Some("NoReply" | "Timeout" | "TimedOut") => {
            Failure::new(Exit::Timeout, "Timeout", format!("posd did not answer: {text}"))
        }
        Some("UnknownObject" | "UnknownInterface") => {
            Failure::new(Exit::Failed, "NotFound", format!("posd has no such object: {text}"))
        }
        Some("UnknownMethod" | "UnknownProperty") => Failure::new(
            Exit::Failed,
            "NotSupported",
            format!("this posd does not know that, or has no such object: {text}"),
        ),
        Some("InvalidArgs") => Failure::new(Exit::Usage, "InvalidArgument", text),
        _ => Failure::named(name, text),
    }
}

/// True if the failure says that the daemon is gone, so that what was asked may or may not have happened.
pub(crate) const fn lost_the_daemon(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::NoDaemon | Exit::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts depend on these numbers: outcomes first.
    #[test]
    fn outcomes_have_their_exit_codes() {
        let check = |outcome, code, exit: Exit| assert_eq!(exit_of_outcome(outcome, code), exit, "{outcome}");
        check("approved", "approved", Exit::Done);
        check("stored-offline", "offline-approved", Exit::Done);
        check("declined", "declined-host", Exit::Declined);
        check("unknown", "host-timeout", Exit::Unknown);
        check("reversed", "host-timeout", Exit::Unknown);
        check("cancelled", "operator-cancelled", Exit::Failed);
        check("cancelled", "customer-timeout", Exit::Timeout);
        check("failed", "card-unreadable", Exit::Failed);
        check("failed", "not-signed-on", Exit::NotSignedOn);
        check("cancelled", "not-authorized", Exit::NotAuthorized);
        check("none", "", Exit::Unknown);
        check("a-later-word", "", Exit::Unknown);
    }

    /// Refusals: each name of the contract has one code, and 9 says which sign-on is missing.
    #[test]
    fn refusals_have_their_exit_codes() {
        let check = |name: &str, exit: Exit| {
            let full = format!("{ERRORS}{name}");
            let failure = from_standard_name(&full, "text");
            assert_eq!((failure.exit, failure.name.as_str()), (exit, name));
        };
        check("Busy", Exit::Busy);
        check("NotAuthorized", Exit::NotAuthorized);
        check("AuthenticationRequired", Exit::NotAuthorized);
        check("DeviceAbsent", Exit::Device);
        check("PaperOut", Exit::Device);
        check("HostTimeout", Exit::Timeout);
        check("WrongPassword", Exit::Failed);
        check("InvalidArgument", Exit::Usage);
        assert_eq!(Failure::named("NotSignedOn", "").details["kind"], "host");
        let refused = Failure::named("NotAuthorized", "a supervisor must allow it [action=void]");
        assert_eq!(
            (refused.message.as_str(), refused.action()),
            ("a supervisor must allow it", Some("void"))
        );
        assert_eq!(Failure::named("Failed", "odd [text]").message, "odd [text]");
        let missing = from_standard_name("org.posd.Pos1.Error.OperatorRequired", "");
        assert_eq!((missing.exit, &missing.details["kind"]), (Exit::NotSignedOn, &Value::from("operator")));
    }

    #[test]
    fn the_bus_speaks_for_itself() {
        let check = |name: &str, exit: Exit| {
            assert_eq!(from_standard_name(&format!("org.freedesktop.DBus.Error.{name}"), "").exit, exit);
        };
        check("AccessDenied", Exit::NotAuthorized);
        check("ServiceUnknown", Exit::NoDaemon);
        check("NoReply", Exit::Timeout);
        check("UnknownObject", Exit::Failed);
    }
}
