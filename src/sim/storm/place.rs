//! Where a storm blows: what is outside the daemon, and how it is cut off.
use super::Args;
use crate::sim::guest::{GuestShop, PATIENCE, Terms};
use crate::sim::host::Acquirer;
use crate::sim::shop::{Plan, Shop, WAIT_MAX};
use std::fs;
use std::io::{Error, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// The bank is given up soon: time that it does not answer is time without business.
const HOST: &str = "connect-attempts = 1\nconnect-timeout-s = 1\nresponse-timeout-s = 1\n";
const SECTIONS: &str =
    "[operators]\nrequire-change = false\n[store-and-forward]\nmax-count = 900\nmax-total = 100000000\n";

/// A shop whose daemon can be cut off.
pub(super) enum Place {
    /// The daemon is a process beside us; its end is a SIGKILL.
    Process(Box<Shop>),
    /// It lives in a guest, whose power fails.
    Guest(Box<GuestShop>),
}

impl Place {
    /// Opens the shop that is asked for. The daemon is still starting.
    pub(super) fn open(args: &Args) -> Result<Self, Error> {
        if let Some(folder) = args.log.parent() {
            fs::create_dir_all(folder)?;
        }
        if let Some(made) = &args.guest {
            let terms = Terms {
                made,
                emv: &args.emv,
                usb_printer: false,
                log_writes: false,
                services: &[],
                host: HOST,
                sections: SECTIONS,
                log: &args.log,
            };
            return Ok(Self::Guest(Box::new(GuestShop::open(&terms)?)));
        }
        let posd = args.bin.as_ref().ok_or_else(|| Error::other("--bin or --guest is missing"))?.join("posd");
        let shop = Shop::open(Plan {
            name: "posd-storm",
            posd: &posd,
            under: &[],
            emv: &args.emv,
            receipts: None,
            log: &args.log,
            state: None,
            tear_pause_s: 0,
            host: HOST,
            sections: SECTIONS,
            output: Stdio::null(),
        })?;
        Ok(Self::Process(Box::new(shop)))
    }

    /// The bank.
    pub(super) fn acquirer(&self) -> &Acquirer {
        match self {
            Self::Process(shop) => &shop.acquirer,
            Self::Guest(shop) => &shop.acquirer,
        }
    }

    /// Waits until there is a bus again; its address.
    pub(super) fn bus(&mut self) -> Result<String, Error> {
        match self {
            Self::Process(shop) => Ok(shop.address.clone()),
            Self::Guest(shop) => {
                let guest = shop.guest()?;
                guest.until_ready()?;
                Ok(guest.bus())
            }
        }
    }

    /// True if supervisor and agent are beside the daemon, see [`crate::sim::till`]; else they are ours to bring.
    pub(super) const fn has_till(&self) -> bool {
        matches!(self, Self::Guest(_))
    }

    /// Puts a card in.
    pub(super) fn insert(&self, card: &str) -> Result<(), Error> {
        match self {
            Self::Process(shop) => shop.bench.insert(card),
            Self::Guest(shop) => shop.reader.insert(card),
        }
    }

    /// Takes the card out, if one is in.
    pub(super) fn remove(&self) -> Result<(), Error> {
        match self {
            Self::Process(shop) => shop.bench.remove().map(drop),
            Self::Guest(shop) => {
                shop.reader.remove();
                Ok(())
            }
        }
    }

    /// Cuts the daemon off and starts it again on what is on its disk. It returns at once; what a check of the disk
    /// said.
    pub(super) fn cut(&mut self) -> Result<String, Error> {
        match self {
            Self::Process(shop) => shop.kill_and_restart().map(|()| String::new()),
            Self::Guest(shop) => shop.cut(),
        }
    }

    /// Whether cuts are aimed at messages, and how long after one at most. Choice: what a guest needs from the answer
    /// of the bank to the outcome.
    pub(super) const fn aims_within_ms(&self) -> Option<u32> {
        match self {
            Self::Process(_) => None,
            Self::Guest(_) => Some(600),
        }
    }

    /// How long an answer may take.
    pub(super) const fn patience(&self) -> Duration {
        match self {
            Self::Process(_) => WAIT_MAX,
            Self::Guest(_) => PATIENCE,
        }
    }

    /// Puts what a guest's journal ends with into the log; that of a process is the log.
    pub(super) fn tell_why(&mut self, log: &Path) -> Result<(), Error> {
        let Self::Guest(shop) = self else { return Ok(()) };
        let (_, journal) =
            shop.guest()?.try_sh("journalctl --no-pager --lines 400 -u posd -u pcscd -u guest-till")?;
        fs::OpenOptions::new().append(true).open(log)?.write_all(journal.as_bytes())
    }

    /// The longest life between two cuts in milliseconds, the shortest is nothing; and how long a start takes at most.
    /// Choice: two or three transactions.
    pub(super) const fn life_and_start_ms(&self) -> (u32, u32) {
        match self {
            Self::Process(_) => (2500, 400),
            Self::Guest(_) => (40_000, 30_000),
        }
    }
}
