//! `posctl doctor`: everything that is not as it should be, in one list, with what to do about each. It asks the
//! terminal for its reasons, its self-test and its security; what it says any client could know.
use super::care;
use super::client::{Fields as _, Terminal, plain_dict};
use super::failure::{Exit, Failure};
use super::screen::{Screen, Tone, table};
use super::status::root_part;
use super::words;
use crate::api::proxy::Options;
use serde_json::{Map, Value as Json, json};

/// Security of these levels is a doctor's business; the sandbox beyond them is `posctl security`.
const LEVEL_MAX: u64 = 2;

/// One thing that is not well.
struct Complaint {
    /// Who says so: `state`, `test`, `security`, `rights`.
    source: &'static str,
    /// The word of the contract.
    what: String,
    /// Cause and next step.
    text: String,
}

/// `posctl doctor`
pub(crate) async fn doctor(screen: &Screen, address: Option<&str>) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    let objects = terminal.objects().await?;
    let mut found = reasons(screen, &root_part(&objects, "Manager"));
    found.extend(parts(screen, &terminal).await?);
    found.extend(security(screen, &terminal).await?);
    found.extend(rights(screen, &terminal).await?);
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|one| vec![one.source.to_owned(), screen.tone(Tone::Careful, &one.what), one.text.clone()])
        .collect();
    let text = if rows.is_empty() {
        screen.word(words::NOTHING_FOUND).to_owned()
    } else {
        table(&[words::SOURCE, words::GUARD, words::WHAT_TO_DO].map(|label| screen.word(label)), &rows)
    };
    let told: Vec<Json> =
        found.iter().map(|one| json!({ "source": one.source, "what": one.what, "text": one.text })).collect();
    screen.answer(json!({ "findings": told }), &text);
    Ok(if found.is_empty() { Exit::Done } else { Exit::Failed })
}

fn reasons(screen: &Screen, manager: &Map<String, Json>) -> Vec<Complaint> {
    let words_of = manager.get("state-reasons").and_then(Json::as_array).cloned().unwrap_or_default();
    let told =
        |word: &str| words::remedy(word).map_or_else(|| word.to_owned(), |pair| screen.word(pair).to_owned());
    words_of
        .iter()
        .filter_map(Json::as_str)
        .map(|word| Complaint { source: "state", what: word.to_owned(), text: told(word) })
        .collect()
}

async fn parts(screen: &Screen, terminal: &Terminal) -> Result<Vec<Complaint>, Failure> {
    let (_, _, items) = care::run(screen, terminal, &[], "internal").await?;
    let bad = items.iter().filter(|item| !item.yes("ok")).map(|item| Complaint {
        source: "test",
        what: format!("{} {}", item.text("what"), item.text("reason")),
        text: care::advice(screen, item),
    });
    Ok(bad.collect())
}

async fn security(screen: &Screen, terminal: &Terminal) -> Result<Vec<Complaint>, Failure> {
    let facts = terminal.maintenance().await?.security(Options::new()).await?;
    let facts: Vec<Map<String, Json>> = facts.into_iter().map(plain_dict).collect();
    let bad = |fact: &&Map<String, Json>| !fact.yes("ok") && fact.number("level") <= LEVEL_MAX;
    let complaint = |fact: &Map<String, Json>| Complaint {
        source: "security",
        what: fact.text("id").to_owned(),
        text: care::advice(screen, fact),
    };
    Ok(facts.iter().filter(bad).map(complaint).collect())
}

/// What the one who asks may not do, where a till could not work without it.
async fn rights(screen: &Screen, terminal: &Terminal) -> Result<Vec<Complaint>, Failure> {
    let permissions = terminal.manager().await?.get_permissions(Options::new()).await?;
    let needed = ["trade", "agent", "query", "reprint"];
    let missing = needed.iter().filter(|action| permissions.get(**action).is_none_or(|word| word != "yes"));
    Ok(missing
        .map(|action| Complaint {
            source: "rights",
            what: (*action).to_owned(),
            text: screen.word(words::JOIN_GROUP).to_owned(),
        })
        .collect())
}
