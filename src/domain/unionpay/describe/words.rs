//! Names for people: elements in Chinese, message types, field 60, processing codes, entry modes, header digits.
//!
//! Source: public terminal code as [`super::super`] says; Spec: unverified.
use crate::domain::text::Bilingual;

/// Chinese and English.
pub(super) type Words = (&'static str, &'static str);

pub(super) fn pair((zh, en): Words) -> Bilingual {
    Bilingual::of(zh, en)
}

/// The name of a data element in Chinese; `None` where only the English one is known.
pub(super) const fn element_zh(number: u8) -> Option<&'static str> {
    Some(match number {
        2 => "主账号",
        3 => "交易处理码",
        4 => "交易金额",
        5 => "清算金额",
        6 => "持卡人账单金额",
        7 => "传输日期时间",
        11 => "系统跟踪号(流水号)",
        12 => "本地交易时间",
        13 => "本地交易日期",
        14 => "卡有效期",
        15 => "清算日期",
        18 => "商户类型",
        19 => "受理机构国家代码",
        22 => "服务点输入方式",
        23 => "卡序列号",
        24 => "网络标识",
        25 => "服务点条件码",
        26 => "PIN获取码",
        28 => "交易费",
        32 => "受理机构标识",
        33 => "发送机构标识",
        34 => "扩展主账号",
        35 => "二磁道数据",
        36 => "三磁道数据",
        37 => "检索参考号",
        38 => "授权标识应答码",
        39 => "应答码",
        41 => "终端标识",
        42 => "商户标识",
        43 => "商户名称地址",
        44 => "附加响应数据",
        45 => "一磁道数据",
        47 => "附加数据(国内)",
        48 => "附加数据-私有",
        49 => "交易货币代码",
        50 => "清算货币代码",
        51 => "账单货币代码",
        52 => "个人标识码密文",
        53 => "安全控制信息",
        54 => "附加金额(余额)",
        55 => "IC卡数据域",
        57 => "收单方自定义",
        58 => "电子钱包数据",
        59 => "自定义域(TLV)",
        60 => "自定义域(类型/批次/管理码)",
        61 => "原始信息域",
        62 => "自定义域(按报文)",
        63 => "自定义域(操作员/卡组织/文本)",
        64 | 128 => "报文鉴别码",
        70 => "网络管理信息码",
        90 => "原始数据元",
        96 => "报文安全码",
        100 => "接收机构标识",
        102 => "账户1",
        103 => "账户2",
        _ => return None,
    })
}

/// What the message type says.
pub(super) fn message_type(mti: &str) -> Words {
    match mti {
        "0100" => ("授权请求", "authorisation request"),
        "0110" => ("授权应答", "authorisation response"),
        "0200" => ("金融交易请求", "financial request"),
        "0210" => ("金融交易应答", "financial response"),
        "0220" => ("金融通知请求", "financial advice"),
        "0230" => ("金融通知应答", "financial advice response"),
        "0320" => ("批上送请求", "batch upload"),
        "0330" => ("批上送应答", "batch upload response"),
        "0400" => ("冲正请求", "reversal"),
        "0410" => ("冲正应答", "reversal response"),
        "0420" => ("冲正通知请求", "reversal advice"),
        "0430" => ("冲正通知应答", "reversal advice response"),
        "0500" => ("批结算请求", "settlement"),
        "0510" => ("批结算应答", "settlement response"),
        "0620" => ("脚本结果通知", "script result"),
        "0630" => ("脚本结果通知应答", "script result response"),
        "0800" => ("网络管理请求(签到/下载)", "management request (sign-on, downloads)"),
        "0810" => ("网络管理应答(签到/下载)", "management response (sign-on, downloads)"),
        "0820" => ("网络管理通知(签退/回响/查询)", "management request (sign-off, echo, lists)"),
        "0830" => ("网络管理通知应答", "management response (sign-off, echo, lists)"),
        _ => ("未知报文类型", "unknown message type"),
    }
}

/// 60.1.
pub(super) fn type_code(code: &str) -> Option<Words> {
    Some(match code {
        "00" => ("管理类", "management"),
        "01" => ("余额查询", "balance inquiry"),
        "03" => ("积分查询", "points balance"),
        "10" => ("预授权", "pre-authorisation"),
        "11" => ("预授权撤销", "pre-authorisation void"),
        "20" => ("预授权完成(请求)", "completion request"),
        "21" => ("预授权完成撤销", "completion void"),
        "22" => ("消费", "sale"),
        "23" => ("消费撤销", "void"),
        "24" => ("预授权完成(通知)", "completion advice"),
        "25" => ("退货", "refund"),
        "27" => ("电子现金脱机退货", "e-cash offline refund"),
        "30" => ("离线结算", "offline sale"),
        "32" => ("结算调整", "adjustment"),
        "34" => ("小费调整", "tip adjustment"),
        "36" => ("IC卡脱机消费上送", "upload of a sale that the chip approved"),
        "40" | "41" | "42" => ("电子钱包圈存", "e-purse load"),
        "45" => ("指定账户圈存", "e-cash load, own account"),
        "46" => ("现金充值", "e-cash load, cash"),
        "47" => ("非指定账户圈存", "e-cash load, other account"),
        "48" | "49" => ("磁条卡充值", "magnetic-stripe load"),
        "51" => ("现金充值撤销", "void of a cash load"),
        "53" => ("预约消费撤销", "appointment void"),
        "54" => ("预约消费", "appointment sale"),
        _ => return None,
    })
}

/// 60.3.
pub(super) fn management_code(code: &str) -> Option<Words> {
    Some(match code {
        "000" => ("金融交易", "transaction"),
        "001" => ("签到, 单DES密钥", "sign-on, single DES keys"),
        "002" => ("签退", "sign-off"),
        "003" => ("签到, 3DES密钥", "sign-on, 3DES keys"),
        "004" => ("签到, 3DES密钥含磁道密钥", "sign-on, 3DES keys with a track key"),
        "005" => ("签到, SM4密钥", "sign-on, SM4 keys"),
        "006" => ("签到, SM4密钥含磁道密钥", "sign-on, SM4 keys with a track key"),
        "201" => ("批结算/磁条明细上送", "settlement or magnetic-stripe detail"),
        "202" => ("批上送结束, 对账不平", "end of upload, totals disagreed"),
        "203" => ("TC上送, 对账平", "TC upload, totals agreed"),
        "204" => ("IC卡失败/ARPC错上送, 对账平", "upload of chip failures, totals agreed"),
        "205" => ("TC上送, 对账不平", "TC upload, totals disagreed"),
        "206" => ("IC卡失败/ARPC错上送, 对账不平", "upload of chip failures, totals disagreed"),
        "207" => ("批上送结束, 对账平", "end of upload, totals agreed"),
        "301" => ("回响测试", "echo test"),
        "350" => ("远程主密钥: 上送传输密钥", "remote master key: transport key"),
        "351" => ("远程主密钥: 启用", "remote master key: activation"),
        "352" => ("远程主密钥: 请求公钥", "remote master key: public key wanted"),
        "360" => ("终端参数下载", "terminal parameters"),
        "361" => ("终端参数下载结束", "end of terminal parameters"),
        "362" => ("终端状态上送", "terminal state"),
        "364" => ("TMS参数下载", "TMS parameters"),
        "365" => ("TMS参数下载结束", "end of TMS parameters"),
        "370" => ("CA公钥下载", "CA key download"),
        "371" => ("CA公钥下载结束", "end of the CA key download"),
        "372" => ("CA公钥列表查询", "list of CA keys"),
        "373" => ("SM2公钥下载", "SM2 key download"),
        "380" => ("IC卡参数下载", "application parameters"),
        "381" => ("IC卡参数下载结束", "end of application parameters"),
        "382" => ("IC卡参数列表查询", "list of applications"),
        "390" => ("卡黑名单下载", "card blacklist"),
        "391" => ("卡黑名单下载结束", "end of the card blacklist"),
        "394" => ("非接参数下载", "contactless parameters"),
        "395" => ("非接参数下载结束", "end of contactless parameters"),
        "396" | "398" => ("免密BIN表下载", "list of BINs without PIN"),
        "397" | "399" => ("免密BIN表下载结束", "end of the list of BINs"),
        "401" => ("收银员积分签到", "points sign-on"),
        "951" => ("发卡行脚本结果通知", "issuer script result"),
        code if code.starts_with("80") => ("电子签名上送", "electronic signature"),
        _ => return None,
    })
}

/// Digits 1 and 2 of DE 3.
pub(super) fn processing_code(code: &str) -> Option<Words> {
    Some(match code {
        "00" => ("消费/完成", "goods and services"),
        "03" => ("预授权", "pre-authorisation"),
        "17" => ("现金充值撤销", "void of a cash load"),
        "20" => ("撤销/退货", "void or refund"),
        "31" | "30" => ("余额查询", "balance inquiry"),
        "60" => ("指定账户圈存", "load from the own account"),
        "62" => ("非指定账户圈存", "load from another account"),
        "63" => ("现金充值", "cash load"),
        _ => return None,
    })
}

/// Digits 1 and 2 of DE 22.
pub(super) fn entry_mode(code: &str) -> Option<Words> {
    Some(match code {
        "00" => ("未指明", "unspecified"),
        "01" => ("手工输入", "manual"),
        "02" => ("磁条", "magnetic stripe"),
        "03" | "04" => ("扫码", "scanned code"),
        "05" => ("接触式IC卡", "chip"),
        "07" => ("非接IC卡(快速)", "contactless (quick)"),
        "80" => ("降级刷卡(fallback)", "magnetic stripe after the chip failed"),
        "90" => ("磁条(可信)", "magnetic stripe, whole track"),
        "91" => ("非接磁条", "contactless magnetic stripe"),
        "92" => ("预约", "appointment"),
        "95" => ("接触式IC卡(数据不可靠)", "chip, data unreliable"),
        "96" => ("电话", "phone"),
        "98" => ("非接PBOC", "contactless, full"),
        _ => return None,
    })
}

/// Digit 3 of DE 22.
pub(super) fn pin_ability(code: &str) -> Option<Words> {
    Some(match code {
        "0" => ("未指明PIN", "PIN unspecified"),
        "1" => ("含PIN", "with PIN"),
        "2" => ("不含PIN", "without PIN"),
        _ => return None,
    })
}

/// DE 25.
pub(super) fn condition(code: &str) -> Option<Words> {
    Some(match code {
        "00" => ("正常", "normal"),
        "06" => ("预授权类", "pre-authorisation family"),
        "08" => ("邮购消费", "mail order sale"),
        "18" => ("邮购预授权", "mail order pre-authorisation"),
        "60" => ("追加预授权", "addition to a pre-authorisation"),
        "64" => ("分期付款", "instalment"),
        "65" => ("积分", "points"),
        "66" => ("账户圈存", "account load"),
        "67" => ("预约", "appointment"),
        "91" => ("电子现金圈存", "e-cash load"),
        _ => return None,
    })
}

/// DE 39 of a reversal.
pub(super) fn reversal_reason(code: &str) -> Option<Words> {
    Some(match code {
        "98" => ("未收到应答(超时)", "no answer in time"),
        "96" | "06" => ("终端处理异常或卡片拒绝", "the terminal or the card could not complete it"),
        "A0" => ("应答MAC错", "MAC of the answer was wrong"),
        "17" => ("用户取消", "cancelled by the customer"),
        _ => return None,
    })
}

/// Digit 6 of the header: what the host wants.
pub(super) fn header_request(digit: char) -> Words {
    match digit {
        '0' => ("无处理要求", "no request"),
        '1' => ("要求下载终端参数", "download terminal parameters"),
        '2' => ("要求上传终端状态", "upload the terminal state"),
        '3' => ("要求重新签到", "sign on again"),
        '4' => ("要求下载CA公钥", "download CA keys"),
        '5' => ("要求下载IC卡参数", "download application parameters"),
        '6' => ("要求TMS更新", "update by TMS"),
        '7' => ("要求下载卡黑名单", "download the card blacklist"),
        _ => ("未知处理要求", "unknown request"),
    }
}

/// Digits 1 and 2 of the header.
pub(super) fn application_type(code: &str) -> Words {
    match code {
        "60" => ("磁条卡/IC卡支付应用", "payment, stripe and chip"),
        "61" => ("含IC卡支付应用", "payment with chip"),
        _ => ("收单方自定义应用", "acquirer's own application"),
    }
}
