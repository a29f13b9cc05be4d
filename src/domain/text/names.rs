//! The words of the bus for people: kinds, states, what the queue holds, why the terminal does not trade.
use super::Bilingual;
use crate::domain::outcome::{EntryType, Kind, Outcome, QueueState, TxnState};

/// A kind, as slips and screens name it.
#[must_use]
pub fn kind(kind: Kind) -> Bilingual {
    let (zh, en) = match kind {
        Kind::Sale => ("消费", "Sale"),
        Kind::Void => ("消费撤销", "Void"),
        Kind::Refund => ("退货", "Refund"),
        Kind::Balance => ("余额查询", "Balance inquiry"),
        Kind::PreAuth => ("预授权", "Pre-authorisation"),
        Kind::PreAuthVoid => ("预授权撤销", "Pre-authorisation void"),
        Kind::PreAuthComplete => ("预授权完成(请求)", "Completion"),
        Kind::PreAuthAdvice => ("预授权完成(通知)", "Completion advice"),
        Kind::PreAuthCompleteVoid => ("预授权完成撤销", "Completion void"),
        Kind::OfflineSale => ("离线消费", "Offline sale"),
        Kind::QrSale => ("扫码消费", "QR sale"),
        Kind::QrRefund => ("扫码退货", "QR refund"),
    };
    Bilingual::of(zh, en)
}

/// Where a transaction stands.
#[must_use]
pub fn state(state: TxnState) -> Bilingual {
    let (zh, en) = match state {
        TxnState::Created => ("已创建", "Started"),
        TxnState::WaitingAuthorization => ("等待主管授权", "Waits for a supervisor"),
        TxnState::WaitingCard => ("等待插卡", "Waits for the card"),
        TxnState::ReadingCard => ("正在读卡", "Reads the card"),
        TxnState::SelectingApplication => ("选择卡片应用", "Choice of application"),
        TxnState::ConfirmingCard => ("确认卡号", "Card is being confirmed"),
        TxnState::WaitingPin => ("等待输入密码", "Waits for the PIN"),
        TxnState::Risk => ("风险检查", "Checks risk"),
        TxnState::Connecting => ("正在连接银行", "Connects to the bank"),
        TxnState::Sending => ("正在发送", "Sends"),
        TxnState::WaitingHost => ("等待银行应答", "Waits for the bank"),
        TxnState::CardCompletion => ("卡片处理结果", "The card judges the answer"),
        TxnState::Resolving => ("结果未知, 处理中", "Unknown, being resolved"),
        TxnState::PrintingMerchant => ("打印商户存根", "Prints the merchant copy"),
        TxnState::WaitingTear => ("等待撕纸", "Waits for the slip to be torn off"),
        TxnState::WaitingSignature => ("等待核对签名", "Waits for the signature check"),
        TxnState::PrintingCustomer => ("打印持卡人存根", "Prints the cardholder copy"),
        TxnState::RemoveCard => ("等待取卡", "Waits for the card to leave"),
        TxnState::Finished => ("已结束", "Finished"),
    };
    Bilingual::of(zh, en)
}

/// How a transaction ended.
#[must_use]
pub fn outcome(outcome: Outcome) -> Bilingual {
    let (zh, en) = match outcome {
        Outcome::None => ("进行中", "Running"),
        Outcome::Approved => ("成功", "Approved"),
        Outcome::Declined => ("拒绝", "Declined"),
        Outcome::Cancelled => ("已取消", "Cancelled"),
        Outcome::Failed => ("失败", "Failed"),
        Outcome::Unknown => ("结果未知", "Unknown"),
        Outcome::Reversed => ("已冲正", "Reversed"),
        Outcome::StoredOffline => ("脱机成功, 待上送", "Approved offline, to be uploaded"),
    };
    Bilingual::of(zh, en)
}

/// What an entry of the queue owes.
#[must_use]
pub fn entry_type(entry: EntryType) -> Bilingual {
    let (zh, en) = match entry {
        EntryType::Reversal => ("冲正", "Reversal"),
        EntryType::Script => ("脚本结果通知", "Script result"),
        EntryType::OfflineSale => ("离线交易上送", "Upload of an offline sale"),
        EntryType::Advice => ("预授权完成通知", "Completion advice"),
        EntryType::RefundUnknown => ("退货结果未知", "Refund without an answer"),
    };
    Bilingual::of(zh, en)
}

/// Where an entry of the queue stands, and what a person has to do about it.
#[must_use]
pub fn queue_state(state: QueueState) -> Bilingual {
    let (zh, en) = match state {
        QueueState::Due => ("待发送, 下笔交易前自动处理", "Goes out before the next transaction"),
        QueueState::Sending => ("正在发送", "Being sent"),
        QueueState::Queued => ("排队等待上送", "Waits for its turn"),
        QueueState::Done => ("已完成", "Done"),
        QueueState::Denied => ("被银行拒绝, 请主管处理", "Refused by the bank: a supervisor must resolve it"),
        QueueState::Failed => {
            ("多次未成功, 将自动重试; 请联系收单行", "Tried in vain, tried again later: call the acquirer")
        }
        QueueState::Expired => ("已过期, 请主管处理", "Too old for the bank: a supervisor must resolve it"),
        QueueState::Parked => ("已由主管搁置", "Put aside by a supervisor"),
    };
    Bilingual::of(zh, en)
}

/// A reason why the terminal or a kind does not trade, or wants attention: cause and next step. `None` for a word that
/// is not known.
#[must_use]
pub fn reason(word: &str) -> Option<Bilingual> {
    REASONS.iter().find(|(known, _, _)| *known == word).map(|(_, zh, en)| Bilingual::of(zh, en))
}

/// A reason of a reader, word of `Reader.Reasons`. `held-by-` is followed by the name of a program that may hold it.
#[must_use]
pub fn reader_reason(word: &str) -> Option<Bilingual> {
    if let Some(program) = word.strip_prefix("held-by-") {
        let zh = format!("可能被程序 {program} 占用, 请关闭该程序");
        return Some(Bilingual { zh, en: format!("{program} may hold it: end that program") });
    }
    READER_REASONS.iter().find(|(known, _, _)| *known == word).map(|(_, zh, en)| Bilingual::of(zh, en))
}

const READER_REASONS: &[(&str, &str, &str)] = &[
    ("pcscd-absent", "读卡服务 pcscd 未运行, 请联系维修", "pcscd does not run: call a technician"),
    ("unplugged", "读卡器未连接, 请插好", "it is not plugged in"),
    ("shared", "读卡器被其他程序占用", "another program holds it"),
    ("hung", "读卡器无响应, 请拔卡并重插读卡器", "it does not come back: pull the card, then plug it anew"),
    ("sam-slot", "安全模块卡槽, 不能插持卡人的卡", "a slot for security modules, not for cards"),
];

/// Words of `StateReasons`, `BlockedReasons` and `UpdateBlockers`.
const REASONS: &[(&str, &str, &str)] = &[
    ("not-supported", "本终端不支持此交易", "this terminal does not do that"),
    ("function-disabled", "此交易未开通", "this kind is switched off in the configuration"),
    ("storage-fault", "存储故障, 请联系维修", "the journal cannot be written: call a technician"),
    ("identity-changed", "终端参数已变更, 请先结算", "the terminal's identity changed: settle first"),
    ("keys-missing", "未装主密钥, 请联系维修", "no master key is loaded: call a technician"),
    ("parameters-missing", "未装芯片卡参数, 请联系维修", "no card parameters are loaded: call a technician"),
    ("download-incomplete", "参数下载未完成, 自动重试中", "a download is unfinished; it goes on by itself"),
    ("not-signed-on", "未签到, 请先签到", "not signed on to the bank: sign on first"),
    ("no-operator", "操作员未登录, 请先登录", "no operator: sign on first"),
    ("batch-mismatch", "批次与银行不一致, 请结算", "the bank counts another batch: settle"),
    ("batch-full", "交易笔数已满, 请先结算", "the batch is full: settle first"),
    ("settle-soon", "交易笔数将满, 请尽快结算", "the batch is nearly full: settle soon"),
    ("batch-closing", "正在结算, 请稍候", "the batch is being settled: wait"),
    ("host-unreachable", "无法连接银行, 请检查网络", "the bank cannot be reached: check the network"),
    ("reversal-pending", "有冲正待发送, 自动处理中", "a reversal is due and goes out by itself"),
    ("queue-paused", "上送已暂停, 请主管恢复", "uploads are paused: a supervisor must resume them"),
    ("queue-full", "离线交易已达上限, 请联网上送", "the offline limit is reached: connect and upload"),
    ("no-reader", "未接读卡器, 请检查连接", "no chip reader: plug it in"),
    ("no-printer", "未接打印机, 请检查连接", "no printer: plug it in"),
    ("printer-not-ready", "打印机未就绪, 请检查", "the printer is not ready: look at it"),
    ("paper-out", "打印机缺纸, 请装纸", "no paper: load a roll"),
    ("paper-low", "纸将用完, 请备纸", "the paper is nearly used up: have a roll ready"),
    ("clock-untrusted", "时钟不可信, 请签到校准", "the clock cannot be trusted: sign on to the bank"),
    ("certificate-expiring", "证书将到期, 请联系收单机构", "a certificate ends soon: call the acquirer"),
    ("signature-refused", "签名不符, 正在撤销", "a signature was refused: the sale is being undone"),
    ("restore-unconfirmed", "备份已恢复, 请主管确认", "restored from a backup: a supervisor must confirm"),
    ("config-invalid", "配置文件有误, 沿用旧配置", "the configuration is wrong: the last good one is in use"),
    ("transaction", "交易进行中", "a transaction runs"),
    ("starting", "正在启动", "starting"),
    ("stopping", "正在停止", "stopping"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every word that people may see has a Chinese and an English text, each its own.
    #[test]
    fn every_word_has_both_languages() {
        let whole = |texts: Vec<Bilingual>| {
            for (at, text) in texts.iter().enumerate() {
                assert!(!text.zh.is_ascii() && text.en.is_ascii() && !text.en.is_empty(), "{text:?}");
                assert!(!texts.iter().skip(at + 1).any(|other| other.zh == text.zh), "twice: {text:?}");
            }
        };
        whole(Kind::ALL.iter().map(|word| kind(*word)).collect());
        whole(TxnState::ALL.iter().map(|word| state(*word)).collect());
        whole(Outcome::ALL.iter().map(|word| outcome(*word)).collect());
        whole(EntryType::ALL.iter().map(|word| entry_type(*word)).collect());
        whole(QueueState::ALL.iter().map(|word| queue_state(*word)).collect());
        whole(REASONS.iter().filter_map(|(word, _, _)| reason(word)).collect());
        whole(READER_REASONS.iter().filter_map(|(word, _, _)| reader_reason(word)).collect());
        assert_eq!(reader_reason("held-by-scdaemon").unwrap().en, "scdaemon may hold it: end that program");
        assert_eq!(reason("no-such-word"), None);
    }
}
