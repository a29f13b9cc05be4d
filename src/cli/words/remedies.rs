//! What to do about a reason of the terminal.
use super::Pair;

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
        "download-incomplete" => Pair(
            "参数下载未完成, 将自动继续: posctl host parameters --download",
            "a download is unfinished and goes on by itself; at once: posctl host parameters --download",
        ),
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
        "certificate-expiring" => Pair(
            "证书即将或已经到期, 请向收单机构索取新证书",
            "a certificate of the bank line ends soon or has ended: ask the acquirer for a new one",
        ),
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
        "restore-unconfirmed" => Pair(
            "流水由备份恢复, 核对后由主管确认: posctl backup confirm",
            "the journal was restored; check it, then a supervisor confirms: posctl backup confirm",
        ),
        "inhibited" => {
            Pair("维护中, 暂停新交易", "maintenance: new transactions are held back until it is over")
        }
        "config-unconfirmed" => Pair(
            "配置已更改, 待确认: posctl config confirm",
            "the configuration was changed and waits: posctl config confirm",
        ),
        "queue-paused" => Pair("上送已暂停: posctl queue resume", "the queue is held: posctl queue resume"),
        "queue-unresolved" => Pair(
            "有交易需人工处理: posctl queue list, posctl queue resolve",
            "entries wait for you: posctl queue list, then posctl queue resolve",
        ),
        "settling" => Pair("正在结算", "the batch is being settled"),
        "settlement-pending" => {
            Pair("结算未完成, 请继续: posctl settle", "a settlement was interrupted; go on: posctl settle")
        }
        _ => return None,
    })
}
