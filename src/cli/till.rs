//! The commands about people and the host: operators, a supervisor's leave, sign-on.
use super::args::shop::{Host, Operator};
use super::args::{LeaveOptions, SecretSource};
use super::client::{Fields as _, Terminal, root};
use super::failure::{Exit, Failure};
use super::leave::{certain, given, with_leave};
use super::screen::{Screen, pairs, table};
use super::secret::{new_password, password, password_change, sealed};
use super::{jobs, way, words};
use crate::api::proxy::{HostProxy, Options};
use crate::domain::ident::OperatorId;
use crate::domain::money::{Amount, Currency};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use zbus::zvariant::{OwnedObjectPath, Value};

/// `posctl operator …`
pub(crate) async fn operator(
    screen: &Screen,
    address: Option<&str>,
    verb: &Operator,
) -> Result<Exit, Failure> {
    match verb {
        Operator::SignOn { operator, secret } => {
            let operator = number(operator)?;
            let terminal = Terminal::connect(address).await?;
            let secret = sealed(&password(screen, secret, words::ASK_PASSWORD).await?)?;
            let operators = terminal.operators().await?;
            operators.sign_on(operator.as_str(), secret.into(), Options::new()).await?;
            let role = operators.role().await?;
            let text = format!("{} {operator} ({role})", screen.word(words::OPERATOR));
            screen.answer(json!({ "operator": operator.as_str(), "role": role }), &text);
        }
        Operator::SignOff => {
            let terminal = Terminal::connect(address).await?;
            terminal.operators().await?.sign_off(Options::new()).await?;
            screen.answer(json!({ "operator": null }), screen.word(words::OPERATOR_OFF));
        }
        Operator::Password { operator, secret } => {
            let operator = number(operator)?;
            let terminal = Terminal::connect(address).await?;
            let asks = [words::ASK_OLD_PASSWORD, words::ASK_NEW_PASSWORD, words::ASK_AGAIN];
            let (old, new) = password_change(screen, secret, asks).await?;
            let operators = terminal.operators().await?;
            let (old, new) = (sealed(&old)?.into(), sealed(&new)?.into());
            operators.change_password(operator.as_str(), old, new, Options::new()).await?;
            screen.answer(json!({ "operator": operator.as_str() }), screen.word(words::PASSWORD_CHANGED));
        }
        Operator::List => list(screen, &Terminal::connect(address).await?).await?,
        Operator::Add { operator, leave } => add(screen, address, &number(operator)?, leave).await?,
        Operator::Remove { operator, leave, certain: sure } => {
            let operator = number(operator)?;
            let what = format!("{} {operator}", screen.word(words::REMOVE_OPERATOR));
            certain(screen, sure.yes, &what).await?;
            let (terminal, token) = allowed(screen, address, leave, "operators").await?;
            let operators = terminal.operators().await?;
            let act = async |options| operators.remove(operator.as_str(), options).await;
            with_leave(&terminal, screen, token, act).await?;
            told(screen, &operator, words::OPERATOR_REMOVED);
        }
        Operator::Unlock { operator, leave } => {
            let operator = number(operator)?;
            let (terminal, token) = allowed(screen, address, leave, "operators").await?;
            let operators = terminal.operators().await?;
            let act = async |options| operators.unlock(operator.as_str(), options).await;
            with_leave(&terminal, screen, token, act).await?;
            told(screen, &operator, words::OPERATOR_UNLOCKED);
        }
        Operator::Authorize { action, supervisor, original, amount, secret } => {
            let wish = Wish { action, supervisor, original: original.as_deref(), amount: amount.as_deref() };
            authorize(screen, address, wish, secret).await?;
        }
    }
    Ok(Exit::Done)
}

async fn add(
    screen: &Screen,
    address: Option<&str>,
    operator: &OperatorId,
    leave: &LeaveOptions,
) -> Result<(), Failure> {
    let terminal = Terminal::connect(address).await?;
    let asks = [words::ASK_NEW_PASSWORD, words::ASK_AGAIN];
    let secret = new_password(screen, &leave.secret, asks).await?;
    let token = given(&terminal, screen, leave, "operators", 1).await?;
    let operators = terminal.operators().await?;
    with_leave(&terminal, screen, token, async |options| {
        let secret = sealed(&secret).map_err(|failure| zbus::Error::Failure(failure.message))?;
        operators.add(operator.as_str(), secret.into(), options).await
    })
    .await?;
    told(screen, operator, words::OPERATOR_ADDED);
    Ok(())
}

/// The connection, and the token that the command line brings.
pub(crate) async fn allowed(
    screen: &Screen,
    address: Option<&str>,
    leave: &LeaveOptions,
    action: &str,
) -> Result<(Terminal, Option<String>), Failure> {
    let terminal = Terminal::connect(address).await?;
    let token = given(&terminal, screen, leave, action, 0).await?;
    Ok((terminal, token))
}

fn told(screen: &Screen, operator: &OperatorId, done: words::Pair) {
    let text = format!("{} {operator}", screen.word(done));
    screen.answer(json!({ "operator": operator.as_str() }), &text);
}

async fn list(screen: &Screen, terminal: &Terminal) -> Result<(), Failure> {
    let properties = terminal.properties(&root(), "Operators").await?;
    let words_of = |key: &str| -> Vec<String> {
        let all = properties.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(Json::as_str).map(str::to_owned).collect()
    };
    let locked = words_of("locked-out");
    let cells = |operator: &String| {
        let mut state = Vec::new();
        if operator == properties.text("current") {
            state.push(screen.word(words::SIGNED_ON_NOW));
        }
        if locked.contains(operator) {
            state.push(screen.word(words::LOCKED));
        }
        let role = match operator.as_str() {
            "00" => "supervisor",
            "99" => "administrator",
            _ => "cashier",
        };
        vec![operator.clone(), screen.term(role).to_owned(), state.join(", ")]
    };
    let rows: Vec<_> = words_of("operators").iter().map(cells).collect();
    let head = [words::OPERATOR, words::ROLE, words::STATE].map(|label| screen.word(label));
    screen.answer(Json::Object(properties.clone()), &table(&head, &rows));
    Ok(())
}

/// What a token is wanted for.
struct Wish<'a> {
    action: &'a str,
    supervisor: &'a str,
    original: Option<&'a str>,
    amount: Option<&'a str>,
}

async fn authorize(
    screen: &Screen,
    address: Option<&str>,
    wish: Wish<'_>,
    secret: &SecretSource,
) -> Result<(), Failure> {
    let supervisor = number(wish.supervisor)?;
    let amount = wish.amount.map(minor).transpose()?;
    let terminal = Terminal::connect(address).await?;
    let mut bounds: Options<'_> = amount.map(|minor| ("amount", Value::from(minor))).into_iter().collect();
    if let Some(name) = wish.original {
        bounds.insert("original", Value::from(terminal.find(name, None).await?.into_inner()));
    }
    let secret = sealed(&password(screen, secret, words::ASK_PASSWORD).await?)?;
    let operators = terminal.operators().await?;
    let token = operators.authorize(wish.action, supervisor.as_str(), secret.into(), bounds).await?;
    screen
        .answer(json!({ "action": wish.action, "supervisor": supervisor.as_str(), "token": token }), &token);
    Ok(())
}

/// Major units of CNY.
fn minor(text: &str) -> Result<i64, Failure> {
    let amount =
        Amount::parse_major(text, Currency::CNY).map_err(|error| Failure::usage(error.to_string()))?;
    i64::try_from(amount.minor()).map_err(|_| Failure::usage("the amount is too large"))
}

fn number(text: &str) -> Result<OperatorId, Failure> {
    OperatorId::new(text).map_err(|error| Failure::usage(error.to_string()))
}

/// `posctl host …`
pub(crate) async fn host(screen: &Screen, address: Option<&str>, verb: &Host) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    let host = terminal.host().await?;
    let job = match verb {
        Host::SignOn => host.sign_on(Options::new()).await?,
        Host::SignOff => host.sign_off(Options::new()).await?,
        Host::Test { link } => {
            let job = host.test(way::options(link.as_deref())).await?;
            return way::test(screen, &terminal, job).await;
        }
        Host::Parameters { download: false, .. } => return show_parameters(screen, &host).await,
        Host::Parameters { download: true, kinds, leave } => {
            download(screen, &terminal, kinds, leave).await?
        }
        Host::Keys { load: false, .. } => return show_keys(screen, &host).await,
        Host::Keys { load: true, leave, certain: sure } => {
            certain(screen, sure.yes, screen.word(words::REPLACE_MASTER_KEY)).await?;
            return load_master_key(screen, &terminal, leave).await;
        }
    };
    jobs::follow(screen, &terminal, job).await
}

/// Which tables are in use.
async fn show_parameters(screen: &Screen, host: &HostProxy<'_>) -> Result<Exit, Failure> {
    let version = host.parameter_version().await?;
    let shown = if version.is_empty() { screen.word(words::FROM_FILES).to_owned() } else { version.clone() };
    let rows = [(screen.word(words::PARAMETER_VERSION), shown)];
    screen.answer(json!({ "parameter-version": version }), &pairs(&rows));
    Ok(Exit::Done)
}

/// The job of a download.
async fn download(
    screen: &Screen,
    terminal: &Terminal,
    kinds: &[String],
    leave: &LeaveOptions,
) -> Result<OwnedObjectPath, Failure> {
    let token = given(terminal, screen, leave, "parameters", 0).await?;
    let host = terminal.host().await?;
    with_leave(terminal, screen, token, async |mut options| {
        if !kinds.is_empty() {
            options.insert("kinds", Value::from(kinds.to_vec()));
        }
        host.download_parameters(options).await
    })
    .await
}

/// Check values by key, and when the working keys came.
async fn show_keys(screen: &Screen, host: &HostProxy<'_>) -> Result<Exit, Failure> {
    let values: BTreeMap<String, String> = host.key_check_values().await?.into_iter().collect();
    let loaded_at = host.keys_loaded_at().await?;
    let named = ["tmk", "pik", "mak", "tdk"].map(|key| (key, values.get(key).cloned().unwrap_or_default()));
    let mut rows = named.to_vec();
    rows.push((screen.word(words::KEYS_LOADED_AT), screen.time(loaded_at)));
    let text = match values.is_empty() {
        true => screen.word(words::NO_KEYS).to_owned(),
        false => pairs(&rows),
    };
    screen.answer(json!({ "key-check-values": values, "keys-loaded-at": loaded_at }), &text);
    Ok(Exit::Done)
}

async fn load_master_key(
    screen: &Screen,
    terminal: &Terminal,
    leave: &LeaveOptions,
) -> Result<Exit, Failure> {
    let key = password(screen, &leave.secret, words::ASK_MASTER_KEY).await?;
    let token = given(terminal, screen, leave, "keys", 1).await?;
    let host = terminal.host().await?;
    let check = with_leave(terminal, screen, token, async |options| {
        let key = sealed(&key).map_err(|failure| zbus::Error::Failure(failure.message))?;
        host.load_master_key(key.into(), options).await
    })
    .await?;
    let text = format!("{} {check}", screen.word(words::MASTER_KEY_LOADED));
    screen.answer(json!({ "key-check-value": check }), &text);
    Ok(Exit::Done)
}
