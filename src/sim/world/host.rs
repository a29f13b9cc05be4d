//! The bank: books, not bytes. It hears what a message means and says what an acquirer would say.
//!
//! It decides by what stands on the wire, never by what the terminal thinks of a transaction, and keeps its own totals.
//! A booking is found by batch and STAN, as field 61 and the repeats of uploads name it.
use crate::domain::outcome::Kind;
use crate::domain::record::WireFacts;
use std::collections::HashMap;

/// Batch and STAN: what names a booking.
pub type Name = (u32, u32);

/// How the bank behaves in everything that is not a fault of a single message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Habit {
    /// A reversal that it cannot match is remembered: the request is refused when it comes after all.
    #[default]
    Remembers,
    /// It forgets a reversal that it answered with 25, and books the request that comes after it. The one listed
    /// exception to the conservation of money.
    BooksLate,
}

/// A request as the bank reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its own batch and STAN.
    pub name: Name,
    /// What is wanted, from the message type, processing code and field 60.1.
    pub kind: Kind,
    /// Minor units.
    pub amount: u64,
    /// Whose card: the number of the simulated card.
    pub card: u8,
    /// Batch and STAN of field 61, where they are told.
    pub original: Option<Name>,
    /// Field 37.
    pub rrn: Option<u32>,
    /// Field 38.
    pub auth_code: Option<u32>,
    /// Field 60.6: a part is enough.
    pub partial: bool,
}

/// What a message wants, from the fields that say so; `None`: no such transaction exists.
#[must_use]
pub fn kind_of(wire: &WireFacts) -> Option<Kind> {
    let kind = match (wire.mti.as_str(), wire.processing_code.as_str(), wire.message_type.as_str()) {
        ("0200", "000000", "22") => Kind::Sale,
        ("0200", "200000", "23") => Kind::Void,
        ("0220", "200000", "25") => Kind::Refund,
        ("0200", "310000", "01") => Kind::Balance,
        ("0100", "030000", "10") => Kind::PreAuth,
        ("0100", "200000", "11") => Kind::PreAuthVoid,
        ("0200", "000000", "20") => Kind::PreAuthComplete,
        ("0220", "000000", "24") => Kind::PreAuthAdvice,
        ("0200", "200000", "21") => Kind::PreAuthCompleteVoid,
        ("0200", "000000", "36") | ("0220", "000000", "30") => Kind::OfflineSale,
        _ => return None,
    };
    Some(kind)
}

/// What the bank says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Field 39.
    pub code: &'static str,
    /// Field 4.
    pub amount: u64,
    /// Field 37.
    pub rrn: u32,
    /// Field 38, on approval.
    pub auth_code: Option<u32>,
}

/// One line of the bank's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// What.
    pub kind: Kind,
    /// How much.
    pub amount: u64,
    /// Whose.
    pub card: u8,
    /// Its RRN.
    pub rrn: u32,
    /// A reversal undid it.
    pub reversed: bool,
    /// A void, completion or completion void took its place.
    pub followed: bool,
    /// What refunds have given back of it.
    pub refunded: u64,
    /// The booking that it followed.
    pub original: Option<Name>,
}

/// Counts and sums of one card class, as field 48 has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Money that the shop gets.
    pub debit: (u64, u32),
    /// Money that it gives back.
    pub credit: (u64, u32),
}

/// The acquirer and its customers' accounts.
#[derive(Clone, Debug, Default)]
pub struct Bank {
    habit: Habit,
    books: HashMap<Name, Booking>,
    /// Reversals that came before their request.
    unmatched: Vec<Name>,
    by_rrn: HashMap<u32, Name>,
    rrns: u32,
    /// Money per card: what it has spent.
    spent: [i64; CARDS],
    /// Records of the batch upload that came, by STAN.
    detail: Vec<u32>,
    /// Batches that are settled.
    closed: Vec<u32>,
}

/// Cards in the shop; the last one is foreign.
pub const CARDS: usize = 4;

/// True for a card of another organisation than CUP.
#[must_use]
pub const fn is_foreign(card: u8) -> bool {
    card as usize == CARDS - 1
}

impl Bank {
    /// A bank without books.
    #[must_use]
    pub fn new(habit: Habit) -> Self {
        Self { habit, ..Self::default() }
    }

    /// How it behaves.
    #[must_use]
    pub const fn habit(&self) -> Habit {
        self.habit
    }

    /// What it has under a name.
    #[must_use]
    pub fn booking(&self, name: Name) -> Option<&Booking> {
        self.books.get(&name)
    }

    /// It holds this transaction's money (or its hold, or has given it back): booked and not reversed.
    #[must_use]
    pub fn holds(&self, name: Name) -> bool {
        self.books.get(&name).is_some_and(|booking| !booking.reversed)
    }

    /// All names it has books of.
    pub fn names(&self) -> impl Iterator<Item = (&Name, &Booking)> {
        self.books.iter()
    }

    /// What a card has spent in the open batches, minor units.
    #[must_use]
    pub fn spent(&self, card: u8) -> i64 {
        self.spent.get(usize::from(card)).copied().unwrap_or_default()
    }

    /// A financial request or an upload. `refuse`: it does not want to, and books nothing.
    pub fn ask(&mut self, asked: &Asked, refuse: Option<&'static str>, part: bool) -> Said {
        self.rrns = self.rrns.wrapping_add(1);
        let mut said = Said { code: "00", amount: asked.amount, rrn: self.rrns, auth_code: None };
        if let Some(known) = self.books.get(&asked.name) {
            // A repeat: answered as it was, whatever the bank would like now.
            said.rrn = known.rrn;
            said.code = if known.reversed { "05" } else { "94" };
            return said;
        }
        // What was told offline comes whenever it comes; a question of a batch that is over is none.
        let told = matches!(asked.kind, Kind::OfflineSale | Kind::PreAuthAdvice);
        let over = !told && self.closed.contains(&asked.name.0);
        if (over || self.unmatched.contains(&asked.name)) && self.habit == Habit::Remembers {
            said.code = "05";
            return said;
        }
        said.code = refuse.unwrap_or_else(|| self.may(asked));
        if said.code != "00" {
            return said;
        }
        if part && asked.kind == Kind::Sale && asked.amount > 1 {
            said.code = "10";
            said.amount = asked.amount / 2;
        }
        said.auth_code = Some(self.rrns);
        self.book(asked, said.amount, said.rrn);
        said
    }

    /// Does the original allow it?
    fn may(&self, asked: &Asked) -> &'static str {
        let original = self.original(asked);
        let kinds: &[Kind] = match asked.kind {
            Kind::Void => &[Kind::Sale, Kind::OfflineSale],
            Kind::PreAuthCompleteVoid => &[Kind::PreAuthComplete],
            Kind::PreAuthVoid | Kind::PreAuthComplete | Kind::PreAuthAdvice => &[Kind::PreAuth],
            Kind::Refund => &[Kind::Sale, Kind::OfflineSale, Kind::PreAuthComplete, Kind::PreAuthAdvice],
            _ => return "00",
        };
        let Some(booking) = original.and_then(|name| self.books.get(&name)) else { return "25" };
        let rest = booking.amount.saturating_sub(booking.refunded);
        if booking.reversed || booking.followed || !kinds.contains(&booking.kind) {
            return "12";
        }
        match asked.kind {
            Kind::Refund if asked.amount > rest => "13",
            Kind::Void | Kind::PreAuthVoid | Kind::PreAuthCompleteVoid if asked.amount != booking.amount => {
                "13"
            }
            _ => "00",
        }
    }

    fn original(&self, asked: &Asked) -> Option<Name> {
        let by_rrn = || asked.rrn.and_then(|rrn| self.by_rrn.get(&rrn).copied());
        let by_code = || asked.auth_code.and_then(|code| self.by_rrn.get(&code).copied());
        asked.original.or_else(by_rrn).or_else(by_code)
    }

    fn book(&mut self, asked: &Asked, amount: u64, rrn: u32) {
        if asked.kind == Kind::Balance {
            return;
        }
        let original = self.original(asked);
        if let Some(followed) = original.and_then(|name| self.books.get_mut(&name)) {
            match asked.kind {
                Kind::Refund => followed.refunded = followed.refunded.saturating_add(amount),
                _ => followed.followed = true,
            }
        }
        let booking = Booking {
            kind: asked.kind,
            amount,
            card: asked.card,
            rrn,
            reversed: false,
            followed: false,
            refunded: 0,
            original,
        };
        self.move_money(&booking, true);
        self.books.insert(asked.name, booking);
        self.by_rrn.insert(rrn, asked.name);
    }

    fn move_money(&mut self, booking: &Booking, forth: bool) {
        let amount = i64::try_from(booking.amount).unwrap_or(i64::MAX);
        let signed = match side(booking.kind) {
            Some(Side::Debit) => amount,
            Some(Side::Credit) => amount.wrapping_neg(),
            None => 0,
        };
        if let Some(spent) = self.spent.get_mut(usize::from(booking.card)) {
            *spent = spent.wrapping_add(if forth { signed } else { signed.wrapping_neg() });
        }
    }

    /// A reversal of the request under this name: field 39.
    pub fn reverse(&mut self, name: Name) -> &'static str {
        let Some(booking) = self.books.get_mut(&name) else {
            self.unmatched.push(name);
            return "25";
        };
        if booking.reversed {
            // Banks say so of what they have undone before.
            return "12";
        }
        booking.reversed = true;
        let booking = booking.clone();
        self.move_money(&booking, false);
        if let Some(original) = booking.original.and_then(|name| self.books.get_mut(&name)) {
            match booking.kind {
                Kind::Refund => original.refunded = original.refunded.saturating_sub(booking.amount),
                _ => original.followed = false,
            }
        }
        "00"
    }

    /// What stands in the books of a batch: domestic, foreign.
    #[must_use]
    pub fn totals(&self, batch: u32) -> (Totals, Totals) {
        let mut both = (Totals::default(), Totals::default());
        for ((_, booking), side) in self
            .books
            .iter()
            .filter(|((of, _), booking)| *of == batch && !booking.reversed)
            .filter_map(|line| Some((line, side(line.1.kind)?)))
        {
            let class = if counts_as_foreign(booking) { &mut both.1 } else { &mut both.0 };
            let sum = if side == Side::Debit { &mut class.debit } else { &mut class.credit };
            *sum = (sum.0.saturating_add(booking.amount), sum.1.saturating_add(1));
        }
        both
    }

    /// One record of the batch upload.
    pub fn upload(&mut self, stan: u32) {
        if !self.detail.contains(&stan) {
            self.detail.push(stan);
        }
    }

    /// A record of the batch upload has come.
    #[must_use]
    pub fn has_detail(&self, stan: u32) -> bool {
        self.detail.contains(&stan)
    }

    /// The batch is over: its names may come round again.
    pub fn close(&mut self, batch: u32) {
        self.detail.clear();
        self.unmatched.retain(|(of, _)| *of != batch);
        self.closed.push(batch);
    }
}

/// Which class a booking counts in: what a chip approved without the bank is always domestic.
#[must_use]
pub fn counts_as_foreign(booking: &Booking) -> bool {
    booking.kind != Kind::OfflineSale && is_foreign(booking.card)
}

/// Which side of field 48 a booking stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The shop gets.
    Debit,
    /// The shop gives back.
    Credit,
}

/// A voided sale stays a debit, its void is a credit; pre-authorisations move nothing yet.
#[must_use]
pub const fn side(kind: Kind) -> Option<Side> {
    match kind {
        Kind::Sale | Kind::OfflineSale | Kind::PreAuthComplete | Kind::PreAuthAdvice | Kind::QrSale => {
            Some(Side::Debit)
        }
        Kind::Void | Kind::Refund | Kind::PreAuthCompleteVoid | Kind::QrRefund => Some(Side::Credit),
        Kind::Balance | Kind::PreAuth | Kind::PreAuthVoid => None,
    }
}
