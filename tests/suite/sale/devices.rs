//! Reader and printer that are late, vanish, or run dry.
use crate::support::{Options, PASSWORD, with_till};
use posd::api::proxy::ROOT_PATH;
use posd::sim::printer::Fault;

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
        till.printer.as_ref().unwrap().set(Fault::PaperOut(300));
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        let jobs = loop {
            let jobs = till.plies(&sale).await;
            if jobs.iter().any(|(_, state)| state == "unconfirmed") {
                break jobs;
            }
            till.until::<u32>(ROOT_PATH, "Ledger.Batch", |_| true).await;
            let path =
                format!("{ROOT_PATH}/printjob/{}_merchant_0", sale.as_str().rsplit('/').next().unwrap());
            till.until_is(&path, "PrintJob.State", "unconfirmed").await;
        };
        assert_eq!(jobs[0], ("merchant".to_owned(), "unconfirmed".to_owned()));
        assert_eq!(jobs[1].1, "held", "no byte of the second ply was taken");
        let reasons = |reasons: &Vec<String>| reasons.iter().any(|reason| reason == "paper-out");
        till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", reasons).await;
        till.printer.as_ref().unwrap().set(Fault::Nothing);
        let customer =
            format!("{ROOT_PATH}/printjob/{}_customer_0", sale.as_str().rsplit('/').next().unwrap());
        till.until_is(&customer, "PrintJob.State", "confirmed").await;
        assert_eq!(till.plies(&sale).await[0].1, "unconfirmed", "nobody prints it twice unasked");
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
