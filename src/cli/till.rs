//! The commands that open and close a shop day: operator, host, queue.
use super::args::{Host, Operator, Queue};
use super::client::{Fields as _, Terminal, plain_dict};
use super::failure::{Exit, Failure};
use super::jobs;
use super::screen::{Screen, table};
use super::secret::{password, password_change, sealed};
use super::words;
use crate::api::proxy::Options;
use crate::domain::ident::OperatorId;
use crate::domain::money::{Amount, Currency};
use serde_json::{Map, Value as Json, json};

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
    }
    Ok(Exit::Done)
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
        Host::Test => host.test(Options::new()).await?,
    };
    jobs::follow(screen, &terminal, job).await
}

/// `posctl queue …`
pub(crate) async fn queue(screen: &Screen, address: Option<&str>, verb: &Queue) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    let queue = terminal.queue().await?;
    match verb {
        Queue::Flush => {
            let job = queue.flush(Options::new()).await?;
            jobs::follow(screen, &terminal, job).await
        }
        Queue::List { limit, cursor } => {
            let (rows, next) = queue.list(Options::new(), *limit, cursor, Options::new()).await?;
            let rows: Vec<Map<String, Json>> = rows.into_iter().map(plain_dict).collect();
            let text = queue_table(screen, &rows);
            screen.answer(json!({ "rows": rows, "next": next }), &text);
            Ok(Exit::Done)
        }
    }
}

fn queue_table(screen: &Screen, rows: &[Map<String, Json>]) -> String {
    if rows.is_empty() {
        return screen.word(words::EMPTY).to_owned();
    }
    let head = [
        words::TYPE,
        words::STATE,
        words::AMOUNT,
        words::BATCH,
        words::TRACE,
        words::ATTEMPTS,
        words::TIME,
        words::LAST_ERROR,
    ];
    let cells = |row: &Map<String, Json>| {
        vec![
            row.text("type").to_owned(),
            row.text("state").to_owned(),
            row_amount(row),
            format!("{:06}", row.number("batch")),
            format!("{:06}", row.number("trace")),
            row.number("attempts").to_string(),
            screen.time(row.number("created-at")),
            row.text("last-error").to_owned(),
        ]
    };
    table(&head.map(|label| screen.word(label)), &rows.iter().map(cells).collect::<Vec<_>>())
}

/// Rows name no currency, for a terminal has one. Choice: two decimals, as all of them have but the yen.
fn row_amount(row: &Map<String, Json>) -> String {
    let amount = Amount::from_minor(row.number("amount")).unwrap_or(Amount::MAX);
    amount.in_major(Currency::CNY)
}
