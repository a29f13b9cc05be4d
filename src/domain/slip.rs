//! What stands on a slip (签购单): which facts, in which order and words, on which ply, for every kind.
//!
//! Order and Chinese labels follow the layout common among Chinese acquirers: title, ply, shop, card, numbers, amount,
//! remarks, chip, signature. Spec: unverified (taken from bank-approved layouts of the 2010s, no document of the scheme
//! was at hand). It does not decide how lines fall: that is [`crate::domain::receipt`]. The whole card number and the
//! expiry never stand here. What stands below the amount is in `foot`; paper that tells of no transaction is in `page`;
//! what was refused is in `declined`; what a shop adds of its own in `template`.
pub mod declined;
mod foot;
pub mod page;
mod template;

pub use template::{FOOT_LINES_MAX, FootLine, LOGO_HEIGHT_MAX, LOGO_WIDTH_MAX, Logo, QrText, Template};

use super::calendar::LocalTime;
use super::ident::{MerchantId, TerminalId};
use super::money::Amount;
use super::outcome::{EntryMode, Kind, Outcome, Ply, words};
use super::profile::Profile;
use super::receipt::{Block, Document};
use super::record::TxnRow;
use std::sync::Arc;

words! {
    /// Language of the terminal, `[terminal] language`.
    Language {
        /// Chinese, with short English labels for cardholders from abroad.
        Zh = "zh",
        /// English alone; the labels are ASCII, so that printers without hanzi can print them.
        En = "en",
    }
}

/// What a slip says of the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shop {
    /// 商户名称.
    pub merchant_name: String,
    /// 终端编号, where the transaction does not carry the one it was made under.
    pub terminal_id: TerminalId,
    /// 商户编号, likewise.
    pub merchant_id: MerchantId,
    /// Words and labels.
    pub language: Language,
    /// Stands before amounts: `RMB`.
    pub currency_symbol: String,
    /// The terminal tells the bank that it is in test mode, so none of its paper is worth anything.
    pub testing: bool,
    /// What the shop adds of its own.
    pub template: Arc<Template>,
    /// The acquirer's rules.
    pub profile: Arc<Profile>,
}

/// The slip of a transaction that stands; `None` for anything else, because only what stands goes on paper.
///
/// Choice: a balance is shown on the screen only; paper with a customer's balance is left lying about.
///
/// `terminal_time` is when it ended in the terminal's zone; it stands there only if the host gave no time. `copy` marks
/// a reprint.
#[must_use]
pub fn receipt(
    txn: &TxnRow,
    shop: &Shop,
    terminal_time: LocalTime,
    ply: Ply,
    copy: bool,
) -> Option<Document> {
    let stands = matches!(txn.outcome, Outcome::Approved | Outcome::StoredOffline);
    if !stands || txn.start.kind == Kind::Balance {
        return None;
    }
    let mut slip = Slip { language: shop.language, blocks: Vec::new() };
    slip.blocks.extend(shop.template.head());
    slip.head(ply, page::marks(shop, copy));
    slip.shop(txn, shop);
    slip.blocks.push(Block::Rule);
    slip.card(txn);
    slip.blocks.push(Block::Rule);
    slip.numbers(txn, terminal_time);
    slip.amounts(txn, shop);
    slip.blocks.push(Block::Rule);
    slip.remarks(txn, ply, &shop.profile.catalogue);
    slip.chip(txn);
    if ply.is_signed() {
        slip.signature(txn);
    } else {
        slip.blocks.extend(shop.template.foot());
    }
    slip.blocks.push(Block::Cut);
    Some(Document { blocks: slip.blocks })
}

struct Slip {
    language: Language,
    blocks: Vec<Block>,
}

impl Slip {
    const fn word(&self, zh: &'static str, en: &'static str) -> &'static str {
        match self.language {
            Language::Zh => zh,
            Language::En => en,
        }
    }

    fn label(&self, zh: &str, en: &str) -> String {
        match self.language {
            Language::Zh => format!("{zh} {en}"),
            Language::En => en.to_owned(),
        }
    }

    /// A label and its value; nothing at all where there is no value.
    fn pair(&mut self, zh: &str, en: &str, value: &str) {
        let value = value.trim();
        if !value.is_empty() {
            self.blocks.push(Block::pair(self.label(zh, en), value));
        }
    }

    fn head(&mut self, ply: Ply, marks: Vec<Block>) {
        let zh = self.language == Language::Zh;
        if zh {
            self.blocks.push(Block::centred("签购单", true, true));
        }
        self.blocks.push(Block::centred("POS SALES SLIP", !zh, true));
        let (zh, en) = match ply {
            Ply::Merchant => ("商户存根", "MERCHANT COPY"),
            Ply::Bank => ("银行存根", "BANK COPY"),
            Ply::Customer => ("持卡人存根", "CARDHOLDER COPY"),
        };
        self.blocks.push(Block::centred(self.label(zh, en), false, false));
        self.blocks.extend(marks);
        self.blocks.push(Block::Rule);
    }

    fn shop(&mut self, txn: &TxnRow, shop: &Shop) {
        // The ids under which the bank booked it, also if the terminal has others by now.
        let (merchant, terminal) = match &txn.wire {
            Some(wire) => (&wire.merchant_id, &wire.terminal_id),
            None => (&shop.merchant_id, &shop.terminal_id),
        };
        self.pair("商户名称", "MERCHANT", &shop.merchant_name);
        self.pair("商户编号", "MID", merchant.as_str());
        self.pair("终端编号", "TID", terminal.as_str());
        self.pair("操作员号", "OPERATOR", txn.start.operator.as_str());
    }

    fn card(&mut self, txn: &TxnRow) {
        let (issuer, acquirer) = institutions(txn.host.institutions.as_deref().unwrap_or_default());
        self.pair("发卡行", "ISSUER", &issuer);
        let organisation = txn.host.organisation.as_deref().unwrap_or_default().trim();
        if organisation != "CUP" {
            self.pair("卡组织", "CARD ORG", organisation);
        }
        let letter = txn.card.as_ref().map_or("", |card| entry_letter(card.entry_mode));
        self.pair("卡号", "CARD", &format!("{} {letter}", grouped(&txn.masked_pan)));
        self.pair("收单行", "ACQUIRER", &acquirer);
        let (zh, en) = kind(txn.start.kind);
        self.pair("交易类型", "TYPE", &self.label(zh, en));
    }

    fn numbers(&mut self, txn: &TxnRow, terminal_time: LocalTime) {
        self.pair("批次号", "BATCH", &txn.batch.to_string());
        // The voucher number of Chinese slips is the STAN.
        self.pair("凭证号", "VOUCHER", &txn.stan.map(|stan| stan.to_string()).unwrap_or_default());
        // A voice authorisation has no answer to take the code from: it was told to the cashier.
        let told = txn.start.terms.auth_code.as_ref().filter(|_| txn.start.kind == Kind::OfflineSale);
        let code = txn.host.auth_code.as_ref().or(told);
        self.pair("授权码", "AUTH", code.map_or("", |code| code.as_str()));
        self.pair("参考号", "RRN", txn.host.rrn.as_ref().map_or("", |rrn| rrn.as_str()));
        self.pair("日期", "DATE", &txn.host.host_time.unwrap_or(terminal_time).to_string());
    }

    /// The amount that counts, large; above it what was asked for, if the bank approved a part only.
    ///
    /// Choice: money that goes back has no sign; the type of the transaction says it in words.
    fn amounts(&mut self, txn: &TxnRow, shop: &Shop) {
        let shown = |amount: Amount| {
            let text = format!("{} {}", shop.currency_symbol, amount.in_major(txn.start.currency));
            text.trim().to_owned()
        };
        let (asked, approved) = (txn.start.amount, txn.approved_amount);
        let rest = asked.checked_sub(approved).filter(|rest| !rest.is_zero() && asks_for_all(txn.start.kind));
        if rest.is_some() {
            self.pair("应付金额", "REQUESTED", &shown(asked));
        }
        let label = match rest {
            Some(_) => self.label("批准金额", "APPROVED"),
            None => self.label("金额", "AMOUNT"),
        };
        self.blocks.push(Block::Pair { label, value: shown(approved), double: true });
        if let Some(rest) = rest {
            self.pair("未付余额", "STILL TO PAY", &shown(rest));
        }
    }
}

/// True for the kinds whose amount can be approved in part.
const fn asks_for_all(kind: Kind) -> bool {
    matches!(kind, Kind::Sale)
}

/// 交易类型. Spec: unverified (layouts of Chinese acquirers).
pub(in crate::domain) const fn kind(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Sale => ("消费", "SALE"),
        Kind::Void => ("消费撤销", "VOID"),
        Kind::Refund => ("退货", "REFUND"),
        Kind::Balance => ("余额查询", "BALANCE"),
        Kind::PreAuth => ("预授权", "PRE-AUTH"),
        Kind::PreAuthVoid => ("预授权撤销", "PRE-AUTH VOID"),
        Kind::PreAuthComplete => ("预授权完成(请求)", "AUTH COMPLETE"),
        Kind::PreAuthAdvice => ("预授权完成(通知)", "AUTH SETTLEMENT"),
        Kind::PreAuthCompleteVoid => ("预授权完成撤销", "COMPLETE VOID"),
        Kind::OfflineSale => ("离线消费", "OFFLINE SALE"),
        Kind::QrSale => ("扫码消费", "QR SALE"),
        Kind::QrRefund => ("扫码退货", "QR REFUND"),
    }
}

/// How the card was read, as slips show it. Spec: unverified (layouts of Chinese acquirers).
const fn entry_letter(mode: EntryMode) -> &'static str {
    match mode {
        EntryMode::Chip => "I",
        EntryMode::Swipe => "S",
        EntryMode::Contactless => "C",
        EntryMode::Manual => "M",
        EntryMode::Code => "N",
    }
}

/// Groups of four, as embossed on cards.
pub(in crate::domain) fn grouped(masked_pan: &str) -> String {
    let mut out = String::new();
    for (at, c) in masked_pan.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// `MMDD` as `MM/DD`; nothing where it is not known.
fn grouped_date(mmdd: Option<&str>) -> String {
    let parts = mmdd.filter(|text| *text != "0000").and_then(|text| Some((text.get(..2)?, text.get(2..4)?)));
    parts.map(|(month, day)| format!("{month}/{day}")).unwrap_or_default()
}

/// DE 44: 11 characters issuer, 11 characters acquirer, filled with spaces.
fn institutions(de44: &str) -> (String, String) {
    let part = |from: usize| de44.chars().skip(from).take(11).collect::<String>().trim().to_owned();
    (part(0), part(11))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_stand_in_groups_and_institutions_come_apart() {
        assert_eq!(grouped("622588******5678"), "6225 88** **** 5678");
        assert_eq!(grouped("622588*********1234"), "6225 88** **** ***1 234");
        assert_eq!(grouped(""), "");
        let (issuer, acquirer) = institutions("01020000   48021000   ");
        assert_eq!((issuer.as_str(), acquirer.as_str()), ("01020000", "48021000"));
        assert_eq!(institutions("0102"), ("0102".to_owned(), String::new()));
    }
}
