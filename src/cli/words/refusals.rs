//! Refusals in Chinese: cause and next step.
use crate::domain::fault::FaultName;

/// A refusal in Chinese; English is what the daemon says.
pub(crate) fn refusal_zh(name: &str) -> Option<&'static str> {
    let text = match name {
        "DaemonUnreachable" => "无法连接 posd, 请检查服务: systemctl status posd",
        "Timeout" => "超时, 请稍后重试",
        "Usage" => "命令有误, 请看 posctl --help",
        "Malformed" => "无法解析",
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
        FaultName::NotAuthorized | FaultName::AuthenticationRequired => "没有权限, 请主管授权",
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
        FaultName::OriginalNotFound => "没有找到原交易, 请核对流水号",
        FaultName::OriginalNotEligible => "原交易不能做此操作, 请查询原交易",
        FaultName::RefundExceedsOriginal => "退货金额超过可退金额",
        FaultName::StorageFull => "磁盘已满, 请联系技术人员",
        FaultName::ClockUntrusted => "时钟不可信, 请先签到",
        FaultName::AlreadyExists => "已存在",
        FaultName::TooMany => "数量已达上限, 请稍后",
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
        FaultName::StorageFault => "存储故障, 请联系维修",
        FaultName::WrongState => "当前状态不允许此操作",
        _ => return None,
    };
    Some(text)
}
