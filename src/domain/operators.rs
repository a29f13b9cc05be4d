//! Operators and their passwords: who may do what, when a password is right, when the door stays shut.
//!
//! Pure: the engine brings the stored row, the time and the salt, stores the row that comes back before it
//! answers, and keeps the session.
mod hash;

use super::calendar::WallTime;
use super::fault::{Fault, FaultName};
use super::ident::OperatorId;
use super::outcome::Role;
use super::record::OperatorRow;
use super::secret::Password;
pub use hash::{PasswordError, hash, verify};

/// Operator numbers and passwords of a terminal that leaves the factory. Each password must be changed before
/// it opens a session.
pub const FACTORY: [(&str, &str); 5] =
    [("00", "123456"), ("01", "0000"), ("02", "0000"), ("03", "0000"), ("99", "12345678")];

/// Choice: wrong passwords in a row before the first lock.
const TRIES: u32 = 5;
/// Choice: the first lock, s; each further wrong password doubles it.
const LOCK_FIRST_S: u64 = 30;
/// Choice: the longest lock, s.
const LOCK_LONGEST_S: u64 = 3600;
/// Longest password, bytes: what a secret on the bus may have.
const PASSWORD_MAX: usize = 64;

const MICROS: u64 = 1_000_000;

/// What a number may do: 00 is the supervisor, 99 the administrator, all others are cashiers.
#[must_use]
pub fn role(operator: &OperatorId) -> Role {
    match operator.as_str() {
        "00" => Role::Supervisor,
        "99" => Role::Administrator,
        _ => Role::Cashier,
    }
}

/// A decision, and the operator as it must be stored before the decision is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<T> {
    /// The answer.
    pub answer: Result<T, Fault>,
    /// The changed row; `None` = unchanged.
    pub store: Option<OperatorRow>,
}

/// Asked before a password is hashed: is there such an operator, and is the door open?
///
/// # Errors
/// `NoSuchOperator`; `LockedOut` with the seconds left.
pub fn check_open(row: Option<&OperatorRow>, now: WallTime) -> Result<&OperatorRow, Fault> {
    let row = check_there(row)?;
    match locked_for_s(row, now) {
        0 => Ok(row),
        left => Err(locked_out(left)),
    }
}

/// Decides a sign-on. `verified` is what [`verify`] said; `None` if it could not tell.
///
/// A wrong password is counted; the fifth in a row locks for 30 s, each further one twice as long, at most an
/// hour. A right one clears the count. A factory password opens no session while `require_change` is set.
#[must_use]
pub fn check_sign_on(
    row: Option<&OperatorRow>,
    verified: Option<bool>,
    now: WallTime,
    require_change: bool,
) -> Decision<Role> {
    check_password(row, verified, now, |row| {
        if row.factory && require_change {
            Err(Fault::new(
                FaultName::MustChangePassword,
                "the factory password works only to change it; change the password first",
            ))
        } else {
            Ok(role(&row.id))
        }
    })
}

/// Decides a change of password, the new one having passed [`check_new`]: the old one must be right (counted as at
/// sign-on). After an `Ok` the caller stores [`with_password`].
#[must_use]
pub fn check_change(row: Option<&OperatorRow>, verified: Option<bool>, now: WallTime) -> Decision<Role> {
    check_password(row, verified, now, |row| Ok(role(&row.id)))
}

/// Checks a new password against the rules of the operator's role, and against the old one where there is one.
///
/// Choice: printable ASCII, at most 64 bytes, at least 4 characters for cashiers, 6 for the supervisor, 8 for
/// the administrator, and none of the factory passwords.
///
/// # Errors
/// `InvalidArgument` with what is allowed; the password is never quoted.
pub fn check_new(operator: &OperatorId, new: &Password, old: Option<&Password>) -> Result<(), Fault> {
    let least = match role(operator) {
        Role::Administrator => 8,
        Role::Supervisor => 6,
        Role::Cashier | Role::None => 4,
    };
    let bytes = new.reveal();
    if !(least..=PASSWORD_MAX).contains(&bytes.len()) || !bytes.iter().all(|b| (0x20..0x7f).contains(b)) {
        return Err(invalid(format!(
            "a password of operator {operator} has {least} to {PASSWORD_MAX} printable ASCII characters"
        )));
    }
    if FACTORY.iter().any(|(_, password)| password.as_bytes() == bytes) {
        return Err(invalid("a factory password is known to everybody; choose another"));
    }
    if old == Some(new) {
        return Err(invalid("the new password is the old one; choose another"));
    }
    Ok(())
}

/// May the administrator add this operator? The password is judged by [`check_new`].
///
/// # Errors
/// `AlreadyExists`. 00 and 99 are always there, so that only 01 to 98 can be added.
pub fn check_add(row: Option<&OperatorRow>) -> Result<(), Fault> {
    match row {
        Some(row) => {
            let text =
                format!("there is an operator {} already; change the password or remove it first", row.id);
            Err(Fault::new(FaultName::AlreadyExists, text))
        }
        None => Ok(()),
    }
}

/// May the administrator remove this operator?
///
/// # Errors
/// `InvalidArgument` for 00 and 99; `WrongState` while it is signed on; `NoSuchOperator`.
pub fn check_remove(
    operator: &OperatorId,
    row: Option<&OperatorRow>,
    signed_on: Option<&OperatorId>,
) -> Result<(), Fault> {
    if role(operator) != Role::Cashier {
        return Err(invalid("operators 00 and 99 belong to every terminal; change their passwords instead"));
    }
    check_there(row)?;
    if signed_on == Some(operator) {
        let text = format!("operator {operator} is signed on; sign it off first");
        return Err(Fault::new(FaultName::WrongState, text));
    }
    Ok(())
}

/// There must be such an operator.
///
/// # Errors
/// `NoSuchOperator`.
pub fn check_there(row: Option<&OperatorRow>) -> Result<&OperatorRow, Fault> {
    row.ok_or_else(|| {
        Fault::new(
            FaultName::NoSuchOperator,
            "there is no operator of that number; ask the administrator to add it",
        )
    })
}

/// The operator with a new password of its own: no longer factory, nothing counted, not locked.
#[must_use]
pub fn with_password(operator: OperatorId, phc: String) -> OperatorRow {
    OperatorRow { id: operator, password_phc: phc, factory: false, failures: 0, locked_until: WallTime(0) }
}

/// A factory operator as a new journal holds it; `None` only if the hash cannot be made.
#[must_use]
pub fn factory_row(number: &str, password: &str, salt: [u8; 16]) -> Option<OperatorRow> {
    let id = OperatorId::new(number).ok()?;
    let password_phc = hash(&Password::new(password.as_bytes().to_vec()), salt).ok()?;
    Some(OperatorRow { id, password_phc, factory: true, failures: 0, locked_until: WallTime(0) })
}

/// The operator with its door open again.
#[must_use]
pub fn unlocked(row: &OperatorRow) -> OperatorRow {
    OperatorRow { failures: 0, locked_until: WallTime(0), ..row.clone() }
}

/// Seconds until the next try, rounded up; 0 if not locked. A lock that lasts longer than any lock can was
/// set before the clock was moved back, and is over.
#[must_use]
pub fn locked_for_s(row: &OperatorRow, now: WallTime) -> u64 {
    let left = row.locked_until.0.saturating_sub(now.0).div_ceil(MICROS);
    if left > LOCK_LONGEST_S { 0 } else { left }
}

fn check_password<T>(
    row: Option<&OperatorRow>,
    verified: Option<bool>,
    now: WallTime,
    when_right: impl FnOnce(&OperatorRow) -> Result<T, Fault>,
) -> Decision<T> {
    let row = match check_open(row, now) {
        Ok(row) => row,
        Err(fault) => return Decision { answer: Err(fault), store: None },
    };
    match verified {
        Some(true) => {
            let clean = unlocked(row);
            Decision { answer: when_right(row), store: (clean != *row).then_some(clean) }
        }
        Some(false) => {
            let (fault, counted) = count_failure(row, now);
            Decision { answer: Err(fault), store: Some(counted) }
        }
        None => {
            let fault = Fault::new(FaultName::Failed, PasswordError::Damaged.to_string());
            Decision { answer: Err(fault), store: None }
        }
    }
}

fn count_failure(row: &OperatorRow, now: WallTime) -> (Fault, OperatorRow) {
    let failures = row.failures.saturating_add(1);
    let mut counted = OperatorRow { failures, ..row.clone() };
    let lock_s = lock_after(failures);
    if lock_s == 0 {
        let left = TRIES.saturating_sub(failures);
        let text = format!("the password is wrong; {left} more wrong ones lock operator {}", row.id);
        return (Fault::new(FaultName::WrongPassword, text), counted);
    }
    counted.locked_until = WallTime(now.0.saturating_add(lock_s.saturating_mul(MICROS)));
    (locked_out(lock_s), counted)
}

/// Length of the lock after so many wrong passwords in a row, s.
fn lock_after(failures: u32) -> u64 {
    match failures.checked_sub(TRIES) {
        None => 0,
        // Beyond 2^7 the longest lock is reached; the shift stays far from overflow.
        Some(beyond) => (LOCK_FIRST_S << beyond.min(7)).min(LOCK_LONGEST_S),
    }
}

fn locked_out(left_s: u64) -> Fault {
    let text =
        format!("too many wrong passwords; try again in {left_s} s or ask the administrator to unlock");
    Fault::new(FaultName::LockedOut, text)
}

fn invalid(text: impl Into<String>) -> Fault {
    Fault::new(FaultName::InvalidArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime(1_795_000_000_000_000);

    fn password(text: &str) -> Password {
        Password::new(text.as_bytes().to_vec())
    }

    fn row(id: &str, factory: bool) -> OperatorRow {
        OperatorRow { factory, ..with_password(OperatorId::new(id).unwrap(), String::new()) }
    }

    fn later(seconds: u64) -> WallTime {
        WallTime(NOW.0 + seconds * MICROS)
    }

    fn name<T>(decision: &Decision<T>) -> Option<FaultName> {
        decision.answer.as_ref().err().map(|fault| fault.name)
    }

    #[test]
    fn roles_follow_the_number() {
        let role_of = |id: &str| role(&OperatorId::new(id).unwrap());
        assert_eq!(role_of("00"), Role::Supervisor);
        assert_eq!(role_of("99"), Role::Administrator);
        assert_eq!((role_of("01"), role_of("98")), (Role::Cashier, Role::Cashier));
    }

    #[test]
    fn a_right_password_opens_and_clears_the_count() {
        let mut row = row("01", false);
        let decision = check_sign_on(Some(&row), Some(true), NOW, true);
        assert_eq!(decision, Decision { answer: Ok(Role::Cashier), store: None });
        row.failures = 4;
        let decision = check_sign_on(Some(&row), Some(true), NOW, true);
        assert_eq!(decision, Decision { answer: Ok(Role::Cashier), store: Some(unlocked(&row)) });
    }

    #[test]
    fn a_factory_password_works_only_to_change_it() {
        let row = row("00", true);
        assert_eq!(
            name(&check_sign_on(Some(&row), Some(true), NOW, true)),
            Some(FaultName::MustChangePassword)
        );
        assert_eq!(check_sign_on(Some(&row), Some(true), NOW, false).answer, Ok(Role::Supervisor));
        assert_eq!(check_change(Some(&row), Some(true), NOW).answer, Ok(Role::Supervisor));
        // A wrong factory password does not tell that it is one.
        assert_eq!(name(&check_sign_on(Some(&row), Some(false), NOW, true)), Some(FaultName::WrongPassword));
    }

    /// Four tries are free; the fifth locks for 30 s, each further one for twice as long, up to an hour.
    #[test]
    fn wrong_passwords_lock_for_longer_and_longer() {
        let (mut operator, mut now) = (row("01", false), NOW);
        for left in (1..=4).rev() {
            let decision = check_sign_on(Some(&operator), Some(false), now, true);
            assert_eq!(name(&decision), Some(FaultName::WrongPassword));
            assert!(decision.answer.unwrap_err().text.contains(&format!("{left} more")));
            operator = decision.store.unwrap();
        }
        for seconds in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600] {
            let decision = check_sign_on(Some(&operator), Some(false), now, true);
            assert_eq!(name(&decision), Some(FaultName::LockedOut));
            operator = decision.store.unwrap();
            assert_eq!(locked_for_s(&operator, now), seconds);
            // While locked even the right password is not looked at, and nothing is counted.
            let during = check_sign_on(Some(&operator), Some(true), now, true);
            assert_eq!((name(&during), during.store), (Some(FaultName::LockedOut), None));
            now = WallTime(now.0 + seconds * MICROS);
            assert_eq!(locked_for_s(&operator, now), 0);
        }
        operator.failures = u32::MAX;
        let decision = check_sign_on(Some(&operator), Some(false), now, true);
        assert_eq!(locked_for_s(&decision.store.unwrap(), now), 3600);
    }

    #[test]
    fn a_lock_tells_the_seconds_left_and_survives_no_clock_set_back() {
        let operator = OperatorRow { failures: 5, locked_until: later(30), ..row("01", false) };
        let fault = check_open(Some(&operator), later(12)).unwrap_err();
        assert!(fault.text.contains("in 18 s"), "{}", fault.text);
        let years_earlier = WallTime(NOW.0 - 100_000_000 * MICROS);
        assert!(check_open(Some(&operator), years_earlier).is_ok());
        assert!(check_open(Some(&unlocked(&operator)), NOW).is_ok());
    }

    #[test]
    fn an_unknown_operator_and_a_damaged_hash_are_named() {
        assert_eq!(name(&check_sign_on(None, None, NOW, true)), Some(FaultName::NoSuchOperator));
        let operator = row("01", false);
        let decision = check_sign_on(Some(&operator), None, NOW, true);
        assert_eq!((name(&decision), decision.store), (Some(FaultName::Failed), None));
    }

    #[test]
    fn new_passwords_must_fit_the_role() {
        let check = |id: &str, new: &str, fits: bool| {
            let result = check_new(&OperatorId::new(id).unwrap(), &password(new), None);
            assert_eq!(result.is_ok(), fits, "{id} {new:?}: {result:?}");
        };
        check("01", "4711", true);
        check("01", "471", false);
        check("00", "47114", false);
        check("00", "471147", true);
        check("99", "4711471", false);
        check("99", "47114711", true);
        check("01", &"x".repeat(64), true);
        check("01", &"x".repeat(65), false);
        check("01", "密码密码", false);
        check("01", "47\t11", false);
        check("01", "0000", false);
        check("04", "12345678", false);
    }

    /// Goal: a change needs the old password, counted like a sign-on, and another new one.
    #[test]
    fn a_change_needs_the_old_password_and_another_new_one() {
        let operator = row("01", true);
        let wrong = check_change(Some(&operator), Some(false), NOW);
        assert_eq!(name(&wrong), Some(FaultName::WrongPassword));
        assert_eq!(wrong.store.unwrap().failures, 1);
        let same = check_new(&operator.id, &password("8520"), Some(&password("8520"))).unwrap_err();
        assert_eq!(same.name, FaultName::InvalidArgument);
        assert!(check_new(&operator.id, &password("4711"), Some(&password("8520"))).is_ok());
        let stored = with_password(operator.id.clone(), "phc".to_owned());
        assert!(!stored.factory);
    }

    /// Goal: cashiers come and go; 00, 99 and whoever is signed on stay.
    #[test]
    fn only_cashiers_that_are_not_signed_on_can_be_removed() {
        let id = |number: &str| OperatorId::new(number).unwrap();
        let remove = |number: &str, there: bool, signed_on: Option<&OperatorId>| {
            let row = there.then(|| row(number, false));
            check_remove(&id(number), row.as_ref(), signed_on).map_err(|fault| fault.name)
        };
        assert_eq!(remove("05", true, Some(&id("99"))), Ok(()));
        assert_eq!(remove("05", true, Some(&id("05"))), Err(FaultName::WrongState));
        assert_eq!(remove("05", false, None), Err(FaultName::NoSuchOperator));
        for number in ["00", "99"] {
            assert_eq!(remove(number, true, None), Err(FaultName::InvalidArgument), "{number}");
        }
        assert!(check_add(None).is_ok());
        assert_eq!(check_add(Some(&row("99", false))).unwrap_err().name, FaultName::AlreadyExists);
    }
}
