//! Files of printers that are known to be odd: those of the package, and the machine owner's own.
//!
//! A file of `/etc` replaces the package's file of the same name; otherwise all are read in the order of their names,
//! the package's first. One that is wrong is told and left out: a shop does not stay closed for it.
#![allow(clippy::disallowed_methods, reason = "configuration is files")]
use super::files::read_if_there;
use crate::domain::quirks::{Quirk, read};
use crate::domain::settings::ConfigErrors;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The package's folder.
const SHARED: &str = "/usr/share/posd/quirks";
/// Most files in a folder.
const FILES_MAX: usize = 128;

/// Reads the package's files, and those in `quirks` beside the configuration. What is wrong comes beside what is good.
#[must_use]
pub fn load_quirks(config: &Path) -> (Vec<Quirk>, Vec<ConfigErrors>) {
    from_folders(&[PathBuf::from(SHARED), config.with_file_name("quirks")])
}

fn from_folders(folders: &[PathBuf]) -> (Vec<Quirk>, Vec<ConfigErrors>) {
    let mut quirks = Vec::new();
    let mut wrong = Vec::new();
    for file in files(folders) {
        let mut errors = Vec::new();
        let Some(text) = read_if_there(&file, &mut errors) else {
            wrong.extend((!errors.is_empty()).then_some(ConfigErrors(errors)));
            continue;
        };
        match read(&file, &text) {
            Ok(of_file) => quirks.extend(of_file),
            Err(errors) => wrong.push(errors),
        }
    }
    (quirks, wrong)
}

/// The files that count: of each folder in the order of names, without those that a later folder has too.
fn files(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: BTreeMap<String, (usize, PathBuf)> = BTreeMap::new();
    for (place, folder) in folders.iter().enumerate() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let mut paths: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
        paths.sort();
        paths.truncate(FILES_MAX);
        for path in paths {
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            found.insert(name, (place, path));
        }
    }
    let mut files: Vec<(usize, PathBuf)> = found.into_values().collect();
    files.sort_by_key(|(place, _)| *place);
    files.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the owner's file of the same name replaces the package's, both orders hold, and a bad file costs only
    /// itself.
    #[test]
    fn own_files_replace_and_follow_those_of_the_package() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let put = |file: &str, width: &str| {
            let path = place(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("[[printer]]\nmodel = \"X*\"\nwidth-dots = {width}\n")).unwrap();
        };
        put("shared/10-a.toml", "384");
        put("shared/90-z.toml", "400");
        put("own/10-a.toml", "576");
        put("own/20-bad.toml", "577");
        put("own/notes.txt", "x");
        let (quirks, wrong) = from_folders(&[place("shared"), place("own"), place("none")]);
        let files: Vec<_> = quirks.iter().map(|quirk| quirk.file.as_str()).collect();
        assert_eq!(files, ["90-z.toml", "10-a.toml"]);
        let (traits, _) = crate::domain::quirks::apply(&quirks, None, "XP-80");
        assert_eq!(traits.width_dots, Some(576));
        let [errors] = wrong.as_slice() else { panic!("{wrong:?}") };
        let said = errors.to_string();
        assert!(said.contains("20-bad.toml:1") && said.contains("multiple of 8"), "{said}");
    }
}
