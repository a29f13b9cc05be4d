//! The till that is measured with. It sells; it does not measure.
use crate::sim::client::{Client, Dict, Options, PROPERTIES, ROOT, secret};
use crate::sim::shop::Shop;
use std::io::Error;

const PEER: &str = "org.freedesktop.DBus.Peer";
/// The card of every sale.
const CARD: &str = "unionpay";
/// First amount; each sale costs one fen more, so that no two look like one.
const PRICE: i64 = 1250;

/// A till with its daemon behind it.
pub(super) struct Till {
    client: Client,
    sold: u32,
}

impl Till {
    /// Comes to work: waits for the daemon, gives the operator a password of his own, signs on, waits until sales are
    /// possible.
    pub(super) async fn open(shop: &Shop) -> Result<Self, Error> {
        let mut client = Client::connect(&shop.address).await?;
        client.until_it_answers().await?;
        let change = ("01", secret(b"0000")?, secret(b"246810")?, Options::new());
        client.call(ROOT, "Operators", "ChangePassword", &change).await?;
        client.sign_on_operator("01", b"246810").await?;
        client.register_agent().await?;
        client.until_sales_are_taken().await?;
        Ok(Self { client, sold: 0 })
    }

    /// One sale, from the card going in to the last ply and the card out. It must be approved.
    pub(super) async fn sell(&mut self, shop: &Shop) -> Result<(), Error> {
        self.sold += 1;
        let request = format!("bench-{}", self.sold);
        let price = PRICE + i64::from(self.sold);
        shop.bench.insert(CARD)?;
        let path = self.client.start(&request, "sale", price, Options::new()).await?;
        let (outcome, _): (String, Dict) = self.client.signal(&path, "Finished").await?;
        if outcome != "approved" {
            return Err(Error::other(format!("{request} was {outcome}")));
        }
        shop.bench.remove()?;
        loop {
            let (_, state, _, _): (String, String, String, u64) =
                self.client.signal(&path, "StateChanged").await?;
            if state == "finished" {
                return Ok(());
            }
        }
    }

    /// The smallest call there is.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        self.client.call(ROOT, PEER, "Ping", &()).await.map(drop)
    }

    /// A read of `Manager.State`.
    pub(super) async fn read_state(&self) -> Result<(), Error> {
        self.client.call(ROOT, PROPERTIES, "Get", &("org.posd.Pos1.Manager", "State")).await.map(drop)
    }
}
