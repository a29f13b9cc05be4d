//! The transaction machines against a small world: a scripted chip, a scripted bank, a model of the journal.
//!
//! `world` runs one sale from start to rest and checks the write-ahead rule and the money at every step.
//! `rows` has one test for each row of the durability rules, `places` asks each state each event,
//! `small_world` tries every pair of faults, `random` any order of events. The other machines have a file
//! each.
mod aftercare;
mod disk;
mod kinds;
mod makings;
mod management;
mod pins;
mod places;
mod pulled;
mod random;
mod recovery;
mod rows;
mod small_world;
mod stripes;
mod world;
