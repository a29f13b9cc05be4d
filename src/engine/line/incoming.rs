//! What comes in on the line: whose answer it is, whether it is one, and what the machines are told.
use super::{Opened, User};
use crate::domain::keystore::OpenedKeys;
use crate::domain::queue::delivery::{self, Delivery};
use crate::domain::record::KeyRecord;
use crate::domain::txn::management::{self, Errand, Management, SignOnAnswer};
use crate::domain::txn::{self, Garbled};
use crate::domain::unionpay::HostWish;
use crate::domain::unionpay::answers::{self, AnswerError};
use crate::domain::unionpay::messages::Request;
use crate::engine::{Engine, Note, cut};
use crate::ports::Durability;

/// Messages that answer nothing and are journalled, for each line: a host that has gone mad must not fill the disk.
const STRAYS_MAX: u32 = 16;

impl Engine {
    /// A whole message came.
    pub(super) fn frame(&mut self, bytes: &[u8]) {
        cut::boundary(&"frame received");
        let now = self.now();
        self.last_exchange = now.wall;
        self.line.heard_at = now.boot;
        let Some(request) = self.line.pending.take() else {
            return self.foreign(bytes);
        };
        if !self.line.tpdu_told && !answers::comes_back(&request, bytes) {
            // Choice: told, not refused. The addresses serve the concentrators between; matching and MAC decide.
            self.line.tpdu_told = true;
            tracing::warn!("the TPDU of an answer is not that of its request with the addresses swapped");
        }
        let foreign = match self.line.user.take() {
            Some(User::Txn) => {
                self.line.user = Some(User::Txn);
                self.sale_answer(&request, bytes)
            }
            Some(User::Entry(machine)) => self.entry_answer(*machine, &request, bytes),
            Some(User::Settlement) => {
                self.line.user = Some(User::Settlement);
                self.settlement_answer(&request, bytes)
            }
            Some(User::Download) => {
                self.line.user = Some(User::Download);
                self.download_answer(&request, bytes)
            }
            Some(User::Management { machine, job, opened }) => {
                self.management_answer(machine, job, opened, &request, bytes)
            }
            None => true,
        };
        if foreign {
            self.line.stray_since_sent = true;
            self.foreign(bytes);
            if self.line.user.is_some() {
                self.line.pending = Some(request); // its answer may still come
            }
        }
    }

    /// A late, repeated or unknown message: journalled and shown, never acted upon. It stands with the transaction
    /// whose STAN it bears, else in the audit trail.
    pub(super) fn foreign(&mut self, bytes: &[u8]) {
        let Some((mti, stan)) = answers::identify(&self.settings.identity.profile.dialect, bytes) else {
            return tracing::warn!("a message that is no answer was dropped");
        };
        let stan = stan.unwrap_or(0);
        tracing::warn!(mti, stan, "a late or repeated answer");
        self.line.strays = self.line.strays.saturating_add(1);
        if self.line.strays > STRAYS_MAX {
            return;
        }
        let owner = self
            .entries
            .iter()
            .filter(|(_, e)| e.view.trace == stan)
            .filter(|_| stan > 0)
            .max_by_key(|(_, e)| e.order);
        let records = match owner.map(|(id, _)| id.clone()) {
            Some(id) => {
                self.timeline(
                    &id,
                    "late-answer",
                    &format!("a late or repeated {mti} came; the outcome stands"),
                );
                self.take_notes()
            }
            None => vec![self.audit(None, format!("a {mti} with STAN {stan:06} answered nothing; dropped"))],
        };
        self.commit(Note::Evidence, records, Durability::Lazy);
    }

    pub(super) fn sale_answer(&mut self, request: &Request, bytes: &[u8]) -> bool {
        let now = self.now();
        let local = self.system.local(now.wall);
        let Some(keys) = self.keys.as_deref() else { return true };
        let event = match answers::read_financial(request, bytes, keys, local) {
            Ok(answer) if answer.is_of_a_double(self.line.stray_since_sent) => {
                tracing::warn!("the request was doubled on the way; its outcome is not known");
                txn::Event::HostGarbled(Garbled::Content)
            }
            Ok(answer) => {
                self.heed(HostWish::of(answer.header_request));
                self.line.schedule.wake(&self.queue);
                txn::Event::HostAnswered(Box::new(answer))
            }
            Err(AnswerError::Foreign { .. }) => return true,
            Err(error) => {
                tracing::warn!(%error, "the answer is not usable");
                txn::Event::HostGarbled(garbled(&error))
            }
        };
        self.step_txn(event);
        false
    }

    fn entry_answer(&mut self, machine: Delivery, request: &Request, bytes: &[u8]) -> bool {
        let local = self.system.local(self.wall());
        let answer = self.keys.as_deref().map(|keys| answers::read_financial(request, bytes, keys, local));
        let event = match answer {
            Some(Ok(answer)) => {
                self.heed(HostWish::of(answer.header_request));
                delivery::Event::Answered { host: Box::new(answer.host), signed: answer.signed }
            }
            None | Some(Err(AnswerError::Foreign { .. })) => {
                self.line.user = Some(User::Entry(Box::new(machine)));
                return true;
            }
            Some(Err(error)) => delivery::Event::Garbled(garbled(&error)),
        };
        self.step_delivery(machine, event);
        false
    }

    pub(super) fn management_answer(
        &mut self,
        machine: Management,
        job: u64,
        mut opened: Option<Box<Opened>>,
        request: &Request,
        bytes: &[u8],
    ) -> bool {
        let now = self.system.boot();
        self.line.echo_ms = u64::try_from(now.since(self.line.sent_at).as_millis()).ok();
        let event = if machine.errand() == Errand::SignOn {
            answers::read_sign_on(request, bytes).map(|answer| {
                self.heed_management(HostWish::of(answer.header_request));
                let (event, keys) = self.open_keys(answer);
                opened = keys;
                event
            })
        } else {
            answers::read_management(request, bytes).map(|answer| {
                self.heed_management(HostWish::of(answer.header_request));
                management::Event::Answered(answer.response_code)
            })
        };
        match event {
            Ok(event) => self.step_management(machine, job, opened, event),
            Err(AnswerError::Foreign { .. }) => {
                self.line.user = Some(User::Management { machine, job, opened });
                return true;
            }
            Err(error) => {
                self.step_management(machine, job, opened, management::Event::Garbled(garbled(&error)))
            }
        }
        false
    }

    /// Opens the key block of a sign-on answer and checks it; nothing is used before it is durable.
    pub(super) fn open_keys(
        &self,
        answer: answers::SignOnAnswer,
    ) -> (management::Event, Option<Box<Opened>>) {
        let sign_on = |answer| management::Event::SignOn(Box::new(answer));
        if answer.response_code.as_str() != "00" {
            return (sign_on(SignOnAnswer::Refused(answer.response_code)), None);
        }
        let opened = self.key_store.open(&answer.key_block);
        let OpenedKeys { session: keys, block, master_check, new_master } = match opened {
            Ok(opened) => opened,
            Err(error) => return (sign_on(SignOnAnswer::KeysBad(error.to_string())), None),
        };
        let system = self.system.wall();
        let stamp = answer.host_time.as_deref().zip(answer.host_date.as_deref());
        let host = stamp
            .and_then(|(time, date)| {
                answers::host_time(time, date, self.system.local(self.wall().max(self.clock_floor)))
            })
            .and_then(|local| self.system.wall_of(local));
        let clock_offset = host.map_or(self.clock_offset, |host| {
            i64::try_from(i128::from(host.0).saturating_sub(i128::from(system.0))).unwrap_or(0)
        });
        let record = KeyRecord { block, tmk_check: master_check, loaded_at: host.unwrap_or(system) };
        // A batch is only taken up while nothing of the own one is open.
        let free = !self.open_batch.has_records && self.queue.is_empty();
        let other = answer.batch.filter(|batch| *batch != self.batch && batch.get() < 999_999);
        let batch = other.filter(|_| free);
        let batch_mismatch = other.is_some() && !free;
        let accepted = SignOnAnswer::Accepted {
            keys: record.clone(),
            new_master: new_master.clone(),
            batch,
            clock_offset,
        };
        let opened = Opened { keys, record, new_master, clock_offset, batch, batch_mismatch };
        (sign_on(accepted), Some(Box::new(opened)))
    }
}

fn garbled(error: &AnswerError) -> Garbled {
    match error {
        AnswerError::Mac => Garbled::Mac,
        _ => Garbled::Content,
    }
}
