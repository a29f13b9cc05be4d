//! Passwords as they are kept: Argon2id in PHC form.
//!
//! Source: RFC 9106; the cost is the first choice of the OWASP Password Storage Cheat Sheet for 19 MiB (Spec:
//! unverified), about 50 ms on a terminal.
use super::super::secret::Password;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// Memory of one hash, KiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes of one hash.
const PASSES: u32 = 2;
/// Most memory a stored hash may ask for, KiB: a damaged row must not exhaust the terminal.
const MEMORY_KIB_MAX: u32 = 64 * 1024;
/// Room reserved for one hash, KiB; what is not needed of it is never touched. glibc gives an allocation above 32 MiB
/// back to the kernel as soon as it is freed; smaller ones it may keep, and then each of the first few hashes left 19
/// MiB behind in the daemon (M_MMAP_THRESHOLD in mallopt(3); `make bench` measures it).
const RESERVED_KIB: usize = 33 * 1024;
/// Most passes a stored hash may ask for.
const PASSES_MAX: u32 = 10;

/// Why a password could not be hashed or compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The stored text is not an Argon2 hash in PHC form, or asks for more work than allowed.
    #[error("the stored password hash is damaged; another operator must set the password anew")]
    Damaged,
    /// No memory for the computation.
    #[error("the password could not be hashed: {0}")]
    Hashing(String),
}

/// Hashes a password. The salt is drawn by the caller; it must never serve twice.
///
/// # Errors
/// [`PasswordError::Hashing`], when there is no memory for it.
pub fn hash(password: &Password, salt: [u8; 16]) -> Result<String, PasswordError> {
    let hashing = |e: &dyn core::fmt::Display| PasswordError::Hashing(e.to_string());
    let cost = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|e| hashing(&e))?;
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&cost).map_err(|e| hashing(&e))?,
        salt: Some(Salt::new(&salt).map_err(|e| hashing(&e))?),
        hash: Some(compute(password, &salt, cost)?),
    };
    Ok(phc.to_string())
}

/// True if the password is the one behind a hash. Compares in constant time.
///
/// # Errors
/// [`PasswordError::Damaged`], when the stored text is no hash of ours; [`PasswordError::Hashing`], when there is no
/// memory for it.
pub fn verify(password: &Password, phc: &str) -> Result<bool, PasswordError> {
    let stored = PasswordHash::new(phc).map_err(|_| PasswordError::Damaged)?;
    let cost = Params::try_from(&stored).map_err(|_| PasswordError::Damaged)?;
    let ours = stored.algorithm == Algorithm::Argon2id.ident()
        && stored.version == Some(Version::V0x13.into())
        && cost.m_cost() <= MEMORY_KIB_MAX
        && cost.t_cost() <= PASSES_MAX;
    match (stored.salt, stored.hash) {
        // The equality of outputs takes the same time wherever they differ.
        (Some(salt), Some(right)) if ours => Ok(compute(password, &salt, cost)? == right),
        _ => Err(PasswordError::Damaged),
    }
}

fn compute(password: &Password, salt: &[u8], cost: Params) -> Result<Output, PasswordError> {
    let hashing = |e: &dyn core::fmt::Display| PasswordError::Hashing(e.to_string());
    let blocks = cost.block_count();
    let mut memory = Vec::new();
    memory.try_reserve_exact(blocks.max(RESERVED_KIB)).map_err(|e| hashing(&e))?;
    memory.resize(blocks, Block::default());
    let mut output = vec![0; cost.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, cost)
        .hash_password_into_with_memory(password.reveal(), salt, &mut output, &mut memory)
        .map_err(|e| hashing(&e))?;
    Output::new(&output).map_err(|e| hashing(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_hash_is_argon2id_in_phc_form_and_verifies() {
        let phc = hash(&password("0000"), [3; 16]).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_eq!(verify(&password("0000"), &phc), Ok(true));
        assert_eq!(verify(&password("0001"), &phc), Ok(false));
        assert_eq!(verify(&password(""), &phc), Ok(false));
        assert_ne!(hash(&password("0000"), [4; 16]).unwrap(), phc);
    }

    /// Only the place of the working memory is our own.
    #[test]
    fn a_hash_is_that_of_the_library() {
        use argon2::PasswordHasher;
        let theirs = Argon2::default().hash_password_with_salt(b"0000", &[3; 16]).unwrap();
        assert_eq!(hash(&password("0000"), [3; 16]).unwrap(), theirs.to_string());
    }

    /// A damaged row is named, and cannot make the terminal compute for minutes.
    #[test]
    fn a_damaged_hash_is_named() {
        let check =
            |phc: &str| assert_eq!(verify(&password("0000"), phc), Err(PasswordError::Damaged), "{phc}");
        let phc = hash(&password("0000"), [3; 16]).unwrap();
        check("");
        check("0000");
        check("$argon2id$v=19$m=19456,t=2,p=1$AwMDAwMDAwMDAwMDAwMDAw");
        check(&phc.replace("m=19456", "m=4194304"));
        check(&phc.replace("t=2", "t=4000000"));
        check(&phc.replace("argon2id", "scrypt"));
    }
}
