//! Sales that were approved here a while ago: the log against split sales (EMV 4.4 Book 3 §10.6.1).
//!
//! In memory only. A restart forgets it, which lets a split sale under the floor limit through once; the bank's own
//! limits and the merchant's on stored sales stand all the same. Choice.
use crate::domain::money::Amount;
use std::sync::Arc;

/// Most sales remembered. Choice: a busy till's last hour.
const SALES_MAX: usize = 64;

/// Card token and amount of each, newest last. A voided sale stays: then the bank is asked once more than it must.
#[derive(Default)]
pub(super) struct Recent(Arc<[(String, Amount)]>);

impl Recent {
    /// What a new transaction is told.
    pub(super) fn list(&self) -> Arc<[(String, Amount)]> {
        Arc::clone(&self.0)
    }

    /// One more; the oldest makes room.
    pub(super) fn add(&mut self, token: &str, amount: Amount) {
        let surplus = self.0.len().saturating_add(1).saturating_sub(SALES_MAX);
        let kept = self.0.iter().skip(surplus).cloned();
        self.0 = kept.chain([(token.to_owned(), amount)]).collect();
    }

    /// The batch is closed: a new business day.
    pub(super) fn forget(&mut self) {
        self.0 = Arc::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list never grows beyond its size; the newest stay, and a new batch begins without any.
    #[test]
    fn the_oldest_sale_makes_room() {
        let mut recent = Recent::default();
        for number in 1..=70 {
            recent.add("token", Amount::from_minor(number).unwrap());
        }
        let list = recent.list();
        assert_eq!(list.len(), SALES_MAX);
        assert_eq!((list[0].1.minor(), list[63].1.minor()), (7, 70));
        recent.forget();
        assert!(recent.list().is_empty());
    }
}
