//! The queue at work: entries go to the bank in the order of the domain, one run each.
use super::card::card_of;
use super::host::{Asked, kind_of};
use super::net::{Heard, Mood};
use super::trade::{facts, original_of};
use super::{Flow, RESPONSE, World, broken, operator};
use crate::domain::calendar::BootTime;
use crate::domain::ident::{AuthCode, ResponseCode, TxnId};
use crate::domain::outcome::{EntryType, Resolution};
use crate::domain::queue::Entry;
use crate::domain::queue::delivery::{Delivery, End, Event, Limits, Local};
use crate::domain::queue::order::{self, Present, Trade};
use crate::domain::record::HostFacts;
use crate::domain::txn::Vital;
use std::collections::VecDeque;
use std::sync::Arc;

/// More runs than any queue of a world needs.
const RUNS_MAX: u32 = 400;

impl World {
    /// The journal's entries of one transaction take the place of those in memory.
    pub(super) fn refresh(&mut self, id: &TxnId) {
        let Some(row) = self.disk.stored(id) else { return };
        if self.memory.entries.is_empty() && row.entries.is_empty() {
            return;
        }
        self.memory.schedule.take(&mut self.memory.entries, id, Entry::all_of(row));
    }

    fn next(&self, trade: Trade) -> (Option<Entry>, Option<BootTime>) {
        let withheld = self.memory.withheld.clone();
        let present = Present {
            now: self.now.boot,
            trade,
            paused: self.memory.paused,
            line_of: self.memory.line_of.as_ref(),
            withheld: &|id| withheld.as_ref() == Some(id),
        };
        let schedule = &self.memory.schedule;
        let entries = &self.memory.entries;
        (schedule.next(entries, &present).cloned(), schedule.next_at(entries, &present))
    }

    /// What must go before a transaction goes. False: it could not.
    pub(super) fn first_things_first(&mut self) -> Flow<bool> {
        for _ in 0..RUNS_MAX {
            let Some(entry) = self.next(Trade::Waits).0 else { break };
            let end = self.deliver(entry)?;
            if matches!(end, End::NoLine | End::Repeat | End::StorageFault) {
                break;
            }
            if !self.sign_on_if_needed()? {
                return Ok(false);
            }
        }
        Ok(!self.memory.entries.iter().any(Entry::blocks_trading))
    }

    /// What is ripe goes now; nobody waits.
    ///
    /// # Errors
    /// The power failed, or a rule is broken.
    pub fn idle(&mut self) -> Flow {
        for _ in 0..3 {
            let Some(entry) = self.next(Trade::Idle).0 else { return Ok(()) };
            if !self.sign_on_if_needed()? {
                return Ok(());
            }
            self.deliver(entry)?;
        }
        Ok(())
    }

    /// Everything goes that can, with its pauses. True: nothing is left that goes by itself.
    pub(super) fn drain(&mut self) -> Flow<bool> {
        self.memory.schedule.kick(&self.memory.entries);
        let mut refused = 0_u32;
        for _ in 0..RUNS_MAX {
            self.moment();
            if !self.sign_on_if_needed()? {
                refused = refused.saturating_add(1);
                if refused > 5 {
                    return Ok(false);
                }
                continue;
            }
            match self.next(Trade::Idle) {
                (Some(entry), _) => match self.deliver(entry)? {
                    End::NoLine | End::StorageFault => refused = refused.saturating_add(1),
                    _ => {}
                },
                (None, Some(at)) => self.sleep_until(at),
                (None, None) => break,
            }
            if refused > 20 {
                return Ok(false);
            }
        }
        Ok(order::drained(&self.memory.entries))
    }

    /// One run of one entry.
    fn deliver(&mut self, entry: Entry) -> Flow<End> {
        let limits = Limits {
            profile: Arc::clone(&self.setup.identity.profile),
            response_timeout: RESPONSE,
            tls: self.setup.tls,
            late_after: self.late_after,
        };
        let id = entry.id.clone();
        self.place.0 = "queue";
        self.note(&format_args!("queue: {}", id.entry_type));
        if !self.floating.is_empty() && self.fails(&[()]).is_some() {
            self.land();
        }
        let mut machine = Delivery::new(entry, limits);
        let begun = if self.open_line() { Event::LineReady } else { Event::LineFailed("no line".into()) };
        let mut events = VecDeque::from([begun]);
        let mut late = None;
        let end = loop {
            if let Some(end) = machine.ended() {
                break end;
            }
            self.step()?;
            let event = match (events.pop_front(), machine.deadline()) {
                (Some(event), _) => event,
                (None, Some(at)) => {
                    self.sleep_until(at);
                    events.extend(late.take());
                    Event::Tick
                }
                (None, None) => return broken("a delivery waits for nothing"),
            };
            let (next, effects) = machine.step(event, self.now);
            machine = next;
            for local in effects.local {
                match local {
                    Local::DropSignOn => self.memory.signed_on = false,
                }
            }
            match effects.vital {
                Vital::Nothing => {}
                Vital::Store(records) => {
                    let stored = self.commit(&records, "before a queue record is durable")?;
                    events.push_back(match stored {
                        Some(committed) => Event::Stored(committed.taken.map(|(stan, _)| stan)),
                        None => Event::StoreFailed,
                    });
                }
                Vital::Send(entry) => self.send_entry(&entry, &mut events, &mut late)?,
            }
        };
        let at = self.now.boot;
        self.memory.schedule.ended(machine.entry(), end, machine.heard(), at, 0);
        self.note(&format_args!("queue: {} ends: {end:?}", id.entry_type));
        self.refresh(&id.txn);
        Ok(end)
    }

    fn send_entry(&mut self, entry: &Entry, events: &mut VecDeque<Event>, late: &mut Option<Event>) -> Flow {
        self.judge.sends_entry(entry, &self.disk)?;
        let exchange =
            self.exchange(entry.entry_type().word(), |world, mood| world.bank_hears(entry, mood))?;
        for heard in exchange.heard {
            events.push_back(match heard {
                Heard::Sent => Event::RequestSent,
                Heard::Answer(facts) => signed(facts?),
                Heard::Garbled(garbled) => Event::Garbled(garbled),
                Heard::Lost(_) => Event::LineLost,
            });
        }
        if let Some(facts) = exchange.late {
            *late = Some(signed(facts?));
        }
        Ok(())
    }

    fn bank_hears(&mut self, entry: &Entry, mood: Mood) -> Flow<HostFacts> {
        let name = match entry.txn_stan {
            Some(stan) => (entry.batch.get(), stan.get()),
            None => return broken("an entry without a STAN is sent"),
        };
        let code = match entry.entry_type() {
            EntryType::Reversal => match mood.refusal("96") {
                Some(code) => code,
                None => self.bank.reverse(name),
            },
            EntryType::Script => mood.refusal("96").unwrap_or("00"),
            EntryType::OfflineSale | EntryType::Advice => {
                let asked = read_upload(entry, name)?;
                let said = self.bank.ask(&asked, mood.refusal("51"), false);
                self.note(&format_args!("the bank says {} to the upload of {name:?}", said.code));
                return facts(&said, super::host::is_foreign(asked.card));
            }
            EntryType::RefundUnknown => return broken("a refund of unknown outcome is repeated"),
        };
        self.note(&format_args!("the bank says {code} to the {} of {name:?}", entry.entry_type()));
        let code = ResponseCode::new(code).or_else(|_| broken("the bank says what is no response code"))?;
        Ok(HostFacts { response_code: Some(code), ..HostFacts::default() })
    }

    /// The shop finds out what became of what the bank will not end, and says so.
    pub(super) fn resolve_all(&mut self, written_off: bool) -> Flow {
        // It asks the bank, and not too early.
        self.land();
        let unresolved =
            |entry: &Entry| entry.is_unresolved() || entry.entry_type() == EntryType::RefundUnknown;
        let waiting: Vec<Entry> = self.memory.entries.iter().filter(|e| unresolved(e)).cloned().collect();
        for entry in waiting {
            let held = entry.txn_stan.is_some_and(|stan| self.bank.holds((entry.batch.get(), stan.get())));
            let how = match (written_off, held) {
                (true, _) => Resolution::WrittenOff,
                (false, true) => Resolution::Paid,
                (false, false) => Resolution::NotPaid,
            };
            let record = entry.resolve(how, Some(operator("00")?), self.now.wall);
            let record = record.or_else(|fault| broken(format!("not resolved: {}", fault.text)))?;
            self.commit(&[record], "before a resolution is durable")?;
            self.refresh(&entry.id.txn);
        }
        Ok(())
    }
}

fn read_upload(entry: &Entry, name: (u32, u32)) -> Flow<Asked> {
    let Some(content) = &entry.content else { return broken("an upload without content is sent") };
    let Some(kind) = kind_of(&content.wire) else { return broken("no bank knows this upload") };
    let code = content.auth_code.as_ref().map(AuthCode::as_str).and_then(|text| text.parse().ok());
    Ok(Asked {
        name,
        kind,
        amount: entry.amount.minor(),
        card: card_of(content.pan.reveal()).ok_or_else(|| super::Halt::Broken("a strange card".into()))?,
        original: original_of(&content.wire.original),
        rrn: None,
        auth_code: code,
        partial: false,
    })
}

/// What the bank of a world says carries its MAC.
fn signed(facts: HostFacts) -> Event {
    Event::Answered { host: Box::new(facts), signed: true }
}
