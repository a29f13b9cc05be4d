//! A fake daemon on a private bus: what it does with a sale, and how it is put up.
use super::{fake, run};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

/// A private bus in a directory of its own.
struct Bus {
    daemon: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Bus {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("bus.conf");
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}/bus</listen><policy context=\"default\">\
             <allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/></policy></busconfig>",
            dir.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .args(["--nofork", "--print-address", "--config-file"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { daemon, address: address.trim().to_owned(), _dir: dir }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

/// What the fake daemon does with a sale.
#[derive(Clone, Copy, Debug)]
pub(super) enum Script {
    /// Refuses `StartTransaction` by this name.
    Refuse(&'static str),
    /// Ends with outcome and result code.
    End(&'static str, &'static str),
    /// Asks the agent for the PIN; approved if it is 4821, else cancelled.
    AskPin,
    /// Stops after the answer to `StartTransaction`; comes back knowing this outcome.
    Restart(&'static str, &'static str),
    /// Stops, and comes back without any memory of the sale.
    Forget,
    /// Waits for ever.
    Hang,
    /// Has one sale from before: `till-1`, batch 3, trace 7.
    Sold,
}

/// Runs a fake daemon on a private bus while `check` runs.
pub(super) fn with_daemon(script: Script, check: impl FnOnce(&str)) {
    let bus = Bus::start();
    let address = bus.address.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let daemon = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let daemon = zbus::connection::Builder::address(address.as_str())
                .unwrap()
                .serve_at("/org/posd", zbus::fdo::ObjectManager)
                .unwrap()
                .serve_at("/org/posd/Pos1", fake::Manager { script })
                .unwrap()
                .serve_at("/org/posd/Pos1", fake::Host)
                .unwrap()
                .serve_at("/org/posd/Pos1", fake::Ledger)
                .unwrap()
                .serve_at("/org/posd/Pos1/printjob/merchant", fake::PrintJob { state: "confirmed" })
                .unwrap()
                .serve_at("/org/posd/Pos1/printjob/customer", fake::PrintJob { state: "held" })
                .unwrap()
                .serve_at("/org/posd/Pos1/job/1", fake::Job { kind: "sign-on", error: "HostTimeout" })
                .unwrap()
                .serve_at("/org/posd/Pos1/job/2", fake::Job { kind: "host-test", error: "" })
                .unwrap()
                .name("org.posd.Pos1")
                .unwrap()
                .build()
                .await
                .unwrap();
            if matches!(script, Script::Sold) {
                let (path, transaction) = fake::Transaction::sold();
                daemon.object_server().at(path, transaction).await.unwrap();
            }
            ready.send(()).unwrap();
            stopped.await.ok();
        });
    });
    is_ready.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    check(&bus.address);
    stop.send(()).ok();
    daemon.join().unwrap();
}

pub(super) fn sale(script: Script, arguments: &[&str]) -> Output {
    let mut output = None;
    with_daemon(script, |address| {
        let fixed = ["sale", "12.50", "--request-id", "till-1", "--address", address];
        output = Some(run(&[&fixed, arguments].concat()));
    });
    output.unwrap()
}
