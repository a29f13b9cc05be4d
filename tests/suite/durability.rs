//! The rows of `src/docs/durability.md`, `emv.md` and `emv-bits.md`, and the files and tests that they name.
use posd::domain::emv::results::{Tsi, Tvr};
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

/// What stands between back quotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Every row of a page names at least one test, and every test that it names exists. How many there are.
fn check_tests(page: &str) -> usize {
    let known = tests();
    assert!(known.len() > 400, "only {} tests were found", known.len());
    let mut checked = 0;
    for row in rows(page).iter().filter(|row| row.last().is_some_and(|last| *last != "tests")) {
        let named = quoted(row.last().unwrap());
        assert!(!named.is_empty(), "no test is named for: {}", row[0]);
        for name in named {
            assert!(known.contains(name), "{name} is gone; it stood for: {}", row[0]);
            checked += 1;
        }
    }
    checked
}

/// Every row of the durability rules names at least one test, and every test that it names exists.
#[test]
fn every_row_of_the_durability_rules_has_its_tests() {
    let page = std::fs::read_to_string(root().join("src/docs/durability.md")).unwrap();
    let checked = check_tests(&page);
    assert!(checked > 60, "only {checked} tests are named");
}

/// Every requirement of EMV names a file and tests that exist.
#[test]
fn every_requirement_of_emv_has_its_file_and_tests() {
    let page = std::fs::read_to_string(root().join("src/docs/emv.md")).unwrap();
    let checked = check_tests(&page);
    assert!(checked > 50, "only {checked} tests are named");
    for row in rows(&page).iter().filter(|row| row[0] != "EMV 4.4") {
        let files = quoted(row[2]);
        assert!(!files.is_empty(), "no file is named for: {}", row[1]);
        for file in files {
            assert!(root().join("src").join(file).is_file(), "{file} is gone; it stood for: {}", row[1]);
        }
    }
}

/// Goal: every bit of TVR and TSI that has a name has a row with tests that exist, in the order of the bits.
#[test]
fn every_bit_of_tvr_and_tsi_has_its_tests() {
    let page = std::fs::read_to_string(root().join("src/docs/emv-bits.md")).unwrap();
    check_tests(&page);
    let rows = rows(&page);
    let of =
        |field: &str| -> Vec<&str> { rows.iter().filter(|row| row[0] == field).map(|row| row[3]).collect() };
    assert_eq!(of("TVR"), Tvr::new([0xFF; 5]).names());
    assert_eq!(of("TSI"), Tsi::new([0xFF; 2]).names());
}
