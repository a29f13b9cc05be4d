//! The D-Bus objects of `org.posd.Pos1`: they translate between the bus and the engine, and decide nothing.
pub mod proxy;
