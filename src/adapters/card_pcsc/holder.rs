//! Which programs speak to pcscd besides this one: the only ones that can hold a reader.
//!
//! pcscd does not tell who holds a reader. The kernel tells which socket is the other end of each connection to
//! pcscd's (sock_diag(7), unix(7)), and `/proc` whose socket that is. Both may be forbidden, as in the unit that is
//! packaged; then nobody is named. Several programs may be connected and only one of them hold the reader: then all
//! of them are named.
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

/// Where pcscd listens if `PCSCLITE_CSOCK_NAME` says nothing else.
const SOCKET: &str = "/run/pcscd/pcscd.comm";
/// Longest wait for the kernel, which answers at once.
const WAIT_MAX: Duration = Duration::from_millis(200);
/// Most answers of the kernel that are read.
const DATAGRAMS_MAX: usize = 64;
/// Most programs that are named.
const NAMED_MAX: usize = 3;

/// A program with a connection to pcscd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// Its name, as the kernel keeps it: at most 15 bytes, of any kind.
    pub(super) program: String,
    /// Process id.
    pub(super) process: u32,
}

/// The programs that are connected to pcscd, this one aside, as far as may be seen.
pub(super) fn others() -> Vec<Holder> {
    let socket = std::env::var_os("PCSCLITE_CSOCK_NAME").map_or_else(|| PathBuf::from(SOCKET), PathBuf::from);
    let peers = ask_kernel().map(|answers| peers_of(&answers, &socket)).unwrap_or_default();
    if peers.is_empty() { Vec::new() } else { owners(&peers) }
}

/// For people: `scdaemon (process 812)`; `None` if nobody is known.
pub(super) fn named(holders: &[Holder]) -> Option<String> {
    let each = |holder: &Holder| format!("{} (process {})", holder.program, holder.process);
    let names: Vec<String> = holders.iter().map(each).collect();
    (!names.is_empty()).then(|| names.join(" or "))
}

// What stands in linux/netlink.h, linux/sock_diag.h and linux/unix_diag.h.
const NLMSG_HEAD: usize = 16;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const AF_UNIX: u8 = 1;
const UDIAG_SHOW_NAME_PEER: u32 = 0x01 | 0x04;
const UNIX_DIAG_HEAD: usize = 16;
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_PEER: u16 = 2;

/// All Unix sockets with their names and peers: the kernel's answers, one behind the other.
fn ask_kernel() -> rustix::io::Result<Vec<u8>> {
    let flags = SocketFlags::CLOEXEC;
    let socket: OwnedFd =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::SOCK_DIAG))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(WAIT_MAX))?;
    rustix::net::send(&socket, &request(), SendFlags::empty())?;
    let (mut all, mut buffer) = (Vec::new(), vec![0; 32 * 1024]);
    for _ in 0..DATAGRAMS_MAX {
        let (length, _) = rustix::net::recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let datagram = buffer.get(..length).unwrap_or_default();
        all.extend_from_slice(datagram);
        if messages(datagram).any(|(kind, _)| kind == NLMSG_DONE) {
            break;
        }
    }
    Ok(all)
}

/// nlmsghdr and unix_diag_req: every Unix socket in every state.
fn request() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend_from_slice(&40_u32.to_ne_bytes());
    bytes.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]); // sequence, port
    bytes.extend_from_slice(&[AF_UNIX, 0, 0, 0]);
    bytes.extend_from_slice(&u32::MAX.to_ne_bytes()); // states
    bytes.extend_from_slice(&0_u32.to_ne_bytes()); // inode: all
    bytes.extend_from_slice(&UDIAG_SHOW_NAME_PEER.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]); // cookie
    bytes
}

/// The inodes of the other ends of a socket's connections.
fn peers_of(answers: &[u8], socket: &Path) -> Vec<u32> {
    messages(answers).filter_map(|(kind, body)| peer_of(kind, body, socket)).collect()
}

fn peer_of(kind: u16, body: &[u8], socket: &Path) -> Option<u32> {
    use std::os::unix::ffi::OsStrExt;
    let about = (kind == SOCK_DIAG_BY_FAMILY).then(|| body.get(UNIX_DIAG_HEAD..)).flatten()?;
    let (mut is_named, mut peer) = (false, None);
    for (kind, value) in attributes(about) {
        match kind {
            UNIX_DIAG_NAME => {
                is_named = value.strip_suffix(&[0]).unwrap_or(value) == socket.as_os_str().as_bytes();
            }
            UNIX_DIAG_PEER => peer = <[u8; 4]>::try_from(value).ok().map(u32::from_ne_bytes),
            _ => {}
        }
    }
    peer.filter(|_| is_named)
}

/// Netlink messages: type and body.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    parts(bytes, NLMSG_HEAD, |head| {
        let [a, b, c, d, e, f, ..] = *head else { return None };
        Some((u32::from_ne_bytes([a, b, c, d]), u16::from_ne_bytes([e, f])))
    })
}

/// Netlink attributes: type and value.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    parts(bytes, 4, |head| {
        let [a, b, c, d, ..] = *head else { return None };
        Some((u16::from_ne_bytes([a, b]).into(), u16::from_ne_bytes([c, d])))
    })
}

/// Parts with a head that says length, head included, and kind; each is filled up to four bytes. Ends at the first
/// that is cut.
fn parts(
    mut bytes: &[u8],
    head: usize,
    read: impl Fn(&[u8]) -> Option<(u32, u16)>,
) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let (length, kind) = read(bytes)?;
        let length = usize::try_from(length).ok()?;
        let value = bytes.get(head..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The processes that have one of these sockets open, this one aside.
fn owners(sockets: &[u32]) -> Vec<Holder> {
    let wanted: Vec<PathBuf> =
        sockets.iter().map(|inode| PathBuf::from(format!("socket:[{inode}]"))).collect();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let others = entries.filter_map(process).filter(|process| *process != std::process::id());
    let holder = |process| {
        let folder = PathBuf::from(format!("/proc/{process}"));
        let mut open = std::fs::read_dir(folder.join("fd")).ok()?.flatten();
        open.find(|file| std::fs::read_link(file.path()).is_ok_and(|target| wanted.contains(&target)))?;
        #[allow(clippy::disallowed_methods, reason = "an adapter")]
        let program = std::fs::read_to_string(folder.join("comm")).ok()?;
        Some(Holder { program: program.trim().to_owned(), process })
    };
    others.filter_map(holder).take(NAMED_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    /// Goal: the kernel names the other end of a connection to a socket with a path, and `/proc` its process.
    #[test]
    fn the_other_end_of_a_connection_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pcscd.comm");
        let listener = UnixListener::bind(&path).unwrap();
        let mut child = std::process::Command::new("sh")
            .args(["-c", "exec cat"])
            .stdin(std::process::Stdio::piped())
            .stdout(UnixStream::connect(&path).map(OwnedFd::from).unwrap())
            .spawn()
            .unwrap();
        let (_accepted, _) = listener.accept().unwrap();
        let answers = ask_kernel().unwrap();
        let peers = peers_of(&answers, &path);
        assert_eq!(peers.len(), 1);
        assert!(peers_of(&answers, &folder.path().join("other")).is_empty());
        assert_eq!(owners(&peers).iter().map(|owner| owner.process).collect::<Vec<_>>(), [child.id()]);
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    /// Goal: holders are named for people, and nobody is named where nobody is known.
    #[test]
    fn holders_are_named_for_people() {
        let holder = |program: &str, process| Holder { program: program.to_owned(), process };
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[holder("scdaemon", 812)]).as_deref(), Some("scdaemon (process 812)"));
        let both = [holder("scdaemon", 812), holder("pcsc_scan", 9)];
        assert_eq!(named(&both).as_deref(), Some("scdaemon (process 812) or pcsc_scan (process 9)"));
    }

    proptest! {
        /// Goal: whatever the kernel says is read without a panic, and to an end.
        #[test]
        fn any_answer_of_the_kernel_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(peers_of(&bytes, Path::new("/x")).len() <= bytes.len());
        }

        /// Goal: lengths that do not fit end the reading.
        #[test]
        fn lengths_that_lie_end_the_reading(length in 0_u32..100, kind in any::<u16>()) {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.resize(50, 0);
            prop_assert!(messages(&bytes).count() <= 4);
        }
    }
}
