//! Acquirers that do things differently: the daemon and a simulated bank that speak by the same profile file, a day
//! each.
//!
//! What the bank expects of a profile is written from the documents in its own code; so a day whose sales are approved,
//! whose lost answer is reversed and whose totals agree shows that the terminal does what the profile says.
use crate::support::{Options, SUPERVISOR, Till, dict_text, number, with_till};
use posd::api::proxy::{QueueProxy, ROOT_PATH};
use posd::domain::secret::MasterKeyMaterial;
use posd::sim::host::Config;
use posd::sim::host::ledger::Effect;
use posd::sim::host::log::Direction;
use posd::sim::host::rules::{Fault, Rule};
use std::collections::HashMap;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

/// A bank on the same machine answers at once, so one second is patience enough.
fn speaking(profile: &'static str, bank: fn(&mut Config)) -> Options {
    Options { response_timeout_s: 1, profile, bank, ..Options::default() }
}

/// A sale with the chip and a PIN, to the end of its paper.
async fn sale(till: &mut Till, request_id: &str, amount: i64) -> OwnedObjectPath {
    till.put_card("unionpay");
    let sale = till.sale(request_id, amount).await;
    assert_eq!(till.finished(&sale).await.outcome, "approved", "{request_id}");
    till.plies_are(&sale, "confirmed").await;
    till.take_card().await;
    till.entered(&sale, "finished").await;
    sale
}

/// A sale whose answer is lost; it is reversed as soon as something else is to be done.
async fn lost_sale(till: &mut Till, request_id: &str, amount: i64) -> OwnedObjectPath {
    till.acquirer.rule(Rule::once("0200", Fault::Drop)).unwrap();
    till.put_card("unionpay");
    let sale = till.sale(request_id, amount).await;
    assert_eq!(till.finished(&sale).await.outcome, "unknown");
    till.take_card().await;
    sale
}

/// Settles, and looks that both sides have counted the same.
async fn settle(till: &mut Till) {
    let job = till.ledger().await.settle(HashMap::new()).await.unwrap();
    till.until_is(job.as_str(), "Job.State", "succeeded").await;
    let result: HashMap<String, OwnedValue> = till.get(job.as_str(), "Job.Result").await;
    assert_eq!(dict_text(&result, "verdict-domestic"), "agreed");
    let batch = till.acquirer.batches().unwrap().pop().unwrap();
    assert_eq!((batch.told, batch.trouble), (batch.known, vec![]));
    assert!(batch.end.is_some_and(|(_, agreed)| agreed));
}

/// An element of the last request of a type, as the bank's log shows it.
fn said(till: &Till, mti: &str, number: u8) -> String {
    let spoken = till.acquirer.messages().unwrap();
    let last = spoken.iter().rev().find(|m| m.direction == Direction::In && m.mti == mti).unwrap();
    last.fields.get(&number).cloned().unwrap_or_default()
}

/// Sign-on, a sale, a lost sale, its reversal, settlement: the books agree.
async fn day(till: &mut Till, reason: &str) {
    till.open().await;
    sale(till, "s-1", 1250).await;
    let lost = lost_sale(till, "s-2", 700).await;
    till.nothing_owed().await;
    till.until_is(lost.as_str(), "Transaction.Outcome", "reversed").await;
    assert_eq!(till.asked(&["0400"]), [format!("0400 {reason}")]);
    assert_eq!(till.booked(), [Effect::Held, Effect::Reversed]);
    settle(till).await;
    assert_eq!(till.acquirer.held().unwrap(), (1250, 1));
}

/// Goal: a day with MACs by ANSI X9.9.
#[test]
fn x9_9() {
    with_till(speaking("[keys]\nmac = \"x9.9\"\n", |_| {}), async |till| day(till, "98").await);
}

/// Goal: a day with MACs by ANSI X9.19 under a key of double length, all eight bytes in the message.
#[test]
fn x9_19_in_binary_with_a_double_key() {
    let profile = "[keys]\nmac = \"x9.19\"\nmac-form = \"binary\"\nmak = \"double\"\n";
    with_till(speaking(profile, |config| config.bank.double_mak = true), async |till| day(till, "98").await);
}

/// Goal: a MAC key of double length is found out by itself and used with 3DES.
#[test]
fn a_double_mac_key() {
    with_till(speaking("[keys]\nmak = \"auto\"\n", |config| config.bank.double_mak = true), async |till| {
        day(till, "98").await;
    });
}

/// Goal: keys of single length, 60.3 = 001: PIN and MAC are made with DES, and field 53 says so.
#[test]
fn keys_of_single_length() {
    with_till(speaking("[keys]\nsign-on-keys = \"001\"\n", |_| {}), async |till| {
        day(till, "98").await;
        assert_eq!(said(till, "0200", 53), "2000000000000000");
    });
}

/// Goal: with sign-on 004 tracks go out encrypted, and the bank can read them.
#[test]
fn encrypted_tracks() {
    let profile = "[keys]\nsign-on-keys = \"004\"\ntrack-encryption = true\nmissing-tdk = \"refuse\"\n";
    with_till(speaking(profile, |_| {}), async |till| {
        day(till, "98").await;
        assert_eq!(said(till, "0200", 53), "2610000000000000");
    });
}

/// Goal: a bank that gives no key for tracks is good enough or not, as the profile says.
#[test]
fn no_key_for_tracks() {
    let profile = "[keys]\nsign-on-keys = \"004\"\ntrack-encryption = true\nmissing-tdk = \"off\"\n";
    with_till(speaking(profile, |config| config.bank.without_tdk = true), async |till| {
        day(till, "98").await;
        assert_eq!(said(till, "0200", 53), "2600000000000000", "in clear, and it says so");
    });
    let profile = "[keys]\nsign-on-keys = \"004\"\ntrack-encryption = true\nmissing-tdk = \"refuse\"\n";
    let options =
        Options { auto_sign_on: false, ..speaking(profile, |config| config.bank.without_tdk = true) };
    with_till(options, async |till| {
        let job = till.host().await.sign_on(HashMap::new()).await.unwrap();
        till.until_is(job.as_str(), "Job.State", "failed").await;
        assert!(!till.get::<bool>(ROOT_PATH, "Host.SignedOn").await);
    });
}

/// Goal: the key block with types brings a new master key, which counts from then on, after a restart too.
#[test]
fn a_typed_block_with_a_new_master_key() {
    let bank = |config: &mut Config| config.bank.new_tmk = Some(MasterKeyMaterial::new([0x55; 16]));
    with_till(speaking("[keys]\nblock = \"typed\"\n", bank), async |till| {
        day(till, "98").await;
        let values: HashMap<String, String> = till.get(ROOT_PATH, "Host.KeyCheckValues").await;
        assert_eq!(values["tmk"], "0CD7DC49", "the known check value of the new key");
        till.stop_daemon().await;
        till.start_daemon().await;
        till.open_again().await;
        till.host_sign_on().await;
        sale(till, "s-3", 300).await;
        let values: HashMap<String, String> = till.get(ROOT_PATH, "Host.KeyCheckValues").await;
        assert_eq!(values["tmk"], "0CD7DC49");
        assert_eq!(till.acquirer.held().unwrap(), (1550, 2));
    });
}

/// Goal: a day with SM4 keys, MACs and PIN blocks, in the form that one source describes and nothing confirms.
#[test]
fn sm4_unconfirmed() {
    let profile =
        "[keys]\nsign-on-keys = \"006\"\nmac = \"sm4-ecb-unconfirmed\"\nblock = \"sm4-unconfirmed\"\n";
    with_till(speaking(profile, |_| {}), async |till| {
        day(till, "98").await;
        assert_eq!(said(till, "0200", 53), "2300000000000000");
    });
}

/// Goal: forms of elements: a shorter field 60, another field 26 and 53, a field 61, other reasons of reversals.
#[test]
fn forms_and_reasons() {
    let profile = "[forms]\nprivate-60-digits = 13\npin-capture = \"06\"\nsecurity-cipher = \"0\"\n\
        [reversal]\nnames-original = \"numbers\"\nno-answer = \"06\"\nmac-error = \"A0\"\nrefused = \"96\"\n";
    with_till(speaking(profile, |_| {}), async |till| {
        day(till, "06").await;
        assert_eq!(said(till, "0200", 60).len(), 13);
        assert_eq!(
            (said(till, "0200", 26), said(till, "0200", 53)),
            ("06".to_owned(), "2000000000000000".to_owned())
        );
        till.put_card("declines-after-approval");
        let refused = till.sale("s-3", 400).await;
        assert_eq!(till.finished(&refused).await.outcome, "declined");
        till.bank_saw("0400", 2).await;
        till.nothing_owed().await;
        assert_eq!(till.asked(&["0400"]), ["0400 06", "0400 96"]);
        assert_eq!(said(till, "0400", 61).len(), 12, "named by batch and trace");
    });
}

/// Goal: elements stand on the wire as the profile says: the bank reads the same table and would understand no other.
#[test]
fn elements_on_the_wire() {
    let profile =
        "[fields]\n22 = \"n3 right\"\n48 = \"ans..322 lll\"\n55 = \"b..999 lll-ascii\"\n60 = \"n..17 ll\"\n";
    with_till(speaking(profile, |_| {}), async |till| day(till, "98").await);
}

/// Goal: message type and bitmap may be text. The MAC covers them as they stand on the wire.
#[test]
fn type_and_bitmap_in_ascii() {
    let profile = "[frame]\nmti = \"ascii\"\nbitmap = \"ascii\"\n";
    with_till(speaking(profile, |_| {}), async |till| day(till, "98").await);
}

/// Goal: where the bank counts neither a voided sale nor its void, the totals agree all the same.
#[test]
fn voided_sales_count_on_neither_side() {
    with_till(speaking("[settlement]\nvoided-sales = \"neither\"\n", |_| {}), async |till| {
        till.change_password("00", "123456", SUPERVISOR).await.unwrap();
        till.open().await;
        sale(till, "s-1", 1250).await;
        let voided = sale(till, "s-2", 700).await;
        let void = till.follow("void", "v-1", 0, &voided).await;
        till.put_card("unionpay");
        assert_eq!(till.finished(&void).await.outcome, "approved");
        till.take_card().await;
        till.entered(&void, "finished").await;
        settle(till).await;
        let totals = till.asked(&["0500"]).len();
        assert_eq!(
            (totals, said(till, "0500", 48)[..30].to_owned()),
            (1, format!("{:012}001{}", 1250, "0".repeat(15)))
        );
    });
}

/// Goal: three attempts of a reversal unblock trading; it is listed and tried again before settlement, and done.
#[test]
fn three_attempts_of_a_reversal() {
    with_till(speaking("[reversal]\nattempts = 3\n", |_| {}), async |till| {
        till.open().await;
        till.acquirer.rule(Rule::always("0400", Fault::Drop)).unwrap();
        let lost = lost_sale(till, "s-1", 700).await;
        till.until::<u32>(ROOT_PATH, "Queue.UnresolvedCount", |count| *count == 1).await;
        let owed = till.owed().await;
        assert_eq!((dict_text(&owed[0], "state"), number(&owed[0], "attempts")), ("failed".to_owned(), 3));
        assert_eq!(till.asked(&["0400"]).len(), 3);
        till.acquirer.clear_rules().unwrap();
        sale(till, "s-2", 300).await;
        settle(till).await;
        till.until_is(lost.as_str(), "Transaction.Outcome", "reversed").await;
        assert_eq!(till.booked(), [Effect::Reversed, Effect::Held]);
    });
}

/// Goal: a bank that takes no late uploads is not sent any: the entry is expired, listed, and the shop resolves it.
#[test]
fn late_uploads_expire() {
    with_till(speaking("[uploads]\nlate = \"expire\"\n", |_| {}), async |till| {
        till.open().await;
        till.acquirer.refuse_connections().unwrap();
        till.acquirer.hang_up().unwrap();
        till.put_card("approves-offline");
        let stored = till.try_start("offline-sale", "s-1", 500, HashMap::new()).await.unwrap();
        assert_eq!(till.finished(&stored).await.outcome, "stored-offline");
        till.take_card().await;
        till.entered(&stored, "finished").await;
        till.stop_daemon().await;
        let journal = rusqlite::Connection::open(till.state_dir().join("journal.db")).unwrap();
        let day_and_a_bit = 25 * 3_600 * 1_000_000_i64; // max-age-h is 24
        assert_eq!(
            journal.execute("UPDATE queue SET created_at = created_at - ?1", [day_and_a_bit]).unwrap(),
            1
        );
        drop(journal);
        till.acquirer.accept_connections().unwrap();
        till.start_daemon().await;
        till.open_again().await;
        till.until::<u32>(ROOT_PATH, "Queue.UnresolvedCount", |count| *count == 1).await;
        let owed = till.owed().await;
        assert_eq!((dict_text(&owed[0], "state"), number(&owed[0], "attempts")), ("expired".to_owned(), 0));
        sale(till, "s-2", 300).await;
        assert_eq!(till.asked(&["0200"]).len(), 1, "the upload was never sent");
        let queue = QueueProxy::new(&till.client).await.unwrap();
        let result = queue.flush(HashMap::new()).await.unwrap();
        till.until_is(result.as_str(), "Job.State", "succeeded").await;
        assert_eq!(till.asked(&["0200"]).len(), 1, "… nor by a flush");
        assert_eq!(till.acquirer.held().unwrap(), (300, 1));
    });
}

/// Goal: where the profile says so, a refusal that anybody could have written is undone: the outcome stays declined.
#[test]
fn unsigned_refusals_are_reversed() {
    with_till(speaking("[business]\nunsigned-refusals = \"reverse\"\n", |_| {}), async |till| {
        till.open().await;
        for (request_id, fault, reversals) in
            [("s-1", Fault::Decline("51".to_owned()), 0), ("s-2", Fault::DeclineUnsigned("51".to_owned()), 1)]
        {
            till.acquirer.rule(Rule::once("0200", fault)).unwrap();
            till.put_card("unionpay");
            let refused = till.sale(request_id, 700).await;
            assert_eq!(till.finished(&refused).await.outcome, "declined");
            till.take_card().await;
            till.nothing_owed().await;
            assert_eq!(till.asked(&["0400"]).len(), reversals, "{request_id}");
            assert_eq!(till.text(refused.as_str(), "Transaction.Outcome").await, "declined");
        }
        sale(till, "s-3", 300).await;
        settle(till).await;
        assert_eq!(till.acquirer.held().unwrap(), (300, 1));
    });
}

/// Goal: a profile that no bank can follow stops the daemon at its file and line before it says anything.
#[test]
fn a_profile_that_contradicts_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("profiles")).unwrap();
    let profile = folder.path().join("profiles/variant.toml");
    std::fs::write(&profile, "[keys]\ntrack-encryption = true\n").unwrap();
    let config = folder.path().join("posd.toml");
    let text = "[terminal]\nid = \"10000001\"\nmerchant-id = \"102100058120001\"\nmerchant-name = \"x\"\n\
        [host]\nendpoints = [\"127.0.0.1:1\"]\nprofile = \"variant\"\n";
    std::fs::write(&config, text).unwrap();
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_posd"))
        .arg("--check-config")
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
    assert!(!said.status.success());
    let expected =
        format!("{}:2: [keys] track-encryption and sign-on-keys do not go together", profile.display());
    assert!(words.contains(&expected), "{words}");
}

/// Goal: a batch begun under another profile is settled before the new one may sell: the two banks would not agree.
#[test]
fn another_profile_waits_for_the_settlement() {
    type Blocked = HashMap<String, String>;
    with_till(speaking("[keys]\nmac = \"x9.9\"\n", |_| {}), async |till| {
        till.open().await;
        sale(till, "s-1", 1250).await;
        till.stop_daemon().await;
        till.configure("profile = \"variant\"", "profile = \"unionpay\"");
        till.start_daemon().await;
        let changed = |blocked: &Blocked| blocked.get("sale").is_some_and(|why| why == "identity-changed");
        till.until::<Blocked>(ROOT_PATH, "Manager.BlockedReasons", changed).await;
        assert_eq!(till.text(ROOT_PATH, "Manager.State").await, "maintenance");
        till.stop_daemon().await;
        till.configure("profile = \"unionpay\"", "profile = \"variant\"");
        till.start_daemon().await;
        till.open_again().await;
        settle(till).await;
        assert_eq!(till.acquirer.held().unwrap(), (1250, 1));
    });
}
