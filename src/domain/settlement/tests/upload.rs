//! Which records go up, in which form and order.
use super::rows::{advice, approved, day, foreign, offline};
use crate::domain::outcome::{EntryMode, Kind, Outcome, QueueState, ResultCode, Verdict};
use crate::domain::profile::VoidedSales;
use crate::domain::record::TxnRow;
use crate::domain::settlement::upload::{Form, message_length, plan};
use crate::domain::unionpay::settlement::ChipFailure;

use Verdict::{Agreed, Disagreed, Error};
use std::sync::Arc;

fn told(rows: &[TxnRow], domestic: Verdict, foreign: Verdict) -> Vec<(u32, Form, bool)> {
    let stan = |at: usize| rows[at].stan.unwrap().get();
    plan(rows, VoidedSales::BothSides, (domestic, foreign))
        .iter()
        .map(|d| (stan(d.row), d.form, d.agreed))
        .collect()
}

/// The certificates of chip transactions go up whatever the bank says, pre-authorisations too.
#[test]
fn agreed_totals_send_certificates_only() {
    let expected = [1, 2, 4, 15].map(|stan| (stan, Form::Certificate, true));
    assert_eq!(told(&day(), Agreed, Agreed), expected);
}

/// Voice sale, chip offline sale, lines, advices, certificates, failures: in this order, each class by STAN.
#[test]
fn a_class_that_disagrees_sends_its_detail_in_the_fixed_order() {
    let mut rows = day();
    let mut voice = offline(20, 800, QueueState::Done, "00");
    let wire = voice.wire.as_mut().unwrap();
    "0220".clone_into(&mut wire.mti);
    "30".clone_into(&mut wire.message_type);
    rows.push(voice);
    let mut refused = approved(Kind::Sale, 21, 900);
    refused.outcome = Outcome::Declined;
    refused.result = Some(ResultCode::DeclinedCard);
    rows.push(refused);
    let expected = [
        (20, Form::VoiceSale, false),
        (6, Form::ChipOfflineSale, false),
        (3, Form::Line, false),
        (5, Form::Line, false),
        (9, Form::Advice, false),
        (10, Form::Advice, false),
        (1, Form::Certificate, false),
        (2, Form::Certificate, false),
        (4, Form::Certificate, false),
        (15, Form::Certificate, true),
        (21, Form::Failure(ChipFailure::CardRefused), false),
    ];
    assert_eq!(told(&rows, Disagreed, Agreed), expected);
    assert_eq!(told(&rows, Error, Agreed), expected, "an error asks for the detail like a difference");
}

/// The foreign class alone disagrees: only its records are told.
#[test]
fn each_class_is_judged_by_its_own_verdict() {
    let swiped = |stan| {
        let mut row = approved(Kind::Sale, stan, 100);
        Arc::make_mut(row.card.as_mut().unwrap()).entry_mode = EntryMode::Swipe;
        row.wire.as_mut().unwrap().icc.clear();
        row
    };
    let rows = [swiped(1), foreign(swiped(2)), foreign(advice(3, 50, QueueState::Done))];
    assert_eq!(told(&rows, Agreed, Disagreed), [(2, Form::Line, false), (3, Form::Advice, false)]);
    assert_eq!(told(&rows, Disagreed, Agreed), [(1, Form::Line, false)]);
    assert_eq!(told(&rows, Agreed, Agreed), []);
}

/// The card approved although the issuer's cryptogram was wrong: that is told as a failure.
#[test]
fn an_unauthenticated_issuer_is_a_failure() {
    let mut row = approved(Kind::Sale, 1, 100);
    for (name, value) in &mut Arc::make_mut(row.card.as_mut().unwrap()).chip {
        if name == "TVR" {
            "0080000040".clone_into(value);
        }
    }
    let failure = Form::Failure(ChipFailure::IssuerNotAuthenticated);
    assert_eq!(told(&[row], Agreed, Agreed), [(1, failure, true)]);
}

#[test]
fn groups_have_eight_lines_at_most() {
    let rows: Vec<TxnRow> = (1..=19).map(|stan| approved(Kind::PreAuthComplete, stan, 100)).collect();
    let mut rows = rows;
    rows.push(approved(Kind::Refund, 20, 50));
    let plan = plan(&rows, VoidedSales::BothSides, (Disagreed, Agreed));
    let lengths = [0, 8, 16, 19, 20].map(|from| message_length(&plan, from));
    assert_eq!(lengths, [8, 8, 3, 1, 0]);
}
