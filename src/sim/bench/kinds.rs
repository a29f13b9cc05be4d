//! `fdatasync` of each kind of business, counted by strace: rounds of everything that a shop does, one after the other.
//!
//! A deed ends when its card is out, its paper is done and the bank has heard of it: what is stored first and uploaded
//! later counts with its upload.
use super::till::{CARD, Till};
use super::trace::{self, Span, Sync};
use crate::sim::shop::Shop;
use std::collections::BTreeMap;
use std::io::Error;

/// The card that approves by itself.
pub(super) const OFFLINE_CARD: &str = "approves-offline";

/// Syncs of each deed, by its name.
pub(super) type Kinds = Vec<(&'static str, Vec<usize>)>;

/// The deeds of a round, in the order of the table.
const DEEDS: [&str; 12] = [
    "sale",
    "void",
    "refund",
    "balance",
    "pre-auth",
    "pre-auth void",
    "completion",
    "completion void",
    "completion advice, with its upload",
    "offline sale, with its upload",
    "sale called off",
    "sign-on at the bank",
];

/// When each deed was done.
#[derive(Default)]
pub(super) struct Diary(BTreeMap<&'static str, Vec<Span>>);

impl Diary {
    /// `fdatasync` of each deed, smallest first.
    pub(super) fn count(&self, calls: &[Sync]) -> Kinds {
        let of = |deed: &'static str| {
            let spans = self.0.get(deed).map(Vec::as_slice).unwrap_or_default();
            (deed, trace::per_span(calls, spans, Some("fdatasync")))
        };
        DEEDS.into_iter().map(of).collect()
    }
}

/// One round of everything.
pub(super) async fn round(shop: &Shop, till: &mut Till, diary: &mut Diary) -> Result<(), Error> {
    let sale = deal(shop, till, diary, "sale", "sale", None).await?;
    deal(shop, till, diary, "void", "void", Some(&sale)).await?;
    let sale = deal(shop, till, diary, "sale", "sale", None).await?;
    deal(shop, till, diary, "refund", "refund", Some(&sale)).await?;
    deal(shop, till, diary, "balance", "balance", None).await?;
    let hold = deal(shop, till, diary, "pre-auth", "pre-auth", None).await?;
    deal(shop, till, diary, "pre-auth void", "pre-auth-void", Some(&hold)).await?;
    let hold = deal(shop, till, diary, "pre-auth", "pre-auth", None).await?;
    let taken = deal(shop, till, diary, "completion", "pre-auth-complete", Some(&hold)).await?;
    deal(shop, till, diary, "completion void", "pre-auth-complete-void", Some(&taken)).await?;
    let hold = deal(shop, till, diary, "pre-auth", "pre-auth", None).await?;
    let advice = "completion advice, with its upload";
    deal(shop, till, diary, advice, "pre-auth-advice", Some(&hold)).await?;
    deal(shop, till, diary, "offline sale, with its upload", "offline-sale", None).await?;
    let from = trace::now();
    till.call_off().await?;
    diary.0.entry("sale called off").or_default().push((from, trace::now()));
    let from = trace::now();
    till.job("Host", "SignOn").await?;
    diary.0.entry("sign-on at the bank").or_default().push((from, trace::now()));
    Ok(())
}

async fn deal(
    shop: &Shop,
    till: &mut Till,
    diary: &mut Diary,
    deed: &'static str,
    kind: &str,
    original: Option<&zbus::zvariant::OwnedObjectPath>,
) -> Result<zbus::zvariant::OwnedObjectPath, Error> {
    let (card, expected) = match kind {
        "offline-sale" => (OFFLINE_CARD, "stored-offline"),
        "pre-auth-advice" => (CARD, "stored-offline"),
        _ => (CARD, "approved"),
    };
    let from = trace::now();
    let path = till.trade(shop, kind, card, original, expected).await?;
    till.until_nothing_is_owed().await?;
    diary.0.entry(deed).or_default().push((from, trace::now()));
    Ok(path)
}
