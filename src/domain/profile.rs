//! The acquirer's rules as far as they differ from bank to bank. Each is a setting and not a constant in code, because
//! no public document fixes it; the one profile that ships is the common form of public terminal code.
use core::time::Duration;

/// What is done with a refusal that carries no MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsignedRefusals {
    /// It is a refusal.
    Accept,
    /// The outcome stays declined, and a reversal is due: on a line without TLS anybody could have sent it.
    Reverse,
}

/// What is done with an upload that waited longer than `[store-and-forward] max-age-h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateUploads {
    /// It is sent all the same, and marked late.
    Send,
    /// The bank refuses late ones: its entry becomes `expired`, and the shop resolves it.
    Expire,
}

/// One acquirer's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Attempts of a reversal before it is `failed` and no longer blocks trading: parameter 23 plus one; 3 is the
    /// factory default of Newland terminals.
    pub reversal_attempts: u32,
    /// After 25 the bank is asked once more when so much time has passed; zero = never.
    pub repeat_not_found: Duration,
    /// Attempts of an upload, advice or script result before it is `failed`.
    pub upload_attempts: u32,
    /// Refusals without a MAC.
    pub unsigned_refusals: UnsignedRefusals,
    /// Uploads that waited too long.
    pub late_uploads: LateUploads,
    /// Void kinds ask for the card again ("void needs card").
    pub void_needs_card: bool,
    /// A void asks the PIN.
    pub void_pin: bool,
    /// A pre-authorisation void asks the PIN.
    pub pre_auth_void_pin: bool,
    /// A completion request asks the PIN.
    pub completion_pin: bool,
    /// A completion void asks the PIN.
    pub completion_void_pin: bool,
    /// A completion may reach so many percent of its pre-authorisation. Spec: unverified (common issuer rule).
    pub completion_percent_max: u32,
    /// The same card and amount within this time is suspected to be a duplicate; zero = never.
    pub duplicate_window: Duration,
}

impl Profile {
    /// `unionpay`, the profile that ships.
    pub const UNIONPAY: Self = Self {
        reversal_attempts: 4,
        repeat_not_found: Duration::from_secs(60),
        upload_attempts: 3,
        unsigned_refusals: UnsignedRefusals::Accept,
        late_uploads: LateUploads::Send,
        void_needs_card: true,
        void_pin: false,
        pre_auth_void_pin: true,
        completion_pin: true,
        completion_void_pin: true,
        completion_percent_max: 115,
        duplicate_window: Duration::from_secs(300),
    };
}
