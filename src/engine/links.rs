//! Links: what their managers tell goes to the policy ([`crate::domain::link::policy`]), what it decides to the link
//! task, and every dialling asks it which way to go. Without a manager all of it is silent, and the system's own route
//! is used.
use super::line::LineNeed;
use super::view::{LinkView, NetworkView};
use super::{Engine, wifi::Joining};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::link::policy::{Choice, Effect, Event, LinkStatus, Links, Outlook, Rules};
use crate::domain::link::{Class, LinkFacts, LinkKind, LinkName, LinkReason, Trial, Why};
use crate::domain::txn::management::Errand;
use crate::domain::way::{Stage, WayCause, WayFault};
use crate::ports::{HostCommand, LinkCommand, LinkEvent, Outlet, Via, WayTimes};
use std::collections::BTreeMap;

/// What the engine knows of links.
pub(super) struct LinkDesk {
    policy: Links,
    /// To the link task.
    pub(super) outlet: Outlet<LinkCommand>,
    /// Links that this dialling has tried already.
    attempts: Vec<LinkName>,
    /// Best kind first.
    preference: Vec<LinkKind>,
    /// Probes that are out.
    probes: BTreeMap<u64, LinkName>,
    /// The link of the line that is open or being opened.
    pub(super) line: Option<LinkName>,
    /// When the bank last answered over each.
    verified: BTreeMap<LinkName, WallTime>,
    /// Host tests over a link that somebody named, by job.
    pub(super) tests: BTreeMap<u64, LinkName>,
    /// The policy has been told that money is under way.
    exchange: bool,
    /// Scans that are out: number of the command, number of the job.
    pub(super) scans: BTreeMap<u64, u64>,
    /// The network that is being joined.
    pub(super) joining: Option<Joining>,
}

/// Which way an attempt goes.
pub(super) enum Way {
    /// Over this link, or the system's own route; why, in words for the timeline.
    Goes(Option<Via>, String),
    /// Not at all.
    Shut(WayFault),
}

impl LinkDesk {
    pub(super) fn new(rules: Rules, outlet: Outlet<LinkCommand>) -> Self {
        Self {
            outlet,
            attempts: Vec::new(),
            preference: rules.preference.clone(),
            policy: Links::new(rules),
            probes: BTreeMap::new(),
            line: None,
            verified: BTreeMap::new(),
            tests: BTreeMap::new(),
            exchange: false,
            scans: BTreeMap::new(),
            joining: None,
        }
    }

    fn via(&self, name: LinkName) -> Option<Via> {
        let facts = self.policy.facts(name).filter(|facts| facts.is_usable())?;
        let (interface, address) = (facts.interface.clone(), facts.address.clone());
        Some(Via { link: name, interface, address })
    }
}

impl Engine {
    /// Something about links came from their managers, or a wish about them has ended.
    pub(super) fn link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Seen(links) => {
                let day = self.system.local(self.wall());
                let month = u32::from(day.year).saturating_mul(12).saturating_add(u32::from(day.month));
                self.step_links(Event::Seen { links, month });
            }
            LinkEvent::Scanned { id, result } => self.scanned(id, result),
            LinkEvent::Joined { id, result } => self.joined(id, result),
            LinkEvent::Kept { id, result } => self.join_kept(id, result),
            LinkEvent::RolledBack { id } => self.join_rolled_back(id),
        }
    }

    fn step_links(&mut self, event: Event) {
        let now = self.system.boot();
        let before = self.links.policy.outlook();
        if let Event::Tried(link, Trial::Answered) = event {
            let wall = self.wall();
            self.links.verified.insert(link, wall);
        }
        let policy = core::mem::replace(&mut self.links.policy, Links::new(Rules::default()));
        let (policy, effects) = policy.step(event, now);
        self.links.policy = policy;
        for effect in effects {
            match effect {
                Effect::Reconnect(link) => self.put_link(LinkCommand::Reconnect(link)),
                Effect::Reset(link) => self.put_link(LinkCommand::Reset(link)),
                Effect::Probe(link) => self.probe(link),
                Effect::Returned(link) => self.link_returned(link),
            }
        }
        if self.links.policy.outlook() == Outlook::No && before != Outlook::No {
            tracing::warn!("no link to the bank");
            self.reachable = "no";
        }
    }

    /// What waits for the bank is tried over the link that is there now.
    fn link_returned(&mut self, link: LinkName) {
        tracing::info!(%link, "this link is used now");
        if self.reachable == "no" {
            self.reachable = "unknown";
        }
        self.hurry_sign_on();
        self.kick_queue();
        self.downloads.hurry(self.system.boot());
    }

    /// Hands a command to the link task. One that it does not take is lost: the policy asks again in time.
    pub(super) fn put_link(&mut self, command: LinkCommand) {
        tracing::info!(?command, "link");
        if let Err(command) = (self.links.outlet)(command) {
            tracing::warn!(?command, "the link task does not take commands");
        }
    }

    fn probe(&mut self, link: LinkName) {
        let Some(id) = self.start_probe(link) else {
            return self.step_links(Event::Tried(link, Trial::Silent));
        };
        self.links.probes.insert(id, link);
    }

    /// Tries to reach the bank over a link, beside the line.
    pub(super) fn start_probe(&mut self, link: LinkName) -> Option<u64> {
        let via = self.links.via(link)?;
        let id = self.fresh_id();
        let (endpoint, clock) = (self.line.endpoint(), self.line_clock());
        self.put_host(HostCommand::Probe { id, endpoint, clock, via });
        Some(id)
    }

    /// A probe has ended.
    pub(super) fn probed(&mut self, id: u64, result: Result<WayTimes, WayFault>) {
        let fault = result.as_ref().err();
        tracing::debug!(id, ?fault, "probed");
        if let Some(link) = self.links.probes.remove(&id) {
            self.link_tried(link, fault);
        }
        self.join_probed(id, fault);
    }

    /// A connection over a link was made, or not.
    pub(super) fn link_tried(&mut self, link: LinkName, fault: Option<&WayFault>) {
        let trial = match fault {
            None => Some(Trial::Answered),
            Some(fault) => trial(fault),
        };
        if let Some(trial) = trial {
            self.step_links(Event::Tried(link, trial));
        }
        if fault.is_none() && self.reachable == "no" {
            self.reachable = "yes";
            self.hurry_sign_on();
            self.kick_queue();
            self.downloads.hurry(self.system.boot());
        }
    }

    /// The bank was heard over the line's link, or fell silent on it.
    pub(super) fn line_link_tried(&mut self, trial: Trial) {
        if let Some(link) = self.links.line {
            self.step_links(Event::Tried(link, trial));
        }
    }

    /// Which way this attempt goes.
    pub(super) fn choose_link(&mut self, attempt: u32, need: LineNeed) -> Way {
        let now = self.system.boot();
        if attempt <= 1 {
            self.links.attempts.clear();
        }
        let (policy, tried) = (&self.links.policy, &self.links.attempts);
        let choice = match need {
            LineNeed::Payment => policy.choose(tried, Class::Payment, now),
            LineNeed::Rest => policy.choose(tried, Class::Rest, now),
            LineNeed::Named(name) => Choice::Link(name, Why::Named),
        };
        match choice {
            Choice::Unbound => Way::Goes(None, String::new()),
            Choice::Link(name, why) => match self.links.via(name) {
                Some(via) => {
                    self.links.attempts.push(name);
                    let words = format!("over {name} ({}): {why}", via.interface);
                    Way::Goes(Some(via), words)
                }
                None => {
                    let words = format!("{name} is not connected");
                    Way::Shut(WayFault::new(Stage::Tcp, WayCause::LinkGone, words))
                }
            },
            Choice::OverBudget => {
                let words = "the month's bytes of the metered link are used up ([links] metered-month-mib)";
                Way::Shut(WayFault::new(Stage::Tcp, WayCause::NoConnection, words))
            }
        }
    }

    /// The line's link has gone, or the bank does not answer over it: nobody may be there any more.
    pub(super) fn line_link_is_down(&self) -> bool {
        let now = self.system.boot();
        let Some(name) = self.links.line else { return false };
        let status = self.links.policy.status(now);
        !status.iter().any(|link| {
            link.facts.name == name && link.facts.is_usable() && link.reason != Some(LinkReason::Silent)
        })
    }

    /// `Host.Test`, over a link that somebody named or the one in use.
    pub(super) fn test_over(&mut self, link: Option<LinkName>) -> Result<u64, Fault> {
        if let Some(name) = link.filter(|name| !self.links_know(*name)) {
            return Err(Fault::new(
                FaultName::NotFound,
                format!("there is no link {name}; see posctl link list"),
            ));
        }
        let job = self.host_errand(Errand::Echo)?;
        if let Some(name) = link {
            self.links.tests.insert(job, name);
        }
        Ok(job)
    }

    fn links_know(&self, name: LinkName) -> bool {
        self.links.policy.facts(name).is_some()
    }

    /// Tells the policy when money is under way, and when it no longer is.
    pub(super) fn watch_links(&mut self) {
        let trading = self.active.as_ref().is_some_and(|active| active.txn.money_may_move());
        let exchange = trading || self.line.carries_money();
        if exchange != self.links.exchange {
            self.links.exchange = exchange;
            let link = self.links.line;
            self.step_links(if exchange { Event::ExchangeBegan(link) } else { Event::ExchangeEnded });
        }
    }

    /// When links want something although nothing happens.
    pub(super) fn next_link_at(&self) -> Option<BootTime> {
        let policy = self.links.policy.deadline(self.system.boot());
        policy.into_iter().chain(self.join_deadline()).min()
    }

    /// Time passed.
    pub(super) fn tick_links(&mut self) {
        let now = self.system.boot();
        if self.links.policy.deadline(now).is_some_and(|at| at <= now) {
            self.step_links(Event::Tick);
        }
        self.tick_join();
    }

    /// Links as the bus shows them.
    pub(super) fn link_views(&self) -> Vec<LinkView> {
        let now = self.system.boot();
        let each = |link: LinkStatus| LinkView {
            last_verified: self.links.verified.get(&link.facts.name).copied().unwrap_or_default(),
            verified: link.verified,
            reason: link.reason,
            facts: LinkFacts { bytes: None, internet: None, ..link.facts },
        };
        self.links.policy.status(now).into_iter().map(each).collect()
    }

    /// `Network`.
    pub(super) fn network_view(&self) -> NetworkView {
        NetworkView { active: self.links.policy.in_use(), preference: self.links.preference.clone() }
    }

    pub(super) fn link_is_usable(&self, name: LinkName) -> bool {
        self.links.via(name).is_some()
    }
}

/// What a failed connection says about its link. A host that refuses is there; one whose certificate is wrong proves
/// nothing: it may be a stranger on this link.
const fn trial(fault: &WayFault) -> Option<Trial> {
    match fault.cause {
        WayCause::NoName
        | WayCause::NoConnection
        | WayCause::Timeout
        | WayCause::LinkGone
        | WayCause::Broken => Some(Trial::Silent),
        WayCause::Refused
        | WayCause::TlsFiles
        | WayCause::NoTls
        | WayCause::TlsVersion
        | WayCause::UnknownCa
        | WayCause::WrongName
        | WayCause::Expired
        | WayCause::NotYetValid
        | WayCause::Clock
        | WayCause::PinMismatch
        | WayCause::ClientRefused
        | WayCause::Tls => None,
    }
}
