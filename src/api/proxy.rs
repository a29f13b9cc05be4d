//! Client side of the bus contract: one proxy trait for each interface that this version ships.
//!
//! posctl and the tests use it; the daemon does not. The meaning of every member stands in
//! `systemd/dbus/org.posd.Pos1.xml`, which is the reference; a test compares names and signatures with the
//! daemon. One signal has another name here than on the bus, because zbus makes `receive_state_changed` for
//! the property: `Transaction.StateChanged` is [`TransactionProxy::receive_entered_state`].
#![allow(
    missing_docs,
    reason = "documented in org.posd.Pos1.xml; zbus makes more items than are written here"
)]
use std::collections::HashMap;
use zbus::proxy;
use zbus::zvariant::{Fd, ObjectPath, OwnedFd, OwnedObjectPath, OwnedValue, Value};

/// The well-known name of the daemon.
pub const BUS_NAME: &str = "org.posd.Pos1";
/// The object with Manager, Operators, Host, Queue, Ledger and Maintenance.
pub const ROOT_PATH: &str = "/org/posd/Pos1";
/// The object with ObjectManager, one level above so that one call sees all.
pub const OBJECT_MANAGER_PATH: &str = "/org/posd";

/// Options of a method, `a{sv}`.
pub type Options<'a> = HashMap<&'a str, Value<'a>>;
/// A result or row that may grow, `a{sv}`.
pub type Dict = HashMap<String, OwnedValue>;

#[proxy(
    interface = "org.posd.Pos1.Manager",
    default_service = "org.posd.Pos1",
    default_path = "/org/posd/Pos1",
    gen_blocking = false
)]
pub trait Manager {
    #[zbus(allow_interactive_auth)]
    fn start_transaction(
        &self,
        request_id: &str,
        kind: &str,
        amount: i64,
        currency: &str,
        options: Options<'_>,
    ) -> zbus::Result<OwnedObjectPath>;
    fn get_transaction(&self, request_id: &str, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn register_agent(&self, path: &ObjectPath<'_>, options: Options<'_>) -> zbus::Result<()>;
    fn unregister_agent(&self, path: &ObjectPath<'_>, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn self_test(&self, what: &[&str], level: &str, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    fn get_permissions(&self, options: Options<'_>) -> zbus::Result<HashMap<String, String>>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn api_version(&self) -> zbus::Result<(u32, u32)>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn features(&self) -> zbus::Result<Vec<String>>;
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn state_reasons(&self) -> zbus::Result<Vec<String>>;
    #[zbus(property)]
    fn active_transaction(&self) -> zbus::Result<OwnedObjectPath>;
    #[zbus(property)]
    fn enabled_kinds(&self) -> zbus::Result<Vec<String>>;
    #[zbus(property)]
    fn blocked_reasons(&self) -> zbus::Result<HashMap<String, String>>;
    #[zbus(property)]
    fn safe_to_update(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn update_blockers(&self) -> zbus::Result<Vec<String>>;
    #[zbus(property)]
    fn clock_trusted(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn terminal_id(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn merchant_id(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn merchant_name(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn current_agent(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn agents(&self) -> zbus::Result<Vec<Dict>>;
    #[zbus(signal)]
    fn permissions_changed(&self) -> zbus::Result<()>;
}

#[proxy(interface = "org.posd.Pos1.Transaction", default_service = "org.posd.Pos1", gen_blocking = false)]
pub trait Transaction {
    #[zbus(allow_interactive_auth)]
    fn cancel(&self, options: Options<'_>) -> zbus::Result<String>;
    fn get_result(&self, options: Options<'_>) -> zbus::Result<Dict>;
    fn get_timeline(&self, options: Options<'_>) -> zbus::Result<Vec<Dict>>;
    fn explain(&self, options: Options<'_>) -> zbus::Result<Dict>;
    fn get_receipt(&self, ply: &str, format: &str, options: Options<'_>) -> zbus::Result<OwnedFd>;
    #[zbus(allow_interactive_auth)]
    fn reprint(&self, ply: &str, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn request_id(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn kind(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn currency(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn amount(&self) -> zbus::Result<i64>;
    #[zbus(property)]
    fn approved_amount(&self) -> zbus::Result<i64>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn created_at(&self) -> zbus::Result<u64>;
    #[zbus(property)]
    fn operator(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn trace(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn batch(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn rrn(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn auth_code(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn masked_pan(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn card_token(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn card_brand(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn aid(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn application_label(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn entry_mode(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn armed_entry_modes(&self) -> zbus::Result<Vec<String>>;
    #[zbus(property)]
    fn cvm_method(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn signature_required(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn state_reason(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn cancellable(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn deadline(&self) -> zbus::Result<u64>;
    #[zbus(property)]
    fn deadline_kind(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn attempt(&self) -> zbus::Result<(u32, u32)>;
    #[zbus(property)]
    fn attempt_link(&self) -> zbus::Result<OwnedObjectPath>;
    #[zbus(property)]
    fn outcome(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn response_code(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn result_code(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn result_text(&self) -> zbus::Result<HashMap<String, String>>;
    #[zbus(property)]
    fn original(&self) -> zbus::Result<OwnedObjectPath>;
    #[zbus(property)]
    fn follow_ups(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
    #[zbus(property)]
    fn allowed_follow_ups(&self) -> zbus::Result<Vec<String>>;
    #[zbus(property)]
    fn refunded_total(&self) -> zbus::Result<i64>;
    #[zbus(property)]
    fn print_jobs(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
    #[zbus(signal, name = "StateChanged")]
    fn entered_state(&self, old: String, new: String, reason: String, at: u64) -> zbus::Result<()>;
    #[zbus(signal)]
    fn prompt(&self, code: String, text: HashMap<String, String>, details: Dict) -> zbus::Result<()>;
    #[zbus(signal)]
    fn finished(&self, outcome: String, result: Dict) -> zbus::Result<()>;
}

#[proxy(
    interface = "org.posd.Pos1.Operators",
    default_service = "org.posd.Pos1",
    default_path = "/org/posd/Pos1",
    gen_blocking = false
)]
pub trait Operators {
    #[zbus(allow_interactive_auth)]
    fn sign_on(&self, operator: &str, secret: Fd<'_>, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn sign_off(&self, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn change_password(
        &self,
        operator: &str,
        old: Fd<'_>,
        new: Fd<'_>,
        options: Options<'_>,
    ) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn authorize(
        &self,
        action: &str,
        supervisor: &str,
        secret: Fd<'_>,
        options: Options<'_>,
    ) -> zbus::Result<String>;
    #[zbus(allow_interactive_auth)]
    fn add(&self, operator: &str, secret: Fd<'_>, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn remove(&self, operator: &str, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn unlock(&self, operator: &str, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(property)]
    fn current(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn role(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn locked_out(&self) -> zbus::Result<Vec<String>>;
    #[zbus(property)]
    fn operators(&self) -> zbus::Result<Vec<String>>;
}

#[proxy(
    interface = "org.posd.Pos1.Host",
    default_service = "org.posd.Pos1",
    default_path = "/org/posd/Pos1",
    gen_blocking = false
)]
pub trait Host {
    #[zbus(allow_interactive_auth)]
    fn sign_on(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn sign_off(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn test(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn load_master_key(&self, key: Fd<'_>, options: Options<'_>) -> zbus::Result<String>;
    #[zbus(allow_interactive_auth)]
    fn download_parameters(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(property)]
    fn signed_on(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn reachable(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn key_check_values(&self) -> zbus::Result<HashMap<String, String>>;
    #[zbus(property)]
    fn keys_loaded_at(&self) -> zbus::Result<u64>;
    #[zbus(property)]
    fn parameter_version(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn last_exchange(&self) -> zbus::Result<u64>;
    #[zbus(property)]
    fn certificate_until(&self) -> zbus::Result<u64>;
    #[zbus(property)]
    fn own_certificate_until(&self) -> zbus::Result<u64>;
}

#[proxy(
    interface = "org.posd.Pos1.Network",
    default_service = "org.posd.Pos1",
    default_path = "/org/posd/Pos1",
    gen_blocking = false
)]
pub trait Network {
    #[zbus(allow_interactive_auth)]
    fn scan(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn connect(&self, ssid: &[u8], secret: Fd<'_>, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(property)]
    fn links(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
    #[zbus(property)]
    fn active_link(&self) -> zbus::Result<OwnedObjectPath>;
    #[zbus(property)]
    fn preference(&self) -> zbus::Result<Vec<String>>;
}

#[proxy(
    interface = "org.posd.Pos1.Queue",
    default_service = "org.posd.Pos1",
    default_path = "/org/posd/Pos1",
    gen_blocking = false
)]
pub trait Queue {
    #[zbus(allow_interactive_auth)]
    fn flush(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn pause(&self, why: &str, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn resume(&self, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn park(&self, id: &str, why: &str, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn unpark(&self, id: &str, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn resolve(&self, id: &str, how: &str, options: Options<'_>) -> zbus::Result<()>;
    fn list(
        &self,
        filter: Options<'_>,
        limit: u32,
        cursor: &str,
        options: Options<'_>,
    ) -> zbus::Result<(Vec<Dict>, String)>;
    #[zbus(property)]
    fn depth(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn oldest_at(&self) -> zbus::Result<u64>;
    #[zbus(property)]
    fn pending_reversals(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn parked_count(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn unresolved_count(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn paused(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn paused_why(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn stored_amount(&self) -> zbus::Result<i64>;
    #[zbus(property)]
    fn remaining_amount(&self) -> zbus::Result<i64>;
    #[zbus(property)]
    fn remaining_count(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn last_error(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn next_attempt(&self) -> zbus::Result<u64>;
}

#[proxy(
    interface = "org.posd.Pos1.Ledger",
    default_service = "org.posd.Pos1",
    default_path = "/org/posd/Pos1",
    gen_blocking = false
)]
pub trait Ledger {
    fn query(
        &self,
        filter: Options<'_>,
        limit: u32,
        cursor: &str,
        options: Options<'_>,
    ) -> zbus::Result<(Vec<Dict>, String)>;
    fn open(&self, batch: u32, trace: u32, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    fn totals(&self, filter: Options<'_>, options: Options<'_>) -> zbus::Result<Vec<Dict>>;
    #[zbus(allow_interactive_auth)]
    fn export(&self, format: &str, options: Options<'_>) -> zbus::Result<OwnedFd>;
    #[zbus(allow_interactive_auth)]
    fn settle(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn reprint_settlement(&self, batch: u32, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(property)]
    fn batch(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn batch_state(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn batch_opened_at(&self) -> zbus::Result<u64>;
    #[zbus(property)]
    fn counts(&self) -> zbus::Result<HashMap<String, u32>>;
}

#[proxy(
    interface = "org.posd.Pos1.Maintenance",
    default_service = "org.posd.Pos1",
    default_path = "/org/posd/Pos1",
    gen_blocking = false
)]
pub trait Maintenance {
    #[zbus(allow_interactive_auth)]
    fn backup(&self, target: Fd<'_>, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn verify(&self, source: Fd<'_>, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn restore(&self, source: Fd<'_>, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn confirm_restore(&self, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn inhibit(&self, why: &str, options: Options<'_>) -> zbus::Result<OwnedFd>;
    #[zbus(allow_interactive_auth)]
    fn security(&self, options: Options<'_>) -> zbus::Result<Vec<Dict>>;
    #[zbus(allow_interactive_auth)]
    fn report(&self, target: Fd<'_>, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(
    interface = "org.posd.Pos1.Config",
    default_service = "org.posd.Pos1",
    default_path = "/org/posd/Pos1",
    gen_blocking = false
)]
pub trait Config {
    fn get(&self, keys: &[&str], options: Options<'_>) -> zbus::Result<Dict>;
    #[zbus(allow_interactive_auth)]
    fn set(&self, values: Options<'_>, options: Options<'_>) -> zbus::Result<String>;
    #[zbus(allow_interactive_auth)]
    fn confirm(&self, checkpoint: &str, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn rollback(&self, checkpoint: &str, options: Options<'_>) -> zbus::Result<()>;
}

/// Apart from the others, because zbus makes items named `Finished` for its signal and for the transaction's.
pub mod job {
    use super::{Dict, Options, proxy};

    #[proxy(interface = "org.posd.Pos1.Job", default_service = "org.posd.Pos1", gen_blocking = false)]
    pub trait Job {
        #[zbus(allow_interactive_auth)]
        fn cancel(&self, options: Options<'_>) -> zbus::Result<String>;
        #[zbus(property(emits_changed_signal = "const"))]
        fn kind(&self) -> zbus::Result<String>;
        #[zbus(property)]
        fn phase(&self) -> zbus::Result<String>;
        #[zbus(property)]
        fn state(&self) -> zbus::Result<String>;
        #[zbus(property)]
        fn progress(&self) -> zbus::Result<u8>;
        #[zbus(property)]
        fn cancellable(&self) -> zbus::Result<bool>;
        #[zbus(property)]
        fn started_at(&self) -> zbus::Result<u64>;
        #[zbus(property)]
        fn result(&self) -> zbus::Result<Dict>;
        #[zbus(property)]
        fn error(&self) -> zbus::Result<(String, String)>;
        #[zbus(signal)]
        fn finished(&self, state: String, result: Dict) -> zbus::Result<()>;
    }
}
pub use job::JobProxy;

#[proxy(interface = "org.posd.Pos1.Reader", default_service = "org.posd.Pos1", gen_blocking = false)]
pub trait Reader {
    #[zbus(allow_interactive_auth)]
    fn reset(&self, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(property)]
    fn name(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn kind(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn card_present(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn reasons(&self) -> zbus::Result<Vec<String>>;
    #[zbus(property)]
    fn event_count(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn statistics(&self) -> zbus::Result<HashMap<String, u64>>;
    #[zbus(signal)]
    fn card_inserted(&self) -> zbus::Result<()>;
    #[zbus(signal)]
    fn card_removed(&self, early: bool) -> zbus::Result<()>;
}

#[proxy(interface = "org.posd.Pos1.Drawer", default_service = "org.posd.Pos1", gen_blocking = false)]
pub trait Drawer {
    #[zbus(allow_interactive_auth)]
    fn open(&self, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(property)]
    fn is_open(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn open_count(&self) -> zbus::Result<u32>;
}

#[proxy(interface = "org.posd.Pos1.Printer", default_service = "org.posd.Pos1", gen_blocking = false)]
pub trait Printer {
    #[zbus(allow_interactive_auth)]
    fn print_text(&self, text: &str, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn test_page(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    fn learn(&self, options: Options<'_>) -> zbus::Result<OwnedObjectPath>;
    #[zbus(allow_interactive_auth)]
    fn feed(&self, lines: u32, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(property)]
    fn model(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn device(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn online(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn paper(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn cover(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn cutter(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn overheated(&self) -> zbus::Result<bool>;
    #[zbus(property)]
    fn columns(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn dots(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn evidence(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn quirks(&self) -> zbus::Result<Vec<String>>;
    #[zbus(property)]
    fn queue_depth(&self) -> zbus::Result<u32>;
    #[zbus(property)]
    fn statistics(&self) -> zbus::Result<HashMap<String, u64>>;
}

#[proxy(interface = "org.posd.Pos1.PrintJob", default_service = "org.posd.Pos1", gen_blocking = false)]
pub trait PrintJob {
    #[zbus(allow_interactive_auth)]
    fn retry(&self, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(allow_interactive_auth)]
    fn abandon(&self, why: &str, options: Options<'_>) -> zbus::Result<()>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn kind(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn ply(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn reason(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn transaction(&self) -> zbus::Result<OwnedObjectPath>;
    #[zbus(property(emits_changed_signal = "const"))]
    fn copy(&self) -> zbus::Result<bool>;
}
