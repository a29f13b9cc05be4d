//! What people read, in Chinese and English: how transactions end, what prompts ask. Each result says the cause and the
//! next step. Response codes have a table of their own, [`super::unionpay::catalogue`].
pub mod check;
pub mod guard;
pub mod link;
pub mod names;
pub mod way;

use super::outcome::{Kind, Outcome, Prompt, ResultCode};
use super::rules::{Silence, rule, undoes};
use super::settlement::suspects::Reason;
use super::unionpay::catalogue::{Catalogue, Class, Next};

/// One message in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bilingual {
    /// Chinese, simplified.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Bilingual {
    /// Two texts.
    #[must_use]
    pub fn of(zh: &str, en: &str) -> Self {
        Self { zh: zh.to_owned(), en: en.to_owned() }
    }
}

/// The prompt in both languages.
#[must_use]
pub fn prompt(code: Prompt) -> Bilingual {
    let (zh, en) = match code {
        Prompt::InsertCard => ("请插入芯片卡", "Insert the card"),
        Prompt::TapCard => ("请挥卡", "Tap the card"),
        Prompt::SwipeCard => ("请刷卡", "Swipe the card"),
        Prompt::PresentCode => ("请出示付款码", "Show the payment code"),
        Prompt::ConfirmCard => ("请确认卡号", "Confirm the card"),
        Prompt::DoNotRemoveCard => ("处理中, 请勿拔卡", "Do not remove the card"),
        Prompt::RemoveCard => ("请取走卡片", "Remove the card"),
        Prompt::CardRemovedTooEarly => {
            ("卡片拔出过早, 请重新交易", "The card was removed too early; start again")
        }
        Prompt::UseChip => ("此卡为芯片卡, 请插卡", "This card has a chip: insert it"),
        Prompt::TryAgain => ("请重试", "Try again"),
        Prompt::OtherMethod => ("请换其他方式支付", "Pay in another way"),
        Prompt::EnterPin => ("请输入密码", "Enter the PIN"),
        Prompt::WrongPin => ("密码错误, 请重新输入", "Wrong PIN: enter it again"),
        Prompt::SigningOn => ("正在签到", "Signing on"),
        Prompt::Dialling => ("正在拨号", "Connecting to the bank"),
        Prompt::Processing => ("正在处理", "Processing"),
        Prompt::Receiving => ("正在接收数据", "Waiting for the bank"),
        Prompt::CheckSignature => ("请核对签名", "Check the signature"),
        Prompt::TearReceipt => ("请撕下签购单", "Tear off the slip"),
        Prompt::PaperOut => ("打印机缺纸, 请装纸", "No paper: load a roll"),
        Prompt::SeeDevice => ("请按手机提示操作", "Follow the phone"),
    };
    Bilingual::of(zh, en)
}

/// Why the bank may count a record otherwise than the terminal, in both languages, short enough for a slip.
#[must_use]
pub fn suspicion(reason: Reason) -> Bilingual {
    let (zh, en) = match reason {
        Reason::ReversalNotFound => ("冲正时银行查无原交易(25)", "nothing found to reverse (25)"),
        Reason::ReversalRefused => ("冲正被答为无效交易(12)", "reversal called invalid (12)"),
        Reason::ReversalFailed => ("冲正未获银行确认", "reversal not confirmed"),
        Reason::RefundUnresolved => ("退货结果不明", "refund without an answer"),
        Reason::UploadDenied => ("离线交易被银行拒绝", "offline sale refused by bank"),
        Reason::UploadFailed => ("离线交易未上送成功", "offline sale not uploaded"),
        Reason::UploadLate => ("离线交易上送过迟", "offline sale uploaded late"),
        Reason::UploadDuplicate => ("银行称重复上送(94)", "bank calls it a duplicate (94)"),
        Reason::ResolvedPaid => ("仅商户确认已入账", "only the shop says paid"),
        Reason::PartialApproval => ("部分金额批准", "approved in part"),
    };
    Bilingual::of(zh, en)
}

/// How a transaction ended, in both languages: cause and next step. `response_code` is DE 39, where the bank answered.
#[must_use]
pub fn ended(
    kind: Kind,
    outcome: Outcome,
    result: ResultCode,
    response_code: Option<&str>,
    catalogue: &Catalogue,
) -> Bilingual {
    match (outcome, result) {
        (Outcome::Reversed, _) => undone(kind),
        (_, ResultCode::DeclinedHost) => match response_code {
            Some(code) if catalogue.look_up(code).class == Class::Approved => not_taken(code, catalogue),
            code => declined(code.unwrap_or("--"), catalogue),
        },
        (Outcome::Approved, ResultCode::Approved) => approved(kind, response_code, catalogue),
        (_, ResultCode::OfflineApproved) if kind == Kind::PreAuthAdvice => Bilingual::of(
            "预授权完成通知已存储, 稍后上送",
            "The completion is stored and goes to the bank by itself",
        ),
        (_, ResultCode::HostTimeout) => unanswered(kind, ("通讯超时", "The bank did not answer")),
        (_, ResultCode::MacError) => unanswered(kind, ("应答MAC校验错", "The bank's answer has a wrong MAC")),
        (_, ResultCode::ProtocolError) => unanswered(kind, ("应答报文有误", "The bank's answer is broken")),
        (_, code) => {
            let (zh, en) = by_people(code).or_else(|| by_card(code)).unwrap_or_else(|| by_terminal(code));
            Bilingual::of(zh, en)
        }
    }
}

/// A success; codes that ask for something more say so.
fn approved(kind: Kind, response_code: Option<&str>, catalogue: &Catalogue) -> Bilingual {
    let name = names::kind(kind);
    let (mut zh, mut en) = (format!("{}成功", name.zh), format!("{} approved", name.en));
    let entry = catalogue.look_up(response_code.unwrap_or("00"));
    if entry.class == Class::Approved && entry.next != Next::Done {
        let (next_zh, next_en) = entry.next.text();
        zh = format!("{zh}, {next_zh}");
        en = format!("{en}; {next_en}");
    }
    Bilingual { zh, en }
}

/// No usable answer: what that means depends on whether the bank can be asked to undo it.
fn unanswered(kind: Kind, cause: (&str, &str)) -> Bilingual {
    let (zh, en) = match rule(kind).silence {
        Silence::Except => (
            "退货结果未知, 请勿再次退货; 请向收单行查明后在队列中处理",
            "nobody knows whether the refund is booked. Do not refund again: ask the bank, then resolve it",
        ),
        Silence::Forget => ("未动账, 请重试", "no money moved; try again"),
        Silence::Reverse if undoes(kind) => (
            "撤销结果未知, 正在自动冲正; 冲正后原交易仍有效, 需重新撤销",
            "nobody knows whether it was undone; it is being reversed. Then the original stands: start again",
        ),
        Silence::Reverse => (
            "结果未知, 正在自动冲正, 再次收款前请先查询",
            "the result is unknown and is being reversed. Look it up before charging again",
        ),
    };
    Bilingual { zh: format!("{}, {zh}", cause.0), en: format!("{}: {en}", cause.1) }
}

/// The bank has confirmed that it holds nothing of it.
fn undone(kind: Kind) -> Bilingual {
    if undoes(kind) {
        return Bilingual::of(
            "已冲正, 原交易仍有效, 可重新撤销",
            "Reversed: the original stands and can be undone again",
        );
    }
    Bilingual::of("已冲正, 未动账, 可重新交易", "Reversed: no money moved; it can be started again")
}

/// All other results.
const fn by_terminal(code: ResultCode) -> (&'static str, &'static str) {
    match code {
        ResultCode::Approved => ("交易成功", "Approved"),
        ResultCode::Partial => ("部分金额批准, 请收取余额", "Part of the amount approved; collect the rest"),
        ResultCode::OfflineApproved => ("脱机交易成功, 稍后上送", "Approved offline, to be uploaded"),
        ResultCode::DeclinedHost | ResultCode::DeclinedCard => (
            "卡片拒绝交易, 已自动冲正, 请换卡",
            "The card refused; the bank is being reversed. Use another card",
        ),
        ResultCode::DeclinedOffline => ("卡片拒绝交易, 请换卡", "The card refused. Use another card"),
        ResultCode::CustomerCancelled => ("持卡人取消交易", "Cancelled by the customer"),
        ResultCode::OperatorCancelled => ("操作员取消交易", "Cancelled by the cashier"),
        ResultCode::CustomerTimeout => ("操作超时, 请重新交易", "Nobody acted in time; start again"),
        ResultCode::PinWrong => ("密码错误, 请重新交易", "Wrong PIN; start again"),
        ResultCode::PinBlocked => {
            ("密码错误次数超限, 请联系发卡行", "Too many wrong PINs; the customer should call the bank")
        }
        ResultCode::PinCancelled => ("取消输入密码", "PIN entry was cancelled"),
        ResultCode::DuplicateSuspected => {
            ("疑似重复交易, 请核对流水", "Looks like a duplicate; check the list first")
        }
        ResultCode::LimitExceeded => {
            ("超出终端限额, 请结算或分次交易", "Above a limit of this terminal; settle or ask a supervisor")
        }
        ResultCode::CardBlacklisted => {
            ("此卡在黑名单中, 不可受理, 请换卡", "The bank does not take this card. Use another card")
        }
        ResultCode::NoLink => ("无网络, 请检查网络后重试", "No network; check the link and try again"),
        ResultCode::ConnectFailed => (
            "通讯失败, 未动账, 请检查网络后重试",
            "No connection to the bank, no money moved; check the link and try again",
        ),
        ResultCode::StorageFault => ("存储故障, 请联系维修", "Storage fault; call a technician"),
        ResultCode::IdentityChanged => {
            ("终端参数已变更, 请先结算", "The terminal's identity changed; settle first")
        }
        ResultCode::Interrupted => {
            ("终端重启, 未动账, 请重新交易", "The terminal restarted before the bank was asked; start again")
        }
        ResultCode::NotSignedOn => {
            ("签到失败, 未动账, 请重新签到", "Sign-on failed, no money moved; sign on again")
        }
        // The others are told above.
        ResultCode::CardNotAccepted
        | ResultCode::CardRemoved
        | ResultCode::CardUnreadable
        | ResultCode::CardBlocked
        | ResultCode::CardExpired
        | ResultCode::WrongCard
        | ResultCode::ChipRequired
        | ResultCode::FallbackRefused
        | ResultCode::HostTimeout
        | ResultCode::MacError
        | ResultCode::ProtocolError
        | ResultCode::NotAuthorized
        | ResultCode::OriginalNotEligible
        | ResultCode::ResolvedPaid
        | ResultCode::ResolvedNotPaid => {
            ("不支持此卡, 请换卡", "This card is not accepted here; use another card")
        }
    }
}

/// Results that the card brought about; `None` for all others.
const fn by_card(code: ResultCode) -> Option<(&'static str, &'static str)> {
    Some(match code {
        ResultCode::CardRemoved => {
            ("卡片拔出过早, 请重新交易", "The card was removed too early; start again")
        }
        ResultCode::CardUnreadable => {
            ("读卡失败, 请擦拭芯片后重试", "The chip cannot be read; wipe it and try again")
        }
        ResultCode::CardBlocked => {
            ("卡片已锁, 请联系发卡行", "The card is blocked; the customer should call the bank")
        }
        ResultCode::CardExpired => ("卡片已过期, 请换卡", "The card has expired; use another card"),
        ResultCode::WrongCard => ("不是原交易卡片, 请用原卡", "Not the card of the original; use that card"),
        ResultCode::ChipRequired => ("请插入芯片卡", "Insert the chip"),
        ResultCode::FallbackRefused => ("不允许降级, 请使用芯片", "The bank wants the chip; insert the card"),
        _ => return None,
    })
}

/// Results that people brought about; `None` for all others.
const fn by_people(code: ResultCode) -> Option<(&'static str, &'static str)> {
    Some(match code {
        ResultCode::NotAuthorized => (
            "主管未授权, 未动账, 请主管在场后重试",
            "No supervisor allowed it, no money moved; start again with one",
        ),
        ResultCode::OriginalNotEligible => {
            ("原交易状态已变, 请查询后重试", "The original has changed meanwhile; look it up and try again")
        }
        ResultCode::ResolvedPaid => ("已人工确认: 款项已动账", "Resolved by the shop: the money moved"),
        ResultCode::ResolvedNotPaid => ("已人工确认: 款项未动账", "Resolved by the shop: no money moved"),
        _ => return None,
    })
}

/// A refusal by the bank, with the code.
#[must_use]
pub fn declined(code: &str, catalogue: &Catalogue) -> Bilingual {
    let entry = catalogue.look_up(code);
    let (next_zh, next_en) = entry.next.text();
    Bilingual {
        zh: format!("{}, {next_zh} ({code})", entry.zh),
        en: format!("{}; {next_en} ({code})", capitalised(&entry.en)),
    }
}

/// The bank approved what nobody had asked for, a part of the amount: it is given back whole.
fn not_taken(code: &str, catalogue: &Catalogue) -> Bilingual {
    let entry = catalogue.look_up(code);
    Bilingual {
        zh: format!("{}, 本终端未接受, 正在自动冲正, 请换卡或其他方式支付全额 ({code})", entry.zh),
        en: format!(
            "{}: not accepted here and being reversed; take the whole amount another way ({code})",
            capitalised(&entry.en)
        ),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::Profile;

    /// Goal: a part that was approved and not taken is not called approved, and nobody collects a rest.
    #[test]
    fn a_part_that_is_given_back_asks_for_the_whole_amount() {
        let catalogue = &Profile::unionpay().catalogue;
        let text = ended(Kind::Sale, Outcome::Declined, ResultCode::DeclinedHost, Some("10"), catalogue);
        let expected = "Approved for a part of the amount: not accepted here and being reversed; take the whole amount \
                        another way (10)";
        assert_eq!(text.en, expected);
        assert_eq!(text.zh, "部分金额批准, 本终端未接受, 正在自动冲正, 请换卡或其他方式支付全额 (10)");
    }

    /// Goal: every end of every kind, and every prompt, has words in both languages.
    #[test]
    fn every_result_and_prompt_has_both_languages() {
        for (kind, outcome) in Kind::ALL.iter().flat_map(|kind| Outcome::ALL.iter().map(move |o| (*kind, *o)))
        {
            for code in ResultCode::ALL {
                let text = ended(kind, outcome, *code, Some("51"), &Profile::unionpay().catalogue);
                assert!(
                    !text.zh.is_ascii() && text.en.is_ascii() && text.en.len() >= 8,
                    "{kind} {code}: {text:?}"
                );
            }
        }
        for code in Prompt::ALL {
            assert!(!prompt(*code).zh.is_ascii(), "{code}");
        }
    }

    /// Goal: a refusal says cause, next step and code, also where the code is not known.
    #[test]
    fn a_refusal_says_cause_next_step_and_code() {
        assert_eq!(
            declined("51", &Profile::unionpay().catalogue).zh,
            "可用余额不足, 请换卡或其他方式支付 (51)"
        );
        assert_eq!(
            declined("51", &Profile::unionpay().catalogue).en,
            "Insufficient funds; use another card or another way to pay (51)"
        );
        let unknown = declined("Q7", &Profile::unionpay().catalogue);
        assert!(unknown.en.contains("call the acquirer") && unknown.en.ends_with("(Q7)"), "{unknown:?}");
    }

    /// Goal: what an unanswered request means differs by kind, and a refund is never to be repeated.
    #[test]
    fn silence_means_something_else_for_each_kind() {
        let silent = |kind, outcome| {
            ended(kind, outcome, ResultCode::HostTimeout, None, &Profile::unionpay().catalogue)
        };
        assert!(silent(Kind::Refund, Outcome::Unknown).en.contains("Do not refund again"));
        assert!(silent(Kind::Refund, Outcome::Unknown).zh.contains("请勿再次退货"));
        assert!(silent(Kind::Sale, Outcome::Unknown).en.contains("being reversed"));
        assert!(silent(Kind::Void, Outcome::Unknown).en.contains("the original stands"));
        assert!(silent(Kind::Balance, Outcome::Failed).en.contains("no money moved"));
        assert!(silent(Kind::Sale, Outcome::Reversed).en.starts_with("Reversed"));
        let vague = ended(
            Kind::Sale,
            Outcome::Approved,
            ResultCode::Approved,
            Some("A2"),
            &Profile::unionpay().catalogue,
        );
        assert_eq!(vague.zh, "消费成功, 请持卡人向发卡行确认");
    }
}
