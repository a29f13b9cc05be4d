//! What to do when the way to the bank ends.
use super::Bilingual;
use crate::domain::way::WayCause;

/// The next step after this cause.
#[must_use]
pub fn next_step(cause: WayCause) -> Bilingual {
    let (zh, en) = match cause {
        WayCause::NoName => ("请检查主机名和 DNS", "check the host's name and the DNS of the network"),
        WayCause::NoConnection => ("请检查网络, 地址和端口", "check the link, the address and the port"),
        WayCause::Refused => (
            "主机拒绝连接, 请核对端口, 或稍后重试",
            "compare the port with the acquirer's paper, or try again later",
        ),
        WayCause::LinkGone => {
            ("该网络已断开, 请查看 posctl link list", "the link is gone: see posctl link list")
        }
        WayCause::Timeout => ("网络超时, 请检查线路后重试", "check the link and try again"),
        WayCause::Broken => ("连接中断, 请检查线路后重试", "the line broke: check the link and try again"),
        WayCause::TlsFiles => (
            "请检查 [host] tls-ca, tls-cert, tls-key 的文件",
            "put the file of [host] tls-ca, tls-cert or tls-key right",
        ),
        WayCause::NoTls => {
            ("对方端口不是 TLS, 请核对端口", "the port does not speak TLS: check the port with the acquirer")
        }
        WayCause::TlsVersion => (
            "主机须支持 TLS 1.2 或 1.3, 请联系收单机构",
            "the host must speak TLS 1.2 or 1.3: call the acquirer",
        ),
        WayCause::UnknownCa => (
            "证书不是所配 CA 签发, 可能有人截听: 请勿交易, 与收单机构核对 tls-ca",
            "somebody may listen in: do not trade, compare tls-ca with the acquirer's CA",
        ),
        WayCause::WrongName => (
            "证书不属于该主机, 请核对 endpoints 中的名称",
            "compare the name in endpoints with the acquirer's paper",
        ),
        WayCause::Expired => {
            ("主机证书已过期, 请联系收单机构", "call the acquirer: the host needs a new certificate")
        }
        WayCause::NotYetValid => (
            "主机证书尚未生效, 请核对终端时钟, 再联系收单机构",
            "check this terminal's clock, then call the acquirer",
        ),
        WayCause::Clock => ("终端时钟不可信, 请先校时再重试", "set this terminal's clock, then try again"),
        WayCause::PinMismatch => (
            "主机公钥与 tls-pin-sha256 不符: 请勿交易, 与收单机构核对指纹",
            "do not trade: compare the fingerprint with the acquirer, then put it into tls-pin-sha256",
        ),
        WayCause::ClientRefused => (
            "主机不接受终端证书, 请检查 tls-cert 和 tls-key, 或联系收单机构",
            "check tls-cert and tls-key, or have the acquirer register this terminal's certificate",
        ),
        WayCause::Tls => ("TLS 握手失败, 请联系收单机构", "call the acquirer"),
    };
    Bilingual::of(zh, en)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every cause has a next step of its own in both languages.
    #[test]
    fn every_cause_has_its_own_next_step() {
        let steps: Vec<Bilingual> = WayCause::ALL.iter().map(|cause| next_step(*cause)).collect();
        for (at, step) in steps.iter().enumerate() {
            assert!(!step.zh.is_ascii() && step.en.is_ascii() && !step.en.is_empty(), "{step:?}");
            assert!(!steps.iter().skip(at + 1).any(|other| other == step), "twice: {step:?}");
        }
    }
}
