//! Whole sales with real parts: the daemon, a bus, pcscd with a card, a bank and a printer.
mod answers;
mod approve;
mod bank;
mod card;
mod care;
mod devices;
mod disk;
mod keys;
mod kinds;
mod line;
mod people;
mod pin;
mod service;
mod start;
mod stop;
mod upkeep;
