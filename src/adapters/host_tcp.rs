//! The host task over TCP.
