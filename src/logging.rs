//! Logs: to journald with structured fields where stderr is connected to it, else as text to stderr.
//!
//! Nothing is masked here. Card data cannot reach a log line, because its types have no `Display` and their
//! `Debug` hides it; see [`crate::domain::secret`].
use std::os::unix::fs::MetadataExt;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

/// The environment variable with the filter, such as `debug` or `posd::engine=trace,info`.
pub const FILTER_VARIABLE: &str = "POSD_LOG";
/// What is logged without a filter.
const FILTER_DEFAULT: &str = "info";

/// Starts logging for the whole process; call it once, first of all.
///
/// # Errors
/// It was started before.
#[allow(clippy::disallowed_methods, reason = "the environment says where the log goes")]
pub fn start() -> Result<(), TryInitError> {
    let text = std::env::var(FILTER_VARIABLE).unwrap_or_default();
    let (filter, complaint) = filter(&text);
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let to_journal = stderr_is(&stream).then(journal_layer).flatten();
    // Without the socket of journald its text stream on stderr still works.
    let to_stderr = to_journal.is_none().then(|| fmt::layer().with_writer(std::io::stderr).with_target(true));
    let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> =
        to_journal.map(Layer::boxed).into_iter().chain(to_stderr.map(Layer::boxed)).collect();
    tracing_subscriber::registry().with(layers.with_filter(filter)).try_init()?;
    if let Some(complaint) = complaint {
        tracing::warn!("{FILTER_VARIABLE} is not a filter, {FILTER_DEFAULT} is used: {complaint}");
    }
    Ok(())
}

/// Fields of an event become fields of the journal: `stan` is `POSD_STAN`. `None` if the socket is missing.
fn journal_layer() -> Option<tracing_journald::Layer> {
    let layer = tracing_journald::layer().ok()?;
    Some(layer.with_field_prefix(Some("POSD".to_owned())).with_syslog_identifier("posd".to_owned()))
}

/// The filter, and what is wrong with the text where the default had to be taken instead.
fn filter(text: &str) -> (EnvFilter, Option<String>) {
    if text.trim().is_empty() {
        return (EnvFilter::new(FILTER_DEFAULT), None);
    }
    match EnvFilter::try_new(text) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(FILTER_DEFAULT), Some(error.to_string())),
    }
}

/// True if stderr is the file that `$JOURNAL_STREAM` names by device and inode. systemd sets the variable and
/// a service may have redirected stderr since; systemd.exec(5).
fn stderr_is(stream: &str) -> bool {
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|stat| (stat.dev(), stat.ino()) == (device, inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_defaults_to_info_and_a_bad_one_is_told() {
        let check = |text: &str, shown: &str, bad: bool| {
            let (filter, complaint) = filter(text);
            assert_eq!((filter.to_string().as_str(), complaint.is_some()), (shown, bad), "{text}");
        };
        check("", "info", false);
        check("debug", "debug", false);
        check("posd::engine=trace,warn", "posd::engine=trace,warn", false);
        check("posd=loud", "info", true);
    }

    #[test]
    fn journald_is_used_only_if_stderr_is_its_stream() {
        let stat = std::fs::metadata("/proc/self/fd/2").unwrap();
        assert!(stderr_is(&format!("{}:{}", stat.dev(), stat.ino())));
        assert!(!stderr_is(&format!("{}:{}", stat.dev(), stat.ino() + 1)));
        assert!(!stderr_is(""));
        assert!(!stderr_is("8:x"));
    }
}
