//! Reads secrets from file descriptors and hands receipts out as such: nothing secret ever stands in a
//! message.
//!
//! Taken are a memfd sealed against write, grow and shrink, and a pipe; anything else could change or block
//! under the reader. The reading runs on a thread of its own, so that a pipe that never closes holds nothing
//! but that thread, and that not beyond the deadline.
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, MemfdFlags, OFlags, SealFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Longest secret, bytes.
pub(super) const SECRET_MAX: usize = 64;
/// For a client to write a secret and close the pipe.
pub(super) const SECRET_WAIT: Duration = Duration::from_secs(5);
/// Secrets read at once, each on its thread.
static READERS: Semaphore = Semaphore::const_new(8);
/// How often the thread looks whether anybody still waits.
const SLICE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Why a secret cannot be had. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SecretFdError {
    /// Not a sealed memfd, nor the reading end of a pipe.
    #[error("the file descriptor must be a memfd sealed against write, grow and shrink, or a pipe")]
    WrongKind,
    /// More than 64 bytes.
    #[error("the secret has more than {SECRET_MAX} bytes")]
    TooLong,
    /// The writer did not close the pipe in time.
    #[error("the pipe was not closed in time; write the secret and close it")]
    TooSlow,
    /// Eight secrets are being read already.
    #[error("too many secrets are being read; try again")]
    TooMany,
    /// The kernel said no.
    #[error("the file descriptor cannot be read: {0}")]
    Broken(Errno),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Memfd,
    Pipe,
}

/// Reads all of it, at most [`SECRET_MAX`] bytes, within `wait`; closes it and wipes the buffer.
///
/// # Errors
/// As in [`SecretFdError`].
pub(super) async fn read_secret(fd: OwnedFd, wait: Duration) -> Result<Zeroizing<Vec<u8>>, SecretFdError> {
    let source = source_of(&fd)?;
    let _place = READERS.try_acquire().map_err(|_| SecretFdError::TooMany)?;
    let (answer, read) = oneshot::channel();
    std::thread::Builder::new()
        .name("posd-secret".to_owned())
        .spawn(move || read_on_thread(&fd, source, answer))
        .map_err(|_| SecretFdError::TooMany)?;
    match timeout(wait, read).await {
        Ok(Ok(result)) => result,
        // Dropping the receiver tells the thread to end.
        Ok(Err(_)) | Err(_) => Err(SecretFdError::TooSlow),
    }
}

fn source_of(fd: &OwnedFd) -> Result<Source, SecretFdError> {
    const SEALED: SealFlags = SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK);
    let stat = rustix::fs::fstat(fd).map_err(SecretFdError::Broken)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => {
            let flags = rustix::fs::fcntl_getfl(fd).map_err(SecretFdError::Broken)?;
            if flags & OFlags::ACCMODE == OFlags::WRONLY {
                return Err(SecretFdError::WrongKind);
            }
            // The client holds the other descriptors of this pipe and may read from it too; then a read after
            // poll would block. A client that takes the flag away again only blocks one of the eight threads.
            rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(SecretFdError::Broken)?;
            Ok(Source::Pipe)
        }
        FileType::RegularFile if rustix::fs::fcntl_get_seals(fd).is_ok_and(|s| s.contains(SEALED)) => {
            Ok(Source::Memfd)
        }
        _ => Err(SecretFdError::WrongKind),
    }
}

type Read = Result<Zeroizing<Vec<u8>>, SecretFdError>;

fn read_on_thread(fd: &OwnedFd, source: Source, answer: oneshot::Sender<Read>) {
    // One byte more than allowed, to see what is too long.
    let mut buffer = Zeroizing::new([0_u8; SECRET_MAX + 1]);
    let mut length = 0;
    let result = loop {
        if answer.is_closed() {
            return;
        }
        let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) else {
            break Err(SecretFdError::TooLong);
        };
        match read_some(fd, source, length, rest) {
            Ok(Some(0)) => break Ok(Zeroizing::new(buffer.get(..length).unwrap_or_default().to_vec())),
            Ok(Some(count)) => length = length.saturating_add(count),
            Ok(None) => {}
            Err(error) => break Err(SecretFdError::Broken(error)),
        }
    };
    // Nobody waits any more: the secret is wiped with the message.
    answer.send(result).ok();
}

/// One read: the number of bytes, 0 at the end, `None` when there is nothing yet.
fn read_some(fd: &OwnedFd, source: Source, offset: usize, rest: &mut [u8]) -> Result<Option<usize>, Errno> {
    let read = match source {
        // At an offset of our own: the client shares the file position and may leave it at the end.
        Source::Memfd => rustix::io::pread(fd, rest, u64::try_from(offset).unwrap_or(u64::MAX)),
        Source::Pipe => {
            poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&SLICE)).and_then(|ready| match ready {
                0 => Err(Errno::AGAIN),
                _ => rustix::io::read(fd, rest),
            })
        }
    };
    match read {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A memfd with `bytes`, sealed against any change, its position at the start.
///
/// # Errors
/// No memory, or no descriptor left.
pub(super) fn sealed_memfd(name: &str, bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    seal(file)
}

/// Seals a memfd against any change and puts its position at the start.
///
/// # Errors
/// It was not made for sealing.
pub(super) fn seal(mut file: File) -> std::io::Result<OwnedFd> {
    file.rewind()?;
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    fn read(fd: impl Into<OwnedFd>, wait_ms: u64) -> Result<Vec<u8>, SecretFdError> {
        run(read_secret(fd.into(), Duration::from_millis(wait_ms))).map(|secret| secret.to_vec())
    }

    /// A pipe that holds `bytes`; the writer is returned so that it can be kept open.
    fn pipe_with(bytes: &[u8]) -> (OwnedFd, OwnedFd) {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&writer, bytes).unwrap();
        (reader, writer)
    }

    #[test]
    fn a_sealed_memfd_and_a_closed_pipe_are_read() {
        assert_eq!(read(sealed_memfd("t", b"1234").unwrap(), 1000), Ok(b"1234".to_vec()));
        let (reader, writer) = pipe_with(b"5678");
        drop(writer);
        assert_eq!(read(reader, 1000), Ok(b"5678".to_vec()));
        let (reader, writer) = pipe_with(b"");
        drop(writer);
        assert_eq!(read(reader, 1000), Ok(vec![]));
    }

    #[test]
    fn the_client_may_leave_the_memfd_at_its_end() {
        let mut file = File::from(sealed_memfd("t", b"1234").unwrap());
        let mut all = Vec::new();
        file.read_to_end(&mut all).unwrap();
        assert_eq!(read(OwnedFd::from(file), 1000), Ok(b"1234".to_vec()));
    }

    #[test]
    fn what_could_change_under_the_reader_is_refused() {
        let unsealed = rustix::fs::memfd_create("t", MemfdFlags::ALLOW_SEALING).unwrap();
        assert_eq!(read(unsealed, 1000), Err(SecretFdError::WrongKind));
        let half = rustix::fs::memfd_create("t", MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::fcntl_add_seals(&half, SealFlags::WRITE | SealFlags::GROW).unwrap();
        assert_eq!(read(half, 1000), Err(SecretFdError::WrongKind));
        assert_eq!(read(tempfile::tempfile().unwrap(), 1000), Err(SecretFdError::WrongKind));
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(read(socket, 1000), Err(SecretFdError::WrongKind));
    }

    #[test]
    fn a_secret_above_64_bytes_is_refused() {
        assert_eq!(read(sealed_memfd("t", &[b'1'; 64]).unwrap(), 1000), Ok(vec![b'1'; 64]));
        assert_eq!(read(sealed_memfd("t", &[b'1'; 65]).unwrap(), 1000), Err(SecretFdError::TooLong));
        let (reader, _writer) = pipe_with(&[b'1'; 65]);
        assert_eq!(read(reader, 1000), Err(SecretFdError::TooLong));
    }

    #[test]
    fn a_pipe_that_never_closes_ends_with_the_deadline() {
        let (reader, _writer) = pipe_with(b"12");
        assert_eq!(read(reader, 50), Err(SecretFdError::TooSlow));
    }

    /// The writing end is a pipe, too, but nothing can be read from it.
    #[test]
    fn the_writing_end_is_refused() {
        let (_reader, writer) = rustix::pipe::pipe().unwrap();
        assert_eq!(read(writer, 1000), Err(SecretFdError::WrongKind));
    }
}
