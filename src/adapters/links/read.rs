//! Reads all links anew: devices of NetworkManager, and what ModemManager knows of their modems.
use std::collections::{BTreeMap, HashMap};

use zbus::Connection;
use zbus::fdo::{DBusProxy, ManagedObjects, ObjectManagerProxy};
use zbus::names::BusName;
use zbus::proxy::CacheProperties;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue};

use super::facts;
use super::proxies::{
    ACCESS_POINT, Bag, DEVICE, IP4, IP6, MM, MM_PATH, MODEM, MODEM_3GPP, NM, NetworkManagerProxy, WIRELESS,
};
use crate::domain::link::{LinkFacts, LinkKind, LinkName, LinkState};

/// Devices that are looked at. Choice: a terminal has three; a machine with more is no terminal.
const DEVICES_MAX: usize = 64;

/// A link and where its managers keep it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) facts: LinkFacts,
    /// At NetworkManager.
    pub(super) device: Option<OwnedObjectPath>,
    /// At ModemManager.
    pub(super) modem: Option<OwnedObjectPath>,
}

/// Names stay with their devices: a link that is plugged in again is the same link.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, LinkName>);

impl Names {
    /// The name of the device at this place of the machine.
    fn of(&mut self, kind: LinkKind, place: &str) -> Option<LinkName> {
        if let Some(name) = self.0.get(place).filter(|name| name.kind == kind) {
            return Some(*name);
        }
        let taken = |number: &u8| self.0.values().any(|name| name.kind == kind && name.number == *number);
        let name = LinkName { kind, number: (1..=u8::MAX).find(|number| !taken(number))? };
        self.0.insert(place.to_owned(), name);
        Some(name)
    }
}

/// Who is there. A manager that is not is not started by our asking.
pub(super) async fn is_there(bus: &Connection, service: &'static str) -> zbus::Result<bool> {
    let names = DBusProxy::builder(bus).cache_properties(CacheProperties::No).build().await?;
    Ok(names.name_has_owner(BusName::from_static_str(service)?).await?)
}

/// Everything, read anew.
pub(super) async fn all(bus: &Connection, names: &mut Names) -> zbus::Result<Vec<Known>> {
    let mut modems = if is_there(bus, MM).await? { modems(bus).await? } else { ManagedObjects::new() };
    let mut links = Vec::new();
    if is_there(bus, NM).await? {
        let manager = manager(bus).await?;
        let mut devices = manager.get_devices().await?;
        devices.truncate(DEVICES_MAX);
        let mut found = Vec::new();
        for path in devices {
            // One that has just gone is no reason to know nothing of the others.
            match Bag::read(bus, NM, &path, DEVICE).await {
                Ok(bag) => found.push((path, bag)),
                Err(error) => tracing::debug!(%error, %path, "a network device cannot be read"),
            }
        }
        found.sort_by_key(|(_, bag)| bag.text("Interface"));
        for (path, bag) in found {
            links.extend(device(bus, names, &mut modems, path, &bag).await);
        }
    }
    // A modem that NetworkManager does not know yet, or never will: no SIM, no plugin.
    for (path, interfaces) in modems {
        let Some(modem) = interface(&interfaces, MODEM) else { continue };
        let Some(name) = names.of(LinkKind::Cellular, &modem.text("Device")) else { continue };
        let mut facts = LinkFacts { state: LinkState::Unavailable, ..LinkFacts::new(name) };
        facts::add_modem(&mut facts, &modem, interface(&interfaces, MODEM_3GPP).as_ref());
        links.push(Known { facts, device: None, modem: Some(path) });
    }
    Ok(links)
}

pub(super) async fn manager(bus: &Connection) -> zbus::Result<NetworkManagerProxy<'static>> {
    NetworkManagerProxy::builder(bus).cache_properties(CacheProperties::No).build().await
}

async fn modems(bus: &Connection) -> zbus::Result<ManagedObjects> {
    let objects = ObjectManagerProxy::builder(bus)
        .destination(MM)?
        .path(MM_PATH)?
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    Ok(objects.get_managed_objects().await?)
}

fn interface(
    interfaces: &HashMap<zbus::names::OwnedInterfaceName, HashMap<String, OwnedValue>>,
    wanted: &str,
) -> Option<Bag> {
    let values = interfaces.iter().find(|(name, _)| name.as_str() == wanted)?.1;
    let own = |(name, value): (&String, &OwnedValue)| Some((name.clone(), value.try_clone().ok()?));
    Some(Bag::of(values.iter().filter_map(own).collect()))
}

async fn device(
    bus: &Connection,
    names: &mut Names,
    modems: &mut ManagedObjects,
    path: OwnedObjectPath,
    bag: &Bag,
) -> Option<Known> {
    let kind = facts::kind_of(bag.number("DeviceType"))?;
    let state = bag.number("State");
    if state < facts::MANAGED_FROM {
        return None;
    }
    let udi = bag.text("Udi");
    let modem = modems.keys().find(|modem| modem.as_str() == udi).cloned();
    let modem_bags = modem.as_ref().and_then(|modem| modems.remove(modem));
    let of_modem = modem_bags.as_ref().and_then(|bags| interface(bags, MODEM));
    let place = of_modem.as_ref().map_or_else(|| bag.text("Interface"), |modem| modem.text("Device"));
    let name = names.of(kind, &place)?;
    let (_, why) = bag.get::<(u32, u32)>("StateReason").unwrap_or_default();
    let (state, reason) = facts::state_of(kind, state, why);
    let ip_interface = Some(bag.text("IpInterface")).filter(|name| !name.is_empty());
    let mut known = LinkFacts {
        interface: ip_interface.unwrap_or_else(|| bag.text("Interface")),
        state,
        reason,
        metered: facts::metered(kind, bag.number("Metered")),
        ..LinkFacts::new(name)
    };
    if state == LinkState::Connected {
        facts::connectivity(&mut known, bag.number("Ip4Connectivity"));
        known.address = address(bus, bag).await.unwrap_or_default();
        known.bytes = bytes(&known.interface);
        known.signal = if kind == LinkKind::Ethernet { 100 } else { 0 };
    }
    if kind == LinkKind::Wifi {
        known.technology = "802.11".to_owned();
        if let Some(point) = access_point(bus, &path).await {
            known.signal = point.get::<u8>("Strength").unwrap_or_default().min(100);
            known.operator =
                String::from_utf8_lossy(&point.get::<Vec<u8>>("Ssid").unwrap_or_default()).into_owned();
        }
    }
    if let (Some(modem), Some(bags)) = (&of_modem, &modem_bags) {
        facts::add_modem(&mut known, modem, interface(bags, MODEM_3GPP).as_ref());
    }
    Some(Known { facts: known, device: Some(path), modem })
}

async fn access_point(bus: &Connection, device: &ObjectPath<'_>) -> Option<Bag> {
    let wireless = Bag::read(bus, NM, device, WIRELESS).await.ok()?;
    let point = wireless.object("ActiveAccessPoint")?;
    Bag::read(bus, NM, &point, ACCESS_POINT).await.ok()
}

/// The first address, IPv4 before IPv6.
async fn address(bus: &Connection, device: &Bag) -> Option<String> {
    for (config, interface) in [("Ip4Config", IP4), ("Ip6Config", IP6)] {
        let Some(path) = device.object(config) else { continue };
        let Ok(bag) = Bag::read(bus, NM, &path, interface).await else { continue };
        let all: Vec<HashMap<String, OwnedValue>> = bag.get("AddressData").unwrap_or_default();
        let text = |one: HashMap<String, OwnedValue>| Bag::of(one).get::<String>("address");
        if let Some(address) = all.into_iter().find_map(text) {
            return Some(address);
        }
    }
    None
}

/// Bytes received and sent, as the kernel counts them.
#[allow(clippy::disallowed_methods, reason = "the machine's own counters are read here")]
fn bytes(interface: &str) -> Option<u64> {
    if interface.is_empty() || interface.contains('/') {
        return None;
    }
    let read = |name: &str| -> Option<u64> {
        let path = format!("/sys/class/net/{interface}/statistics/{name}");
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    Some(read("rx_bytes")?.saturating_add(read("tx_bytes")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a device keeps its name while others come and go, and no two have the same.
    #[test]
    fn names_stay_with_their_devices() {
        let mut names = Names::default();
        let text = |names: &mut Names, kind, place| names.of(kind, place).unwrap().to_string();
        assert_eq!(text(&mut names, LinkKind::Ethernet, "eth0"), "ethernet");
        assert_eq!(text(&mut names, LinkKind::Ethernet, "eth1"), "ethernet2");
        assert_eq!(text(&mut names, LinkKind::Wifi, "wlan0"), "wifi");
        assert_eq!(text(&mut names, LinkKind::Ethernet, "eth1"), "ethernet2");
        assert_eq!(text(&mut names, LinkKind::Ethernet, "eth0"), "ethernet");
    }
}
