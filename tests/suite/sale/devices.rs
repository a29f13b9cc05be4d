//! Reader and printer that are late, vanish, or run dry.
use crate::support::{Options, PASSWORD, SUPERVISOR, audit_trail, fault, with_till};
use posd::api::proxy::{DrawerProxy, PrintJobProxy, PrinterProxy, ROOT_PATH};
use posd::sim::host::rules::{Fault as HostFault, Rule};
use posd::sim::printer::Fault;
use std::io::Read;
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
        printer.set_after(300, Fault::PaperOut);
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

/// Goal: a shop's own slip has the guards of a receipt: its commands are text, no card number passes, it waits for paper,
/// a part of it is not repeated unasked, and who printed it is on record.
#[test]
fn a_shops_own_slip_goes_through_the_daemon() {
    with_till(Options::default(), async |till| {
        let path = format!("{ROOT_PATH}/printer/0");
        till.until::<bool>(&path, "Printer.Online", |online| *online).await;
        let desk = PrinterProxy::builder(&till.client).path(path.as_str()).unwrap().build().await.unwrap();
        let none = Default::default;
        assert_eq!(fault(desk.print_text("寄存牌", none()).await), "OperatorRequired");
        till.open().await;
        assert_eq!(fault(desk.print_text("6225880012345675", none()).await), "InvalidArgument");
        assert_eq!(fault(desk.print_text(" \n ", none()).await), "InvalidArgument");
        assert_eq!(fault(desk.feed(128, none()).await), "InvalidArgument");

        let text = "寄存牌 17\n\u{1b}@\u{1d}V\u{1}谢谢惠顾";
        let job = desk.print_text(text, none()).await.unwrap();
        till.until_is(job.as_str(), "PrintJob.State", "confirmed").await;
        assert_eq!(till.paper(1).await, ["寄存牌 17\n@V谢谢惠顾\n"]);
        assert_eq!(till.text(job.as_str(), "PrintJob.Kind").await, "text");
        let number = job.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        let told = format!("01 text of {} bytes to paper: {number}", text.len());
        till.until::<u32>(&path, "Printer.QueueDepth", |depth| *depth == 0).await;
        desk.feed(3, none()).await.unwrap();

        let page = desk.test_page(none()).await.unwrap();
        till.until_is(page.as_str(), "PrintJob.State", "confirmed").await;
        let paper = till.paper(2).await;
        assert!(
            paper[1].trim_start().starts_with("打印测试页") && paper[1].contains("SIM-58"),
            "{}",
            paper[1]
        );

        let printer = Arc::clone(till.printer.as_ref().unwrap());
        printer.set(Fault::PaperOut);
        let held = desk.print_text("later", none()).await.unwrap();
        till.until_is(held.as_str(), "PrintJob.State", "held").await;
        assert_eq!(fault(desk.feed(1, none()).await), "PaperOut");
        printer.set(Fault::Nothing);
        till.until_is(held.as_str(), "PrintJob.State", "confirmed").await;

        printer.set_after(20, Fault::PaperOut);
        let torn = desk.print_text("a slip that meets the end of the paper", none()).await.unwrap();
        till.until_is(torn.as_str(), "PrintJob.State", "unconfirmed").await;
        printer.set(Fault::Nothing);
        till.until::<bool>(&path, "Printer.Online", |online| *online).await;
        let job = PrintJobProxy::builder(&till.client).path(torn.as_str()).unwrap().build().await.unwrap();
        job.retry(none()).await.unwrap();
        let again = format!("{}1", torn.as_str().strip_suffix('0').unwrap());
        till.until_is(&again, "PrintJob.State", "confirmed").await;
        let last = till.paper(4).await.pop().unwrap();
        assert!(last.contains("DUPLICATED") && last.contains("meets the end"), "{last}");
        till.stop_daemon().await;
        assert!(audit_trail(till).contains(&told), "{:?}", audit_trail(till));
    });
}

/// Goal: a technician sees the printer in words, tries it, and is told what to look for.
#[test]
fn posctl_shows_and_tries_the_printer() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let path = format!("{ROOT_PATH}/printer/0");
        till.until::<bool>(&path, "Printer.Online", |online| *online).await;
        let address = till.bus.address.clone();
        let posctl = async |words: &'static [&'static str]| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_posctl"));
            command.args(words).args(["--address", &address]).stdin(std::process::Stdio::null());
            tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
        };
        let tried = posctl(&["printer", "test", "--lang", "zh"]).await;
        assert_eq!(tried.status.code(), Some(0), "{}", String::from_utf8_lossy(&tried.stderr));
        assert!(String::from_utf8_lossy(&tried.stdout).contains("已打印"));
        assert!(String::from_utf8_lossy(&tried.stderr).contains("请看测试页"));
        assert!(till.paper(1).await[0].contains("PRINTER TEST PAGE"));
        let shown = posctl(&["printer", "status", "--lang", "en"]).await;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        let expected = [
            "Model         SIM-58",
            "Paper         ok",
            "Cover         closed",
            "Width         384 dots, 32 columns",
            "Proof         it tells when each slip is out (GS ( H)",
            "Slips         1: 1 confirmed, 0 unconfirmed, 0 held",
        ];
        for line in expected {
            assert!(shown.lines().any(|shown| shown == line), "{line:?} is missing in\n{shown}");
        }

        till.printer.as_ref().unwrap().set(Fault::CoverOpen);
        let held = posctl(&["printer", "test", "--json"]).await;
        assert_eq!(held.status.code(), Some(6), "{}", String::from_utf8_lossy(&held.stdout));
        let shown = posctl(&["printer", "status", "--lang", "zh"]).await;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("打开, 请合上"), "{shown}");
    });
}

/// Goal: where the shop wants it, what the bank refuses gets a slip that says why and cannot be taken for a receipt; a
/// sale that is approved afterwards has its two plies as ever.
#[test]
fn a_refusal_gets_a_slip_where_the_shop_wants_one() {
    let options = Options { printer_keys: "declined-slip = true\n", ..Options::default() };
    with_till(options, async |till| {
        till.open().await;
        till.acquirer.rule(Rule::once("0200", HostFault::Decline("51".to_owned()))).unwrap();
        till.put_card("unionpay");
        let path = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&path).await.outcome, "declined");
        let slip = till.paper(1).await.remove(0);
        for said in ["DECLINED", "NOT DONE", "CODE", "51", "12.50", "Insufficient"] {
            assert!(slip.contains(said), "{said} is missing in\n{slip}");
        }
        assert!(!slip.contains("COPY") && !slip.contains("SIGNATURE"), "{slip}");
        till.ended(&path).await;
        till.put_card("unionpay");
        let path = till.sale("s-2", 1300).await;
        assert_eq!(till.finished(&path).await.outcome, "approved");
        let paper = till.paper(3).await;
        assert!(paper[1].contains("MERCHANT COPY") && paper[2].contains("CARDHOLDER COPY"), "{paper:?}");
    });
}

/// Goal: with three plies the bank's stands between the others and is signed like the merchant's; the shop's picture is on
/// each, its last words on the cardholder's alone.
#[test]
fn a_shop_has_a_ply_for_the_bank_and_its_own_words_on_paper() {
    let logo = concat!(
        "plies = 3\n[slip]\nfoot = [\"谢谢惠顾\"]\nlogo = \"",
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/logo.png\"\n"
    );
    with_till(Options { printer_keys: logo, ..Options::default() }, async |till| {
        till.open().await;
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        let paper = till.paper(3).await;
        for (slip, title) in paper.iter().zip(["MERCHANT COPY", "BANK COPY", "CARDHOLDER COPY"]) {
            assert!(slip.contains(title), "{title} is not on\n{slip}");
            assert_eq!(slip.contains("免签"), title != "CARDHOLDER COPY", "{slip}");
            assert_eq!(slip.contains("谢谢惠顾"), title == "CARDHOLDER COPY", "{slip}");
        }
        till.plies_are(&sale, "confirmed").await;
        assert_eq!(till.plies(&sale).await.len(), 3);
        let object = till.transaction(&sale).await;
        for ply in ["merchant", "bank", "customer"] {
            let file = object.get_receipt(ply, "svg", Default::default()).await.unwrap();
            let mut shown = String::new();
            std::fs::File::from(std::os::fd::OwnedFd::from(file)).read_to_string(&mut shown).unwrap();
            assert!(shown.contains("v1h-"), "no picture on the {ply} ply: {shown}");
        }
    });
}

/// Goal: what a technician reads on the page becomes a file, and with that file in its place the printer is what the file
/// says, on the bus and on paper.
#[test]
fn a_printer_that_was_learnt_is_printed_on_as_it_needs() {
    with_till(Options::default(), async |till| {
        let path = format!("{ROOT_PATH}/printer/0");
        till.until::<bool>(&path, "Printer.Online", |online| *online).await;
        let folder = till.dir().join("quirks");
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("50-sim.toml").display().to_string();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_posctl"));
        let words = ["printer", "learn", "--columns", "48", "--chinese", "no", "--cutter", "yes", "--output"];
        command.args(words).args([&file, "--json", "--address", &till.bus.address]);
        command.stdin(std::process::Stdio::null());
        let learnt = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&learnt.stdout).into_owned();
        assert_eq!(learnt.status.code(), Some(0), "{said}");
        assert!(said.contains("\"firmware\":\"1.0\""), "{said}");
        let wanted = "# POSD SIM-58 1.0\n[[printer]]\nmodel = \"SIM-58\"\nwidth-dots = 576\nchinese = \"raster\"\n\
                      cutter = true\nproof = \"process-id\"\n";
        assert_eq!(std::fs::read_to_string(&file).unwrap(), wanted);
        let printed = till.printer.as_ref().unwrap().report().receipts;
        assert!(printed[0].text.contains("汉字 ABC"));
        let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
        assert_eq!(till.get::<Vec<String>>(&path, "Printer.Quirks").await, texts(&[]));

        till.stop_daemon().await;
        till.start_daemon().await;
        till.until::<u32>(&path, "Printer.Dots", |dots| *dots == 576).await;
        let quirks = [
            "width-dots=576 (50-sim.toml)",
            "chinese=raster (50-sim.toml)",
            "cutter=true (50-sim.toml)",
            "proof=process-id (50-sim.toml)",
        ];
        assert_eq!(till.get::<Vec<String>>(&path, "Printer.Quirks").await, texts(&quirks));
        assert_eq!(till.get::<u32>(&path, "Printer.Columns").await, 48);
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
        assert_eq!(fault(till.try_sale("s-0", 1).await), "DeviceAbsent");
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

/// Goal: a drawer opens for whom the configuration lets, once for each time it is asked, never later by itself; its switch
/// is seen, and it is on record who opened it.
#[test]
fn the_cash_drawer_opens_for_whom_it_may() {
    let options =
        Options { printer_keys: "drawer = \"pin2\"\ndrawer-sensor = \"high\"\n", ..Options::default() };
    with_till(options, async |till| {
        let path = format!("{ROOT_PATH}/printer/0");
        till.until::<bool>(&path, "Printer.Online", |online| *online).await;
        let drawer = DrawerProxy::builder(&till.client).path(path.as_str()).unwrap().build().await.unwrap();
        let none = Default::default;
        assert_eq!(fault(drawer.open(none()).await), "OperatorRequired");
        till.open().await;
        assert_eq!(till.text(&path, "Drawer.IsOpen").await, "no");
        drawer.open(none()).await.unwrap();
        till.until_is(&path, "Drawer.IsOpen", "yes").await;
        assert_eq!(till.get::<u32>(&path, "Drawer.OpenCount").await, 1);
        let printer = Arc::clone(till.printer.as_ref().unwrap());
        assert_eq!((printer.report().pulses, printer.report().errors), (1, Vec::new()));
        printer.set(Fault::DrawerIn);
        till.until_is(&path, "Drawer.IsOpen", "no").await;

        // Nothing is kept for later.
        printer.set(Fault::PaperOut);
        let held = {
            let desk =
                PrinterProxy::builder(&till.client).path(path.as_str()).unwrap().build().await.unwrap();
            desk.print_text("later", none()).await.unwrap()
        };
        till.until_is(held.as_str(), "PrintJob.State", "held").await;
        assert_eq!(fault(drawer.open(none()).await), "PaperOut");
        printer.set(Fault::Nothing);
        till.until_is(held.as_str(), "PrintJob.State", "confirmed").await;
        assert_eq!(printer.report().pulses, 1);
        till.stop_daemon().await;
        assert!(audit_trail(till).contains(&"01 drawer opened".to_owned()), "{:?}", audit_trail(till));

        till.configure("drawer = ", "drawer-role = \"supervisor\"\ndrawer = ");
        till.start_daemon().await;
        till.open_again().await;
        till.until::<bool>(&path, "Printer.Online", |online| *online).await;
        assert_eq!(fault(drawer.open(none()).await), "NotAuthorized");
        till.change_password("00", "123456", SUPERVISOR).await.unwrap();
        till.sign_on("00", SUPERVISOR).await.unwrap();
        drawer.open(none()).await.unwrap();
        till.until_is(&path, "Drawer.IsOpen", "yes").await;
        assert_eq!(printer.report().pulses, 2);
    });
}
