//! `posd-sim storm`: mixed business of the real daemon in a simulated shop, whose power fails again and again.
//!
//! The daemon is killed (SIGKILL) at random moments and started again on the same state directory. At every start each
//! outcome that was ever told must still stand, and agree with the bank's books; at the end the batch is settled, and
//! terminal and bank are compared line by line. Everything is drawn from one seed, which is printed; how far the
//! daemon has come at a kill depends on the machine. It judges: any difference is told and ends it with failure.
mod business;
mod cuts;
mod judge;
mod moment;
mod place;
mod report;

use super::client::{Client, Dict, Options, ROOT};
use super::host::Remote;
use super::till::SUPERVISOR;
use super::world::chance::SplitMix64;
use business::Deed;
use cuts::Cut;
use judge::Line;
use moment::Moment;
use place::Place;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Error, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

/// Rounds in which a terminal has to come to rest at the end.
const REST_ROUNDS: u32 = 40;
/// The newest originals are followed first: those of settled batches take hardly anything any more.
const NEWEST: u32 = 6;
/// Originals that are tried for one follow-up; looking at an old one keeps it open for a while, and only 64 may be.
const TRIES: usize = 3;

/// Arguments of `posd-sim storm`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder with the posd to torment
    #[arg(long, value_name = "DIR", required_unless_present = "guest")]
    bin: Option<PathBuf>,
    /// What tests/tools/guest has made: the posd in it is tormented, by cuts of its power
    #[arg(long, value_name = "DIR", conflicts_with = "bin")]
    guest: Option<PathBuf>,
    /// File for a table of the cuts
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Card parameters
    #[arg(long, value_name = "FILE")]
    emv: PathBuf,
    /// File for the daemon's log
    #[arg(long, value_name = "FILE", default_value = "target/storm.log")]
    log: PathBuf,
    /// How often the daemon is killed
    #[arg(long, default_value_t = 500)]
    kills: u32,
    /// The seed; a new one by default
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs it.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(storm(args))) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(count) => {
            say(&format!("storm: {count} differences"));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("storm: broken off: {error}; the daemon's log is {}", args.log.display()));
            ExitCode::FAILURE
        }
    }
}

/// The whole run; the number of differences.
async fn storm(args: &Args) -> Result<usize, Error> {
    let seed = match args.seed {
        Some(seed) => seed,
        None => getrandom::u64().map_err(Error::other)?,
    };
    say(&format!("storm: {} kills, seed {seed}", args.kills));
    let began = Instant::now();
    let mut storm = Storm::open(args, seed).await?;
    if let Err(error) = storm.blow(args.kills).await {
        storm.place.tell_why(&args.log)?;
        return Err(error);
    }
    storm.report(began.elapsed());
    if let Some(path) = &args.page {
        fs::write(path, storm.page(seed))?;
    }
    Ok(storm.differences.len())
}

/// What a transaction was told to be.
#[derive(Clone, Debug, Default)]
struct Told {
    kind: &'static str,
    card: &'static str,
    outcome: String,
    /// Counts the transactions.
    number: u32,
}

/// The run.
struct Storm {
    place: Place,
    client: Client,
    dice: SplitMix64,
    /// Every transaction ever asked for, by its request id.
    told: BTreeMap<String, Told>,
    lines: Vec<Line>,
    /// Paths of transactions with an entry in the queue.
    open: BTreeSet<String>,
    differences: BTreeSet<String>,
    refused: BTreeMap<String, u32>,
    /// Transactions asked for.
    begun: u32,
    /// Kills before the daemon had come up, beside the others.
    killed_young: u32,
    /// What is under way.
    doing: Doing,
    cuts: Vec<Cut>,
}

/// What is under way.
enum Doing {
    /// Nothing.
    Nothing,
    /// The transaction of this request.
    Transaction(String),
    /// A job of this name.
    Job(String),
}

impl Storm {
    async fn open(args: &Args, seed: u64) -> Result<Self, Error> {
        let mut place = Place::open(args)?;
        let client = Client::connect(&place.bus()?, place.patience()).await?;
        let mut storm = Self {
            place,
            client,
            dice: SplitMix64::new(seed),
            told: BTreeMap::new(),
            lines: Vec::new(),
            open: BTreeSet::new(),
            differences: BTreeSet::new(),
            refused: BTreeMap::new(),
            begun: 0,
            killed_young: 0,
            doing: Doing::Nothing,
            cuts: Vec::new(),
        };
        storm.meet().await?;
        storm.client.until_sales_are_taken().await?;
        Ok(storm)
    }

    /// All cuts, with business between them, and what is to be done when it is quiet again.
    async fn blow(&mut self, kills: u32) -> Result<(), Error> {
        for kill in 1..=kills {
            let (life_ms, aims) = (self.place.life_and_start_ms().0, self.place.aims_within_ms());
            let moment = Moment::draw(&mut self.dice, life_ms, aims);
            let bank = Remote::clone(self.place.acquirer());
            // What is under way when the moment comes is cut off.
            tokio::select! {
                come = moment.come(&bank) => come?,
                ended = self.trade() => match ended? {},
            }
            self.cut(moment).await?;
            if kill % 50 == 0 {
                say(&format!("storm: {kill} kills, {} transactions", self.told.len()));
            }
        }
        self.rest().await
    }

    /// Cuts the daemon off, sometimes once more while it starts, and looks what has become of everything.
    async fn cut(&mut self, moment: Moment) -> Result<(), Error> {
        let doing = std::mem::replace(&mut self.doing, Doing::Nothing);
        let mut cut = Cut { moment, begun: self.begun, ..Cut::default() };
        match &doing {
            Doing::Nothing => "nothing".clone_into(&mut cut.doing),
            Doing::Job(name) => name.clone_into(&mut cut.doing),
            Doing::Transaction(request) => {
                let told = self.told.get(request);
                cut.doing = told.map_or("", |told| told.kind).to_owned();
                cut.told = told.map(|told| told.outcome.clone()).unwrap_or_default();
            }
        }
        cut.disk.push(self.place.cut()?);
        if let Some(ms) = business::dies_young(&mut self.dice, self.place.life_and_start_ms().1) {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            cut.disk.push(self.place.cut()?);
            self.killed_young += 1;
        }
        self.meet().await?;
        self.ask().await?;
        if let Doing::Transaction(request) = doing {
            let line = self.lines.iter().find(|line| line.request == request);
            cut.became = line.map_or("never begun", |line| &line.outcome).to_owned();
        }
        let before = self.differences.len();
        self.look()?;
        (cut.owed, cut.differences) = (self.open.len(), self.differences.len() - before);
        self.cuts.push(cut);
        Ok(())
    }

    /// After a start: connects anew, and there are a supervisor and an agent.
    async fn meet(&mut self) -> Result<(), Error> {
        self.place.remove()?;
        self.place.acquirer().accept_connections()?;
        self.client = Client::connect(&self.place.bus()?, self.place.patience()).await?;
        self.client.until_it_answers().await?;
        if self.place.has_till() {
            self.client.until_served().await?;
        } else {
            self.client.sign_on_operator(SUPERVISOR.0, SUPERVISOR.1).await?;
            self.client.register_agent().await?;
        }
        self.client.until_a_reader_is_there().await
    }

    /// Reads the journal and the queue: what has become of every transaction that was ever asked for?
    async fn ask(&mut self) -> Result<(), Error> {
        self.lines = self.journal().await?;
        self.open = self.queue().await?.iter().map(|row| text(row, "transaction")).collect();
        let lines: BTreeMap<&str, &Line> =
            self.lines.iter().map(|line| (line.request.as_str(), line)).collect();
        let differences = &mut self.differences;
        self.told.retain(|request, told| {
            let now = lines.get(request.as_str()).map_or("", |line| &line.outcome);
            if !told.outcome.is_empty() && !judge::may_become(&told.outcome, now) {
                differences.insert(format!("{request} ({}) was {}, now {now:?}", told.kind, told.outcome));
            }
            if now != "none" {
                now.clone_into(&mut told.outcome);
            }
            // What is not known now was never durable: nothing may have happened, and the bank's books will show.
            !told.outcome.is_empty() || now == "none"
        });
        Ok(())
    }

    /// The whole journal, page by page.
    async fn journal(&self) -> Result<Vec<Line>, Error> {
        let rows = self.pages("Ledger", "Query").await?;
        let line = |row: &Dict| Line {
            path: text(row, "path"),
            request: text(row, "request-id"),
            kind: text(row, "kind"),
            outcome: text(row, "outcome"),
            approved: u64::try_from(number(row, "approved-amount")).unwrap_or(0),
            number: (
                u32::try_from(number(row, "batch")).unwrap_or(0),
                u32::try_from(number(row, "trace")).unwrap_or(0),
            ),
            original: text(row, "original"),
        };
        Ok(rows.iter().map(line).collect())
    }

    /// What the queue owes.
    async fn queue(&self) -> Result<Vec<Dict>, Error> {
        let mut rows = self.pages("Queue", "List").await?;
        rows.retain(|row| text(row, "state") != "done");
        Ok(rows)
    }

    async fn pages(&self, interface: &str, method: &str) -> Result<Vec<Dict>, Error> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let asked = (Options::new(), 100_u32, cursor.as_str(), Options::new());
            let reply = self.client.call(ROOT, interface, method, &asked).await?;
            let (page, next): (Vec<Dict>, String) = reply.body().deserialize().map_err(Error::other)?;
            rows.extend(page);
            if next.is_empty() {
                return Ok(rows);
            }
            cursor = next;
        }
    }

    /// Compares with the bank, as far as nothing is owed.
    fn look(&mut self) -> Result<(), Error> {
        let running = self.lines.iter().filter(|line| ["", "none"].contains(&line.outcome.as_str()));
        self.open.extend(running.map(|line| line.path.clone()).collect::<Vec<_>>());
        let found = judge::compare(&self.lines, &self.place.acquirer().ledger()?, &self.open);
        for difference in &found {
            say(&format!("storm: {difference}"));
        }
        self.differences.extend(found);
        Ok(())
    }

    /// Does business until it is cut off.
    async fn trade(&mut self) -> Result<std::convert::Infallible, Error> {
        loop {
            let deed = business::draw(&mut self.dice);
            match deed {
                Deed::New { kind, card, bank_away } => {
                    let amount = if kind == "balance" { 0 } else { business::amount(&mut self.dice) };
                    self.new_transaction(kind, card, amount, bank_away, Options::new()).await?;
                }
                Deed::Follow { kind } => self.follow(kind).await?,
                Deed::Flush => self.job("Queue", "Flush").await.map(drop)?,
                Deed::Settle => self.settle().await?,
            }
        }
    }

    async fn follow(&mut self, kind: &'static str) -> Result<(), Error> {
        let mut candidates: Vec<(u32, String, &'static str)> = self
            .told
            .iter()
            .filter(|(_, told)| business::originals(kind).contains(&told.kind))
            .filter(|(_, told)| ["approved", "stored-offline"].contains(&told.outcome.as_str()))
            .map(|(request, told)| (told.number, request.clone(), told.card))
            .collect();
        candidates.sort_by_key(|(number, ..)| core::cmp::Reverse(*number));
        let first = self.dice.below(NEWEST.min(u32::try_from(candidates.len()).unwrap_or(0)));
        let first = usize::try_from(first).unwrap_or(0);
        for (_, request, card) in candidates.iter().cycle().skip(first).take(candidates.len().min(TRIES)) {
            let asked = (request.as_str(), Options::new());
            let reply = self.client.call(ROOT, "Manager", "GetTransaction", &asked).await?;
            let path: OwnedObjectPath = reply.body().deserialize().map_err(Error::other)?;
            let allowed: Vec<String> = self.client.property(&path, "Transaction", "AllowedFollowUps").await?;
            if !allowed.iter().any(|allowed| allowed == kind) {
                continue;
            }
            let approved: i64 = self.client.property(&path, "Transaction", "ApprovedAmount").await?;
            let refunded: i64 = self.client.property(&path, "Transaction", "RefundedTotal").await?;
            let rest = u32::try_from(approved - refunded).unwrap_or(1).max(1);
            let amount = match kind {
                "refund" | "pre-auth-complete" | "pre-auth-advice" => i64::from(self.dice.below(rest)) + 1,
                _ => 0,
            };
            let original = Options::from([("original", Value::from(path.clone()))]);
            return self.new_transaction(kind, card, amount, false, original).await;
        }
        Ok(())
    }

    /// One transaction from the card in to the outcome. A refusal to begin is counted, and no harm.
    async fn new_transaction(
        &mut self,
        kind: &'static str,
        card: &'static str,
        amount: i64,
        bank_away: bool,
        mut options: Options<'_>,
    ) -> Result<(), Error> {
        self.place.acquirer().clear_rules()?;
        for rule in business::rules(&mut self.dice, kind, self.place.aims_within_ms().is_some()) {
            self.place.acquirer().rule(rule)?;
        }
        if bank_away {
            self.place.acquirer().refuse_connections()?;
            self.place.acquirer().hang_up()?;
        } else {
            self.place.acquirer().accept_connections()?;
        }
        self.place.insert(card)?;
        // A signature is asked for on the merchant ply; else nobody wants paper.
        let signed = card == "signature";
        options.insert("plies", Value::from(u32::from(signed)));
        options.insert("allow-duplicate", Value::from(true));
        let request = format!("storm-{:08}", self.dice.draw() % 100_000_000);
        self.begun += 1;
        let told = Told { kind, card, number: self.begun, ..Told::default() };
        self.told.insert(request.clone(), told);
        self.doing = Doing::Transaction(request.clone());
        match self.client.start(&request, kind, amount, options).await {
            Ok(path) => {
                let (outcome, _): (String, Dict) = self.client.signal(&path, "Finished").await?;
                if let Some(told) = self.told.get_mut(&request) {
                    told.outcome.clone_from(&outcome);
                }
                // The next customer has a card of their own.
                self.place.remove()?;
                match (kind, outcome.as_str()) {
                    ("refund", "unknown") => self.until_listed(&path).await?,
                    ("sale", "approved") if signed => self.until_looked_after(&path).await?,
                    _ => {}
                }
            }
            Err(error) => {
                self.told.remove(&request);
                let cause = format!("{kind}: {error}");
                *self.refused.entry(cause).or_default() += 1;
                // Whatever blocks trading is going on by itself; wait for a change instead of asking in a circle.
                let wait = self.client.next_signal("any change");
                drop(tokio::time::timeout(Duration::from_millis(200), wait).await);
            }
        }
        self.doing = Doing::Nothing;
        self.place.remove()
    }

    /// The shop sees the exception before it does anything else: a settlement without it could not agree.
    async fn until_listed(&mut self, path: &OwnedObjectPath) -> Result<(), Error> {
        while !self.queue().await?.iter().any(|row| text(row, "transaction") == path.as_str()) {
            self.client.next_signal("the exception of a refund").await?;
        }
        Ok(())
    }

    /// Waits until paper and signature are done.
    async fn until_looked_after(&mut self, path: &OwnedObjectPath) -> Result<(), Error> {
        while self.client.property::<String>(path, "Transaction", "State").await? != "finished" {
            self.client.next_signal("the end of a slip").await?;
        }
        Ok(())
    }

    /// A job from its call to its end; `None` if it was refused.
    async fn job(&mut self, interface: &str, method: &str) -> Result<Option<(String, Dict)>, Error> {
        self.place.acquirer().clear_rules()?;
        self.place.acquirer().accept_connections()?;
        self.doing = Doing::Job(method.to_lowercase());
        let called = self.client.call(ROOT, interface, method, &Options::new()).await;
        match called {
            Ok(reply) => {
                let path: OwnedObjectPath = reply.body().deserialize().map_err(Error::other)?;
                let ended = self.client.job(&path).await.map(Some);
                self.doing = Doing::Nothing;
                ended
            }
            Err(error) => {
                self.doing = Doing::Nothing;
                *self.refused.entry(error.to_string()).or_default() += 1;
                Ok(None)
            }
        }
    }

    /// Resolves what only the shop can, then settles.
    async fn settle(&mut self) -> Result<(), Error> {
        self.resolve().await?;
        if let Some((state, result)) = self.job("Ledger", "Settle").await?
            && state == "succeeded"
        {
            let verdicts = (text(&result, "verdict-domestic"), text(&result, "verdict-foreign"));
            // An empty batch is not asked about.
            if verdicts != ("agreed".to_owned(), "agreed".to_owned()) && !verdicts.0.is_empty() {
                self.differences
                    .insert(format!("settlement of batch {}: {verdicts:?}", number(&result, "batch")));
            }
        }
        Ok(())
    }

    /// The shop telephones the bank about refunds without an answer, and says what it heard.
    async fn resolve(&mut self) -> Result<(), Error> {
        let books = self.place.acquirer().ledger()?;
        for row in self.queue().await? {
            if text(&row, "type") != "refund-unknown" || text(&row, "state") != "failed" {
                continue;
            }
            let (batch, stan) = (number(&row, "batch"), number(&row, "trace"));
            let held = books.iter().any(|booked| {
                (i64::from(booked.batch), i64::from(booked.stan)) == (batch, stan) && booked.net() != 0
            });
            let how = if held { "paid" } else { "not-paid" };
            let said = (text(&row, "id"), how, Options::new());
            self.client.call(ROOT, "Queue", "Resolve", &said).await?;
        }
        Ok(())
    }

    /// The storm is over: everything owed is delivered, the batch settled, and both ends compared.
    async fn rest(&mut self) -> Result<(), Error> {
        self.place.acquirer().clear_rules()?;
        self.place.acquirer().accept_connections()?;
        self.client.until_sales_are_taken().await?;
        for _ in 0..REST_ROUNDS {
            self.resolve().await?;
            self.job("Queue", "Flush").await?;
            let owed = self.queue().await?;
            // What the bank answered with 25 is asked once more a minute later; it blocks nothing.
            if owed.iter().all(|row| text(row, "type") == "reversal" && number(row, "attempts") > 0) {
                break;
            }
        }
        self.settle().await?;
        self.ask().await?;
        self.look()?;
        for batch in self.place.acquirer().batches()? {
            if !batch.agrees() || !batch.trouble.is_empty() {
                let (number, told, known) = (batch.number, &batch.told, &batch.known);
                let trouble = &batch.trouble;
                self.differences
                    .insert(format!("the bank on batch {number}: {told} told, {known} known; {trouble:?}"));
            }
        }
        Ok(())
    }
}

/// A text or a path of a row; empty where there is none.
fn text(row: &Dict, key: &str) -> String {
    match row.get(key).map(|value| &**value) {
        Some(Value::Str(text)) => text.to_string(),
        Some(Value::ObjectPath(path)) => path.to_string(),
        _ => String::new(),
    }
}

/// A number of a row; zero where there is none.
fn number(row: &Dict, key: &str) -> i64 {
    let value = row.get(key).map(|value: &OwnedValue| &**value);
    match value {
        Some(Value::I64(number)) => *number,
        Some(Value::U32(number)) => i64::from(*number),
        Some(Value::U64(number)) => i64::try_from(*number).unwrap_or(i64::MAX),
        _ => 0,
    }
}

fn say(text: &str) {
    // A closed terminal is no reason to stop half-way.
    drop(writeln!(std::io::stdout(), "{text}"));
}
