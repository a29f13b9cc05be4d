//! Labels, questions and notices.
use super::Pair;

macro_rules! pairs {
    ($($name:ident = $zh:literal, $en:literal;)+) => {
        $(pub(crate) const $name: Pair = Pair($zh, $en);)+
        #[cfg(test)]
        const ALL: &[Pair] = &[$($name),+];
    };
}

pairs! {
    DIALECT = "方言", "Dialect";
    TPDU = "TPDU", "TPDU";
    HEADER = "报文头", "Header";
    BYTES = "字节", "bytes";
    UNMASKED = "注意: 以下显示完整卡片数据与密钥, 请勿留存于日志", "careful: card data and keys are shown in clear; keep this out of logs";
    STATUS_LEFT_OUT = "末尾状态字 9000 未计入列表", "the status word 9000 at the end is not in the list";
    PAN = "主账号", "PAN";
    LUHN_GOOD = "校验位正确", "check digit right";
    LUHN_BAD = "校验位错误", "check digit wrong";
    EXPIRY = "有效期(YYMM)", "Expiry (YYMM)";
    SERVICE_CODE = "服务码", "Service code";
    DISCRETIONARY = "发卡行自定义", "Discretionary";
    LRC = "纵向校验LRC", "LRC";
    RIGHT = "正确", "right";
    WRONG = "错误", "wrong";
    MISSING = "缺失", "missing";
    HISTORICAL = "历史", "HIST";
    TCK_NOT_WANTED = "无(仅T=0)", "none (T=0 alone)";
    ATR_FITS = "符合EMV要求", "As EMV wants it";
    ATR_DEPARTS = "与EMV不符:", "Departs from EMV:";
    PRINTED = "文本", "text";
    NOT_KNOWN = "未知字节", "unknown bytes";
    UNKNOWN_PIECES = "未知指令数(其参数可能显示为文本)", "Unknown commands (their parameters may stand there as text)";
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
    HOST_CERTIFICATE = "主机证书有效期至", "host certificate ends";
    OWN_CERTIFICATE = "终端证书有效期至", "own certificate ends";
    STAGE_DNS = "域名解析", "DNS";
    STAGE_TCP = "TCP 连接", "TCP";
    STAGE_TLS = "TLS 握手", "TLS";
    STAGE_ECHO = "回响", "Echo";
    STAGE_FAILED = "失败", "failed";
    EMPTY = "空", "empty";
    ENTRIES = "笔待上送", "waiting";
    REVERSALS = "笔冲正", "reversals";
    UNRESOLVED = "笔待处理", "to be resolved by hand";
    PAUSED = "已暂停", "paused";
    TRANSACTIONS = "笔", "transactions";
    LINK = "网络", "Link";
    INTERFACE = "接口", "Interface";
    SIGNAL = "信号", "Signal";
    OPERATOR_NAME = "运营商", "Network operator";
    ADDRESS = "地址", "Address";
    ACQUIRER = "银行", "Acquirer";
    ANSWERS = "有应答", "answers";
    NOT_PROVEN = "未证实", "not proven";
    NO_LINKS = "无网络设备信息: NetworkManager 未运行, 或未启用", "no link is known: NetworkManager is not used here";
    NETWORK = "无线网络", "Network";
    PROTECTION = "加密", "Protection";
    SECURED = "有密码", "password";
    OPEN_NETWORK = "开放", "open";
    WIFI_PASSWORD = "无线密码", "Wi-Fi password";
    CARD_IN = "有卡", "card in";
    NO_CARD = "无卡", "no card";
    ONLINE = "在线", "online";
    OFFLINE = "离线", "offline";
    PAPER = "纸", "paper";
    COVER = "盖", "cover";
    MODEL = "型号", "Model";
    DEVICE = "接口", "Device";
    PAPER_LABEL = "纸", "Paper";
    COVER_LABEL = "盖", "Cover";
    CUTTER = "切刀", "Cutter";
    TOO_HOT = "打印头过热, 请稍候", "the head is too hot: wait a moment";
    WIDTH = "行宽", "Width";
    PROOF = "打印证明", "Proof";
    QUIRKS = "已应对", "Works around";
    WAITING_JOBS = "等待", "Waiting";
    SLIPS = "已打印", "Slips";
    LOOK_AT_TEST_PAGE = "请看测试页: 数字行须到纸边, 不换行; 汉字清楚, 无方框无问号; 纸已切断",
        "look at the page: the digits reach the edge on one line; Chinese is legible; the paper is cut";
    ASK_COLUMNS = "第一行最后一个数字是 (如 32 或 48): ", "last number on the first line (such as 32 or 48): ";
    ASK_CHINESE = "第二行是 汉字 ABC 吗? (是/否): ",
        "are there two Chinese characters before ABC on the second line? (yes/no): ";
    ASK_CUTTER = "纸切断了吗? (是/否): ", "was the paper cut? (yes/no): ";
    QUIRK_NEXT = "文件放入 /etc/posd/quirks/ 后 posd 重启即生效",
        "put the file into /etc/posd/quirks/; posd reads it at its next start";
    DRAWER_OPENED = "钱箱已打开", "the drawer opens";
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
    DONE = "完成", "done";
    ASK_PASSWORD = "密码: ", "Password: ";
    ASK_OLD_PASSWORD = "原密码: ", "Old password: ";
    ASK_NEW_PASSWORD = "新密码: ", "New password: ";
    ASK_AGAIN = "再输一次: ", "Once more: ";
    ASK_PIN = "请输入密码 (直接回车为无密码, Ctrl-D 取消): ", "PIN (Enter alone for none, Ctrl-D cancels): ";
    ASK_PIN_STRICT = "请输入密码 (Ctrl-D 取消): ", "PIN (Ctrl-D cancels): ";
    TRIES_LEFT = "密码剩余次数: ", "PIN tries left: ";
    LAST_TRY = "最后一次机会, 再错卡片将被锁定\n", "Last try: one more wrong PIN blocks the card\n";
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
    BALANCE = "余额", "Balance";
    ROLE = "角色", "Role";
    SIGNED_ON_NOW = "当前登录", "signed on";
    LOCKED = "已锁定", "locked";
    ASK_MASTER_KEY = "主密钥 (32位十六进制): ", "Master key (32 hex digits): ";
    REPLACE_MASTER_KEY = "更换主密钥, 工作密钥随之失效", "Replace the master key; the working keys go with it";
    MASTER_KEY_LOADED = "已装载主密钥, 校验值", "master key loaded, check value";
    PARAMETER_VERSION = "参数版本", "parameters";
    FROM_FILES = "未下载, 使用本机文件", "none downloaded; the files hold";
    KEYS_LOADED_AT = "工作密钥装载时间", "working keys of";
    NO_KEYS = "没有密钥, 请先装载主密钥: posctl host keys --load", "no keys; load the master key: posctl host keys --load";
    OPERATOR_ADDED = "已增加操作员", "added operator";
    OPERATOR_REMOVED = "已删除操作员", "removed operator";
    OPERATOR_UNLOCKED = "已解锁操作员", "unlocked operator";
    REMOVE_OPERATOR = "删除操作员", "Remove operator";
    NEEDS_SUPERVISOR = "需要主管授权", "A supervisor has to allow it";
    ASK_CERTAIN = "不可撤销, 确认吗? [y/n] ", "This cannot be taken back. Go on? [y/n] ";
    FORCE_CLOSE = "未得到主机对账结果, 强制结束批次", "Close the batch without the bank's verdict";
    RESTORE = "用备份替换当前流水:", "Put this copy in the place of the journal:";
    RESTORE_UNCONFIRMED = "请核对: posctl queue list, posctl txn list; 无误后: posctl backup confirm",
        "look at: posctl queue list, posctl txn list; then go on with: posctl backup confirm";
    RESTORE_CONFIRMED = "已确认, 可以交易", "confirmed; trading goes on";
    QUEUE_PAUSED = "已暂停上送, 恢复: posctl queue resume", "the queue is held; go on with: posctl queue resume";
    QUEUE_RESUMED = "已恢复上送", "the queue goes on";
    PARKED = "笔搁置", "put aside";
    STORED = "脱机待送", "Offline";
    REMAINING = "脱机余量", "room left";
    TRIES = "次", "tries";
    SINCE = "时间", "Since";
    MORE = "还有更多", "more";
    CARDS = "卡别", "Cards";
    COUNT = "笔数", "Count";
    VOIDED = "其中撤销", "Voided of it";
    REASON = "原因", "Reason";
    TRANSACTION_NAME = "交易", "Transaction";
    SUSPECTS = "请先核对以下交易:", "Look at these first:";
    EARLIER = "先前交易", "Earlier";
    RESULT = "结论", "Result";
    TIMELINE = "经过", "What happened";
    REQUEST = "请求报文", "Request";
    ANSWER = "应答报文", "Answer";
    CHIP = "芯片数据", "Chip";
    OBLIGATIONS = "上送与冲正", "Owed to the bank";
    PRINTS = "打印", "Slips";
    FOLLOW_UPS = "后续交易", "What followed";
    ORIGINAL = "原交易", "Original";
    COPY = "重印", "copy";
    ORIGINAL_PLY = "原单", "original";
    CLOSED_BY = "人工处理", "resolved by hand";
    PART = "部件", "Part";
    WELL = "正常", "ok";
    NOT_WELL = "异常", "FAILED";
    NOT_MET = "未达", "not met";
    LEVEL = "级", "Level";
    GUARD = "项目", "Item";
    EVIDENCE = "依据", "Seen";
    KEY = "键", "Key";
    VALUE = "值", "Value";
    CHANGE_WAITS = "已生效, 请在限时内确认:", "in use; confirm it in time, or it is taken back:";
    CHANGE_KEPT = "已保存", "kept";
    CHANGE_BACK = "已撤回", "taken back";
    LISTENING = "正在监听, 以 Ctrl-C 结束", "listening; end it with Ctrl-C";
    NOTHING_FOUND = "未发现问题", "nothing to complain of";
    SOURCE = "来源", "Source";
    JOIN_GROUP = "没有权限: 请加入 posd-cashier 组, 并检查 polkit", "not allowed: join group posd-cashier, and check polkit";
    WHAT_TO_DO = "说明", "What was seen, what to do";
    READER_RESET = "已重置读卡器", "the reader was reset";
    MATCHED = "相符", "Matched";
    TERMINAL_SUM = "终端合计", "Terminal";
    BANK_SUM = "银行合计", "Bank";
    DIFFERENCE = "差额", "Difference";
    NOT_STORED = "尚无记录", "nothing is stored yet";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_both_languages() {
        for pair in ALL {
            assert!(!pair.0.is_empty() && !pair.1.is_empty() && pair.1.is_ascii(), "{pair:?}");
            // The field's own word is the same in both.
            assert!(!pair.0.is_ascii() || pair.0 == "TPDU", "{pair:?}");
        }
    }
}
