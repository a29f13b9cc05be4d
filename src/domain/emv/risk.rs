//! Terminal risk management: floor limit, exception file, random selection and velocity. EMV 4.4 Book 3 §10.6.
//!
//! What the terminal remembers of cards comes with the parameters: the log of split sales and the exception file. Spec:
//! unverified.
use super::apdu::CommandApdu;
use super::kernel::{Input, Output, State, Step, response};
use super::params::{AidEntry, Purpose};
use super::results::{Tsi, Tvr};
use super::session::Session;
use super::tlv::Tag;
use super::{action, get_data};

const PHASE: &str = "terminal risk management";

/// A counter of the card is read: its transactions first, then the last one that was online.
#[derive(Clone)]
pub(super) struct AwaitCounter {
    session: Box<Session>,
    limits: Limits,
    /// What the card said to the first question, once it has.
    counted: Option<Option<u16>>,
}

/// How many transactions in a row the issuer lets go without the bank: tags 9F14 and 9F23.
#[derive(Clone, Copy)]
struct Limits {
    lower: u8,
    upper: u8,
}

/// Sets the bits of the fourth byte of the TVR and that of the exception file, then goes on to the decision. Done
/// whatever the AIP says. EMV 4.4 Book 4 §6.3.5.
pub(super) fn assess(mut session: Box<Session>) -> Step {
    let params = &session.app.params;
    let amount = params.amount.minor();
    let pan = &session.identity.pan;
    let listed = params.watch.as_ref().is_some_and(|watch| watch.lists(pan));
    let spent = params.watch.as_ref().map_or(0, |watch| watch.spent(pan));
    let forced = params.purpose == Purpose::PayOnline;
    if listed {
        session.tvr.set(Tvr::ON_EXCEPTION_FILE);
    }
    if amount.saturating_add(spent) >= session.app.entry.floor_limit {
        session.tvr.set(Tvr::OVER_FLOOR_LIMIT);
    } else if session.app.terminal.may_decide() && picked(&session, amount) {
        session.tvr.set(Tvr::RANDOM_ONLINE);
    }
    if forced {
        session.tvr.set(Tvr::FORCED_ONLINE);
    }
    session.tsi.set(Tsi::TERMINAL_RISK);
    let limit = |tag| session.app.card.value(tag).and_then(<[u8]>::first).copied();
    match (limit(Tag::LOWER_OFFLINE_LIMIT), limit(Tag::UPPER_OFFLINE_LIMIT)) {
        // Without both limits nothing is counted; a terminal that always asks the bank need not count.
        (Some(lower), Some(upper)) if !session.app.terminal.is_online_only() => {
            Ok(AwaitCounter { session, limits: Limits { lower, upper }, counted: None }.ask(Tag::ATC))
        }
        _ => action::ask_first_cryptogram(session),
    }
}

fn picked(session: &Session, amount: u64) -> bool {
    selected_at_random(amount, &session.app.entry, session.app.params.selection_roll)
}

impl AwaitCounter {
    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    fn ask(self, tag: Tag) -> (State, Output) {
        (State::Counter(self), Output::Transmit(get_data::command(tag)))
    }

    /// The other counter.
    pub(super) fn ahead(&self) -> Option<CommandApdu> {
        self.counted.is_none().then(|| get_data::command(Tag::LAST_ONLINE_ATC))
    }

    pub(super) fn step(mut self, input: Input) -> Step {
        let answer = response(input, PHASE)?;
        let asked = if self.counted.is_none() { Tag::ATC } else { Tag::LAST_ONLINE_ATC };
        let value = get_data::value(asked, &answer).map(u16::from_be_bytes);
        let Some(counted) = self.counted else {
            self.counted = Some(value);
            return Ok(self.ask(Tag::LAST_ONLINE_ATC));
        };
        self.limits.judge(counted, value, &mut self.session.tvr);
        action::ask_first_cryptogram(self.session)
    }
}

impl Limits {
    /// EMV 4.4 Book 3 §10.6.3: a counter that is missing, or one that does not count up, exceeds both limits.
    fn judge(self, counted: Option<u16>, last_online: Option<u16>, tvr: &mut Tvr) {
        if last_online == Some(0) {
            tvr.set(Tvr::NEW_CARD);
        }
        let since = counted.zip(last_online).and_then(|(counted, last)| counted.checked_sub(last));
        let since = since.filter(|since| *since > 0);
        if since.is_none_or(|since| since > u16::from(self.lower)) {
            tvr.set(Tvr::OVER_LOWER_LIMIT);
        }
        if since.is_none_or(|since| since > u16::from(self.upper)) {
            tvr.set(Tvr::OVER_UPPER_LIMIT);
        }
    }
}

/// Picks a transaction below the floor limit for the host. `roll` is uniform in 1 to 99. EMV 4.4 Book 3
/// §10.6.2.
fn selected_at_random(amount: u64, limits: &AidEntry, roll: u8) -> bool {
    let target = u64::from(limits.random_target_percent);
    let percent = match amount.checked_sub(limits.random_threshold) {
        None => target,
        Some(above) => {
            // Between the threshold and the floor limit the chance grows from the target to the maximum.
            let span = limits.floor_limit.saturating_sub(limits.random_threshold).max(1);
            let rise = u64::from(limits.random_max_percent).saturating_sub(target);
            target.saturating_add(rise.saturating_mul(above) / span)
        }
    };
    u64::from(roll) <= percent
}

#[cfg(test)]
mod tests {
    use super::super::params::Aid;
    use super::*;

    #[test]
    fn the_chance_grows_with_the_amount() {
        let limits = AidEntry {
            aid: Aid::new(&[0xA0, 0, 0, 3, 0x33]).unwrap(),
            partial_match: true,
            version: [0, 0x20],
            tac_default: [0; 5],
            tac_online: [0; 5],
            tac_denial: [0; 5],
            floor_limit: 1000,
            random_threshold: 500,
            random_max_percent: 90,
            random_target_percent: 10,
            default_ddol: vec![0x9F, 0x37, 4],
            online_pin: true,
        };
        let check = |amount, roll, expected| {
            assert_eq!(selected_at_random(amount, &limits, roll), expected, "{amount} {roll}");
        };
        check(499, 10, true);
        check(499, 11, false);
        check(500, 10, true);
        check(500, 11, false);
        check(750, 50, true);
        check(750, 51, false);
        check(999, 89, true);
        check(999, 90, false);
    }

    /// What both counters say about each limit, about a card that was never online, and where one is missing.
    #[test]
    fn counters_are_held_against_both_limits() {
        let check = |counted, last, byte: u8, second: u8| {
            let mut tvr = Tvr::default();
            Limits { lower: 3, upper: 5 }.judge(counted, last, &mut tvr);
            assert_eq!(tvr.bytes(), &[0, second, 0, byte, 0], "{counted:?} {last:?}");
        };
        check(Some(13), Some(10), 0x00, 0x00);
        check(Some(14), Some(10), 0x40, 0x00);
        check(Some(15), Some(10), 0x40, 0x00);
        check(Some(16), Some(10), 0x60, 0x00);
        check(Some(1), Some(0), 0x00, 0x08);
        check(Some(10), Some(10), 0x60, 0x00);
        check(Some(9), Some(10), 0x60, 0x00);
        check(None, Some(10), 0x60, 0x00);
        check(Some(13), None, 0x60, 0x00);
        check(None, Some(0), 0x60, 0x08);
    }
}
