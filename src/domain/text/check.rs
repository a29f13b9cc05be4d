//! What a self-test found, for people: the cause, and what to do about it.
use super::{Bilingual, link, way};
use crate::domain::checks::Reason;
use crate::domain::way::WayCause;

/// Cause and next step of a reason; a word that nobody knows stands for itself.
#[must_use]
pub fn reason(word: &str) -> Bilingual {
    if let Some(known) = Reason::from_word(word) {
        return of(known);
    }
    let of_way = WayCause::from_word(word).map(way::next_step);
    of_way.or_else(|| link::reason(word)).unwrap_or_else(|| Bilingual::of(word, word))
}

fn of(reason: Reason) -> Bilingual {
    let (zh, en) = match reason {
        Reason::Busy => ("正在使用, 未检测: 请稍后重试", "in use and not tested: try again when it is free"),
        Reason::Absent => ("未找到设备: 请检查连线和电源", "not found: check cable and power"),
        Reason::NotConfigured => {
            ("未配置: 如有该设备, 请修改 posd.toml", "not configured: if there is one, put it into posd.toml")
        }
        Reason::NoAnswer => {
            ("限时内无应答: 请重启设备后重试", "no answer in time: restart the device, then try again")
        }
        Reason::NotReady => {
            ("设备未就绪: 请检查连线, 电源和指示灯", "not ready: check cable, power and its lights")
        }
        Reason::PaperOut => ("缺纸: 请装纸", "no paper: load a roll"),
        Reason::CoverOpen => ("盖子打开: 请合上", "the cover is open: close it"),
        Reason::CutterError => ("切刀卡住: 请关机清理", "the cutter is stuck: switch off and clear it"),
        Reason::Overheated => ("打印头过热: 请等待冷却", "the head is too hot: let it cool down"),
        Reason::Unconfirmed => {
            ("测试页未确认打完: 请查看打印纸", "the end of the test page is not proven: look at the paper")
        }
        Reason::HostTimeout => (
            "已连接但主机无应答: 请稍后重试, 或联系收单机构",
            "connected, but the host does not answer: try again later, or call the acquirer",
        ),
        Reason::HostFailed => (
            "主机应答有误: 请核对 [host] 配置, 或联系收单机构",
            "the host answers wrongly: compare [host] with the acquirer's paper, or call the acquirer",
        ),
        Reason::NoLink => {
            ("没有已连接的网络: posctl link list", "no link is connected: see posctl link list")
        }
        Reason::NotWritable => (
            "状态目录不可写: 请检查磁盘和文件权限",
            "the state directory cannot be written: check the disk and its file modes",
        ),
        Reason::NearlyFull => ("磁盘将满: 请清理空间", "the disk is nearly full: free some space"),
        Reason::Damaged => (
            "流水文件损坏: 请停止交易, 由技术员恢复备份: posctl backup restore",
            "the journal is damaged: stop trading, a technician restores a copy: posctl backup restore",
        ),
        Reason::StorageFault => ("存储故障: 请联系维修", "storage fault: call a technician"),
        Reason::ClockUntrusted => (
            "时钟不可信: 请签到校时, posctl host sign-on",
            "the clock is not trusted: sign on, posctl host sign-on",
        ),
        Reason::PcscdAbsent => {
            ("读卡服务未运行: systemctl start pcscd", "pcscd does not run: systemctl start pcscd")
        }
        Reason::Unplugged => ("读卡器未连接: 请插好", "the card reader is not plugged in: plug it in"),
        Reason::Hung => {
            ("读卡器停止响应: 请拔卡, 重插读卡器", "the reader hangs: take the card out, replug the reader")
        }
        Reason::Shared => ("读卡器被其他程序占用: 请结束该程序", "another program holds the reader: end it"),
    };
    Bilingual::of(zh, en)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::link::LinkReason;

    /// Goal: every word that a finding can carry has a cause and a next step in both languages.
    #[test]
    fn every_reason_has_cause_and_next_step() {
        let ours = Reason::ALL.iter().map(|word| word.word());
        let ours = ours.chain(WayCause::ALL.iter().map(|word| word.word()));
        for word in ours.chain(LinkReason::ALL.iter().map(|word| word.word())) {
            let text = reason(word);
            assert!(!text.zh.is_ascii() && text.en.is_ascii() && text.en != word, "{word}: {text:?}");
        }
        assert_eq!(reason("new-word").en, "new-word");
    }
}
