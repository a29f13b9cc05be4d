//! Sales that go well, what they leave behind, and what can be done with them afterwards.
use crate::support::{Options, Typed, dict_text, fault, number, with_till};
use posd::api::proxy::ROOT_PATH;
use posd::sim::host::ledger::Effect;
use std::collections::HashMap;
use std::io::Read;

/// Goal: a sale with PIN from the first tap to the last ply: both ends agree, the paper is there, each thing is said
/// once and in order.
#[test]
fn a_sale_with_pin_is_approved() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("approved", "approved"));
        assert_eq!(till.acquirer.held().unwrap(), (1250, 1));
        till.plies_are(&sale, "confirmed").await;
        till.entered(&sale, "remove-card").await;
        till.take_card().await;
        till.entered(&sale, "finished").await;

        let states = [
            "waiting-card",
            "reading-card",
            "waiting-pin",
            "risk",
            "connecting",
            "sending",
            "waiting-host",
            "card-completion",
            "printing-merchant",
            "waiting-tear",
            "printing-customer",
            "remove-card",
            "finished",
        ];
        assert_eq!(till.states(&sale), states);
        let prompts = [
            "insert-card",
            "do-not-remove-card",
            "enter-pin",
            "dialling",
            "processing",
            "receiving",
            "remove-card",
            "tear-receipt",
            "remove-card",
        ];
        assert_eq!(till.prompts(&sale), prompts);
        assert_eq!(till.finished_count(&sale), 1);

        let row = till.acquirer.ledger().unwrap().remove(0);
        let path = sale.as_str();
        for (name, value) in [
            ("RequestId", "s-1"),
            ("Kind", "sale"),
            ("Currency", "CNY"),
            ("Operator", "01"),
            ("Rrn", &row.rrn),
            ("AuthCode", &row.auth_code),
            ("MaskedPan", "622588******5675"),
            ("CardBrand", "unionpay"),
            ("Aid", "A000000333010101"),
            ("ApplicationLabel", "UnionPay Debit"),
            ("EntryMode", "chip"),
            ("CvmMethod", "online-pin"),
            ("State", "finished"),
            ("Outcome", "approved"),
            ("ResponseCode", "00"),
            ("ResultCode", "approved"),
            ("DeadlineKind", ""),
        ] {
            assert_eq!(till.text(path, &format!("Transaction.{name}")).await, value, "{name}");
        }
        for name in ["Amount", "ApprovedAmount"] {
            assert_eq!(till.get::<i64>(path, &format!("Transaction.{name}")).await, 1250, "{name}");
        }
        assert_eq!(till.get::<u32>(path, "Transaction.Trace").await, row.stan);
        assert_eq!(till.get::<u32>(path, "Transaction.Batch").await, row.batch);
        assert_eq!(till.get::<i64>(path, "Transaction.RefundedTotal").await, 0);
        assert_eq!(till.get::<u64>(path, "Transaction.Deadline").await, 0);
        for name in ["SignatureRequired", "Cancellable"] {
            assert!(!till.get::<bool>(path, &format!("Transaction.{name}")).await, "{name}");
        }
        assert_eq!(till.text(path, "Transaction.CardToken").await.len(), 16);
        assert_eq!(end.text("rrn"), row.rrn);
        assert_eq!(number(&end.result, "amount"), 1250);
        assert_eq!(number(&end.result, "trace"), i64::from(row.stan));

        let paper = till.paper(2).await;
        assert!(paper[0].contains("商户存根") && paper[1].contains("持卡人存根"), "{paper:?}");
        for text in &paper {
            assert!(text.contains("RMB 12.50") && text.contains("6225 88** **** 5675"), "{text}");
            assert!(text.contains(&row.rrn) && !text.contains("DUPLICATED"), "{text}");
        }
        let printed = till.row("s-1").await.unwrap();
        assert!(bool::try_from(&printed["printed"]).unwrap());
        assert_eq!(till.plies(&sale).await.len(), 2);
        assert!(chip_of(till).await.iter().any(|(name, value)| name == "TC" && value.len() == 16));
    });
}

/// The chip lines of the one transaction in the journal.
async fn chip_of(till: &mut crate::support::Till) -> Vec<(String, String)> {
    till.stop_daemon().await;
    let mut files = std::fs::read_dir(till.state_dir()).unwrap().flatten().map(|entry| entry.path());
    let journal = files.find(|path| path.extension().is_some_and(|end| end == "db")).expect("a journal");
    let journal = rusqlite::Connection::open(journal).unwrap();
    let chip: String = journal.query_row("SELECT chip FROM txn", [], |row| row.get(0)).unwrap();
    serde_json::from_str(&chip).unwrap()
}

/// Goal: a reprint is a whole ply and says that it is one; so does a retry of a ply that may be on paper.
#[test]
fn a_reprint_is_marked() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        till.finished(&sale).await;
        till.plies_are(&sale, "confirmed").await;
        let job = till.transaction(&sale).await.reprint("customer", Default::default()).await.unwrap();
        assert!(till.get::<bool>(job.as_str(), "PrintJob.Copy").await);
        till.until_is(job.as_str(), "PrintJob.State", "confirmed").await;
        let paper = till.paper(3).await;
        assert!(paper[2].contains("DUPLICATED") && paper[2].contains("持卡人存根"), "{}", paper[2]);
        assert!(paper[2].contains("RMB 12.50"));
    });
}

/// Goal: `GetReceipt` gives what is on the paper, as a sealed memory file; `png` where a font is installed, and by name
/// what is missing where none is.
#[test]
fn a_receipt_can_be_read_as_text() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        till.finished(&sale).await;
        till.plies_are(&sale, "confirmed").await;
        let txn = till.transaction(&sale).await;
        for format in ["text", "svg", "escpos"] {
            let fd = txn.get_receipt("merchant", format, Default::default()).await.unwrap();
            let mut bytes = Vec::new();
            let mut file = std::fs::File::from(std::os::fd::OwnedFd::from(fd));
            file.read_to_end(&mut bytes).unwrap();
            assert!(!bytes.is_empty(), "{format}");
            if format == "text" {
                let text = String::from_utf8(bytes).unwrap();
                assert!(text.contains("商户存根") && text.contains("RMB 12.50"), "{text}");
            }
            assert!(rustix::io::write(&file, b"x").is_err(), "{format} is sealed");
        }
        match txn.get_receipt("merchant", "png", Default::default()).await {
            Ok(fd) => {
                let mut bytes = Vec::new();
                let mut file = std::fs::File::from(std::os::fd::OwnedFd::from(fd));
                file.read_to_end(&mut bytes).unwrap();
                assert!(bytes.starts_with(b"\x89PNG"));
            }
            error => assert_eq!(fault(error), "NotSupported"),
        }
    });
}

/// Goal: the ledger finds a transaction by its filters, and opens it by batch and trace.
#[test]
fn the_ledger_finds_and_opens_transactions() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.put_card("unionpay");
        for (id, amount) in [("s-1", 1250), ("s-2", 9900)] {
            let sale = till.sale(id, amount).await;
            if id == "s-1" {
                till.finished(&sale).await;
                till.take_card().await;
                till.put_card("no-cvm");
            } else {
                till.finished(&sale).await;
            }
        }
        let ledger = till.ledger().await;
        let (rows, next) = ledger.query(HashMap::new(), 1, "", Default::default()).await.unwrap();
        assert_eq!((rows.len(), dict_text(&rows[0], "request-id").as_str()), (1, "s-2"), "newest first");
        let (rows, _) = ledger.query(HashMap::new(), 1, &next, Default::default()).await.unwrap();
        assert_eq!(dict_text(&rows[0], "request-id"), "s-1");
        let filter = HashMap::from([("outcome", "declined".into())]);
        assert!(ledger.query(filter, 10, "", Default::default()).await.unwrap().0.is_empty());
        let row = till.row("s-1").await.unwrap();
        assert_eq!(
            (dict_text(&row, "outcome").as_str(), number(&row, "approved-amount")),
            ("approved", 1250)
        );
        let (batch, trace) = (number(&row, "batch") as u32, number(&row, "trace") as u32);
        let path = ledger.open(batch, trace, Default::default()).await.unwrap();
        assert_eq!(till.text(path.as_str(), "Transaction.RequestId").await, "s-1");
        assert_eq!(fault(ledger.open(batch, 999_999, Default::default()).await), "NotFound");
        let counts: HashMap<String, u32> = till.get(ROOT_PATH, "Ledger.Counts").await;
        assert_eq!(counts["sale"], 2);
    });
}

/// Goal: a card that wants a signature is approved at once; the cashier is asked when the merchant ply is out.
#[test]
fn a_signature_is_asked_after_the_merchant_ply() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.put_card("signature");
        let sale = till.sale("s-1", 1250).await;
        till.finished(&sale).await;
        till.agent_called("ConfirmSignature", 0).await;
        till.plies_are(&sale, "confirmed").await;
        let states = till.states(&sale);
        let at = |state: &str| {
            states.iter().position(|s| s == state).unwrap_or_else(|| panic!("{state}: {states:?}"))
        };
        assert!(at("printing-merchant") < at("waiting-signature"));
        assert!(at("waiting-signature") < at("printing-customer"));
        assert!(till.get::<bool>(sale.as_str(), "Transaction.SignatureRequired").await);
        assert!(till.paper(2).await[0].contains("持卡人签名"));
    });
}

/// Goal: a refused signature leaves the sale approved and tells the shop that it must be undone.
#[test]
fn a_refused_signature_is_told() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.signature.send_replace(false);
        till.put_card("signature");
        let sale = till.sale("s-1", 1250).await;
        till.finished(&sale).await;
        let told = |reasons: &Vec<String>| reasons.iter().any(|reason| reason == "signature-refused");
        till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", told).await;
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "approved");
    });
}

/// Goal: without a PIN the bank judges the sale by the card alone; the slip says so.
#[test]
fn a_card_without_cardholder_verification_needs_no_agent_answer() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.typed.send_replace(Typed::Nothing);
        till.put_card("no-cvm");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        assert_eq!(till.text(sale.as_str(), "Transaction.CvmMethod").await, "none");
        assert!(!till.states(&sale).contains(&"waiting-pin".to_owned()));
        assert_eq!(till.booked(), [Effect::Held]);
    });
}

/// Goal: of several applications the agent's choice is used.
#[test]
fn the_agent_chooses_the_application() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.put_card("two-applications");
        let sale = till.sale("s-1", 1250).await;
        till.agent_called("SelectApplication 2", 0).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        assert_eq!(till.text(sale.as_str(), "Transaction.Aid").await, "A000000333010101");
        assert!(till.states(&sale).contains(&"selecting-application".to_owned()));
    });
}
