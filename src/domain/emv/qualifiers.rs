//! Bit fields that the terminal only passes on, with a name for every bit: for people who read chip data.
//!
//! EMV 4.4 Book 3 Annex C2 (AUC), Book 4 Annex A3 (additional capabilities); EMV Contactless Book C-3 and UnionPay
//! qPBOC for TTQ and CTQ. Spec: unverified.
use super::results::bits;
use core::fmt;

bits! {
    /// Application usage control (AUC), tag 9F07: what the card may be used for.
    Auc, AucBit, 2 {
        DOMESTIC_CASH = (0, 0x80), "domestic cash", "国内现金交易有效";
        INTERNATIONAL_CASH = (0, 0x40), "international cash", "国际现金交易有效";
        DOMESTIC_GOODS = (0, 0x20), "domestic goods", "国内商品有效";
        INTERNATIONAL_GOODS = (0, 0x10), "international goods", "国际商品有效";
        DOMESTIC_SERVICES = (0, 0x08), "domestic services", "国内服务有效";
        INTERNATIONAL_SERVICES = (0, 0x04), "international services", "国际服务有效";
        AT_ATM = (0, 0x02), "at ATMs", "ATM有效";
        NOT_AT_ATM = (0, 0x01), "at terminals other than ATMs", "除ATM外的终端有效";
        DOMESTIC_CASHBACK = (1, 0x80), "domestic cashback", "允许国内返现";
        INTERNATIONAL_CASHBACK = (1, 0x40), "international cashback", "允许国际返现";
    }
}

bits! {
    /// Additional terminal capabilities, tag 9F40.
    Additional, AdditionalBit, 5 {
        CASH = (0, 0x80), "cash", "现金";
        GOODS = (0, 0x40), "goods", "商品";
        SERVICES = (0, 0x20), "services", "服务";
        CASHBACK = (0, 0x10), "cashback", "返现";
        INQUIRY = (0, 0x08), "inquiry", "查询";
        TRANSFER = (0, 0x04), "transfer", "转账";
        PAYMENT = (0, 0x02), "payment", "付款";
        ADMINISTRATIVE = (0, 0x01), "administrative", "管理";
        CASH_DEPOSIT = (1, 0x80), "cash deposit", "存款";
        NUMERIC_KEYS = (2, 0x80), "numeric keys", "数字键";
        LETTER_KEYS = (2, 0x40), "alphabetic and special keys", "字母和特殊字符键";
        COMMAND_KEYS = (2, 0x20), "command keys", "命令键";
        FUNCTION_KEYS = (2, 0x10), "function keys", "功能键";
        PRINT_ATTENDANT = (3, 0x80), "print, attendant", "打印, 服务员";
        PRINT_CARDHOLDER = (3, 0x40), "print, cardholder", "打印, 持卡人";
        DISPLAY_ATTENDANT = (3, 0x20), "display, attendant", "显示, 服务员";
        DISPLAY_CARDHOLDER = (3, 0x10), "display, cardholder", "显示, 持卡人";
        CODE_TABLE_10 = (3, 0x02), "code table 10", "代码表10";
        CODE_TABLE_9 = (3, 0x01), "code table 9", "代码表9";
        CODE_TABLE_8 = (4, 0x80), "code table 8", "代码表8";
        CODE_TABLE_7 = (4, 0x40), "code table 7", "代码表7";
        CODE_TABLE_6 = (4, 0x20), "code table 6", "代码表6";
        CODE_TABLE_5 = (4, 0x10), "code table 5", "代码表5";
        CODE_TABLE_4 = (4, 0x08), "code table 4", "代码表4";
        CODE_TABLE_3 = (4, 0x04), "code table 3", "代码表3";
        CODE_TABLE_2 = (4, 0x02), "code table 2", "代码表2";
        CODE_TABLE_1 = (4, 0x01), "code table 1", "代码表1";
    }
}

bits! {
    /// Terminal transaction qualifiers (TTQ), tag 9F66.
    Ttq, TtqBit, 4 {
        MAGNETIC_STRIPE = (0, 0x80), "contactless magnetic-stripe mode", "支持非接磁条模式";
        QPBOC = (0, 0x20), "contactless EMV mode (qPBOC, qVSDC)", "支持qPBOC";
        CONTACT = (0, 0x10), "EMV with contacts", "支持接触式";
        OFFLINE_ONLY = (0, 0x08), "offline-only reader", "终端仅支持脱机";
        ONLINE_PIN = (0, 0x04), "online PIN", "支持联机PIN";
        SIGNATURE = (0, 0x02), "signature", "支持签名";
        ODA_ONLINE = (0, 0x01), "offline authentication for online transactions", "联机交易支持脱机数据认证";
        CRYPTOGRAM_WANTED = (1, 0x80), "online cryptogram required", "要求联机密文";
        CVM_WANTED = (1, 0x40), "CVM required", "要求持卡人验证";
        CONTACT_PIN = (1, 0x20), "offline PIN with contacts", "支持接触式脱机PIN";
        ISSUER_UPDATE = (2, 0x80), "issuer update processing", "支持发卡行更新处理";
        CDCVM = (2, 0x40), "verification on the consumer's device", "支持消费者设备验证(CDCVM)";
    }
}

bits! {
    /// Card transaction qualifiers (CTQ), tag 9F6C.
    Ctq, CtqBit, 2 {
        ONLINE_PIN = (0, 0x80), "online PIN required", "要求联机PIN";
        SIGNATURE = (0, 0x40), "signature required", "要求签名";
        ONLINE_IF_ODA_FAILS = (0, 0x20), "go online if offline authentication fails", "脱机数据认证失败则联机";
        OTHER_INTERFACE_IF_ODA_FAILS = (0, 0x10), "other interface if authentication fails", "认证失败则换界面";
        ONLINE_IF_EXPIRED = (0, 0x08), "go online if the application is expired", "应用失效则联机";
        OTHER_INTERFACE_FOR_CASH = (0, 0x04), "other interface for cash", "现金交易换界面";
        OTHER_INTERFACE_FOR_CASHBACK = (0, 0x02), "other interface for cashback", "返现交易换界面";
        CDCVM_DONE = (1, 0x80), "verified on the consumer's device", "已进行消费者设备验证(CDCVM)";
        ISSUER_UPDATE = (1, 0x40), "issuer update processing at the terminal", "支持发卡行更新处理";
    }
}
