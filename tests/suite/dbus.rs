//! The api on a real private bus, with a small engine behind it: form of arguments, errors, objects, signals, rights,
//! agents, and the XML.
mod agents;
mod contract;
mod objects;
mod rights;
pub(crate) mod world;
