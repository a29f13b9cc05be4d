//! Stored sales: how fast the queue uploads them, and what a settlement of many rows takes beside the bank's own time.
//!
//! One real offline sale is the pattern. While the daemon is down its row is written again and again, each time under
//! another name, by the journal adapter itself; then the daemon starts on that journal. 1,000 rows are more than a
//! batch can hold in a shop (900), so the batch of the upload is not settled; the one of 900 rows is.
use super::disk::OpenJournal;
use super::kinds::OFFLINE_CARD;
use super::till::Till;
use super::{Args, open_shop};
use crate::domain::calendar::WallTime;
use crate::domain::ident::{RequestId, TxnId};
use crate::domain::outcome::EntryType;
use crate::domain::record::{Closed, HostFacts, Record, TxnFilter, TxnRow, TxnStart, Upload, WireFacts};
use crate::ports::Durability;
use crate::sim::host::rules::{Fault, Rule};
use crate::sim::shop::Shop;
use std::io::Error;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use zbus::zvariant::Value;

/// Sales that are uploaded.
pub(super) const UPLOADS: u32 = 1000;
/// How long the bank takes for each, ms.
pub(super) const ANSWER_MS: u64 = 50;
/// Rows that are settled: as many as a batch holds.
pub(super) const ROWS: u32 = 900;
/// Nobody has to change a password, and much may be stored.
const SECTIONS: &str = "[operators]\nrequire-change = false\n[batch]\nmax-transactions = 900\n\
                        [store-and-forward]\nmax-count = 900\nmax-total = 100000000\n";

/// What was measured.
pub(super) struct Stored {
    /// From the end of the pause to the end of the queue.
    pub(super) drained: Duration,
    /// From the call to the end of the settlement.
    pub(super) settled: Duration,
    /// Requests of that settlement.
    pub(super) requests: u32,
    /// How long the bank let them wait, in all.
    pub(super) waited: Duration,
}

impl Stored {
    /// The rate of the upload against the bank's: one request after the other, each answered in [`ANSWER_MS`].
    pub(super) fn rate(&self) -> f64 {
        let serial = Duration::from_millis(ANSWER_MS) * UPLOADS;
        serial.as_secs_f64() / self.drained.as_secs_f64()
    }

    /// What is the terminal's of the settlement.
    pub(super) fn own(&self) -> Duration {
        self.settled.saturating_sub(self.waited)
    }
}

/// Measures both, each in a shop of its own.
pub(super) async fn measure(args: &Args, folder: &Path, open: OpenJournal) -> Result<Stored, Error> {
    let (shop, mut till) = stocked(args, &folder.join("queue"), open, UPLOADS).await?;
    shop.acquirer.rule(Rule::always("0200", Fault::Late(ANSWER_MS)))?;
    let drained = drain(&mut till).await?;
    drop((shop, till));
    let (shop, mut till) = stocked(args, &folder.join("batch"), open, ROWS).await?;
    drain(&mut till).await?;
    let asked = || -> Result<u32, Error> { Ok(shop.acquirer.seen()?.values().sum()) };
    let (before, waited) = (asked()?, shop.acquirer.kept_waiting()?);
    let began = Instant::now();
    let result = till.job("Ledger", "Settle").await?;
    let settled = began.elapsed();
    match result.get("verdict-domestic").map(|value| &**value) {
        Some(Value::Str(verdict)) if verdict.as_str() == "agreed" => {}
        _ => return Err(Error::other(format!("the settlement did not agree: {result:?}"))),
    }
    let waited = shop.acquirer.kept_waiting()?.saturating_sub(waited);
    Ok(Stored { drained, settled, requests: asked()?.saturating_sub(before), waited })
}

/// Lets the queue go, until the bank has everything.
async fn drain(till: &mut Till) -> Result<Duration, Error> {
    let began = Instant::now();
    till.resume_queue().await?;
    till.job("Queue", "Flush").await?;
    till.until_nothing_is_owed().await?;
    Ok(began.elapsed())
}

/// A shop whose queue is paused and holds so many sales.
async fn stocked(args: &Args, folder: &Path, open: OpenJournal, count: u32) -> Result<(Shop, Till), Error> {
    let mut shop = open_shop(args, folder, &[], Stdio::null(), SECTIONS)?;
    let mut till = Till::open_supervised(&shop).await?;
    till.until_sales_are_taken().await?;
    till.pause_queue().await?;
    till.trade(&shop, "offline-sale", OFFLINE_CARD, None, "stored-offline").await?;
    drop(till);
    shop.kill()?;
    stock(&folder.join("state"), open, count)?;
    shop.restart()?;
    let till = Till::open_supervised(&shop).await?;
    Ok((shop, till))
}

/// Writes the one sale of the journal again until there are so many.
fn stock(state: &Path, open: OpenJournal, count: u32) -> Result<(), Error> {
    let mut journal = open(state, WallTime(0)).map_err(Error::other)?;
    let (rows, _) = journal.query(&TxnFilter::default(), 1, "").map_err(Error::other)?;
    let pattern = rows.first().ok_or_else(|| Error::other("the journal has no sale"))?;
    for number in 1..count {
        let durability = if number + 1 == count { Durability::Full } else { Durability::Lazy };
        journal.commit(&[again(pattern, number)?], durability).map_err(Error::other)?;
    }
    Ok(())
}

/// The record of a stored sale like this one. Its paper is done.
fn again(row: &TxnRow, number: u32) -> Result<Record, Error> {
    let missing = |what| Error::other(format!("the pattern has no {what}"));
    let entry = row.entry(EntryType::OfflineSale).ok_or_else(|| missing("entry"))?;
    let wire = row.wire.clone().ok_or_else(|| missing("message"))?;
    let request_id = RequestId::new(&format!("stored-{number}")).map_err(Error::other)?;
    let later = |at: WallTime| WallTime(at.0.saturating_add(u64::from(number)));
    let start = TxnStart {
        id: TxnId::of(&request_id),
        request_id,
        created_at: later(row.start.created_at),
        ..row.start.clone()
    };
    Ok(Record::Closed(Box::new(Closed {
        id: start.id.clone(),
        start: Some(start),
        card: row.card.clone(),
        outcome: row.outcome,
        result: row.result.ok_or_else(|| missing("result"))?,
        host: HostFacts::default(),
        approved_amount: row.approved_amount,
        reversal: None,
        reversal_icc: None,
        upload: Some(Upload {
            entry_type: EntryType::OfflineSale,
            wire: WireFacts { icc: entry.icc.clone(), ..wire },
        }),
        script: None,
        withdraws: None,
        plies: Vec::new(),
        finished_at: later(row.finished_at.ok_or_else(|| missing("end"))?),
    })))
}
