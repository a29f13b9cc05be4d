//! The commands that move money: each starts one transaction, serves it as its agent, and ends with the exit status of
//! its outcome.
use super::args::LeaveOptions;
use super::args::trade::{Balance, Payment, PreAuth, Refund, Reserved, Sale, Void};
use super::client::{Fields as _, Terminal};
use super::failure::{Exit, Failure, exit_of_outcome};
use super::follow::{Follower, path_of, show_on};
use super::screen::{Screen, Tone, money, pairs};
use super::{agent, leave, words};
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

/// A payment as it was asked for, checked before anything is touched.
struct Order<'a> {
    kind: &'static str,
    amount: i64,
    currency: Currency,
    request: RequestId,
    payment: &'a Payment,
    options: Options<'a>,
    /// Named by the caller, looked up before the start.
    original: Option<&'a str>,
    /// Who may allow it, where a supervisor has to, and the action.
    leave: Option<(&'a LeaveOptions, &'static str)>,
}

impl<'a> Order<'a> {
    /// `amount` in major units; `None` leaves it to the original, or there is none.
    fn read(kind: &'static str, amount: Option<&str>, payment: &'a Payment) -> Result<Self, Failure> {
        let currency = Currency::from_alpha(&payment.currency).ok_or_else(|| {
            Failure::usage(format!("{} is not a currency this terminal knows", payment.currency))
        })?;
        let minor = match amount {
            Some(text) => {
                let amount =
                    Amount::parse_major(text, currency).map_err(|e| Failure::usage(e.to_string()))?;
                if amount.is_zero() {
                    return Err(Failure::usage("the amount must be above 0"));
                }
                i64::try_from(amount.minor()).map_err(|_| Failure::usage("the amount is too large"))?
            }
            None => 0,
        };
        let request = match &payment.request_id {
            Some(id) => RequestId::new(id).map_err(|error| Failure::usage(error.to_string()))?,
            None => fresh_request_id()?,
        };
        let options = start_options(payment);
        Ok(Self { kind, amount: minor, currency, request, payment, options, original: None, leave: None })
    }

    fn with(mut self, key: &'static str, value: Option<&'a String>) -> Self {
        if let Some(value) = value {
            self.options.insert(key, Value::from(value.as_str()));
        }
        self
    }

    const fn after(mut self, original: Option<&'a String>) -> Self {
        self.original = match original {
            Some(original) => Some(original.as_str()),
            None => None,
        };
        self
    }

    const fn by_leave(mut self, leave: &'a LeaveOptions, action: &'static str) -> Self {
        self.leave = Some((leave, action));
        self
    }

    fn reserved(self, reserved: &'a Reserved) -> Self {
        let named = self.after(reserved.original.as_ref());
        named.with("auth-code", reserved.auth_code.as_ref()).with("date", reserved.date.as_ref())
    }
}

/// A name for this transaction that no other has: 16 random hex digits.
fn fresh_request_id() -> Result<RequestId, Failure> {
    let chance =
        getrandom::u64().map_err(|error| Failure::io("no randomness", &std::io::Error::other(error)))?;
    RequestId::new(&format!("posctl-{chance:016x}")).map_err(|error| Failure::usage(error.to_string()))
}

/// Options of `StartTransaction` that all payments have.
fn start_options(payment: &Payment) -> Options<'_> {
    let mut options = Options::new();
    if let Some(plies) = payment.plies {
        options.insert("plies", Value::from(plies));
    }
    if let Some(text) = &payment.cashier_ref {
        options.insert("cashier-ref", Value::from(text.as_str()));
    }
    if let Some(seconds) = payment.timeout {
        options.insert("customer-timeout", Value::from(seconds));
    }
    for (key, wanted) in
        [("confirm-card", payment.confirm_card), ("allow-duplicate", payment.allow_duplicate)]
    {
        if wanted {
            options.insert(key, Value::from(true));
        }
    }
    options
}

/// `posctl sale`
pub(crate) async fn sale(screen: &Screen, address: Option<&str>, sale: &Sale) -> Result<Exit, Failure> {
    let kind = if sale.offline { "offline-sale" } else { "sale" };
    let mut order = Order::read(kind, Some(&sale.amount), &sale.payment)?;
    if sale.allow_partial {
        order.options.insert("allow-partial", Value::from(true));
    }
    run(screen, address, order.with("auth-code", sale.auth_code.as_ref())).await
}

/// `posctl void`
pub(crate) async fn void(screen: &Screen, address: Option<&str>, void: &Void) -> Result<Exit, Failure> {
    let order = Order::read("void", None, &void.payment)?;
    run(screen, address, order.after(Some(&void.original)).by_leave(&void.leave, "void")).await
}

/// `posctl refund`
pub(crate) async fn refund(screen: &Screen, address: Option<&str>, refund: &Refund) -> Result<Exit, Failure> {
    let order = Order::read("refund", Some(&refund.amount), &refund.payment)?;
    let order = order.after(refund.original.as_ref()).by_leave(&refund.leave, "refund");
    run(screen, address, order.with("rrn", refund.rrn.as_ref()).with("date", refund.date.as_ref())).await
}

/// `posctl balance`
pub(crate) async fn balance(
    screen: &Screen,
    address: Option<&str>,
    wanted: &Balance,
) -> Result<Exit, Failure> {
    run(screen, address, Order::read("balance", None, &wanted.payment)?).await
}

/// `posctl pre-auth …`
pub(crate) async fn pre_auth(
    screen: &Screen,
    address: Option<&str>,
    verb: &PreAuth,
) -> Result<Exit, Failure> {
    let order = match verb {
        PreAuth::Start { amount, payment } => Order::read("pre-auth", Some(amount), payment)?,
        PreAuth::Complete { amount, reserved, payment } => {
            Order::read("pre-auth-complete", Some(amount), payment)?.reserved(reserved)
        }
        PreAuth::Advise { amount, reserved, payment } => {
            Order::read("pre-auth-advice", Some(amount), payment)?.reserved(reserved)
        }
        PreAuth::Void { amount, reserved, payment, leave } => {
            let order = Order::read("pre-auth-void", amount.as_deref(), payment)?;
            order.reserved(reserved).by_leave(leave, "pre-auth")
        }
        PreAuth::VoidCompletion { original, payment, leave } => {
            let order = Order::read("pre-auth-complete-void", None, payment)?;
            order.after(Some(original)).by_leave(leave, "pre-auth")
        }
    };
    run(screen, address, order).await
}

/// How the original goes into the options: numbers as they are, anything else by its object.
async fn original(terminal: &Terminal, name: &str) -> Result<Value<'static>, Failure> {
    if let Some((trace, batch)) = name.split_once('/').filter(|_| !name.starts_with('/')) {
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| (1..=999_999).contains(number));
        return match (number(trace), number(batch)) {
            (Some(trace), Some(batch)) => Ok(Value::from((batch, trace, ""))),
            _ => Err(Failure::usage(format!("{name} is not TRACE/BATCH, two numbers of up to 6 digits"))),
        };
    }
    Ok(Value::from(terminal.find(name, None).await?.into_inner()))
}

/// Runs one payment to its outcome.
async fn run(screen: &Screen, address: Option<&str>, mut order: Order<'_>) -> Result<Exit, Failure> {
    let request = order.request.as_str();
    let terminal = Terminal::connect(address).await?;
    if let Some(name) = order.original {
        order.options.insert("original", original(&terminal, name).await?);
    }
    if let Some((options, action)) = order.leave {
        let token = leave::given(&terminal, screen, options, action, 0).await?;
        order.options.extend(token.map(|token| ("authorization", Value::from(token))));
    }
    let agent = agent::register(&terminal, screen, &order.payment.agent).await?;
    let mut follower = Follower::new(&terminal, path_of(&order.request)?, request).await?;
    screen.note(&format!("{}: {request}", screen.word(words::REQUEST_ID)));
    screen.when_interrupted(detached(request));

    let mut show = show_on(screen);
    let manager = terminal.manager().await?;
    let started = manager
        .start_transaction(request, order.kind, order.amount, order.currency.alpha(), order.options)
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

    let asked = screen.interactive || order.payment.agent.yes;
    if agent.is_some() && asked && matches!(exit, Exit::Done) {
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
    screen.term(result.text("outcome")).to_owned()
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
    let currency = result.text("currency");
    let balance = match result.get("balance") {
        Some(_) => money(result.minor("balance"), result.text("balance-currency")),
        None => String::new(),
    };
    let head = screen.tone(tone, &said(screen, result));
    let rows = pairs(&[
        (screen.word(words::OUTCOME), screen.term(result.text("outcome")).to_owned()),
        (screen.word(words::AMOUNT), if amount == 0 { String::new() } else { money(amount, currency) }),
        (screen.word(words::BALANCE), balance),
        (screen.word(words::TRACE), number("trace")),
        (screen.word(words::BATCH), number("batch")),
        (screen.word(words::CARD), result.text("masked-pan").to_owned()),
        (screen.word(words::CVM), screen.verified(result.text("cvm-method")).to_owned()),
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
        let payment = Payment {
            currency: currency.to_owned(),
            request_id: None,
            plies: None,
            cashier_ref: None,
            timeout: None,
            confirm_card: false,
            allow_duplicate: false,
            agent: super::super::args::AgentOptions::default(),
        };
        let order = Order::read("sale", Some(amount), &payment);
        order.map(|order| order.amount).map_err(|failure| failure.message)
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
    fn two_payments_never_share_a_name() {
        assert_ne!(fresh_request_id().unwrap(), fresh_request_id().unwrap());
    }
}
