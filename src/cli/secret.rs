//! Secrets on their way to the daemon: read from a file, an inherited descriptor or the terminal without echo, handed
//! on in a sealed memfd, wiped here. They are never arguments, and never in the environment.
use super::failure::{Exit, Failure};
use super::tty::{self, Question};
use super::words::Pair;
use super::{args, screen::Screen};
use crate::domain::secret::ClearPin;
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a secret.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

/// The most bytes of one secret; the bus contract takes no more.
const SECRET_MAX: usize = 64;
/// The most bytes of a secret file: two secrets and their line ends.
const FILE_MAX: u64 = 2 * (SECRET_MAX as u64 + 2);

/// Puts a secret into a memfd sealed against write, grow and shrink, as the contract asks.
pub(crate) fn sealed(secret: &[u8]) -> Result<OwnedFd, Failure> {
    let make = || -> std::io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(rustix::fs::memfd_create("posctl-secret", flags)?);
        file.write_all(secret)?;
        file.rewind()?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Ok(file.into())
    };
    make().map_err(|error| Failure::io("a sealed memory file cannot be made", &error))
}

/// The PIN that was handed over for this run; `None` if a person or another agent is to be asked.
pub(crate) fn given_pin(options: &args::AgentOptions) -> Result<Option<Secret>, Failure> {
    let Some(path) = path_of(options.pin_file.as_deref(), options.pin_fd) else { return Ok(None) };
    let pin = first_line(&read(&path)?);
    if pin.is_empty() || ClearPin::new(&pin).is_ok() {
        Ok(Some(pin))
    } else {
        Err(Failure::usage("the PIN must be 4 to 12 digits, or nothing for a bypass"))
    }
}

/// One password: from the file or descriptor, else from the person at the terminal.
pub(crate) async fn password(
    screen: &Screen,
    source: &args::SecretSource,
    ask: Pair,
) -> Result<Secret, Failure> {
    password_in_line(screen, source, ask, 0).await
}

/// The password in one of the lines of the file or descriptor, counted from 0; else from the person.
pub(crate) async fn password_in_line(
    screen: &Screen,
    source: &args::SecretSource,
    ask: Pair,
    line: usize,
) -> Result<Secret, Failure> {
    let Some(path) = path_of(source.secret_file.as_deref(), source.secret_fd) else {
        return typed(screen, ask).await;
    };
    let bytes = read(&path)?;
    let wanted = bytes.split(|byte| *byte == b'\n').nth(line);
    let missing =
        || Failure::usage(format!("the secret file has no password in line {}", line.saturating_add(1)));
    wanted.map(first_line).ok_or_else(missing)
}

/// A new password: from the first line of the file or descriptor, or typed twice.
pub(crate) async fn new_password(
    screen: &Screen,
    source: &args::SecretSource,
    [new, again]: [Pair; 2],
) -> Result<Secret, Failure> {
    if path_of(source.secret_file.as_deref(), source.secret_fd).is_some() {
        return password(screen, source, new).await;
    }
    let (new, again) = (typed(screen, new).await?, typed(screen, again).await?);
    if *new == *again { Ok(new) } else { Err(differ()) }
}

fn differ() -> Failure {
    Failure::new(Exit::Failed, "Cancelled", "the two new passwords differ; nothing was changed")
}

/// Old and new password. A file has one in each of its first two lines; a person types the new one twice.
pub(crate) async fn password_change(
    screen: &Screen,
    source: &args::SecretSource,
    asks: [Pair; 3],
) -> Result<(Secret, Secret), Failure> {
    if let Some(path) = path_of(source.secret_file.as_deref(), source.secret_fd) {
        let bytes = read(&path)?;
        let mut lines = bytes.split(|byte| *byte == b'\n').map(first_line);
        return match (lines.next(), lines.next()) {
            (Some(old), Some(new)) if !new.is_empty() => Ok((old, new)),
            _ => Err(Failure::usage("the secret file must have the old and the new password in two lines")),
        };
    }
    let [old, new, again] = asks;
    let old = typed(screen, old).await?;
    Ok((old, new_password(screen, source, [new, again]).await?))
}

/// Asks at the terminal without echo.
async fn typed(screen: &Screen, ask: Pair) -> Result<Secret, Failure> {
    if !screen.interactive {
        return Err(Failure::usage(
            "a secret is needed and nobody can be asked; use --secret-file or --secret-fd",
        ));
    }
    tty::line(Question::silent(screen.word(ask))?).await
}

/// A descriptor is opened anew by its name under /proc, so that no ownership is taken of a number.
fn path_of(file: Option<&Path>, fd: Option<u32>) -> Option<PathBuf> {
    file.map(Path::to_path_buf).or_else(|| fd.map(|fd| PathBuf::from(format!("/proc/self/fd/{fd}"))))
}

#[allow(
    clippy::disallowed_methods,
    reason = "posctl is an outer layer; it reads the secret file it was told to"
)]
fn read(path: &Path) -> Result<Secret, Failure> {
    let what = || format!("the secret in {} cannot be read", path.display());
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    let file = File::open(path).map_err(|error| Failure::io(&what(), &error))?;
    file.take(FILE_MAX.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io(&what(), &error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_MAX {
        return Err(Failure::usage(format!("{}: more than {FILE_MAX} bytes", path.display())));
    }
    Ok(bytes)
}

/// Up to the line end, without a carriage return.
fn first_line(bytes: impl AsRef<[u8]>) -> Secret {
    let line = bytes.as_ref().split(|byte| *byte == b'\n').next().unwrap_or_default();
    Zeroizing::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The daemon takes only what nobody can change any more.
    #[test]
    fn a_secret_travels_in_a_sealed_memfd() {
        let fd = sealed(b"1234").unwrap();
        let seals = rustix::fs::fcntl_get_seals(&fd).unwrap();
        assert!(seals.contains(SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK));
        let mut file = File::from(fd);
        assert!(file.write_all(b"x").is_err());
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "1234");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the test makes its own file")]
    fn a_pin_file_holds_digits_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        let check = |content: &str| {
            std::fs::write(&path, content).unwrap();
            let options = args::AgentOptions { pin_file: Some(path.clone()), ..Default::default() };
            given_pin(&options).map(|pin| pin.unwrap().to_vec())
        };
        assert_eq!(check("1234\n").unwrap(), b"1234");
        assert_eq!(check("123456\r\n").unwrap(), b"123456");
        assert_eq!(check("").unwrap(), b"");
        assert_eq!(check("12a4").unwrap_err().exit, Exit::Usage);
        assert_eq!(check(&"1".repeat(500)).unwrap_err().exit, Exit::Usage);
    }
}
