//! The vocabulary of a transaction: kinds, states, prompts, outcomes and result codes, each with its one spelling on
//! the bus. What is shown to people stands in [`crate::domain::text`].

/// Declares an enumeration together with its lower-case, hyphenated words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the bus, in the journal and in JSON.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads the word back.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What the cashier wants. All are named so that the contract can be answered; [`Kind::is_built`] says which run.
    Kind {
        /// Goods against money.
        Sale = "sale",
        /// Undo of a sale of the same batch.
        Void = "void",
        /// Money back later.
        Refund = "refund",
        /// Balance inquiry.
        Balance = "balance",
        /// Pre-authorisation.
        PreAuth = "pre-auth",
        /// Undo of a pre-authorisation.
        PreAuthVoid = "pre-auth-void",
        /// Completion by request.
        PreAuthComplete = "pre-auth-complete",
        /// Completion by advice.
        PreAuthAdvice = "pre-auth-advice",
        /// Undo of a completion.
        PreAuthCompleteVoid = "pre-auth-complete-void",
        /// Sale approved by the card alone.
        OfflineSale = "offline-sale",
        /// Sale by a code on the customer's phone.
        QrSale = "qr-sale",
        /// Refund of a code sale.
        QrRefund = "qr-refund",
    }
}

impl Kind {
    /// True for the kinds this version carries out; the others answer `NotSupported`.
    #[must_use]
    pub const fn is_built(self) -> bool {
        !matches!(self, Self::QrSale | Self::QrRefund)
    }
}

words! {
    /// Where a transaction stands. Those from `Resolving` on follow `Finished` and never hold it.
    TxnState {
        /// Taken, nothing asked yet; waits here for a running sign-on or an earlier card to leave.
        Created = "created",
        /// A supervisor is asked.
        WaitingAuthorization = "waiting-authorization",
        /// The customer is asked for a card.
        WaitingCard = "waiting-card",
        /// The chip is being read.
        ReadingCard = "reading-card",
        /// The customer chooses one of several applications.
        SelectingApplication = "selecting-application",
        /// The customer or cashier confirms the card.
        ConfirmingCard = "confirming-card",
        /// The customer types the PIN.
        WaitingPin = "waiting-pin",
        /// Terminal risk management and the first cryptogram.
        Risk = "risk",
        /// A line to the host is being opened.
        Connecting = "connecting",
        /// The request is made durable and sent.
        Sending = "sending",
        /// The host is thinking.
        WaitingHost = "waiting-host",
        /// The second cryptogram.
        CardCompletion = "card-completion",
        /// The outcome is unknown and is being undone.
        Resolving = "resolving",
        /// The merchant ply.
        PrintingMerchant = "printing-merchant",
        /// The cashier tears the first ply off.
        WaitingTear = "waiting-tear",
        /// The cashier checks the signature.
        WaitingSignature = "waiting-signature",
        /// The cardholder ply.
        PrintingCustomer = "printing-customer",
        /// The card is still in the reader.
        RemoveCard = "remove-card",
        /// Nothing is left to do.
        Finished = "finished",
    }
}

words! {
    /// How a transaction ended. `None` while it runs.
    Outcome {
        /// Not yet decided.
        None = "none",
        /// The money moved.
        Approved = "approved",
        /// The bank or the card said no.
        Declined = "declined",
        /// Stopped by a person or a time-out before the bank was asked.
        Cancelled = "cancelled",
        /// Something broke before the bank could have booked.
        Failed = "failed",
        /// The bank may have booked; a reversal or an exception is durable.
        Unknown = "unknown",
        /// Was unknown; the bank has confirmed that it holds nothing.
        Reversed = "reversed",
        /// Approved by the card, to be uploaded.
        StoredOffline = "stored-offline",
    }
}

words! {
    /// Why it ended so: the machine-readable cause.
    ResultCode {
        /// Approved by the bank.
        Approved = "approved",
        /// Approved for less than asked.
        Partial = "partial",
        /// Approved by the card.
        OfflineApproved = "offline-approved",
        /// Declined by the bank; see the response code.
        DeclinedHost = "declined-host",
        /// Declined by the card after the bank approved.
        DeclinedCard = "declined-card",
        /// Declined by the card or terminal without asking the bank.
        DeclinedOffline = "declined-offline",
        /// The customer cancelled.
        CustomerCancelled = "customer-cancelled",
        /// The cashier cancelled.
        OperatorCancelled = "operator-cancelled",
        /// The customer did nothing for too long.
        CustomerTimeout = "customer-timeout",
        /// The card was pulled too early.
        CardRemoved = "card-removed",
        /// The chip gave no or broken answers.
        CardUnreadable = "card-unreadable",
        /// The card or application is blocked.
        CardBlocked = "card-blocked",
        /// The card has expired.
        CardExpired = "card-expired",
        /// Not the card of the original.
        WrongCard = "wrong-card",
        /// A chip card was swiped.
        ChipRequired = "chip-required",
        /// The bank refuses fallback.
        FallbackRefused = "fallback-refused",
        /// Wrong PIN.
        PinWrong = "pin-wrong",
        /// PIN tries used up.
        PinBlocked = "pin-blocked",
        /// PIN entry was cancelled.
        PinCancelled = "pin-cancelled",
        /// The same card and amount a moment ago.
        DuplicateSuspected = "duplicate-suspected",
        /// A limit of the terminal.
        LimitExceeded = "limit-exceeded",
        /// No network link.
        NoLink = "no-link",
        /// No connection on any attempt.
        ConnectFailed = "connect-failed",
        /// The bank did not answer in time.
        HostTimeout = "host-timeout",
        /// The bank's answer has a wrong MAC.
        MacError = "mac-error",
        /// The bank's answer does not fit the request.
        ProtocolError = "protocol-error",
        /// The terminal could not store the result.
        StorageFault = "storage-fault",
        /// The terminal's identity changed under open business.
        IdentityChanged = "identity-changed",
        /// The terminal stopped or restarted before the bank was asked.
        Interrupted = "interrupted",
        /// No sign-on could be made before the transaction.
        NotSignedOn = "not-signed-on",
        /// No accepted application on the card.
        CardNotAccepted = "card-not-accepted",
        /// The card is on the bank's blacklist.
        CardBlacklisted = "card-blacklisted",
        /// A supervisor refused, or nobody could be asked.
        NotAuthorized = "not-authorized",
        /// The original took another follow-up, or was settled, while this one waited.
        OriginalNotEligible = "original-not-eligible",
        /// The shop resolved an unknown outcome: the money moved.
        ResolvedPaid = "resolved-paid",
        /// The shop resolved an unknown outcome: no money moved.
        ResolvedNotPaid = "resolved-not-paid",
    }
}

words! {
    /// What the customer or cashier is asked or told while it runs.
    Prompt {
        /// Insert the card.
        InsertCard = "insert-card",
        /// Tap the card.
        TapCard = "tap-card",
        /// Swipe the card.
        SwipeCard = "swipe-card",
        /// Show the code.
        PresentCode = "present-code",
        /// Confirm the card.
        ConfirmCard = "confirm-card",
        /// Leave the card in.
        DoNotRemoveCard = "do-not-remove-card",
        /// Take the card.
        RemoveCard = "remove-card",
        /// The card left too early.
        CardRemovedTooEarly = "card-removed-too-early",
        /// Use the chip.
        UseChip = "use-chip",
        /// Once more.
        TryAgain = "try-again",
        /// Another way to pay.
        OtherMethod = "other-method",
        /// Type the PIN.
        EnterPin = "enter-pin",
        /// The PIN was wrong.
        WrongPin = "wrong-pin",
        /// The terminal signs on.
        SigningOn = "signing-on",
        /// A line is being opened.
        Dialling = "dialling",
        /// Sent, the bank works.
        Processing = "processing",
        /// Waiting for the answer.
        Receiving = "receiving",
        /// Check the signature.
        CheckSignature = "check-signature",
        /// Tear the slip.
        TearReceipt = "tear-receipt",
        /// No paper.
        PaperOut = "paper-out",
        /// Look at the phone.
        SeeDevice = "see-device",
    }
}

words! {
    /// How the card was read: DE 22 digits 1 and 2.
    EntryMode {
        /// Contact chip, DE 22 = 05x, letter I on paper.
        Chip = "chip",
        /// Swiped, 02x, letter S.
        Swipe = "swipe",
        /// Tapped, 07x, letter C.
        Contactless = "contactless",
        /// Typed, 01x, letter M.
        Manual = "manual",
        /// Scanned, 03x, letter N.
        Code = "code",
    }
}

words! {
    /// Where a PIN is typed.
    PinEntry {
        /// Into a certified part of the cashier's program, handed over by the agent.
        Agent = "agent",
        /// Into the reader's own PIN pad, which gives it to the card, in clear, and to nobody else.
        Pinpad = "pinpad",
        /// Nowhere: cards that demand one are declined or go on without, as EMV rules.
        Nowhere = "none",
    }
}

words! {
    /// How the cardholder proved to be the cardholder.
    CvmMethod {
        /// Not at all.
        NoCvm = "none",
        /// PIN checked by the issuer.
        OnlinePin = "online-pin",
        /// PIN checked by the chip.
        OfflinePin = "offline-pin",
        /// Signature on paper.
        Signature = "signature",
        /// PIN checked by the issuer, and a signature.
        OnlinePinAndSignature = "online-pin-signature",
        /// PIN checked by the chip, and a signature.
        OfflinePinAndSignature = "offline-pin-signature",
    }
}

impl CvmMethod {
    /// True where the cardholder signs.
    #[must_use]
    pub const fn wants_signature(self) -> bool {
        matches!(self, Self::Signature | Self::OnlinePinAndSignature | Self::OfflinePinAndSignature)
    }

    /// True where a PIN was typed.
    #[must_use]
    pub const fn has_pin(self) -> bool {
        !matches!(self, Self::NoCvm | Self::Signature)
    }
}

words! {
    /// A copy of the slip.
    Ply {
        /// For the shop, with the signature line.
        Merchant = "merchant",
        /// For the acquirer, with the signature line; where it wants paper.
        Bank = "bank",
        /// For the cardholder.
        Customer = "customer",
    }
}

impl Ply {
    /// True for those that are kept as evidence: they have the line for the signature.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::Merchant | Self::Bank)
    }
}

words! {
    /// What is known about one ply of paper.
    PrintState {
        /// Waits for the printer thread.
        Queued = "queued",
        /// Bytes are flowing.
        Printing = "printing",
        /// The printer said that the end was reached.
        Confirmed = "confirmed",
        /// Bytes were accepted and the end was not proven.
        Unconfirmed = "unconfirmed",
        /// No byte was accepted; prints by itself when the printer is ready.
        Held = "held",
        /// Cannot be printed.
        Failed = "failed",
        /// Given up by a person.
        Abandoned = "abandoned",
    }
}

words! {
    /// The terminal as a whole, on the Manager's `State`.
    TerminalState {
        /// Before recovery is done.
        Starting = "starting",
        /// Signed on and free.
        Ready = "ready",
        /// Free, but the host is not reachable or not signed on.
        ReadyOffline = "ready-offline",
        /// A transaction runs.
        Trading = "trading",
        /// The batch is being settled.
        Settling = "settling",
        /// Somebody must act first.
        Maintenance = "maintenance",
        /// Storage is broken: no money moves.
        Fault = "fault",
    }
}

words! {
    /// What an operator may do.
    Role {
        /// Nobody is signed on.
        None = "none",
        /// 01 to 98.
        Cashier = "cashier",
        /// 00.
        Supervisor = "supervisor",
        /// 99.
        Administrator = "administrator",
    }
}

words! {
    /// State of a queue entry.
    QueueState {
        /// Must go out before the next online message.
        Due = "due",
        /// An attempt is under way.
        Sending = "sending",
        /// Waits for its turn.
        Queued = "queued",
        /// Answered and closed.
        Done = "done",
        /// Answered with a refusal.
        Denied = "denied",
        /// Attempts used up; tried again at sign-on, link change, settlement and flush.
        Failed = "failed",
        /// Too old for the host.
        Expired = "expired",
        /// Put aside by a supervisor.
        Parked = "parked",
    }
}

words! {
    /// What an entry of the store-and-forward queue owes to the bank or to the shop.
    EntryType {
        /// 0400: the undo of an unknown outcome.
        Reversal = "reversal",
        /// 0620: what the card did with the issuer's scripts.
        Script = "script",
        /// 0200/36 or 0220/30: a sale that was approved without the bank.
        OfflineSale = "offline-sale",
        /// 0220/24: a completion that is told, not asked.
        Advice = "advice",
        /// A refund without an answer: never repeated by itself; the shop resolves it.
        RefundUnknown = "refund-unknown",
    }
}

words! {
    /// How the shop ended an entry that the bank did not (`Queue.Resolve`).
    Resolution {
        /// The money moved: an unknown outcome becomes approved.
        Paid = "paid",
        /// It did not: an unknown outcome becomes failed.
        NotPaid = "not-paid",
        /// Nobody knows; the outcome stays.
        WrittenOff = "written-off",
    }
}

words! {
    /// Where the open batch stands (`Ledger.BatchState`).
    BatchState {
        /// Sales are taken.
        Open = "open",
        /// It is being drained and counted; sales answer `BatchClosing`.
        Settling = "settling",
        /// The bank has said its verdict; detail goes up.
        Uploading = "uploading",
        /// Done; only batches of the past are.
        Closed = "closed",
    }
}

words! {
    /// The bank's word on the totals of one card class: field 48 of 0510, digits 31 and 62.
    Verdict {
        /// 对帐平, digit 1.
        Agreed = "agreed",
        /// 对帐不平, digit 2.
        Disagreed = "disagreed",
        /// 对帐出错, digit 3.
        Error = "error",
        /// No answer; the batch was force-closed.
        Unknown = "unknown",
    }
}

words! {
    /// Whose card it was, as settlement counts: field 63.1 is CUP or not.
    CardClass {
        /// 内卡.
        Domestic = "domestic",
        /// 外卡.
        Foreign = "foreign",
    }
}

impl CardClass {
    /// Counts as domestic: `CUP` in DE 63.1 of the answer, none, and the `000` of refunds; offline chip sales (DE 60.1
    /// = 36) always. Source: LiaoYang_POS; Spec: unverified.
    #[must_use]
    pub fn of(message_type: Option<&str>, organisation: Option<&str>) -> Self {
        match organisation.map(str::trim) {
            _ if message_type == Some("36") => Self::Domestic,
            None | Some("" | "CUP" | "000") => Self::Domestic,
            Some(_) => Self::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.word()), Some(*kind));
        }
        for code in ResultCode::ALL {
            assert_eq!(ResultCode::from_word(code.word()), Some(*code));
        }
        assert_eq!(TxnState::ALL.len(), 19);
        assert_eq!(Prompt::ALL.len(), 21);
        assert_eq!(Kind::from_word("Sale"), None);
    }

    #[test]
    fn foreign_is_who_names_another_organisation() {
        let of = |kind, organisation| CardClass::of(Some(kind), organisation);
        for organisation in [None, Some("CUP"), Some("000"), Some("   ")] {
            assert_eq!(of("22", organisation), CardClass::Domestic);
        }
        assert_eq!(of("22", Some("VIS")), CardClass::Foreign);
        assert_eq!(of("36", Some("VIS")), CardClass::Domestic, "an offline chip sale");
    }
}
