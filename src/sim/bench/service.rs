//! What posd costs as a service, beside its business: its start against the smallest service there can be, and its
//! wakings while nothing happens.
use super::machine::wakings;
use super::till::Till;
use super::{Args, median, open_shop, tell};
use crate::sim::client::Client;
use crate::sim::shop::WAIT_MAX;
use std::fs;
use std::io::{Error, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Starts of each of the two.
const STARTS: usize = 15;
/// Longest time for a start.
const READY_IN: Duration = Duration::from_secs(20);
/// How long the shop is left alone before wakings are counted, and then while they are.
const SETTLED_IN: Duration = Duration::from_secs(30);
const IDLE_FOR: Duration = Duration::from_secs(60);
/// What was measured.
#[derive(Debug)]
pub(super) struct Service {
    /// From the start of the process to READY=1, median: posd.
    pub(super) own: Duration,
    /// … and a service that takes a name and says so.
    pub(super) bare: Duration,
    /// Wakings of all threads while nothing happened.
    pub(super) wakings: u64,
}

impl Service {
    /// How long the wakings were counted.
    pub(super) const IDLE_FOR: Duration = IDLE_FOR;
}

/// Measures all of it.
pub(super) async fn measure(args: &Args, disk: &Path) -> Result<Service, Error> {
    let (own, bare) = starts(args, &disk.join("starts")).await?;
    tell(&format!(
        "{own:?} against {bare:?}; {} s without anything to do",
        (SETTLED_IN + IDLE_FOR).as_secs()
    ));
    let wakings = idle(args, &disk.join("idle")).await?;
    Ok(Service { own, bare, wakings })
}

/// Turn by turn: posd on a state directory that is there, and the bare service.
async fn starts(args: &Args, folder: &Path) -> Result<(Duration, Duration), Error> {
    fs::create_dir_all(folder)?;
    let path = folder.join("notify");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(READY_IN))?;
    let notify = format!("NOTIFY_SOCKET={}", path.display());
    let mut shop = open_shop(args, folder, &["env", &notify], Stdio::null(), "")?;
    until_ready(&socket)?;
    Client::connect(&shop.address, WAIT_MAX).await?.until_it_answers().await?;
    let (mut own, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        shop.kill()?;
        while took(&socket, Duration::from_millis(1))?.is_some() {}
        let began = Instant::now();
        shop.restart()?;
        until_ready(&socket)?;
        own.push(began.elapsed());
        let began = Instant::now();
        let mut other = Command::new(std::env::current_exe()?)
            .arg("bare-service")
            .env("DBUS_SYSTEM_BUS_ADDRESS", &shop.address)
            .env("NOTIFY_SOCKET", &path)
            .stdin(Stdio::piped())
            .spawn()?;
        let ready = until_ready(&socket);
        bare.push(began.elapsed());
        drop(other.stdin.take());
        other.wait()?;
        ready?;
    }
    Ok((median(&mut own), median(&mut bare)))
}

/// One message of a service to its manager; `None`: none came in time.
fn took(socket: &UnixDatagram, within: Duration) -> Result<Option<String>, Error> {
    socket.set_read_timeout(Some(within))?;
    let mut bytes = [0; 4096];
    match socket.recv(&mut bytes) {
        Ok(length) => Ok(Some(String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned())),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}

fn until_ready(socket: &UnixDatagram) -> Result<(), Error> {
    let until = Instant::now() + READY_IN;
    loop {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match took(socket, left)? {
            Some(text) if text.lines().any(|line| line == "READY=1") => return Ok(()),
            Some(_) => {}
            None => return Err(Error::other("a service does not say that it is ready")),
        }
    }
}

/// The smallest service: it takes a name on the system bus, says that it is ready, and ends with its standard input.
///
/// It is what posd's start is measured against: the library, the bus and the dynamic loader are in both.
#[must_use]
pub fn bare_service() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let named =
                zbus::connection::Builder::system().and_then(|builder| builder.name("org.posd.Bare1"));
            let bus = named.map_err(Error::other)?.build().await.map_err(Error::other)?;
            sd_notify::notify(&[sd_notify::NotifyState::Ready])?;
            std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
            drop(bus);
            Ok(())
        })
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Wakings of a shop that is open and in which nothing happens.
async fn idle(args: &Args, folder: &Path) -> Result<u64, Error> {
    let mut shop = open_shop(args, folder, &[], Stdio::null(), "")?;
    let till = Till::open(&shop).await?;
    // No wait for an event: that there is none is what is measured.
    tokio::time::sleep(SETTLED_IN).await;
    let process = shop.daemon.id();
    let before = wakings(process)?;
    tokio::time::sleep(IDLE_FOR).await;
    let after = wakings(process)?;
    drop(till);
    shop.kill()?;
    Ok(after.saturating_sub(before))
}
