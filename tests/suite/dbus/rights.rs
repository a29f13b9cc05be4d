//! Who may do what: groups, polkit, the bus policy; and how the api begins and ends.
use super::world::*;
use posd::api::{Security, ServeError, serve};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::process::Output;
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::{OwnedValue, Value};

/// A user of this test that is surely not root, and in no group but those given.
const NOBODY: u32 = 65534;

/// Another such user, in no group but its own: `daemon` on every Linux.
const STRANGER: u32 = 1;

/// Calls a method of the Manager as another user. `None` where the test does not run as root and cannot be
/// another.
async fn as_nobody(world: &World, gid: u32, method: &str, args: &[&str]) -> Option<Output> {
    as_user(world, NOBODY, gid, &format!("Manager.{method}"), args).await
}

async fn as_user(world: &World, uid: u32, gid: u32, method: &str, args: &[&str]) -> Option<Output> {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("not root: this part is left out");
        return None;
    }
    let (address, args) =
        (world.bus.address.clone(), args.iter().map(ToString::to_string).collect::<Vec<_>>());
    let method = format!("org.posd.Pos1.{method}");
    let call = move || {
        std::process::Command::new("setpriv")
            .args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()])
            .args(["gdbus", "call", "--address", &address, "--dest", "org.posd.Pos1"])
            .args(["--object-path", "/org/posd/Pos1", "--method", &method])
            .args(args)
            .env("LC_ALL", "C")
            .output()
            .unwrap()
    };
    // The daemon runs on this very thread.
    Some(tokio::task::spawn_blocking(call).await.unwrap())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

const SALE: &[&str] = &["n-1", "sale", "100", "CNY", "{}"];

/// Without polkit the caller's groups decide, as the bus knows them.
#[test]
fn without_polkit_the_groups_of_the_caller_decide() {
    run(async {
        let security = Security { polkit: false, cashier_gid: Some(40_001), technician_gid: Some(40_002) };
        let world = World::with(Setup { security, ..Setup::default() }).await;
        let Some(output) = as_nobody(&world, NOBODY, "StartTransaction", SALE).await else { return };
        assert!(
            said(&output).contains("Error.NotAuthorized") && said(&output).contains("posd-cashier"),
            "{}",
            said(&output)
        );
        let output = as_nobody(&world, 40_001, "StartTransaction", SALE).await.unwrap();
        assert!(said(&output).contains("/org/posd/Pos1/transaction/"), "{}", said(&output));
        let output = as_nobody(&world, 40_001, "GetPermissions", &["{}"]).await.unwrap();
        assert!(
            said(&output).contains("'trade': 'yes'") && said(&output).contains("'keys': 'no'"),
            "{}",
            said(&output)
        );
        let output = as_nobody(&world, 40_002, "GetPermissions", &["{}"]).await.unwrap();
        assert!(said(&output).contains("'keys': 'yes'"), "{}", said(&output));
    });
}

/// Cashiers may export the books and confirm a restored journal, although the rest of backup is closed to them.
#[test]
fn cashiers_may_do_some_of_a_closed_action() {
    run(async {
        let security = Security { polkit: false, cashier_gid: Some(40_001), technician_gid: Some(40_002) };
        let world = World::with(Setup { security, ..Setup::default() }).await;
        let call = async |method: &str, args: &[&str]| {
            as_user(&world, NOBODY, 40_001, method, args).await.map(|output| said(&output))
        };
        let Some(exported) = call("Ledger.Export", &["csv", "{}"]).await else { return };
        assert!(exported.contains("handle"), "{exported}");
        // The fake engine wants a token: the way to it is open.
        let confirmed = call("Maintenance.ConfirmRestore", &["{}"]).await.unwrap();
        assert!(confirmed.contains("needs a supervisor"), "{confirmed}");
        let settled = call("Ledger.Settle", &["{}"]).await.unwrap();
        assert!(settled.contains("/org/posd/Pos1/job/1"), "{settled}");
    });
}

/// Where polkit should decide and is not there, nobody but root gets in.
#[test]
fn without_a_polkit_that_should_be_there_all_are_refused() {
    run(async {
        let security = Security { polkit: true, cashier_gid: Some(40_001), technician_gid: None };
        let world = World::with(Setup { security, ..Setup::default() }).await;
        let Some(output) = as_nobody(&world, 40_001, "StartTransaction", SALE).await else { return };
        let said = said(&output);
        assert!(said.contains("Error.NotAuthorized") && said.contains("polkit = false"), "{said}");
        world.sale("root-1").await;
    });
}

/// A polkit that lets trade, would ask a password for queries, and refuses the rest.
struct FakePolkit;

#[interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl FakePolkit {
    async fn check_authorization(
        &self,
        subject: (String, HashMap<String, OwnedValue>),
        action: &str,
        _details: HashMap<String, String>,
        _flags: u32,
        _cancellation: &str,
        #[zbus(header)] _header: Header<'_>,
    ) -> (bool, bool, HashMap<String, String>) {
        let by_name = subject.0 == "system-bus-name"
            && matches!(&*subject.1["name"], Value::Str(name) if name.starts_with(":1."));
        match action {
            "org.posd.Pos1.trade" => (by_name, false, HashMap::new()),
            "org.posd.Pos1.query" => (false, by_name, HashMap::new()),
            _ => (false, false, HashMap::new()),
        }
    }
}

/// polkit is asked about the sender's unique name; its three answers become three answers.
#[test]
fn polkit_decides_where_it_is_there() {
    run(async {
        let security = Security { polkit: true, ..Security::default() };
        let world = World::with(Setup { security, ..Setup::default() }).await;
        let polkit = zbus::connection::Builder::address(world.bus.address.as_str())
            .unwrap()
            .serve_at("/org/freedesktop/PolicyKit1/Authority", FakePolkit)
            .unwrap()
            .name("org.freedesktop.PolicyKit1")
            .unwrap()
            .build()
            .await
            .unwrap();
        let Some(output) = as_nobody(&world, NOBODY, "StartTransaction", SALE).await else { return };
        assert!(said(&output).contains("/org/posd/Pos1/transaction/"), "{}", said(&output));
        let output = as_nobody(&world, NOBODY, "GetTransaction", &["n-1", "{}"]).await.unwrap();
        assert!(said(&output).contains("Error.AuthenticationRequired"), "{}", said(&output));
        let output = as_nobody(&world, NOBODY, "StartTransaction", &["n-2", "refund", "1", "CNY", "{}"])
            .await
            .unwrap();
        assert!(said(&output).contains("Error.NotAuthorized"), "{}", said(&output));
        drop(polkit);
    });
}

/// polkit's word that its rules changed reaches clients, so that they grey out other buttons.
#[test]
fn a_change_of_polkits_rules_is_told() {
    run(async {
        let security = Security { polkit: true, ..Security::default() };
        let world = World::with(Setup { security, ..Setup::default() }).await;
        let manager = posd::api::proxy::ManagerProxy::new(&world.client).await.unwrap();
        let mut told = manager.receive_permissions_changed().await.unwrap();
        let polkit = world.bus.connect().await;
        polkit.request_name("org.freedesktop.PolicyKit1").await.unwrap();
        let path = "/org/freedesktop/PolicyKit1/Authority";
        let interface = "org.freedesktop.PolicyKit1.Authority";
        polkit.emit_signal(None::<&str>, path, interface, "Changed", &()).await.unwrap();
        OrderedStreamExt::next(&mut told).await.unwrap();
    });
}

/// The shipped bus policy, with the users of this machine in the place of posd and the groups.
pub(crate) fn shipped_policy() -> String {
    let policy = include_str!("../../../systemd/dbus/org.posd.Pos1.conf");
    let inside = policy.split_once("<busconfig>").unwrap().1.split_once("</busconfig>").unwrap().0;
    let ours = std::fs::metadata("/proc/self").unwrap().uid();
    // What a system bus denies before any other file is read.
    let system = r#"<policy context="default"><allow user="*"/><deny own="*"/><deny send_type="method_call"/>
        <allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
        <allow send_requested_reply="true" send_type="error"/><allow receive_type="method_call"/>
        <allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
        <allow send_destination="org.freedesktop.DBus"/></policy>"#;
    let inside = inside.replace("user=\"posd\"", &format!("user=\"{ours}\""));
    format!("{system}{}", inside.replace("group=\"posd-cashier\"", "group=\"65534\""))
}

/// The shipped policy keeps strangers out and lets cashiers in. The bus takes the groups from the system's own list,
/// so the group of this test is the one that `nobody` has there.
#[test]
fn the_shipped_bus_policy_lets_in_whom_it_should() {
    run(async {
        let security = Security { polkit: false, cashier_gid: Some(NOBODY), technician_gid: None };
        let world = World::with(Setup { security, policy: shipped_policy() }).await;
        let output = as_user(&world, STRANGER, STRANGER, "Manager.GetPermissions", &["{}"]).await;
        let Some(output) = output else { return };
        assert!(said(&output).contains("org.freedesktop.DBus.Error.AccessDenied"), "{}", said(&output));
        let output = as_nobody(&world, NOBODY, "GetPermissions", &["{}"]).await.unwrap();
        assert!(said(&output).contains("'trade': 'yes'"), "{}", said(&output));
        world.sale("root-1").await;
    });
}

/// A second daemon on the same bus ends with an error that says so.
#[test]
fn a_taken_name_is_a_named_error() {
    run(async {
        let world = World::start().await;
        let mut ends = Ends::new(&world.bus, Security::default());
        ends.recovered.take().unwrap().send(()).unwrap();
        let error = serve(ends.parts.take().unwrap()).await.unwrap_err();
        assert!(matches!(error, ServeError::NameTaken), "{error}");
        assert!(ends.ready.await.is_err());
    });
}

/// Clients see the name only when recovery is done and all objects are there.
#[test]
fn the_name_is_taken_after_recovery() {
    run(async {
        let bus = PrivateBus::start(OPEN_POLICY);
        let client = bus.connect().await;
        let names = zbus::fdo::DBusProxy::new(&client).await.unwrap();
        let mut ends = Ends::new(&bus, Security::default());
        let served = tokio::spawn(serve(ends.parts.take().unwrap()));
        // Its objects answer by unique name before it owns the other one.
        let (passed, wait) = tokio::sync::oneshot::channel();
        ends.notices.send(posd::engine::handle::Notice::Barrier(passed)).await.unwrap();
        wait.await.unwrap();
        assert!(!names.name_has_owner("org.posd.Pos1".try_into().unwrap()).await.unwrap());
        ends.recovered.take().unwrap().send(()).unwrap();
        ends.ready.await.unwrap();
        assert!(names.name_has_owner("org.posd.Pos1".try_into().unwrap()).await.unwrap());
        ends.engine.abort();
        drop((ends.notices, ends.agent_commands));
        served.await.unwrap().unwrap();
        assert!(!names.name_has_owner("org.posd.Pos1".try_into().unwrap()).await.unwrap());
    });
}

/// A bus that goes away ends the api, so that the daemon is restarted.
#[test]
fn a_lost_bus_ends_the_api() {
    run(async {
        let mut world = World::start().await;
        world.bus.kill();
        let end = (&mut world.served).await.unwrap();
        assert!(end.is_err(), "{end:?}");
    });
}
