//! Where the acquirer's profile is found: the compiled-in one, and files of its name that change it.
//!
//! A file holds only what it changes. The one of the package comes first, the one of the machine's owner after it.
use super::files::read_if_there;
use crate::domain::profile::{self, Profile};
use crate::domain::settings::{ConfigError, Tables};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The package's folder.
const SHARED: &str = "/usr/share/posd/profiles";
/// Longest name.
const NAME_MAX: usize = 32;

/// The folders in which profiles stand, in the order in which they count.
pub(super) struct Folders([PathBuf; 2]);

impl Folders {
    /// For a configuration file: the package's folder, and `profiles` beside the file.
    pub(super) fn beside(config: &Path) -> Self {
        Self([PathBuf::from(SHARED), config.with_file_name("profiles")])
    }

    /// For the last good copy.
    pub(super) fn kept(keep: &Path) -> Self {
        Self([keep.join("shared-profiles"), keep.join("profiles")])
    }

    /// The files of a profile.
    pub(super) fn files(&self, name: &str) -> [PathBuf; 2] {
        self.0.each_ref().map(|folder| folder.join(format!("{name}.toml")))
    }
}

/// What was read: the profile, and the text of each layer; an absent one is empty.
pub(super) struct Found {
    pub(super) profile: Arc<Profile>,
    pub(super) name: String,
    pub(super) texts: [String; 2],
}

/// True for a name that can be a file's.
pub(super) fn is_name(text: &str) -> bool {
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    !text.is_empty() && text.len() <= NAME_MAX && text.bytes().all(good)
}

/// Reads the profile that `[host] profile` names; what is wrong is noted, and the compiled-in one stands in for the
/// rest of the reading.
pub(super) fn find(
    tables: &Tables,
    folders: &Folders,
    sources: &mut Vec<PathBuf>,
    errors: &mut Vec<ConfigError>,
) -> Found {
    let name = tables.tables.get("host").and_then(|host| host.get("profile"));
    let name = name.and_then(|entry| entry.value.as_str());
    // A name that cannot be a file's is told by the reading of its table.
    let name = name.filter(|name| is_name(name)).unwrap_or(profile::UNIONPAY);
    let mut profile = Profile::clone(&Profile::unionpay());
    name.clone_into(&mut profile.name);
    let mut seen = name == profile::UNIONPAY;
    let files = folders.files(name);
    let texts = files.each_ref().map(|file| {
        let Some(text) = read_if_there(file, errors) else { return String::new() };
        // An empty file of the last good copy says that there was none.
        seen = seen || !text.is_empty();
        match profile::read(name, file, &text, Some(&profile)) {
            Ok(changed) => profile = changed,
            Err(wrong) => errors.extend(wrong.0),
        }
        sources.push(file.clone());
        text
    });
    if !seen {
        errors.push(ConfigError {
            file: files.into_iter().next_back().unwrap_or_default(),
            line: 0,
            key: "[host] profile".to_owned(),
            problem: format!("names {name}, and there is no such profile"),
            allowed: format!("{}, or the name of a file in that folder or in {SHARED}", profile::UNIONPAY),
        });
    }
    Found { profile: Arc::new(profile), name: name.to_owned(), texts }
}
