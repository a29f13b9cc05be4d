//! What people read, in Chinese and English: one table for results, one for prompts, one for response codes. Each
//! result says the cause and the next step.
use super::outcome::{Prompt, ResultCode};
use super::settlement::suspects::Reason;

/// One message in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bilingual {
    /// Chinese, simplified.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Bilingual {
    fn of(zh: &str, en: &str) -> Self {
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
        Prompt::WrongPin => ("密码错误", "Wrong PIN"),
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
        Reason::PartialApproval => ("部分金额批准", "approved in part"),
    };
    Bilingual::of(zh, en)
}

/// The result in both languages: cause and next step. `response_code` is DE 39, where the bank answered.
#[must_use]
pub fn result(code: ResultCode, response_code: Option<&str>) -> Bilingual {
    if code == ResultCode::DeclinedHost {
        return declined(response_code.unwrap_or("--"));
    }
    let (zh, en) = by_people(code).or_else(|| by_card(code)).unwrap_or_else(|| by_terminal(code));
    Bilingual::of(zh, en)
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
        ResultCode::NoLink => ("无网络, 请检查网络后重试", "No network; check the link and try again"),
        ResultCode::ConnectFailed => (
            "通讯失败, 未扣款, 请检查网络后重试",
            "No connection to the bank, nothing was charged; check the link",
        ),
        ResultCode::HostTimeout => (
            "通讯超时, 结果未知, 正在自动冲正, 请勿重复收款前先查询",
            "The bank did not answer; the result is unknown and is being reversed. Check before charging again",
        ),
        ResultCode::MacError => {
            ("MAC校验错, 正在冲正并重新签到", "Wrong MAC; reversing and signing on again")
        }
        ResultCode::ProtocolError => ("应答报文有误, 正在自动冲正", "The bank's answer is broken; reversing"),
        ResultCode::StorageFault => ("存储故障, 请联系维修", "Storage fault; call a technician"),
        ResultCode::IdentityChanged => {
            ("终端参数已变更, 请先结算", "The terminal's identity changed; settle first")
        }
        ResultCode::Interrupted => {
            ("终端重启, 未扣款, 请重新交易", "The terminal restarted before the bank was asked; start again")
        }
        ResultCode::NotSignedOn => {
            ("签到失败, 未扣款, 请重新签到", "Sign-on failed, nothing was charged; sign on again")
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
        ResultCode::NotAuthorized => {
            ("主管未授权, 未扣款", "Not authorised by a supervisor; nothing was charged")
        }
        ResultCode::OriginalNotEligible => {
            ("原交易状态已变, 请查询后重试", "The original has changed meanwhile; look it up and try again")
        }
        ResultCode::ResolvedPaid => ("已人工确认: 款项已动账", "Resolved by the shop: the money moved"),
        ResultCode::ResolvedNotPaid => ("已人工确认: 款项未动账", "Resolved by the shop: no money moved"),
        _ => return None,
    })
}

/// A refusal by the bank. Display texts: Q/CUP 006.6-2014 display table; the English is ours.
fn declined(code: &str) -> Bilingual {
    let (zh, en) = match code {
        "01" => ("请持卡人与发卡银行联系", "The customer should call the bank"),
        "03" => ("无效商户", "Unknown merchant: call the acquirer"),
        "04" => ("此卡为无效卡, 请没收", "Invalid card: keep it if the shop's rules say so"),
        "05" => ("持卡人认证失败", "The bank refused the cardholder"),
        "12" => ("无效交易", "Invalid transaction"),
        "13" => ("无效金额", "Invalid amount"),
        "14" => ("无效卡号", "Invalid card number"),
        "15" => ("此卡无对应发卡方", "Unknown issuer"),
        "21" => ("该卡未初始化或睡眠卡", "The card is not active"),
        "22" => ("操作有误, 或超出交易允许天数", "Not possible, or too late"),
        "25" => ("没有原始交易, 请联系发卡方", "The bank knows no such original"),
        "30" => ("请重试", "Message format refused; try again"),
        "34" | "41" | "43" => {
            ("卡片已挂失或作弊, 请没收", "Lost or stolen card: keep it if the shop's rules say so")
        }
        "38" | "75" => ("密码错误次数超限", "Too many wrong PINs"),
        "40" => ("发卡方不支持的交易类型", "The issuer does not support this"),
        "45" => ("不允许降级, 请使用芯片", "Use the chip"),
        "51" => ("可用余额不足, 请换卡", "Insufficient funds; use another card"),
        "54" => ("该卡已过期, 请换卡", "The card has expired; use another card"),
        "55" => ("密码错, 请重新交易", "Wrong PIN; start again"),
        "57" | "58" => ("不允许此卡交易", "Not allowed for this card or terminal"),
        "59" => ("卡片校验错", "The card's check failed"),
        "61" => ("交易金额超限", "Above the card's limit"),
        "62" => ("受限制的卡", "Restricted card"),
        "64" => ("交易金额与原交易不匹配", "The amount differs from the original"),
        "65" => ("超出消费次数限制", "Too many transactions with this card"),
        "68" | "98" => ("发卡方超时, 请重试", "The issuer did not answer; try again"),
        "77" => ("批次不一致, 请重新签到", "Wrong batch; sign on again"),
        "90" => ("系统日切, 请稍后重试", "The bank changes its day; try again later"),
        "91" | "92" => ("发卡方状态不正常, 请稍后重试", "The issuer is not available; try again later"),
        "94" => ("拒绝, 重复交易", "Refused as a duplicate"),
        "96" => ("拒绝, 交换中心异常, 请稍后重试", "The switch has trouble; try again later"),
        "97" => ("终端未登记, 请联系收单行", "Unknown terminal: call the acquirer"),
        "99" => ("PIN格式错, 请重新签到", "PIN format refused; sign on again"),
        "A0" => ("MAC校验错, 请重新签到", "MAC refused; sign on again"),
        _ => ("交易失败, 请联系发卡行", "Refused by the bank"),
    };
    Bilingual { zh: format!("{zh} ({code})"), en: format!("{en} ({code})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_and_prompt_has_both_languages() {
        for code in ResultCode::ALL {
            let text = result(*code, Some("51"));
            assert!(!text.zh.is_empty() && !text.en.is_empty(), "{code}");
        }
        for code in Prompt::ALL {
            assert!(!prompt(*code).zh.is_ascii(), "{code}");
        }
        assert_eq!(result(ResultCode::DeclinedHost, Some("51")).zh, "可用余额不足, 请换卡 (51)");
    }
}
