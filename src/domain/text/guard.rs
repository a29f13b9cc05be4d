//! What to do where the terminal's security lacks something.
use super::Bilingual;
use crate::domain::guard::Guard;

/// What puts it right.
#[must_use]
pub fn fix(guard: Guard) -> Bilingual {
    let (zh, en) = match guard {
        Guard::FactoryPasswords => (
            "仍在使用出厂密码: posctl operator password NN",
            "a factory password stands: posctl operator password NN",
        ),
        Guard::RequireChange => (
            "出厂密码可直接登录: 设 [operators] require-change = true",
            "factory passwords open a session: set [operators] require-change = true",
        ),
        Guard::AccessControl => (
            "未使用 polkit, 由用户组决定: 设 [security] polkit = true",
            "groups decide, not polkit: set [security] polkit = true",
        ),
        Guard::MasterKey => ("没有主密钥: posctl host keys --load", "no master key: posctl host keys --load"),
        Guard::WorkingKeys => ("没有工作密钥: posctl host sign-on", "no working keys: posctl host sign-on"),
        Guard::Clock => ("时钟不可信: posctl host sign-on", "the clock is not trusted: posctl host sign-on"),
        Guard::Tls => (
            "线路未加密: 向收单机构索取 tls:// 地址",
            "the line is not encrypted: ask the acquirer for a tls:// endpoint",
        ),
        Guard::TlsPin => (
            "未绑定主机公钥: 设 [host] tls-pin-sha256",
            "the host's key is not pinned: set [host] tls-pin-sha256",
        ),
        Guard::User => ("以 root 运行: 请用所附 systemd 单元", "it runs as root: use the unit that ships"),
        Guard::StateDirectory => (
            "状态目录他人可读: chmod 700, 所有者 posd",
            "others can read the state directory: chmod 700, owner posd",
        ),
        Guard::StorageKey => (
            "存储密钥与数据同处一盘: 用 LoadCredentialEncrypted=storage-key",
            "the storage key lies beside the data: give it by LoadCredentialEncrypted=storage-key",
        ),
        Guard::Configuration => (
            "配置文件他人可写: chown root, chmod go-w",
            "others can write the configuration: chown root, chmod go-w",
        ),
        Guard::CoreDumps => (
            "崩溃时内存会写入文件: 请用所附 systemd 单元 (LimitCORE=0)",
            "a crash would write memory to a file: use the unit that ships (LimitCORE=0)",
        ),
        Guard::NoNewPrivileges => (
            "可取得新权限: 请用所附 systemd 单元 (NoNewPrivileges=yes)",
            "it could gain rights: use the unit that ships (NoNewPrivileges=yes)",
        ),
        Guard::Seccomp => (
            "系统调用未过滤: 请用所附 systemd 单元 (SystemCallFilter=)",
            "system calls are not filtered: use the unit that ships (SystemCallFilter=)",
        ),
        Guard::Capabilities => (
            "持有特权能力: 请用所附 systemd 单元 (CapabilityBoundingSet=)",
            "it holds capabilities: use the unit that ships (CapabilityBoundingSet=)",
        ),
        Guard::SystemReadOnly => (
            "系统文件可写: 请用所附 systemd 单元 (ProtectSystem=strict)",
            "the system's files can be written: use the unit that ships (ProtectSystem=strict)",
        ),
    };
    Bilingual::of(zh, en)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: each guard has its remedy in both languages, and they come in the order of their levels.
    #[test]
    fn every_guard_has_a_remedy() {
        for guard in Guard::ALL {
            let text = fix(*guard);
            assert!(!text.zh.is_ascii() && text.en.is_ascii(), "{text:?}");
        }
        assert!(Guard::ALL.is_sorted_by_key(|guard| guard.level()));
    }
}
