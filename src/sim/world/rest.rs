//! Rest: faults are over, everything that can be done is done, and the judge looks at what is left.
use super::{Flow, World, broken};
use crate::domain::queue::order;

impl World {
    /// Faults are over: the queue drains, what the bank will not end the shop ends, the day is settled.
    ///
    /// # Errors
    /// A rule is broken.
    pub fn come_to_rest(&mut self) -> Result<(), String> {
        self.calm();
        self.note(&"calm");
        self.survive(Self::settle_accounts).map(drop)
    }

    fn settle_accounts(&mut self) -> Flow {
        self.steps = 0;
        self.let_everything_go()?;
        // 7: within the runs of a drain.
        if !self.drain()? {
            return broken("7: the queue does not drain");
        }
        self.land();
        self.judge.rest(&self.disk, &self.bank)?;
        self.settle(false)?;
        self.judge.rest(&self.disk, &self.bank)?;
        self.resolve_all(false)?;
        self.judge.rest(&self.disk, &self.bank)?;
        if let Some(entry) = self.memory.entries.first() {
            return broken(format!("7: an entry is left: {} {}", entry.id.entry_type, entry.state));
        }
        if !order::drained(&self.memory.entries)
            || !self.disk.loaded().open.iter().all(|row| row.entries.iter().all(|e| !e.is_open()))
        {
            return broken("7: something is still owed");
        }
        Ok(())
    }
}
