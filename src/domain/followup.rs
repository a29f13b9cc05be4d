//! From what a caller tells of an original to what a follow-up rests on: the original as messages name it, the amount,
//! and how it is undone. What may follow what is decided in [`super::rules`].
use super::calendar::LocalTime;
use super::fault::{Fault, FaultName};
use super::money::Amount;
use super::outcome::{EntryType, Kind};
use super::record::{CardFacts, OriginalRef, TxnRow};
use super::rules::{self, OriginalRule, Present, Undo, rule};
use std::sync::Arc;

/// What a follow-up rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The original as messages name it.
    pub original: OriginalRef,
    /// How much is moved.
    pub amount: Amount,
    /// How an undo is carried out.
    pub undo: Undo,
    /// The original's card, where this terminal still has its number.
    pub card: Option<Arc<CardFacts>>,
}

fn refuse<T>(name: FaultName, text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(name, text))
}

/// Does the caller tell enough to look for the original of a kind that follows one?
///
/// # Errors
/// `InvalidArgument`: which options would do.
pub fn check_told(kind: Kind, told: &OriginalRef) -> Result<(), Fault> {
    let here = told.txn.is_some() || told.stan.is_some();
    let (enough, text) = match rule(kind).original {
        OriginalRule::None => return Ok(()),
        OriginalRule::Here => (
            here || told.rrn.is_some(),
            "option original: the object of the original, or its batch and trace",
        ),
        OriginalRule::ByRrn => {
            (here || told.rrn.is_some(), "option original, or options rrn and date of the original")
        }
        OriginalRule::ByAuthCode => (
            here || told.auth_code.is_some() || told.rrn.is_some(),
            "option original, or options auth-code and date of the pre-authorisation",
        ),
    };
    if enough { Ok(()) } else { refuse(FaultName::InvalidArgument, format!("a {kind} needs {text}")) }
}

/// What a follow-up of this kind and amount (zero: not told) rests on. `found` is what this terminal's journal has of
/// it, with the day of the original as the bank counts it, or as the terminal does.
///
/// # Errors
/// Those of [`rules::eligible`]; `OriginalNotFound`, when it is not here and may not be elsewhere; `AmountInvalid`.
pub fn judge(
    kind: Kind,
    amount: Amount,
    told: &OriginalRef,
    found: Option<(&TxnRow, Option<LocalTime>)>,
    present: Present<'_>,
) -> Result<Followed, Fault> {
    // A number that names the original of another terminal may be one of ours by chance.
    let ours = found.filter(|(row, _)| {
        told.txn.is_some() || told.stan.is_some() || rule(kind).follows.contains(&row.start.kind)
    });
    let Some((row, day)) = ours else { return elsewhere(kind, amount, told) };
    let amount = rules::eligible(row, kind, amount, present)?;
    // The bank was told of it afterwards: the RRN of its upload is not its own, and an undo says zeros.
    let unseen = rules::undoes(kind) && row.entry(EntryType::OfflineSale).is_some();
    Ok(Followed {
        original: OriginalRef {
            txn: Some(row.start.id.clone()),
            batch: Some(row.batch),
            stan: row.stan,
            date: day.map(LocalTime::mmdd).or_else(|| told.date.clone()),
            rrn: if unseen { None } else { row.host.rrn.clone().or_else(|| told.rrn.clone()) },
            auth_code: rules::auth_code_of(Some(row), told.auth_code.as_ref()),
            card_token: row.card.as_ref().map(|card| card.token.clone()),
        },
        amount,
        undo: if rules::undoes(kind) { rules::undo(row) } else { Undo::Online },
        card: row.card.clone(),
    })
}

/// The original is not in this terminal's journal: the bank knows it by what the caller tells, or nobody does.
fn elsewhere(kind: Kind, amount: Amount, told: &OriginalRef) -> Result<Followed, Fault> {
    let unknown = |text: &str| refuse(FaultName::OriginalNotFound, text);
    match rule(kind).original {
        _ if told.txn.is_some() => return unknown("this terminal has no such transaction; query the ledger"),
        OriginalRule::Here | OriginalRule::None => {
            return unknown("this terminal has no such transaction; query the ledger");
        }
        OriginalRule::ByRrn if told.rrn.is_none() || told.date.is_none() => {
            return unknown("this terminal has no such transaction; give rrn and date of the original");
        }
        OriginalRule::ByAuthCode if told.auth_code.is_none() => {
            return unknown("this terminal has no such transaction; give its auth-code and date");
        }
        OriginalRule::ByRrn | OriginalRule::ByAuthCode => {}
    }
    if amount.is_zero() {
        let text = "the original is not in this terminal: give its amount";
        return refuse(FaultName::AmountInvalid, text);
    }
    Ok(Followed { original: told.clone(), amount, undo: Undo::Online, card: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ident::{AuthCode, Rrn};
    use crate::domain::outcome::QueueState;
    use crate::domain::profile::Profile;
    use crate::domain::settlement::tests::rows::{approved, offline};

    fn judged(kind: Kind, asked: Amount, told: &OriginalRef) -> Result<Followed, Fault> {
        let profile = Profile::unionpay();
        judge(kind, asked, told, None, Present { same_day: true, profile: &profile })
    }

    fn told(rrn: Option<&str>, date: Option<&str>, code: Option<&str>) -> OriginalRef {
        OriginalRef {
            rrn: rrn.map(|rrn| Rrn::new(rrn).unwrap()),
            date: date.map(str::to_owned),
            auth_code: code.map(|code| AuthCode::new(code).unwrap()),
            ..OriginalRef::default()
        }
    }

    /// Goal: an undo of a sale that was made offline names no RRN, also once its upload has got one; a refund does.
    #[test]
    fn an_undo_of_an_offline_sale_has_no_rrn() {
        let profile = Profile::unionpay();
        let here = |row: &TxnRow| OriginalRef { txn: Some(row.start.id.clone()), ..OriginalRef::default() };
        let rrn = |kind, row: &TxnRow| {
            let present = Present { same_day: true, profile: &profile };
            let judged = judge(kind, Amount::ZERO, &here(row), Some((row, None)), present);
            judged.unwrap().original.rrn
        };
        let online = approved(Kind::Sale, 1, 500);
        assert!(online.host.rrn.is_some() && rrn(Kind::Void, &online) == online.host.rrn);
        let mut uploaded = offline(2, 500, QueueState::Done, "00");
        uploaded.host.rrn = Rrn::new("680351000003").ok();
        assert_eq!(rrn(Kind::Void, &uploaded), None);
        assert_eq!(rrn(Kind::Refund, &uploaded), uploaded.host.rrn);
    }

    /// A void looks at home; a refund and the pre-authorisation family may name an original of another terminal.
    #[test]
    fn an_original_of_another_terminal_is_named_by_its_numbers() {
        let fen = |minor| Amount::from_minor(minor).unwrap();
        let check = |kind, amount, told: &OriginalRef, expected: Result<u64, FaultName>| {
            let judged = check_told(kind, told).and_then(|()| judged(kind, fen(amount), told));
            let got = judged.map(|followed| followed.amount.minor()).map_err(|fault| fault.name);
            assert_eq!(got, expected, "{kind} {told:?}");
        };
        let rrn = told(Some("093000990011"), Some("0114"), None);
        let code = told(None, Some("0114"), Some("B00001"));
        check(Kind::Refund, 500, &rrn, Ok(500));
        check(Kind::Refund, 500, &told(Some("093000990011"), None, None), Err(FaultName::OriginalNotFound));
        check(Kind::Refund, 500, &told(None, None, None), Err(FaultName::InvalidArgument));
        check(Kind::Void, 0, &rrn, Err(FaultName::OriginalNotFound));
        check(Kind::Void, 0, &code, Err(FaultName::InvalidArgument));
        check(Kind::PreAuthComplete, 500, &code, Ok(500));
        check(Kind::PreAuthAdvice, 500, &code, Ok(500));
        check(Kind::PreAuthVoid, 500, &code, Ok(500));
        check(Kind::PreAuthVoid, 0, &code, Err(FaultName::AmountInvalid));
        check(Kind::PreAuthCompleteVoid, 500, &rrn, Err(FaultName::OriginalNotFound));
    }
}
