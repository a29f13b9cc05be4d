//! Which link now, and what is done about those that do not work: one consuming step over all links.
//!
//! Order: the configuration's preference among links that work; hysteresis in both directions; a started exchange is
//! never moved, and nothing is done to the link that carries it. Where no link is known at all — no manager, or one
//! that tells nothing — the answer is "the system's own route", as if this module were not there.
use super::budget::Usage;
use super::health::{Health, Measure, Standing};
use super::{Class, LinkFacts, LinkKind, LinkName, LinkReason, LinkState, Trial, Why};
use crate::domain::calendar::BootTime;
use core::time::Duration;

/// What the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Best kind first. Kinds that are not listed are not used.
    pub preference: Vec<LinkKind>,
    /// How often the acquirer is tried over a link that works and does nothing; `None` = never.
    pub probe: Option<Duration>,
    /// Bytes a metered link may carry in a month before only payment uses it; 0 = no limit.
    pub metered_limit: u64,
}

/// What happens to links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// All links as their managers now tell them; those that are not in the list are gone.
    Seen {
        /// The links.
        links: Vec<LinkFacts>,
        /// The month that bytes are counted in.
        month: u32,
    },
    /// A try to reach the acquirer over a link ended: traffic, or a probe.
    Tried(LinkName, Trial),
    /// A message that moves money is on its way over this link, or over the system's own route.
    ExchangeBegan(Option<LinkName>),
    /// Nothing is under way any more.
    ExchangeEnded,
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Have the manager set the link up anew.
    Reconnect(LinkName),
    /// Have the modem start again.
    Reset(LinkName),
    /// Try to reach the acquirer over it; [`Event::Tried`] says how it ended.
    Probe(LinkName),
    /// There is a way again, or another one: what waits for the bank is tried.
    Returned(LinkName),
}

/// Over which link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Link(LinkName, Why),
    /// No link is known, or none is connected: the system's own route.
    Unbound,
    /// Every link that is connected has used up its budget, and this is not payment.
    OverBudget,
}

/// What the links say about the way to the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Nobody tells.
    Unknown,
    /// None is connected, or the acquirer answers on none of those that are.
    No,
    /// One is connected and not known to be dead.
    Yes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    facts: LinkFacts,
    health: Health,
    usage: Usage,
    /// A probe is out since then.
    probing: Option<BootTime>,
}

/// A probe that does not end is forgotten after so long; the connect time-out is below it.
const PROBE_MAX: Duration = Duration::from_secs(60);

/// Links that are gone and remembered.
const GONE_MAX: usize = 8;

/// All links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    rules: Rules,
    links: Vec<Link>,
    /// Links that were there and are not now, the last one to go at the end: a plug that comes and goes has not earned
    /// new trust by it.
    gone: Vec<Link>,
    in_use: Option<LinkName>,
    /// The link over which there is a way, as it was last told.
    told: Option<LinkName>,
    /// The link of the exchange that is under way.
    exchange: Option<Option<LinkName>>,
}

/// What the shop may see of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// What its manager says.
    pub facts: LinkFacts,
    /// Why, also where only the acquirer's silence tells.
    pub reason: Option<LinkReason>,
    /// The acquirer answers over it.
    pub verified: bool,
    /// When it last did; `None` = never.
    pub verified_at: Option<BootTime>,
    /// Bytes of this month, as far as this process has counted them.
    pub month_bytes: u64,
}

impl Links {
    /// Nothing is known yet.
    #[must_use]
    pub const fn new(rules: Rules) -> Self {
        Self { rules, links: Vec::new(), gone: Vec::new(), in_use: None, told: None, exchange: None }
    }

    /// One step. Total: an event that does not fit changes nothing.
    #[must_use]
    pub fn step(mut self, event: Event, now: BootTime) -> (Self, Vec<Effect>) {
        match event {
            Event::Seen { links, month } => self.seen(links, month, now),
            Event::Tried(name, trial) => self.tried(name, trial, now),
            Event::ExchangeBegan(link) => self.exchange = Some(link),
            Event::ExchangeEnded => self.exchange = None,
            Event::Tick => {}
        }
        if self.exchange.is_none() {
            self.in_use = self.best(now);
        }
        let mut effects = self.measures(now);
        effects.extend(self.probes(now));
        if self.exchange.is_none() {
            let way = self.in_use.filter(|_| self.outlook() == Outlook::Yes);
            let told = core::mem::replace(&mut self.told, way);
            effects.extend(way.filter(|_| told != way).map(Effect::Returned));
        }
        (self, effects)
    }

    fn seen(&mut self, links: Vec<LinkFacts>, month: u32, now: BootTime) {
        let mut known = core::mem::take(&mut self.links);
        known.append(&mut self.gone);
        for facts in links {
            if self.rank(facts.name).is_none() || self.links.iter().any(|link| link.facts.name == facts.name)
            {
                continue;
            }
            let old = known.iter().find(|link| link.facts.name == facts.name);
            let moved = old.is_some_and(|old| !same_way(&old.facts, &facts));
            let health = old.map_or(Health::NEW, |old| old.health);
            // Another address is another link: what was known of the old one says little of it.
            let health = if moved { health.seen(false, now) } else { health };
            let health = health.seen(facts.is_usable(), now);
            let usage = old.map(|old| old.usage).unwrap_or_default().read(facts.bytes, month);
            let probing = old.and_then(|old| old.probing).filter(|_| !moved);
            self.links.push(Link { facts, health, usage, probing });
        }
        known.retain(|old| self.link(old.facts.name).is_none());
        self.gone = known;
        for link in &mut self.gone {
            (link.health, link.probing) = (link.health.seen(false, now), None);
        }
        let surplus = self.gone.len().saturating_sub(GONE_MAX);
        self.gone.drain(..surplus);
        self.links.sort_by_key(|link| {
            (self.rules.preference.iter().position(|k| *k == link.facts.name.kind), link.facts.name)
        });
    }

    fn tried(&mut self, name: LinkName, trial: Trial, now: BootTime) {
        if let Some(link) = self.links.iter_mut().find(|link| link.facts.name == name) {
            link.probing = None;
            if link.facts.is_usable() {
                link.health = link.health.tried(trial, now);
            }
        }
    }

    fn rank(&self, name: LinkName) -> Option<usize> {
        self.rules.preference.iter().position(|kind| *kind == name.kind)
    }

    fn link(&self, name: LinkName) -> Option<&Link> {
        self.links.iter().find(|link| link.facts.name == name)
    }

    /// The link to use: the one in use while it is good, unless a better one has settled; else the best there is.
    fn best(&self, now: BootTime) -> Option<LinkName> {
        let good = |link: &&Link| link.facts.is_usable() && link.health.is_good(now);
        let held = |link: &&Link| link.facts.is_usable() && link.health.standing != Standing::Dead;
        let usable = |link: &&Link| link.facts.is_usable();
        let current = self.in_use.and_then(|name| self.link(name));
        if let Some(current) = current.filter(good) {
            // Links stand in the order of preference.
            let better = self.links.iter().take_while(|link| link.facts.name != current.facts.name);
            let mut settled = better.filter(|link| link.health.is_settled(now));
            return Some(settled.next().unwrap_or(current).facts.name);
        }
        let first = self.links.iter().find(good).or_else(|| {
            let current = current.filter(held);
            current.or_else(|| self.links.iter().find(held))
        });
        let last = current.filter(usable).or_else(|| self.links.iter().find(usable));
        first.or(last).map(|link| link.facts.name)
    }

    /// The order in which attempts use links: the one in use, then others that are good, unstable, dead.
    fn order(&self, now: BootTime) -> Vec<LinkName> {
        let tier = |link: &Link| match link.health.standing {
            _ if Some(link.facts.name) == self.in_use => 0,
            Standing::Dead => 3,
            Standing::Alive(_) | Standing::Untried if link.health.is_held(now) => 2,
            Standing::Alive(_) | Standing::Untried => 1,
        };
        let mut order: Vec<&Link> = self.links.iter().filter(|link| link.facts.is_usable()).collect();
        order.sort_by_key(|link| tier(link));
        order.into_iter().map(|link| link.facts.name).collect()
    }

    /// Over which link an attempt goes, after those that this dialling has tried already: first all that were not. One
    /// that dies between two attempts is not met twice because the order has changed. Payment is never refused.
    #[must_use]
    pub fn choose(&self, tried: &[LinkName], class: Class, now: BootTime) -> Choice {
        let all = self.order(now);
        let fits = |name: &LinkName| class == Class::Payment || self.has_room(*name);
        let order: Vec<LinkName> = all.iter().copied().filter(fits).collect();
        let often = |name: &&LinkName| tried.iter().filter(|other| other == name).count();
        let Some(name) = order.iter().min_by_key(often).copied() else {
            return if all.is_empty() { Choice::Unbound } else { Choice::OverBudget };
        };
        let good = self.link(name).is_some_and(|link| link.health.is_good(now));
        let why = match (order.len(), good, tried.is_empty()) {
            (1, ..) => Why::Only,
            (_, false, _) => Why::LastResort,
            (_, true, true) => Why::InUse,
            (_, true, false) => Why::NextAfterFailure,
        };
        Choice::Link(name, why)
    }

    fn has_room(&self, name: LinkName) -> bool {
        let fits = |link: &Link| !link.facts.metered || link.usage.fits(self.rules.metered_limit);
        self.link(name).is_some_and(fits)
    }

    /// The fault is the link's: another one answers, or it is alone and its manager does not reach anybody either.
    /// An acquirer that is down is no reason to reset modems.
    fn blamed(&self, link: &Link) -> bool {
        let answers = |other: &&Link| matches!(other.health.standing, Standing::Alive(_));
        let others = || {
            self.links.iter().filter(|other| other.facts.name != link.facts.name && other.facts.is_usable())
        };
        others().any(|other| answers(&other))
            || (others().next().is_none() && link.facts.internet != Some(true))
    }

    fn carries_exchange(&self, name: LinkName) -> bool {
        self.exchange == Some(Some(name))
    }

    fn measures(&mut self, now: BootTime) -> Vec<Effect> {
        let mut effects = Vec::new();
        let blamed: Vec<bool> = self.links.iter().map(|link| self.blamed(link)).collect();
        let exchange = self.exchange;
        for (link, blamed) in self.links.iter_mut().zip(blamed) {
            if exchange == Some(Some(link.facts.name)) {
                continue;
            }
            let (health, measure) = link.health.measure(&link.facts, blamed, now);
            link.health = health;
            effects.extend(measure.map(|measure| match measure {
                Measure::Reconnect => Effect::Reconnect(link.facts.name),
                Measure::Reset => Effect::Reset(link.facts.name),
            }));
        }
        effects
    }

    /// Probes do not disturb an exchange: a slow link is not made slower while money is on it.
    fn probes(&mut self, now: BootTime) -> Vec<Effect> {
        if self.exchange.is_some() {
            return Vec::new();
        }
        let due: Vec<LinkName> = self
            .links
            .iter()
            .filter(|link| self.probe_at(link).is_some_and(|at| at <= now))
            .map(|link| link.facts.name)
            .collect();
        for link in self.links.iter_mut().filter(|link| due.contains(&link.facts.name)) {
            link.probing = Some(now);
        }
        due.into_iter().map(Effect::Probe).collect()
    }

    fn probe_at(&self, link: &Link) -> Option<BootTime> {
        if !link.facts.is_usable() || !self.has_room(link.facts.name) {
            return None;
        }
        let answers = |other: &Link| {
            other.facts.name != link.facts.name && matches!(other.health.standing, Standing::Alive(_))
        };
        let alone = !self.links.iter().any(answers);
        let at = link.health.try_at(link.facts.metered, alone, self.rules.probe)?;
        Some(at.max(link.probing.map_or(BootTime(0), |out| out.after(PROBE_MAX))))
    }

    /// When something is to be done although nothing happens.
    #[must_use]
    pub fn deadline(&self, now: BootTime) -> Option<BootTime> {
        let each = |link: &Link| {
            let free = self.exchange.is_none();
            let probe = self.probe_at(link).filter(|_| free);
            let blamed = self.blamed(link);
            let measure = link.health.next_measure_at(&link.facts, blamed);
            let measure = measure.filter(|_| !self.carries_exchange(link.facts.name));
            [probe, measure, link.health.held_until(now)].into_iter().flatten().min()
        };
        self.links.iter().filter_map(each).min()
    }

    /// The link in use.
    #[must_use]
    pub const fn in_use(&self) -> Option<LinkName> {
        self.in_use
    }

    /// What the links say about the way to the bank.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        let lives = |link: &Link| link.facts.is_usable() && link.health.may_answer();
        match self.links.is_empty() {
            true => Outlook::Unknown,
            false if self.links.iter().any(lives) => Outlook::Yes,
            false => Outlook::No,
        }
    }

    /// Facts of a link that can be dialled over.
    #[must_use]
    pub fn facts(&self, name: LinkName) -> Option<&LinkFacts> {
        self.link(name).map(|link| &link.facts)
    }

    /// All links, in the order of preference.
    #[must_use]
    pub fn status(&self, now: BootTime) -> Vec<LinkStatus> {
        let each = |link: &Link| LinkStatus {
            facts: link.facts.clone(),
            reason: link.facts.reason.or_else(|| link.health.reason(now)),
            verified: link.facts.is_usable() && matches!(link.health.standing, Standing::Alive(_)),
            verified_at: link.health.verified_at,
            month_bytes: link.usage.bytes(),
        };
        self.links.iter().map(each).collect()
    }
}

/// Traffic goes the same way as before.
fn same_way(old: &LinkFacts, new: &LinkFacts) -> bool {
    let connected = |facts: &LinkFacts| facts.state == LinkState::Connected;
    !(connected(old) && connected(new)) || (old.address == new.address && old.interface == new.interface)
}
