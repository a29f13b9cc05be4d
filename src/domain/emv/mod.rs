//! The contact chip conversation as a sans-IO machine. EMV 4.4 Books 1 to 4.
//!
//! `Kernel::step(input) -> output`: the engine carries APDUs, prompts and host answers; nothing here waits or
//! reads a clock. Each phase of Book 3 §8.2 is a file; each state is named for what it awaits:
//!
//! 1. `select`: directory `1PAY.SYS.DDF01`, else the list of AIDs; candidates; the cardholder's choice; final
//!    SELECT.
//! 2. `records`: GET PROCESSING OPTIONS, file locator, READ RECORD, mandatory objects. Refused with 6985:
//!    back to 1.
//! 3. `oda`: offline data authentication: SDA, DDA with INTERNAL AUTHENTICATE, or the keys for CDA.
//! 4. `restrictions`: versions, usage control, dates.
//! 5. `cvm`: the card's list of cardholder verification methods; asks for the online PIN.
//! 6. `risk`: floor limit, random selection, velocity.
//! 7. `action`: action codes against the TVR, first GENERATE AC; with CDA its answer is signed.
//! 8. `online`: the host's answer or its absence, EXTERNAL AUTHENTICATE; `script`: templates 71.
//! 9. `action`: second GENERATE AC; `script`: templates 72; the verdict.
//!
//! Below them stand plain codecs: [`tlv`], [`tag`], [`dol`], [`apdu`], [`results`], and [`describe`] for
//! people. `session` holds what is known meanwhile. The card's objects and the terminal's are kept apart, so
//! a card cannot overwrite an amount or a result. A card can make the conversation long, but not endless:
//! every loop has a limit.
mod action;
pub mod apdu;
pub mod atr;
mod cvm;
pub mod describe;
pub mod dol;
mod get_data;
pub mod kernel;
mod label;
mod meaning;
pub mod more;
mod oda;
mod online;
pub mod params;
pub mod qualifiers;
mod records;
mod restrictions;
pub mod results;
mod risk;
mod script;
mod select;
mod session;
pub mod tag;
mod tc_hash;
#[cfg(test)]
pub(in crate::domain) mod tests;
pub mod tlv;
