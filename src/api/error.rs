//! The only mapping from refusals to D-Bus errors: `org.posd.Pos1.Error.<Name>` with a sentence that tells
//! the cause and the next step, and behind it, where there are some, details for programs (`a{ss}`).
use crate::domain::fault::{Fault, FaultName};
use std::collections::HashMap;
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
        let message = Message::error(call, self.name())?;
        if self.0.details.is_empty() {
            return message.build(&(self.0.text.as_str(),));
        }
        let details: HashMap<&str, &str> =
            self.0.details.iter().map(|(key, value)| (*key, value.as_str())).collect();
        message.build(&(self.0.text.as_str(), details))
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

/// An argument of the wrong form. `text` names the argument and what is allowed.
pub(super) fn invalid(text: impl Into<String>) -> Fault {
    Fault::new(FaultName::InvalidArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name must be a valid D-Bus error name, because it is not checked again when it is sent.
    #[test]
    fn every_fault_has_a_valid_name_on_the_bus() {
        for name in FaultName::ALL {
            assert!(ErrorName::try_from(error_name(*name)).is_ok(), "{name}");
        }
    }
}
