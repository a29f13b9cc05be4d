//! From numbers of NetworkManager and ModemManager to what the domain knows of a link. Pure.
use std::collections::HashMap;

use super::proxies::Bag;
use crate::domain::link::{LinkFacts, LinkKind, LinkReason, LinkState};

/// NM_DEVICE_TYPE_*: Ethernet, Wi-Fi, modem, veth. A veth is a cable to somebody else on the same machine.
pub(super) fn kind_of(device_type: u32) -> Option<LinkKind> {
    match device_type {
        1 | 20 => Some(LinkKind::Ethernet),
        2 => Some(LinkKind::Wifi),
        8 => Some(LinkKind::Cellular),
        _ => None,
    }
}

/// NM_DEVICE_STATE_* below this: the manager was told to leave the device alone, and so do we.
pub(super) const MANAGED_FROM: u32 = 20;

/// State and reason of a device: NMDeviceState, NMDeviceStateReason.
pub(super) fn state_of(kind: LinkKind, state: u32, reason: u32) -> (LinkState, Option<LinkReason>) {
    match (state, kind) {
        (100, _) => (LinkState::Connected, None),
        (40..=90, _) => (LinkState::Connecting, None),
        (30 | 110 | 120, _) => (LinkState::Disconnected, reason_of(reason)),
        (_, LinkKind::Ethernet) => (LinkState::Unavailable, Some(LinkReason::NoCarrier)),
        (_, LinkKind::Wifi) => (LinkState::Unavailable, Some(LinkReason::RadioOff)),
        (_, LinkKind::Cellular) => (LinkState::Unavailable, reason_of(reason)),
    }
}

/// NMDeviceStateReason, as far as it says why there is no connection.
pub(super) fn reason_of(reason: u32) -> Option<LinkReason> {
    Some(match reason {
        0..=3 | 36..=38 | 41 | 42 => return None,
        5 | 6 | 15..=17 => LinkReason::NoAddress,
        // The password, or nobody who knows it.
        7 | 9 | 10 => LinkReason::WrongSecret,
        8 | 11 | 53 => LinkReason::AccessPointGone,
        28 | 43 => LinkReason::ModemFailed,
        30 | 32 => LinkReason::Searching,
        31 | 33 => LinkReason::Denied,
        // Somebody disconnected it by hand.
        39 => LinkReason::Unmanaged,
        40 => LinkReason::NoCarrier,
        45 => LinkReason::NoSim,
        34 | 46 | 48 => LinkReason::SimLocked,
        47 => LinkReason::SimBlocked,
        _ => LinkReason::Failed,
    })
}

/// NMConnectivityState: none, portal, limited, full; 0 = it does not check.
pub(super) fn connectivity(facts: &mut LinkFacts, word: u32) {
    facts.internet = match word {
        1 | 3 => Some(false),
        2 => {
            facts.reason = Some(LinkReason::Portal);
            Some(false)
        }
        4 => Some(true),
        _ => None,
    };
}

/// NMMetered: yes and guessed yes. A mobile network costs money unless somebody says that it does not.
pub(super) fn metered(kind: LinkKind, word: u32) -> bool {
    match word {
        1 | 3 => true,
        2 => false,
        _ => kind == LinkKind::Cellular,
    }
}

/// What ModemManager adds: MMModemState, MMModemStateFailedReason, MMModemLock, MMModem3gppRegistrationState,
/// MMModemAccessTechnology.
pub(super) fn add_modem(facts: &mut LinkFacts, modem: &Bag, network: Option<&Bag>) {
    let lock = modem.number("UnlockRequired");
    let state: i32 = modem.get("State").unwrap_or_default();
    let registration = network.map_or(0, |network| network.number("RegistrationState"));
    facts.signal = modem.get::<(u32, bool)>("SignalQuality").map_or(0, |(percent, _)| percent_of(percent));
    facts.operator = network.map(|network| network.text("OperatorName")).unwrap_or_default();
    facts.technology = technology(modem.number("AccessTechnologies")).to_owned();
    let reason = match (state, modem.number("StateFailedReason"), lock, registration) {
        (-1, 2, ..) => Some(LinkReason::NoSim),
        (-1, ..) => Some(LinkReason::ModemFailed),
        (_, _, 2 | 6 | 8 | 10 | 12 | 14 | 16, _) => Some(LinkReason::SimLocked),
        (_, _, 4 | 7 | 9 | 11 | 13 | 15 | 17, _) => Some(LinkReason::SimBlocked),
        (_, _, _, 3) => Some(LinkReason::Denied),
        (_, _, _, 2) => Some(LinkReason::Searching),
        _ => None,
    };
    if matches!(reason, Some(LinkReason::SimLocked | LinkReason::SimBlocked)) {
        let tries: Option<HashMap<u32, u32>> = modem.get("UnlockRetries");
        facts.pin_tries = tries.and_then(|tries| tries.get(&lock).copied());
    }
    // A connection that stands is the manager's word against the modem's; the acquirer decides.
    if facts.state != LinkState::Connected && reason.is_some() {
        facts.reason = reason;
        if reason.is_some_and(LinkReason::needs_person) || reason == Some(LinkReason::ModemFailed) {
            facts.state = LinkState::Unavailable;
        }
    }
}

fn percent_of(value: u32) -> u8 {
    u8::try_from(value.min(100)).unwrap_or(100)
}

const fn technology(bits: u32) -> &'static str {
    match bits {
        bits if bits & (1 << 15) != 0 => "5g",
        bits if bits & (1 << 14) != 0 => "lte",
        bits if bits & 0x3E0 != 0 => "3g",
        bits if bits & 0x1E != 0 => "2g",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::link::LinkName;
    use zbus::zvariant::{OwnedValue, Value};

    fn bag(values: &[(&str, Value<'_>)]) -> Bag {
        let own = |(name, value): &(&str, Value<'_>)| {
            ((*name).to_owned(), OwnedValue::try_from(value.try_clone().unwrap()).unwrap())
        };
        Bag::of(values.iter().map(own).collect())
    }

    fn modem(state: i32, failed: u32, lock: u32, registration: u32) -> LinkFacts {
        let name = LinkName::first(LinkKind::Cellular);
        let mut facts = LinkFacts { state: LinkState::Disconnected, ..LinkFacts::new(name) };
        let tries = HashMap::from([(2_u32, 3_u32), (4, 10)]);
        let of_modem = bag(&[
            ("State", state.into()),
            ("StateFailedReason", failed.into()),
            ("UnlockRequired", lock.into()),
            ("UnlockRetries", tries.into()),
            ("SignalQuality", Value::from((80_u32, true))),
            ("AccessTechnologies", (1_u32 << 14).into()),
        ]);
        let network = bag(&[("RegistrationState", registration.into()), ("OperatorName", "CMCC".into())]);
        add_modem(&mut facts, &of_modem, Some(&network));
        facts
    }

    /// Goal: what only a person can put right at a modem is told by its name, with the tries that are left.
    #[test]
    fn a_modems_trouble_has_a_name() {
        let of = |facts: &LinkFacts| (facts.state, facts.reason, facts.pin_tries);
        assert_eq!(of(&modem(-1, 2, 1, 0)), (LinkState::Unavailable, Some(LinkReason::NoSim), None));
        assert_eq!(of(&modem(2, 0, 2, 0)), (LinkState::Unavailable, Some(LinkReason::SimLocked), Some(3)));
        assert_eq!(of(&modem(2, 0, 4, 0)), (LinkState::Unavailable, Some(LinkReason::SimBlocked), Some(10)));
        assert_eq!(of(&modem(6, 0, 1, 3)), (LinkState::Unavailable, Some(LinkReason::Denied), None));
        assert_eq!(of(&modem(7, 0, 1, 2)), (LinkState::Disconnected, Some(LinkReason::Searching), None));
        assert_eq!(of(&modem(-1, 1, 1, 0)), (LinkState::Unavailable, Some(LinkReason::ModemFailed), None));
        let good = modem(8, 0, 1, 1);
        assert_eq!(of(&good), (LinkState::Disconnected, None, None));
        assert_eq!((good.signal, good.operator.as_str(), good.technology.as_str()), (80, "CMCC", "lte"));
    }

    /// Goal: every number that a manager may say becomes a state; values of wrong types are missing values.
    #[test]
    fn any_number_is_a_state() {
        for kind in LinkKind::ALL {
            for state in 0..=130 {
                for reason in 0..=70 {
                    let (word, why) = state_of(*kind, state, reason);
                    assert_eq!(word == LinkState::Connected, state == 100, "{state} {reason} {why:?}");
                }
            }
        }
        assert_eq!(state_of(LinkKind::Wifi, 120, 7).1, Some(LinkReason::WrongSecret));
        assert_eq!(state_of(LinkKind::Wifi, 30, 53).1, Some(LinkReason::AccessPointGone));
        assert_eq!(state_of(LinkKind::Ethernet, 20, 40).1, Some(LinkReason::NoCarrier));
        let odd = bag(&[("State", "six".into()), ("SignalQuality", 7_u32.into())]);
        add_modem(&mut LinkFacts::new(LinkName::first(LinkKind::Cellular)), &odd, None);
        assert_eq!(odd.number("State"), 0);
    }
}
