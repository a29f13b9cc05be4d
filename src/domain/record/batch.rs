//! The batch in the journal: the steps of its settlement, and what is read back of it.
use crate::domain::calendar::WallTime;
use crate::domain::ident::{BatchNumber, MerchantId, OperatorId, Stan, TerminalId};
use crate::domain::money::Currency;
use crate::domain::outcome::{BatchState, CardClass, Kind, Verdict};
use crate::domain::unionpay::Identity;

/// Under which identity a batch or an obligation began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// DE 41.
    pub terminal_id: TerminalId,
    /// DE 42.
    pub merchant_id: MerchantId,
    /// ISO 4217, three letters.
    pub currency: String,
    /// Name of the profile; empty where an earlier schema did not keep it: any profile will do then.
    pub profile: String,
}

impl Begun {
    /// True if that is who the terminal is now.
    #[must_use]
    pub fn is(&self, now: &Identity, currency: Currency) -> bool {
        self.terminal_id == now.terminal_id
            && self.merchant_id == now.merchant_id
            && self.currency == currency.alpha()
            && (self.profile.is_empty() || self.profile == now.profile.name)
    }
}

/// Settlement of the open batch, one durable step after the other; see [`crate::domain::settlement`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettlementStep {
    /// Sales are refused from here on; script results, reversals and uploads go first.
    Begun {
        /// When.
        at: WallTime,
        /// Who asked.
        operator: OperatorId,
    },
    /// It failed before the totals were frozen: sales are taken again.
    Reopened {
        /// When.
        at: WallTime,
        /// Cause in words.
        cause: String,
    },
    /// Field 48 of the 0500 stands. Takes the STAN of the 0500.
    TotalsFrozen {
        /// Field 48, 62 digits.
        field48: String,
        /// When.
        at: WallTime,
    },
    /// The host's word.
    Verdict {
        /// On domestic cards.
        domestic: Verdict,
        /// On foreign cards.
        foreign: Verdict,
        /// When.
        at: WallTime,
    },
    /// So many records of the batch upload are answered; repeats are harmless.
    Uploaded {
        /// Records answered so far, in the fixed order of the upload.
        records: u32,
        /// When.
        at: WallTime,
    },
    /// The batch is closed and the next one opened: its number, or 1 after 999999.
    Closed {
        /// On domestic cards.
        domestic: Verdict,
        /// On foreign cards.
        foreign: Verdict,
        /// Closed by a supervisor without the bank's word; the detail is kept for later.
        forced: bool,
        /// When.
        at: WallTime,
    },
}

/// The settlement of the open batch as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementRow {
    /// `settling` before the bank's verdict, `uploading` after it.
    pub state: BatchState,
    /// When it began.
    pub begun_at: WallTime,
    /// Who asked.
    pub operator: OperatorId,
    /// Field 48 and the STAN of the 0500, once frozen.
    pub frozen: Option<(String, Stan)>,
    /// The bank's word: domestic, foreign.
    pub verdict: Option<(Verdict, Verdict)>,
    /// Records of the upload that are answered.
    pub uploaded: u32,
}

/// A batch of the past or the open one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRow {
    /// Its number.
    pub number: BatchNumber,
    /// Where it stands.
    pub state: BatchState,
    /// When it was opened.
    pub opened_at: WallTime,
    /// When it was closed.
    pub closed_at: Option<WallTime>,
    /// Who settled it.
    pub operator: Option<OperatorId>,
    /// The bank's word.
    pub verdict: Option<(Verdict, Verdict)>,
    /// Closed without it.
    pub forced: bool,
    /// Field 48 of its 0500.
    pub field48: Option<String>,
    /// Its totals by kind, card class and operator.
    pub totals: Vec<TotalsRow>,
}

/// One line of totals: outcomes that moved money, counted and summed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotalsRow {
    /// Kind.
    pub kind: Kind,
    /// Card class.
    pub card_class: CardClass,
    /// Operator.
    pub operator: OperatorId,
    /// How many.
    pub count: u32,
    /// Their approved amounts.
    pub amount: u64,
    /// How many of them were voided later: the profile says whether they stay in field 48; they leave the slip's lines.
    pub voided_count: u32,
    /// Their amounts.
    pub voided_amount: u64,
}
