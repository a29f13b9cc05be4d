//! Downloads with real parts: they come into use whole, wait for payments, outlive a kill, and follow the host's
//! header.
use crate::support::{Options, Till, dict_text, number, sealed, with_till};
use posd::api::proxy::{Dict, JobProxy, ROOT_PATH};
use posd::sim::host::rules::{Fault, Rule};
use std::collections::HashMap;
use zbus::zvariant::{Fd, OwnedObjectPath, Value};

const ADMINISTRATOR: &str = "verwalter-8812-west";
/// An application that no card of these tests has, as a record.
const FOREIGN_AID: &str = concat!(
    "9F0607A0000099990101DF0101009F08020030DF1105D84000A800DF1205D84004F800DF1305001000000",
    "09F1B0400000000DF150400000000DF160199DF170199DF14039F3704DF180101"
);

/// The administrator's token for one download.
async fn token(till: &Till) -> String {
    let secret = Fd::from(sealed(ADMINISTRATOR.as_bytes()));
    till.operators().await.authorize("parameters", "99", secret, HashMap::new()).await.unwrap()
}

/// Begins a download of these kinds; none: those of the profile.
async fn begin(till: &Till, kinds: &[&str]) -> OwnedObjectPath {
    let mut options = HashMap::from([("authorization", Value::from(token(till).await))]);
    if !kinds.is_empty() {
        options.insert("kinds", Value::from(kinds.to_vec()));
    }
    till.host().await.download_parameters(options).await.unwrap()
}

/// … and waits for its end; its result.
async fn download(till: &mut Till, kinds: &[&str], end: &str) -> Dict {
    let job = begin(till, kinds).await;
    till.until_is(job.as_str(), "Job.State", end).await;
    till.get(job.as_str(), "Job.Result").await
}

async fn open(till: &mut Till) {
    till.change_password("99", "12345678", ADMINISTRATOR).await.unwrap();
    till.open().await;
}

async fn version(till: &Till) -> String {
    till.text(ROOT_PATH, "Host.ParameterVersion").await
}

async fn reasons(till: &Till) -> Vec<String> {
    till.get(ROOT_PATH, "Manager.StateReasons").await
}

/// Waits until no download is under way or owed.
async fn complete(till: &mut Till) {
    till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", |reasons| {
        !reasons.contains(&"download-incomplete".to_owned())
    })
    .await;
}

fn questions(till: &Till) -> Vec<String> {
    till.acquirer.download_questions().unwrap()
}

/// A sale with the usual card, to the end of its paper.
async fn sale(till: &mut Till, request_id: &str) -> (String, String) {
    till.put_card("no-cvm");
    let sale = till.sale(request_id, 500).await;
    let end = till.finished(&sale).await;
    till.take_card().await;
    till.entered(&sale, "finished").await;
    (end.outcome.clone(), end.text("result-code"))
}

/// Goal: keys, applications and parameters come in one job, replace those of the file, and are still there after a
/// restart; only the administrator may.
#[test]
fn a_download_comes_into_use() {
    with_till(Options::default(), async |till| {
        open(till).await;
        let refused = till.host().await.download_parameters(HashMap::new()).await.unwrap_err();
        assert!(refused.to_string().contains("NotAuthorized"), "{refused}");
        assert_eq!((version(till).await.as_str(), questions(till).len()), ("", 0));
        let result = download(till, &[], "succeeded").await;
        let counts = ["capk", "aid", "parameters"].map(|kind| number(&result, kind));
        assert_eq!((counts, dict_text(&result, "remarks").as_str()), ([1, 3, 1], ""));
        let expected = [
            "capk list 00",
            "capk record A00000033303",
            "capk end",
            "aid list 00",
            "aid record A000000333010101",
            "aid record A000000333010102",
            "aid record A000000333010103",
            "aid end",
            "parameters",
        ];
        assert_eq!(questions(till), expected);
        let first = version(till).await;
        assert_eq!(first.len(), 16);
        assert_eq!(sale(till, "s-1").await.0, "approved", "the card has one of the bank's applications");

        // Applications that no card has: the next sale follows them.
        till.acquirer.set_table("aid", &[FOREIGN_AID]).unwrap();
        assert_eq!(number(&download(till, &["aid"], "succeeded").await, "aid"), 1);
        assert_ne!(version(till).await, first);
        let second = version(till).await;
        assert_eq!(sale(till, "s-2").await.1, "card-not-accepted");
        till.kill_daemon().await;
        till.start_daemon().await;
        till.open_again().await;
        assert_eq!(version(till).await, second);
        assert_eq!(sale(till, "s-3").await.1, "card-not-accepted");
    });
}

/// Goal: a technician does it with posctl: what is in use, a download with the administrator's password, its counts.
#[test]
fn posctl_downloads_and_tells_what_is_in_use() {
    with_till(Options::default(), async |till| {
        open(till).await;
        let secret = till.dir().join("secret");
        std::fs::write(&secret, format!("{ADMINISTRATOR}\n")).unwrap();
        let address = till.bus.address.clone();
        let posctl = async |more: &[&str]| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_posctl"));
            command.args(["--address", &address, "--json", "host", "parameters"]).args(more);
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.code(), document)
        };
        let (code, before) = posctl(&[]).await;
        assert_eq!((code, &before["data"]["parameter-version"]), (Some(0), &"".into()));
        let (code, refused) = posctl(&["--download"]).await;
        assert_eq!((code, &refused["error"]["name"]), (Some(5), &"NotAuthorized".into()));
        let secret = secret.to_str().unwrap();
        let leave = ["--supervisor", "99", "--secret-file", secret];
        let (code, done) = posctl(&[&["--download", "--kind", "aid"], &leave[..]].concat()).await;
        assert_eq!((code, &done["data"]["result"]["aid"]), (Some(0), &3.into()), "{done}");
        let (_, after) = posctl(&[]).await;
        assert_eq!(after["data"]["parameter-version"].as_str().unwrap().len(), 16);
    });
}

/// Goal: a download that is stuck keeps the old table; a sale goes before it and with the old table; after a kill it
/// goes on with what is missing and asks for nothing twice.
#[test]
fn a_kill_in_the_middle_is_resumed() {
    with_till(Options { response_timeout_s: 2, ..Options::default() }, async |till| {
        open(till).await;
        till.acquirer.rule(Rule { nth: 3, ..Rule::once("0800", Fault::Drop) }).unwrap();
        let job = begin(till, &["aid"]).await;
        till.bank_saw("0800", 4).await; // the sign-on, and three records
        assert_eq!(questions(till).last().unwrap(), "aid record A000000333010103");
        assert_eq!(sale(till, "s-1").await.0, "approved");
        till.until_is(job.as_str(), "Job.State", "failed").await;
        assert!(reasons(till).await.contains(&"download-incomplete".to_owned()));
        assert_eq!(version(till).await, "");
        let before = questions(till).len();
        till.kill_daemon().await;
        till.start_daemon().await;
        till.until::<String>(ROOT_PATH, "Host.ParameterVersion", |version| version.len() == 16).await;
        assert_eq!(questions(till)[before..], ["aid list 00", "aid record A000000333010103", "aid end"]);
        complete(till).await;
    });
}

/// Goal: a kill between two kinds of a job forgets none of those that had not begun; what is in use is not asked again.
#[test]
fn a_kill_between_two_kinds_is_resumed() {
    with_till(Options { response_timeout_s: 2, ..Options::default() }, async |till| {
        open(till).await;
        till.acquirer.rule(Rule { nth: 2, ..Rule::once("0820", Fault::Drop) }).unwrap();
        begin(till, &[]).await;
        till.bank_saw("0820", 2).await;
        assert_eq!(
            questions(till).last().unwrap(),
            "aid list 00",
            "CA keys are done, applications have not begun"
        );
        let before = questions(till).len();
        till.kill_daemon().await;
        till.start_daemon().await;
        complete(till).await;
        let asked = questions(till).split_off(before);
        assert_eq!(
            (asked[0].as_str(), asked.last().unwrap().as_str()),
            ("aid list 00", "parameters"),
            "{asked:?}"
        );
        assert!(asked.iter().all(|question| !question.starts_with("capk")), "{asked:?}");
        till.kill_daemon().await;
        till.start_daemon().await;
        till.open_again().await;
        assert_eq!(sale(till, "s-1").await.0, "approved");
        assert_eq!(questions(till).len(), before + asked.len(), "nothing is owed any more");
    });
}

/// Goal: who cancels a job is not reminded of it after the next start.
#[test]
fn a_cancelled_download_is_forgotten() {
    with_till(Options::default(), async |till| {
        open(till).await;
        till.acquirer.rule(Rule::always("0820", Fault::Drop)).unwrap();
        let job = begin(till, &["aid", "parameters"]).await;
        till.bank_saw("0820", 1).await;
        assert!(reasons(till).await.contains(&"download-incomplete".to_owned()));
        JobProxy::new(&till.client, job.clone()).await.unwrap().cancel(HashMap::new()).await.unwrap();
        till.until_is(job.as_str(), "Job.State", "cancelled").await;
        complete(till).await;
        let before = questions(till);
        till.stop_daemon().await;
        till.start_daemon().await;
        till.open_again().await;
        assert_eq!(sale(till, "s-1").await.0, "approved");
        assert_eq!(questions(till), before);
    });
}

/// Goal: a blacklist that was cut off in the middle is begun anew, because its pages have no names; until it is whole,
/// the old one is in use.
#[test]
fn a_blacklist_outlives_a_kill() {
    with_till(Options { response_timeout_s: 2, ..Options::default() }, async |till| {
        open(till).await;
        till.acquirer.set_table("page", &["1"]).unwrap();
        till.acquirer.set_table("blacklist", &["6225880012345675"]).unwrap();
        assert_eq!(number(&download(till, &["blacklist"], "succeeded").await, "blacklist"), 1);
        let one = version(till).await;
        till.acquirer.set_table("blacklist", &["6225880099999999", "6225880088888888"]).unwrap();
        till.acquirer.rule(Rule { nth: 2, ..Rule::once("0800", Fault::Drop) }).unwrap();
        let before = questions(till).len();
        begin(till, &["blacklist"]).await;
        till.bank_saw("0800", 5).await; // the sign-on, the first list in two, and two pages of the second
        till.kill_daemon().await;
        till.acquirer.refuse_connections().unwrap();
        till.start_daemon().await;
        till.open_again().await;
        assert_eq!(version(till).await, one);
        till.put_card("unionpay");
        let refused = till.sale("s-1", 500).await;
        assert_eq!(till.finished(&refused).await.text("result-code"), "card-blacklisted", "the old list");
        till.take_card().await;
        till.acquirer.accept_connections().unwrap();
        till.host().await.test(HashMap::new()).await.unwrap();
        complete(till).await;
        let asked = questions(till).split_off(before);
        let pages = ["blacklist page 001", "blacklist page 002"];
        assert_eq!(asked, [&pages[..], &pages[..], &["blacklist end"]].concat());
        assert_ne!(version(till).await, one);
        till.put_card("unionpay");
        let sale = till.sale("s-2", 500).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved", "its card is on the new list no more");
    });
}

/// Goal: a record that cannot be used is refused by its name, and the table in use stays.
#[test]
fn a_bad_record_leaves_the_old_table() {
    with_till(Options::default(), async |till| {
        open(till).await;
        download(till, &["aid"], "succeeded").await;
        let before = version(till).await;
        let broken = FOREIGN_AID.replace("DF1105", "DF1F05");
        till.acquirer.set_table("aid", &[&broken]).unwrap();
        let job = begin(till, &["aid"]).await;
        till.until_is(job.as_str(), "Job.State", "failed").await;
        let (name, text): (String, String) = till.get(job.as_str(), "Job.Error").await;
        assert!(name.ends_with("ProtocolError"), "{name}");
        assert!(text.contains("record A0000099990101 of aid is refused: tag DF11 is missing"), "{text}");
        assert_eq!(version(till).await, before);
        assert_eq!(sale(till, "s-1").await.0, "approved");
    });
}

/// Goal: the sixth digit of the host's header causes a download after the sale, its slip included, and the upload of
/// the terminal's state when it asks for that.
#[test]
fn the_hosts_header_is_followed_after_the_sale() {
    with_till(Options::default(), async |till| {
        till.configure("tear-pause-s = 0", "tear-pause-s = 3");
        till.stop_daemon().await;
        till.start_daemon().await;
        open(till).await;
        till.acquirer.rule(Rule::once("0200", Fault::Header(4))).unwrap();
        till.put_card("no-cvm");
        let sale = till.sale("s-1", 500).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.entered(&sale, "waiting-tear").await;
        assert_eq!(questions(till), [""; 0], "the slip is not done");
        till.take_card().await;
        till.until::<String>(ROOT_PATH, "Host.ParameterVersion", |version| version.len() == 16).await;
        assert_eq!(questions(till), ["capk list 00", "capk record A00000033303", "capk end"]);
        till.paper(2).await;
        till.acquirer.rule(Rule::once("0200", Fault::Header(2))).unwrap();
        till.put_card("no-cvm");
        let sale = till.sale("s-2", 600).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.take_card().await;
        till.bank_saw("0820", 2).await;
        assert_eq!(questions(till).last().unwrap(), "state 010020030040050");
    });
}

/// Goal: a blacklisted card is declined when it is read, the bank is not asked, and no number is on the disk.
#[test]
fn a_blacklisted_card_is_declined() {
    with_till(Options::default(), async |till| {
        open(till).await;
        till.acquirer.set_table("page", &["1"]).unwrap();
        till.acquirer.set_table("blacklist", &["6225880012345675", "6225880099999999"]).unwrap();
        assert_eq!(number(&download(till, &["blacklist"], "succeeded").await, "blacklist"), 2);
        till.put_card("unionpay");
        let sale = till.sale("s-1", 500).await;
        let end = till.finished(&sale).await;
        assert_eq!(
            (end.outcome.as_str(), end.text("result-code").as_str()),
            ("declined", "card-blacklisted")
        );
        assert_eq!(till.asked(&["0200", "0400"]), [""; 0]);
        till.take_card().await;
        till.stop_daemon().await;
        let journal = std::fs::read(till.state_dir().join("journal.db")).unwrap();
        assert!(!journal.windows(16).any(|bytes| bytes == b"6225880099999999"));
    });
}
