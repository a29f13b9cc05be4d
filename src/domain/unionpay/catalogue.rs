//! What the bank's response code (DE 39) means to people: code, class, meaning and next step, in Chinese and English.
//! The rows are data of the acquirer's profile. What a code means to the terminal is [`super::response`].
use crate::domain::outcome::words;
use std::borrow::Cow;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// DE 39.
    pub code: Cow<'static, str>,
    /// What kind of answer it is.
    pub class: Class,
    /// Meaning, Chinese.
    pub zh: Cow<'static, str>,
    /// Meaning, English.
    pub en: Cow<'static, str>,
    /// What the cashier does next.
    pub next: Next,
}

/// For codes that are not in the table: refused, and the acquirer knows why.
pub const UNKNOWN: Entry = Entry {
    code: Cow::Borrowed(""),
    class: Class::DoNotRetry,
    zh: Cow::Borrowed("交易失败, 未知应答码"),
    en: Cow::Borrowed("refused with a code that this terminal does not know"),
    next: Next::CallAcquirer,
};

/// Every code that is known, in the order of codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue(Vec<Entry>);

impl Catalogue {
    /// Puts a row in; an older one of the same code goes.
    pub fn put(&mut self, entry: Entry) {
        match self.0.binary_search_by(|known| known.code.cmp(&entry.code)) {
            Ok(at) => self.0.splice(at..=at, [entry]).for_each(drop),
            Err(at) => self.0.insert(at, entry),
        }
    }

    /// The row of a code; [`UNKNOWN`] where there is none.
    #[must_use]
    pub fn look_up(&self, code: &str) -> &Entry {
        static NONE: Entry = UNKNOWN;
        let found = self.0.binary_search_by(|known| known.code.as_ref().cmp(code));
        found.ok().and_then(|at| self.0.get(at)).unwrap_or(&NONE)
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Entry] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ident::ResponseCode;
    use crate::domain::profile::Profile;
    use crate::domain::unionpay::response;

    /// Goal: every code that ships stands once, in order, with all its columns.
    #[test]
    fn every_row_is_whole() {
        let profile = Profile::unionpay();
        let catalogue = &profile.catalogue;
        assert!(catalogue.rows().is_sorted_by(|a, b| a.code < b.code), "each once, in order");
        assert_eq!(catalogue.rows().len(), 56);
        for entry in catalogue.rows().iter().chain([&UNKNOWN]) {
            let (zh, en) = entry.next.text();
            for text in [entry.zh.as_ref(), zh] {
                assert!(!text.is_ascii(), "{}: {text}", entry.code);
            }
            for text in [entry.en.as_ref(), en] {
                assert!(text.is_ascii() && text.len() > 4, "{}: {text}", entry.code);
            }
        }
        assert_eq!(catalogue.look_up("ZZ"), &UNKNOWN);
        assert_eq!(catalogue.look_up("51").en, "insufficient funds");
    }

    /// Goal: what makes the terminal sign on again tells the cashier so.
    #[test]
    fn people_and_terminal_agree_about_sign_on() {
        for entry in Profile::unionpay().catalogue.rows() {
            let class = response::class(&ResponseCode::new(&entry.code).unwrap());
            assert_eq!(class == response::Class::SignOnNeeded, entry.next == Next::SignOn, "{}", entry.code);
        }
    }
}
