//! A table of a TOML text as its reader sees it: keys are taken one by one with their limits; what is wrong
//! is noted with file and line, and so is what nobody took. Reads text only: files are opened elsewhere.
use core::fmt;
use core::ops::RangeInclusive;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use toml::Value;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) file: Rc<PathBuf>,
    pub(crate) line: usize,
}

/// A table of a list such as `[[aid]]`: its keys and its line.
pub(crate) type ListedTable = (BTreeMap<String, Entry>, usize);

/// The tables of one file by name; keys outside any table stand under the empty name. Lists of tables are
/// kept apart.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) tables: BTreeMap<String, BTreeMap<String, Entry>>,
    pub(crate) lists: BTreeMap<String, Vec<ListedTable>>,
    pub(crate) lines: BTreeMap<String, (Rc<PathBuf>, usize)>,
}

impl Tables {
    /// Reads a text; syntax errors are noted with their lines, and what could be read is returned
    /// nevertheless.
    pub(crate) fn parse(file: &Path, text: &str, errors: &mut Vec<ConfigError>) -> Self {
        let file = Rc::new(file.to_owned());
        let (root, broken) = DeTable::parse_recoverable(text);
        let lines = Lines::of(text);
        errors.extend(broken.iter().map(|error| ConfigError {
            file: file.as_ref().clone(),
            line: error.span().map_or(0, |span| lines.at(span.start)),
            key: String::new(),
            problem: format!("is not TOML: {}", error.message()),
            allowed: String::new(),
        }));
        let mut tables = Self::default();
        for (key, value) in root.get_ref() {
            let name = key.get_ref().to_string();
            let line = lines.at(key.span().start);
            match value.get_ref() {
                DeValue::Table(table) => {
                    tables.lines.insert(name.clone(), (Rc::clone(&file), line));
                    tables.tables.insert(name, entries(table, &file, &lines));
                }
                DeValue::Array(list) if is_tables(value.get_ref()) => {
                    let each = |item: &toml::Spanned<DeValue<'_>>| {
                        let table = item.get_ref().as_table();
                        let found = table.map(|t| entries(t, &file, &lines)).unwrap_or_default();
                        (found, lines.at(item.span().start))
                    };
                    tables.lines.insert(name.clone(), (Rc::clone(&file), line));
                    tables.lists.insert(name, list.iter().map(each).collect());
                }
                other => {
                    let entry = Entry { value: plain(other), file: Rc::clone(&file), line };
                    tables.tables.entry(String::new()).or_default().insert(name, entry);
                }
            }
        }
        tables
    }
}

fn is_tables(value: &DeValue<'_>) -> bool {
    value.as_array().is_some_and(|a| !a.is_empty() && a.iter().all(|item| item.get_ref().is_table()))
}

fn entries(table: &DeTable<'_>, file: &Rc<PathBuf>, lines: &Lines) -> BTreeMap<String, Entry> {
    let each = |(key, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
        let line = lines.at(key.span().start);
        (key.get_ref().to_string(), Entry { value: plain(value.get_ref()), file: Rc::clone(file), line })
    };
    table.iter().map(each).collect()
}

/// The value without its places. An integer beyond 64 bits becomes a float, which no key takes.
fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Float(f64::INFINITY),
            }
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(at) => Value::Datetime(*at),
        DeValue::Array(list) => Value::Array(list.iter().map(|item| plain(item.get_ref())).collect()),
        DeValue::Table(table) => {
            Value::Table(table.iter().map(|(k, v)| (k.get_ref().to_string(), plain(v.get_ref()))).collect())
        }
    }
}

/// Where lines end, because to count them anew for each key would be most of the daemon's start.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    /// The line of a byte, from 1.
    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset).saturating_add(1)
    }
}

/// One table while its keys are taken. Each reading method returns `None` after it has noted what is wrong.
pub(crate) struct Section<'e> {
    /// As errors call it: `[host]`, `[[aid]] 2`; empty for keys outside any table.
    name: String,
    /// Where a missing key is reported.
    place: (PathBuf, usize),
    entries: BTreeMap<String, Entry>,
    known: Vec<&'static str>,
    /// Where keys stood that were taken.
    taken: BTreeMap<&'static str, (Rc<PathBuf>, usize)>,
    errors: &'e mut Vec<ConfigError>,
}

impl<'e> Section<'e> {
    pub(crate) fn new(
        name: &str,
        place: (PathBuf, usize),
        entries: BTreeMap<String, Entry>,
        errors: &'e mut Vec<ConfigError>,
    ) -> Self {
        Self { name: name.to_owned(), place, entries, known: Vec::new(), taken: BTreeMap::new(), errors }
    }

    fn label(&self, key: &str) -> String {
        format!("{} {key}", self.name).trim().to_owned()
    }

    fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.known.push(key);
        let entry = self.entries.remove(key)?;
        self.taken.insert(key, (Rc::clone(&entry.file), entry.line));
        Some(entry)
    }

    /// Notes that a key's value is wrong.
    fn wrong(&mut self, key: &str, entry: &Entry, problem: &str, allowed: &str) {
        let file = entry.file.as_ref().clone();
        let key = self.label(key);
        self.note(ConfigError {
            file,
            line: entry.line,
            key,
            problem: problem.to_owned(),
            allowed: allowed.to_owned(),
        });
    }

    /// Notes something wrong with the table as a whole.
    pub(crate) fn wrong_table(&mut self, key: &str, problem: &str, allowed: &str) {
        let (file, line) = self.place.clone();
        let key = self.label(key);
        self.note(ConfigError { file, line, key, problem: problem.to_owned(), allowed: allowed.to_owned() });
    }

    /// Notes that two values do not go together, at the first of the two that this text has.
    pub(crate) fn contradiction(&mut self, keys: [&'static str; 2], why: &str) {
        let [first, second] = keys;
        let at = |key| self.taken.get(key).map(|(file, line)| (file.as_ref().clone(), *line));
        let (file, line) = at(first).or_else(|| at(second)).unwrap_or_else(|| self.place.clone());
        let key = self.label(first);
        let problem = format!("and {second} do not go together");
        self.note(ConfigError { file, line, key, problem, allowed: why.to_owned() });
    }

    fn note(&mut self, error: ConfigError) {
        self.errors.push(error);
    }

    fn missing<T>(&mut self, key: &str, default: Option<T>, allowed: &str) -> Option<T> {
        if default.is_none() {
            self.wrong_table(key, "is missing", allowed);
        }
        default
    }

    /// A text that `read` accepts.
    pub(crate) fn text<T>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let Some(entry) = self.take(key) else { return self.missing(key, default, allowed) };
        let value = match &entry.value {
            Value::String(text) => read(text),
            _ => None,
        };
        if value.is_none() {
            self.wrong(key, &entry, &format!("is {}", shown(&entry.value)), allowed);
        }
        value
    }

    /// A text that may be absent: `Some(None)` then.
    #[cfg(feature = "daemon")]
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        self.text(key, Some(None), allowed, |text| read(text).map(Some))
    }

    /// A whole number within limits.
    #[cfg(feature = "daemon")]
    pub(crate) fn number<T: TryFrom<i64>>(
        &mut self,
        key: &'static str,
        default: i64,
        limits: RangeInclusive<i64>,
        unit: &str,
    ) -> Option<T> {
        self.number_or(key, Some(default), limits, unit)
    }

    /// A whole number within limits that may be absent: `Some(None)` then.
    pub(crate) fn number_if_there<T: TryFrom<i64>>(
        &mut self,
        key: &'static str,
        limits: RangeInclusive<i64>,
        unit: &str,
    ) -> Option<Option<T>> {
        if self.entries.contains_key(key) {
            return self.number_or(key, None, limits, unit).map(Some);
        }
        self.known.push(key);
        Some(None)
    }

    /// A whole number within limits, which may be one that must be there.
    pub(crate) fn number_or<T: TryFrom<i64>>(
        &mut self,
        key: &'static str,
        default: Option<i64>,
        limits: RangeInclusive<i64>,
        unit: &str,
    ) -> Option<T> {
        let allowed = format!("{} to {}{unit}", limits.start(), limits.end());
        let Some(entry) = self.take(key) else {
            return self.missing(key, default, &allowed).and_then(|default| T::try_from(default).ok());
        };
        let value = match entry.value {
            Value::Integer(number) if limits.contains(&number) => T::try_from(number).ok(),
            _ => None,
        };
        if value.is_none() {
            self.wrong(key, &entry, &format!("is {}", shown(&entry.value)), &allowed);
        }
        value
    }

    /// True or false.
    #[cfg(feature = "daemon")]
    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> Option<bool> {
        self.flag_or(key, Some(default))
    }

    /// True or false, which may be absent: `Some(None)` then.
    pub(crate) fn flag_if_there(&mut self, key: &'static str) -> Option<Option<bool>> {
        if self.entries.contains_key(key) {
            return self.flag_or(key, None).map(Some);
        }
        self.known.push(key);
        Some(None)
    }

    /// True or false, which may have to be there.
    pub(crate) fn flag_or(&mut self, key: &'static str, default: Option<bool>) -> Option<bool> {
        let Some(entry) = self.take(key) else { return self.missing(key, default, "true, false") };
        if let Value::Boolean(flag) = entry.value {
            return Some(flag);
        }
        self.wrong(key, &entry, &format!("is {}", shown(&entry.value)), "true, false");
        None
    }

    /// A list of texts, each of which `read` accepts, none twice.
    pub(crate) fn list<T: PartialEq>(
        &mut self,
        key: &'static str,
        default: Option<Vec<T>>,
        sizes: RangeInclusive<usize>,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.items(key, default, sizes, allowed, (read, |known: &[T], item: &T| known.contains(item)))
    }

    /// A list of lines, in which the same one may stand again.
    #[cfg(feature = "daemon")]
    pub(crate) fn lines<T>(
        &mut self,
        key: &'static str,
        sizes: RangeInclusive<usize>,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.items(key, Some(Vec::new()), sizes, allowed, (read, |_: &[T], _: &T| false))
    }

    /// Items as `read` takes them, none that `again` finds among those before it.
    fn items<T>(
        &mut self,
        key: &'static str,
        default: Option<Vec<T>>,
        sizes: RangeInclusive<usize>,
        allowed: &str,
        (read, again): (impl Fn(&str) -> Option<T>, impl Fn(&[T], &T) -> bool),
    ) -> Option<Vec<T>> {
        let allowed = format!("a list of {} to {} of: {allowed}", sizes.start(), sizes.end());
        let Some(entry) = self.take(key) else { return self.missing(key, default, &allowed) };
        let Value::Array(items) = &entry.value else {
            self.wrong(key, &entry, &format!("is {}", shown(&entry.value)), &allowed);
            return None;
        };
        let mut read_items: Vec<T> = Vec::new();
        for item in items {
            match item.as_str().and_then(&read) {
                Some(value) if !again(&read_items, &value) => read_items.push(value),
                Some(_) => {
                    self.wrong(key, &entry, &format!("holds {} twice", shown(item)), &allowed);
                    return None;
                }
                None => {
                    self.wrong(key, &entry, &format!("holds {}", shown(item)), &allowed);
                    return None;
                }
            }
        }
        if !sizes.contains(&read_items.len()) {
            self.wrong(key, &entry, &format!("holds {} items", read_items.len()), &allowed);
            return None;
        }
        Some(read_items)
    }

    /// Keys that are numbers within limits, each with a text that `read` accepts or says what is allowed instead. Keys
    /// of another form stay for [`Section::finish`], which tells `allowed`.
    pub(crate) fn numbered<T>(
        &mut self,
        limits: RangeInclusive<u8>,
        allowed: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<(u8, T)>> {
        self.known.push(allowed);
        let (mut found, mut whole) = (Vec::new(), true);
        for number in limits {
            let key = number.to_string();
            let Some(entry) = self.entries.remove(&key) else { continue };
            match entry.value.as_str().map_or_else(|| Err("a text".to_owned()), &read) {
                Ok(value) => found.push((number, value)),
                Err(allowed) => {
                    self.wrong(&key, &entry, &format!("is {}", shown(&entry.value)), &allowed);
                    whole = false;
                }
            }
        }
        whole.then_some(found)
    }

    /// A text, or a list of at most `most`; empty where the key is absent.
    #[cfg(feature = "daemon")]
    pub(crate) fn one_or_list<T: PartialEq>(
        &mut self,
        key: &'static str,
        most: usize,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        match self.entries.get(key).map(|entry| &entry.value) {
            Some(Value::String(_)) => self.text(key, None, allowed, read).map(|one| vec![one]),
            _ => self.list(key, Some(Vec::new()), 1..=most, allowed, read),
        }
    }

    /// Ends the reading: what nobody took is unknown.
    pub(crate) fn finish(mut self) {
        let allowed = self.known.join(", ");
        for (key, entry) in core::mem::take(&mut self.entries) {
            self.wrong(&key, &entry, "is not known", &allowed);
        }
    }
}

/// A value as an error shows it: short, on one line.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Array(_) => return "a list".to_owned(),
        Value::Table(_) => return "a table".to_owned(),
        Value::Float(number) if number.is_infinite() => return "a number that is too large".to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= 40 {
        return text;
    }
    let head: String = text.chars().take(37).collect();
    format!("{head}...")
}

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; 0 = the file as a whole.
    pub line: usize,
    /// The key with its table, such as `[host] tpdu`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What is allowed; empty where the problem says it.
    pub allowed: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}", self.key)?;
        }
        write!(f, " {}", self.problem)?;
        if self.allowed.is_empty() { Ok(()) } else { write!(f, "; allowed: {}", self.allowed) }
    }
}

/// Everything that is wrong, in the order of files and lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
