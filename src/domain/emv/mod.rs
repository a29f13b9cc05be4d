//! The contact chip conversation as a sans-IO machine. EMV 4.4 Books 1 to 4.
//!
//! `Kernel::step(input) -> output`: the engine carries APDUs, prompts and host answers; nothing here waits or reads a
//! clock. Each phase of Book 3 chapter 8 is a file; each state is named for what it awaits.
pub mod apdu;
pub mod describe;
pub mod dol;
pub mod kernel;
pub mod params;
pub mod results;
pub mod tag;
pub mod tlv;
