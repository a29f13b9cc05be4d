//! What may be typed about the terminal's own health.
use super::LeaveOptions;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};

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

/// What `posctl schema` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaForm {
    /// posctl's documents as JSON Schema
    Json,
    /// The interfaces of the bus as XML
    Dbus,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show values in use; without a key all of them
    Get {
        /// Table and key: printer.plies
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Take values into use until they are confirmed or time is up; needs an administrator
    #[command(
        after_help = "Texts need no quotes; a list is written with commas: terminal.enabled-kinds=sale,void. \
                            What nobody confirms in time is taken back, by a power cut too."
    )]
    Set {
        /// Table, key and value: printer.plies=1
        #[arg(value_name = "KEY=VALUE", required = true)]
        values: Vec<String>,
        /// Seconds until the change is taken back, 1 to 3600
        #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=3600))]
        timeout: u32,
        #[command(flatten)]
        leave: LeaveOptions,
    },
    /// Keep a change, over restarts too; needs an administrator
    Confirm {
        /// As `config set` named it
        checkpoint: String,
        #[command(flatten)]
        leave: LeaveOptions,
    },
    /// Take a change back at once; needs an administrator
    Rollback {
        /// As `config set` named it
        checkpoint: String,
        #[command(flatten)]
        leave: LeaveOptions,
    },
}
