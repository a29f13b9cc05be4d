//! The judge: what each side holds, in a few lines, and the eight properties that must follow.
//!
//! It keeps no copy of the machines' logic. It knows what was sent and what was told, looks into the bank's
//! books and the journal's rows, and asks whether they can both be true. `1` to `8` in the comments are the
//! properties of the architecture document: money, totals, numbers, cryptograms, receipts, secrets (looked for
//! in traces by a test), liveness, recovery.
use super::disk::Disk;
use super::host::{Asked, Bank, Habit, Name, Side, counts_as_foreign, side};
use super::{Flow, broken};
use crate::domain::ident::{BatchNumber, Stan, TxnId};
use crate::domain::outcome::{
    CardClass, EntryType, Kind, Outcome, Ply, QueueState, Resolution, ResultCode, TxnState, Verdict,
};
use crate::domain::queue::Entry;
use crate::domain::record::{Record, ReversalReason, SettlementStep, TxnRow, TxnStart, WireFacts};
use crate::domain::rules::{self, Silence};
use crate::domain::settlement::{Report, Request, totals};
use crate::domain::txn::{Event, FinancialRequest, Garbled, Txn, TxnEffects, Vital};
use std::collections::HashMap;

/// What was sent under a name.
#[derive(Clone, Debug)]
struct Sent {
    id: TxnId,
    wire: WireFacts,
    amount: u64,
}

/// What was announced and what is durable.
#[derive(Clone, Debug, Default)]
struct Running {
    id: Option<TxnId>,
    outstanding: bool,
    finished: bool,
    /// The bank declined, or gave no approval yet: no approving second cryptogram may be asked.
    approved_by_bank: Option<bool>,
    tc: bool,
}

/// What ended the wait for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// One that can be read and is signed as it should be.
    Answer,
    /// One whose MAC is wrong.
    BadMac,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    word: Said,
    /// The power failed before its outcome was told.
    cut: bool,
}

/// Everything that was told, and by whom.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    sent: HashMap<Name, Sent>,
    /// STANs of messages that are no transaction.
    others: HashMap<Name, u32>,
    /// What the terminal heard of a request while it waited for its answer.
    heard: HashMap<TxnId, Heard>,
    /// Outcomes that customer and shop were told.
    told: HashMap<TxnId, Outcome>,
    /// Customer slips without a mark.
    slips: HashMap<TxnId, u32>,
    running: Running,
    /// Where the rows of the batch begin that is about to be closed.
    closing: usize,
    /// Transactions begun, ended with a row, settled batches, and batches that did not agree.
    pub transactions: u64,
    /// Batches closed.
    pub batches: u64,
    /// Of these the bank did not agree with.
    pub disagreed: u64,
}

impl Judge {
    /// A transaction begins.
    pub fn begins(&mut self, start: &TxnStart) {
        self.transactions = self.transactions.saturating_add(1);
        self.running = Running { id: Some(start.id.clone()), ..Running::default() };
    }

    /// What everybody was told of a transaction.
    #[must_use]
    pub fn told(&self, id: &TxnId) -> Option<Outcome> {
        self.told.get(id).copied()
    }

    /// Customer slips without a mark that came out.
    #[must_use]
    pub fn slips(&self, id: &TxnId) -> u32 {
        self.slips.get(id).copied().unwrap_or_default()
    }

    /// The power failed: nothing is running any more, and what was heard is forgotten unless it is durable.
    pub fn forgets(&mut self) {
        let running = core::mem::take(&mut self.running);
        if let (Some(id), false) = (running.id, running.finished) {
            self.heard.entry(id).and_modify(|heard| heard.cut = true);
        }
    }

    /// Before the machine hears of an event.
    pub fn hears(&mut self, txn: &Txn, event: &Event) {
        self.remembers(txn, event);
        match event {
            Event::Stored(_) | Event::StoreFailed => self.running.outstanding = false,
            Event::HostAnswered(answer) if self.running.approved_by_bank.is_none() => {
                self.running.approved_by_bank = Some(answer.approved);
            }
            _ => {}
        }
    }

    /// The first word that ends the wait for an answer; what comes later is heard by nobody.
    fn remembers(&mut self, txn: &Txn, event: &Event) {
        let waits = matches!(txn.state(), TxnState::Sending | TxnState::WaitingHost);
        let word = match event {
            Event::HostAnswered(_) => Said::Answer,
            Event::HostGarbled(Garbled::Mac) => Said::BadMac,
            _ => return,
        };
        if let (true, Some(id)) = (waits, &self.running.id) {
            self.heard.entry(id.clone()).or_insert(Heard { word, cut: false });
        }
    }

    /// 3: DE 39 of a reversal says why: A0 after a wrong MAC, 06 after an answer that could not stand, 98 after none.
    /// What a power cut took from memory is as if it had not been heard.
    fn reason_is_true(&self, entry: &Entry) -> Flow {
        let heard = self.heard.get(&entry.id.txn);
        let (word, cut) = (heard.map(|heard| heard.word), heard.is_some_and(|heard| heard.cut));
        let reason = entry.content.as_ref().and_then(|content| content.reason).map(ReversalReason::code);
        let fits = match (reason, word) {
            (Some("98"), None) | (Some("06"), Some(Said::Answer)) | (Some("A0"), Some(Said::BadMac)) => true,
            (Some("98"), Some(_)) => cut,
            _ => false,
        };
        if fits { Ok(()) } else { broken(format!("3: a reversal says {reason:?} after {word:?}")) }
    }

    /// What the machine wants: the write-ahead rule.
    ///
    /// # Errors
    /// A rule is broken.
    pub fn wants(&mut self, _: &Txn, effects: &TxnEffects, _: &Disk) -> Flow {
        if let Vital::Store(_) = &effects.vital {
            if self.running.outstanding {
                return broken("a second store while one is out");
            }
            if self.running.finished {
                return broken("a store after the end");
            }
            self.running.outstanding = true;
        }
        Ok(())
    }

    /// The chip is asked for a cryptogram or answered one. 4: no approving second one after a decline.
    ///
    /// # Errors
    /// A rule is broken.
    pub fn cryptogram(&mut self, asks_tc: bool, said_tc: bool) -> Flow {
        if asks_tc && self.running.approved_by_bank == Some(false) {
            return broken("4: an approving cryptogram is asked for after a decline");
        }
        self.running.tc |= said_tc;
        Ok(())
    }

    /// A request leaves.
    ///
    /// # Errors
    /// A rule is broken.
    pub fn sends(&self, request: &FinancialRequest, asked: &Asked, disk: &Disk) -> Flow {
        let id = &request.start.id;
        let Some(row) = disk.stored(id) else { return broken("a request leaves without its record") };
        if row.stan != Some(request.stan) || row.batch != request.batch || row.outcome != Outcome::None {
            return broken("a request leaves that is not the durable one");
        }
        let silence = rules::rule(request.start.kind).silence;
        let armed = silence.entry().is_some_and(|t| row.entry(t).is_some_and(|entry| entry.armed));
        if !armed && silence != Silence::Forget {
            return broken("a request leaves without what silence owes");
        }
        self.number(asked.name, id)?;
        follows_rightly(row, disk)?;
        let amount = request.start.amount.minor();
        match self.sent.get(&asked.name) {
            Some(before) if before.wire != request.wire || before.amount != amount => {
                broken("3: a repeated request differs from the first one")
            }
            _ => Ok(()),
        }
    }

    /// It has left.
    pub fn has_sent(&mut self, request: FinancialRequest, name: Name) {
        let amount = request.start.amount.minor();
        self.sent.insert(name, Sent { id: request.start.id, wire: request.wire, amount });
    }

    /// 3: no batch and STAN serves another business.
    fn number(&self, name: Name, id: &TxnId) -> Flow {
        if self.others.contains_key(&name) {
            return broken("3: a STAN of a management message serves a transaction");
        }
        match self.sent.get(&name) {
            Some(sent) if sent.id != *id => broken("3: a STAN serves two transactions"),
            _ => Ok(()),
        }
    }

    /// A number was taken for a message that is no transaction.
    ///
    /// # Errors
    /// It serves a transaction already.
    pub fn management(&mut self, stan: Stan, batch: BatchNumber) -> Flow {
        let name = (batch.get(), stan.get());
        if self.sent.contains_key(&name) {
            return broken("3: a STAN of a transaction is taken once more");
        }
        self.others.insert(name, 0);
        Ok(())
    }

    /// An entry of the queue leaves.
    ///
    /// # Errors
    /// A rule is broken.
    pub fn sends_entry(&mut self, entry: &Entry, disk: &Disk) -> Flow {
        let Some(row) = disk.stored(&entry.id.txn) else { return broken("an entry without a row") };
        let Some(kept) = row.entry(entry.entry_type()) else { return broken("an entry that is not stored") };
        if kept.state != QueueState::Sending || kept.attempts == 0 || kept.attempts < entry.attempts {
            return broken(format!("an entry leaves before its attempt is durable: {}", kept.state));
        }
        let (Some(stan), Some(content)) = (row.stan, entry.content.as_ref()) else {
            return broken("an entry without its numbers");
        };
        let name = (row.batch.get(), stan.get());
        if (entry.txn_stan, entry.batch, entry.amount) != (Some(stan), row.batch, row.start.amount) {
            return broken("3: an entry carries other numbers than its transaction");
        }
        match entry.entry_type() {
            EntryType::Reversal => {
                self.reason_is_true(entry)?;
                // A power cut between record and send leaves a reversal of what was never sent.
                let of_row = (&row.start.id, row.wire.as_ref(), row.start.amount.minor());
                let sent = self.sent.get(&name);
                let of_sent = sent.map_or(of_row, |sent| (&sent.id, Some(&sent.wire), sent.amount));
                if of_sent == (&row.start.id, Some(&content.wire), entry.amount.minor()) {
                    Ok(())
                } else {
                    broken("3: a reversal does not repeat its original")
                }
            }
            EntryType::Script => match entry.own_stan {
                Some(own) if own != stan => self.number((row.batch.get(), own.get()), &row.start.id),
                _ => broken("3: a script result has no STAN of its own"),
            },
            EntryType::OfflineSale | EntryType::Advice => {
                self.number(name, &row.start.id)?;
                let sent = Sent {
                    id: row.start.id.clone(),
                    wire: content.wire.clone(),
                    amount: entry.amount.minor(),
                };
                self.sent.insert(name, sent);
                Ok(())
            }
            EntryType::RefundUnknown => broken("a refund of unknown outcome is sent again"),
        }
    }

    /// Everybody is told the outcome.
    ///
    /// # Errors
    /// It is not the durable one.
    pub fn finishes(&mut self, txn: &Txn, disk: &Disk) -> Flow {
        if core::mem::replace(&mut self.running.finished, true) {
            return broken("Finished comes twice");
        }
        let Some(closed) = txn.ended() else { return broken("Finished before the end") };
        let kept = disk.outcome(&closed.id);
        if kept != Some(closed.outcome) {
            return broken(format!("told {}, but {kept:?} is durable", closed.outcome));
        }
        if closed.outcome == Outcome::Declined && self.running.tc && closed.reversal.is_none() {
            let online = self.running.approved_by_bank == Some(true);
            if online {
                return broken("4: a TC ends in declined without a reversal");
            }
        }
        self.told.insert(closed.id.clone(), closed.outcome);
        Ok(())
    }

    /// A slip came out. 5: at most one customer slip without a mark.
    ///
    /// # Errors
    /// A rule is broken.
    pub fn paper(&mut self, id: &TxnId, ply: Ply, marked: bool) -> Flow {
        if ply != Ply::Customer || marked {
            return Ok(());
        }
        let slips = self.slips.entry(id.clone()).or_default();
        *slips = slips.saturating_add(1);
        if *slips > 1 { broken("5: two customer slips without a mark") } else { Ok(()) }
    }

    /// A message of the settlement leaves.
    ///
    /// # Errors
    /// The totals that leave are not the frozen ones.
    pub fn sends_settlement(&mut self, request: &Request, disk: &Disk) -> Flow {
        let running = disk.settlement();
        match request {
            Request::Totals { stan, field48 } => {
                let frozen = running.and_then(|running| running.frozen.as_ref());
                if frozen != Some(&(field48.clone(), *stan)) {
                    return broken("the totals leave before they are frozen");
                }
                let reckoned = reckon(disk.open_stored());
                if *field48 != reckoned {
                    return broken(format!("2: field 48 is {field48}, and should be {reckoned}"));
                }
                Ok(())
            }
            _ if running.is_some_and(|running| running.verdict.is_some()) => Ok(()),
            _ => broken("an upload leaves before the verdict is durable"),
        }
    }

    /// Keeps the batch as it is before the step that may close it.
    pub fn before_settlement_step(&mut self, records: &[Record], disk: &Disk) {
        let closes = records.iter().any(|record| match record {
            Record::Settlement(step) => matches!(**step, SettlementStep::Closed { .. }),
            _ => false,
        });
        if closes && disk.settlement().is_some() {
            self.closing = disk.settled_rows();
        }
    }

    /// The batch is closed: where the two differ, the suspects must say why.
    ///
    /// # Errors
    /// A difference that nobody explains.
    pub fn batch_closed(&mut self, report: &Report, disk: &Disk, bank: &Bank) -> Flow {
        self.batches = self.batches.saturating_add(1);
        if report.forced {
            return Ok(());
        }
        let rows = disk.all().take(disk.settled_rows()).skip(self.closing);
        let differing: Vec<&TxnRow> = rows.filter(|row| row.stan.is_some() && differs(row, bank)).collect();
        for row in &differing {
            if !report.suspects.iter().any(|suspect| suspect.txn == row.start.id) {
                let text =
                    format!("2: the bank thinks otherwise of a {} and nobody suspects it", row.start.kind);
                return broken(text);
            }
        }
        self.detail_went_up(report, disk, bank)?;
        let agreed = report.verdict == (Verdict::Agreed, Verdict::Agreed);
        if !agreed {
            self.disagreed = self.disagreed.saturating_add(1);
            if differing.is_empty() {
                return broken("2: the bank disagrees and no record differs");
            }
        }
        // Two differences may cancel out; one alone never agrees.
        if agreed && differing.len() == 1 {
            return broken("2: the bank agrees although a record differs");
        }
        Ok(())
    }

    /// 2: where a class did not agree the bank has heard of each of its records.
    fn detail_went_up(&self, report: &Report, disk: &Disk, bank: &Bank) -> Flow {
        let missing = disk.all().take(disk.settled_rows()).skip(self.closing).find(|row| {
            let verdict = match row.card_class {
                CardClass::Domestic => report.verdict.0,
                CardClass::Foreign => report.verdict.1,
            };
            let wanted = verdict != Verdict::Agreed && totals::side(row).is_some();
            wanted && row.stan.is_some_and(|stan| !bank.has_detail(stan.get()))
        });
        match missing {
            Some(row) => {
                broken(format!("2: the bank did not agree and was not told of a {}", row.start.kind))
            }
            None => Ok(()),
        }
    }

    /// What must hold at any time.
    ///
    /// # Errors
    /// A rule is broken.
    pub fn step(&self, disk: &Disk, bank: &Bank) -> Flow {
        disk.all().try_for_each(|row| self.row(row, bank, false))
    }

    /// 1 and 5, at rest: nothing is running, and faults are over.
    ///
    /// # Errors
    /// A rule is broken.
    pub fn rest(&self, disk: &Disk, bank: &Bank) -> Flow {
        disk.all().try_for_each(|row| self.row(row, bank, true))?;
        for (name, booking) in bank.names() {
            match self.sent.get(name) {
                Some(sent) if disk.stored(&sent.id).is_some() => {}
                _ => return broken(format!("1: nobody knows of the bank's {} {name:?}", booking.kind)),
            }
        }
        Ok(())
    }

    /// Can both be true: what the journal says of one transaction, and what the bank holds?
    fn row(&self, row: &TxnRow, bank: &Bank, at_rest: bool) -> Flow {
        let name = row.stan.map(|stan| (row.batch.get(), stan.get()));
        let booking = name.and_then(|name| bank.booking(name)).filter(|booking| !booking.reversed);
        let holds = booking.is_some();
        if row.result == Some(ResultCode::Partial) && !row.start.terms.allow_partial {
            return broken("1: a part was approved that nobody allowed");
        }
        entries_are_true(row, holds)?;
        let owed = row.entries.iter().any(|entry| entry.is_open());
        let written_off = row.entries.iter().any(|e| e.resolution == Some(Resolution::WrittenOff));
        // The listed exception: a bank that books what it said it did not know.
        let late = bank.habit() == Habit::BooksLate
            && row.reversal().is_some_and(|r| r.response_code.as_ref().is_some_and(|c| c.as_str() == "25"));
        let may_differ = owed || written_off || late;
        let what =
            || format!("{} that is {}, bank holds: {holds}, {:?}", row.start.kind, row.outcome, row.entries);
        match row.outcome {
            Outcome::None if at_rest => return broken(format!("7: a {}", what())),
            Outcome::None => {}
            Outcome::Unknown if !may_differ => return broken(format!("1: nobody looks after a {}", what())),
            Outcome::Unknown => {}
            Outcome::Approved if row.start.kind == Kind::Balance || row.stan.is_none() => {}
            Outcome::Approved if !holds && !may_differ => return broken(format!("1: a {}", what())),
            Outcome::StoredOffline if !holds && !may_differ && !was_withdrawn(row) && !given_up(row) => {
                return broken(format!("1: a {}", what()));
            }
            Outcome::Approved | Outcome::StoredOffline => {
                if booking.is_some_and(|b| b.amount != row.approved_amount.minor()) && !may_differ {
                    return broken(format!("1: another amount: {}", what()));
                }
            }
            Outcome::Declined | Outcome::Cancelled | Outcome::Failed | Outcome::Reversed => {
                if holds && !may_differ {
                    return broken(format!("1: a {}", what()));
                }
            }
        }
        let Some(told) = self.told.get(&row.start.id) else { return Ok(()) };
        let fits = row.outcome == *told
            || (*told == Outcome::Unknown
                && matches!(row.outcome, Outcome::Reversed | Outcome::Approved | Outcome::Failed));
        if fits { Ok(()) } else { broken(format!("told {told}: a {}", what())) }
    }
}

/// 1: what was undone is not undone again, and a refund never gives back more than its original has left, as far as the
/// terminal knows.
fn follows_rightly(row: &TxnRow, disk: &Disk) -> Flow {
    let original = row.start.terms.original.as_ref().and_then(|original| original.txn.as_ref());
    let Some(original) = original.and_then(|id| disk.row(id)) else { return Ok(()) };
    if original.follow_ups.iter().any(|f| f.stands && f.kind != Kind::Refund) {
        return broken(format!("1: a {} of what was followed already", row.start.kind));
    }
    if row.start.kind != Kind::Refund {
        return Ok(());
    }
    let undone = |outcome| {
        matches!(outcome, Outcome::Declined | Outcome::Failed | Outcome::Cancelled | Outcome::Reversed)
    };
    let refunds = original.follow_ups.iter().filter(|f| f.kind == Kind::Refund && !undone(f.outcome));
    let given: u64 = refunds.map(|refund| refund.amount.minor()).sum();
    if given > original.approved_amount.minor() {
        return broken(format!("1: {given} refunded of {}", original.approved_amount.minor()));
    }
    Ok(())
}

/// What an entry says of the bank must be what the bank says.
fn entries_are_true(row: &TxnRow, holds: bool) -> Flow {
    for entry in row.entries.iter().filter(|entry| entry.resolution.is_none()) {
        let code = entry.response_code.as_ref().map_or("", |code| code.as_str());
        match (entry.entry_type, entry.state) {
            (EntryType::OfflineSale | EntryType::Advice, QueueState::Denied) if holds => {
                return broken("1: an upload counts as denied, and the bank has it");
            }
            // The profile of the worlds wants a second asking after 25.
            (EntryType::Reversal, QueueState::Done) if code == "25" && !entry.ask_again => {
                return broken("1: a reversal that found nothing was not asked again");
            }
            _ => {}
        }
    }
    Ok(())
}

/// A local void took its entry out of the queue.
fn was_withdrawn(row: &TxnRow) -> bool {
    let entry = row.entry(EntryType::OfflineSale);
    entry.is_none_or(|entry| entry.state == QueueState::Done && entry.attempts == 0)
}

/// The shop has ended it: not paid.
fn given_up(row: &TxnRow) -> bool {
    row.entries.iter().any(|entry| entry.resolution == Some(Resolution::NotPaid))
}

/// The bank's books and field 48 say different things of this record.
fn differs(row: &TxnRow, bank: &Bank) -> bool {
    let class = row.card_class == CardClass::Foreign;
    let ours = totals::side(row).map(|_| (row.approved_amount.minor(), class));
    let name = row.stan.map(|stan| (row.batch.get(), stan.get()));
    let booking = name.and_then(|name| bank.booking(name)).filter(|booking| !booking.reversed);
    let theirs = booking.filter(|booking| side(booking.kind).is_some());
    let theirs = theirs.map(|booking| (booking.amount, counts_as_foreign(booking)));
    ours != theirs
}

/// 2: field 48 by another hand.
fn reckon<'a>(rows: impl Iterator<Item = &'a TxnRow>) -> String {
    let mut sums = [[(0_u64, 0_u32); 2]; 2];
    for row in rows {
        let told =
            row.entries.iter().find(|e| matches!(e.entry_type, EntryType::OfflineSale | EntryType::Advice));
        let counts = match row.outcome {
            Outcome::Approved => row.wire.is_some(),
            Outcome::StoredOffline => told.is_some_and(|e| {
                e.state == QueueState::Done
                    && e.attempts > 0
                    && !matches!(e.resolution, Some(Resolution::NotPaid | Resolution::WrittenOff))
            }),
            _ => false,
        };
        let Some(side) = side(row.start.kind).filter(|_| counts) else { continue };
        let class = usize::from(row.card_class == CardClass::Foreign);
        if let Some(sum) = sums.get_mut(class).and_then(|s| s.get_mut(usize::from(side == Side::Credit))) {
            *sum = (sum.0.saturating_add(row.approved_amount.minor()), sum.1.saturating_add(1));
        }
    }
    let class = |[debit, credit]: [(u64, u32); 2]| {
        format!("{:012}{:03}{:012}{:03}0", debit.0, debit.1, credit.0, credit.1)
    };
    sums.map(class).concat()
}
