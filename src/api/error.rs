//! The only mapping from refusals to D-Bus errors: `org.posd.Pos1.Error.<Name>` with a sentence that tells
//! the cause and the next step, and behind it, where there are some, details for programs: ` [action=void]`.
//!
//! Choice: details stand in the text, although they would be neater as a second argument of the error. GDBus throws
//! the text of an error away that has more than one (measured with `gdbus call`, GLib 2.74).
use crate::domain::fault::{Fault, FaultName};
use zbus::message::{Header, Message};
use zbus::names::ErrorName;

/// What every error name begins with.
pub const ERROR_PREFIX: &str = "org.posd.Pos1.Error.";

/// A refusal on its way to the caller.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct ApiError(#[from] Fault);

impl zbus::DBusError for ApiError {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name())?.build(&(told(&self.0),))
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_string_unchecked(error_name(self.0.name))
    }

    fn description(&self) -> Option<&str> {
        Some(&self.0.text)
    }
}

/// The full name on the bus.
#[must_use]
pub fn error_name(name: FaultName) -> String {
    format!("{ERROR_PREFIX}{name}")
}

/// The sentence, and behind it the details.
fn told(fault: &Fault) -> String {
    let pairs: Vec<String> = fault.details.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { fault.text.clone() } else { format!("{} [{}]", fault.text, pairs.join(" ")) }
}

/// An argument of the wrong form. `text` names the argument and what is allowed.
pub(super) fn invalid(text: impl Into<String>) -> Fault {
    Fault::new(FaultName::InvalidArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs find details at the end of the text.
    #[test]
    fn details_stand_behind_the_sentence() {
        let fault = Fault::new(FaultName::NotAuthorized, "ask a supervisor").with("action", "void");
        assert_eq!(told(&fault), "ask a supervisor [action=void]");
        assert_eq!(told(&invalid("so not")), "so not");
    }

    /// Every name must be a valid D-Bus error name, because it is not checked again when it is sent.
    #[test]
    fn every_fault_has_a_valid_name_on_the_bus() {
        for name in FaultName::ALL {
            assert!(ErrorName::try_from(error_name(*name)).is_ok(), "{name}");
        }
    }
}
