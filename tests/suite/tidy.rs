//! The house rules that a program can check: layer arrows, no panics, sizes, names in the code map, and words that do
//! not belong into a public repository. Every rule is tried on a bad snippet too, so that we know that it bites.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test: it reads the source tree, and a surprise shall end it"
)]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// What rustfmt keeps for code.
const LINE_MAX: usize = 110;
/// Sentences of a comment, and texts that cannot be broken, may stand out a little.
const SENTENCE_MAX: usize = 120;
const FILE_MAX: usize = 800;
const FUNCTION_MAX: usize = 70;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file in three readings of the same length.
struct Source {
    /// `src/domain/money.rs`
    path: String,
    /// As it is.
    raw: String,
    /// Comments, strings and characters blanked.
    code: Vec<char>,
    /// As `code`, without what only tests compile.
    product: Vec<char>,
}

impl Source {
    fn new(path: &str, raw: &str) -> Self {
        let code = blank_texts(raw);
        let mut product = code.clone();
        if is_test(path) {
            let all = product.len();
            blank(&mut product, 0, all);
        }
        for start in find(&code, "#[cfg(test)]") {
            let end = end_of_item(&code, start);
            blank(&mut product, start, end);
        }
        Self { path: path.to_owned(), raw: raw.to_owned(), code, product }
    }

    fn at(&self, position: usize, what: &str) -> String {
        let line = self.code[..position].iter().filter(|c| **c == '\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }

    /// The module path: `src/emv/tlv.rs` is `[emv, tlv]`, `src/emv/mod.rs` is `[emv]`.
    fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
            parts.pop();
        }
        parts
    }
}

fn blank(text: &mut [char], from: usize, to: usize) {
    for c in &mut text[from..to] {
        if *c != '\n' {
            *c = ' ';
        }
    }
}

/// A module of tests in a file of its own.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the end of a text is that begins here; `None` if none begins.
fn end_of_text(text: &[char], at: usize) -> Option<usize> {
    let starts = |needle: &str| {
        text[at..].iter().zip(needle.chars()).filter(|(a, b)| **a == *b).count() == needle.len()
    };
    let until = |from: usize, needle: &str| {
        let needle: Vec<char> = needle.chars().collect();
        (from..text.len()).find(|i| text[*i..].starts_with(&needle)).map_or(text.len(), |i| i + needle.len())
    };
    let fresh = at == 0 || !is_word(text[at - 1]);
    if starts("//") {
        return Some((at..text.len()).find(|i| text[*i] == '\n').unwrap_or(text.len()));
    }
    if starts("/*") {
        let (mut depth, mut i) = (0_usize, at);
        while i < text.len() {
            if text[i..].starts_with(&['/', '*']) {
                (depth, i) = (depth + 1, i + 2);
            } else if text[i..].starts_with(&['*', '/']) {
                (depth, i) = (depth - 1, i + 2);
                if depth == 0 {
                    return Some(i);
                }
            } else {
                i += 1;
            }
        }
        return Some(text.len());
    }
    if fresh && (starts("r\"") || starts("r#") || starts("br\"") || starts("br#")) {
        let hashes_from = at + if text[at] == 'b' { 2 } else { 1 };
        let hashes = text[hashes_from..].iter().take_while(|c| **c == '#').count();
        if text.get(hashes_from + hashes) == Some(&'"') {
            return Some(until(hashes_from + hashes + 1, &format!("\"{}", "#".repeat(hashes))));
        }
    }
    if starts("\"") {
        let mut i = at + 1;
        while i < text.len() && text[i] != '"' {
            i += if text[i] == '\\' { 2 } else { 1 };
        }
        return Some((i + 1).min(text.len()));
    }
    if starts("'\\") {
        return Some(until(at + 3, "'"));
    }
    if starts("'") && text.get(at + 2) == Some(&'\'') {
        return Some(at + 3);
    }
    None
}

/// The text with everything blanked that is not code.
fn blank_texts(raw: &str) -> Vec<char> {
    let text: Vec<char> = raw.chars().collect();
    let mut code = text.clone();
    let mut at = 0;
    while at < text.len() {
        match end_of_text(&text, at) {
            Some(end) => {
                blank(&mut code, at, end);
                at = end;
            }
            None => at += 1,
        }
    }
    code
}

/// All places where a text stands in the code, at the beginning of a word if it begins with a letter.
fn find(code: &[char], needle: &str) -> Vec<usize> {
    let needle: Vec<char> = needle.chars().collect();
    let whole = is_word(needle[0]);
    (0..code.len())
        .filter(|at| {
            code[*at] == needle[0]
                && code[*at..].starts_with(&needle)
                && !(whole && *at > 0 && is_word(code[*at - 1]))
        })
        .collect()
}

fn matching(code: &[char], open: usize) -> usize {
    let mut depth = 0_i32;
    for (at, c) in code.iter().enumerate().skip(open) {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// The end of the item or statement that an attribute at `start` belongs to.
fn end_of_item(code: &[char], start: usize) -> usize {
    let mut at = start;
    let mut first_word = String::new();
    while at < code.len() {
        let c = code[at];
        if c == '#' && first_word.is_empty() {
            let open = (at..code.len()).find(|i| code[*i] == '[').unwrap_or(at);
            at = matching(code, open);
            continue;
        }
        if is_word(c) && (first_word.is_empty() || is_word(code[at - 1])) && !first_word.ends_with(' ') {
            first_word.push(c);
        } else if !first_word.is_empty() && !first_word.ends_with(' ') {
            first_word.push(' ');
        }
        match c {
            ';' | ',' => return at + 1,
            '{' => {
                let end = matching(code, at);
                if first_word.trim() != "let" {
                    return end;
                }
                at = end;
            }
            '(' | '[' => at = matching(code, at),
            _ => at += 1,
        }
    }
    code.len()
}

/// The identifier that begins here.
fn word_at(code: &[char], at: usize) -> String {
    code[at.min(code.len())..].iter().take_while(|c| is_word(**c)).collect()
}

/// The first one or two parts of each path that follows: `{domain::x, ports}` gives `domain::x` and `ports`.
fn heads(code: &[char], at: usize) -> Vec<(String, String)> {
    if code.get(at) != Some(&'{') {
        let first = word_at(code, at);
        let after = at + first.chars().count();
        let second = if code[after..].starts_with(&[':', ':']) {
            match code.get(after + 2) {
                Some('{') => String::from("{"),
                _ => word_at(code, after + 2),
            }
        } else {
            String::new()
        };
        return vec![(first, second)];
    }
    let end = matching(code, at);
    let (mut found, mut i, mut fresh) = (Vec::new(), at + 1, true);
    while i < end {
        match code[i] {
            '{' => i = matching(code, i),
            ',' => (fresh, i) = (true, i + 1),
            c if is_word(c) && fresh => {
                found.extend(heads(code, i));
                (fresh, i) = (false, i + 1);
            }
            _ => i += 1,
        }
    }
    found
}

/// Which modules of this crate a file names, each as (first, second) part of the path.
fn modules_named(source: &Source) -> Vec<(usize, (String, String))> {
    let mut named = Vec::new();
    for at in find(&source.product, "crate::") {
        named.extend(heads(&source.product, at + 7).into_iter().map(|head| (at, head)));
    }
    for at in find(&source.product, "super::") {
        // Only the first `super` of a chain; the module path tells where it leads.
        if at >= 2 && source.product[at - 2..at] == [':', ':'] {
            continue;
        }
        let mut module = source.module();
        let mut i = at;
        while source.product[i..].starts_with(&['s', 'u', 'p', 'e', 'r', ':', ':']) {
            module.pop();
            i += 7;
        }
        for (first, second) in heads(&source.product, i) {
            let whole: Vec<String> = module.iter().cloned().chain([first, second]).collect();
            named.push((at, (whole[0].clone(), whole[1].clone())));
        }
    }
    named
}

/// The arrows of ARCHITECTURE.md: who may name whom.
fn layers(source: &Source) -> Vec<String> {
    let module = source.module();
    let layer = module.first().map_or("lib", String::as_str);
    let own = module.get(1).map_or("", String::as_str);
    let allowed = |first: &str, second: &str| match layer {
        "domain" => first == "domain",
        "ports" => matches!(first, "domain" | "ports"),
        "engine" => matches!(first, "domain" | "ports" | "engine"),
        "adapters" => matches!(first, "domain" | "ports") || (first == "adapters" && second == own),
        "api" => matches!(first, "domain" | "engine" | "api"),
        "cli" => matches!(first, "domain" | "cli") || (first == "api" && second == "proxy"),
        "sim" => matches!(first, "domain" | "ports" | "sim"),
        "config" => matches!(first, "domain" | "config"),
        "logging" => matches!(first, "domain" | "logging"),
        _ => true, // lib, daemon and bin wire everything
    };
    modules_named(source)
        .into_iter()
        .filter(|(_, (first, second))| !allowed(first, second))
        .map(|(at, (first, second))| source.at(at, &format!("{layer} must not name {first}::{second}")))
        .collect()
}

/// Nothing may panic on what comes from outside. A reasoned `allow` of the lint covers its item.
fn panics(source: &Source) -> Vec<String> {
    let mut product = source.product.clone();
    for lint in ["clippy::unwrap_used", "clippy::expect_used", "clippy::panic"] {
        for at in find(&source.product, lint) {
            let attribute = (0..at).rev().find(|i| source.product[*i] == '#').unwrap_or(at);
            let open = attribute + 1 + usize::from(source.product[attribute + 1] == '!');
            let text: String = source.product[attribute..matching(&source.product, open)].iter().collect();
            if !text.contains("reason") {
                continue;
            }
            let end =
                if text.starts_with("#!") { product.len() } else { end_of_item(&source.product, attribute) };
            blank(&mut product, attribute, end);
        }
    }
    [".unwrap()", ".expect(", "panic!", "todo!", "unimplemented!"]
        .iter()
        .flat_map(|needle| find(&product, needle).into_iter().map(move |at| (at, needle)))
        .map(|(at, needle)| source.at(at, &format!("{needle} outside tests")))
        .collect()
}

/// Output belongs to posctl and the binaries; `dbg!` to nobody.
fn prints(source: &Source) -> Vec<String> {
    let may_print = source.path.starts_with("src/cli/") || source.path.starts_with("src/bin/");
    let banned: &[&str] =
        if may_print { &["dbg!"] } else { &["println!", "print!", "eprintln!", "eprint!", "dbg!"] };
    banned
        .iter()
        .flat_map(|needle| find(&source.product, needle).into_iter().map(move |at| (at, needle)))
        .map(|(at, needle)| source.at(at, needle))
        .collect()
}

/// State is owned by one task; shared locks hide who changes what.
fn locks_and_unsafe(source: &Source) -> Vec<String> {
    let mut found: Vec<String> = find(&source.product, "Arc<")
        .into_iter()
        .filter(|at| {
            let inner: String =
                source.product[*at + 4..].iter().take_while(|c| is_word(**c) || **c == ':').collect();
            matches!(inner.rsplit("::").next(), Some("Mutex" | "RwLock"))
        })
        .map(|at| source.at(at, "Arc<Mutex: let one task own it"))
        .collect();
    found.extend(
        find(&source.code, "unsafe")
            .into_iter()
            .filter(|at| !is_word(*source.code.get(at + 6).unwrap_or(&' ')))
            .map(|at| source.at(at, "unsafe")),
    );
    found
}

/// A test that is switched off says why.
fn ignored_tests(source: &Source) -> Vec<String> {
    find(&source.code, "#[ignore]")
        .into_iter()
        .map(|at| source.at(at, "#[ignore] without a reason"))
        .collect()
}

/// What a file is for stands in its first line; lines, files and functions have a size.
fn sizes(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if !source.raw.starts_with("//!") {
        found.push(source.at(0, "begins without //!"));
    }
    let code: String = source.code.iter().collect();
    // A comment or string makes a line differ from its code.
    for ((number, line), code) in (1..).zip(source.raw.lines()).zip(code.lines()) {
        let most = if line == code { LINE_MAX } else { SENTENCE_MAX };
        if line.chars().count() > most {
            found.push(format!("{}:{number}: longer than {most} columns", source.path));
        }
    }
    let tests = find(&source.code, "#[cfg(test)]\nmod ").first().copied().unwrap_or(source.code.len());
    let lines = source.code[..tests].iter().filter(|c| **c == '\n').count();
    if lines > FILE_MAX {
        found.push(format!("{}: {lines} lines before its tests, at most {FILE_MAX}", source.path));
    }
    for at in find(&source.product, "fn ") {
        let name = word_at(&source.product, at + 3);
        let mut i = at + 3;
        while i < source.product.len() && !matches!(source.product[i], '{' | ';') {
            i = if matches!(source.product[i], '(' | '[') { matching(&source.product, i) } else { i + 1 };
        }
        if name.is_empty() || source.product.get(i) != Some(&'{') {
            continue;
        }
        let end = matching(&source.product, i);
        let lines = source.product[at..end].iter().filter(|c| **c == '\n').count() + 1;
        if lines > FUNCTION_MAX {
            found.push(source.at(at, &format!("{name} has {lines} lines, at most {FUNCTION_MAX}")));
        }
    }
    found
}

/// Words of machines and helpers that built this, put together here so that this file does not hold them itself.
fn foreign_words() -> Vec<String> {
    [
        ["/wo", "rk/"],
        ["/tmp/", "wt"],
        ["/root", "/"],
        ["/home", "/"],
        ["clau", "de"],
        ["anthro", "pic"],
        ["chat", "gpt"],
        ["co-authored", "-by"],
        ["artifac", "tory"],
        ["index.crates", ".io"],
        ["static.crates", ".io"],
        ["proxy.golang", ".org"],
        ["files.python", "hosted"],
    ]
    .map(|[a, b]| format!("{a}{b}"))
    .to_vec()
}

fn foreign(path: &str, text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let found = foreign_words().into_iter().filter(|word| lower.contains(word.as_str()));
    found.map(|word| format!("{path}: holds {word:?}")).collect()
}

/// Both ways: what is missing in the text, and what the text names that is not there.
fn differences(files: &BTreeSet<String>, named: &BTreeSet<String>, where_: &str) -> Vec<String> {
    let missing = files.difference(named).map(|path| format!("{path} is not named in {where_}"));
    let gone = named.difference(files).map(|path| format!("{where_} names {path}, which is not there"));
    missing.chain(gone).collect()
}

/// All `src/….rs` in a text.
fn source_paths(text: &str) -> BTreeSet<String> {
    let is_path = |c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '-' | '.');
    text.split(|c| !is_path(c))
        .filter(|part| part.starts_with("src/") && part.ends_with(".rs"))
        .map(str::to_owned)
        .collect()
}

/// The modules that `suite/main.rs` declares.
fn modules_declared(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())).collect()
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn rust_files(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    files_below(&root().join(folder), &mut paths);
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        Source::new(&name, &std::fs::read_to_string(&path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// All of src, read once for all rules.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| rust_files("src"));

fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn layers_name_only_what_they_may() {
    none(SOURCES.iter().flat_map(layers).collect());
}

#[test]
fn nothing_panics_outside_tests() {
    none(SOURCES.iter().flat_map(panics).collect());
}

#[test]
fn only_posctl_and_binaries_print() {
    none(SOURCES.iter().flat_map(prints).collect());
}

#[test]
fn there_are_no_shared_locks_and_no_unsafe_code() {
    none(SOURCES.iter().flat_map(locks_and_unsafe).collect());
}

#[test]
fn ignored_tests_say_why() {
    none(SOURCES.iter().chain(&rust_files("tests")).flat_map(ignored_tests).collect());
}

#[test]
fn files_lines_and_functions_keep_their_size() {
    none(SOURCES.iter().flat_map(sizes).collect());
}

#[test]
fn every_test_file_is_in_the_suite() {
    let named = modules_declared(&std::fs::read_to_string(root().join("tests/suite/main.rs")).unwrap());
    let mut paths = Vec::new();
    files_below(&root().join("tests/suite"), &mut paths);
    let stem = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let top = paths.iter().filter(|path| path.parent().is_some_and(|folder| folder.ends_with("suite")));
    let files = top.map(stem).filter(|stem| stem != "main").collect();
    none(differences(&files, &named, "tests/suite/main.rs"));
}

#[test]
fn the_code_map_names_every_file_and_no_other() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let sources = SOURCES.iter().filter(|source| !is_test(&source.path));
    none(differences(
        &sources.map(|source| source.path.clone()).collect(),
        &source_paths(&map),
        "ARCHITECTURE.md",
    ));
}

/// A target that is only declared does nothing and says that all is well.
#[test]
fn every_target_of_the_makefile_has_a_recipe() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap().replace("\\\n", " ");
    let declared = makefile.lines().filter_map(|line| line.strip_prefix(".PHONY:"));
    let declared: Vec<&str> = declared.flat_map(str::split_whitespace).collect();
    assert!(declared.len() > 10, "{declared:?}");
    let without = declared.iter().filter(|name| {
        !makefile.lines().any(|line| line.strip_prefix(**name).is_some_and(|rest| rest.starts_with(':')))
    });
    none(without.map(|name| format!("Makefile: {name} is declared and not made")).collect());
}

/// The lines of the manifest's dependencies, those of the tests too where they are wanted: name and the rest.
fn dependencies(manifest: &str, of_tests: bool) -> Vec<(&str, &str)> {
    let mut in_section = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_section = line == "[dependencies]" || of_tests && line == "[dev-dependencies]";
        } else if let (true, Some((name, rest))) = (in_section, line.split_once(" = "))
            && !name.starts_with('#')
        {
            found.push((name, rest));
        }
    }
    found
}

#[test]
fn every_dependency_is_explained() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let missing =
        dependencies(&manifest, true).into_iter().filter(|(name, _)| !map.contains(&format!("| `{name}` |")));
    none(
        missing
            .map(|(name, _)| format!("Cargo.toml: {name} has no line in ARCHITECTURE.md, Dependencies"))
            .collect(),
    );
}

/// Packages of their own that build on posd have locks of their own. A stale one ends `make bench` and `make fuzz`, which
/// no other test runs.
#[test]
fn the_locks_of_the_tools_are_not_stale() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let needed: Vec<&str> = dependencies(&manifest, false)
        .into_iter()
        .filter(|(_, rest)| !rest.contains("optional = true"))
        .map(|(name, _)| name)
        .collect();
    assert!(needed.len() > 5, "{needed:?}");
    let mut stale = Vec::new();
    for lock in ["tests/fuzz/Cargo.lock", "tests/tools/codec-bench/Cargo.lock"] {
        let text = std::fs::read_to_string(root().join(lock)).unwrap();
        let package =
            text.split("[[package]]").find(|package| package.contains("\nname = \"posd\"\n")).unwrap();
        // Where there are several versions of one, the version stands behind the name.
        let has = |name: &&&str| {
            package.contains(&format!(" \"{name}\"")) || package.contains(&format!(" \"{name} "))
        };
        stale
            .extend(needed.iter().filter(|name| !has(name)).map(|name| format!("{lock}: {name} is missing")));
    }
    none(stale);
}

/// Committed text files only; without a git checkout (a source package) there is nothing to check.
#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let Ok(listed) = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output() else {
        return;
    };
    let names = String::from_utf8(listed.stdout).unwrap();
    let texts =
        names.split('\0').filter(|name| !name.is_empty() && *name != "Cargo.lock").filter_map(|name| {
            let text = std::fs::read_to_string(root().join(name)).ok()?;
            Some(foreign(name, &text))
        });
    none(texts.flatten().collect());
}

/// What each rule is for, tried on a snippet that breaks it.
mod bites {
    use super::*;

    fn check(rule: fn(&Source) -> Vec<String>, path: &str, good: &str, bad: &[&str]) {
        let run = |text: &str| rule(&Source::new(path, text));
        assert_eq!(run(good), Vec::<String>::new(), "{good}");
        for text in bad {
            assert!(!run(text).is_empty(), "not found: {text}");
        }
    }

    #[test]
    fn layers_are_kept() {
        let good = "use crate::domain::money::Amount;\n// use crate::engine::x;\nuse super::super::ident::Stan;\n\
                    #[cfg(test)]\nmod tests { use crate::sim::card; }";
        let bad = [
            "use crate::engine::handle::Command;",
            "fn f() { crate::adapters::system::now() }",
            "use crate::{domain::money, ports};",
            "use super::super::super::engine::handle;",
        ];
        check(layers, "src/domain/emv/tlv.rs", good, &bad);
        let good = "use crate::{domain::money, ports::CardEvent};\nuse super::card_pcsc::limits::X;";
        let bad = [
            "use crate::adapters::host_tcp::Host;",
            "use super::host_tcp::Host;",
            "use crate::config::Config;",
        ];
        check(layers, "src/adapters/card_pcsc.rs", good, &bad);
        let good = "use crate::api::proxy::Options;\nuse super::words;";
        let bad = ["use crate::api::manager::Manager;", "use crate::api::{proxy, manager};"];
        check(layers, "src/cli/sale.rs", good, &bad);
        check(layers, "src/api/manager.rs", "use crate::engine::view::X;", &["use crate::ports::Y;"]);
        check(layers, "src/daemon.rs", "use crate::adapters::x::Y; use crate::api::Z;", &[]);
    }

    #[test]
    fn panics_are_found() {
        let good = "fn f() { x.unwrap_or(1); let a = \"panic!\"; let b = '\"'; }\n\
                    #[allow(clippy::expect_used, reason = \"checked above\")]\nfn g() { y.expect(\"two\"); }\n\
                    #[cfg(test)]\nmod tests { fn t() { x.unwrap(); panic!(); } }";
        let bad = [
            "fn f() { x.unwrap(); }",
            "fn f() { x.expect(\"y\"); }",
            "fn f() { panic!(\"no\"); }",
            "fn f() { todo!() }",
            "#[allow(clippy::unwrap_used)]\nfn f() { x.unwrap(); }",
            "#[cfg(test)]\nfn t() {}\nfn f() { x.unwrap(); }",
            "#[allow(clippy::expect_used, reason = \"r\")]\nfn g() {}\nfn f() { x.expect(\"y\"); }",
        ];
        check(panics, "src/domain/x.rs", good, &bad);
    }

    #[test]
    fn output_locks_unsafe_and_ignore_are_found() {
        let bad = ["fn f() { println!(\"x\") }", "fn f() { dbg!(x); }", "fn f() { eprintln!(); }"];
        check(prints, "src/engine/x.rs", "fn f() { writeln!(w, \"println!\") }", &bad);
        check(prints, "src/cli/x.rs", "fn f() { println!() }", &["fn f() { dbg!(1) }"]);
        let bad = [
            "type X = Arc<Mutex<u8>>;",
            "type X = Arc<tokio::sync::RwLock<u8>>;",
            "fn f() { unsafe { g() } }",
        ];
        check(locks_and_unsafe, "src/engine/x.rs", "#![forbid(unsafe_code)]\ntype X = Arc<Snapshot>;", &bad);
        check(
            ignored_tests,
            "tests/x.rs",
            "#[ignore = \"needs a reader\"]\nfn t() {}",
            &["#[ignore]\nfn t() {}"],
        );
    }

    #[test]
    fn sizes_are_found() {
        let long_line = format!("//! x\n// {}", "x".repeat(SENTENCE_MAX));
        let long_function = format!("//! x\nfn f() {{\n{}}}\n", "g();\n".repeat(FUNCTION_MAX));
        let long_file = format!("//! x\n{}", "\n".repeat(FILE_MAX + 1));
        let long_tests =
            format!("//! x\nfn f() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", "fn t() {}\n".repeat(FILE_MAX));
        check(sizes, "src/x.rs", &long_tests, &["fn f() {}", &long_line, &long_function, &long_file]);
    }

    #[test]
    fn names_and_words_are_compared() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let map = source_paths("| `src/a.rs` | one |\n- src/b/c.rs: two");
        assert_eq!(map, set(&["src/a.rs", "src/b/c.rs"]));
        assert_eq!(differences(&set(&["src/a.rs", "src/d.rs"]), &map, "map").len(), 2);
        assert_eq!(modules_declared("mod a;\nmod b;\nuse x;"), set(&["a", "b"]));
        for word in foreign_words() {
            assert!(!foreign("x", &format!("see {}", word.to_uppercase())).is_empty());
        }
        assert!(foreign("x", "a shared reader works at home and at work").is_empty());
    }
}
