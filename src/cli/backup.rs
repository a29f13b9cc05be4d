//! `posctl backup …` and `posctl report`: files that posctl opens and the daemon reads or writes.
use super::args::shop::Backup;
use super::client::Terminal;
use super::failure::{Exit, Failure};
use super::leave::{certain, with_leave};
use super::screen::Screen;
use super::till::allowed;
use super::{jobs, words};
use crate::api::proxy::Options;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// `posctl backup …`
pub(crate) async fn backup(screen: &Screen, address: Option<&str>, verb: &Backup) -> Result<Exit, Failure> {
    match verb {
        Backup::Create { file } => {
            let terminal = Terminal::connect(address).await?;
            let target = create(file)?;
            let made = async {
                let maintenance = terminal.maintenance().await?;
                let job = maintenance.backup(target.as_fd().into(), Options::new()).await?;
                jobs::follow(screen, &terminal, job).await
            };
            let done = made.await;
            if done.is_err() {
                remove(file); // what is not a whole copy must not look like one
            }
            done
        }
        Backup::Verify { file } => {
            let terminal = Terminal::connect(address).await?;
            let source = open(file)?;
            let maintenance = terminal.maintenance().await?;
            let job = maintenance.verify(source.as_fd().into(), Options::new()).await?;
            jobs::follow(screen, &terminal, job).await
        }
        Backup::Restore { file, leave, certain: sure } => {
            let source = open(file)?;
            let what = format!("{} {}", screen.word(words::RESTORE), file.display());
            certain(screen, sure.yes, &what).await?;
            let (terminal, token) = allowed(screen, address, leave, "backup").await?;
            let maintenance = terminal.maintenance().await?;
            let act = async |options| maintenance.restore(source.as_fd().into(), options).await;
            let job = with_leave(&terminal, screen, token, act).await?;
            let done = jobs::follow(screen, &terminal, job).await?;
            screen.note(screen.word(words::RESTORE_UNCONFIRMED));
            Ok(done)
        }
        Backup::Confirm { leave } => {
            let (terminal, token) = allowed(screen, address, leave, "backup").await?;
            let maintenance = terminal.maintenance().await?;
            let act = async |options| maintenance.confirm_restore(options).await;
            with_leave(&terminal, screen, token, act).await?;
            screen.answer(json!({ "confirmed": true }), screen.word(words::RESTORE_CONFIRMED));
            Ok(Exit::Done)
        }
    }
}

/// `posctl report`
pub(crate) async fn report(screen: &Screen, address: Option<&str>, file: &Path) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    let target = create(file)?;
    let made = async {
        let job = terminal.maintenance().await?.report(target.as_fd().into(), Options::new()).await?;
        jobs::follow(screen, &terminal, job).await
    };
    let done = made.await;
    if done.is_err() {
        remove(file);
    }
    done
}

/// A new file that only its owner reads. One that is there already is left alone.
#[allow(clippy::disallowed_methods, reason = "posctl is an outer layer; it writes the file it was told to")]
pub(crate) fn create(file: &Path) -> Result<File, Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    opened.map_err(|error| Failure::io(&format!("{} cannot be made", file.display()), &error))
}

#[allow(clippy::disallowed_methods, reason = "posctl is an outer layer; it reads the file it was told to")]
fn open(file: &Path) -> Result<File, Failure> {
    File::open(file).map_err(|error| Failure::io(&format!("{} cannot be read", file.display()), &error))
}

#[allow(clippy::disallowed_methods, reason = "posctl takes back the file it made")]
fn remove(file: &Path) {
    std::fs::remove_file(file).ok();
}
