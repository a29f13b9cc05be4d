//! What stands on the settlement slip (结算总计单): the bank's word on each card class, what was sold and given back, and
//! what is still to be cleared up.
//!
//! Order and Chinese words follow the layout common among Chinese acquirers; Spec: unverified. A sale that was voided
//! stands in no line, and neither does its void: what is left is what the bank pays. Whole card numbers never stand
//! here.
use super::suspects::{self, Suspect};
use super::totals::{Side, side, upload_of, voided};
use crate::domain::calendar::LocalTime;
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{CardClass, Kind, Outcome, QueueState, Verdict};
use crate::domain::receipt::{Align, Block, Document};
use crate::domain::record::{BatchRow, TxnRow};
use crate::domain::slip::{self, Language, Shop, page};
use crate::domain::text;

/// A settled batch, as it is put on paper.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a> {
    /// The batch.
    pub batch: &'a BatchRow,
    /// Its transactions that have a STAN, in any order.
    pub rows: &'a [TxnRow],
    /// When it was closed, in the terminal's zone.
    pub closed_at: LocalTime,
    /// Currency of the amounts.
    pub currency: Currency,
}

/// The slip. `copy` marks a reprint.
#[must_use]
pub fn slip(settled: &Settled<'_>, shop: &Shop, copy: bool) -> Document {
    let mut slip = Slip { language: shop.language, currency: settled.currency, blocks: Vec::new() };
    slip.head(settled, shop, copy);
    let (domestic, foreign) = settled.batch.verdict.unwrap_or((Verdict::Unknown, Verdict::Unknown));
    slip.class(settled.rows, CardClass::Domestic, domestic);
    slip.class(settled.rows, CardClass::Foreign, foreign);
    slip.total(settled.rows, &shop.currency_symbol);
    slip.uploads(settled.rows);
    if (domestic, foreign) != (Verdict::Agreed, Verdict::Agreed) {
        slip.suspects(settled.rows, [(CardClass::Domestic, domestic), (CardClass::Foreign, foreign)]);
    }
    if shop.template.settlement_detail {
        slip.detail(settled.rows);
    }
    slip.blocks.push(Block::Cut);
    Document { blocks: slip.blocks }
}

struct Slip {
    language: Language,
    currency: Currency,
    blocks: Vec<Block>,
}

/// How often, and how much.
#[derive(Clone, Copy, Default)]
struct Sum {
    count: u32,
    minor: u64,
}

impl Sum {
    fn of<'a>(rows: impl Iterator<Item = &'a TxnRow>) -> Self {
        rows.fold(Self::default(), |sum, row| Self {
            count: sum.count.saturating_add(1),
            minor: sum.minor.saturating_add(row.approved_amount.minor()),
        })
    }
}

/// The lines of a class: label in both languages, each short enough to stand beside its sum, and the kinds in it.
const LINES: &[(&str, &str, &[Kind])] = &[
    ("消费 SALE", "SALE", &[Kind::Sale, Kind::QrSale]),
    ("离线 OFFLINE", "OFFLINE SALE", &[Kind::OfflineSale]),
    ("完成(请求) COMP", "COMPLETION", &[Kind::PreAuthComplete]),
    ("完成(通知) ADV", "COMPL. ADVICE", &[Kind::PreAuthAdvice]),
    ("退货 REFUND", "REFUND", &[Kind::Refund, Kind::QrRefund]),
];

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

    fn pair(&mut self, zh: &str, en: &str, value: impl Into<String>) {
        self.blocks.push(Block::pair(self.label(zh, en), value));
    }

    fn head(&mut self, settled: &Settled<'_>, shop: &Shop, copy: bool) {
        let zh = self.language == Language::Zh;
        if zh {
            self.blocks.push(Block::centred("结算总计单", true, true));
        }
        self.blocks.push(Block::centred("SETTLEMENT SLIP", !zh, true));
        self.blocks.extend(page::marks(shop, copy));
        self.blocks.push(Block::Rule);
        // The ids under which the bank booked it, also if the terminal has others by now.
        let wire = settled.rows.iter().find_map(|row| row.wire.as_ref());
        let merchant = wire.map_or(&shop.merchant_id, |wire| &wire.merchant_id);
        let terminal = wire.map_or(&shop.terminal_id, |wire| &wire.terminal_id);
        if !shop.merchant_name.is_empty() {
            self.pair("商户名称", "MERCHANT", &shop.merchant_name);
        }
        self.pair("商户编号", "MID", merchant.as_str());
        self.pair("终端编号", "TID", terminal.as_str());
        if let Some(operator) = &settled.batch.operator {
            self.pair("操作员号", "OPERATOR", operator.as_str());
        }
        self.pair("批次号", "BATCH", settled.batch.number.to_string());
        self.pair("日期", "DATE", settled.closed_at.to_string());
        if settled.batch.forced {
            let words = self.word("强制结算, 未等待银行确认", "CLOSED BY FORCE, NOT CONFIRMED BY THE BANK");
            self.blocks.push(Block::centred(words, false, true));
        }
        self.blocks.push(Block::Rule);
    }

    /// The bank's word on a class, and its lines.
    fn class(&mut self, rows: &[TxnRow], class: CardClass, verdict: Verdict) {
        let name = match class {
            CardClass::Domestic => self.word("内卡", "DOMESTIC CARDS: "),
            CardClass::Foreign => self.word("外卡", "FOREIGN CARDS: "),
        };
        let verdict = match verdict {
            Verdict::Agreed => self.word("对帐平", "AGREED"),
            Verdict::Disagreed => self.word("对帐不平", "DISAGREED"),
            Verdict::Error => self.word("对帐出错", "IN ERROR"),
            Verdict::Unknown => self.word("未对帐", "NOT COMPARED"),
        };
        self.blocks.push(heading(format!("{name}{verdict}")));
        let counted = |row: &&TxnRow| row.card_class == class && side(row).is_some();
        let any = rows.iter().any(|row| counted(&row));
        if !any {
            self.blocks.push(Block::text(self.word("无交易", "No transactions")));
            return self.blocks.push(Block::Rule);
        }
        for (zh, en, kinds) in LINES {
            let of_line = |row: &&TxnRow| counted(row) && kinds.contains(&row.start.kind) && !voided(row);
            let sum = Sum::of(rows.iter().filter(of_line));
            if sum.count > 0 {
                let back = kinds.contains(&Kind::Refund);
                self.sum(self.word(zh, en), sum, back);
            }
        }
        let undone = Sum::of(rows.iter().filter(|row| counted(row) && voided(row)));
        if undone.count > 0 {
            self.sum(self.word("撤销不计 VOIDED", "VOIDED"), undone, false);
        }
        self.blocks.push(Block::Rule);
    }

    /// Count and amount under each other; money back with a minus.
    fn sum(&mut self, label: &str, sum: Sum, back: bool) {
        let amount = format!("{}{}", if back { "-" } else { "" }, self.money(sum.minor));
        self.blocks.push(Block::pair(label, format!("{:>3} {amount:>12}", sum.count)));
    }

    fn money(&self, minor: u64) -> String {
        Amount::from_minor(minor).unwrap_or(Amount::MAX).in_major(self.currency)
    }

    /// What the bank owes the shop, or the shop the bank.
    fn total(&mut self, rows: &[TxnRow], symbol: &str) {
        let of = |wanted: Side| Sum::of(rows.iter().filter(|row| side(row) == Some(wanted))).minor;
        let (debit, credit) = (of(Side::Debit), of(Side::Credit));
        let sign = if credit > debit { "-" } else { "" };
        let value = format!("{symbol} {sign}{}", self.money(debit.abs_diff(credit)));
        let label = self.label("净额", "NET TOTAL");
        self.blocks.push(Block::Pair { label, value: value.trim().to_owned(), double: true });
    }

    /// What was approved without the bank and has not reached it, or was refused by it.
    fn uploads(&mut self, rows: &[TxnRow]) {
        let of = |wanted: fn(QueueState) -> bool| -> Vec<&TxnRow> {
            let stored = |row: &&TxnRow| row.outcome == Outcome::StoredOffline;
            let open = |row: &&TxnRow| {
                upload_of(row).is_some_and(|entry| wanted(entry.state) && entry.resolution.is_none())
            };
            rows.iter().filter(stored).filter(open).collect()
        };
        let missing = of(|state| !matches!(state, QueueState::Done | QueueState::Denied));
        let denied = of(|state| state == QueueState::Denied);
        self.list(self.word("未成功上送", "NOT UPLOADED"), &missing);
        self.list(self.word("上送后被平台拒绝", "REFUSED BY THE BANK"), &denied);
    }

    fn list(&mut self, title: &str, rows: &[&TxnRow]) {
        if rows.is_empty() {
            return;
        }
        self.blocks.push(Block::Rule);
        self.blocks.push(heading(title.to_owned()));
        for row in rows {
            self.voucher(row, self.money(row.approved_amount.minor()));
        }
    }

    /// Voucher number and the end of the card number, as the cashier finds it on the slip of the sale.
    fn voucher(&mut self, row: &TxnRow, amount: String) {
        let stan = row.stan.map(|stan| stan.to_string()).unwrap_or_default();
        let digits = row.masked_pan.get(row.masked_pan.len().saturating_sub(4)..).unwrap_or_default();
        let label = self.label("凭证", "NO.");
        self.blocks.push(Block::pair(format!("{label} {stan} *{digits}"), amount));
    }

    /// 明细: each record that moved money, in the order of vouchers; those that were undone, and what undid them, say so.
    fn detail(&mut self, rows: &[TxnRow]) {
        let mut moved: Vec<(&TxnRow, Side)> =
            rows.iter().filter_map(|row| side(row).map(|side| (row, side))).collect();
        if moved.is_empty() {
            return;
        }
        moved.sort_by_key(|(row, _)| row.stan);
        self.blocks.push(Block::Rule);
        self.blocks.push(heading(self.label("交易明细", "DETAIL")));
        for (row, side) in moved {
            let stan = row.stan.map(|stan| stan.to_string()).unwrap_or_default();
            let (zh, en) = slip::kind(row.start.kind);
            let undone = if voided(row) { self.word(" 已撤销", " VOIDED") } else { "" };
            let told = row.start.terms.auth_code.as_ref();
            let code = row.host.auth_code.as_ref().or(told).map_or("", |code| code.as_str());
            self.blocks.push(Block::pair(format!("{stan} {}{undone}", self.word(zh, en)), code));
            let sign = if side == Side::Credit { "-" } else { "" };
            let amount = format!("{sign}{}", self.money(row.approved_amount.minor()));
            self.blocks.push(Block::pair(format!(" {}", slip::grouped(&row.masked_pan)), amount));
        }
    }

    /// Where to look when the bank's totals differ.
    fn suspects(&mut self, rows: &[TxnRow], verdicts: [(CardClass, Verdict); 2]) {
        let doubted = |class| verdicts.iter().any(|(of, word)| *of == class && *word != Verdict::Agreed);
        let all: Vec<Suspect> =
            suspects::suspects(rows).into_iter().filter(|suspect| doubted(suspect.card_class)).collect();
        if all.is_empty() {
            return;
        }
        self.blocks.push(Block::Rule);
        self.blocks.push(heading(self.word("可能的差异, 请与银行核对", "CHECK WITH THE BANK").to_owned()));
        for suspect in all {
            let Some(row) = rows.iter().find(|row| row.start.id == suspect.txn) else { continue };
            self.voucher(row, self.money(suspect.amount.minor()));
            let reason = text::suspicion(suspect.reason);
            self.blocks.push(Block::text(match self.language {
                Language::Zh => format!("  {}", reason.zh),
                Language::En => format!("  {}", reason.en),
            }));
        }
    }
}

fn heading(text: String) -> Block {
    Block::Text { text, align: Align::Left, double: false, bold: true }
}
