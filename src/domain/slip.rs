//! What stands on the slip (签购单) of a sale: which facts, in which order and words, on which ply.
//!
//! Order and Chinese labels follow the layout common among Chinese acquirers: title, ply, shop, card, numbers, amount,
//! remarks, chip, signature. Spec: unverified (taken from bank-approved layouts of the 2010s, no document of the scheme
//! was at hand). It does not decide how lines fall: that is [`crate::domain::receipt`]. The whole card number and the
//! expiry never stand here. Slips of other kinds come with those kinds.
use super::calendar::LocalTime;
use super::ident::{MerchantId, TerminalId};
use super::outcome::{CvmMethod, EntryMode, Kind, Outcome, Ply, words};
use super::receipt::{Block, Document};
use super::record::{CardFacts, TxnRow};

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
}

/// The slip of an approved sale; `None` for anything else, because only approvals go on paper.
///
/// `terminal_time` is when it ended in the terminal's zone; it stands there only if the host gave no time. `copy` marks
/// a reprint.
#[must_use]
pub fn sale(txn: &TxnRow, shop: &Shop, terminal_time: LocalTime, ply: Ply, copy: bool) -> Option<Document> {
    if txn.start.kind != Kind::Sale || txn.outcome != Outcome::Approved {
        return None;
    }
    let mut slip = Slip { language: shop.language, blocks: Vec::new() };
    slip.head(ply, copy);
    slip.shop(txn, shop);
    slip.blocks.push(Block::Rule);
    slip.card(txn);
    slip.blocks.push(Block::Rule);
    slip.numbers(txn, terminal_time);
    let amount = format!("{} {}", shop.currency_symbol, txn.approved_amount.in_major(txn.start.currency));
    let label = slip.label("金额", "AMOUNT");
    slip.blocks.push(Block::Pair { label, value: amount.trim().to_owned(), double: true });
    slip.blocks.push(Block::Rule);
    slip.remarks(txn);
    if let Some(card) = &txn.card {
        slip.chip(card);
        if ply == Ply::Merchant {
            slip.signature(card);
        }
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

    fn head(&mut self, ply: Ply, copy: bool) {
        let zh = self.language == Language::Zh;
        if zh {
            self.blocks.push(Block::centred("签购单", true, true));
        }
        self.blocks.push(Block::centred("POS SALES SLIP", !zh, true));
        let (zh, en) = match ply {
            Ply::Merchant => ("商户存根", "MERCHANT COPY"),
            Ply::Customer => ("持卡人存根", "CARDHOLDER COPY"),
        };
        self.blocks.push(Block::centred(self.label(zh, en), false, false));
        if copy {
            let mark = self.word("****重打印/DUPLICATED****", "****DUPLICATED****");
            self.blocks.push(Block::centred(mark, false, true));
        }
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
        self.pair("交易类型", "TYPE", self.word("消费 SALE", "SALE"));
    }

    fn numbers(&mut self, txn: &TxnRow, terminal_time: LocalTime) {
        self.pair("批次号", "BATCH", &txn.batch.to_string());
        // The voucher number of Chinese slips is the STAN.
        self.pair("凭证号", "VOUCHER", &txn.stan.map(|stan| stan.to_string()).unwrap_or_default());
        self.pair("授权码", "AUTH", txn.host.auth_code.as_ref().map_or("", |code| code.as_str()));
        self.pair("参考号", "RRN", txn.host.rrn.as_ref().map_or("", |rrn| rrn.as_str()));
        self.pair("日期", "DATE", &txn.host.host_time.unwrap_or(terminal_time).to_string());
    }

    /// 备注: what the banks say (DE 63.2: fields filled with spaces, each a line here), then the shop's reference.
    fn remarks(&mut self, txn: &TxnRow) {
        let texts = txn.host.text.as_deref().unwrap_or_default();
        for text in texts.split("  ").map(str::trim).filter(|text| !text.is_empty()) {
            self.blocks.push(Block::text(text));
        }
        self.pair("收银单号", "REF", txn.start.cashier_ref.as_deref().unwrap_or_default());
    }

    /// The chip's evidence. The ARQC is what the bank judged online; the TC stands where there was none.
    fn chip(&mut self, card: &CardFacts) {
        let fact = |name: &str| {
            let found = card.chip.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| format!("{name} {value}"))
        };
        let named = |name: &str, value: &str| (!value.is_empty()).then(|| format!("{name} {value}"));
        let sequence = card.sequence.map(|number| format!("CSN {number:03}"));
        let lines = [
            vec![named("AID", &card.aid)],
            vec![named("APPLAB", &card.label)],
            vec![fact("ARQC").or_else(|| fact("TC"))],
            vec![fact("TVR"), fact("TSI")],
            vec![fact("ATC"), sequence],
        ];
        for line in lines {
            let facts: Vec<String> = line.into_iter().flatten().collect();
            if !facts.is_empty() {
                self.blocks.push(Block::text(facts.join("  ")));
            }
        }
    }

    /// The merchant ply's foot: room for a signature, or why there is none.
    fn signature(&mut self, card: &CardFacts) {
        self.blocks.push(Block::Rule);
        if card.signature_required {
            self.blocks.push(Block::text(self.label("持卡人签名", "CARDHOLDER SIGNATURE")));
            self.blocks.push(Block::Feed(3));
            self.blocks.push(Block::Rule);
            self.blocks.push(Block::text(self.word(
                "本人确认以上交易, 同意将其计入本卡账户",
                "I confirm this transaction and agree that it is charged to my card account.",
            )));
            return;
        }
        // Choice: acquirers word these lines differently; no binding text is known.
        let (zh, en) = match card.cvm {
            CvmMethod::OnlinePin | CvmMethod::OfflinePin | CvmMethod::OnlinePinAndSignature => {
                ("凭密码交易 免签名", "PIN VERIFIED, NO SIGNATURE")
            }
            CvmMethod::NoCvm | CvmMethod::Signature => ("免密免签", "NO PIN, NO SIGNATURE"),
        };
        self.blocks.push(Block::centred(self.word(zh, en), false, false));
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
fn grouped(masked_pan: &str) -> String {
    let mut out = String::new();
    for (at, c) in masked_pan.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            out.push(' ');
        }
        out.push(c);
    }
    out
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
