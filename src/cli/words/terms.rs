//! The contract's own words for people: kinds, outcomes, states, types of obligations, roles, phases.
use super::Pair;
use crate::domain::outcome::{
    BatchState, CardClass, CvmMethod, EntryMode, EntryType, Kind, Outcome, Ply, PrintState, QueueState,
    Resolution, Role, TerminalState, Verdict,
};

/// A word in both languages; `None` for one that is not known here. Where two of these enumerations share a word, it
/// means the same to people.
pub(crate) fn term(word: &str) -> Option<Pair> {
    let pair = Kind::from_word(word)
        .map(kind)
        .or_else(|| Outcome::from_word(word).map(outcome))
        .or_else(|| EntryType::from_word(word).map(entry_type))
        .or_else(|| QueueState::from_word(word).map(queue_state))
        .or_else(|| Verdict::from_word(word).map(verdict))
        .or_else(|| Resolution::from_word(word).map(resolution))
        .or_else(|| CardClass::from_word(word).map(card_class))
        .or_else(|| BatchState::from_word(word).map(batch_state))
        .or_else(|| Role::from_word(word).map(role))
        .or_else(|| TerminalState::from_word(word).map(terminal_state))
        .or_else(|| PrintState::from_word(word).map(print_state))
        .or_else(|| Ply::from_word(word).map(ply))
        .or_else(|| EntryMode::from_word(word).map(entry_mode));
    pair.or_else(|| other(word))
}

const fn kind(kind: Kind) -> Pair {
    match kind {
        Kind::Sale => Pair("消费", "sale"),
        Kind::Void => Pair("消费撤销", "void"),
        Kind::Refund => Pair("退货", "refund"),
        Kind::Balance => Pair("余额查询", "balance"),
        Kind::PreAuth => Pair("预授权", "pre-auth"),
        Kind::PreAuthVoid => Pair("预授权撤销", "pre-auth void"),
        Kind::PreAuthComplete => Pair("预授权完成", "completion"),
        Kind::PreAuthAdvice => Pair("预授权完成通知", "completion advice"),
        Kind::PreAuthCompleteVoid => Pair("预授权完成撤销", "completion void"),
        Kind::OfflineSale => Pair("离线消费", "offline sale"),
        Kind::QrSale => Pair("扫码消费", "code sale"),
        Kind::QrRefund => Pair("扫码退货", "code refund"),
    }
}

const fn outcome(outcome: Outcome) -> Pair {
    match outcome {
        Outcome::None => Pair("未定", "open"),
        Outcome::Approved => Pair("成功", "approved"),
        Outcome::Declined => Pair("拒绝", "declined"),
        Outcome::Cancelled => Pair("取消", "cancelled"),
        Outcome::Failed => Pair("失败", "failed"),
        Outcome::Unknown => Pair("未知", "unknown"),
        Outcome::Reversed => Pair("已冲正", "reversed"),
        Outcome::StoredOffline => Pair("脱机待上送", "stored offline"),
    }
}

const fn entry_type(entry_type: EntryType) -> Pair {
    match entry_type {
        EntryType::Reversal => Pair("冲正", "reversal"),
        EntryType::Script => Pair("脚本结果", "script result"),
        EntryType::OfflineSale => Pair("离线消费", "offline sale"),
        EntryType::Advice => Pair("通知", "advice"),
        EntryType::RefundUnknown => Pair("未知退货", "unknown refund"),
    }
}

const fn queue_state(state: QueueState) -> Pair {
    match state {
        QueueState::Due => Pair("待发", "due"),
        QueueState::Sending => Pair("发送中", "sending"),
        QueueState::Queued => Pair("排队", "queued"),
        QueueState::Done => Pair("已完成", "done"),
        QueueState::Denied => Pair("被拒", "denied"),
        QueueState::Failed => Pair("失败", "failed"),
        QueueState::Expired => Pair("过期", "expired"),
        QueueState::Parked => Pair("搁置", "parked"),
    }
}

const fn verdict(verdict: Verdict) -> Pair {
    match verdict {
        Verdict::Agreed => Pair("对账平", "agreed"),
        Verdict::Disagreed => Pair("对账不平", "disagreed"),
        Verdict::Error => Pair("对账出错", "error"),
        Verdict::Unknown => Pair("未知", "unknown"),
    }
}

const fn resolution(how: Resolution) -> Pair {
    match how {
        Resolution::Paid => Pair("已付款", "paid"),
        Resolution::NotPaid => Pair("未付款", "not paid"),
        Resolution::WrittenOff => Pair("核销", "written off"),
    }
}

const fn card_class(class: CardClass) -> Pair {
    match class {
        CardClass::Domestic => Pair("内卡", "domestic"),
        CardClass::Foreign => Pair("外卡", "foreign"),
    }
}

const fn batch_state(state: BatchState) -> Pair {
    match state {
        BatchState::Open => Pair("营业中", "open"),
        BatchState::Settling => Pair("结算中", "settling"),
        BatchState::Uploading => Pair("批上送中", "uploading"),
        BatchState::Closed => Pair("已结", "closed"),
    }
}

const fn role(role: Role) -> Pair {
    match role {
        Role::None => Pair("无", "none"),
        Role::Cashier => Pair("收银员", "cashier"),
        Role::Supervisor => Pair("主管", "supervisor"),
        Role::Administrator => Pair("系统管理员", "administrator"),
    }
}

const fn terminal_state(state: TerminalState) -> Pair {
    match state {
        TerminalState::Starting => Pair("启动中", "starting"),
        TerminalState::Ready => Pair("就绪", "ready"),
        TerminalState::ReadyOffline => Pair("就绪(脱机)", "ready offline"),
        TerminalState::Trading => Pair("交易中", "trading"),
        TerminalState::Settling => Pair("结算中", "settling"),
        TerminalState::Maintenance => Pair("待维护", "maintenance"),
        TerminalState::Fault => Pair("故障", "fault"),
    }
}

const fn print_state(state: PrintState) -> Pair {
    match state {
        PrintState::Queued => Pair("排队", "queued"),
        PrintState::Printing => Pair("打印中", "printing"),
        PrintState::Confirmed => Pair("已打印", "confirmed"),
        PrintState::Unconfirmed => Pair("未确认", "unconfirmed"),
        PrintState::Held => Pair("等待打印机", "held"),
        PrintState::Failed => Pair("失败", "failed"),
        PrintState::Abandoned => Pair("已放弃", "abandoned"),
    }
}

const fn ply(ply: Ply) -> Pair {
    match ply {
        Ply::Merchant => Pair("商户联", "merchant"),
        Ply::Bank => Pair("银行联", "bank"),
        Ply::Customer => Pair("持卡人联", "customer"),
    }
}

/// How the cardholder was verified; apart from the others, for `none` is an outcome too.
pub(crate) const fn cvm(cvm: CvmMethod) -> Pair {
    match cvm {
        CvmMethod::NoCvm => Pair("无", "none"),
        CvmMethod::OnlinePin => Pair("联机密码", "online PIN"),
        CvmMethod::OfflinePin => Pair("脱机密码", "offline PIN"),
        CvmMethod::Signature => Pair("签名", "signature"),
        CvmMethod::OnlinePinAndSignature => Pair("联机密码和签名", "online PIN and signature"),
        CvmMethod::OfflinePinAndSignature => Pair("脱机密码和签名", "offline PIN and signature"),
    }
}

const fn entry_mode(mode: EntryMode) -> Pair {
    match mode {
        EntryMode::Chip => Pair("插卡", "chip"),
        EntryMode::Swipe => Pair("刷卡", "swipe"),
        EntryMode::Contactless => Pair("挥卡", "tap"),
        EntryMode::Manual => Pair("手输", "typed"),
        EntryMode::Code => Pair("扫码", "code"),
    }
}

/// Actions, phases and kinds of jobs, and what posctl did.
fn other(word: &str) -> Option<Pair> {
    Some(match word {
        "settle" | "settlement" => Pair("结算", "settlement"),
        "operators" => Pair("操作员管理", "managing operators"),
        "queue-manage" => Pair("上送队列管理", "managing the queue"),
        "backup" => Pair("备份与恢复", "backup"),
        "verify" => Pair("校验备份", "check of a copy"),
        "restore" => Pair("恢复", "restore"),
        "sign-on" => Pair("签到", "sign-on"),
        "sign-off" => Pair("签退", "sign-off"),
        "host-test" => Pair("线路测试", "line test"),
        "flush" => Pair("上送", "flush"),
        "download" => Pair("参数下载", "download"),
        "state-upload" => Pair("终端状态上送", "upload of the state"),
        "capk" => Pair("公钥", "CA keys"),
        "aid" => Pair("应用", "applications"),
        "parameters" => Pair("终端参数", "parameters"),
        "blacklist" => Pair("黑名单", "blacklist"),
        "contactless" => Pair("非接参数", "contactless parameters"),
        "remarks" => Pair("备注", "remarks"),
        "listing" => Pair("查询列表", "asking what there is"),
        "loading" => Pair("下载中", "loading"),
        "ending" => Pair("结束下载", "ending"),
        "unparked" => Pair("已恢复排队", "back in its place"),
        "waiting" => Pair("等待", "waiting"),
        "connecting" => Pair("正在连接", "connecting"),
        "waiting-host" => Pair("等待主机", "waiting for the bank"),
        "draining" => Pair("上送未完成交易", "sending what is owed"),
        "totals" | "comparing" => Pair("对账", "comparing totals"),
        "closing" => Pair("结束批次", "closing the batch"),
        "copying" => Pair("复制", "copying"),
        "checking" => Pair("校验", "checking"),
        "report" => Pair("支持报告", "report for support"),
        "self-test" => Pair("自检", "self-test"),
        "reader" => Pair("读卡器", "reader"),
        "printer" => Pair("打印机", "printer"),
        "drawer" => Pair("钱箱", "drawer"),
        "host" => Pair("主机", "host"),
        "links" => Pair("网络", "links"),
        "storage" => Pair("存储", "storage"),
        "clock" => Pair("时钟", "clock"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen in Chinese shows no English word of the contract.
    #[test]
    fn every_word_that_tables_show_has_both_languages() {
        let words = Kind::ALL.iter().map(|w| w.word()).chain(Outcome::ALL.iter().map(|w| w.word()));
        let words = words.chain(EntryType::ALL.iter().map(|w| w.word()));
        let words = words.chain(QueueState::ALL.iter().map(|w| w.word()));
        let words = words.chain(Verdict::ALL.iter().map(|w| w.word()));
        for word in words.chain(PrintState::ALL.iter().map(|w| w.word())) {
            let pair = term(word).unwrap();
            assert!(!pair.0.is_ascii() && pair.1.is_ascii(), "{word}");
        }
        assert!(term("a-later-word").is_none());
    }
}
