//! Cut points: with feature `sim`, the environment can stop the process dead at the n-th effect boundary, as a
//! power cut would. Without the feature this module is empty and the packaged daemon knows no such variable.

/// Passes one boundary. `what` names it, for the table of cuts.
#[cfg(feature = "sim")]
#[allow(clippy::disallowed_methods, reason = "only in simulation builds")]
pub(super) fn boundary(what: &dyn core::fmt::Display) {
    use core::sync::atomic::{AtomicU32, Ordering};
    use std::io::Write as _;
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Ok(log) = std::env::var("POSD_CUT_LOG") else { return };
    let wanted: u32 = std::env::var("POSD_CUT").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(log) {
        // A lost line would show as a missing cut point in the test.
        let _written = writeln!(file, "{count} {what}");
    }
    if count == wanted {
        let _killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing, in every build that is not a simulation.
#[cfg(not(feature = "sim"))]
pub(super) const fn boundary(_: &dyn core::fmt::Display) {}
