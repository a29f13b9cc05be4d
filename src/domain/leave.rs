//! Leave: what an operator of a higher role must allow, and the tokens that carry a supervisor's word to one deed.
//!
//! Source of the table: the access matrix of the bus contract, column "in-band role". The caller's rights as a user of
//! the system are another matter; the api judges them.
use super::calendar::BootTime;
use super::fault::{Fault, FaultName};
use super::ident::{OperatorId, TxnId};
use super::money::Amount;
use super::outcome::Role;
use core::time::Duration;
use sha2::{Digest, Sha256};

/// Actions that need somebody's leave, and the least role that gives it.
///
/// Choice: `drawer` (by configuration) and `agent` (taking over the agent of other users) are a supervisor's.
const ACTIONS: [(&str, Role); 11] = [
    ("void", Role::Supervisor),
    ("refund", Role::Supervisor),
    ("pre-auth", Role::Supervisor),
    ("settle", Role::Supervisor),
    ("queue-manage", Role::Supervisor),
    ("backup", Role::Supervisor),
    ("drawer", Role::Supervisor),
    ("agent", Role::Supervisor),
    ("operators", Role::Administrator),
    ("parameters", Role::Administrator),
    ("keys", Role::Administrator),
];

/// How long a token is good for.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// Choice: tokens alive at once. A shop needs one; more are a program gone wild.
const ALIVE_MAX: usize = 8;

/// The action of this word and the least role that allows it.
///
/// # Errors
/// `InvalidArgument`, naming the actions that need leave.
pub fn needed(action: &str) -> Result<(&'static str, Role), Fault> {
    ACTIONS.iter().find(|(word, _)| *word == action).copied().ok_or_else(|| {
        let known: Vec<&str> = ACTIONS.iter().map(|(word, _)| *word).collect();
        let text = format!("no leave is needed for action {action:?}; it is one of {}", known.join(", "));
        Fault::new(FaultName::InvalidArgument, text)
    })
}

/// May an operator of role `held` allow what needs `least`?
///
/// Choice: the administrator ranks above the supervisor and may allow all that he may: whoever can add a supervisor's
/// password can have his leave anyway, and a shop whose supervisor is ill must be able to give money back.
#[must_use]
pub fn suffices(held: Role, least: Role) -> bool {
    held >= least
}

/// What is about to be done, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// A word of the table.
    pub action: &'static str,
    /// The transaction that it follows.
    pub original: Option<TxnId>,
    /// How much money it moves.
    pub amount: Option<Amount>,
}

impl Deed {
    /// A deed that follows no transaction and moves no amount.
    #[must_use]
    pub const fn of(action: &'static str) -> Self {
        Self { action, original: None, amount: None }
    }
}

impl core::fmt::Display for Deed {
    /// For the audit trail: `refund of 1250 on 0123…`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.action)?;
        if let Some(amount) = self.amount {
            write!(f, " of {}", amount.minor())?;
        }
        match &self.original {
            Some(original) => write!(f, " on {original}"),
            None => Ok(()),
        }
    }
}

/// The refusal of a deed that nobody has allowed. It names the action, for the program that asks.
#[must_use]
pub fn missing(action: &'static str) -> Fault {
    let who = match needed(action) {
        Ok((_, Role::Administrator)) => "the administrator",
        _ => "a supervisor",
    };
    let text = format!(
        "{who} must allow action {action:?}: call Operators.Authorize and give its token as option authorization"
    );
    Fault::new(FaultName::NotAuthorized, text).with("action", action)
}

/// The refusal of a supervisor whose own role does not suffice.
#[must_use]
pub fn too_low(supervisor: &OperatorId, least: Role) -> Fault {
    let who = if least == Role::Administrator { "the administrator 99" } else { "the supervisor 00" };
    Fault::new(FaultName::NotAuthorized, format!("operator {supervisor} may not allow this; ask {who}"))
}

/// What a supervisor has allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who allowed it.
    pub supervisor: OperatorId,
    /// The user of the system who may use it.
    pub uid: u32,
    /// The action; where given, the original and the amount it is for.
    pub deed: Deed,
}

impl Grant {
    /// Is this leave to do that? What was not named is not asked for.
    fn covers(&self, uid: u32, deed: &Deed) -> bool {
        self.uid == uid
            && self.deed.action == deed.action
            && (self.deed.original.is_none() || self.deed.original == deed.original)
            && (self.deed.amount.is_none() || self.deed.amount == deed.amount)
    }
}

/// The tokens that are alive. They are kept as digests only and die with the process.
#[derive(Debug, Default)]
pub struct Tokens {
    alive: Vec<Token>,
}

#[derive(Debug)]
struct Token {
    sha256: [u8; 32],
    grant: Grant,
    until: BootTime,
}

impl Tokens {
    /// Makes a token of 32 hex digits from 128 random bits, good once within 60 s.
    ///
    /// # Errors
    /// `TooMany` while 8 are alive.
    pub fn issue(&mut self, random: [u8; 16], grant: Grant, now: BootTime) -> Result<String, Fault> {
        self.drop_old(now);
        if self.alive.len() >= ALIVE_MAX {
            let text = format!("{ALIVE_MAX} authorizations wait to be used; use one or wait a minute");
            return Err(Fault::new(FaultName::TooMany, text));
        }
        let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        self.alive.push(Token { sha256: digest(&text), grant, until: now.after(GOOD_FOR) });
        Ok(text)
    }

    /// Uses a token up, if it is one and covers the deed. Gives who allowed it.
    ///
    /// Choice: the first check that it passes uses it up, whatever becomes of the deed; so callers check it last. A
    /// token that came back after a failure could serve twice if the failure was none. A check that it does not pass
    /// leaves it: nobody else can spoil it.
    ///
    /// # Errors
    /// `NotAuthorized`, with the action.
    pub fn spend(&mut self, text: &str, uid: u32, deed: &Deed, now: BootTime) -> Result<OperatorId, Fault> {
        self.drop_old(now);
        let sha256 = digest(text);
        let found =
            self.alive.iter().position(|token| token.sha256 == sha256 && token.grant.covers(uid, deed));
        match found {
            Some(at) => Ok(self.alive.swap_remove(at).grant.supervisor),
            None => {
                let text = format!(
                    "the authorization is used up, older than 60 s, or not for this user, action {:?}, \
                     original and amount; call Operators.Authorize again",
                    deed.action
                );
                Err(Fault::new(FaultName::NotAuthorized, text).with("action", deed.action))
            }
        }
    }

    fn drop_old(&mut self, now: BootTime) {
        self.alive.retain(|token| now < token.until);
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ident::RequestId;
    use crate::domain::outcome::Kind;
    use crate::domain::rules::rule;

    const NOW: BootTime = BootTime(7_000_000);

    fn txn(name: &str) -> TxnId {
        TxnId::of(&RequestId::new(name).unwrap())
    }

    fn grant(deed: Deed) -> Grant {
        Grant { supervisor: OperatorId::new("00").unwrap(), uid: 1000, deed }
    }

    fn spent(tokens: &mut Tokens, text: &str, uid: u32, deed: &Deed) -> Result<String, FaultName> {
        tokens.spend(text, uid, deed, NOW).map(|who| who.to_string()).map_err(|fault| fault.name)
    }

    /// Goal: a token serves once, and only its user and action; a wrong try does not spoil it.
    #[test]
    fn a_token_serves_its_user_and_action_once() {
        let mut tokens = Tokens::default();
        let refund = Deed::of("refund");
        let text = tokens.issue([0xA5; 16], grant(refund.clone()), NOW).unwrap();
        assert_eq!(text, "a5".repeat(16));
        let refused = Err(FaultName::NotAuthorized);
        assert_eq!(spent(&mut tokens, &text, 1001, &refund), refused, "another user");
        assert_eq!(spent(&mut tokens, &text, 1000, &Deed::of("void")), refused, "another action");
        assert_eq!(spent(&mut tokens, "", 1000, &refund), refused, "no token");
        assert_eq!(spent(&mut tokens, &text, 1000, &refund), Ok("00".to_owned()));
        assert_eq!(spent(&mut tokens, &text, 1000, &refund), refused, "once only");
    }

    /// Goal: original and amount bind where they were named, and only there.
    #[test]
    fn a_token_is_bound_to_what_was_named() {
        let mut tokens = Tokens::default();
        let amount = |minor| Some(Amount::from_minor(minor).unwrap());
        let deed = |original: &str, minor| Deed {
            action: "refund",
            original: Some(txn(original)),
            amount: amount(minor),
        };
        let refused = Err(FaultName::NotAuthorized);
        let bound = tokens.issue([1; 16], grant(deed("a", 500)), NOW).unwrap();
        assert_eq!(spent(&mut tokens, &bound, 1000, &deed("b", 500)), refused, "another original");
        assert_eq!(spent(&mut tokens, &bound, 1000, &deed("a", 501)), refused, "another amount");
        assert_eq!(spent(&mut tokens, &bound, 1000, &Deed::of("refund")), refused, "nothing named");
        assert!(spent(&mut tokens, &bound, 1000, &deed("a", 500)).is_ok());
        let free = tokens.issue([2; 16], grant(Deed::of("refund")), NOW).unwrap();
        assert!(spent(&mut tokens, &free, 1000, &deed("b", 7)).is_ok());
    }

    /// Goal: a token lives for 60 s, and no more than eight live at once.
    #[test]
    fn tokens_die_after_a_minute_and_are_few() {
        let mut tokens = Tokens::default();
        let void = Deed::of("void");
        let texts: Vec<String> =
            (0..8).map(|n| tokens.issue([n; 16], grant(void.clone()), NOW).unwrap()).collect();
        let ninth = tokens.issue([9; 16], grant(void.clone()), NOW).unwrap_err();
        assert_eq!(ninth.name, FaultName::TooMany);
        let just_in_time = BootTime(NOW.0 + 59_999_999);
        assert!(tokens.spend(&texts[0], 1000, &void, just_in_time).is_ok());
        let too_late = BootTime(NOW.0 + 60_000_000);
        assert!(tokens.spend(&texts[1], 1000, &void, too_late).is_err());
        assert!(tokens.issue([9; 16], grant(void), too_late).is_ok(), "the dead make room");
    }

    /// Goal: who may allow what follows the access matrix.
    #[test]
    fn roles_allow_what_the_matrix_says() {
        for (action, least) in [("void", Role::Supervisor), ("operators", Role::Administrator)] {
            assert_eq!(needed(action), Ok((action, least)));
        }
        assert_eq!(needed("trade").unwrap_err().name, FaultName::InvalidArgument);
        assert!(suffices(Role::Supervisor, Role::Supervisor));
        assert!(suffices(Role::Administrator, Role::Supervisor));
        assert!(!suffices(Role::Supervisor, Role::Administrator));
        assert!(!suffices(Role::Cashier, Role::Supervisor) && !suffices(Role::None, Role::Supervisor));
        for rule in Kind::ALL.iter().map(|kind| rule(*kind)).filter(|rule| rule.supervisor) {
            assert_eq!(needed(rule.action), Ok((rule.action, Role::Supervisor)), "{}", rule.kind);
        }
        assert_eq!(missing("settle").details, [("action", "settle".to_owned())]);
    }
}
