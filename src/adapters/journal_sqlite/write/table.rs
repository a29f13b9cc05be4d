//! Tables from the bank: built aside row by row, then swapped.
use super::super::columns::time;
use super::{Writer, refuse};
use crate::domain::download::{Kind, Row, TableStep};
use crate::ports::JournalError;
use rusqlite::named_params;

impl Writer<'_> {
    pub(super) fn table(&self, step: &TableStep) -> Result<(), JournalError> {
        match step {
            TableStep::Begun { kind, list, at } => {
                self.run(
                    "INSERT INTO download (kind, list, begun_at, swapped_at) VALUES (:kind, :list, :at, 0)
                     ON CONFLICT (kind) DO UPDATE SET list = :list, begun_at = :at",
                    named_params! { ":kind": kind.word(), ":list": list.as_slice(), ":at": time(*at)? },
                )?;
                self.drop_staged(*kind)?;
                self.newest(*at)
            }
            TableStep::Staged { kind, rows } => {
                self.must_be_under_way(*kind)?;
                rows.iter().try_for_each(|row| self.stage(*kind, row))
            }
            TableStep::Swapped { kind, at } => {
                self.must_be_under_way(*kind)?;
                let named = named_params! { ":kind": kind.word() };
                self.run("DELETE FROM download_row WHERE kind = :kind AND staged = 0", named)?;
                self.run("UPDATE download_row SET staged = 0 WHERE kind = :kind AND staged = 1", named)?;
                self.run(
                    "UPDATE download SET list = NULL, begun_at = NULL, swapped_at = :at WHERE kind = :kind",
                    named_params! { ":kind": kind.word(), ":at": time(*at)? },
                )?;
                self.newest(*at)
            }
            TableStep::Dropped { kind } => {
                let sql = "UPDATE download SET list = NULL, begun_at = NULL WHERE kind = :kind";
                self.run(sql, named_params! { ":kind": kind.word() })?;
                self.drop_staged(*kind)
            }
        }
    }

    fn must_be_under_way(&self, kind: Kind) -> Result<(), JournalError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM download WHERE kind = :kind AND list IS NOT NULL)";
        if self.is(sql, named_params! { ":kind": kind.word() })? {
            return Ok(());
        }
        refuse(format!("no download of {kind} is under way"))
    }

    fn drop_staged(&self, kind: Kind) -> Result<(), JournalError> {
        let sql = "DELETE FROM download_row WHERE kind = :kind AND staged = 1";
        self.run(sql, named_params! { ":kind": kind.word() }).map(drop)
    }

    fn stage(&self, kind: Kind, row: &Row) -> Result<(), JournalError> {
        self.run(
            "INSERT OR REPLACE INTO download_row (kind, staged, key, data, digest)
             VALUES (:kind, 1, :key, :data, :digest)",
            named_params! {
                ":kind": kind.word(), ":key": row.key, ":data": row.data,
                ":digest": row.digest(kind).as_slice(),
            },
        )
        .map(drop)
    }
}
