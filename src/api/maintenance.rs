//! `org.posd.Pos1.Maintenance`: backup of the journal, its proof, and the way back; inhibitors, facts of security, a
//! report for support.
use super::auth::{Action, Need};
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, leave_only, no_options};
use super::row::{Row, bilingual};
use super::{free_text, inhibit, path};
use crate::domain::fault::Fault;
use crate::domain::guard::Fact;
use crate::engine::handle::Command;
use rustix::fs::{FileType, OFlags};
use std::os::fd::OwnedFd as StdFd;
use zbus::Connection;
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::{OwnedFd, OwnedObjectPath, Value};

/// The object.
#[derive(Clone, Debug)]
pub(super) struct MaintenanceObject {
    pub(super) desk: Desk,
}

#[interface(name = "org.posd.Pos1.Maintenance", introspection_docs = false)]
impl MaintenanceObject {
    #[zbus(out_args("job"))]
    async fn backup(
        &self,
        target: OwnedFd,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        let target = checked("target", target, Use::Write)?;
        self.desk.admit(&header, Action::Backup).await?;
        Ok(path::job(self.desk.ask_and_settle(|answer| Command::Backup(target, answer)).await?))
    }

    #[zbus(out_args("job"))]
    async fn verify(
        &self,
        source: OwnedFd,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        let source = checked("source", source, Use::Read)?;
        self.desk.admit(&header, Action::Backup).await?;
        Ok(path::job(self.desk.ask_and_settle(|answer| Command::Verify(source, answer)).await?))
    }

    #[zbus(out_args("job"))]
    async fn restore(
        &self,
        source: OwnedFd,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        let leave = leave_only(options)?;
        let source = checked("source", source, Use::Read)?;
        let caller = self.desk.admit(&header, Action::Backup).await?;
        let restore = |answer| Command::Restore { source, leave, caller, answer };
        Ok(path::job(self.desk.ask_and_settle(restore).await?))
    }

    #[zbus(out_args("inhibitor"))]
    async fn inhibit(
        &self,
        why: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<OwnedFd, ApiError> {
        no_options(options)?;
        free_text::check("why", why)?;
        if why.is_empty() {
            return Err(invalid("why must say what is being done").into());
        }
        let caller = self.desk.admit(&header, Action::DeviceControl).await?;
        let (why, peer) = (why.to_owned(), caller.peer.clone());
        let ticket = self.desk.ask_and_settle(|answer| Command::Inhibit { why, caller, answer }).await?;
        Ok(inhibit::hold(bus, peer, ticket).await?.into())
    }

    #[zbus(out_args("facts"))]
    async fn security(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Row>, ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Need::by_cashiers(Action::Backup, "Security")).await?;
        let facts = self.desk.ask(Command::Security).await?;
        Ok(facts.iter().map(fact).collect())
    }

    #[zbus(out_args("job"))]
    async fn report(
        &self,
        target: OwnedFd,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        let target = checked("target", target, Use::Write)?;
        self.desk.admit(&header, Need::by_cashiers(Action::Backup, "Report")).await?;
        Ok(path::job(self.desk.ask_and_settle(|answer| Command::Report(target, answer)).await?))
    }

    async fn confirm_restore(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        let leave = leave_only(options)?;
        let caller = self.desk.admit(&header, Need::by_cashiers(Action::Backup, "ConfirmRestore")).await?;
        self.desk.ask_and_settle(|answer| Command::ConfirmRestore { leave, caller, answer }).await
    }
}

fn fact(fact: &Fact) -> Row {
    let mut row = Row::from([
        ("id", Value::from(fact.guard.word())),
        ("level", fact.guard.level().into()),
        ("ok", fact.ok.into()),
        ("evidence", fact.evidence.clone().into()),
    ]);
    if let Some(text) = fact.text() {
        row.insert("text", bilingual(&text).into());
    }
    row
}

/// What a descriptor is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

/// A regular file or a pipe, open for what is wanted: anything else could block for ever or is nobody's file.
fn checked(what: &str, fd: OwnedFd, wanted: Use) -> Result<StdFd, Fault> {
    let fd = StdFd::from(fd);
    let broken = |error: rustix::io::Errno| invalid(format!("{what} cannot be used: {error}"));
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd).map_err(broken)?.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::Fifo) {
        return Err(invalid(format!("{what} must be a regular file or a pipe")));
    }
    let mode = rustix::fs::fcntl_getfl(&fd).map_err(broken)?;
    let access = mode & OFlags::ACCMODE;
    let able = !mode.contains(OFlags::PATH)
        && match wanted {
            Use::Read => access != OFlags::WRONLY,
            Use::Write => access != OFlags::RDONLY,
        };
    let word = if wanted == Use::Read { "reading" } else { "writing" };
    if able { Ok(fd) } else { Err(invalid(format!("{what} must be open for {word}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A descriptor that cannot serve is refused before the engine hears of it.
    #[test]
    fn only_files_and_pipes_of_the_right_direction_are_taken() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let fd = |fd: &StdFd| OwnedFd::from(fd.try_clone().unwrap());
        assert!(checked("source", fd(&reader), Use::Read).is_ok());
        assert!(checked("target", fd(&writer), Use::Write).is_ok());
        let wrong = checked("target", fd(&reader), Use::Write).unwrap_err();
        assert_eq!(wrong.text, "target must be open for writing");
        assert!(checked("source", fd(&writer), Use::Read).is_err());
        let file = StdFd::from(tempfile::tempfile().unwrap());
        assert!(checked("target", fd(&file), Use::Write).is_ok());
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let wrong = checked("source", OwnedFd::from(StdFd::from(socket)), Use::Read).unwrap_err();
        assert_eq!(wrong.text, "source must be a regular file or a pipe");
    }
}
