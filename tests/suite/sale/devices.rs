//! Reader and printer that are late, vanish, or run dry.
use crate::support::{Options, PASSWORD, with_till};
use posd::api::proxy::{PrintJobProxy, ROOT_PATH};
use posd::sim::printer::Fault;
use std::sync::Arc;

/// Goal: without a printer a sale is approved all the same; its plies are held and come by themselves with the printer.
#[test]
fn plies_wait_for_a_printer_that_is_away() {
    with_till(Options { printer: false, ..Options::default() }, async |till| {
        till.open().await;
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.plies_are(&sale, "held").await;
        till.plug_printer();
        till.plies_are(&sale, "confirmed").await;
        let paper = till.paper(2).await;
        assert!(paper[0].contains("商户存根") && paper[1].contains("持卡人存根"));
        assert!(paper.iter().all(|text| !text.contains("DUPLICATED")), "it is the original");
    });
}

/// Goal: paper that ends in the middle leaves the ply unconfirmed; it is not repeated by itself, and a retry is marked.
#[test]
fn a_ply_that_ran_out_of_paper_is_unconfirmed() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let printer = Arc::clone(till.printer.as_ref().unwrap());
        printer.set(Fault::PaperOut(300));
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        let [merchant, customer] = ["merchant", "customer"].map(|ply| {
            let id = sale.as_str().rsplit('/').next().unwrap_or_default();
            format!("{ROOT_PATH}/printjob/{id}_{ply}_0")
        });
        till.until_is(&merchant, "PrintJob.State", "unconfirmed").await;
        till.until_is(&customer, "PrintJob.State", "held").await;
        let reasons = |reasons: &Vec<String>| reasons.iter().any(|reason| reason == "paper-out");
        till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", reasons).await;

        printer.set(Fault::Nothing);
        till.until_is(&customer, "PrintJob.State", "confirmed").await;
        assert_eq!(
            till.text(&merchant, "PrintJob.State").await,
            "unconfirmed",
            "nobody prints it twice unasked"
        );
        let job =
            PrintJobProxy::builder(&till.client).path(merchant.as_str()).unwrap().build().await.unwrap();
        job.retry(Default::default()).await.unwrap();
        till.until_is(&merchant, "PrintJob.State", "abandoned").await;
        till.until_is(&merchant.replace("_merchant_0", "_merchant_1"), "PrintJob.State", "confirmed").await;
        let paper = till.paper(3).await;
        assert!(paper[2].contains("商户存根") && paper[2].contains("DUPLICATED"), "{paper:?}");
        assert_eq!(till.acquirer.held().unwrap(), (1250, 1), "paper moves no money");
    });
}

/// Goal: pcscd may come late, die and come back; the reader's state tells, and a sale works afterwards.
#[test]
fn a_reader_service_that_dies_is_found_again() {
    with_till(Options { pcscd: false, ..Options::default() }, async |till| {
        till.change_password("01", "0000", PASSWORD).await.unwrap();
        till.register_agent().await;
        till.sign_on("01", PASSWORD).await.unwrap();
        till.until::<bool>(ROOT_PATH, "Host.SignedOn", |on| *on).await;
        let missing = |reasons: &Vec<String>| reasons.iter().any(|reason| reason == "no-reader");
        till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", missing).await;
        assert_eq!(crate::support::fault(till.try_sale("s-0", 1).await), "DeviceAbsent");
        till.bench.start_pcscd().unwrap();
        till.reader_ready().await;
        let reader = till.reader().await;
        assert_eq!(till.text(&reader, "Reader.State").await, "ready");
        till.bench.kill_pcscd();
        till.until::<String>(&reader, "Reader.State", |state| state != "ready").await;
        let reasons: Vec<String> = till.get(&reader, "Reader.Reasons").await;
        assert!(!reasons.is_empty());
        till.bench.start_pcscd().unwrap();
        till.until_is(&reader, "Reader.State", "ready").await;
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
    });
}
