//! What is asked of NetworkManager and ModemManager, cut out of their introspection files
//! (`org.freedesktop.NetworkManager*.xml` of 1.42, `org.freedesktop.ModemManager1*.xml` of 1.20). Properties are read
//! per interface with one `GetAll`: [`Bag`].
use std::collections::HashMap;

use zbus::fdo::PropertiesProxy;
use zbus::names::InterfaceName;
use zbus::proxy::CacheProperties;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, proxy};

pub(super) const NM: &str = "org.freedesktop.NetworkManager";
pub(super) const NM_PATH: &str = "/org/freedesktop/NetworkManager";
pub(super) const NM_DEVICES: &str = "/org/freedesktop/NetworkManager/Devices";
pub(super) const NM_ADDRESSES: &str = "/org/freedesktop/NetworkManager/IP4Config";
pub(super) const DEVICE: &str = "org.freedesktop.NetworkManager.Device";
pub(super) const WIRELESS: &str = "org.freedesktop.NetworkManager.Device.Wireless";
pub(super) const ACCESS_POINT: &str = "org.freedesktop.NetworkManager.AccessPoint";
pub(super) const ACTIVE: &str = "org.freedesktop.NetworkManager.Connection.Active";
pub(super) const IP4: &str = "org.freedesktop.NetworkManager.IP4Config";
pub(super) const IP6: &str = "org.freedesktop.NetworkManager.IP6Config";
pub(super) const MM: &str = "org.freedesktop.ModemManager1";
pub(super) const MM_PATH: &str = "/org/freedesktop/ModemManager1";
pub(super) const MODEM: &str = "org.freedesktop.ModemManager1.Modem";
pub(super) const MODEM_3GPP: &str = "org.freedesktop.ModemManager1.Modem.Modem3gpp";

/// A connection profile: settings by group and key.
pub(super) type Profile<'v> = HashMap<&'v str, HashMap<&'v str, Value<'v>>>;

#[proxy(
    interface = "org.freedesktop.NetworkManager",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager",
    gen_blocking = false
)]
pub(super) trait NetworkManager {
    fn get_devices(&self) -> zbus::Result<Vec<OwnedObjectPath>>;

    fn activate_connection(
        &self,
        connection: &ObjectPath<'_>,
        device: &ObjectPath<'_>,
        specific: &ObjectPath<'_>,
    ) -> zbus::Result<OwnedObjectPath>;

    fn add_and_activate_connection2(
        &self,
        connection: &Profile<'_>,
        device: &ObjectPath<'_>,
        specific: &ObjectPath<'_>,
        options: HashMap<&str, Value<'_>>,
    ) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath, HashMap<String, OwnedValue>)>;

    fn checkpoint_create(
        &self,
        devices: &[ObjectPath<'_>],
        timeout_s: u32,
        flags: u32,
    ) -> zbus::Result<OwnedObjectPath>;

    fn checkpoint_destroy(&self, checkpoint: &ObjectPath<'_>) -> zbus::Result<()>;

    fn checkpoint_rollback(&self, checkpoint: &ObjectPath<'_>) -> zbus::Result<HashMap<String, u32>>;
}

#[proxy(
    interface = "org.freedesktop.NetworkManager.Device.Wireless",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
pub(super) trait Wireless {
    fn request_scan(&self, options: HashMap<&str, Value<'_>>) -> zbus::Result<()>;

    fn get_all_access_points(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
}

#[proxy(
    interface = "org.freedesktop.ModemManager1.Modem",
    default_service = "org.freedesktop.ModemManager1",
    gen_blocking = false
)]
pub(super) trait Modem {
    fn reset(&self) -> zbus::Result<()>;
}

/// Properties of one interface of one object.
#[derive(Debug, Default)]
pub(super) struct Bag(HashMap<String, OwnedValue>);

impl Bag {
    /// Reads them all with one call.
    pub(super) async fn read(
        bus: &Connection,
        service: &'static str,
        path: &ObjectPath<'_>,
        interface: &'static str,
    ) -> zbus::Result<Self> {
        let properties = PropertiesProxy::builder(bus)
            .destination(service)?
            .path(path)?
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        let all = properties.get_all(InterfaceName::from_static_str_unchecked(interface)).await?;
        Ok(Self(all))
    }

    pub(super) const fn of(values: HashMap<String, OwnedValue>) -> Self {
        Self(values)
    }

    /// One of them; `None` where it is missing or of another type than expected.
    pub(super) fn get<T: TryFrom<OwnedValue>>(&self, name: &str) -> Option<T> {
        T::try_from(self.0.get(name)?.try_clone().ok()?).ok()
    }

    pub(super) fn number(&self, name: &str) -> u32 {
        self.get(name).unwrap_or_default()
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default()
    }

    /// An object; `None` for `/`.
    pub(super) fn object(&self, name: &str) -> Option<OwnedObjectPath> {
        self.get::<OwnedObjectPath>(name).filter(|path| path.as_str() != "/")
    }
}
