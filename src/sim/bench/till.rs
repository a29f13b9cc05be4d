//! The till that is measured with. It trades; it does not measure.
use crate::sim::client::{Client, Dict, Options, PROPERTIES, ROOT, secret};
use crate::sim::shop::{Shop, WAIT_MAX};
use std::io::Error;
use std::time::Duration;
use zbus::zvariant::{OwnedObjectPath, Value};

const PEER: &str = "org.freedesktop.DBus.Peer";
/// The card of every sale.
pub(super) const CARD: &str = "unionpay";
/// First amount; each transaction costs one fen more, so that no two look like one.
const PRICE: i64 = 1250;
/// What is refunded, and what is taken of a pre-authorisation.
const PART: i64 = 1000;

/// How long a card may be in before the customer takes it out and puts it in again, and how often that is done.
const NOTICED_IN: Duration = Duration::from_secs(5);
const INSERTIONS: u32 = 4;

/// A till with its daemon behind it.
pub(super) struct Till {
    client: Client,
    begun: u32,
}

impl Till {
    /// Comes to work as a cashier: waits for the daemon, gives the operator a password of his own, signs on, waits
    /// until sales are possible.
    pub(super) async fn open(shop: &Shop) -> Result<Self, Error> {
        let mut client = Client::connect(&shop.address, WAIT_MAX).await?;
        client.until_it_answers().await?;
        let change = ("01", secret(b"0000")?, secret(b"246810")?, Options::new());
        client.call(ROOT, "Operators", "ChangePassword", &change).await?;
        client.sign_on_operator("01", b"246810").await?;
        client.register_agent().await?;
        client.until_sales_are_taken().await?;
        Ok(Self { client, begun: 0 })
    }

    /// Comes to work as the supervisor, who may do everything, in a shop with `[operators] require-change = false`.
    pub(super) async fn open_supervised(shop: &Shop) -> Result<Self, Error> {
        let mut client = Client::connect(&shop.address, WAIT_MAX).await?;
        client.until_it_answers().await?;
        client.sign_on_operator("00", b"123456").await?;
        client.register_agent().await?;
        client.until_signed_on().await?;
        Ok(Self { client, begun: 0 })
    }

    /// Waits until sales are possible.
    pub(super) async fn until_sales_are_taken(&mut self) -> Result<(), Error> {
        self.client.until_sales_are_taken().await
    }

    /// One sale, from the card going in to the last ply and the card out. It must be approved.
    pub(super) async fn sell(&mut self, shop: &Shop) -> Result<(), Error> {
        self.trade(shop, "sale", CARD, None, "approved").await.map(drop)
    }

    /// One transaction, from the card going in to the last ply and the card out; what it follows, and how it must end.
    pub(super) async fn trade(
        &mut self,
        shop: &Shop,
        kind: &str,
        card: &str,
        original: Option<&OwnedObjectPath>,
        expected: &str,
    ) -> Result<OwnedObjectPath, Error> {
        shop.bench.insert(card)?;
        let path = self.begin(kind, original).await?;
        for _ in 0..INSERTIONS {
            if self.card_is_noticed(&path).await? {
                break;
            }
            // On a busy machine the virtual reader sometimes misses a card that follows another within milliseconds.
            super::tell("the reader missed a card; it goes in once more");
            shop.bench.remove()?;
            shop.bench.insert(card)?;
        }
        self.ended(&path, kind, expected).await?;
        shop.bench.remove()?;
        self.finished(&path).await?;
        Ok(path)
    }

    /// Waits until the transaction no longer waits for a card; false if that takes too long.
    async fn card_is_noticed(&mut self, path: &OwnedObjectPath) -> Result<bool, Error> {
        let noticed = async {
            while self.client.property::<String>(path, "Transaction", "State").await? == "waiting-card" {
                self.client.next_signal("a card").await?;
            }
            Ok(())
        };
        tokio::time::timeout(NOTICED_IN, noticed).await.map_or(Ok(false), |ended| ended.map(|()| true))
    }

    /// A sale that is called off while the terminal waits for a card.
    pub(super) async fn call_off(&mut self) -> Result<(), Error> {
        let path = self.begin("sale", None).await?;
        while self.client.property::<String>(&path, "Transaction", "State").await? != "waiting-card" {
            self.client.next_signal("the wait for a card").await?;
        }
        self.client.call(&path, "Transaction", "Cancel", &Options::new()).await?;
        self.ended(&path, "sale", "cancelled").await?;
        self.finished(&path).await
    }

    async fn begin(
        &mut self,
        kind: &str,
        original: Option<&OwnedObjectPath>,
    ) -> Result<OwnedObjectPath, Error> {
        self.begun += 1;
        let request = format!("bench-{}", self.begun);
        let amount = match kind {
            "void" | "pre-auth-void" | "pre-auth-complete-void" | "balance" => 0,
            "refund" | "pre-auth-complete" | "pre-auth-advice" => PART,
            _ => PRICE + i64::from(self.begun),
        };
        let options = original.map(|path| ("original", Value::from(path.clone())));
        self.client.start(&request, kind, amount, Options::from_iter(options)).await
    }

    async fn ended(&mut self, path: &OwnedObjectPath, kind: &str, expected: &str) -> Result<(), Error> {
        let (outcome, _): (String, Dict) = self.client.signal(path, "Finished").await?;
        if outcome == expected {
            return Ok(());
        }
        let code: String = self.client.property(path, "Transaction", "ResultCode").await?;
        Err(Error::other(format!("a {kind} was {outcome} ({code}), not {expected}")))
    }

    async fn finished(&mut self, path: &OwnedObjectPath) -> Result<(), Error> {
        loop {
            let (_, state, _, _): (String, String, String, u64) =
                self.client.signal(path, "StateChanged").await?;
            if state == "finished" {
                return Ok(());
            }
        }
    }

    /// Waits until the bank has everything.
    pub(super) async fn until_nothing_is_owed(&mut self) -> Result<(), Error> {
        while self.client.property::<u32>(ROOT, "Queue", "Depth").await? > 0 {
            self.client.next_signal("the end of the queue").await?;
        }
        Ok(())
    }

    /// A job from its call to its end. It must succeed.
    pub(super) async fn job(&mut self, interface: &str, method: &str) -> Result<Dict, Error> {
        let reply = self.client.call(ROOT, interface, method, &Options::new()).await?;
        let path: OwnedObjectPath = reply.body().deserialize().map_err(Error::other)?;
        let (state, result) = self.client.job(&path).await?;
        match state.as_str() {
            "succeeded" => Ok(result),
            _ => Err(Error::other(format!("{interface}.{method} {state}: {result:?}"))),
        }
    }

    /// Holds the uploads of the queue back.
    pub(super) async fn pause_queue(&self) -> Result<(), Error> {
        self.client.call(ROOT, "Queue", "Pause", &("bench", Options::new())).await.map(drop)
    }

    /// Lets them go.
    pub(super) async fn resume_queue(&self) -> Result<(), Error> {
        self.client.call(ROOT, "Queue", "Resume", &Options::new()).await.map(drop)
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
