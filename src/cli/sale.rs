//! `posctl sale`: starts a sale, serves it as its agent, and ends with the exit status of its outcome.
use super::agent;
use super::args;
use super::client::{Fields as _, Terminal};
use super::failure::{Exit, Failure, exit_of_outcome};
use super::follow::{Follower, path_of, show_on};
use super::screen::{Screen, Tone, money, pairs};
use super::words;
use crate::api::proxy::Options;
use crate::domain::ident::RequestId;
use crate::domain::money::{Amount, Currency};
use serde_json::{Map, Value as Json};
use std::time::Duration;
use zbus::zvariant::Value;

/// After the outcome a person may still have to check a signature; paper may be slow.
const PAPER_MAX: Duration = Duration::from_secs(120);
/// From here on nobody is asked anything.
const NOTHING_LEFT_TO_ASK: &[&str] = &["printing-customer", "remove-card", "finished"];

/// A sale as it was asked for, checked before anything is touched.
struct Order {
    amount: i64,
    currency: Currency,
    request: RequestId,
}

impl Order {
    fn read(sale: &args::Sale) -> Result<Self, Failure> {
        let currency = Currency::from_alpha(&sale.currency).ok_or_else(|| {
            Failure::usage(format!("{} is not a currency this terminal knows", sale.currency))
        })?;
        let amount =
            Amount::parse_major(&sale.amount, currency).map_err(|e| Failure::usage(e.to_string()))?;
        if amount.is_zero() {
            return Err(Failure::usage("the amount of a sale must be above 0"));
        }
        let amount = i64::try_from(amount.minor()).map_err(|_| Failure::usage("the amount is too large"))?;
        let request = match &sale.request_id {
            Some(id) => RequestId::new(id).map_err(|error| Failure::usage(error.to_string()))?,
            None => fresh_request_id()?,
        };
        Ok(Self { amount, currency, request })
    }
}

/// A name for this sale that no other has: 16 random hex digits.
fn fresh_request_id() -> Result<RequestId, Failure> {
    let chance =
        getrandom::u64().map_err(|error| Failure::io("no randomness", &std::io::Error::other(error)))?;
    RequestId::new(&format!("posctl-{chance:016x}")).map_err(|error| Failure::usage(error.to_string()))
}

/// Options of `StartTransaction` as the command line has them.
fn start_options(sale: &args::Sale) -> Options<'_> {
    let mut options = Options::new();
    if let Some(plies) = sale.plies {
        options.insert("plies", Value::from(plies));
    }
    if let Some(text) = &sale.cashier_ref {
        options.insert("cashier-ref", Value::from(text.as_str()));
    }
    if let Some(seconds) = sale.timeout {
        options.insert("customer-timeout", Value::from(seconds));
    }
    if sale.confirm_card {
        options.insert("confirm-card", Value::from(true));
    }
    options
}

/// Runs one sale.
pub(crate) async fn run(screen: &Screen, address: Option<&str>, sale: &args::Sale) -> Result<Exit, Failure> {
    let order = Order::read(sale)?;
    let request = order.request.as_str();
    let terminal = Terminal::connect(address).await?;
    let agent = agent::register(&terminal, screen, &sale.agent).await?;
    let mut follower = Follower::new(&terminal, path_of(&order.request)?, request).await?;
    screen.note(&format!("{}: {request}", screen.word(words::REQUEST_ID)));
    screen.when_interrupted(detached(request));

    let mut show = show_on(screen);
    let manager = terminal.manager().await?;
    let started = manager
        .start_transaction(request, "sale", order.amount, order.currency.alpha(), start_options(sale))
        .await
        .map_err(Failure::from);
    if let Err(failure) = started {
        // Lost on the way: it may run, or have run. Only the daemon's journal knows.
        if !super::failure::lost_the_daemon(&failure) {
            return Err(failure.with("request-id", request));
        }
        follower.recover(&mut show).await?;
    }
    let result = follower.outcome(&mut show).await?;
    let exit = report(screen, request, follower.path().as_str(), result);

    if agent.is_some() && (screen.interactive || sale.agent.yes) && matches!(exit, Exit::Done) {
        follower.until_state(NOTHING_LEFT_TO_ASK, PAPER_MAX, &mut show).await;
    }
    if let Some(agent) = agent {
        agent.end().await;
    }
    Ok(exit)
}

/// What an interruption of posctl means for the transaction.
pub(crate) fn detached(request: &str) -> Failure {
    Failure::new(
        Exit::Interrupted,
        "Interrupted",
        format!(
            "detached; the transaction goes on without posctl. Follow it: posctl txn watch {request} --agent · \
             stop it: posctl txn cancel {request}"
        ),
    )
    .with("request-id", request)
}

/// Shows the result and chooses the exit status.
pub(crate) fn report(screen: &Screen, request: &str, path: &str, result: Map<String, Json>) -> Exit {
    let exit = exit_of_outcome(result.text("outcome"), result.text("result-code"));
    let shown = people(screen, &result, exit);
    let mut data = Map::new();
    data.insert("request-id".to_owned(), request.into());
    data.insert("transaction".to_owned(), path.into());
    data.extend(result);
    screen.answer(Json::Object(data), &shown);
    exit
}

/// The result in the chosen language, in the daemon's own words; else the bare outcome.
pub(crate) fn said(screen: &Screen, result: &Map<String, Json>) -> String {
    let text =
        |key: &str| result.get(key).and_then(|text| text.get(screen.lang.key())).and_then(Json::as_str);
    if let Some(text) = text("text").or_else(|| text("result-text")) {
        return text.to_owned();
    }
    result.text("outcome").to_owned()
}

/// A result for people: what came of it, then what a till needs to know.
fn people(screen: &Screen, result: &Map<String, Json>, exit: Exit) -> String {
    let tone = match exit {
        Exit::Done => Tone::Good,
        Exit::Unknown => Tone::Careful,
        _ => Tone::Bad,
    };
    let amount = match result.minor("approved-amount") {
        0 => result.minor("amount"),
        approved => approved,
    };
    let number = |key| match result.number(key) {
        0 => String::new(),
        number => format!("{number:06}"),
    };
    let head = screen.tone(tone, &said(screen, result));
    let rows = pairs(&[
        (screen.word(words::OUTCOME), result.text("outcome").to_owned()),
        (screen.word(words::AMOUNT), money(amount, result.text("currency"))),
        (screen.word(words::TRACE), number("trace")),
        (screen.word(words::BATCH), number("batch")),
        (screen.word(words::CARD), result.text("masked-pan").to_owned()),
        (screen.word(words::CVM), result.text("cvm-method").to_owned()),
        (screen.word(words::RRN), result.text("rrn").to_owned()),
        (screen.word(words::AUTH_CODE), result.text("auth-code").to_owned()),
        (screen.word(words::RESPONSE_CODE), result.text("response-code").to_owned()),
        (screen.word(words::TIME), screen.time(result.number("finished-at"))),
    ]);
    format!("{head}\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(amount: &str, currency: &str) -> Result<i64, String> {
        let sale = args::Sale {
            amount: amount.to_owned(),
            currency: currency.to_owned(),
            request_id: None,
            plies: None,
            cashier_ref: None,
            timeout: None,
            confirm_card: false,
            agent: args::AgentOptions::default(),
        };
        Order::read(&sale).map(|order| order.amount).map_err(|failure| failure.message)
    }

    /// The amount is checked before anything is touched: exactly the currency's decimals, above 0.
    #[test]
    fn amounts_have_exactly_the_currencys_decimals() {
        assert_eq!(order("12.50", "CNY"), Ok(1250));
        assert_eq!(order("500", "JPY"), Ok(500));
        assert!(order("12.5", "CNY").unwrap_err().contains("2 decimals"));
        assert!(order("0.00", "CNY").unwrap_err().contains("above 0"));
        assert!(order("1.00", "XTS").unwrap_err().contains("currency"));
    }

    #[test]
    fn two_sales_never_share_a_name() {
        assert_ne!(fresh_request_id().unwrap(), fresh_request_id().unwrap());
    }
}
