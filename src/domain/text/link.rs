//! Links for people: their states and what to do about each reason.
use super::Bilingual;
use crate::domain::link::{LinkReason, LinkState};

/// A state of the contract; an unknown one as it is.
#[must_use]
pub fn state(word: &str) -> Bilingual {
    let (zh, en) = match LinkState::from_word(word) {
        Some(LinkState::Unavailable) => ("不可用", "unavailable"),
        Some(LinkState::Disconnected) => ("未连接", "disconnected"),
        Some(LinkState::Connecting) => ("连接中", "connecting"),
        Some(LinkState::Connected) => ("已连接", "connected"),
        None => (word, word),
    };
    Bilingual::of(zh, en)
}

/// What a reason of the contract means, and the next step; `None` for an empty or unknown one.
#[must_use]
pub fn reason(word: &str) -> Option<Bilingual> {
    let (zh, en) = match LinkReason::from_word(word)? {
        LinkReason::NoCarrier => ("网线未接好, 请检查网线", "no carrier: check the cable at both ends"),
        LinkReason::RadioOff => ("无线已关闭, 请打开", "the radio is off: switch it on"),
        LinkReason::Unmanaged => {
            ("已被人工断开, 请用 nmcli 连接", "disconnected by hand: connect it with nmcli")
        }
        LinkReason::NoSim => ("没有 SIM 卡, 请插卡", "no SIM: put one in"),
        LinkReason::SimLocked => {
            ("SIM 卡要求 PIN 码, 请技术员输入", "the SIM wants its PIN: a technician must enter it")
        }
        LinkReason::SimBlocked => {
            ("SIM 卡已锁, 需要 PUK 码, 请联系运营商", "the SIM is blocked: get its PUK from the operator")
        }
        LinkReason::Denied => {
            ("网络拒绝此 SIM 卡, 请联系运营商", "the network refuses this SIM: call the operator")
        }
        LinkReason::Searching => {
            ("正在搜索网络, 请等待或移动终端", "looking for the network: wait, or move the terminal")
        }
        LinkReason::ModemFailed => {
            ("通信模块故障, 请重启终端", "the modem does not work: restart the terminal")
        }
        LinkReason::WrongSecret => {
            ("无线密码错误, 请重新输入", "the password of the network is wrong: type it again")
        }
        LinkReason::AccessPointGone => {
            ("找不到无线网络, 请检查路由器或热点", "the access point is gone: check router or hotspot")
        }
        LinkReason::NoAddress => ("未获得地址, 请重启路由器", "nobody gives an address: restart the router"),
        LinkReason::Portal => (
            "该网络要求网页登录, 请先登录或换网络",
            "the network wants a log-on in a browser: log on, or use another",
        ),
        LinkReason::Silent => {
            ("已连接但银行无应答, 正在处理", "connected, but the bank does not answer over it")
        }
        LinkReason::Unstable => ("时断时续, 暂不优先使用", "it comes and goes: not preferred for a while"),
        LinkReason::Failed => {
            ("连接失败, 请查看网络管理日志", "it cannot be connected: see the log of NetworkManager")
        }
    };
    Some(Bilingual::of(zh, en))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every state and reason has words of its own in both languages.
    #[test]
    fn every_reason_has_its_words() {
        let mut seen = std::collections::BTreeSet::new();
        let reasons = LinkReason::ALL.iter().filter_map(|word| reason(word.word()));
        for text in reasons.chain(LinkState::ALL.iter().map(|word| state(word.word()))) {
            assert!(!text.zh.is_ascii() && text.en.is_ascii() && seen.insert(text.en.clone()), "{text:?}");
        }
        assert_eq!(seen.len(), LinkReason::ALL.len() + LinkState::ALL.len());
        assert!(reason("").is_none());
    }
}
