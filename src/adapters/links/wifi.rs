//! Looks for wireless networks and joins one, behind a checkpoint of NetworkManager: if nobody says in time that the
//! new network is good — this process may be dead by then — NetworkManager itself brings back what was before.
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use zbus::Connection;
use zbus::proxy::CacheProperties;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, Value};

use super::facts::reason_of;
use super::proxies::{ACCESS_POINT, ACTIVE, Bag, DEVICE, NM, Profile, WIRELESS, WirelessProxy};
use super::read::manager;
use crate::domain::link::LinkReason;
use crate::ports::{JoinRequest, LinkFault, Network};

/// How long a scan may take.
const SCAN_MAX: Duration = Duration::from_secs(15);
/// How long joining may take; the checkpoint ends after it.
const JOIN_MAX: Duration = Duration::from_secs(50);
const CHECKPOINT_S: u32 = 90;
/// NM_CHECKPOINT_CREATE_FLAG_DELETE_NEW_CONNECTIONS: a profile with a wrong password does not stay.
const DELETE_NEW_CONNECTIONS: u32 = 0x02;
/// Between two looks at something that tells no signal of its own.
const LOOK: Duration = Duration::from_millis(300);
/// Networks that are told of.
const NETWORKS_MAX: usize = 64;
/// NM_802_11_AP_FLAGS_PRIVACY; NM_802_11_AP_SEC_KEY_MGMT_PSK and _SAE.
const PRIVACY: u32 = 0x1;
const PSK: u32 = 0x100;
const SAE: u32 = 0x400;

pub(super) fn fault(error: &zbus::Error) -> LinkFault {
    match error {
        zbus::Error::MethodError(name, text, _) => match name.as_str() {
            "org.freedesktop.NetworkManager.PermissionDenied" | "org.freedesktop.DBus.Error.AccessDenied" => {
                LinkFault::NotAllowed
            }
            "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NoReply" => {
                LinkFault::NoManager
            }
            _ => LinkFault::Other(text.clone().unwrap_or_else(|| name.to_string())),
        },
        other => LinkFault::Other(other.to_string()),
    }
}

/// Networks in reach, strongest first, each name once.
pub(super) async fn scan(bus: &Connection, device: &OwnedObjectPath) -> Result<Vec<Network>, LinkFault> {
    let wireless = wireless(bus, device).await.map_err(|error| fault(&error))?;
    let before = last_scan(bus, device).await;
    // One that has just been asked for by somebody else serves as well.
    match wireless.request_scan(HashMap::new()).await.map_err(|error| fault(&error)) {
        Err(LinkFault::NotAllowed) => return Err(LinkFault::NotAllowed),
        Err(error) => tracing::info!(%error, "no new scan; what is known is told"),
        Ok(()) => {
            let until = Instant::now() + SCAN_MAX;
            while last_scan(bus, device).await == before && Instant::now() < until {
                sleep(LOOK).await;
            }
        }
    }
    let mut found: BTreeMap<Vec<u8>, Network> = BTreeMap::new();
    for (_, point) in points(bus, &wireless).await.map_err(|error| fault(&error))? {
        let Some(ssid) = point.get::<Vec<u8>>("Ssid").filter(|ssid| !ssid.is_empty()) else { continue };
        let strength = point.get::<u8>("Strength").unwrap_or_default().min(100);
        let secured = point.number("Flags") & PRIVACY != 0 || security(&point) != 0;
        let network = found.entry(ssid.clone()).or_insert(Network { ssid, strength, secured });
        network.strength = network.strength.max(strength);
    }
    let mut networks: Vec<Network> = found.into_values().collect();
    networks.sort_by_key(|network| core::cmp::Reverse(network.strength));
    networks.truncate(NETWORKS_MAX);
    Ok(networks)
}

async fn wireless(bus: &Connection, device: &OwnedObjectPath) -> zbus::Result<WirelessProxy<'static>> {
    WirelessProxy::builder(bus).path(device.clone())?.cache_properties(CacheProperties::No).build().await
}

async fn last_scan(bus: &Connection, device: &OwnedObjectPath) -> i64 {
    let bag = Bag::read(bus, NM, device, WIRELESS).await.unwrap_or_default();
    bag.get("LastScan").unwrap_or_default()
}

async fn points(bus: &Connection, wireless: &WirelessProxy<'_>) -> zbus::Result<Vec<(OwnedObjectPath, Bag)>> {
    let mut points = Vec::new();
    for path in wireless.get_all_access_points().await? {
        if let Ok(bag) = Bag::read(bus, NM, &path, ACCESS_POINT).await {
            points.push((path, bag));
        }
    }
    Ok(points)
}

fn security(point: &Bag) -> u32 {
    point.number("WpaFlags") | point.number("RsnFlags")
}

/// A network that is up and not yet kept: its checkpoint.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) id: u64,
    checkpoint: OwnedObjectPath,
}

/// Joins a network. After an error what was before is back.
pub(super) async fn join(
    bus: &Connection,
    device: &OwnedObjectPath,
    id: u64,
    wanted: &JoinRequest,
) -> Result<Joined, LinkFault> {
    let told = |error: zbus::Error| fault(&error);
    let manager = manager(bus).await.map_err(told)?;
    let wireless = wireless(bus, device).await.map_err(told)?;
    let point = best_point(bus, &wireless, &wanted.ssid).await.map_err(told)?;
    if point.is_none() && !wanted.hidden {
        return Err(LinkFault::NotFound);
    }
    let flags = point.as_ref().map_or(PSK, |(_, bag)| security(bag));
    let specific = point.map_or_else(root, |(path, _)| path);
    let devices = [ObjectPath::from(device.clone())];
    let made = manager.checkpoint_create(&devices, CHECKPOINT_S, DELETE_NEW_CONNECTIONS).await;
    let joined = Joined { id, checkpoint: made.map_err(told)? };
    let options = HashMap::from([("persist", Value::from("disk"))]);
    let added =
        manager.add_and_activate_connection2(&profile(wanted, flags), device, &specific, options).await;
    let up = match added {
        Ok((_, active, _)) => until_up(bus, device, &active).await,
        Err(error) => Err(fault(&error)),
    };
    match up {
        Ok(()) => Ok(joined),
        Err(why) => {
            roll_back(bus, &joined).await;
            Err(why)
        }
    }
}

fn root() -> OwnedObjectPath {
    ObjectPath::from_static_str_unchecked("/").into()
}

async fn best_point(
    bus: &Connection,
    wireless: &WirelessProxy<'_>,
    ssid: &[u8],
) -> zbus::Result<Option<(OwnedObjectPath, Bag)>> {
    let mut points = points(bus, wireless).await?;
    points.retain(|(_, bag)| bag.get::<Vec<u8>>("Ssid").is_some_and(|found| found == ssid));
    Ok(points.into_iter().max_by_key(|(_, bag)| bag.get::<u8>("Strength").unwrap_or_default()))
}

/// Settings of NetworkManager's profiles: `802-11-wireless`, `802-11-wireless-security`.
fn profile<'v>(wanted: &'v JoinRequest, flags: u32) -> Profile<'v> {
    let name = String::from_utf8_lossy(&wanted.ssid).into_owned();
    let mut wireless = HashMap::from([("ssid", Value::from(wanted.ssid.clone()))]);
    if wanted.hidden {
        wireless.insert("hidden", Value::from(true));
    }
    let mut profile = HashMap::from([
        ("connection", HashMap::from([("id", Value::from(name)), ("type", Value::from("802-11-wireless"))])),
        ("802-11-wireless", wireless),
    ]);
    if !wanted.secret.is_empty() {
        // WPA3 where the access point speaks nothing older.
        let method = if flags & SAE != 0 && flags & PSK == 0 { "sae" } else { "wpa-psk" };
        let secret = String::from_utf8_lossy(&wanted.secret).into_owned();
        let security = HashMap::from([("key-mgmt", Value::from(method)), ("psk", Value::from(secret))]);
        profile.insert("802-11-wireless-security", security);
    }
    profile
}

/// Waits for NM_ACTIVE_CONNECTION_STATE_ACTIVATED of the connection that was started, or for its end.
async fn until_up(
    bus: &Connection,
    device: &OwnedObjectPath,
    active: &OwnedObjectPath,
) -> Result<(), LinkFault> {
    let until = Instant::now() + JOIN_MAX;
    let mut asked_again = false;
    while Instant::now() < until {
        let state = Bag::read(bus, NM, active, ACTIVE).await.ok().map(|bag| bag.number("State"));
        let of_device = Bag::read(bus, NM, device, DEVICE).await.map_err(|error| fault(&error))?;
        let (_, why) = of_device.get::<(u32, u32)>("StateReason").unwrap_or_default();
        match (state, of_device.number("State")) {
            (Some(2), 100) => return Ok(()),
            // It asks for the password that it has: that one is wrong.
            (_, 60) => asked_again = true,
            // Deactivated, or gone.
            (Some(4) | None, _) | (_, 120) => {
                return Err(match reason_of(why) {
                    Some(LinkReason::WrongSecret) => LinkFault::WrongSecret,
                    _ if asked_again => LinkFault::WrongSecret,
                    Some(LinkReason::NoAddress) => LinkFault::NoAddress,
                    Some(LinkReason::AccessPointGone) => LinkFault::NotFound,
                    _ => LinkFault::Other(format!("the connection ended (device state reason {why})")),
                });
            }
            _ => {}
        }
        sleep(LOOK).await;
    }
    Err(if asked_again { LinkFault::WrongSecret } else { LinkFault::Timeout })
}

/// The network stays.
pub(super) async fn keep(bus: &Connection, joined: &Joined) -> Result<(), LinkFault> {
    let told = |error: zbus::Error| fault(&error);
    manager(bus).await.map_err(told)?.checkpoint_destroy(&joined.checkpoint).await.map_err(told)
}

/// What was before comes back now; if that cannot be asked for, it does by itself.
pub(super) async fn roll_back(bus: &Connection, joined: &Joined) {
    let asked = match manager(bus).await {
        Ok(manager) => manager.checkpoint_rollback(&joined.checkpoint).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = asked {
        tracing::warn!(%error, "no roll-back now; NetworkManager does it by itself");
    }
}
