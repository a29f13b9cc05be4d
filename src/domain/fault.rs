//! Refusals: what a caller did or asked for that cannot be done, by the names of the bus contract.
//! A declined payment is an outcome, never a fault.
use super::outcome::words;

words! {
    /// Error names under `org.posd.Pos1.Error.`.
    FaultName {
        /// Anything without a better name.
        Failed = "Failed",
        /// An argument has the wrong form; the text names it.
        InvalidArgument = "InvalidArgument",
        /// Known, but not done by this version or device.
        NotSupported = "NotSupported",
        /// No such thing.
        NotFound = "NotFound",
        /// It is there already.
        AlreadyExists = "AlreadyExists",
        /// Something else runs; try again when it is done.
        Busy = "Busy",
        /// A size limit is reached.
        TooMany = "TooMany",
        /// A device, agent or part is missing for now.
        NotReady = "NotReady",
        /// The host sign-on is missing.
        NotSignedOn = "NotSignedOn",
        /// No operator session.
        OperatorRequired = "OperatorRequired",
        /// Not allowed.
        NotAuthorized = "NotAuthorized",
        /// polkit would ask.
        AuthenticationRequired = "AuthenticationRequired",
        /// Too many wrong passwords.
        LockedOut = "LockedOut",
        /// A factory password must be changed first.
        MustChangePassword = "MustChangePassword",
        /// No operator of that number.
        NoSuchOperator = "NoSuchOperator",
        /// The password is wrong.
        WrongPassword = "WrongPassword",
        /// Cancelled by a person.
        Cancelled = "Cancelled",
        /// The bank has been asked already.
        TooLate = "TooLate",
        /// It has ended.
        AlreadyFinished = "AlreadyFinished",
        /// The request id was used with other arguments.
        IdempotencyConflict = "IdempotencyConflict",
        /// The kind is switched off.
        FunctionDisabled = "FunctionDisabled",
        /// A limit is reached.
        LimitExceeded = "LimitExceeded",
        /// The amount does not fit the kind.
        AmountInvalid = "AmountInvalid",
        /// Not the terminal's currency.
        CurrencyMismatch = "CurrencyMismatch",
        /// No such original.
        OriginalNotFound = "OriginalNotFound",
        /// The original cannot be followed up so.
        OriginalNotEligible = "OriginalNotEligible",
        /// More than was paid.
        RefundExceedsOriginal = "RefundExceedsOriginal",
        /// The batch is being closed.
        BatchClosing = "BatchClosing",
        /// A reversal of the original is under way.
        ReversalPending = "ReversalPending",
        /// No such device.
        DeviceAbsent = "DeviceAbsent",
        /// The device is in use.
        DeviceBusy = "DeviceBusy",
        /// The device is broken.
        DeviceFault = "DeviceFault",
        /// No paper.
        PaperOut = "PaperOut",
        /// No network link.
        NoLink = "NoLink",
        /// No connection to the host.
        HostUnreachable = "HostUnreachable",
        /// The host did not answer.
        HostTimeout = "HostTimeout",
        /// The host refused.
        HostRejected = "HostRejected",
        /// The host's answer is broken.
        ProtocolError = "ProtocolError",
        /// The host's answer has a wrong MAC.
        MacError = "MacError",
        /// No master key or no working keys.
        KeysMissing = "KeysMissing",
        /// No card parameters.
        ParametersMissing = "ParametersMissing",
        /// The disk is full.
        StorageFull = "StorageFull",
        /// The disk is broken.
        StorageFault = "StorageFault",
        /// The clock cannot be trusted.
        ClockUntrusted = "ClockUntrusted",
        /// Not in this state.
        WrongState = "WrongState",
        /// A configuration change was taken back.
        RolledBack = "RolledBack",
    }
}

/// A refusal: its name on the bus, and a sentence with the cause and the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    /// The name.
    pub name: FaultName,
    /// English sentence: cause and next step. Never holds card data.
    pub text: String,
    /// More for programs, by key: `action` of a [`FaultName::NotAuthorized`] that an Authorize token would lift.
    pub details: Vec<(&'static str, String)>,
}

impl Fault {
    /// Makes a fault.
    #[must_use]
    pub fn new(name: FaultName, text: impl Into<String>) -> Self {
        Self { name, text: text.into(), details: Vec::new() }
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.details.push((key, value.into()));
        self
    }
}
