//! Messages with their MAC: DE 64 over everything from the MTI to the byte before it.
//!
//! The bitmap has bit 64 already set; length, TPDU and header are outside. Algorithm and form are the profile's; see
//! [`crate::domain::crypto::mac`].
use super::messages::BuildError;
use crate::domain::iso8583::{De, Dialect, Message, pack};
use crate::domain::keystore::SessionKeys;

/// Packs a message with its MAC: DE 64 is put in, or replaced.
///
/// # Errors
/// [`BuildError`] if a value does not have the form of its element, or there is no MAC.
pub fn pack_signed(
    dialect: &Dialect,
    message: &mut Message,
    keys: &dyn SessionKeys,
) -> Result<Vec<u8>, BuildError> {
    message.set(De::MAC, [0; 8]);
    let mut packed = pack(dialect, message)?;
    packed.truncate(packed.len().saturating_sub(8)); // DE 64 is the last element
    let mac = keys.mac(&packed)?;
    packed.extend_from_slice(&mac);
    message.set(De::MAC, mac);
    Ok(packed)
}
