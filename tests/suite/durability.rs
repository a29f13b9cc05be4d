//! The rows of `src/docs/durability.md` and the tests that they name.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            all.push(path);
        }
    }
}

/// The names of all test functions: of `#[test]`, and of properties.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    sources(&root().join("tests/suite"), &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") {
                is_test = true;
            } else if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
                names.extend(rest.split('(').next().map(str::to_owned));
                is_test = false;
            }
        }
    }
    names
}

/// Each row of each table: its cells.
fn rows(page: &str) -> Vec<Vec<&str>> {
    page.lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|---"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// Every row of the durability rules names at least one test, and every test that it names exists.
#[test]
fn every_row_of_the_durability_rules_has_its_tests() {
    let page = std::fs::read_to_string(root().join("src/docs/durability.md")).unwrap();
    let known = tests();
    assert!(known.len() > 400, "only {} tests were found", known.len());
    let mut checked = 0;
    for row in rows(&page).iter().filter(|row| row.last().is_some_and(|last| *last != "tests")) {
        let named: Vec<&str> = row.last().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test is named for: {}", row[0]);
        for name in named {
            assert!(known.contains(name), "{name} is gone; it stood for: {}", row[0]);
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} tests are named");
}
