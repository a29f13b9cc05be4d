//! When the power fails: at any time, or when money is on its way.
use crate::sim::host::Remote;
use crate::sim::world::chance::SplitMix64;
use std::io::Error;
use std::time::Duration;

/// How often the bank's counters are looked at. A guest is far slower.
const LOOK: Duration = Duration::from_millis(5);
/// The longest wait for a message at the bank.
const MESSAGE_MAX: Duration = Duration::from_secs(120);

/// A moment of a life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    /// Milliseconds of business.
    pub(super) life_ms: u32,
    /// And then so many milliseconds after the next message that moves money or undoes it has come to the bank. Most
    /// of a transaction's time goes by before it is on record, so that hardly any moment of chance meets one that is.
    pub(super) after_message_ms: Option<u32>,
}

impl Moment {
    /// Draws one: `life_ms` at most, and where `aims` says so two of three at a message.
    pub(super) fn draw(dice: &mut SplitMix64, life_ms: u32, aims: Option<u32>) -> Self {
        let aimed = aims.filter(|_| dice.below(3) > 0);
        Self { life_ms: dice.below(life_ms), after_message_ms: aimed.map(|ms| dice.below(ms)) }
    }

    /// Waits for it.
    pub(super) async fn come(self, bank: &Remote) -> Result<(), Error> {
        tokio::time::sleep(Duration::from_millis(self.life_ms.into())).await;
        let Some(ms) = self.after_message_ms else { return Ok(()) };
        let before = spoken(bank)?;
        let until = tokio::time::Instant::now() + MESSAGE_MAX;
        while spoken(bank)? == before && tokio::time::Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(Duration::from_millis(ms.into())).await;
        Ok(())
    }
}

/// Messages that have come to the bank, without those that move nothing.
fn spoken(bank: &Remote) -> Result<u32, Error> {
    let seen = bank.seen()?;
    Ok(["0100", "0200", "0220", "0320", "0400"].iter().filter_map(|mti| seen.get(*mti)).sum())
}
