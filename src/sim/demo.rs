//! `posd-sim demo`: a day in a shop, from the first sign-on to the settlement. The real daemon and the real posctl on a
//! private bus, with the simulated card in a virtual PC/SC reader, the simulated acquirer and printer on TCP.
//! Everything is started here and ended here.
//!
//! It shows; it does not judge. The same scenes are judged by the test suite.
use super::host::rules::{Fault, Rule};
use super::shop::{Plan, Shop, WAIT_MAX};
use serde_json::Value;
use std::fs;
use std::io::{Error, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Arguments of `posd-sim demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder with the posd and posctl to show
    #[arg(long, value_name = "DIR")]
    bin: PathBuf,
    /// Card parameters
    #[arg(long, value_name = "FILE")]
    emv: PathBuf,
    /// Folder for receipts
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Shows it.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    match Day::open(args).and_then(|mut day| day.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("\nThe demonstration broke off: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The shop as the demonstration shows it.
struct Day {
    shop: Shop,
    out: PathBuf,
    bin: PathBuf,
    slips: usize,
}

impl Day {
    fn open(args: &Args) -> Result<Self, Error> {
        fs::create_dir_all(&args.out)?;
        say("== posd: a payment terminal for Linux ==");
        say(
            "Starting a card reader (pcscd with a virtual slot), a bank, a printer and a message bus, all simulated",
        );
        say("devices on their real interfaces; then the real daemon.\n");
        let shop = Shop::open(Plan {
            name: "posd-demo",
            posd: &args.bin.join("posd"),
            under: &[],
            emv: &args.emv,
            receipts: Some(&args.out),
            log: &args.out.join("posd.log"),
            state: None,
            tear_pause_s: 1,
            host: "",
            sections: "",
            output: Stdio::inherit(),
        })?;
        Ok(Self { shop, out: args.out.clone(), bin: args.bin.clone(), slips: 0 })
    }

    fn run(&mut self) -> Result<(), Error> {
        self.wait_for("the daemon", |shop| shop.status().is_some())?;
        self.opening()?;
        self.approved()?;
        self.declined()?;
        self.lost_reply()?;
        self.void()?;
        self.pre_authorisation()?;
        self.refund()?;
        self.stored_offline()?;
        self.evening()?;
        say(&format!("\nThe slips are in {}: receipt-N.txt and receipt-N.png.", self.out.display()));
        Ok(())
    }

    fn opening(&mut self) -> Result<(), Error> {
        scene("The shop opens: factory passwords are changed, the operator signs on, the terminal signs on");
        fs::write(self.shop.file("change"), "0000\n246810\n")?;
        fs::write(self.shop.file("change-00"), "123456\n135790\n")?;
        fs::write(self.shop.file("password"), "246810\n")?;
        fs::write(self.shop.file("password-00"), "135790\n")?;
        let (change, password) = (self.file("change"), self.file("password"));
        self.command(&["operator", "password", "00", "--secret-file", &self.file("change-00")])?;
        self.command(&["operator", "password", "01", "--secret-file", &change])?;
        self.command(&["operator", "sign-on", "01", "--secret-file", &password])?;
        self.wait_for("the sign-on", |shop| {
            shop.status().is_some_and(|data| data.pointer("/host/signed-on") == Some(&Value::Bool(true)))
        })?;
        self.command(&["status"])
    }

    fn approved(&mut self) -> Result<(), Error> {
        scene("A customer pays 12.50 with chip and PIN");
        self.pay("unionpay", &["sale", "12.50", "--request-id", "breakfast"])?;
        self.slips(2)
    }

    fn declined(&mut self) -> Result<(), Error> {
        scene("A second card has no money left: the bank says 51");
        let rule = Rule::once("0200", Fault::Decline("51".to_owned()));
        self.shop.acquirer.rule(rule)?;
        self.pay("unionpay", &["sale", "980.00"])
    }

    fn lost_reply(&mut self) -> Result<(), Error> {
        scene("The bank approves 66.00, but its answer is lost on the way");
        self.shop.acquirer.rule(Rule::once("0200", Fault::Close))?;
        self.pay("unionpay", &["sale", "66.00"])?;
        if !self.shop.acquirer.wait_for("0400", 1, WAIT_MAX)? {
            return Err(Error::other("no reversal came to the bank"));
        }
        say(
            "   The terminal did not guess: it has sent a reversal by itself, and the bank has taken the sale back.",
        );
        self.command(&["queue", "list"])
    }

    fn void(&mut self) -> Result<(), Error> {
        scene("The breakfast was not as ordered: a supervisor voids it, with the card");
        self.supervised("unionpay", &["void", "breakfast"])?;
        self.slips(2)
    }

    fn pre_authorisation(&mut self) -> Result<(), Error> {
        scene("A guest checks in: 500.00 are set aside; at check-out 480.00 are taken");
        self.pay("unionpay-credit", &["pre-auth", "start", "500.00", "--request-id", "room-12"])?;
        self.pay("unionpay-credit", &["pre-auth", "complete", "480.00", "--original", "room-12"])?;
        self.slips(4)
    }

    fn refund(&mut self) -> Result<(), Error> {
        scene("A sale of 30.00 with signature, and 10.00 of it given back");
        self.pay("signature", &["sale", "30.00", "--request-id", "scarf"])?;
        self.supervised("signature", &["refund", "10.00", "--original", "scarf"])?;
        self.slips(4)
    }

    fn stored_offline(&mut self) -> Result<(), Error> {
        scene(
            "The line to the bank is down: the card approves 18.00 alone, the sale is stored and sent later",
        );
        self.shop.acquirer.refuse_connections()?;
        self.shop.acquirer.hang_up()?;
        self.pay("asks-first", &["sale", "18.00"])?;
        self.command(&["queue", "list"])?;
        say("\n   The line is up again.");
        self.shop.acquirer.accept_connections()?;
        self.command(&["queue", "flush"])?;
        self.slips(2)
    }

    fn evening(&mut self) -> Result<(), Error> {
        scene("The shop closes: the batch is settled, both sides count the same");
        self.command(&["settle", "--yes"])?;
        self.slips(1)?;
        say("\n-- What the bank holds, from its own ledger --");
        for row in self.shop.acquirer.ledger()? {
            let state = format!("{:?}", row.state).to_lowercase();
            let business = format!("{:?}", row.business).to_lowercase();
            say(&format!(
                "   STAN {:06}  {business:<16} {:>8} fen  {state:<10} answered {}",
                row.stan, row.amount, row.response_code
            ));
        }
        self.command(&["txn", "list"])
    }

    /// A customer's card goes in, the command runs, the card goes out.
    fn pay(&mut self, card: &str, words: &[&str]) -> Result<(), Error> {
        fs::write(self.shop.file("pin"), "123456\n")?;
        let pin = self.file("pin");
        self.shop.bench.insert(card)?;
        self.command(&[words, &["--pin-file", &pin, "--yes"]].concat())?;
        self.shop.bench.remove()?;
        Ok(())
    }

    /// The same with a supervisor's leave.
    fn supervised(&mut self, card: &str, words: &[&str]) -> Result<(), Error> {
        let password = self.file("password-00");
        self.pay(card, &[words, &["--supervisor", "00", "--secret-file", &password]].concat())
    }

    /// Waits for the next slips and shows them; the printer keeps their files.
    fn slips(&mut self, more: usize) -> Result<(), Error> {
        let shown = self.slips;
        self.slips += more;
        if !self.shop.printer.wait_for(self.slips, WAIT_MAX) {
            return Err(Error::other("no slip came out of the printer"));
        }
        let report = self.shop.printer.report();
        for (number, slip) in report.receipts.iter().enumerate().skip(shown).take(more) {
            say(&format!("   .--- slip {} ", number + 1));
            slip.text.lines().for_each(|line| say(&format!("   | {line}")));
        }
        Ok(())
    }

    /// Shows a command and what it says. Outcomes other than success are part of the story.
    fn command(&self, words: &[&str]) -> Result<(), Error> {
        say(&format!("\n$ posctl {}", words.join(" ")));
        let output = self.posctl().args(words).output()?;
        say(String::from_utf8_lossy(&output.stderr).trim_end());
        say(String::from_utf8_lossy(&output.stdout).trim_end());
        if let Some(code) = output.status.code().filter(|code| *code != 0) {
            say(&format!("[exit {code}]"));
        }
        Ok(())
    }

    fn posctl(&self) -> Command {
        let mut posctl = Command::new(self.bin.join("posctl"));
        posctl.args(["--address", &self.shop.address, "--lang", "en"]).stdin(Stdio::null());
        posctl
    }

    fn status(&self) -> Option<Value> {
        let output = self.posctl().args(["--json", "status"]).output().ok()?;
        let document: Value = serde_json::from_slice(&output.stdout).ok()?;
        (document.get("ok") == Some(&Value::Bool(true))).then(|| document.get("data").cloned()).flatten()
    }

    fn file(&self, name: &str) -> String {
        self.shop.file(name).display().to_string()
    }

    /// Asks again until it holds. posctl is the only eye here, so the asking is what is waited on.
    fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), Error> {
        let until = Instant::now() + WAIT_MAX;
        while Instant::now() < until {
            if holds(self) {
                return Ok(());
            }
        }
        Err(Error::other(format!("{what} did not come in {} s", WAIT_MAX.as_secs())))
    }
}

fn scene(title: &str) {
    say(&format!("\n== {title} =="));
}

fn say(text: &str) {
    if !text.is_empty() {
        // A closed terminal is no reason to stop half-way.
        drop(writeln!(std::io::stdout(), "{text}"));
    }
}
