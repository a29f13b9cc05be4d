//! The words of posctl in Chinese and English: labels, notices, refusals. Results and prompts of a transaction come
//! from the daemon in both languages; what stands here is only what posctl says itself.
use crate::domain::fault::FaultName;
use clap::ValueEnum;

/// The language of what people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// Chinese, simplified.
    Zh,
    /// English.
    En,
}

impl Lang {
    /// From the value of LC_ALL, LC_MESSAGES or LANG: `zh_CN.UTF-8` is Chinese, all else English.
    pub(crate) fn from_locale(locale: &str) -> Self {
        if locale.starts_with("zh") { Self::Zh } else { Self::En }
    }

    /// The key in `text` dictionaries of the bus.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// One of two texts.
    pub(crate) const fn of(self, pair: Pair) -> &'static str {
        match self {
            Self::Zh => pair.0,
            Self::En => pair.1,
        }
    }
}

/// The same in Chinese and in English.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair(pub(crate) &'static str, pub(crate) &'static str);

macro_rules! pairs {
    ($($name:ident = $zh:literal, $en:literal;)+) => {
        $(pub(crate) const $name: Pair = Pair($zh, $en);)+
        #[cfg(test)]
        const ALL: &[Pair] = &[$($name),+];
    };
}

pairs! {
    TERMINAL = "终端", "Terminal";
    MERCHANT = "商户", "Merchant";
    OPERATOR = "操作员", "Operator";
    HOST = "主机", "Host";
    QUEUE = "待上送", "Queue";
    BATCH = "批次", "Batch";
    READER = "读卡器", "Reader";
    PRINTER = "打印机", "Printer";
    TRANSACTION = "当前交易", "Running";
    CLOCK = "时钟", "Clock";
    ATTENTION = "注意", "Attention";
    NONE = "无", "none";
    NOBODY = "未登录", "nobody signed on";
    SIGNED_ON = "已签到", "signed on";
    SIGNED_OFF = "未签到", "not signed on";
    REACHABLE = "可连接", "reachable";
    UNREACHABLE = "不可连接", "not reachable";
    LAST_EXCHANGE = "最近通讯", "last exchange";
    EMPTY = "空", "empty";
    ENTRIES = "笔待上送", "waiting";
    REVERSALS = "笔冲正", "reversals";
    UNRESOLVED = "笔待处理", "to be resolved by hand";
    PAUSED = "已暂停", "paused";
    TRANSACTIONS = "笔", "transactions";
    CARD_IN = "有卡", "card in";
    NO_CARD = "无卡", "no card";
    ONLINE = "在线", "online";
    OFFLINE = "离线", "offline";
    PAPER = "纸", "paper";
    COVER = "盖", "cover";
    JOBS_WAITING = "个打印任务等待", "jobs waiting";
    CLOCK_UNTRUSTED = "不可信, 签到后校准", "not trusted; a sign-on sets it right";
    ABSENT = "未连接", "not connected";
    TIME = "时间", "Time";
    KIND = "交易", "Kind";
    AMOUNT = "金额", "Amount";
    OUTCOME = "结果", "Outcome";
    TRACE = "流水号", "Trace";
    CARD = "卡号", "Card";
    RRN = "参考号", "RRN";
    AUTH_CODE = "授权码", "Auth code";
    RESPONSE_CODE = "应答码", "Response";
    STATE = "状态", "State";
    REQUEST_ID = "请求号", "Request id";
    CVM = "持卡人验证", "Verified by";
    ENTRY_MODE = "读卡方式", "Read by";
    NOTHING_TO_SHOW = "没有记录", "nothing to show";
    TYPE = "类型", "Type";
    ATTEMPTS = "次数", "Tries";
    LAST_ERROR = "最近错误", "Last error";
    DONE = "完成", "done";
    ASK_PASSWORD = "密码: ", "Password: ";
    ASK_OLD_PASSWORD = "原密码: ", "Old password: ";
    ASK_NEW_PASSWORD = "新密码: ", "New password: ";
    ASK_AGAIN = "再输一次: ", "Once more: ";
    ASK_PIN = "请输入密码 (直接回车为无密码, Ctrl-D 取消): ", "PIN (Enter alone for none, Ctrl-D cancels): ";
    ASK_PIN_STRICT = "请输入密码 (Ctrl-D 取消): ", "PIN (Ctrl-D cancels): ";
    ASK_CARD = "卡号正确吗? [y/n] ", "Is this the card? [y/n] ";
    ASK_SIGNATURE = "签名相符吗? [y/n] ", "Does the signature match? [y/n] ";
    ASK_DUPLICATE = "疑似重复交易, 继续吗? [y/n] ", "Looks like a duplicate; go on? [y/n] ";
    ASK_APPLICATION = "请选择应用 [1-", "Choose an application [1-";
    ASK_SUPERVISOR = "主管号: ", "Supervisor: ";
    DAEMON_GONE = "posd 已停止, 等待恢复; 结果将从记录中读取",
        "posd went away; waiting for it to come back and reading the outcome from its journal";
    DAEMON_BACK = "posd 已恢复", "posd is back";
    HELD = "打印机未就绪, 就绪后自动打印", "the printer is not ready; it prints by itself when it is";
    UNCONFIRMED = "打印未确认, 请检查纸张", "the end of the print is not proven; look at the paper";
    PASSWORD_CHANGED = "密码已修改", "password changed";
    OPERATOR_OFF = "操作员已签退", "operator signed off";
    CANCEL_ACCEPTED = "取消已受理", "cancel accepted";
    CANCEL_ALREADY = "已在取消", "cancel was accepted before";
    WRITTEN = "已写入", "written to";
}

/// A refusal in Chinese; English is what the daemon says.
pub(crate) fn refusal_zh(name: &str) -> Option<&'static str> {
    let text = match name {
        "DaemonUnreachable" => "无法连接 posd, 请检查服务: systemctl status posd",
        "Timeout" => "超时, 请稍后重试",
        "Usage" => "命令有误, 请看 posctl --help",
        "Interrupted" => "已脱离, 交易继续进行",
        "OutcomeUnknown" => "结果未知, 请勿重复收款, 先查询",
        _ => return FaultName::from_word(name).and_then(fault_zh),
    };
    Some(text)
}

/// Cause and next step for the refusals a shop meets.
const fn fault_zh(name: FaultName) -> Option<&'static str> {
    let text = match name {
        FaultName::InvalidArgument => "参数有误",
        FaultName::NotSupported => "此版本不支持",
        FaultName::NotFound => "没有找到",
        FaultName::Busy => "终端忙, 请等当前交易结束",
        FaultName::NotReady => "设备未就绪, 请检查后重试",
        FaultName::NotSignedOn => "未签到, 请先签到: posctl host sign-on",
        FaultName::OperatorRequired => "请操作员先登录: posctl operator sign-on",
        FaultName::NotAuthorized | FaultName::AuthenticationRequired => "没有权限",
        FaultName::LockedOut => "密码错误次数过多, 已锁定, 请找主管",
        FaultName::MustChangePassword => "初始密码须先修改: posctl operator password",
        FaultName::NoSuchOperator => "没有此操作员",
        FaultName::WrongPassword => "密码错误",
        FaultName::Cancelled => "已取消",
        FaultName::TooLate => "已发往银行, 不能取消",
        FaultName::AlreadyFinished => "交易已结束",
        FaultName::IdempotencyConflict => "请求号已用于另一笔交易, 请换号",
        FaultName::FunctionDisabled => "此功能未开通",
        FaultName::LimitExceeded => "超出限额, 请结算或找主管",
        FaultName::AmountInvalid => "金额有误",
        FaultName::CurrencyMismatch => "币种与终端不符",
        FaultName::BatchClosing => "正在结算, 请稍后",
        FaultName::ReversalPending => "冲正未完成, 请稍后",
        FaultName::DeviceAbsent => "设备未连接",
        FaultName::DeviceBusy => "设备被占用",
        FaultName::DeviceFault => "设备故障",
        FaultName::PaperOut => "缺纸, 请装纸",
        FaultName::NoLink => "无网络, 请检查网络",
        FaultName::HostUnreachable => "通讯失败, 请检查网络后重试",
        FaultName::HostTimeout => "通讯超时",
        FaultName::HostRejected => "银行拒绝",
        FaultName::ProtocolError | FaultName::MacError => "应答报文有误",
        FaultName::KeysMissing => "没有密钥, 请联系技术人员",
        FaultName::ParametersMissing => "没有卡参数, 请联系技术人员",
        FaultName::StorageFull | FaultName::StorageFault => "存储故障, 请联系维修",
        FaultName::WrongState => "当前状态不允许此操作",
        _ => return None,
    };
    Some(text)
}

/// What to do about a reason of the terminal; unknown words stand for themselves.
pub(crate) fn remedy(reason: &str) -> Option<Pair> {
    Some(match reason {
        "config-invalid" => Pair(
            "配置有误, 正使用上次的配置: posd --check-config",
            "bad configuration, the last good one is in use; run: posd --check-config",
        ),
        "not-signed-on" => Pair("请签到: posctl host sign-on", "sign on: posctl host sign-on"),
        "keys-missing" => Pair("没有主密钥, 请联系技术人员", "no master key: call a technician"),
        "parameters-missing" => Pair("没有卡参数, 请联系技术人员", "no card parameters: call a technician"),
        "settle-soon" => Pair("批次将满, 请结算", "the batch is nearly full: settle"),
        "batch-mismatch" => Pair("批次号与主机不一致, 请结算", "the host wants another batch number: settle"),
        "identity-changed" => {
            Pair("终端参数已变更, 请先结算", "terminal identity changed under an open batch: settle first")
        }
        "signature-refused" => {
            Pair("签名不符, 撤销未完成", "a signature was refused and its undo is not through yet")
        }
        "storage-fault" => Pair("存储故障, 请联系维修", "storage fault: call a technician"),
        "batch-full" => Pair("批次已满, 请结算", "the batch is full: settle"),
        "clock-untrusted" => {
            Pair("时钟不可信, 签到后校准", "the clock is not trusted: a sign-on sets it right")
        }
        "no-reader" => Pair("请连接读卡器", "connect the card reader"),
        "no-printer" => Pair("请连接打印机", "connect the printer"),
        "printer-not-ready" => {
            Pair("打印机未就绪, 请检查电源, 纸和盖", "the printer is not ready: check power, paper and cover")
        }
        "paper-low" => Pair("纸将用完", "paper is running out"),
        "paper-out" => Pair("缺纸, 请装纸", "no paper: load a roll"),
        "host-unreachable" => Pair("无法连接主机, 请检查网络", "the host cannot be reached: check the link"),
        "reversal-pending" => {
            Pair("有冲正未完成: posctl queue flush", "a reversal is due: posctl queue flush")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_both_languages() {
        for pair in ALL {
            assert!(!pair.0.is_empty() && !pair.1.is_empty() && pair.1.is_ascii(), "{pair:?}");
            assert!(!pair.0.is_ascii(), "{pair:?}");
        }
    }

    #[test]
    fn the_locale_chooses_the_language() {
        assert_eq!(Lang::from_locale("zh_CN.UTF-8"), Lang::Zh);
        assert_eq!(Lang::from_locale("de_DE.UTF-8"), Lang::En);
        assert_eq!(Lang::from_locale(""), Lang::En);
    }
}
