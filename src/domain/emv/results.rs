//! The terminal's and the card's bit fields, with a name for every bit: TVR, TSI, CVM results, CID, AIP.
//!
//! EMV 4.4 Book 3 Annex C1 (AIP), C4 (CVM results), C5 (TVR), C6 (TSI), §6.5.5.4 (CID). Spec: unverified.
use core::fmt;

macro_rules! bits {
    ($(#[$doc:meta])* $name:ident, $bit:ident, $length:literal {
        $($constant:ident = ($byte:literal, $mask:literal), $text:literal, $zh:literal;)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq)]
        pub struct $name([u8; $length]);

        #[doc = concat!("One named bit of [`", stringify!($name), "`].")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $bit(usize, u8);

        impl $name {
            $(#[doc = $text] #[doc = "."] pub const $constant: $bit = $bit($byte, $mask);)+
            const NAMES: &'static [($bit, &'static str)] = &[$((Self::$constant, $text)),+];
            const CHINESE: &'static [($bit, &'static str)] = &[$((Self::$constant, $zh)),+];

            /// Takes the bytes as they are.
            #[must_use]
            pub const fn new(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The bytes, for the data object.
            #[must_use]
            pub const fn bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// Sets a bit.
            pub fn set(&mut self, bit: $bit) {
                if let Some(byte) = self.0.get_mut(bit.0) {
                    *byte |= bit.1;
                }
            }

            /// True if the bit is set.
            #[must_use]
            pub fn has(self, bit: $bit) -> bool {
                self.0.get(bit.0).is_some_and(|byte| byte & bit.1 != 0)
            }

            /// The same in Chinese and in English.
            #[must_use]
            pub fn texts(self) -> Vec<(&'static str, &'static str)> {
                let both = Self::CHINESE.iter().zip(Self::NAMES);
                both.filter(|((bit, _), _)| self.has(*bit)).map(|((_, zh), (_, en))| (*zh, *en)).collect()
            }

            /// The names of the bits that are set, for people.
            #[must_use]
            pub fn names(self) -> Vec<&'static str> {
                Self::NAMES.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| *name).collect()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
            }
        }
    };
}

bits! {
    /// Terminal verification results (TVR), tag 95. EMV 4.4 Book 3 Annex C5.
    Tvr, TvrBit, 5 {
        ODA_NOT_PERFORMED = (0, 0x80), "offline data authentication was not performed", "未进行脱机数据认证";
        SDA_FAILED = (0, 0x40), "static data authentication failed", "静态数据认证失败";
        ICC_DATA_MISSING = (0, 0x20), "ICC data missing", "IC卡数据缺失";
        ON_EXCEPTION_FILE = (0, 0x10), "card appears on terminal exception file", "卡片出现在终端异常文件中";
        DDA_FAILED = (0, 0x08), "dynamic data authentication failed", "动态数据认证失败";
        CDA_FAILED = (0, 0x04), "combined data authentication failed", "复合动态数据认证失败";
        SDA_SELECTED = (0, 0x02), "static data authentication selected", "已选择静态数据认证";
        XDA_SELECTED = (0, 0x01), "extended data authentication selected", "已选择扩展数据认证";
        VERSIONS_DIFFER = (1, 0x80), "ICC and terminal have different application versions", "IC卡与终端应用版本不一致";
        EXPIRED = (1, 0x40), "expired application", "应用已失效";
        NOT_YET_EFFECTIVE = (1, 0x20), "application not yet effective", "应用尚未生效";
        SERVICE_NOT_ALLOWED = (1, 0x10), "requested service not allowed for card product", "卡片产品不允许所请求的服务";
        NEW_CARD = (1, 0x08), "new card", "新卡";
        CVM_FAILED = (2, 0x80), "cardholder verification was not successful", "持卡人验证失败";
        CVM_UNRECOGNISED = (2, 0x40), "unrecognised CVM", "未知的持卡人验证方法";
        PIN_TRY_LIMIT = (2, 0x20), "PIN try limit exceeded", "PIN重试次数超限";
        NO_PIN_PAD = (2, 0x10), "PIN entry required and PIN pad not present or not working",
            "要求输入PIN, 但密码键盘不存在或故障";
        PIN_NOT_ENTERED = (2, 0x08), "PIN entry required, PIN pad present, but PIN was not entered",
            "要求输入PIN, 密码键盘存在, 但未输入";
        ONLINE_PIN = (2, 0x04), "online PIN entered", "已输入联机PIN";
        OVER_FLOOR_LIMIT = (3, 0x80), "transaction exceeds floor limit", "交易超过最低限额";
        OVER_LOWER_LIMIT = (3, 0x40), "lower consecutive offline limit exceeded", "超过连续脱机交易下限";
        OVER_UPPER_LIMIT = (3, 0x20), "upper consecutive offline limit exceeded", "超过连续脱机交易上限";
        RANDOM_ONLINE = (3, 0x10), "transaction selected randomly for online processing", "交易被随机选择联机处理";
        FORCED_ONLINE = (3, 0x08), "merchant forced transaction online", "商户强制联机";
        XDA_FAILED = (3, 0x01), "extended data authentication signature failed", "扩展数据认证签名验证失败";
        DEFAULT_TDOL = (4, 0x80), "default TDOL used", "使用缺省TDOL";
        ISSUER_AUTHENTICATION_FAILED = (4, 0x40), "issuer authentication failed", "发卡行认证失败";
        SCRIPT_FAILED_BEFORE = (4, 0x20), "script processing failed before final GENERATE AC",
            "最后一次GENERATE AC之前脚本处理失败";
        SCRIPT_FAILED_AFTER = (4, 0x10), "script processing failed after final GENERATE AC",
            "最后一次GENERATE AC之后脚本处理失败";
    }
}

bits! {
    /// Transaction status information (TSI), tag 9B. EMV 4.4 Book 3 Annex C6.
    Tsi, TsiBit, 2 {
        ODA = (0, 0x80), "offline data authentication was performed", "已进行脱机数据认证";
        CVM = (0, 0x40), "cardholder verification was performed", "已进行持卡人验证";
        CARD_RISK = (0, 0x20), "card risk management was performed", "已进行卡片风险管理";
        ISSUER_AUTHENTICATION = (0, 0x10), "issuer authentication was performed", "已进行发卡行认证";
        TERMINAL_RISK = (0, 0x08), "terminal risk management was performed", "已进行终端风险管理";
        SCRIPTS = (0, 0x04), "script processing was performed", "已进行脚本处理";
    }
}

bits! {
    /// Application interchange profile (AIP), tag 82: what the card can do. EMV 4.4 Book 3 Annex C1.
    Aip, AipBit, 2 {
        XDA = (0, 0x80), "XDA supported", "支持XDA";
        SDA = (0, 0x40), "SDA supported", "支持SDA";
        DDA = (0, 0x20), "DDA supported", "支持DDA";
        CVM = (0, 0x10), "cardholder verification is supported", "支持持卡人验证";
        TERMINAL_RISK = (0, 0x08), "terminal risk management is to be performed", "需进行终端风险管理";
        ISSUER_AUTHENTICATION = (0, 0x04), "issuer authentication is supported", "支持发卡行认证";
        CDA = (0, 0x01), "CDA supported", "支持CDA";
    }
}

bits! {
    /// Terminal capabilities, tag 9F33. EMV 4.4 Book 4 Annex A2.
    Capabilities, CapabilityBit, 3 {
        MANUAL_ENTRY = (0, 0x80), "manual key entry", "手工键盘输入";
        MAGNETIC_STRIPE = (0, 0x40), "magnetic stripe", "磁条";
        CONTACT = (0, 0x20), "IC with contacts", "接触式IC卡";
        OFFLINE_PIN_PLAIN = (1, 0x80), "plaintext PIN for ICC verification", "IC卡明文PIN验证";
        ONLINE_PIN = (1, 0x40), "enciphered PIN for online verification", "联机加密PIN验证";
        SIGNATURE = (1, 0x20), "signature", "签名";
        OFFLINE_PIN_ENCIPHERED = (1, 0x10), "enciphered PIN for offline verification", "脱机加密PIN验证";
        NO_CVM = (1, 0x08), "no CVM required", "无需持卡人验证";
        SDA = (2, 0x80), "SDA", "SDA";
        DDA = (2, 0x40), "DDA", "DDA";
        CARD_CAPTURE = (2, 0x20), "card capture", "吞卡";
        CDA = (2, 0x08), "CDA", "CDA";
        XDA = (2, 0x04), "XDA", "XDA";
    }
}

pub(super) use bits;

impl Tvr {
    /// True if any bit is set in both this and an action code (TAC or IAC). EMV 4.4 Book 3 §10.7.
    #[must_use]
    pub fn hits(self, action_code: [u8; 5]) -> bool {
        self.0.iter().zip(action_code).any(|(tvr, code)| tvr & code != 0)
    }
}

/// Cardholder verification method results, tag 9F34. EMV 4.4 Book 3 Annex C4; EMV 4.4 Book 4 §6.3.4.5.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CvmResults {
    /// The CVM code performed; 3F if none was.
    pub method: u8,
    /// The condition of its rule.
    pub condition: u8,
    /// How it ended.
    pub outcome: CvmOutcome,
}

/// Third byte of the CVM results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CvmOutcome {
    /// 00: not known, as for signature and online PIN.
    Unknown,
    /// 01: failed.
    Failed,
    /// 02: successful.
    Successful,
}

impl CvmResults {
    /// 3F 00 00: the card does not support cardholder verification, or has no list.
    pub const NOT_PERFORMED: Self = Self { method: 0x3F, condition: 0, outcome: CvmOutcome::Unknown };
    /// 3F 00 01: no method of the list could be performed.
    pub const NONE_POSSIBLE: Self = Self { method: 0x3F, condition: 0, outcome: CvmOutcome::Failed };

    /// The three bytes of tag 9F34.
    #[must_use]
    pub const fn bytes(self) -> [u8; 3] {
        let outcome = match self.outcome {
            CvmOutcome::Unknown => 0,
            CvmOutcome::Failed => 1,
            CvmOutcome::Successful => 2,
        };
        [self.method, self.condition, outcome]
    }
}

impl fmt::Debug for CvmResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// What a cryptogram says. EMV 4.4 Book 3 §6.5.5.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CryptogramType {
    /// Application authentication cryptogram: declined.
    Aac,
    /// Transaction certificate: approved.
    Tc,
    /// Authorisation request cryptogram: ask the issuer.
    Arqc,
}

impl CryptogramType {
    /// P1 of GENERATE AC that asks for it, without a request for a signature.
    #[must_use]
    pub const fn reference_control(self) -> u8 {
        match self {
            Self::Aac => 0x00,
            Self::Tc => 0x40,
            Self::Arqc => 0x80,
        }
    }
}

/// Cryptogram information data (CID), tag 9F27. EMV 4.4 Book 3 §6.5.5.4.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cid(pub u8);

impl Cid {
    /// The type of the cryptogram, bits 8 and 7; `None` for the reserved value.
    #[must_use]
    pub const fn cryptogram(self) -> Option<CryptogramType> {
        match self.0 & 0xC0 {
            0x00 => Some(CryptogramType::Aac),
            0x40 => Some(CryptogramType::Tc),
            0x80 => Some(CryptogramType::Arqc),
            _ => None,
        }
    }

    /// Bit 4: the card asks for an advice.
    #[must_use]
    pub const fn asks_advice(self) -> bool {
        self.0 & 0x08 != 0
    }

    /// Bits 3 to 1: why; 1 is "service not allowed", 2 "PIN try limit exceeded", 3 "issuer authentication
    /// failed".
    #[must_use]
    pub const fn reason(self) -> u8 {
        self.0 & 0x07
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_stand_where_the_annexes_put_them() {
        let check = |bit, bytes: [u8; 5]| {
            let mut tvr = Tvr::default();
            tvr.set(bit);
            assert_eq!(tvr, Tvr::new(bytes));
            assert!(tvr.has(bit) && tvr.hits(bytes));
        };
        check(Tvr::ODA_NOT_PERFORMED, [0x80, 0, 0, 0, 0]);
        check(Tvr::EXPIRED, [0, 0x40, 0, 0, 0]);
        check(Tvr::ONLINE_PIN, [0, 0, 0x04, 0, 0]);
        check(Tvr::OVER_FLOOR_LIMIT, [0, 0, 0, 0x80, 0]);
        check(Tvr::SCRIPT_FAILED_AFTER, [0, 0, 0, 0, 0x10]);
        let mut tsi = Tsi::default();
        tsi.set(Tsi::CVM);
        tsi.set(Tsi::TERMINAL_RISK);
        assert_eq!(tsi.bytes(), &[0x48, 0]);
        assert_eq!(
            tsi.names(),
            ["cardholder verification was performed", "terminal risk management was performed"]
        );
    }

    #[test]
    fn a_cid_tells_type_advice_and_reason() {
        assert_eq!(Cid(0x80).cryptogram(), Some(CryptogramType::Arqc));
        assert_eq!(Cid(0x40).cryptogram(), Some(CryptogramType::Tc));
        assert_eq!(Cid(0x09).cryptogram(), Some(CryptogramType::Aac));
        assert_eq!(Cid(0xC0).cryptogram(), None);
        assert!(Cid(0x09).asks_advice());
        assert_eq!(Cid(0x09).reason(), 1);
    }

    #[test]
    fn cvm_results_have_three_bytes() {
        assert_eq!(CvmResults::NOT_PERFORMED.bytes(), [0x3F, 0, 0]);
        assert_eq!(CvmResults::NONE_POSSIBLE.bytes(), [0x3F, 0, 1]);
    }
}
