//! `org.posd.Pos1.Maintenance`: backup of the journal, its proof, and the way back.
use super::auth::{Action, Need};
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, leave_only, no_options};
use super::path;
use crate::domain::fault::Fault;
use crate::engine::handle::Command;
use rustix::fs::{FileType, OFlags};
use std::os::fd::OwnedFd as StdFd;
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::{OwnedFd, OwnedObjectPath};

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
