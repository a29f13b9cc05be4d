//! The dictionary of data objects: tag, name, format, where it comes from. EMV 4.4 Book 3 Annex A.
//!
//! One line declares a constant (`Tag::TVR`) and its dictionary entry. Formats matter for filling DOLs; names
//! and sources are for people. UnionPay's own objects stand at the end. Spec: unverified.
use super::more;
use super::tlv::Tag;

/// How a value is coded. EMV 4.4 Book 3 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Letters, one a byte.
    A,
    /// Letters and digits, one a byte.
    An,
    /// Printable characters, one a byte.
    Ans,
    /// Bits and bytes.
    B,
    /// Digits, two a byte, left-justified, filled with F.
    Cn,
    /// Digits, two a byte, right-justified, filled with 0.
    N,
    /// A list of tags and lengths.
    Dol,
    /// Other data objects.
    Template,
}

/// Who provides a data object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The card.
    Card,
    /// The terminal.
    Terminal,
    /// The issuer, in the host's answer.
    Issuer,
}

/// One line of the dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The tag.
    pub tag: Tag,
    /// Its name.
    pub name: &'static str,
    /// Its name in Chinese; empty where the trade uses the English one.
    pub zh: &'static str,
    /// How the value is coded.
    pub format: Format,
    /// Who provides it.
    pub source: Source,
}

macro_rules! dictionary {
    ($($constant:ident = $number:literal, $name:literal, $zh:literal, $format:ident, $source:ident;)+) => {
        impl Tag {
            $(#[doc = $name] #[doc = "."] pub const $constant: Self = Self($number);)+
        }

        /// The data objects that the terminal works with: those of EMV, then those of UnionPay.
        pub const DICTIONARY: &[Entry] = &[
            $(Entry {
                tag: Tag::$constant,
                name: $name,
                zh: $zh,
                format: Format::$format,
                source: Source::$source,
            },)+
        ];
    };
}

dictionary! {
    IIN = 0x42, "Issuer identification number", "发卡行识别号", N, Card;
    AID = 0x4F, "Application identifier of the card", "卡片应用标识符", B, Card;
    LABEL = 0x50, "Application label", "应用标签", Ans, Card;
    TRACK1 = 0x56, "Track 1 data", "磁道1数据", Ans, Card;
    TRACK2 = 0x57, "Track 2 equivalent data", "磁道2等效数据", B, Card;
    PAN = 0x5A, "Primary account number", "应用主账号", Cn, Card;
    APPLICATION_TEMPLATE = 0x61, "Application template", "应用模板", Template, Card;
    FCI_TEMPLATE = 0x6F, "File control information template", "文件控制信息模板", Template, Card;
    RECORD_TEMPLATE = 0x70, "Record template", "记录模板", Template, Card;
    SCRIPT_BEFORE = 0x71, "Issuer script template 1", "发卡行脚本模板1", Template, Issuer;
    SCRIPT_AFTER = 0x72, "Issuer script template 2", "发卡行脚本模板2", Template, Issuer;
    DIRECTORY_DISCRETIONARY = 0x73, "Directory discretionary template", "目录自定义模板", Template, Card;
    RESPONSE_FORMAT_2 = 0x77, "Response message template format 2", "响应报文模板格式2", Template, Card;
    RESPONSE_FORMAT_1 = 0x80, "Response message template format 1", "响应报文模板格式1", B, Card;
    AMOUNT_BINARY = 0x81, "Amount, authorised (binary)", "授权金额(二进制)", B, Terminal;
    AIP = 0x82, "Application interchange profile", "应用交互特征", B, Card;
    COMMAND_TEMPLATE = 0x83, "Command template", "命令模板", B, Terminal;
    DF_NAME = 0x84, "Dedicated file name", "专用文件名称", B, Card;
    SCRIPT_COMMAND = 0x86, "Issuer script command", "发卡行脚本命令", B, Issuer;
    PRIORITY = 0x87, "Application priority indicator", "应用优先指示符", B, Card;
    SFI = 0x88, "Short file identifier", "短文件标识符", B, Card;
    AUTHORISATION_CODE = 0x89, "Authorisation code", "授权码", B, Issuer;
    RESPONSE_CODE = 0x8A, "Authorisation response code", "授权响应码", An, Issuer;
    CDOL1 = 0x8C, "Card risk management data object list 1", "卡片风险管理数据对象列表1", Dol, Card;
    CDOL2 = 0x8D, "Card risk management data object list 2", "卡片风险管理数据对象列表2", Dol, Card;
    CVM_LIST = 0x8E, "Cardholder verification method list", "持卡人验证方法列表", B, Card;
    CA_KEY_INDEX = 0x8F, "Certification authority public key index", "CA公钥索引", B, Card;
    ISSUER_CERTIFICATE = 0x90, "Issuer public key certificate", "发卡行公钥证书", B, Card;
    ISSUER_AUTHENTICATION = 0x91, "Issuer authentication data", "发卡行认证数据", B, Issuer;
    ISSUER_REMAINDER = 0x92, "Issuer public key remainder", "发卡行公钥余项", B, Card;
    SIGNED_STATIC_DATA = 0x93, "Signed static application data", "签名的静态应用数据", B, Card;
    AFL = 0x94, "Application file locator", "应用文件定位器", B, Card;
    TVR = 0x95, "Terminal verification results", "终端验证结果", B, Terminal;
    TDOL = 0x97, "Transaction certificate data object list", "交易证书数据对象列表", Dol, Card;
    TC_HASH = 0x98, "Transaction certificate hash value", "交易证书哈希值", B, Terminal;
    PIN_BLOCK = 0x99, "Transaction PIN data", "交易PIN数据", B, Terminal;
    DATE = 0x9A, "Transaction date", "交易日期", N, Terminal;
    TSI = 0x9B, "Transaction status information", "交易状态信息", B, Terminal;
    TRANSACTION_TYPE = 0x9C, "Transaction type", "交易类型", N, Terminal;
    DDF_NAME = 0x9D, "Directory definition file name", "目录定义文件名称", B, Card;
    FCI_PROPRIETARY = 0xA5, "FCI proprietary template", "FCI专用模板", Template, Card;
    CARDHOLDER_NAME = 0x5F20, "Cardholder name", "持卡人姓名", Ans, Card;
    EXPIRY = 0x5F24, "Application expiration date", "应用失效日期", N, Card;
    EFFECTIVE_DATE = 0x5F25, "Application effective date", "应用生效日期", N, Card;
    ISSUER_COUNTRY = 0x5F28, "Issuer country code", "发卡行国家代码", N, Card;
    CURRENCY = 0x5F2A, "Transaction currency code", "交易货币代码", N, Terminal;
    LANGUAGES = 0x5F2D, "Language preference", "首选语言", An, Card;
    SERVICE_CODE = 0x5F30, "Service code", "服务码", N, Card;
    PAN_SEQUENCE = 0x5F34, "Primary account number sequence number", "主账号序列号", N, Card;
    CURRENCY_EXPONENT = 0x5F36, "Transaction currency exponent", "交易货币指数", N, Terminal;
    ISSUER_URL = 0x5F50, "Issuer URL", "发卡行网址", Ans, Card;
    IBAN = 0x5F53, "International bank account number", "国际银行账号", B, Card;
    BIC = 0x5F54, "Bank identifier code", "银行识别代码", B, Card;
    ISSUER_COUNTRY_ALPHA2 = 0x5F55, "Issuer country code, two letters", "发卡行国家代码(两字母)", A, Card;
    ISSUER_COUNTRY_ALPHA3 = 0x5F56, "Issuer country code, three letters", "发卡行国家代码(三字母)", A, Card;
    ACCOUNT_TYPE = 0x5F57, "Account type", "账户类型", N, Terminal;
    ACQUIRER_ID = 0x9F01, "Acquirer identifier", "收单行标识", N, Terminal;
    AMOUNT = 0x9F02, "Amount, authorised (numeric)", "授权金额(数值)", N, Terminal;
    AMOUNT_OTHER = 0x9F03, "Amount, other (numeric)", "其他金额(数值)", N, Terminal;
    AMOUNT_OTHER_BINARY = 0x9F04, "Amount, other (binary)", "其他金额(二进制)", B, Terminal;
    CARD_DISCRETIONARY = 0x9F05, "Application discretionary data", "应用自定义数据", B, Card;
    TERMINAL_AID = 0x9F06, "Application identifier of the terminal", "终端应用标识符", B, Terminal;
    AUC = 0x9F07, "Application usage control", "应用用途控制", B, Card;
    CARD_VERSION = 0x9F08, "Application version number of the card", "卡片应用版本号", B, Card;
    TERMINAL_VERSION = 0x9F09, "Application version number of the terminal", "终端应用版本号", B, Terminal;
    CARDHOLDER_NAME_EXTENDED = 0x9F0B, "Cardholder name, extended", "持卡人姓名扩展", Ans, Card;
    IAC_DEFAULT = 0x9F0D, "Issuer action code, default", "发卡行行为代码-缺省", B, Card;
    IAC_DENIAL = 0x9F0E, "Issuer action code, denial", "发卡行行为代码-拒绝", B, Card;
    IAC_ONLINE = 0x9F0F, "Issuer action code, online", "发卡行行为代码-联机", B, Card;
    IAD = 0x9F10, "Issuer application data", "发卡行应用数据", B, Card;
    CODE_TABLE = 0x9F11, "Issuer code table index", "发卡行代码表索引", N, Card;
    PREFERRED_NAME = 0x9F12, "Application preferred name", "应用首选名称", Ans, Card;
    LAST_ONLINE_ATC = 0x9F13, "Last online application transaction counter", "上次联机ATC", B, Card;
    LOWER_OFFLINE_LIMIT = 0x9F14, "Lower consecutive offline limit", "连续脱机交易下限", B, Card;
    MERCHANT_CATEGORY = 0x9F15, "Merchant category code", "商户类别码", N, Terminal;
    MERCHANT_ID = 0x9F16, "Merchant identifier", "商户标识", Ans, Terminal;
    PIN_TRY_COUNTER = 0x9F17, "PIN try counter", "PIN尝试计数器", B, Card;
    SCRIPT_ID = 0x9F18, "Issuer script identifier", "发卡行脚本标识符", B, Issuer;
    TERMINAL_COUNTRY = 0x9F1A, "Terminal country code", "终端国家代码", N, Terminal;
    FLOOR_LIMIT = 0x9F1B, "Terminal floor limit", "终端最低限额", B, Terminal;
    TERMINAL_ID = 0x9F1C, "Terminal identification", "终端标识", An, Terminal;
    TERMINAL_RISK_DATA = 0x9F1D, "Terminal risk management data", "终端风险管理数据", B, Terminal;
    IFD_SERIAL = 0x9F1E, "Interface device serial number", "接口设备序列号", An, Terminal;
    TRACK1_DISCRETIONARY = 0x9F1F, "Track 1 discretionary data", "磁道1自定义数据", Ans, Card;
    TRACK2_DISCRETIONARY = 0x9F20, "Track 2 discretionary data", "磁道2自定义数据", Cn, Card;
    TIME = 0x9F21, "Transaction time", "交易时间", N, Terminal;
    TERMINAL_CA_KEY_INDEX = 0x9F22, "Certification authority public key index of the terminal", "终端CA公钥索引", B, Terminal;
    UPPER_OFFLINE_LIMIT = 0x9F23, "Upper consecutive offline limit", "连续脱机交易上限", B, Card;
    CRYPTOGRAM = 0x9F26, "Application cryptogram", "应用密文", B, Card;
    CID = 0x9F27, "Cryptogram information data", "密文信息数据", B, Card;
    PIN_CERTIFICATE = 0x9F2D, "PIN encipherment public key certificate", "PIN加密公钥证书", B, Card;
    PIN_EXPONENT = 0x9F2E, "PIN encipherment public key exponent", "PIN加密公钥指数", B, Card;
    PIN_REMAINDER = 0x9F2F, "PIN encipherment public key remainder", "PIN加密公钥余项", B, Card;
    ISSUER_EXPONENT = 0x9F32, "Issuer public key exponent", "发卡行公钥指数", B, Card;
    CAPABILITIES = 0x9F33, "Terminal capabilities", "终端性能", B, Terminal;
    CVM_RESULTS = 0x9F34, "Cardholder verification method results", "持卡人验证结果", B, Terminal;
    TERMINAL_TYPE = 0x9F35, "Terminal type", "终端类型", N, Terminal;
    ATC = 0x9F36, "Application transaction counter", "应用交易计数器", B, Card;
    UNPREDICTABLE_NUMBER = 0x9F37, "Unpredictable number", "不可预知数", B, Terminal;
    PDOL = 0x9F38, "Processing options data object list", "处理选项数据对象列表", Dol, Card;
    ENTRY_MODE = 0x9F39, "Point-of-service entry mode", "服务点输入方式", N, Terminal;
    REFERENCE_AMOUNT = 0x9F3A, "Amount in the reference currency", "参考货币金额", B, Terminal;
    CARD_REFERENCE_CURRENCY = 0x9F3B, "Application reference currency", "应用参考货币", N, Card;
    REFERENCE_CURRENCY = 0x9F3C, "Transaction reference currency code", "交易参考货币代码", N, Terminal;
    REFERENCE_EXPONENT = 0x9F3D, "Transaction reference currency exponent", "交易参考货币指数", N, Terminal;
    ADDITIONAL_CAPABILITIES = 0x9F40, "Additional terminal capabilities", "终端附加性能", B, Terminal;
    SEQUENCE_COUNTER = 0x9F41, "Transaction sequence counter", "交易序列计数器", N, Terminal;
    APPLICATION_CURRENCY = 0x9F42, "Application currency code", "应用货币代码", N, Card;
    CARD_REFERENCE_EXPONENT = 0x9F43, "Application reference currency exponent", "应用参考货币指数", N, Card;
    APPLICATION_EXPONENT = 0x9F44, "Application currency exponent", "应用货币指数", N, Card;
    DATA_AUTHENTICATION_CODE = 0x9F45, "Data authentication code", "数据认证码", B, Card;
    ICC_CERTIFICATE = 0x9F46, "ICC public key certificate", "IC卡公钥证书", B, Card;
    ICC_EXPONENT = 0x9F47, "ICC public key exponent", "IC卡公钥指数", B, Card;
    ICC_REMAINDER = 0x9F48, "ICC public key remainder", "IC卡公钥余项", B, Card;
    DDOL = 0x9F49, "Dynamic data authentication data object list", "动态数据认证数据对象列表", Dol, Card;
    SDA_TAG_LIST = 0x9F4A, "Static data authentication tag list", "静态数据认证标签列表", B, Card;
    SIGNED_DYNAMIC_DATA = 0x9F4B, "Signed dynamic application data", "签名的动态应用数据", B, Card;
    ICC_DYNAMIC_NUMBER = 0x9F4C, "ICC dynamic number", "IC卡动态数", B, Card;
    LOG_ENTRY = 0x9F4D, "Log entry", "日志入口", B, Card;
    MERCHANT_NAME = 0x9F4E, "Merchant name and location", "商户名称", Ans, Terminal;
    LOG_FORMAT = 0x9F4F, "Log format", "日志格式", Dol, Card;
    SCRIPT_RESULTS = 0x9F5B, "Issuer script results", "发卡行脚本结果", B, Terminal;
    TRACK2_CONTACTLESS = 0x9F6B, "Track 2 data of a contactless card", "非接磁道2数据", B, Card;
    FCI_DISCRETIONARY = 0xBF0C, "FCI issuer discretionary data", "FCI发卡行自定义数据", Template, Card;

    CARD_PRODUCT = 0x9F63, "Card product identification (UnionPay)", "卡产品标识信息(银联)", B, Card;
    TTQ = 0x9F66, "Terminal transaction qualifiers (contactless)", "终端交易属性(非接)", B, Terminal;
    FDDA_DATA = 0x9F69, "Card authentication related data (contactless)", "卡片认证相关数据(非接)", B, Card;
    CTQ = 0x9F6C, "Card transaction qualifiers (contactless)", "卡片交易属性(非接)", B, Card;
    ECASH_AUTHORISATION = 0x9F74, "E-cash issuer authorisation code (UnionPay)", "电子现金发卡行授权码(银联)", An, Card;
    ECASH_LIMIT = 0x9F77, "E-cash balance limit (UnionPay)", "电子现金余额上限(银联)", N, Card;
    ECASH_SINGLE_LIMIT = 0x9F78, "E-cash single transaction limit (UnionPay)", "电子现金单笔交易限额(银联)", N, Card;
    ECASH_BALANCE = 0x9F79, "E-cash balance (UnionPay)", "电子现金余额(银联)", N, Card;
    ECASH_INDICATOR = 0x9F7A, "E-cash terminal support indicator (UnionPay)", "电子现金终端支持指示器(银联)", N, Terminal;
    ECASH_TERMINAL_LIMIT = 0x9F7B, "E-cash terminal transaction limit (UnionPay)", "电子现金终端交易限额(银联)", N, Terminal;
    UNIONPAY_SCRIPT_RESULTS = 0xDF31, "Issuer script results (UnionPay)", "发卡行脚本结果(银联)", B, Terminal;
    SM_INDICATOR = 0xDF69, "SM algorithm support indicator (UnionPay)", "SM算法支持指示器(银联)", B, Terminal;
}

/// The dictionary entry of a tag; those that only decoding for people needs are in [`more`].
#[must_use]
pub fn entry(tag: Tag) -> Option<&'static Entry> {
    DICTIONARY.iter().chain(more::TABLE).find(|entry| entry.tag == tag)
}

impl Tag {
    /// The name of the data object, if the dictionary has it.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        entry(self).map(|entry| entry.name)
    }

    /// True for values that must not be shown: card number, tracks, names, PIN data, keys. PCI DSS 4.0 requirement
    /// 3.4.
    #[must_use]
    pub const fn is_sensitive(self) -> bool {
        matches!(
            self,
            Self::PAN
                | Self::TRACK1
                | Self::TRACK2
                | Self::TRACK2_CONTACTLESS
                | Self::TRACK1_DISCRETIONARY
                | Self::TRACK2_DISCRETIONARY
                | Self::CARDHOLDER_NAME
                | Self::CARDHOLDER_NAME_EXTENDED
                | Self::IBAN
                | Self(0xDF23 | 0xDF33 | 0xDF812A | 0xDF812B | 0x5F22)
                | Self::PIN_BLOCK
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_tag_is_declared_once_and_templates_are_constructed() {
        let mut seen = BTreeSet::new();
        for entry in DICTIONARY.iter().chain(more::TABLE) {
            assert!(seen.insert(entry.tag), "{}", entry.tag);
            assert_eq!(entry.tag.is_constructed(), entry.format == Format::Template, "{}", entry.tag);
        }
        assert_eq!(Tag::TVR.name(), Some("Terminal verification results"));
        assert_eq!(Tag(0x9F7F).name(), Some("Card production life cycle data"));
        assert_eq!(Tag(0xDF7E).name(), None);
        assert!(seen.len() >= 280, "{}", seen.len());
    }
}
