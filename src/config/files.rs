//! Reading the files, laying drop-ins over each other, and the last good copy that keeps a shop open after a
//! bad edit.
#![allow(clippy::disallowed_methods, reason = "configuration is files")]
use super::profiles::{self, Folders, Found};
use super::{Config, emv, groups};
use crate::domain::settings::{ConfigError, ConfigErrors, Entry, Section, Tables};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest file that is read, bytes.
const FILE_MAX: u64 = 1024 * 1024;
/// Most drop-ins.
const DROP_INS_MAX: usize = 64;
/// Where the last good copy stands in the state directory.
const LAST_GOOD: &str = "last-good";

/// Values of `Config.Set` that were confirmed, in the state directory. They lie above the files of the owner.
pub const SET_FILE: &str = "set.toml";

/// The configuration a start goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What to use.
    pub config: Config,
    /// The files it was read from.
    pub sources: Vec<PathBuf>,
    /// What is wrong with the files, where the last good copy is used instead: `StateReasons` has
    /// `config-invalid`.
    pub invalid: Option<ConfigErrors>,
    /// Why the last good copy could not be written; the shop goes on without.
    pub not_kept: Option<String>,
}

/// Reads the files, and keeps a copy of what is good in `state_dir`. If they are bad, reads that copy
/// instead. The copy is on the disk when this returns.
///
/// # Errors
/// The files are bad and there is no good copy yet: the daemon exits with [`super::EXIT_CONFIG`].
pub fn load_or_last_good(path: &Path, state_dir: &Path) -> Result<Loaded, ConfigErrors> {
    let keep = state_dir.join(LAST_GOOD);
    let set = state_dir.join(SET_FILE);
    let text = read_if_there(&set, &mut Vec::new()).unwrap_or_default();
    let (read, refused) = match load_over(path, Some((&set, &text))) {
        // What was set may not fit files that were changed since: the files count.
        Err(errors) => match load(path) {
            Ok(read) => (Ok(read), Some(errors)),
            Err(errors) => (Err(errors), None),
        },
        read => (read, None),
    };
    match read {
        Ok(read) => {
            let not_kept = keep_copy(&keep, &read).err().map(|e| format!("{}: {e}", keep.display()));
            Ok(Loaded { config: read.config, sources: read.sources, invalid: refused, not_kept })
        }
        Err(errors) => match load_from(&keep.join("posd.toml"), &Folders::kept(&keep), None) {
            Ok(read) => {
                let (config, sources) = (read.config, read.sources);
                Ok(Loaded { config, sources, invalid: Some(errors), not_kept: None })
            }
            Err(_) => Err(errors),
        },
    }
}

/// What was read: the configuration, its files, and the texts for the last good copy.
pub(super) struct ReadFiles {
    pub(super) config: Config,
    pub(super) sources: Vec<PathBuf>,
    merged: BTreeMap<String, BTreeMap<String, Entry>>,
    emv_text: String,
    found: Found,
}

/// Reads everything. See [`Config::load`].
pub(super) fn load(path: &Path) -> Result<ReadFiles, ConfigErrors> {
    load_over(path, None)
}

fn load_over(path: &Path, over: Option<(&Path, &str)>) -> Result<ReadFiles, ConfigErrors> {
    load_from(path, &Folders::beside(path), over)
}

/// Reads the files, and a text above them that need not be on the disk: what `Config.Set` would make of them.
///
/// # Errors
/// Everything that is wrong; what is wrong with the text has `name` as its file.
pub fn load_with(path: &Path, name: &Path, text: &str) -> Result<Config, ConfigErrors> {
    load_over(path, Some((name, text))).map(|read| read.config)
}

/// Keeps a text of `Config.Set`. The whole new one or the old one is on the disk whatever happens.
///
/// # Errors
/// The disk does not take it.
pub fn write_set(path: &Path, text: &str) -> io::Result<()> {
    replace(path, text)
}

fn load_from(path: &Path, folders: &Folders, over: Option<(&Path, &str)>) -> Result<ReadFiles, ConfigErrors> {
    let mut errors = Vec::new();
    let mut lists = Vec::new();
    let mut sources = Vec::new();
    let mut all = Tables::default();
    for (file, text) in texts(path, over, &mut errors) {
        let mut tables = Tables::parse(&file, &text, &mut errors);
        lists.extend(tables.lists.keys().map(|name| unknown_table(&file, &tables, name)));
        for (name, entries) in core::mem::take(&mut tables.tables) {
            all.tables.entry(name).or_default().extend(entries);
        }
        all.lines.extend(tables.lines);
        sources.push(file);
    }
    if !errors.is_empty() {
        // What could not be read would only be reported again as missing.
        return Err(sorted(errors));
    }
    errors.extend(lists);
    let merged = all.tables.clone();
    let found = profiles::find(&all, folders, &mut sources, &mut errors);
    let mut take = |name: &str| {
        let place = all.lines.get(name).map(|(file, line)| (file.as_ref().clone(), *line));
        (all.tables.remove(name).unwrap_or_default(), place.unwrap_or_else(|| (path.to_owned(), 0)))
    };
    macro_rules! group {
        ($name:literal, $read:expr) => {{
            let (entries, place) = take($name);
            $read(Section::new(concat!("[", $name, "]"), place, entries, &mut errors))
        }};
    }
    let terminal = group!("terminal", groups::terminal);
    let host = group!("host", |section: Section<'_>| groups::host(section, &found.profile));
    let reader = group!("reader", groups::reader);
    let printer = group!("printer", groups::printer);
    let slip = group!("slip", groups::slip);
    let parameters = group!("emv", groups::emv);
    let store_and_forward = group!("store-and-forward", groups::store_and_forward);
    let batch = group!("batch", groups::batch);
    let operators = group!("operators", groups::operators);
    let links = group!("links", groups::links);
    let security = group!("security", groups::security);
    for (name, entries) in core::mem::take(&mut all.tables) {
        unknown(&name, &entries, &all, &mut errors);
    }
    let (emv, emv_text) = match &parameters {
        Some(file) => read_emv(file, (terminal.as_ref(), reader.as_ref()), &mut sources, &mut errors),
        None => (None, String::new()),
    };
    let config = (|| {
        Some(Config {
            terminal: terminal?,
            host: host?,
            reader: reader?,
            printer: printer?,
            slip: slip?,
            emv_parameters: parameters?,
            emv: emv?,
            store_and_forward: store_and_forward?,
            batch: batch?,
            operators: operators?,
            links: links?,
            security: security?,
        })
    })();
    match config {
        Some(config) if errors.is_empty() => Ok(ReadFiles { config, sources, merged, emv_text, found }),
        _ => Err(sorted(errors)),
    }
}

/// The files in their order, and what lies above them.
fn texts(path: &Path, over: Option<(&Path, &str)>, errors: &mut Vec<ConfigError>) -> Vec<(PathBuf, String)> {
    let files = with_drop_ins(path, errors);
    let read = files.into_iter().filter_map(|file| read_text(&file, errors).map(|text| (file, text)));
    let mut all: Vec<(PathBuf, String)> = read.collect();
    let over = over.filter(|(_, text)| !text.is_empty());
    all.extend(over.map(|(file, text)| (file.to_owned(), text.to_owned())));
    all
}

fn sorted(mut errors: Vec<ConfigError>) -> ConfigErrors {
    errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    ConfigErrors(errors)
}

fn read_emv(
    file: &Path,
    (terminal, reader): (Option<&super::Terminal>, Option<&super::Reader>),
    sources: &mut Vec<PathBuf>,
    errors: &mut Vec<ConfigError>,
) -> (Option<crate::domain::emv::params::EmvConfig>, String) {
    let Some(text) = read_text(file, errors) else { return (None, String::new()) };
    sources.push(file.to_owned());
    (emv::read(file, &text, (terminal, reader.map(|reader| reader.pin_entry)), errors), text)
}

const GROUPS: &str = "[terminal], [host], [reader], [printer], [slip], [emv], [store-and-forward], [batch], \
                      [operators], [links], [security]";

fn unknown_table(file: &Path, tables: &Tables, name: &str) -> ConfigError {
    ConfigError {
        file: file.to_owned(),
        line: tables.lines.get(name).map_or(0, |(_, line)| *line),
        key: format!("[{name}]"),
        problem: "is not known".to_owned(),
        allowed: GROUPS.to_owned(),
    }
}

/// Notes a table that nobody reads; under the empty name stand keys outside any table.
fn unknown(name: &str, entries: &BTreeMap<String, Entry>, all: &Tables, errors: &mut Vec<ConfigError>) {
    if let Some((file, _)) = all.lines.get(name) {
        errors.push(unknown_table(file, all, name));
        return;
    }
    errors.extend(entries.iter().map(|(key, entry)| ConfigError {
        file: entry.file.as_ref().clone(),
        line: entry.line,
        key: key.clone(),
        problem: "stands in no table".to_owned(),
        allowed: GROUPS.to_owned(),
    }));
}

/// The file and its drop-ins by name.
fn with_drop_ins(path: &Path, errors: &mut Vec<ConfigError>) -> Vec<PathBuf> {
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let mut files = vec![path.to_owned()];
    let found = match std::fs::read_dir(&folder) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return files,
        Err(e) => {
            errors.push(whole_file(&folder, format!("cannot be read: {e}")));
            return files;
        }
    };
    let mut drop_ins: Vec<PathBuf> = found
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
        .take(DROP_INS_MAX.saturating_add(1))
        .collect();
    if drop_ins.len() > DROP_INS_MAX {
        errors.push(whole_file(&folder, format!("holds more than {DROP_INS_MAX} files")));
    }
    drop_ins.sort();
    files.extend(drop_ins);
    files
}

fn read_text(file: &Path, errors: &mut Vec<ConfigError>) -> Option<String> {
    let mut text = String::new();
    let read = File::open(file).and_then(|f| f.take(FILE_MAX.saturating_add(1)).read_to_string(&mut text));
    match read {
        Ok(length) if length as u64 > FILE_MAX => {
            errors.push(whole_file(file, format!("is longer than {FILE_MAX} bytes")));
            None
        }
        Ok(_) => Some(text),
        Err(e) => {
            errors.push(whole_file(file, format!("cannot be read: {e}")));
            None
        }
    }
}

/// Reads a file that need not be there.
pub(super) fn read_if_there(file: &Path, errors: &mut Vec<ConfigError>) -> Option<String> {
    // A file that may not be looked at, or a link to nowhere, is not one that is not there.
    match file.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        _ => read_text(file, errors),
    }
}

pub(super) fn whole_file(file: &Path, problem: String) -> ConfigError {
    ConfigError { file: file.to_owned(), line: 0, key: String::new(), problem, allowed: String::new() }
}

/// Writes the last good copy: the merged file, and the parameters it names beside it. The parameters come
/// first, so that a power cut leaves no file that names missing ones.
fn keep_copy(keep: &Path, read: &ReadFiles) -> io::Result<()> {
    if !keep.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(keep)?;
    }
    let emv = std::path::absolute(keep)?.join("emv.toml");
    let mut root = toml::Table::new();
    for (name, entries) in &read.merged {
        let values = entries.iter().map(|(key, entry)| (key.clone(), entry.value.clone()));
        root.insert(name.clone(), toml::Value::Table(values.collect()));
    }
    let path = toml::Value::String(emv.display().to_string());
    root.insert(
        "emv".to_owned(),
        toml::Value::Table([("parameters".to_owned(), path)].into_iter().collect()),
    );
    let text = toml::to_string(&root).map_err(io::Error::other)?;
    replace(&emv, &read.emv_text)?;
    for (file, text) in Folders::kept(keep).files(&read.found.name).iter().zip(&read.found.texts) {
        if let Some(folder) = file.parent().filter(|folder| !folder.is_dir()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        replace(file, text)?;
    }
    replace(&keep.join("posd.toml"), &text)
}

/// Replaces a file as a whole, readable to nobody else, durable when it returns. An equal one is left alone,
/// to spare the flash.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
