//! The shipped XML against what the daemon says of itself and against the vocabulary of the code.
use super::world::*;
use posd::api::proxy::TransactionProxy;
use posd::api::{Action, Capability, error_name};
use posd::domain::fault::FaultName;
use posd::domain::outcome::*;
use posd::engine::handle::Notice;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zbus::fdo::IntrospectableProxy;

const XML: &str = include_str!("../../../systemd/dbus/org.posd.Pos1.xml");

/// What one element says: tag and the attributes that matter, in a fixed order.
type Members = BTreeMap<String, BTreeSet<String>>;

/// Reads the interfaces of ours from introspection XML: interface to its members with types and access.
///
/// zbus and the shipped file write one tag a line; that is all this reader understands.
fn members(xml: &str) -> Members {
    let mut members = Members::new();
    let (mut interface, mut member) = (String::new(), String::new());
    for line in without_comments(xml).lines().map(str::trim) {
        let name = attribute(line, "name");
        match line.trim_start_matches('<').split([' ', '>', '/']).next().unwrap_or_default() {
            "interface" => interface = name,
            tag @ ("method" | "signal") => {
                member = format!("{tag} {name}");
                members.entry(interface.clone()).or_default().insert(member.clone());
            }
            "arg" => {
                let (kind, direction) = (attribute(line, "type"), attribute(line, "direction"));
                let all = members.entry(interface.clone()).or_default();
                all.remove(&member);
                member = format!("{member} {direction} {name}:{kind}");
                all.insert(member.clone());
            }
            "property" => {
                member = format!("property {name} {} {}", attribute(line, "type"), attribute(line, "access"));
                members.entry(interface.clone()).or_default().insert(member.clone());
            }
            "annotation" => {
                let all = members.entry(interface.clone()).or_default();
                all.remove(&member);
                member = format!("{member} {}={}", name, attribute(line, "value"));
                all.insert(member.clone());
            }
            _ => {}
        }
    }
    members.retain(|interface, _| interface.starts_with("org.posd."));
    members
}

fn without_comments(xml: &str) -> String {
    let parts = xml.split("<!--").enumerate();
    parts.map(|(n, part)| if n == 0 { part } else { part.split_once("-->").unwrap().1 }).collect()
}

fn attribute(line: &str, name: &str) -> String {
    let start = format!(" {name}=\"");
    line.split_once(&start)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(value, _)| value)
        .to_owned()
}

/// The XML is the reference for clients: it must say exactly what the daemon has.
#[test]
fn the_shipped_xml_is_what_the_daemon_exports() {
    run(async {
        let world = World::start().await;
        let id = world.sale("a-1").await;
        world.tell(Notice::Job(Arc::new(job(1)))).await;
        let path = format!("/org/posd/Pos1/transaction/{id}");
        let txn =
            TransactionProxy::builder(&world.client).path(path.as_str()).unwrap().build().await.unwrap();
        txn.reprint("merchant", Default::default()).await.unwrap();
        let mut exported = Members::new();
        for path in [
            "",
            "/job/1",
            "/reader/0",
            "/printer/0",
            "/printjob/ab_1",
            "/link/wifi",
            &format!("/transaction/{id}"),
        ] {
            let object = IntrospectableProxy::builder(&world.client)
                .destination("org.posd.Pos1")
                .unwrap()
                .path(format!("/org/posd/Pos1{path}"))
                .unwrap()
                .build()
                .await
                .unwrap();
            exported.extend(members(&object.introspect().await.unwrap()));
        }
        let mut shipped = members(XML);
        assert!(shipped.remove("org.posd.Pos1.Agent").is_some());
        for (interface, members) in &shipped {
            assert_eq!(exported.get(interface), Some(members), "{interface}");
        }
        assert_eq!(shipped.keys().collect::<Vec<_>>(), exported.keys().collect::<Vec<_>>());
    });
}

/// Every member has a comment before it that begins with its name; every argument is explained in it.
#[test]
fn every_member_of_the_xml_is_documented() {
    let mut comment = String::new();
    let mut open = false;
    for line in XML.lines().map(str::trim) {
        if line.starts_with("<!--") {
            (open, comment) = (true, String::new());
        } else if line.starts_with("-->") {
            open = false;
        } else if open {
            comment += line;
            comment += "\n";
        } else if ["<method", "<signal", "<property", "<interface"].iter().any(|tag| line.starts_with(tag)) {
            let name = attribute(line, "name");
            assert!(comment.starts_with(&format!("{name}:")), "{name} has no comment");
            assert!(comment.len() > name.len() + 5, "{name} has an empty comment");
        } else if line.starts_with("<arg") {
            let name = attribute(line, "name");
            assert!(comment.contains(&format!("@{name}:")), "@{name} is not explained in\n{comment}");
        }
    }
}

/// A word that the bus can carry and the XML does not name would surprise every client.
#[test]
fn every_word_of_the_contract_stands_in_the_xml() {
    let words: BTreeSet<&str> = XML.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    let all = Kind::ALL.iter().map(|w| w.word()).chain(TxnState::ALL.iter().map(|w| w.word()));
    let all =
        all.chain(Outcome::ALL.iter().map(|w| w.word())).chain(ResultCode::ALL.iter().map(|w| w.word()));
    let all = all.chain(Prompt::ALL.iter().map(|w| w.word())).chain(EntryMode::ALL.iter().map(|w| w.word()));
    let all = all.chain(CvmMethod::ALL.iter().map(|w| w.word())).chain(Ply::ALL.iter().map(|w| w.word()));
    let all = all.chain(PrintState::ALL.iter().map(|w| w.word())).chain(Role::ALL.iter().map(|w| w.word()));
    let all = all.chain(TerminalState::ALL.iter().map(|w| w.word()));
    let all =
        all.chain(EntryType::ALL.iter().map(|w| w.word())).chain(Resolution::ALL.iter().map(|w| w.word()));
    let all =
        all.chain(BatchState::ALL.iter().map(|w| w.word())).chain(Verdict::ALL.iter().map(|w| w.word()));
    let all = all.chain(posd::domain::settlement::suspects::Reason::ALL.iter().map(|w| w.word()));
    let all = all.chain(CardClass::ALL.iter().map(|w| w.word()));
    let all = all.chain(QueueState::ALL.iter().map(|w| w.word())).chain(Action::ALL.iter().map(|w| w.word()));
    let all = all.chain(Capability::ALL.iter().map(|w| w.word()));
    for word in all.chain(FaultName::ALL.iter().map(|w| w.word())) {
        assert!(words.contains(word), "{word} is not in the XML");
    }
    assert_eq!(error_name(FaultName::TooLate), "org.posd.Pos1.Error.TooLate");
}

/// Each action the code asks polkit about is declared, owned by the daemon's user, and never open to
/// everybody.
#[test]
fn every_action_is_declared_for_polkit() {
    let policy = include_str!("../../../systemd/dbus/org.posd.Pos1.policy");
    for action in Action::ALL {
        assert!(policy.contains(&format!("<action id=\"org.posd.Pos1.{action}\">")), "{action}");
    }
    let count = |text: &str| policy.matches(text).count();
    assert_eq!(count("<action id="), Action::ALL.len());
    let owner = "<annotate key=\"org.freedesktop.policykit.owner\">unix-user:posd</annotate>";
    assert_eq!(count(owner), Action::ALL.len());
    assert_eq!(count("<allow_any>no</allow_any>"), Action::ALL.len());
    assert_eq!(count("yes"), 0);
}
