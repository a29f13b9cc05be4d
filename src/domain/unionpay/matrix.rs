//! The request matrix: every message a terminal sends as one row, with the elements it must, may and must not have.
//! The builders put in what a row allows; tests hold every message that is built against its row, and the rows against
//! the table of the simulated bank, which is written from the documents by itself.
//!
//! Source: transaction table and request field matrix of public terminal code (LiaoYang_POS for PAX terminals, Newland
//! `com.newland.payment`, PAX `com.bankcard.trans`), which agree on message type, DE 3, DE 25 and 60.1 of the common
//! transactions; Spec: unverified. On what "may" depends is told where the values come from: a PIN, a chip, a swipe.
use crate::domain::iso8583::{De, Message};
use crate::domain::outcome::words;
use crate::domain::record::WireFacts;

words! {
    /// The messages of a terminal. Those that posd never sends are named so that they can be built and tested:
    /// [`Name::is_offered`].
    Name {
        /// Balance inquiry.
        Balance = "balance",
        /// Sale.
        Sale = "sale",
        /// Void of a sale.
        Void = "void",
        /// Refund.
        Refund = "refund",
        /// Pre-authorisation.
        PreAuth = "pre-auth",
        /// More of a pre-authorisation that stands.
        PreAuthAddition = "pre-auth-addition",
        /// Void of a pre-authorisation.
        PreAuthVoid = "pre-auth-void",
        /// Completion by request.
        Completion = "completion",
        /// Completion by advice.
        Advice = "advice",
        /// Void of a completion request.
        CompletionVoid = "completion-void",
        /// Sale under a voice authorisation (离线结算), told later.
        VoiceSale = "voice-sale",
        /// Another amount for a sale that was told (调整).
        Adjust = "adjust",
        /// A tip on top of a sale (小费).
        TipAdjust = "tip-adjust",
        /// Sale that the chip approved, told later.
        ChipSale = "chip-sale",
        /// Money back for a sale paid with electronic cash (电子现金).
        CashCardRefund = "e-cash-refund",
        /// Electronic cash from the card's own account (指定账户圈存).
        LoadFromAccount = "load-account",
        /// Electronic cash against banknotes (现金充值).
        LoadFromCash = "load-cash",
        /// Electronic cash from another account (非指定账户圈存).
        LoadFromOther = "load-other",
        /// Void of a load against banknotes.
        LoadVoid = "load-void",
        /// Sale by a code on the customer's phone.
        QrSale = "qr-sale",
        /// Its void.
        QrVoid = "qr-void",
        /// Its refund.
        QrRefund = "qr-refund",
        /// Reversal (冲正).
        Reversal = "reversal",
        /// What the card did with the issuer's scripts.
        ScriptResult = "script-result",
        /// Totals of a batch.
        Totals = "totals",
        /// Detail of the batch, up to eight lines.
        BatchLines = "batch-lines",
        /// Detail: copy of one message.
        BatchCopy = "batch-copy",
        /// Detail: certificate of a chip.
        BatchCertificate = "batch-certificate",
        /// Detail: a chip that refused, or an issuer that was not believed.
        BatchFailure = "batch-failure",
        /// End of the detail.
        BatchEnd = "batch-end",
        /// Sign-on.
        SignOn = "sign-on",
        /// Sign-off.
        SignOff = "sign-off",
        /// Echo test.
        Echo = "echo",
        /// Download of one record or of parameters.
        Download = "download",
        /// End of a download.
        DownloadEnd = "download-end",
        /// What of a list there is, or the terminal's state.
        ListQuery = "list-query",
    }
}

impl Name {
    /// True for the messages that posd sends in a shop today; the others exist as library functions.
    #[must_use]
    pub const fn is_offered(self) -> bool {
        !matches!(
            self,
            Self::PreAuthAddition
                | Self::Adjust
                | Self::TipAdjust
                | Self::CashCardRefund
                | Self::LoadFromAccount
                | Self::LoadFromCash
                | Self::LoadFromOther
                | Self::LoadVoid
                | Self::QrSale
                | Self::QrVoid
                | Self::QrRefund
                | Self::Download
                | Self::DownloadEnd
                | Self::ListQuery
        )
    }
}

/// A set of data elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elements(u128);

impl Elements {
    const NONE: Self = Self(0);

    const fn of(mut numbers: &[u8]) -> Self {
        let mut bits = 0;
        while let [first, rest @ ..] = numbers {
            if let Some(de) = De::new(*first) {
                bits |= de.bit();
            }
            numbers = rest;
        }
        Self(bits)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True if the element is in it.
    #[must_use]
    pub const fn has(self, de: De) -> bool {
        self.0 & de.bit() != 0
    }

    /// Its elements, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = De> {
        (1..=64).filter_map(De::new).filter(move |de| self.has(*de))
    }
}

/// How DE 61 names the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Original {
    /// Not at all.
    None,
    /// Batch and STAN.
    Numbers,
    /// … and the day, `MMDD`.
    NumbersAndDay,
    /// Twelve zeros and the day: RRN or authorisation code name it.
    Day,
    /// Zeros, and 61.4 = 01: authorised by telephone.
    ByVoice,
}

/// Whether a 0400 may undo it, and how that names what it undoes in DE 61.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// No: it is repeated, or nothing hangs on it.
    Never,
    /// Yes, without DE 61.
    Unnamed,
    /// Yes, with its own batch and STAN.
    Numbers,
    /// … and the day of its answer, or zeros.
    NumbersAndDay,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub name: Name,
    /// Message type.
    pub mti: &'static str,
    /// DE 3; empty: the original's, or none.
    pub processing_code: &'static str,
    /// DE 25; empty: the original's, or none.
    pub condition: &'static str,
    /// DE 60.1; empty: the original's.
    pub message_type: &'static str,
    /// DE 60.3: one of these.
    pub functions: &'static [&'static str],
    /// Elements that it always has.
    pub must: Elements,
    /// Elements that it may have; all others it never has.
    pub may: Elements,
    /// DE 61.
    pub original: Original,
    /// Its reversal.
    pub undo: Undo,
}

/// What every message about money has.
const MONEY: Elements = Elements::of(&[3, 4, 11, 22, 25, 41, 42, 49, 60, 64]);
/// A card that pays: number, expiry and sequence unless it was swiped, tracks, PIN, chip data; and what DE 59 adds.
const PAYS: &[u8] = &[2, 14, 23, 26, 35, 36, 52, 53, 55, 59];
/// A card that is shown again: without chip data.
const SHOWN: &[u8] = &[2, 14, 23, 26, 35, 36, 52, 53, 59];
/// A card without PIN and chip data. DE 53 tells that its track is encrypted. DE 59 holds the PIN under SM4, and more.
const TOLD: &[u8] = &[2, 14, 23, 35, 36, 53, 59];
/// What every message without money has.
const PLAIN: Elements = Elements::of(&[41, 42, 60]);

const fn money(
    name: Name,
    mti: &'static str,
    processing_code: &'static str,
    condition: &'static str,
    message_type: &'static str,
) -> Row {
    Row {
        name,
        mti,
        processing_code,
        condition,
        message_type,
        functions: &["000"],
        must: MONEY,
        may: Elements::NONE,
        original: Original::None,
        undo: Undo::Never,
    }
}

const fn plain(name: Name, mti: &'static str, functions: &'static [&'static str]) -> Row {
    Row { functions, must: PLAIN, ..money(name, mti, "", "", "00") }
}

impl Row {
    const fn must(self, numbers: &[u8]) -> Self {
        let must = self.must.and(Elements::of(numbers));
        Self { must, may: self.may.without(must), ..self }
    }

    const fn may(self, numbers: &[u8]) -> Self {
        Self { may: self.may.and(Elements::of(numbers)).without(self.must), ..self }
    }

    const fn never(self, numbers: &[u8]) -> Self {
        let gone = Elements::of(numbers);
        Self { must: self.must.without(gone), may: self.may.without(gone), ..self }
    }

    /// It follows an original, which DE 61 names so.
    const fn after(self, original: Original) -> Self {
        Self { original, ..self.must(&[61]) }
    }

    const fn undone(self, undo: Undo) -> Self {
        Self { undo, ..self }
    }

    /// True if the message may have the element.
    #[must_use]
    pub const fn allows(&self, de: De) -> bool {
        self.must.has(de) || self.may.has(de)
    }

    /// True if it carries a MAC.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        self.must.has(De::MAC)
    }

    /// True if the card is a code that was scanned.
    #[must_use]
    pub const fn is_scanned(&self) -> bool {
        matches!(self.name, Name::QrSale | Name::QrVoid | Name::QrRefund)
    }

    /// Puts an element in if the message may have it and there is a value.
    pub(super) fn fill(&self, message: &mut Message, de: De, value: Option<impl AsRef<[u8]>>) {
        if self.allows(de) {
            message.set_some(de, value);
        }
    }

    /// Holds a message against the row.
    ///
    /// # Errors
    /// The first element that is missing, or else the first that does not belong there.
    pub fn check(&self, message: &Message) -> Result<(), Unfit> {
        if let Some(de) = self.must.iter().find(|de| !message.has(*de)) {
            return Err(Unfit::Missing(de));
        }
        match message.fields().find(|(de, _)| !self.allows(*de)) {
            Some((de, _)) => Err(Unfit::Unwanted(de)),
            None => Ok(()),
        }
    }
}

/// What is wrong with the elements of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It must be there.
    #[error("{0} is missing")]
    Missing(De),
    /// It must not be there.
    #[error("{0} does not belong here")]
    Unwanted(De),
}

const SALE: Row = money(Name::Sale, "0200", "000000", "00", "22").may(PAYS).undone(Undo::Unnamed);

const TABLE: &[Row] = &[
    money(Name::Balance, "0200", "310000", "00", "01").never(&[4]).may(PAYS),
    SALE,
    money(Name::Void, "0200", "200000", "00", "23")
        .must(&[37])
        .may(&[38])
        .may(SHOWN)
        .after(Original::Numbers)
        .undone(Undo::Numbers),
    money(Name::Refund, "0220", "200000", "00", "25").must(&[37, 63]).may(TOLD).after(Original::Day),
    money(Name::PreAuth, "0100", "030000", "06", "10").may(PAYS).undone(Undo::NumbersAndDay),
    // Choice: the original is named as by the void of a pre-authorisation, with its authorisation code if known.
    money(Name::PreAuthAddition, "0100", "030000", "60", "10")
        .may(&[38])
        .may(PAYS)
        .after(Original::Day)
        .undone(Undo::NumbersAndDay),
    money(Name::PreAuthVoid, "0100", "200000", "06", "11")
        .must(&[38])
        .may(SHOWN)
        .never(&[23])
        .after(Original::Day)
        .undone(Undo::NumbersAndDay),
    money(Name::Completion, "0200", "000000", "06", "20")
        .must(&[38])
        .may(SHOWN)
        .after(Original::Day)
        .undone(Undo::NumbersAndDay),
    money(Name::Advice, "0220", "000000", "06", "24").must(&[38]).may(&[63]).may(TOLD).after(Original::Day),
    money(Name::CompletionVoid, "0200", "200000", "06", "21")
        .must(&[37, 38])
        .may(SHOWN)
        .never(&[23])
        .after(Original::NumbersAndDay)
        .undone(Undo::NumbersAndDay),
    money(Name::VoiceSale, "0220", "000000", "00", "30")
        .must(&[2, 63])
        .may(&[14, 37, 38, 48])
        .after(Original::ByVoice),
    money(Name::Adjust, "0220", "000000", "00", "32")
        .must(&[2, 63])
        .may(&[14, 37, 38, 48])
        .after(Original::NumbersAndDay),
    money(Name::TipAdjust, "0220", "000000", "00", "34")
        .must(&[2, 48, 63])
        .may(&[14, 37, 38])
        .after(Original::NumbersAndDay),
    money(Name::ChipSale, "0200", "000000", "00", "36").must(&[2, 14, 55, 63]).may(&[23, 59]),
    money(Name::CashCardRefund, "0220", "200000", "00", "27")
        .must(&[62])
        .may(TOLD)
        .never(&[59])
        .after(Original::NumbersAndDay),
    // DE 3 of the loads and of their void: LiaoYang_POS alone.
    money(Name::LoadFromAccount, "0200", "600000", "91", "45")
        .must(&[26, 52, 53, 55])
        .may(&[2, 14, 23, 59])
        .undone(Undo::Unnamed),
    money(Name::LoadFromCash, "0200", "630000", "91", "46").must(&[55]).may(TOLD).undone(Undo::Unnamed),
    money(Name::LoadFromOther, "0200", "620000", "91", "47")
        .must(&[26, 48, 52, 53, 55, 62])
        .may(TOLD)
        .undone(Undo::Unnamed),
    money(Name::LoadVoid, "0200", "170000", "91", "51")
        .must(&[55])
        .may(TOLD)
        .after(Original::Numbers)
        .undone(Undo::Numbers),
    money(Name::QrSale, "0200", "000000", "00", "22").must(&[59]).undone(Undo::Unnamed),
    money(Name::QrVoid, "0200", "200000", "00", "23")
        .must(&[37, 59])
        .may(&[38])
        .after(Original::Numbers)
        .undone(Undo::Numbers),
    money(Name::QrRefund, "0220", "200000", "00", "25").must(&[37, 59, 63]).after(Original::NumbersAndDay),
    money(Name::Reversal, "0400", "", "", "").must(&[39]).may(&[2, 14, 23, 38, 55, 59, 61]),
    Row {
        functions: &["951"],
        ..money(Name::ScriptResult, "0620", "", "", "00")
            .never(&[25])
            .must(&[32, 37, 55])
            .may(&[2, 23, 25, 38])
            .after(Original::NumbersAndDay)
    },
    plain(Name::Totals, "0500", &["201"]).must(&[11, 48, 49, 63]),
    plain(Name::BatchLines, "0320", &["201"]).must(&[11, 48]),
    money(Name::BatchCopy, "0320", "", "", "")
        .never(&[64])
        .must(&[63])
        .may(&[2, 14, 23, 37, 38, 48, 55, 59, 61, 62]),
    plain(Name::BatchCertificate, "0320", &["203", "205"]).must(&[2, 4, 11, 22, 55, 62]).may(&[23]),
    plain(Name::BatchFailure, "0320", &["204", "206"]).must(&[2, 4, 11, 22, 55, 62]).may(&[23]),
    plain(Name::BatchEnd, "0320", &["202", "207"]).must(&[11, 48]),
    // A terminal of one source adds DE 12 and 13.
    plain(Name::SignOn, "0800", &["001", "003", "004", "006"]).must(&[11, 63]).may(&[12, 13, 62]),
    plain(Name::SignOff, "0820", &["002"]).must(&[11]),
    plain(Name::Echo, "0820", &["301"]),
    // Keys of other makers, parameters, CA keys, applications, refused cards, contactless parameters, number ranges.
    plain(
        Name::Download,
        "0800",
        &["350", "351", "352", "360", "364", "370", "380", "390", "394", "396", "398"],
    )
    .may(&[62]),
    plain(Name::DownloadEnd, "0800", &["361", "365", "371", "381", "391", "395", "397", "399"]),
    plain(Name::ListQuery, "0820", &["362", "372", "382"]).must(&[62]),
];

/// All rows.
#[must_use]
pub const fn rows() -> &'static [Row] {
    TABLE
}

/// The row of a message. A test looks that each has one.
#[must_use]
pub fn row(name: Name) -> &'static Row {
    TABLE.iter().find(|row| row.name == name).unwrap_or(&SALE)
}

/// The row of a request by its message type, 60.1, 60.3, DE 25 and DE 22.
///
/// A scanned code and the addition to a pre-authorisation differ from their neighbours by DE 22 and 25 alone; where no
/// row fits these two, one that fits the rest is given.
#[must_use]
pub fn find(
    mti: &str,
    message_type: &str,
    function: &str,
    condition: &str,
    entry_mode: &str,
) -> Option<&'static Row> {
    // A 0320 of type 00 is no copy.
    let any = |row: &Row| row.message_type.is_empty() && (message_type != "00" || row.mti == "0400");
    let rows = || {
        TABLE.iter().filter(move |row| {
            row.mti == mti
                && (row.message_type == message_type || any(row))
                && row.functions.contains(&function)
        })
    };
    let scanned = entry_mode.starts_with("03") || entry_mode.starts_with("04");
    rows()
        .find(|row| row.is_scanned() == scanned && row.condition == condition)
        .or_else(|| rows().find(|row| row.is_scanned() == scanned))
        .or_else(|| rows().next())
}

/// The row of a request.
#[must_use]
pub fn of(request: &Message) -> Option<&'static Row> {
    let sixty = request.text(De::PRIVATE_60)?;
    let text = |de| request.text(de).unwrap_or_default();
    // Old terminals end DE 60 of money after 60.2.
    let function = sixty.get(8..11).unwrap_or("000");
    find(request.mti(), sixty.get(..2)?, function, text(De::CONDITION), text(De::ENTRY_MODE))
}

/// The row of the request that these facts are of.
#[must_use]
pub fn of_facts(wire: &WireFacts) -> Option<&'static Row> {
    find(&wire.mti, &wire.message_type, "000", &wire.condition, &wire.entry_mode)
}

#[cfg(test)]
pub(super) mod tests;
