//! Restrictions and risk management as the TVR of the first GENERATE AC tells them: what the terminal remembers of
//! cards, random selection by type of terminal, goods and services, cashback, cash machines.
use super::super::params::CardWatch;
use super::*;
use crate::domain::secret::{Pan, TokenKey};
use std::sync::Arc;

/// No list of verification methods is of interest here.
const SIGNATURE: &str = "00000000 00000000 1E03";

fn card() -> TestCard {
    TestCard::new().with(0x8E, SIGNATURE)
}

fn key() -> TokenKey {
    TokenKey::derive(&[7; 32])
}

fn token(pan: &str) -> String {
    key().token(&Pan::new(pan).unwrap())
}

fn tvr(card: &TestCard, config: &EmvConfig, params: TxnParams) -> String {
    Talk::until_first_ac(card, config, params).tag(Tag::TVR).unwrap()
}

fn watching(exceptions: &[&str], recent: &[(&str, u64)]) -> TxnParams {
    let recent = recent.iter().map(|(pan, sum)| (token(pan), Amount::from_minor(*sum).unwrap())).collect();
    let exceptions = Arc::new(exceptions.iter().map(|pan| token(pan)).collect());
    TxnParams { watch: Some(CardWatch { token_key: key(), exceptions, recent }), ..params() }
}

/// A card on the exception file sets its bit; another one does not. What follows from it the action codes say.
#[test]
fn the_exception_file_shows_in_the_tvr() {
    assert_eq!(tvr(&card(), &config(), watching(&["6228480000001234"], &[])), "9000008000");
    assert_eq!(tvr(&card(), &config(), watching(&["6228480000001235"], &[])), "8000008000");
    let mut config = config();
    config.aids[0].tac_denial = [0x10, 0, 0, 0, 0];
    let talk = Talk::until_first_ac(&card(), &config, watching(&["6228480000001234"], &[]));
    let Output::Transmit(command) = talk.output else { panic!("{:?}", talk.output) };
    assert_eq!((command.ins, command.p1), (0xAE, 0x00));
}

/// A sale that was split stays over the floor limit: what the same card paid here counts, that of other cards does not.
#[test]
fn split_sales_are_added_up() {
    let mut config = config();
    (config.aids[0].floor_limit, config.aids[0].random_threshold) = (5_000, 4_999);
    let check = |recent: &[(&str, u64)], expected: &str| {
        assert_eq!(tvr(&card(), &config, watching(&[], recent)), expected, "{recent:?}");
    };
    check(&[], "8000000000");
    check(&[("6228480000001234", 3_749)], "8000000000");
    check(&[("6228480000001234", 3_750)], "8000008000");
    check(&[("6228480000001234", 2_000), ("6228480000001234", 1_750)], "8000008000");
    check(&[("6228480000001235", 9_000)], "8000000000");
}

/// Only a terminal that can ask the bank and need not picks sales at random.
#[test]
fn chance_is_for_terminals_that_may_decide() {
    let with_type = |terminal_type| {
        let mut config = config();
        config.terminal.terminal_type = terminal_type;
        (config.aids[0].floor_limit, config.aids[0].random_target_percent) = (100_000, 99);
        config.aids[0].random_threshold = 50_000;
        tvr(&card(), &config, params())
    };
    assert_eq!(with_type(0x22), "8000001000");
    assert_eq!(with_type(0x25), "8000001000");
    assert_eq!(with_type(0x21), "8000000000");
    assert_eq!(with_type(0x23), "8000000000");
}

/// The limits of consecutive offline sales are no business of a terminal that always asks the bank: nothing is read.
#[test]
fn a_terminal_that_always_asks_counts_nothing() {
    let mut config = config();
    config.terminal.terminal_type = 0x21;
    let card = card().with(0x9F14, "02").with(0x9F23, "04");
    let talk = Talk::until_first_ac(&card, &config, params());
    assert!(matches!(&talk.output, Output::Transmit(command) if command.ins == 0xAE), "{:?}", talk.output);
}

/// A row of the usage control table: AUC, issuer's country, type, cashback, 9F40, terminal type; allowed or not.
type Usage = (&'static str, &'static str, u8, u64, u8, u8, bool);

/// Usage control, all of it: place, business, country, cashback.
#[test]
fn usage_control_knows_place_business_and_country() {
    let rows: &[Usage] = &[
        // Cash, at home and abroad.
        ("8100", "0156", 0x01, 0, 0xE0, 0x22, true),
        ("4100", "0156", 0x01, 0, 0xE0, 0x22, false),
        ("4100", "0840", 0x01, 0, 0xE0, 0x22, true),
        ("8100", "0840", 0x01, 0, 0xE0, 0x22, false),
        // Goods and services: a terminal that does both takes either; one that does one takes that.
        ("2100", "0156", 0x00, 0, 0x60, 0x22, true),
        ("0900", "0156", 0x00, 0, 0x60, 0x22, true),
        ("0900", "0156", 0x00, 0, 0x40, 0x22, false),
        ("2100", "0156", 0x00, 0, 0x20, 0x22, false),
        ("0500", "0840", 0x00, 0, 0x20, 0x22, true),
        ("1100", "0840", 0x00, 0, 0x20, 0x22, false),
        ("1100", "0840", 0x00, 0, 0x60, 0x22, true),
        ("2900", "0840", 0x00, 0, 0x60, 0x22, false),
        // Cashback, by its type or by its amount.
        ("2980", "0156", 0x09, 100, 0x70, 0x22, true),
        ("2940", "0156", 0x09, 100, 0x70, 0x22, false),
        ("2940", "0156", 0x00, 100, 0x70, 0x22, false),
        ("2900", "0156", 0x09, 0, 0x70, 0x22, false),
        ("1540", "0840", 0x09, 100, 0x70, 0x22, true),
        ("1580", "0840", 0x09, 100, 0x70, 0x22, false),
        // Cash machines: a bank's, unattended, giving cash.
        ("8200", "0156", 0x01, 0, 0x80, 0x14, true),
        ("8100", "0156", 0x01, 0, 0x80, 0x14, false),
        ("8200", "0156", 0x01, 0, 0x80, 0x22, false),
        ("2100", "0156", 0x00, 0, 0x60, 0x14, true),
        // Other business is not restricted by kind.
        ("0100", "0156", 0x30, 0, 0x60, 0x22, true),
    ];
    for (auc, country, transaction_type, back, additional, terminal_type, allowed) in rows {
        let mut config = config();
        config.terminal.additional_capabilities[0] = *additional;
        config.terminal.terminal_type = *terminal_type;
        let amount_other = Amount::from_minor(*back).unwrap();
        let params = TxnParams { transaction_type: *transaction_type, amount_other, ..params() };
        let card = card().with(0x9F07, auc).with(0x5F28, country);
        let second = &tvr(&card, &config, params)[2..4];
        let row = (auc, country, transaction_type, back, additional, terminal_type);
        assert_eq!(second == "00", *allowed, "{row:02X?}");
    }
}

/// Without the issuer's country only the place is looked at.
#[test]
fn without_a_country_only_the_place_counts() {
    let of = |auc: &str| tvr(&card().without(0x5F28).with(0x9F07, auc), &config(), params());
    assert_eq!(of("0100"), "8000008000");
    assert_eq!(of("FE00"), "8010008000");
}
