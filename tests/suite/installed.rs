//! The packages installed for real, in a booted container: what dpkg does to a shop, what systemd keeps off the daemon,
//! what comes back by itself, and who may do what on the system bus.
mod access;
mod machine;

use crate::support::{Options, Till, with_till};
use machine::Machine;
use std::collections::HashMap;
use std::path::Path;

/// The daemon's process, as a number.
const PID: &str = "systemctl show --value -p MainPID posd";
/// Waits for a condition, 60 s at most, without asking the daemon more than four times a second.
const UNTIL: &str =
    "wait_for() { n=0; while ! eval \"$1\"; do n=$((n+1)); [ $n -lt 240 ] || exit 1; sleep .25; done; }; ";

/// Goal: install, upgrade, downgrade, remove and purge do what people of Debian expect, and no upgrade ends a payment.
#[test]
fn a_package_comes_changes_and_goes() {
    let Some(machine) = Machine::boot() else { return };
    machine.install("~0");
    machine.sh("test \"$(systemctl is-active posd)\" = active; systemctl is-enabled posd; posctl status");
    machine.sh(
        "echo '[printer]\nplies = 1' > /etc/posd/posd.toml.d/site.toml; echo '# ours' >> /etc/posd/posd.toml",
    );
    let kept =
        "cat /etc/posd/posd.toml /etc/posd/posd.toml.d/site.toml /var/lib/posd/storage-key | sha256sum";
    let (before, first) = (machine.sh(kept), machine.sh(PID));
    for other in ["", "~0"] {
        let pid = machine.sh(PID);
        // The old daemon is told and left alone; it ends when it is safe, which it looks for when it has work to do.
        machine.sh(&format!(
            "{UNTIL} kill -STOP {pid}; dpkg -i --force-downgrade /debs/posd_{}{other}_*.deb; test -d /proc/{pid}; \
             kill -CONT {pid}; wait_for 'posctl status; test \"$({PID})\" != {pid} && posctl status'",
            env!("CARGO_PKG_VERSION"),
            pid = pid.trim()
        ));
        assert_eq!(machine.sh(kept), before, "configuration and state survive");
    }
    assert_ne!(machine.sh(PID), first);
    machine.sh("dpkg -r posd; ! systemctl is-active posd; ! test -e /usr/bin/posd");
    assert_eq!(machine.sh(kept), before, "they stay when it is removed");
    machine.install("");
    machine.sh(
        "test \"$(systemctl is-active posd)\" = active; rm /etc/posd/posd.toml.d/site.toml; dpkg -P posd",
    );
    machine.sh(
        "! systemctl is-active posd; for gone in /etc/posd /var/lib/posd /run/posd; do test ! -e $gone; done",
    );
    assert_eq!(machine.sh("ls /var/backups | grep posd || true"), "", "nothing was owed");
}

/// Goal: what Debian's test machines run on every upload passes.
#[test]
fn debians_own_tests_pass() {
    let Some(machine) = Machine::boot() else { return };
    machine.install("");
    machine.sh("dpkg -i /debs/posd-simulator_*.deb; mkdir /tmp/tests");
    machine.put(&Path::new(env!("CARGO_MANIFEST_DIR")).join("debian/tests"), "/tmp/tests");
    let control = machine.sh("cat /tmp/tests/control");
    let tests: Vec<&str> = control.lines().filter_map(|line| line.strip_prefix("Tests: ")).collect();
    assert_eq!(tests, ["installed", "programs"]);
    for test in tests {
        let (passed, said) = machine.try_sh(&format!("cd /tmp; /tmp/tests/{test}"));
        assert!(passed, "{test}:\n{said}");
    }
}

/// Goal: whoever purges the package while the bank is owed a message is warned, and the journal is put aside.
#[test]
fn a_purge_warns_while_money_is_queued() {
    let Some(machine) = Machine::boot() else { return };
    with_till(Options::default(), async |till| {
        stored_sale(till).await;
        machine.sh("mkdir /var/lib/posd");
        machine.put(&till.state_dir(), "/var/lib/posd");
        machine.install("");
        machine.sh("chown -R posd:posd /var/lib/posd; systemctl restart posd");
        let removed = machine.sh("dpkg -r posd");
        assert!(removed.contains("the bank may still be owed messages: 1 to send"), "{removed}");
        let purged = machine.sh("dpkg -P posd");
        assert!(purged.contains("WARNING") && purged.contains("moved to /var/backups/posd-"), "{purged}");
        machine.sh("test -s /var/backups/posd-*/journal.db; ! test -e /var/lib/posd");
    });
}

/// A sale that the bank does not know of yet; then the daemon ends.
async fn stored_sale(till: &mut Till) {
    till.open().await;
    till.acquirer.refuse_connections().unwrap();
    till.acquirer.hang_up().unwrap();
    till.put_card("approves-offline");
    let manager = till.manager().await;
    let sale = manager.start_transaction("s-1", "offline-sale", 1000, "CNY", HashMap::new()).await.unwrap();
    till.finished(&sale).await;
    till.take_card().await;
    till.entered(&sale, "finished").await;
    till.stop_daemon().await;
}

/// Goal: systemd keeps everything off the daemon that it does not need, and the score says so.
#[test]
fn the_daemon_is_shut_in() {
    let Some(machine) = Machine::boot() else { return };
    machine.install("");
    // The threshold is ten times the score.
    let told = machine.sh("systemd-analyze security --no-pager --threshold=15 posd.service | tail -n 1");
    println!("{}", told.trim());
    let status = machine.sh(&format!("cat /proc/$({PID})/status /proc/$({PID})/limits"));
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    for (name, value) in [
        ("CapEff:", "0000000000000000"),
        ("CapBnd:", "0000000000000000"),
        ("NoNewPrivs:", "1"),
        ("Seccomp:", "2"),
    ] {
        assert!(line(name).ends_with(value), "{}", line(name));
    }
    assert!(
        line("Max core file size").split_whitespace().nth(4) == Some("0"),
        "{}",
        line("Max core file size")
    );
    assert_eq!(line("Uid:").split_whitespace().nth(1), Some(machine.sh("id -u posd").trim()));
    machine.sh("test \"$(stat -c '%a %U' /var/lib/posd)\" = '700 posd'");
}

/// Goal: the daemon comes back after a kill and a new bus, by a call when it was stopped, and outlives its neighbours.
#[test]
fn the_daemon_comes_back() {
    let Some(machine) = Machine::boot() else { return };
    machine.install("");
    let pid = machine.sh(PID);
    machine.sh(
        "systemctl restart pcscd.socket polkit systemd-logind; systemctl stop pcscd.service; posctl status",
    );
    assert_eq!(machine.sh(PID), pid, "it outlives readers, polkit and logind");
    machine.sh(&format!(
        "{UNTIL} systemctl kill -s KILL posd; wait_for 'test \"$({PID})\" != {} && posctl status'",
        pid.trim()
    ));
    assert_ne!(machine.sh(PID), pid);
    machine.sh("systemctl stop posd; busctl get-property org.posd.Pos1 /org/posd/Pos1 org.posd.Pos1.Manager State; test \"$(systemctl is-active posd)\" = active");
    machine.sh(&format!("{UNTIL} systemctl restart dbus; wait_for 'posctl status'"));
}
