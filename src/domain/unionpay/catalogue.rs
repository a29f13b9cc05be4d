//! What the bank's response code (DE 39) means to people: one table of code, class, meaning and next step, in
//! Chinese and English. What a code means to the terminal is [`super::response`].
//!
//! Source: codes and Chinese meanings from the display table of Q/CUP 006.6-2014, classes from a table that a Chinese
//! acquirer gives to its shops; Spec: unverified. English and next steps are ours.
use crate::domain::outcome::words;

words! {
    /// What kind of answer it is.
    Class {
        /// A: the money moved.
        Approved = "approved",
        /// B: may be tried again once the cause is put right.
        Retryable = "retryable",
        /// C: trying again now changes nothing.
        DoNotRetry = "do-not-retry",
        /// D: a person must do something.
        OperatorAction = "operator-action",
        /// E: between the banks; the terminal has nothing to correct.
        System = "system",
    }
}

words! {
    /// What the cashier does next.
    Next {
        /// Nothing.
        Done = "done",
        /// Collect the rest in another way.
        CollectRest = "collect-rest",
        /// Confirm with the card's bank.
        ConfirmIssuer = "confirm-issuer",
        /// Another card or another way to pay.
        OtherCard = "other-card",
        /// The customer calls the card's bank.
        CallIssuer = "call-issuer",
        /// The shop calls its acquirer.
        CallAcquirer = "call-acquirer",
        /// Keep the card, if the shop's rules say so.
        Retain = "retain",
        /// Check what was typed.
        CheckEntry = "check-entry",
        /// Look whether it is booked already.
        CheckList = "check-list",
        /// Insert the chip.
        UseChip = "use-chip",
        /// Start again.
        StartAgain = "start-again",
        /// Try again later.
        RetryLater = "retry-later",
        /// Try again once; then the acquirer.
        RetryThenAcquirer = "retry-then-acquirer",
        /// Sign on to the host, then repeat.
        SignOn = "sign-on",
        /// The settlement uploads the detail by itself.
        Settlement = "settlement",
    }
}

impl Next {
    /// The step as a sentence: Chinese, English.
    #[must_use]
    pub const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Done => ("无需处理", "nothing to do"),
            Self::CollectRest => ("请以其他方式收取余额", "collect the rest in another way"),
            Self::ConfirmIssuer => {
                ("请持卡人向发卡行确认", "the customer should confirm it with the card's bank")
            }
            Self::OtherCard => ("请换卡或其他方式支付", "use another card or another way to pay"),
            Self::CallIssuer => ("请持卡人联系发卡行", "the customer should call the card's bank"),
            Self::CallAcquirer => ("请联系收单行", "call the acquirer"),
            Self::Retain => ("请按门店规定处理, 勿返还卡片", "keep the card if the shop's rules say so"),
            Self::CheckEntry => ("请核对输入后重试", "check what was entered and try again"),
            Self::CheckList => ("请先查询是否已入账", "look first whether it is booked already"),
            Self::UseChip => ("请插入芯片", "insert the chip"),
            Self::StartAgain => ("请重新交易", "start again"),
            Self::RetryLater => ("请稍后重试", "try again later"),
            Self::RetryThenAcquirer => {
                ("请重试, 仍失败请联系收单行", "try again; if it fails again call the acquirer")
            }
            Self::SignOn => ("请重新签到后再交易", "sign on to the bank, then start again"),
            Self::Settlement => ("结算将自动上送明细", "settlement uploads the detail by itself"),
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// DE 39.
    pub code: &'static str,
    /// What kind of answer it is.
    pub class: Class,
    /// Meaning, Chinese.
    pub zh: &'static str,
    /// Meaning, English.
    pub en: &'static str,
    /// What the cashier does next.
    pub next: Next,
}

const fn row(code: &'static str, class: Class, zh: &'static str, en: &'static str, next: Next) -> Entry {
    Entry { code, class, zh, en, next }
}

/// Every code that is known, in the order of codes.
pub const CATALOGUE: &[Entry] = &[
    row("00", Class::Approved, "交易成功", "approved", Next::Done),
    row(
        "01",
        Class::DoNotRetry,
        "请持卡人与发卡银行联系",
        "the card's bank wants to hear from the customer",
        Next::CallIssuer,
    ),
    row("03", Class::DoNotRetry, "无效商户", "the bank does not know this merchant", Next::CallAcquirer),
    row("04", Class::OperatorAction, "此卡为无效卡, 请没收", "invalid card, to be retained", Next::Retain),
    row("05", Class::DoNotRetry, "持卡人认证失败", "the bank did not accept the cardholder", Next::OtherCard),
    row("10", Class::Approved, "部分金额批准", "approved for a part of the amount", Next::CollectRest),
    row("11", Class::Approved, "成功, VIP客户", "approved, VIP customer", Next::Done),
    row("12", Class::DoNotRetry, "无效交易", "the bank does not take this transaction", Next::CheckEntry),
    row("13", Class::Retryable, "无效金额", "the bank does not take this amount", Next::CheckEntry),
    row("14", Class::Retryable, "无效卡号", "the bank does not know this card number", Next::OtherCard),
    row("15", Class::DoNotRetry, "此卡无对应发卡方", "no issuer for this card", Next::OtherCard),
    row("21", Class::DoNotRetry, "该卡未初始化或睡眠卡", "the card is not active", Next::CallIssuer),
    row(
        "22",
        Class::DoNotRetry,
        "操作有误, 或超出交易允许天数",
        "not possible, or too many days later",
        Next::CheckEntry,
    ),
    row("25", Class::DoNotRetry, "没有原始交易", "the bank knows no such original", Next::CheckEntry),
    row(
        "30",
        Class::DoNotRetry,
        "报文格式错",
        "the bank could not read the message",
        Next::RetryThenAcquirer,
    ),
    row(
        "34",
        Class::OperatorAction,
        "作弊卡, 请没收",
        "suspected fraud, the card is to be retained",
        Next::Retain,
    ),
    row("38", Class::OperatorAction, "密码错误次数超限", "too many wrong PINs", Next::CallIssuer),
    row(
        "40",
        Class::DoNotRetry,
        "发卡方不支持的交易类型",
        "the card's bank does not do this",
        Next::OtherCard,
    ),
    row("41", Class::OperatorAction, "挂失卡, 请没收", "lost card, to be retained", Next::Retain),
    row("43", Class::OperatorAction, "被窃卡, 请没收", "stolen card, to be retained", Next::Retain),
    row("45", Class::DoNotRetry, "不允许降级交易", "the bank wants the chip", Next::UseChip),
    row("51", Class::OperatorAction, "可用余额不足", "insufficient funds", Next::OtherCard),
    row("54", Class::OperatorAction, "该卡已过期", "the card has expired", Next::OtherCard),
    row("55", Class::DoNotRetry, "密码错", "wrong PIN", Next::StartAgain),
    row("57", Class::DoNotRetry, "不允许此卡交易", "not allowed for this card", Next::OtherCard),
    row("58", Class::DoNotRetry, "不允许该卡在本终端交易", "not allowed at this terminal", Next::OtherCard),
    row("59", Class::DoNotRetry, "卡片校验错", "the card's check value is wrong", Next::OtherCard),
    row("61", Class::DoNotRetry, "交易金额超限", "above the card's limit", Next::OtherCard),
    row("62", Class::DoNotRetry, "受限制的卡", "restricted card", Next::CallIssuer),
    row(
        "64",
        Class::DoNotRetry,
        "交易金额与原交易不匹配",
        "the amount does not fit the original",
        Next::CheckEntry,
    ),
    row("65", Class::DoNotRetry, "超出消费次数限制", "too many transactions with this card", Next::OtherCard),
    row("68", Class::DoNotRetry, "交易超时", "the card's bank did not answer in time", Next::RetryLater),
    row("75", Class::DoNotRetry, "密码错误次数超限", "too many wrong PINs", Next::CallIssuer),
    row("77", Class::Retryable, "批次不一致", "the batch differs from the bank's", Next::SignOn),
    row("90", Class::DoNotRetry, "系统日切", "the bank is changing its day", Next::RetryLater),
    row("91", Class::DoNotRetry, "发卡方状态不正常", "the card's bank is not available", Next::RetryLater),
    row("92", Class::DoNotRetry, "发卡方线路异常", "no line to the card's bank", Next::RetryLater),
    row("94", Class::DoNotRetry, "拒绝, 重复交易", "refused as a duplicate", Next::CheckList),
    row("95", Class::System, "对账不平", "the totals differ from the bank's", Next::Settlement),
    row("96", Class::DoNotRetry, "拒绝, 交换中心异常", "the switch has trouble", Next::RetryLater),
    row(
        "97",
        Class::OperatorAction,
        "终端未登记",
        "the bank does not know this terminal",
        Next::CallAcquirer,
    ),
    row("98", Class::System, "发卡方超时", "the card's bank did not answer", Next::RetryLater),
    row("99", Class::Retryable, "PIN格式错", "the bank cannot read the PIN", Next::SignOn),
    row("A0", Class::Retryable, "MAC校验错", "the bank refused the MAC", Next::SignOn),
    row("A1", Class::DoNotRetry, "转账货币不一致", "the currencies differ", Next::CheckEntry),
    row(
        "A2",
        Class::Approved,
        "交易成功, 请向发卡行确认",
        "approved, to be confirmed with the card's bank",
        Next::ConfirmIssuer,
    ),
    row("A3", Class::DoNotRetry, "账户不正确", "wrong account", Next::CheckEntry),
    row(
        "A4",
        Class::Approved,
        "交易成功, 请向发卡行确认",
        "approved, to be confirmed with the card's bank",
        Next::ConfirmIssuer,
    ),
    row(
        "A5",
        Class::Approved,
        "交易成功, 请向发卡行确认",
        "approved, to be confirmed with the card's bank",
        Next::ConfirmIssuer,
    ),
    row(
        "A6",
        Class::Approved,
        "交易成功, 请向发卡行确认",
        "approved, to be confirmed with the card's bank",
        Next::ConfirmIssuer,
    ),
    row("A7", Class::DoNotRetry, "安全处理失败", "the bank's security check failed", Next::RetryThenAcquirer),
    row(
        "A8",
        Class::DoNotRetry,
        "交易失败, 收单行应答码",
        "refused by a rule of the acquirer",
        Next::CallAcquirer,
    ),
    row(
        "B1",
        Class::DoNotRetry,
        "交易失败, 收单行应答码",
        "refused by a rule of the acquirer",
        Next::CallAcquirer,
    ),
    row("C1", Class::DoNotRetry, "受理方状态非法", "the acquirer may not do this now", Next::CallAcquirer),
    row(
        "N1",
        Class::DoNotRetry,
        "交易失败, 收单行应答码",
        "refused by a rule of the acquirer",
        Next::CallAcquirer,
    ),
    row(
        "P1",
        Class::DoNotRetry,
        "交易失败, 收单行应答码",
        "refused by a rule of the acquirer",
        Next::CallAcquirer,
    ),
];

/// For codes that are not in the table: refused, and the acquirer knows why.
pub const UNKNOWN: Entry = row(
    "",
    Class::DoNotRetry,
    "交易失败, 未知应答码",
    "refused with a code that this terminal does not know",
    Next::CallAcquirer,
);

/// The row of a code; [`UNKNOWN`] where there is none.
#[must_use]
pub fn look_up(code: &str) -> Entry {
    CATALOGUE.iter().find(|entry| entry.code == code).copied().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ident::ResponseCode;
    use crate::domain::unionpay::response;

    /// Goal: every code stands once, in order, with all its columns.
    #[test]
    fn every_row_is_whole() {
        assert!(CATALOGUE.is_sorted_by(|a, b| a.code < b.code), "each once, in order");
        assert_eq!(CATALOGUE.len(), 56);
        for entry in CATALOGUE.iter().chain([&UNKNOWN]) {
            let (zh, en) = entry.next.text();
            for text in [entry.zh, zh] {
                assert!(!text.is_ascii(), "{}: {text}", entry.code);
            }
            for text in [entry.en, en] {
                assert!(text.is_ascii() && text.len() > 4, "{}: {text}", entry.code);
            }
        }
        assert_eq!(look_up("ZZ"), UNKNOWN);
    }

    /// Goal: people and terminal agree: what reads as approved is booked, and nothing else is.
    #[test]
    fn what_reads_as_approved_is_booked() {
        for entry in CATALOGUE {
            let class = response::class(&ResponseCode::new(entry.code).unwrap());
            let booked = matches!(class, response::Class::Approved | response::Class::PartlyApproved);
            assert_eq!(booked, entry.class == Class::Approved, "{}", entry.code);
            assert_eq!(class == response::Class::SignOnNeeded, entry.next == Next::SignOn, "{}", entry.code);
        }
    }
}
