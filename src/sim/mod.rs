//! Simulators on the real interfaces: a card served to pcscd through vpcd, an acquirer on TCP, a printer on
//! TCP. Only with feature `sim`; the packaged daemon has none of it.
#![allow(clippy::disallowed_methods, reason = "simulators own sockets and files")]
pub mod bench;
pub mod card;
pub mod cardd;
mod client;
pub mod conversation;
pub mod demo;
pub mod fuzz;
pub mod guest;
pub mod host;
pub mod issuer;
pub mod printer;
mod shop;
pub mod storm;
pub mod till;
pub mod vpcd;
pub mod vscard;
pub mod world;
pub mod worlds;
