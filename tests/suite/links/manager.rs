//! A NetworkManager of our own for tests: as much of its interfaces as posd uses, with numbers as
//! `org.freedesktop.NetworkManager*.xml` of 1.42 has them. The real one is run by `tests/tools/links-lab.sh`.
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, interface};

const ROOT: &str = "/org/freedesktop/NetworkManager";
type Settings = HashMap<String, HashMap<String, OwnedValue>>;

/// NM_DEVICE_TYPE_*.
pub(super) const ETHERNET: u32 = 1;
pub(super) const WIFI: u32 = 2;
/// NM_DEVICE_STATE_*.
pub(super) const UNAVAILABLE: u32 = 20;
pub(super) const DISCONNECTED: u32 = 30;
pub(super) const ACTIVATED: u32 = 100;
const FAILED: u32 = 120;

/// A device as a test sets it.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) kind: u32,
    pub(super) interface: &'static str,
    pub(super) state: u32,
    pub(super) reason: u32,
    pub(super) connectivity: u32,
}

/// What was asked of the manager, as words.
type Asked = Arc<Mutex<Vec<String>>>;

/// The running double.
pub(super) struct Manager {
    bus: Connection,
    devices: Vec<Arc<Mutex<Device>>>,
    asked: Asked,
}

impl Manager {
    /// Puts it on the bus; the name comes last.
    pub(super) async fn start(address: &str, devices: &[Device]) -> Self {
        let bus = zbus::connection::Builder::address(address).unwrap().build().await.unwrap();
        let devices: Vec<_> = devices.iter().map(|device| Arc::new(Mutex::new(device.clone()))).collect();
        let asked = Asked::default();
        let server = bus.object_server();
        for (number, device) in devices.iter().enumerate() {
            let path = device_path(number);
            server.at(path.clone(), DeviceObject(Arc::clone(device))).await.unwrap();
            if device.lock().unwrap().kind == WIFI {
                server.at(path, Wireless(Arc::clone(&asked), Mutex::new(1))).await.unwrap();
            }
        }
        server.at("/ap/0", Point { ssid: "小店".into(), strength: 80, rsn: 0x100 }).await.unwrap();
        server.at("/ap/1", Point { ssid: vec![0xD0, 0xA1, 0xB5], strength: 30, rsn: 0 }).await.unwrap();
        server.at("/ap/2", Point { ssid: "小店".into(), strength: 55, rsn: 0x100 }).await.unwrap();
        let wifi = devices.iter().find(|device| device.lock().unwrap().kind == WIFI).map(Arc::clone);
        server.at("/active/0", Active(wifi.clone())).await.unwrap();
        let root = Root { count: devices.len(), wifi, asked: Arc::clone(&asked) };
        server.at(ROOT, root).await.unwrap();
        bus.request_name("org.freedesktop.NetworkManager").await.unwrap();
        Self { bus, devices, asked }
    }

    /// A device changes, and its signal says so.
    pub(super) async fn set(&self, number: usize, change: impl FnOnce(&mut Device)) {
        change(&mut self.devices[number].lock().unwrap());
        let server = self.bus.object_server();
        let device = server.interface::<_, DeviceObject>(device_path(number)).await.unwrap();
        device.get().await.state_changed(device.signal_emitter()).await.unwrap();
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// It goes from the bus.
    pub(super) async fn stop(self) {
        self.bus.close().await.unwrap();
    }
}

fn device_path(number: usize) -> OwnedObjectPath {
    ObjectPath::try_from(format!("{ROOT}/Devices/{number}")).unwrap().into()
}

fn path(text: &str) -> OwnedObjectPath {
    ObjectPath::try_from(text.to_owned()).unwrap().into()
}

struct Root {
    count: usize,
    wifi: Option<Arc<Mutex<Device>>>,
    asked: Asked,
}

impl Root {
    fn note(&self, what: impl Into<String>) {
        self.asked.lock().unwrap().push(what.into());
    }
}

#[interface(name = "org.freedesktop.NetworkManager")]
impl Root {
    fn get_devices(&self) -> Vec<OwnedObjectPath> {
        (0..self.count).map(device_path).collect()
    }

    fn activate_connection(
        &self,
        _connection: OwnedObjectPath,
        device: OwnedObjectPath,
        _specific: OwnedObjectPath,
    ) -> OwnedObjectPath {
        self.note(format!("activate {}", device.as_str().rsplit('/').next().unwrap()));
        path("/active/0")
    }

    /// A password of eight nines is wrong.
    fn add_and_activate_connection2(
        &self,
        connection: Settings,
        _device: OwnedObjectPath,
        specific: OwnedObjectPath,
        _options: HashMap<String, OwnedValue>,
    ) -> (OwnedObjectPath, OwnedObjectPath, HashMap<String, Value<'static>>) {
        let text = |group: &str, key: &str| -> String {
            let value = connection.get(group).and_then(|group| group.get(key));
            value.and_then(|value| value.try_clone().ok()?.try_into().ok()).unwrap_or_default()
        };
        let method = text("802-11-wireless-security", "key-mgmt");
        self.note(format!("join {} {method}", specific.as_str()));
        let wrong = text("802-11-wireless-security", "psk") == "99999999";
        if let Some(wifi) = &self.wifi {
            let mut wifi = wifi.lock().unwrap();
            (wifi.state, wifi.reason) = if wrong { (FAILED, 7) } else { (ACTIVATED, 0) };
        }
        (path("/settings/0"), path("/active/0"), HashMap::new())
    }

    fn checkpoint_create(&self, _devices: Vec<OwnedObjectPath>, timeout: u32, flags: u32) -> OwnedObjectPath {
        self.note(format!("checkpoint {timeout} s, flags {flags}"));
        path("/checkpoint/0")
    }

    fn checkpoint_destroy(&self, _checkpoint: OwnedObjectPath) {
        self.note("kept");
    }

    fn checkpoint_rollback(&self, _checkpoint: OwnedObjectPath) -> HashMap<String, u32> {
        self.note("rolled back");
        HashMap::new()
    }
}

struct DeviceObject(Arc<Mutex<Device>>);

#[interface(name = "org.freedesktop.NetworkManager.Device")]
impl DeviceObject {
    #[zbus(property)]
    fn device_type(&self) -> u32 {
        self.0.lock().unwrap().kind
    }

    #[zbus(property)]
    fn interface(&self) -> String {
        format!("device{}", self.0.lock().unwrap().kind)
    }

    #[zbus(property)]
    fn ip_interface(&self) -> String {
        self.0.lock().unwrap().interface.to_owned()
    }

    #[zbus(property)]
    fn state(&self) -> u32 {
        self.0.lock().unwrap().state
    }

    #[zbus(property)]
    fn state_reason(&self) -> (u32, u32) {
        let device = self.0.lock().unwrap();
        (device.state, device.reason)
    }

    #[zbus(property)]
    fn metered(&self) -> u32 {
        4
    }

    #[zbus(property)]
    fn ip4_connectivity(&self) -> u32 {
        self.0.lock().unwrap().connectivity
    }
}

struct Wireless(Asked, Mutex<i64>);

#[interface(name = "org.freedesktop.NetworkManager.Device.Wireless")]
impl Wireless {
    fn request_scan(&self, _options: HashMap<String, OwnedValue>) {
        self.0.lock().unwrap().push("scan".to_owned());
        *self.1.lock().unwrap() += 1;
    }

    fn get_all_access_points(&self) -> Vec<OwnedObjectPath> {
        vec![path("/ap/0"), path("/ap/1"), path("/ap/2")]
    }

    #[zbus(property)]
    fn last_scan(&self) -> i64 {
        *self.1.lock().unwrap()
    }

    #[zbus(property)]
    fn active_access_point(&self) -> OwnedObjectPath {
        path("/ap/0")
    }
}

struct Point {
    ssid: Vec<u8>,
    strength: u8,
    rsn: u32,
}

#[interface(name = "org.freedesktop.NetworkManager.AccessPoint")]
impl Point {
    #[zbus(property)]
    fn ssid(&self) -> Vec<u8> {
        self.ssid.clone()
    }

    #[zbus(property)]
    fn strength(&self) -> u8 {
        self.strength
    }

    #[zbus(property)]
    fn flags(&self) -> u32 {
        0
    }

    #[zbus(property)]
    fn wpa_flags(&self) -> u32 {
        0
    }

    #[zbus(property)]
    fn rsn_flags(&self) -> u32 {
        self.rsn
    }
}

/// The connection that the last join began.
struct Active(Option<Arc<Mutex<Device>>>);

#[interface(name = "org.freedesktop.NetworkManager.Connection.Active")]
impl Active {
    /// NM_ACTIVE_CONNECTION_STATE_*: activating, activated, deactivated.
    #[zbus(property)]
    fn state(&self) -> u32 {
        match self.0.as_ref().map(|device| device.lock().unwrap().state) {
            Some(ACTIVATED) => 2,
            Some(FAILED) => 4,
            _ => 1,
        }
    }
}
