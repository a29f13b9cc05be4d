//! Cryptography as a terminal needs it: message authentication, PIN blocks, derived keys, track encryption. Pure
//! functions of keys and data; the ciphers themselves are the RustCrypto crates'.
//!
//! It does not say where keys come from or who may use them: [`crate::domain::keystore`] does.
pub mod mac;
