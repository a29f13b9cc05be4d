//! The readers that are watched: the plugged ones, and what PC/SC's flags say of each.
use std::collections::BTreeMap;

use pcsc::{Error, PNP_NOTIFICATION, State};

use super::port::{Manager, Seen};
use super::watch::Reported;

/// pcsc-lite 1.9 takes 16 states in one wait; one is the plug notification.
const READERS_MAX: usize = 15;

/// Makes the watched states follow the plugged readers, the plug notification first. True if they differ.
///
/// Done before every wait: the notification of pcsc-lite 1.9 misses what happens between two waits.
pub(super) fn follow_names(manager: &dyn Manager, states: &mut Vec<Seen>) -> Result<bool, Error> {
    let mut names = manager.readers()?;
    names.truncate(READERS_MAX);
    let same = states.iter().skip(1).map(|seen| &seen.name).eq(&names);
    if same && !states.is_empty() {
        return Ok(false);
    }
    states.clear();
    states.push(Seen::new(PNP_NOTIFICATION()));
    states.extend(names.into_iter().map(Seen::new));
    Ok(true)
}

/// Its PC/SC name.
pub(super) fn name_of(state: &Seen) -> String {
    state.name.to_string_lossy().into_owned()
}

/// One reader as PC/SC reports it. `ours`: the reader that this worker itself holds.
pub(super) fn reported(state: &Seen, ours: Option<&str>, pin_pads: &BTreeMap<String, bool>) -> Reported {
    let name = name_of(state);
    Reported {
        present: state.has(State::PRESENT),
        held: state.has(State::EXCLUSIVE) && ours != Some(name.as_str()),
        holders: Vec::new(),
        pin_pad: pin_pads.get(&name).copied().unwrap_or_default(),
        event_count: state.event_count(),
        name,
    }
}
