//! The one integration test binary. `tidy` fails if a file of this folder is not named here.
mod card;
mod cli;
mod config;
mod cuts;
mod dbus;
mod host;
mod journal;
mod oracle;
mod printer;
mod sale;
mod support;
mod tidy;
mod vectors;
