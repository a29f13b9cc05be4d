//! The ways to a printer: TCP, a `usblp` device, a serial line, a file. Says how many bytes were accepted and what came
//! back, nothing about their meaning.
use super::{Device, Flow, Line, Timing};
use crate::domain::quirks::UsbId;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{ControlModes, InputModes, OptionalActions, QueueSelector};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes handed over at a time; `usblp` takes 8192 in one transfer.
const CHUNK_MAX: usize = 4096;
/// Where the kernel tells which device stands behind an `lp` file.
const SYSTEM: &str = "/sys/class/usbmisc";
/// Pause where a device says it can be written and then does not take a byte.
const NAP: Duration = Duration::from_millis(50);

/// Why no more bytes went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nothing was accepted for the time given.
    Stalled,
    /// The device or connection is gone.
    Gone,
}

impl Stop {
    /// The word for reasons of jobs.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Gone => "gone",
        }
    }
}

/// What became of bytes to be sent. They are accepted by the system, not yet printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Bytes accepted, from the first on.
    pub(super) accepted: usize,
    /// Why not all, if not all.
    pub(super) stop: Option<Stop>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// At least one byte.
    Bytes(Vec<u8>),
    /// Nothing until the deadline.
    Silence,
    /// The device or connection is gone.
    Gone,
}

/// An open way to a printer. Every call ends by its deadline.
pub(super) trait Port {
    /// Sends all bytes, or as many as are accepted before the printer takes none for `stall`.
    fn send(&mut self, bytes: &[u8], stall: Duration) -> Sent;
    /// Waits for bytes from the printer.
    fn receive(&mut self, until: Instant) -> Received;
    /// True if the printer can answer at all; a file cannot.
    fn answers(&self) -> bool;
    /// True if a picture takes seconds on it.
    fn is_slow(&self) -> bool;
    /// Closes in order: what was accepted has left, or `wait` is over.
    ///
    /// # Errors
    /// It is not known to have left.
    fn close(self: Box<Self>, wait: Duration) -> Result<(), Stop>;
}

/// Opens the way, or says in one word why there is none.
pub(super) fn open(device: &Device, line: Line, timing: &Timing) -> Result<Box<dyn Port>, &'static str> {
    match device {
        Device::Auto | Device::Usb(..) | Device::Special(_) => {
            open_special(&file_of(device).ok_or("absent")?, line)
        }
        Device::Tcp(host, port) => open_tcp(host, *port, timing.connect),
        Device::File(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path).map_err(|_| "unreachable")?;
            Ok(Box::new(FilePort { file }))
        }
    }
}

/// The `lp` device with the lowest number in a directory.
pub(super) fn first_lp(directory: &Path) -> Option<PathBuf> {
    all_lp(directory).into_iter().next()
}

/// All `lp` devices in a directory in the order of their numbers.
fn all_lp(directory: &Path) -> Vec<PathBuf> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("lp")?.parse::<u32>().ok();
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.take(64).filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.filter(|path| number(path).is_some()).collect();
    paths.sort_by_key(number);
    paths
}

/// The device file of a printer, as people name it; `None`: it is not one, or not there.
pub(super) fn file_of(device: &Device) -> Option<PathBuf> {
    match device {
        Device::Auto => first_lp(Path::new("/dev/usb")),
        Device::Usb(id, serial) => lp_of(Path::new("/dev/usb"), Path::new(SYSTEM), *id, serial.as_deref()),
        Device::Special(path) => Some(path.clone()),
        Device::Tcp(..) | Device::File(_) => None,
    }
}

/// Which USB device a printer is; `None`: none, or the system does not say.
pub(super) fn usb_of(device: &Device) -> Option<UsbId> {
    usb_id(&usb_folder(Path::new(SYSTEM), &file_of(device)?)?)
}

/// The first `lp` device with this identity.
fn lp_of(directory: &Path, system: &Path, id: UsbId, serial: Option<&str>) -> Option<PathBuf> {
    all_lp(directory).into_iter().find(|path| {
        let Some(folder) = usb_folder(system, path) else { return false };
        let same = |serial: &str| attribute(&folder, "serial").is_some_and(|own| own == serial);
        usb_id(&folder) == Some(id) && serial.is_none_or(same)
    })
}

/// The system's folder of the USB device behind an `lp` device: the one above its interface.
fn usb_folder(system: &Path, lp: &Path) -> Option<PathBuf> {
    // People may name it by a link that outlives a restart.
    let lp = std::fs::canonicalize(lp).ok()?;
    let interface = std::fs::canonicalize(system.join(lp.file_name()?).join("device")).ok()?;
    interface.parent().map(Path::to_path_buf)
}

fn usb_id(folder: &Path) -> Option<UsbId> {
    UsbId::read(&format!("{}:{}", attribute(folder, "idVendor")?, attribute(folder, "idProduct")?))
}

fn attribute(folder: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(name)).ok().map(|text| text.trim().to_owned())
}

/// `line` counts where the device turns out to be a serial line.
fn open_special(path: &Path, line: Line) -> Result<Box<dyn Port>, &'static str> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) if rustix::termios::isatty(&fd) => {
            set_up(&fd, line).map_err(|_| "unreachable")?;
            Ok(Box::new(FdPort { fd, kind: FdKind::Serial }))
        }
        Ok(fd) => Ok(Box::new(FdPort { fd, kind: FdKind::Lp })),
        // usblp lets one program at a time in.
        Err(Errno::BUSY) => Err("busy"),
        Err(Errno::NOENT | Errno::NODEV | Errno::NXIO) => Err("absent"),
        Err(Errno::ACCESS | Errno::PERM) => Err("no-permission"),
        Err(_) => Err("unreachable"),
    }
}

/// Bytes as they are, at this speed, with 8 bits, no parity, one stop bit; a close does not let DTR fall, which some
/// printers take for a switch-off.
fn set_up(fd: &OwnedFd, line: Line) -> Result<(), Errno> {
    let mut modes = rustix::termios::tcgetattr(fd)?;
    modes.make_raw();
    modes.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    modes.control_modes -= ControlModes::HUPCL | ControlModes::CSTOPB | ControlModes::CRTSCTS;
    modes.input_modes -= InputModes::IXON | InputModes::IXOFF;
    match line.flow {
        Flow::Nothing => {}
        Flow::RtsCts => modes.control_modes |= ControlModes::CRTSCTS,
        Flow::XonXoff => modes.input_modes |= InputModes::IXON,
    }
    modes.set_speed(line.speed)?;
    rustix::termios::tcsetattr(fd, OptionalActions::Now, &modes)
}

/// Names are looked up by the system, whose resolver has time-outs of its own.
fn open_tcp(host: &str, port: u16, wait: Duration) -> Result<Box<dyn Port>, &'static str> {
    let addresses = (host, port).to_socket_addrs().map_err(|_| "unreachable")?;
    for address in addresses.take(4) {
        let Ok(stream) = TcpStream::connect_timeout(&address, wait) else { continue };
        if stream.set_nonblocking(true).is_ok() && stream.set_nodelay(true).is_ok() {
            return Ok(Box::new(FdPort { fd: stream.into(), kind: FdKind::Socket }));
        }
    }
    Err("unreachable")
}

/// What stands behind a file descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FdKind {
    Socket,
    Lp,
    Serial,
}

/// A file descriptor that does not block.
struct FdPort {
    fd: OwnedFd,
    kind: FdKind,
}

impl FdPort {
    /// Waits until one of the events or an error is there; false at the deadline.
    fn wait(&self, events: PollFlags, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(timeout) = Timespec::try_from(left) else { return false };
            let mut fds = [PollFd::new(&self.fd, events)];
            match rustix::event::poll(&mut fds, Some(&timeout)) {
                Err(Errno::INTR) => {}
                Ok(count) => return count > 0,
                Err(_) => return true, // the read or write that follows says what is wrong
            }
        }
    }

    /// Pauses for a moment; true if the other side has gone meanwhile.
    fn nap(&self, until: Instant) -> bool {
        self.wait(PollFlags::empty(), until.min(Instant::now() + NAP))
    }
}

impl Port for FdPort {
    fn send(&mut self, bytes: &[u8], stall: Duration) -> Sent {
        let mut left = bytes;
        let mut until = Instant::now() + stall;
        while !left.is_empty() {
            let accepted = bytes.len().saturating_sub(left.len());
            if !self.wait(PollFlags::OUT, until) {
                return Sent { accepted, stop: Some(Stop::Stalled) };
            }
            let chunk = left.get(..CHUNK_MAX).unwrap_or(left);
            match rustix::io::write(&self.fd, chunk) {
                Ok(count) if count > 0 => {
                    left = left.get(count..).unwrap_or_default();
                    until = Instant::now() + stall;
                }
                // usblp says writable when the paper is out and then takes nothing: do not spin.
                Ok(_) | Err(Errno::AGAIN) => {
                    if self.nap(until) {
                        return Sent { accepted, stop: Some(Stop::Gone) };
                    }
                    if Instant::now() >= until {
                        return Sent { accepted, stop: Some(Stop::Stalled) };
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => return Sent { accepted, stop: Some(Stop::Gone) },
            }
        }
        Sent { accepted: bytes.len(), stop: None }
    }

    fn receive(&mut self, until: Instant) -> Received {
        let mut buffer = [0_u8; 256];
        loop {
            if !self.wait(PollFlags::IN, until) {
                return Received::Silence;
            }
            match rustix::io::read(&self.fd, &mut buffer) {
                Ok(0) if self.kind == FdKind::Socket => return Received::Gone,
                Ok(0) | Err(Errno::AGAIN) => {
                    if self.nap(until) {
                        return Received::Gone;
                    }
                    if Instant::now() >= until {
                        return Received::Silence;
                    }
                }
                Ok(count) => return Received::Bytes(buffer.get(..count).unwrap_or_default().to_vec()),
                Err(Errno::INTR) => {}
                // usblp without a way back.
                Err(Errno::INVAL) if self.kind == FdKind::Lp => return Received::Silence,
                Err(_) => return Received::Gone,
            }
        }
    }

    fn answers(&self) -> bool {
        true
    }

    fn is_slow(&self) -> bool {
        self.kind == FdKind::Serial
    }

    fn close(mut self: Box<Self>, wait: Duration) -> Result<(), Stop> {
        let until = Instant::now() + wait;
        if self.kind != FdKind::Socket {
            // Closing kills the transfer under way, and its errors are never told: wait for the last one.
            if self.wait(PollFlags::OUT, until) {
                return Ok(());
            }
            // What a stopped line still has would hold the close, and come out when somebody lets it go on.
            if self.kind == FdKind::Serial {
                rustix::termios::tcflush(&self.fd, QueueSelector::OFlush).ok();
            }
            return Err(Stop::Stalled);
        }
        // Who has let go already may not have read all.
        loop {
            match self.receive(Instant::now()) {
                Received::Bytes(_) if Instant::now() < until => {}
                Received::Bytes(_) | Received::Silence => break,
                Received::Gone => return Err(Stop::Gone),
            }
        }
        // Closing a socket with unread answers resets it, and a reset throws away what is on its way to the paper.
        let stream = TcpStream::from(self.fd.as_fd().try_clone_to_owned().map_err(|_| Stop::Gone)?);
        stream.shutdown(Shutdown::Write).map_err(|_| Stop::Gone)?;
        loop {
            match self.receive(until) {
                Received::Bytes(_) => {}
                Received::Gone => return Ok(()),
                Received::Silence => return Err(Stop::Stalled),
            }
        }
    }
}

/// A file: takes everything, says nothing.
struct FilePort {
    file: File,
}

impl Port for FilePort {
    fn send(&mut self, bytes: &[u8], _stall: Duration) -> Sent {
        let mut accepted = 0;
        while let Some(left) = bytes.get(accepted..).filter(|left| !left.is_empty()) {
            match self.file.write(left) {
                Ok(count) if count > 0 => accepted = accepted.saturating_add(count),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return Sent { accepted, stop: Some(Stop::Gone) },
            }
        }
        Sent { accepted, stop: None }
    }

    fn receive(&mut self, _until: Instant) -> Received {
        Received::Silence
    }

    fn answers(&self) -> bool {
        false
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn close(self: Box<Self>, _wait: Duration) -> Result<(), Stop> {
        self.file.sync_all().map_err(|_| Stop::Gone)
    }
}

/// The device variant is tried over a socket pair: a real `usblp` device needs hardware. What cannot be tried so is its
/// EBUSY, its reads without a way back (EINVAL), and its writability while the paper is out.
#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    const SHORT: Duration = Duration::from_millis(60);
    const LONG: Duration = Duration::from_secs(20);

    fn pair(socket: bool) -> (Box<FdPort>, UnixStream) {
        let kind = if socket { FdKind::Socket } else { FdKind::Lp };
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Box::new(FdPort { fd: ours.into(), kind }), theirs)
    }

    /// The count at a stall is exact: what the other side reads afterwards is as much as was said to be accepted.
    #[test]
    fn a_device_that_takes_no_more_stalls_with_an_exact_count() {
        let (mut port, mut theirs) = pair(false);
        let sent = port.send(&vec![b'x'; 4_000_000], SHORT);
        assert_eq!(sent.stop, Some(Stop::Stalled));
        assert_eq!(port.close(SHORT), Err(Stop::Stalled));
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), sent.accepted);
        assert!(sent.accepted > 0);
    }

    #[test]
    fn a_device_that_goes_is_noticed_by_both_directions() {
        let (mut port, theirs) = pair(false);
        assert_eq!(port.send(b"abc", LONG), Sent { accepted: 3, stop: None });
        drop(theirs);
        assert_eq!(port.send(b"abc", LONG), Sent { accepted: 0, stop: Some(Stop::Gone) });
        assert_eq!(port.receive(Instant::now() + LONG), Received::Gone);
    }

    #[test]
    fn answers_come_or_silence_ends_in_time() {
        let (mut port, mut theirs) = pair(false);
        assert_eq!(port.receive(Instant::now() + SHORT), Received::Silence);
        theirs.write_all(&[0x12]).unwrap();
        assert_eq!(port.receive(Instant::now() + LONG), Received::Bytes(vec![0x12]));
        assert_eq!(port.close(LONG), Ok(()));
    }

    /// A reset would throw away what is on its way: the socket waits for the other side's end.
    #[test]
    fn a_socket_closes_in_order() {
        let (port, mut theirs) = pair(true);
        theirs.write_all(b"late answer").unwrap();
        assert_eq!(port.close(SHORT), Err(Stop::Stalled));
        let (port, mut theirs) = pair(true);
        theirs.write_all(b"late answer").unwrap();
        let reads_all = std::thread::spawn(move || theirs.read_to_end(&mut Vec::new()));
        assert_eq!(port.close(LONG), Ok(()));
        assert!(reads_all.join().unwrap().is_ok());
        // Who has let go before may not have read all.
        let (port, mut theirs) = pair(true);
        theirs.write_all(b"late answer").unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        assert_eq!(port.close(LONG), Err(Stop::Gone));
    }

    /// Goal: of several printers the one with the identity and the serial number that were asked for.
    #[test]
    fn a_usb_printer_is_found_by_its_identity() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for (lp, usb, product, serial) in
            [("lp0", "1-1", "5011", "A"), ("lp1", "1-2", "0202", "B"), ("lp2", "1-3", "0202", "C")]
        {
            std::fs::create_dir_all(place(&format!("devices/{usb}/{usb}:1.0"))).unwrap();
            std::fs::create_dir_all(place(&format!("class/{lp}"))).unwrap();
            std::fs::create_dir_all(place("dev")).unwrap();
            std::fs::write(place(&format!("dev/{lp}")), "").unwrap();
            let file = |name: &str| place(&format!("devices/{usb}/{name}"));
            std::fs::write(file("idVendor"), "04b8\n").unwrap();
            std::fs::write(file("idProduct"), format!("{product}\n")).unwrap();
            std::fs::write(file("serial"), format!("{serial}\n")).unwrap();
            let interface = place(&format!("devices/{usb}/{usb}:1.0"));
            std::os::unix::fs::symlink(interface, place(&format!("class/{lp}/device"))).unwrap();
        }
        let find = |id: &str, serial| lp_of(&place("dev"), &place("class"), UsbId::read(id).unwrap(), serial);
        assert_eq!(find("04b8:0202", None), Some(place("dev/lp1")));
        assert_eq!(find("04b8:0202", Some("C")), Some(place("dev/lp2")));
        assert_eq!(find("04b8:5011", Some("B")), None);
    }

    #[test]
    fn auto_takes_the_lowest_number() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(first_lp(folder.path()), None);
        for name in ["lp10", "lp2", "lpx", "hiddev0"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(first_lp(folder.path()), Some(folder.path().join("lp2")));
        assert_eq!(first_lp(&folder.path().join("none")), None);
    }
}
