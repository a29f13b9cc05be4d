//! Terminal risk management: floor limit and random selection. EMV 4.4 Book 3 §10.6.
//!
//! Velocity checks are not done in this version; their TVR bits stay clear. Spec: unverified.
use super::params::{AidEntry, Purpose};
use super::results::{Tsi, Tvr};
use super::session::Session;

/// Sets the bits of the fourth byte of the TVR. Done whatever the AIP says. EMV 4.4 Book 4 §6.3.5.
pub(super) fn assess(session: &mut Session) {
    let amount = session.app.params.amount.minor();
    if amount >= session.app.entry.floor_limit {
        session.tvr.set(Tvr::OVER_FLOOR_LIMIT);
    } else if selected_at_random(amount, &session.app.entry, session.app.params.selection_roll) {
        session.tvr.set(Tvr::RANDOM_ONLINE);
    }
    if session.app.params.purpose == Purpose::PayOnline {
        session.tvr.set(Tvr::FORCED_ONLINE);
    }
    session.tsi.set(Tsi::TERMINAL_RISK);
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
}
