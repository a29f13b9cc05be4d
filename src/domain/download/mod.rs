//! Downloads from the bank: CA keys, applications, terminal parameters, blacklist, contactless parameters.
//!
//! A table is built aside, row by row, each durable before the next is asked for, and comes into use as a whole in one
//! commit; the old one stays in use until then. A power cut loses at most the row that was under way. What a row means
//! is decided when it is taken and again when it is used; the journal keeps bytes.
pub mod lists;
pub mod machine;
pub mod parameters;
pub mod records;

use super::calendar::WallTime;
use super::outcome::words;
use sha2::{Digest, Sha256};

words! {
    /// What is downloaded.
    Kind {
        /// Public keys of certification authorities: 0820/372, 0800/370, 371.
        Capk = "capk",
        /// Card applications: 0820/382, 0800/380, 381.
        Aid = "aid",
        /// Parameters of the terminal: 0800/360, 361.
        Parameters = "parameters",
        /// Cards that are not taken: 0800/390, 391.
        Blacklist = "blacklist",
        /// Parameters of small contactless payments: 0800/394, 395.
        Contactless = "contactless",
    }
}

/// The digest of the list of a download that is wanted and whose list has not come yet. No list has it.
pub const UNLISTED: [u8; 32] = [0; 32];

/// A row of a table: what it is about, and what the bank sent of it. Never a card number: the blacklist is kept as
/// tokens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// RID and index of a CA key; AID; two digits of a parameter; token of a card; empty where there is one row only.
    pub key: Vec<u8>,
    /// The bytes that the bank sent, without the status digit.
    pub data: Vec<u8>,
}

impl Row {
    /// SHA-256 over kind, key and bytes: a row whose digest does not fit any more is not used.
    #[must_use]
    pub fn digest(&self, kind: Kind) -> [u8; 32] {
        let length = u64::try_from(self.key.len()).unwrap_or(u64::MAX);
        let sum = Sha256::new()
            .chain_update(kind.word())
            .chain_update(length.to_be_bytes())
            .chain_update(&self.key)
            .chain_update(&self.data);
        sum.finalize().into()
    }
}

/// One durable step of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableStep {
    /// The list of what there is stands, or the download is wanted. Everything staged of the kind goes, the mark
    /// "incomplete" is set; the table in use stays.
    Begun {
        /// What.
        kind: Kind,
        /// Names the list: staged rows belong to it alone; [`UNLISTED`] until it has come.
        list: [u8; 32],
        /// When.
        at: WallTime,
    },
    /// These rows are built aside. Rows of the same key are replaced.
    Staged {
        /// What.
        kind: Kind,
        /// The rows.
        rows: Vec<Row>,
    },
    /// What is staged becomes the table in use, whole, and the mark "incomplete" goes.
    Swapped {
        /// What.
        kind: Kind,
        /// When.
        at: WallTime,
    },
    /// What is staged goes with the mark "incomplete"; the table in use stays: the bank has no list.
    Dropped {
        /// What.
        kind: Kind,
    },
}

/// What the journal holds of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What.
    pub kind: Kind,
    /// The table in use, by key.
    pub table: Vec<Row>,
    /// When it came into use; zero = never.
    pub swapped_at: WallTime,
    /// A download that was begun and has not come to its end: the digest of its list, and the rows built aside, by key.
    pub staged: Option<([u8; 32], Vec<Row>)>,
}

impl Progress {
    /// Nothing was ever downloaded.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { kind, table: Vec::new(), swapped_at: WallTime(0), staged: None }
    }

    /// A download was begun and has not come to its end.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        self.staged.is_some()
    }

    /// … of which nothing has come yet.
    #[must_use]
    pub fn is_only_wanted(&self) -> bool {
        matches!(&self.staged, Some((list, rows)) if *list == UNLISTED && rows.is_empty())
    }
}

/// What a step does to the tables of a journal. `false`: it contradicts them, and nothing was done.
pub fn apply(tables: &mut Vec<Progress>, step: &TableStep) -> bool {
    let kind = step.kind();
    if let TableStep::Begun { .. } = step
        && tables.iter().all(|table| table.kind != kind)
    {
        tables.push(Progress::new(kind));
        tables.sort_by_key(|table| table.kind);
    }
    let table = tables.iter_mut().find(|table| table.kind == kind);
    match (step, table) {
        (TableStep::Begun { list, .. }, Some(table)) => table.staged = Some((*list, Vec::new())),
        (TableStep::Staged { rows, .. }, Some(Progress { staged: Some((_, staged)), .. })) => {
            for row in rows {
                staged.retain(|old| old.key != row.key);
                staged.push(row.clone());
            }
            staged.sort();
        }
        (TableStep::Swapped { at, .. }, Some(table)) => {
            let Some((_, staged)) = table.staged.take() else { return false };
            table.table = staged;
            table.swapped_at = *at;
        }
        (TableStep::Dropped { .. }, Some(table)) => table.staged = None,
        (TableStep::Dropped { .. }, None) => {}
        (TableStep::Begun { .. } | TableStep::Swapped { .. }, None) | (TableStep::Staged { .. }, _) => {
            return false;
        }
    }
    true
}

impl TableStep {
    /// Of which kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Begun { kind, .. }
            | Self::Staged { kind, .. }
            | Self::Swapped { kind, .. }
            | Self::Dropped { kind } => *kind,
        }
    }
}

/// Names all tables in use, 16 hexadecimal digits; empty while none is in use.
#[must_use]
pub fn version(tables: &[Progress]) -> String {
    let mut sum = Sha256::new();
    let mut any = false;
    for kind in Kind::ALL {
        for row in tables.iter().filter(|table| table.kind == *kind).flat_map(|table| &table.table) {
            sum.update(row.digest(*kind));
            any = true;
        }
    }
    let digest = sum.finalize();
    if any { digest.iter().take(8).map(|b| format!("{b:02x}")).collect() } else { String::new() }
}

#[cfg(test)]
mod tests;
