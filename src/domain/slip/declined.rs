//! The slip of a transaction that was refused, where the shop wants one: why, and that nothing was done. It looks like
//! no receipt at any distance: its title says so, large, and no amount stands large on it.
use super::page::marks;
use super::{Shop, grouped, kind};
use crate::domain::calendar::LocalTime;
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::Kind;
use crate::domain::receipt::{Block, Document};
use crate::domain::slip::Language;
use crate::domain::text::Bilingual;

/// What such a slip says.
#[derive(Clone, Copy, Debug)]
pub struct Declined<'a> {
    /// What was wanted.
    pub kind: Kind,
    /// And of how much; zero where that says nothing.
    pub amount: Amount,
    /// In this currency.
    pub currency: Currency,
    /// Of which card; empty where none was read.
    pub masked_pan: &'a str,
    /// Who stood at the till.
    pub operator: &'a str,
    /// Its batch; 0 = none.
    pub batch: u32,
    /// Its STAN; 0 = nothing went to the bank.
    pub stan: u32,
    /// What the bank answered; may be empty.
    pub response_code: &'a str,
    /// Why, for people.
    pub reason: &'a Bilingual,
}

/// The slip. `at` is the time of the end in the terminal's zone.
#[must_use]
pub fn declined(txn: Declined<'_>, shop: &Shop, at: LocalTime) -> Document {
    let zh = shop.language == Language::Zh;
    let label = |zh_label: &str, en: &str| if zh { format!("{zh_label} {en}") } else { en.to_owned() };
    let mut blocks = Vec::new();
    if zh {
        blocks.push(Block::centred("交易失败", true, true));
    }
    blocks.push(Block::centred("DECLINED", !zh, true));
    if zh {
        blocks.push(Block::centred("交易未成功, 非交易凭证", false, true));
    }
    blocks.push(Block::centred("NOT DONE, NOT A RECEIPT", false, true));
    blocks.extend(marks(shop, false));
    blocks.push(Block::Rule);
    let number = |number: u32| if number == 0 { String::new() } else { format!("{number:06}") };
    let (kind_zh, kind_en) = kind(txn.kind);
    let amount = format!("{} {}", shop.currency_symbol, txn.amount.in_major(txn.currency));
    let rows = [
        ("商户名称", "MERCHANT", shop.merchant_name.clone()),
        ("终端编号", "TID", shop.terminal_id.as_str().to_owned()),
        ("操作员号", "OPERATOR", txn.operator.to_owned()),
        ("卡号", "CARD", grouped(txn.masked_pan)),
        ("交易类型", "TYPE", label(kind_zh, kind_en)),
        ("批次号", "BATCH", number(txn.batch)),
        ("凭证号", "VOUCHER", number(txn.stan)),
        ("日期", "DATE", at.to_string()),
        ("金额", "AMOUNT", if txn.amount.is_zero() { String::new() } else { amount.trim().to_owned() }),
        ("应答码", "CODE", txn.response_code.to_owned()),
    ];
    let told = rows.into_iter().filter(|(_, _, value)| !value.is_empty());
    blocks.extend(told.map(|(zh, en, value)| Block::pair(label(zh, en), value)));
    blocks.push(Block::Rule);
    if zh {
        blocks.push(Block::text(&txn.reason.zh));
    }
    blocks.push(Block::text(&txn.reason.en));
    blocks.push(Block::Cut);
    Document { blocks }
}
