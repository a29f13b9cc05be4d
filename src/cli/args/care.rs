//! What may be typed about the terminal's own health.
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};

/// Parts as they are typed; `all` is what the terminal has.
const PARTS: [&str; 8] = ["reader", "printer", "drawer", "host", "links", "storage", "clock", "all"];

#[derive(Args, Debug)]
pub(crate) struct Test {
    /// What to test; default is all that the terminal has
    #[arg(value_name = "PART", value_parser = PossibleValuesParser::new(PARTS))]
    pub(crate) parts: Vec<String>,
    /// How far to go; external prints a test page
    #[arg(long, value_enum, default_value = "internal")]
    pub(crate) level: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Nothing moves and nothing is printed
    Internal,
    /// The printer prints its test page too
    External,
    /// As external; you look at what came out
    Interactive,
}

impl Level {
    /// The word on the bus.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
            Self::Interactive => "interactive",
        }
    }
}
