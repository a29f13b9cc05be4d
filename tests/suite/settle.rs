//! Settlement with real parts: the daemon, a bus, a card, the bank's books, a printer.
use crate::support::{Options, Till, dict_text, fault, number, with_till};
use posd::api::proxy::{Dict, ROOT_PATH};
use posd::sim::host::batches::{Batch, Family};
use posd::sim::host::rules::{Fault, Rule};
use std::collections::HashMap;
use std::time::Duration;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

/// Approved sales with the chip, one for each amount.
async fn sales(till: &mut Till, amounts: &[i64]) {
    for (at, amount) in amounts.iter().enumerate() {
        till.put_card("unionpay");
        let sale = till.sale(&format!("sale-{at}"), *amount).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.plies_are(&sale, "confirmed").await;
        till.take_card().await;
        till.entered(&sale, "finished").await;
    }
}

async fn settle(till: &Till) -> OwnedObjectPath {
    till.ledger().await.settle(HashMap::new()).await.unwrap()
}

async fn succeeded(till: &mut Till, job: &OwnedObjectPath) -> Dict {
    till.until_is(job.as_str(), "Job.State", "succeeded").await;
    till.get::<HashMap<String, OwnedValue>>(job.as_str(), "Job.Result").await
}

fn rows(result: &Dict, key: &str) -> Vec<Dict> {
    let value: &Value<'_> = &result[key];
    Vec::<Dict>::try_from(value.try_clone().unwrap()).unwrap()
}

fn batch(till: &Till) -> Batch {
    till.acquirer.batches().unwrap().remove(0)
}

/// Goal: totals that agree close the batch: certificates go up, paper comes, the next batch is open, and sales go on.
#[test]
fn an_agreed_batch_is_closed() {
    with_till(Options::default(), async |till| {
        till.open().await;
        sales(till, &[1250, 300]).await;
        let job = settle(till).await;
        let result = succeeded(till, &job).await;
        assert_eq!((number(&result, "batch"), dict_text(&result, "state").as_str()), (1, "closed"));
        assert_eq!(dict_text(&result, "verdict-domestic"), "agreed");
        assert_eq!(dict_text(&result, "verdict-foreign"), "agreed");
        let totals = rows(&result, "totals");
        assert_eq!(totals.len(), 1);
        assert_eq!((number(&totals[0], "count"), number(&totals[0], "amount")), (2, 1550));
        assert_eq!(dict_text(&totals[0], "kind"), "sale");
        assert!(rows(&result, "suspects").is_empty());

        let batch = batch(till);
        assert_eq!((batch.end, batch.asked), (Some((2, true)), 1));
        assert!(batch.details.iter().all(|detail| detail.family == Family::Certificate));
        assert_eq!(batch.trouble, [""; 0]);
        assert_eq!(batch.told, batch.known);

        assert_eq!(till.get::<u32>(ROOT_PATH, "Ledger.Batch").await, 2);
        till.until_is(ROOT_PATH, "Ledger.BatchState", "open").await;
        let counts: HashMap<String, u32> = till.get(ROOT_PATH, "Ledger.Counts").await;
        assert!(counts.values().all(|count| *count == 0), "{counts:?}");
        let slips = till.paper(5).await;
        assert!(slips[4].contains("结算总计单") && slips[4].contains("内卡对帐平"), "{}", slips[4]);
        assert!(slips[4].contains("15.50"), "{}", slips[4]);

        let copy = till.ledger().await.reprint_settlement(0, HashMap::new()).await.unwrap();
        let slips = till.paper(6).await;
        assert!(slips[5].contains("DUPLICATED") && slips[5].contains("结算总计单"), "{}", slips[5]);
        till.until_is(copy.as_str(), "PrintJob.State", "confirmed").await;
        assert_eq!(till.text(copy.as_str(), "PrintJob.Kind").await, "settlement");
        let none: OwnedObjectPath = till.get(copy.as_str(), "PrintJob.Transaction").await;
        assert_eq!(none.as_str(), "/");
        assert_eq!(fault(till.ledger().await.reprint_settlement(77, HashMap::new()).await), "NotFound");

        sales(till, &[]).await;
        till.put_card("unionpay");
        let sale = till.sale("next-day", 700).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        assert_eq!(till.get::<u32>(sale.as_str(), "Transaction.Batch").await, 2);
    });
}

/// Goal: totals that differ send the detail up, say so, and name nobody where nobody is suspected.
#[test]
fn a_batch_that_differs_sends_its_detail() {
    with_till(Options::default(), async |till| {
        till.open().await;
        sales(till, &[1250]).await;
        till.acquirer.clear_ledger().unwrap();
        let job = settle(till).await;
        let result = succeeded(till, &job).await;
        assert_eq!(dict_text(&result, "verdict-domestic"), "disagreed");
        assert_eq!(dict_text(&result, "verdict-foreign"), "agreed");
        let batch = batch(till);
        assert_eq!(batch.end, Some((1, false)));
        assert_eq!(batch.trouble, ["record 2 is not in the books"]);
        let slips = till.paper(3).await;
        assert!(slips[2].contains("内卡对帐不平"), "{}", slips[2]);
    });
}

/// Goal: nothing to settle is told as such, and leaves the batch open.
#[test]
fn an_empty_batch_stays_open() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let job = settle(till).await;
        let result = succeeded(till, &job).await;
        assert_eq!(dict_text(&result, "state"), "nothing-to-settle");
        assert_eq!(till.get::<u32>(ROOT_PATH, "Ledger.Batch").await, 1);
        assert!(till.asked(&["0500", "0320"]).is_empty());
        till.reader_ready().await;
    });
}

/// Goal: without a bank the job fails before anything is frozen, and sales are taken again.
#[test]
fn a_bank_that_cannot_be_reached_reopens_the_batch() {
    with_till(Options::default(), async |till| {
        till.open().await;
        sales(till, &[1250]).await;
        till.acquirer.refuse_connections().unwrap();
        till.acquirer.hang_up().unwrap();
        let job = settle(till).await;
        till.until_is(job.as_str(), "Job.State", "failed").await;
        let (name, _): (String, String) =
            till.get::<OwnedValue>(job.as_str(), "Job.Error").await.try_into().unwrap();
        assert!(name.ends_with("HostUnreachable"), "{name}");
        till.until_is(ROOT_PATH, "Ledger.BatchState", "open").await;
        till.acquirer.accept_connections().unwrap();
        let job = settle(till).await;
        assert_eq!(dict_text(&succeeded(till, &job).await, "state"), "closed");
    });
}

/// Goal: a 0500 without an answer is repeated to the byte, sales wait, and nobody can cancel it any more.
#[test]
fn the_totals_are_repeated_until_they_are_answered() {
    with_till(Options { response_timeout_s: 1, ..Options::default() }, async |till| {
        till.open().await;
        sales(till, &[1250]).await;
        till.acquirer.rule(Rule::always("0500", Fault::Drop)).unwrap();
        let job = settle(till).await;
        till.bank_saw("0500", 1).await;
        till.until_is(job.as_str(), "Job.Phase", "retrying").await;
        assert_eq!(till.text(ROOT_PATH, "Manager.State").await, "settling");
        assert_eq!(till.text(ROOT_PATH, "Ledger.BatchState").await, "settling");
        assert_eq!(fault(till.try_sale("meanwhile", 1).await), "BatchClosing");
        let job_interface = Some("org.posd.Pos1.Job");
        let none = (HashMap::<String, OwnedValue>::new(),);
        let cancel = till.client.call_method(
            Some(posd::api::proxy::BUS_NAME),
            job.as_str(),
            job_interface,
            "Cancel",
            &none,
        );
        assert_eq!(fault(cancel.await.map(|_| ())), "TooLate");
        assert_eq!(settle(till).await, job, "one job");
        till.bank_saw("0500", 2).await;
        till.acquirer.clear_rules().unwrap();
        succeeded(till, &job).await;
        let spoken = till.acquirer.messages().unwrap();
        let asked: Vec<_> = spoken.iter().filter(|m| m.mti == "0500").map(|m| m.fields.clone()).collect();
        assert!(asked.len() >= 3 && asked.iter().all(|fields| *fields == asked[0]));
        assert_eq!(batch(till).trouble, [""; 0]);
    });
}

/// Goal: only a supervisor closes a batch without the bank's word; the verdict is then unknown.
#[test]
fn a_supervisor_closes_a_batch_by_force() {
    with_till(Options { response_timeout_s: 1, ..Options::default() }, async |till| {
        till.open().await;
        sales(till, &[1250]).await;
        till.acquirer.rule(Rule::always("0500", Fault::Drop)).unwrap();
        let job = settle(till).await;
        till.until_is(job.as_str(), "Job.Phase", "retrying").await;
        let force = || HashMap::from([("force-close", Value::from(true))]);
        assert_eq!(fault(till.ledger().await.settle(force()).await), "NotAuthorized");
        till.change_password("00", "123456", "chefin-4410-sued").await.unwrap();
        till.operators().await.sign_off(HashMap::new()).await.unwrap();
        till.sign_on("00", "chefin-4410-sued").await.unwrap();
        assert_eq!(till.ledger().await.settle(force()).await.unwrap(), job);
        let result = succeeded(till, &job).await;
        assert_eq!(dict_text(&result, "state"), "force-closed");
        assert_eq!(dict_text(&result, "verdict-domestic"), "unknown");
        assert_eq!(till.get::<u32>(ROOT_PATH, "Ledger.Batch").await, 2);
        let slips = till.paper(3).await;
        assert!(slips[2].contains("强制结算") && slips[2].contains("未对帐"), "{}", slips[2]);
    });
}

/// Goal: wherever the power fails during a settlement, it goes on after the restart: the bank hears one 0500 and all of
/// the detail, and one batch is closed.
#[test]
fn a_settlement_survives_a_power_cut_at_every_step() {
    let options = Options { test_max: Duration::from_secs(400), ..Options::default() };
    with_till(options, async |till| {
        till.open().await;
        sales(till, &[1250]).await;
        till.stop_daemon().await;
        let steps = run_to(till, None).await;
        assert!(steps.len() > 15, "{steps:?}");
        for at in (1..=steps.len()).step_by(2) {
            // A new day, so that there is something to settle: the batch before is closed.
            till.start_daemon().await;
            till.open_again().await;
            let day = till.get::<u32>(ROOT_PATH, "Ledger.Batch").await;
            till.put_card("unionpay");
            let sale = till.sale(&format!("day-{day}"), 100 + i64::from(day)).await;
            assert_eq!(till.finished(&sale).await.outcome, "approved");
            till.plies_are(&sale, "confirmed").await;
            till.take_card().await;
            till.stop_daemon().await;
            let passed = run_to(till, Some(at)).await;
            till.start_daemon().await;
            // Before the wish was durable nothing happened: it is wished again.
            till.open_again().await;
            if till.get::<u32>(ROOT_PATH, "Ledger.Batch").await == day {
                settle(till).await;
            }
            till.until::<u32>(ROOT_PATH, "Ledger.Batch", |now| *now == day + 1).await;
            let told =
                till.acquirer.batches().unwrap().into_iter().find(|batch| batch.number == day).unwrap();
            assert_eq!((told.end, &told.trouble[..]), (Some((1, true)), &[][..]), "cut {at}: {passed:?}");
            assert_eq!(told.details.len(), 1, "cut {at}");
            till.stop_daemon().await;
        }
    });
}

/// Settles, and dies at the n-th boundary; the boundaries that were passed since the wish.
async fn run_to(till: &mut Till, at: Option<usize>) -> Vec<String> {
    let log = till.dir().join("cuts");
    std::fs::write(&log, "").unwrap();
    till.env = vec![("POSD_CUT_LOG".to_owned(), log.display().to_string())];
    till.env.extend(at.map(|at| ("POSD_CUT".to_owned(), at.to_string())));
    till.start_daemon().await;
    till.open_again().await;
    till.env.clear();
    let passed =
        || -> Vec<String> { std::fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect() };
    let before = passed().len();
    assert_eq!(before, 0, "no boundary before the wish, so that they can be counted");
    let job = till.ledger().await.settle(HashMap::new()).await;
    match at {
        None => {
            succeeded(till, &job.unwrap()).await;
            till.stop_daemon().await;
        }
        Some(_) => assert_eq!(till.daemon_ended().await, None, "killed"),
    }
    passed()
}
