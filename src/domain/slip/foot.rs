//! The lower part of a slip: remarks (备注), what the chip said, and who signs.
use super::{Language, Slip, grouped_date};
use crate::domain::outcome::{EntryType, Kind, Outcome, Ply, QueueState};
use crate::domain::receipt::Block;
use crate::domain::record::TxnRow;
use crate::domain::rules::{CardUse, rule, undoes};
use crate::domain::unionpay::catalogue::{Catalogue, Next};

impl Slip {
    /// 备注: what the transaction rests on, what is still to come, what the banks say, the shop's own reference.
    pub(super) fn remarks(&mut self, txn: &TxnRow, ply: Ply, catalogue: &Catalogue) {
        self.original(txn);
        if ply == Ply::Merchant {
            let supervisor = txn.start.terms.supervisor.as_ref();
            self.pair("授权主管", "SUPERVISOR", supervisor.map_or("", |id| id.as_str()));
        }
        self.standing(txn, catalogue);
        // DE 63.2: fields filled with spaces, each a line here.
        let texts = txn.host.text.as_deref().unwrap_or_default();
        for text in texts.split("  ").map(str::trim).filter(|text| !text.is_empty()) {
            self.blocks.push(Block::text(text));
        }
        self.pair("收银单号", "REF", txn.start.cashier_ref.as_deref().unwrap_or_default());
    }

    /// What finds the original: by voucher in the same batch, by authorisation code, or by RRN and day.
    fn original(&mut self, txn: &TxnRow) {
        let terms = &txn.start.terms;
        let Some(original) = &terms.original else { return };
        match txn.start.kind {
            Kind::Void | Kind::PreAuthCompleteVoid => {
                let voucher = original.stan.map(|stan| stan.to_string()).unwrap_or_default();
                self.pair("原凭证号", "ORIG VOUCHER", &voucher);
            }
            Kind::PreAuthVoid | Kind::PreAuthComplete | Kind::PreAuthAdvice => {
                let code = original.auth_code.as_ref().or(terms.auth_code.as_ref());
                self.pair("原授权码", "ORIG AUTH", code.map_or("", |code| code.as_str()));
                self.pair("原交易日期", "ORIG DATE", &grouped_date(original.date.as_deref()));
            }
            Kind::Refund => {
                self.pair("原参考号", "ORIG RRN", original.rrn.as_ref().map_or("", |rrn| rrn.as_str()));
                self.pair("原交易日期", "ORIG DATE", &grouped_date(original.date.as_deref()));
            }
            _ => {}
        }
    }

    /// What the customer must know of how firmly it stands.
    fn standing(&mut self, txn: &TxnRow, catalogue: &Catalogue) {
        let kind = txn.start.kind;
        if txn.outcome == Outcome::StoredOffline {
            let entry = txn.entry(EntryType::OfflineSale).or_else(|| txn.entry(EntryType::Advice));
            let told = entry.is_some_and(|entry| entry.state == QueueState::Done);
            let (zh, en) = match (kind, told) {
                (_, true) => ("脱机交易, 已上送", "MADE OFFLINE, UPLOADED SINCE"),
                (Kind::PreAuthAdvice, false) => ("完成通知已存储, 待上送", "STORED, TO BE SENT TO THE BANK"),
                (_, false) => ("脱机交易, 待上送, 银行尚未确认", "APPROVED OFFLINE; THE BANK IS TOLD LATER"),
            };
            self.blocks.push(Block::text(self.word(zh, en)));
            if txn.start.terms.auth_code.is_some() && kind == Kind::OfflineSale {
                self.blocks.push(Block::text(self.word("电话授权交易", "VOICE AUTHORISATION")));
            }
        }
        if kind == Kind::PreAuth {
            let (zh, en) = ("资金已冻结, 尚未扣款, 请保留此单", "HELD, NOT YET CHARGED. KEEP THIS SLIP");
            self.blocks.push(Block::text(self.word(zh, en)));
        }
        let code = txn.host.response_code.as_ref().map_or("", |code| code.as_str());
        if catalogue.look_up(code).next == Next::ConfirmIssuer {
            let (zh, en) = ("请持卡人向发卡行确认", "PLEASE CONFIRM WITH THE BANK OF THE CARD");
            self.blocks.push(Block::text(self.word(zh, en)));
        }
    }

    /// The chip's evidence. The ARQC is what the bank judged online; the TC is what the card itself answers for, with
    /// what its issuer needs to check it.
    pub(super) fn chip(&mut self, txn: &TxnRow) {
        let Some(card) = &txn.card else { return };
        let fact = |name: &str| {
            let found = card.chip.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| format!("{name} {value}"))
        };
        let named = |name: &str, value: &str| (!value.is_empty()).then(|| format!("{name} {value}"));
        let sequence = card.sequence.map(|number| format!("CSN {number:03}"));
        let offline = txn.outcome == Outcome::StoredOffline;
        let cryptogram = if offline { fact("TC") } else { fact("ARQC").or_else(|| fact("TC")) };
        let when_offline = |name: &str| offline.then(|| fact(name)).flatten();
        let lines = [
            vec![named("AID", &card.aid)],
            vec![named("APPLAB", &card.label)],
            vec![cryptogram],
            vec![fact("TVR"), fact("TSI")],
            vec![fact("ATC"), sequence],
            vec![when_offline("AIP"), when_offline("TermCap")],
            vec![when_offline("UNPR NUM")],
            vec![when_offline("IAD")],
        ];
        for line in lines {
            let facts: Vec<String> = line.into_iter().flatten().collect();
            if !facts.is_empty() {
                self.blocks.push(Block::text(facts.join("  ")));
            }
        }
    }

    /// The foot of the plies that shop and bank keep: room for a signature, or why there is none. Refunds ask none;
    /// where the card was only read, nobody was verified.
    pub(super) fn signature(&mut self, txn: &TxnRow) {
        let kind = txn.start.kind;
        let card = txn.card.as_ref();
        let signs = card.is_some_and(|card| card.signature_required) && kind != Kind::Refund;
        // Wiped card data does not tell any more.
        let cvm = card.map(|card| card.cvm);
        let only_read = rule(kind).card == CardUse::Read;
        if cvm.is_none() && !only_read {
            return;
        }
        self.blocks.push(Block::Rule);
        if signs {
            self.blocks.push(Block::text(self.label("持卡人签名", "CARDHOLDER SIGNATURE")));
            self.blocks.push(Block::Feed(3));
            self.blocks.push(Block::Rule);
            self.blocks.push(Block::text(self.declaration(kind)));
            return;
        }
        // Choice: acquirers word these lines differently; no binding text is known.
        let (zh, en) = match cvm {
            Some(cvm) if cvm.has_pin() => ("凭密码交易 免签名", "PIN VERIFIED, NO SIGNATURE"),
            _ if only_read => ("本交易无需签名", "NO SIGNATURE NEEDED"),
            _ => ("免密免签", "NO PIN, NO SIGNATURE"),
        };
        self.blocks.push(Block::centred(self.word(zh, en), false, false));
    }

    /// What the cardholder signs.
    const fn declaration(&self, kind: Kind) -> &'static str {
        let (zh, en) = match kind {
            Kind::PreAuth => (
                "本人确认以上交易, 同意冻结本卡账户资金",
                "I confirm this transaction and agree that the amount is held on my card account.",
            ),
            kind if undoes(kind) => ("本人确认以上撤销交易", "I confirm that the transaction is undone."),
            _ => (
                "本人确认以上交易, 同意将其计入本卡账户",
                "I confirm this transaction and agree that it is charged to my card account.",
            ),
        };
        match self.language {
            Language::Zh => zh,
            Language::En => en,
        }
    }
}
