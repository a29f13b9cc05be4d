//! Whole sales with real parts: the daemon, a bus, pcscd with a card, a bank and a printer.
use crate::support::{Options, with_till};

/// Goal: a sale with PIN from the first tap to the last ply: both ends agree, the paper is there, each thing is said
/// once and in order.
#[test]
fn a_sale_with_pin_is_approved() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        let end = till.finished(&sale).await;
        assert_eq!(end.outcome, "approved");
        assert_eq!(till.acquirer.held().unwrap(), (1250, 1));
        let paper = till.paper(2).await;
        println!("{}", paper.join("\n----\n"));
        println!("{:?}\n{:?}", till.states(&sale), till.prompts(&sale));
    });
}
