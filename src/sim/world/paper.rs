//! Paper: the plies of an outcome, as the printer's keeper prints them.
//!
//! A ply is `printing` durably before its first byte, so that after a power cut it is known that it may be on
//! paper; what comes after is evidence whose loss only makes the terminal more careful.
use super::{Flow, World};
use crate::domain::ident::TxnId;
use crate::domain::outcome::{Ply, PrintState};
use crate::domain::record::Record;
use crate::ports::{Durability, Journal};

/// What goes wrong with one ply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paper {
    /// There is none: no byte is taken.
    Out,
    /// It ends in the middle, or the cable is pulled.
    Torn,
    /// The power fails with the slip half out.
    CutInside,
    /// The power fails when the slip is out.
    CutAfter,
}

impl World {
    /// Prints what is held of a transaction.
    pub(super) fn print(&mut self, id: &TxnId) -> Flow {
        let Some(row) = self.disk.stored(id) else { return Ok(()) };
        let held = row.plies.iter().filter(|ply| ply.state == PrintState::Held);
        let held: Vec<(Ply, u32)> = held.map(|ply| (ply.ply, ply.copy)).collect();
        for (ply, copy) in held {
            self.print_ply(id, ply, copy)?;
        }
        Ok(())
    }

    /// A person wants once more what may or may not be on paper: a copy that says so.
    pub(super) fn reprint(&mut self, id: &TxnId) -> Flow {
        let Some(row) = self.disk.stored(id) else { return Ok(()) };
        let copies = u32::try_from(row.plies.len()).unwrap_or(u32::MAX);
        self.print_ply(id, Ply::Customer, copies.max(1))
    }

    fn print_ply(&mut self, id: &TxnId, ply: Ply, copy: u32) -> Flow {
        let record = |state| Record::PlyState { id: id.clone(), ply, copy, state, reason: String::new() };
        if self.commit(&[record(PrintState::Printing)], "before a ply is printed")?.is_none() {
            return Ok(());
        }
        let ways = [Paper::Out, Paper::Torn, Paper::CutInside, Paper::CutAfter];
        let way = self.fails(&ways);
        let on_paper = !matches!(way, Some(Paper::Out));
        if on_paper {
            self.judge.paper(id, ply, copy > 0)?;
        }
        let state = match way {
            None => PrintState::Confirmed,
            Some(Paper::Out) => PrintState::Held,
            Some(Paper::Torn) => PrintState::Unconfirmed,
            Some(Paper::CutInside) => return self.cut("inside a slip"),
            Some(Paper::CutAfter) => return self.cut("after a slip"),
        };
        self.note(&format_args!("{ply} ply {state}"));
        // Lost evidence is looked at after a restart, not now.
        let _lost = self.disk.commit(&[record(state)], Durability::Lazy).is_err();
        Ok(())
    }
}
