//! What may go.
use super::{Writer, refuse};
use crate::domain::record::Housekeeping;
use crate::ports::JournalError;

impl Writer<'_> {
    pub(super) fn housekeep(&self, _: &Housekeeping) -> Result<(), JournalError> {
        refuse("not built yet")
    }
}
