//! `Ledger.Export`: all rows of a filter as a CSV or JSON file in a sealed memfd.
//!
//! The rows are asked for page by page, like any other query, so that the engine's loop goes on between two pages and
//! no more than one page is held beside the file itself.
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::shorten;
use super::queue::PAGE_MAX;
use super::row::{Cell, LEDGER_COLUMNS, cells};
use super::secret_fd::seal;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::record::TxnFilter;
use crate::engine::handle::Command;
use crate::engine::view::TxnView;
use rustix::fs::MemfdFlags;
use serde_json::Value as Json;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

/// Largest file, bytes: memory that stays taken until the client closes it. Choice: a million rows fit.
const FILE_MAX: usize = 512 << 20;

/// Form of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// RFC 4180: a header, CRLF, quotes where needed.
    Csv,
    /// An array of objects; what is not known is null.
    Json,
}

impl Format {
    /// Reads the word on the bus.
    pub(super) fn read(word: &str) -> Result<Self, Fault> {
        match word {
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            other => Err(invalid(format!("format must be csv or json, not {:?}", shorten(other)))),
        }
    }

    fn begin(self) -> String {
        match self {
            Self::Csv => csv_line(&LEDGER_COLUMNS.map(str::to_owned)),
            Self::Json => "[".to_owned(),
        }
    }

    /// One row; `first` is the first of the file.
    fn row(self, view: &TxnView, first: bool) -> String {
        match self {
            Self::Csv => csv_line(&cells(view).map(|cell| plain(&cell))),
            Self::Json => {
                let pairs = LEDGER_COLUMNS.iter().zip(cells(view));
                let row: Json = pairs.map(|(name, cell)| ((*name).to_owned(), json(cell))).collect();
                format!("{}\n{row}", if first { "" } else { "," })
            }
        }
    }

    const fn end(self) -> &'static str {
        match self {
            Self::Csv => "",
            Self::Json => "\n]\n",
        }
    }
}

/// Writes the file.
///
/// # Errors
/// `LimitExceeded` when it would be above 512 MiB, `Busy` and `StorageFault` as the ledger says.
pub(super) async fn export(desk: &Desk, format: Format, filter: TxnFilter) -> Result<OwnedFd, ApiError> {
    let mut sheet = Sheet::new()?;
    sheet.put(&format.begin())?;
    let (mut cursor, mut first) = (String::new(), true);
    loop {
        let (filter, from) = (Box::new(filter.clone()), cursor);
        let query = |answer| Command::Query { filter, limit: PAGE_MAX, cursor: from, answer };
        let (views, next) = desk.ask(query).await?;
        let mut page = String::with_capacity(PAGE_BYTES);
        for view in &views {
            page.push_str(&format.row(view, first));
            first = false;
        }
        sheet.put(&page)?;
        if next.is_empty() {
            break;
        }
        cursor = next;
        // Others on this thread have their turn even where the journal answers at once.
        tokio::task::yield_now().await;
    }
    sheet.put(format.end())?;
    sheet.sealed()
}

/// Room for a page of usual rows.
const PAGE_BYTES: usize = 64 << 10;

/// The file that grows.
struct Sheet {
    file: File,
    bytes: usize,
}

impl Sheet {
    fn new() -> Result<Self, Fault> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("posd-export", flags).map_err(|e| no_memory(&e.into()))?;
        Ok(Self { file: File::from(fd), bytes: 0 })
    }

    fn put(&mut self, text: &str) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > FILE_MAX {
            return Err(Fault::new(
                FaultName::LimitExceeded,
                "the export would be above 512 MiB; narrow it with from and to",
            ));
        }
        self.file.write_all(text.as_bytes()).map_err(|e| no_memory(&e))
    }

    fn sealed(self) -> Result<OwnedFd, ApiError> {
        Ok(seal(self.file).map_err(|e| no_memory(&e))?)
    }
}

fn no_memory(error: &std::io::Error) -> Fault {
    Fault::new(FaultName::Failed, format!("no memory for the export: {error}; narrow it with from and to"))
}

fn csv_line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    format!("{}\r\n", cells.join(","))
}

/// RFC 4180: what holds a comma, a quote or a line end stands in quotes, and quotes in it are doubled.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Number(number) => number.to_string(),
        Cell::Money(minor) => minor.to_string(),
        Cell::Time(time) => time.to_string(),
        Cell::Path(path) => path.to_string(),
        Cell::Yes(yes) => yes.to_string(),
        Cell::Unknown => String::new(),
    }
}

fn json(cell: Cell) -> Json {
    match cell {
        Cell::Text(text) => text.into(),
        Cell::Number(number) => number.into(),
        Cell::Money(minor) => minor.into(),
        Cell::Time(time) => time.into(),
        Cell::Path(path) => path.as_str().into(),
        Cell::Yes(yes) => yes.into(),
        Cell::Unknown => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_as_rfc_4180_says() {
        let cells = ["plain", "a,b", "say \"x\"", "two\nlines", ""].map(str::to_owned);
        assert_eq!(csv_line(&cells), "plain,\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",\r\n");
    }
}
