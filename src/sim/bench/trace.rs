//! Counts what the daemon asks of the disk, from the lines of `strace`.
//!
//! The daemon runs under `strace -D -f -ttt -o /dev/stdout`: strace is then its grandchild, so the daemon stays our own
//! child, and the lines come through the pipe that we hold. Each line carries the wall time of the call to the
//! microsecond. The till notes the same clock before and after each deed; a call belongs to the deed in whose span it
//! began. Calls before the first deed and after the last are left out. strace slows the daemon down, so
//! nothing else is measured in that shop.
use std::io::{BufRead, BufReader, Error, Read};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// strace with its arguments.
pub(super) const STRACE: &[&str] = &[
    "strace",
    "-D",
    "-f",
    "-ttt",
    "-qq",
    "-e",
    "trace=fdatasync,fsync,sync_file_range,syncfs,sync,msync",
    "-e",
    "signal=none",
    "-o",
    "/dev/stdout",
];

/// Time since 1970, as strace prints it.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A call that syncs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sync {
    /// When it began, since 1970.
    at: Duration,
    /// Its name.
    name: String,
}

/// Takes the lines as they come, until the daemon and strace have both ended.
pub(super) fn collect(lines: impl Read + Send + 'static) -> Result<JoinHandle<Vec<Sync>>, Error> {
    let read =
        move || BufReader::new(lines).lines().map_while(Result::ok).filter_map(|l| parse(&l)).collect();
    thread::Builder::new().name("strace-lines".to_owned()).spawn(read)
}

/// Reads `1234  1700000000.123456 fdatasync(17) = 0`. The second half of a call that was interrupted by another
/// thread's line (`<... fdatasync resumed>`) is no call of its own.
fn parse(line: &str) -> Option<Sync> {
    let mut words = line.split_whitespace();
    let (seconds, micros) = words.nth(1)?.split_once('.')?;
    let at = Duration::from_secs(seconds.parse().ok()?)
        .checked_add(Duration::from_micros(micros.parse().ok()?))?;
    let (name, _) = words.next()?.split_once('(')?;
    let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    named.then(|| Sync { at, name: name.to_owned() })
}

/// From when to when, since 1970.
pub(super) type Span = (Duration, Duration);

/// How often `name` began in each span, fewest first. `None` counts every call.
pub(super) fn per_span(calls: &[Sync], spans: &[Span], name: Option<&str>) -> Vec<usize> {
    let wanted = |call: &&Sync| name.is_none_or(|name| call.name == name);
    let in_span =
        |(from, to): &Span| calls.iter().filter(wanted).filter(|call| (from..to).contains(&&call.at)).count();
    let mut counts: Vec<usize> = spans.iter().map(in_span).collect();
    counts.sort_unstable();
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
71  1700000000.000001 fdatasync(17)     = 0
72  1700000001.500000 fsync(9 <unfinished ...>
71  1700000001.600000 fdatasync(17) = 0
72  1700000001.700000 <... fsync resumed>) = 0
71  1700000002.000000 +++ exited with 0 +++
";

    /// A call is counted once, in the span in which it began.
    #[test]
    fn calls_are_counted_by_span() {
        let calls = collect(LINES.as_bytes()).unwrap().join().unwrap();
        assert_eq!(calls.len(), 3);
        let second = |second: u64| Duration::from_secs(1_700_000_000 + second);
        let spans = [0, 1, 2].map(|at| (second(at), second(at + 1)));
        assert_eq!(per_span(&calls, &spans, None), [0, 1, 2]);
        assert_eq!(per_span(&calls, &spans, Some("fdatasync")), [0, 1, 1]);
    }
}
