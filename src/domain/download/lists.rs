//! Field 62 of list pages: which CA keys or applications there are, and the blacklist itself.
//!
//! Source: public terminal code (LiaoYang_POS `tranproc.c`, and a vector made after it); Spec: unverified. A page
//! begins with a status digit: 0 none, 1 the whole list, 2 more to come, 3 the last page.
use super::Kind;
use super::records::EXPIRY;
use crate::domain::emv::tlv::{Reader, Tag, TlvError};
use crate::domain::secret::Pan;
use sha2::{Digest, Sha256};

/// Most entries of a list: its pages count with two digits.
pub const LIST_MAX: usize = 99;
/// Most cards of a blacklist: its pages count with three digits.
pub const CARDS_MAX: usize = 999;

/// Why a page is refused. Never quotes a card number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It does not begin with a status digit.
    #[error("it does not begin with a status of 0 to 3")]
    Status,
    /// Not BER-TLV.
    #[error(transparent)]
    Tlv(#[from] TlvError),
    /// An object where another belongs, or of the wrong length.
    #[error("tag {0} is out of place or has a wrong length")]
    Object(Tag),
    /// A page without anything new that says that more comes, or more than can be counted.
    #[error("the list does not end")]
    Endless,
    /// The blacklist's counts or lengths are no digits, or it is cut off.
    #[error("the entry at byte {0} is cut off or no card number")]
    Card(usize),
    /// The blacklist came to its end with another number of cards than it told.
    #[error("it tells {told} cards and has {came}")]
    Count {
        /// By its own count.
        told: usize,
        /// Received.
        came: usize,
    },
}

/// What a page says of the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There is no list.
    None,
    /// More pages follow.
    More,
    /// This is all.
    End,
}

/// The status digit and what follows it.
///
/// # Errors
/// [`PageError::Status`].
pub fn status(page: &[u8]) -> Result<(Rest, &[u8]), PageError> {
    match page.split_first() {
        Some((b'0', rest)) => Ok((Rest::None, rest)),
        Some((b'1' | b'3', rest)) => Ok((Rest::End, rest)),
        Some((b'2', rest)) => Ok((Rest::More, rest)),
        _ => Err(PageError::Status),
    }
}

/// What there is, as far as it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    keys: Vec<Vec<u8>>,
    /// Every new object as it came.
    told: Vec<u8>,
}

impl List {
    /// Takes a page up. Entries that came before are passed over.
    ///
    /// # Errors
    /// [`PageError`]; the list is of no use then.
    pub fn take(&mut self, kind: Kind, page: &[u8]) -> Result<Rest, PageError> {
        let (rest, body) = status(page)?;
        let before = self.keys.len();
        if rest != Rest::None {
            self.entries(kind, body)?;
        }
        if self.keys.len() > LIST_MAX || (rest == Rest::More && self.keys.len() == before) {
            return Err(PageError::Endless);
        }
        // A page that says "none" after others says "no more".
        Ok(if rest == Rest::None && before > 0 { Rest::End } else { rest })
    }

    fn entries(&mut self, kind: Kind, body: &[u8]) -> Result<(), PageError> {
        let mut open: Option<Vec<u8>> = None;
        for object in Reader::new(body) {
            let object = object?;
            let wrong = PageError::Object(object.tag);
            match (kind, object.tag) {
                (Kind::Aid, Tag::TERMINAL_AID) if (5..=16).contains(&object.value.len()) => {
                    self.add(object.value.to_vec());
                }
                (Kind::Capk, Tag::TERMINAL_AID) if object.value.len() == 5 && open.is_none() => {
                    open = Some(object.value.to_vec());
                }
                (Kind::Capk, Tag::TERMINAL_CA_KEY_INDEX) if object.value.len() == 1 => {
                    let mut key = open.take().ok_or(wrong)?;
                    key.extend_from_slice(object.value);
                    self.add(key);
                }
                // When it ends: a key that was prolonged is another one.
                (Kind::Capk, EXPIRY) if open.is_none() && !self.keys.is_empty() => {
                    self.told.extend_from_slice(object.value);
                }
                _ => return Err(wrong),
            }
        }
        match open {
            Some(_) => Err(PageError::Object(Tag::TERMINAL_AID)),
            None => Ok(()),
        }
    }

    fn add(&mut self, key: Vec<u8>) {
        if !self.keys.contains(&key) {
            self.told.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
            self.told.extend_from_slice(&key);
            self.keys.push(key);
        }
    }

    /// What there is, in the bank's order.
    #[must_use]
    pub fn keys(&self) -> &[Vec<u8>] {
        &self.keys
    }

    /// Names the list: another one has another digest.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.told).into()
    }
}

/// A page of the blacklist.
#[derive(Debug)]
pub struct Cards {
    /// What it says of the rest.
    pub rest: Rest,
    /// Cards on the whole list.
    pub total: usize,
    /// The cards of this page.
    pub cards: Vec<Pan>,
}

/// Reads a page of the blacklist: status, total of three digits, entries of two digits of length and a card number.
///
/// # Errors
/// [`PageError`].
pub fn cards(page: &[u8]) -> Result<Cards, PageError> {
    let (rest, body) = status(page)?;
    if rest == Rest::None {
        return Ok(Cards { rest, total: 0, cards: Vec::new() });
    }
    let (total, mut body) = number(body, 3).ok_or(PageError::Card(1))?;
    let mut cards = Vec::new();
    while !body.is_empty() {
        let at = page.len().saturating_sub(body.len());
        let read = number(body, 2).and_then(|(length, left)| left.split_at_checked(length));
        let (digits, left) = read.ok_or(PageError::Card(at))?;
        let pan = core::str::from_utf8(digits).ok().and_then(|digits| Pan::new(digits).ok());
        cards.push(pan.ok_or(PageError::Card(at))?);
        body = left;
        if cards.len() > CARDS_MAX {
            return Err(PageError::Endless);
        }
    }
    Ok(Cards { rest, total, cards })
}

/// A decimal number of so many digits, and what follows it.
fn number(bytes: &[u8], digits: usize) -> Option<(usize, &[u8])> {
    let (head, rest) = bytes.split_at_checked(digits)?;
    let all = head.iter().all(u8::is_ascii_digit);
    let number = core::str::from_utf8(head).ok().filter(|_| all)?.parse().ok()?;
    Some((number, rest))
}
