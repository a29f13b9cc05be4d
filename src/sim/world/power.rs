//! Power and keys: what is left after a cut, recovery, and the sign-on.
use super::net::Heard;
use super::{FirstCut, Flow, Halt, Memory, World, broken};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::ident::{BatchNumber, ResponseCode};
use crate::domain::queue::Entry;
use crate::domain::record::KeyRecord;
use crate::domain::txn::Vital;
use crate::domain::txn::management::{Errand, Event, Local, Management, SignOnAnswer};
use crate::domain::txn::recovery::recover;
use std::collections::VecDeque;
use std::sync::Arc;

/// What the clock says after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Back,
    Forward,
}

const HOUR: u64 = 3_600_000_000;

impl World {
    /// Runs what the shop does until it is done; when the power fails the terminal starts again. True: it was not cut.
    ///
    /// # Errors
    /// A rule is broken.
    pub fn survive(&mut self, deed: impl FnOnce(&mut Self) -> Flow) -> Result<bool, String> {
        let mut ended = deed(self);
        let mut whole = true;
        let mut tries = 0_u32;
        loop {
            match ended {
                Ok(()) => return Ok(whole),
                Err(Halt::Broken(what)) => return Err(what),
                Err(Halt::Cut) => {
                    whole = false;
                    tries = tries.saturating_add(1);
                    if tries > 50 {
                        return Err("power fails for ever".to_owned());
                    }
                    ended = self.restart();
                }
            }
        }
    }

    /// The power is back: what is in the journal becomes the terminal.
    fn restart(&mut self) -> Flow {
        self.cuts = self.cuts.saturating_add(1);
        if self.first_cut.is_none() {
            let told = self.last.as_ref().and_then(|id| self.judge.told(id));
            let (state, place) = self.place;
            self.first_cut = Some(FirstCut { state, place, told, recovered: None });
        }
        self.steps = 0;
        let pending = u8::try_from(self.disk.pending()).unwrap_or(u8::MAX - 1);
        let lost = self.chance.way(pending.saturating_add(1));
        self.disk.cut(usize::from(pending.saturating_sub(lost)));
        self.memory = Memory::new(Vec::new(), self.now);
        self.judge.forgets();
        self.clock_after_restart();
        self.note(&"starts");
        let loaded = self.disk.loaded();
        let records = recover(&loaded, self.now.wall);
        if records != recover(&loaded, self.now.wall) {
            return broken("recovery is not a function of the journal");
        }
        self.place.0 = "recovery";
        // A start whose journal cannot be written ends, and the service manager starts it again.
        if !records.is_empty() && self.commit(&records, "before recovery is durable")?.is_none() {
            return Err(Halt::Cut);
        }
        let loaded = if records.is_empty() { loaded } else { self.disk.loaded() };
        if !recover(&loaded, self.now.wall).is_empty() {
            return broken("recovery finds more after it was carried out");
        }
        let entries = loaded.open.iter().flat_map(Entry::all_of).collect();
        self.memory = Memory::new(entries, self.now);
        self.memory.signed_on = loaded.keys.is_some();
        self.memory.paused = loaded.queue_paused.is_some();
        if let Some(first) = &mut self.first_cut
            && first.recovered.is_none()
            && let Some(row) = self.last.as_ref().and_then(|id| self.disk.stored(id))
        {
            let owed = row.entries.iter().filter(|entry| entry.is_open());
            first.recovered = Some((row.outcome, owed.map(|e| (e.entry_type, e.state)).collect()));
        }
        self.judge.step(&self.disk, &self.bank)?;
        for row in &loaded.open {
            self.print(&row.start.id)?;
        }
        if loaded.settlement.is_some() {
            self.settle_on(false)?;
        }
        Ok(())
    }

    /// The boot clock begins anew; the wall clock may be anything.
    fn clock_after_restart(&mut self) {
        let wall = match self.fails(&[Clock::Back, Clock::Forward]) {
            None => self.now.wall.0.saturating_add(30_000_000),
            Some(Clock::Back) => self.now.wall.0.saturating_sub(HOUR),
            Some(Clock::Forward) => self.now.wall.0.saturating_add(HOUR),
        };
        self.now.boot = BootTime(1_000_000);
        self.now.wall = WallTime(wall);
    }

    /// The terminal is signed on, or signs on now. False: it could not.
    pub(super) fn sign_on_if_needed(&mut self) -> Flow<bool> {
        if !self.memory.signed_on {
            self.sign_on()?;
        }
        Ok(self.memory.signed_on)
    }

    /// The terminal signs on: new keys, and perhaps another batch.
    ///
    /// # Errors
    /// The power failed, or a rule is broken.
    pub fn sign_on(&mut self) -> Flow {
        let mut machine =
            Management::new(Errand::SignOn, super::RESPONSE, Arc::clone(&self.setup.identity.profile));
        let begun = if self.open_line() { Event::LineReady } else { Event::LineFailed("no line".into()) };
        let mut events = VecDeque::from([begun]);
        while machine.ended().is_none() {
            self.step()?;
            let event = match (events.pop_front(), machine.deadline()) {
                (Some(event), _) => event,
                (None, Some(at)) => {
                    self.sleep_until(at);
                    Event::Tick
                }
                (None, None) => return broken("a sign-on waits for nothing"),
            };
            let (next, effects) = machine.step(event, self.now);
            machine = next;
            for local in effects.local {
                match local {
                    Local::UseKeys => {
                        self.memory.signed_on = true;
                        self.memory.schedule.kick(&self.memory.entries);
                    }
                    Local::DropKeys => self.memory.signed_on = false,
                }
            }
            match effects.vital {
                Vital::Nothing => {}
                Vital::Store(records) => {
                    let stored = self.commit(&records, "before the sign-on is durable")?;
                    events.push_back(match stored {
                        Some(committed) => {
                            if let Some((stan, batch)) = committed.taken {
                                self.judge.management(stan, batch)?;
                            }
                            Event::Stored(committed.taken.map(|(stan, _)| stan))
                        }
                        None => Event::StoreFailed,
                    });
                }
                Vital::Send(_) => self.ask_for_keys(&mut events)?,
            }
        }
        Ok(())
    }

    fn ask_for_keys(&mut self, events: &mut VecDeque<Event>) -> Flow {
        let other = self.fails(&[()]).is_some().then(|| self.other_batch()).flatten();
        let at = self.now.wall;
        let exchange = self.exchange("sign-on", |_, mood| match mood.refusal("96") {
            Some(code) => ResponseCode::new(code).map(SignOnAnswer::Refused).ok(),
            None => Some(SignOnAnswer::Accepted {
                new_master: None,
                keys: KeyRecord { block: vec![0x5A; 24], tmk_check: [1, 2, 3, 4], loaded_at: at },
                batch: other,
                clock_offset: 0,
            }),
        })?;
        for heard in exchange.heard {
            events.extend(match heard {
                Heard::Sent => Some(Event::RequestSent),
                Heard::Answer(answer) => answer.map(|answer| Event::SignOn(Box::new(answer))),
                Heard::Garbled(garbled) => Some(Event::Garbled(garbled)),
                Heard::Lost(_) => Some(Event::LineLost("lost".into())),
            });
        }
        Ok(())
    }

    /// The bank offers another batch; the engine adopts it only while nothing hangs on the open one.
    fn other_batch(&mut self) -> Option<BatchNumber> {
        let free = self.disk.batch_is_free();
        self.note(&format_args!(
            "the bank offers another batch: {}",
            if free { "adopted" } else { "kept back" }
        ));
        if !free {
            return None;
        }
        BatchNumber::new(self.disk.batch_number().get().saturating_add(7)).ok()
    }
}
