//! The exhaustive driver: one piece of business, and every world in which up to two things go wrong with it.
//!
//! A world without faults shows the sites it passes; each is made to go wrong in each of its ways, which gives
//! worlds with sites of their own, and so on: an odometer over small choices, as in tigerbeetle's
//! `exhaustigen`. A power cut is a fault like any other, so every cut point is among them, those in recovery
//! and in the reversal too.
use super::card::Temper;
use super::chance::{Chance, Wrong};
use super::host::Habit;
use super::trade::Wanted;
use super::{Beginning, Flow, World, broken};
use crate::domain::outcome::Kind;
use core::fmt;

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// For people.
    pub name: &'static str,
    /// What happened before, without a fault; each may follow an earlier one by its place.
    pub before: Vec<(Wanted, Option<usize>)>,
    /// What is tried, and what it follows.
    pub deed: Deed,
    /// The bank.
    pub habit: Habit,
}

/// One piece of business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A transaction; what it follows by its place.
    Trade(Wanted, Option<usize>),
    /// The end of the day. True: a supervisor forces it.
    Settle(bool),
    /// The terminal signs on.
    SignOn,
}

/// A broken rule, and how to see it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which scenario.
    pub scenario: &'static str,
    /// What went wrong in it.
    pub wrong: Vec<Wrong>,
    /// The rule.
    pub what: String,
    /// What happened.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {:?}: {}\n{}", self.scenario, self.wrong, self.what, self.trace)
    }
}

/// How much was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Worlds.
    pub worlds: u64,
    /// Of these with a power cut.
    pub cut: u64,
}

/// One scenario of each kind, and the end of a day.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let sale = Wanted::new(Kind::Sale, 1250, 2);
    let pre_auth = Wanted::new(Kind::PreAuth, 5000, 2);
    let offline = Wanted { temper: Temper::ApprovesAlone, ..Wanted::new(Kind::OfflineSale, 700, 2) };
    let complete = Wanted::new(Kind::PreAuthComplete, 4000, 2);
    let plain = |name, wanted| scenario(name, vec![], Deed::Trade(wanted, None));
    let after =
        |name, before: Wanted, wanted| scenario(name, vec![(before, None)], Deed::Trade(wanted, Some(0)));
    let chain = vec![(pre_auth.clone(), None), (complete.clone(), Some(0))];
    let day = vec![
        (sale.clone(), None),
        (Wanted::new(Kind::Sale, 900, 3), None),
        (Wanted::new(Kind::Void, 0, 2), Some(0)),
        (offline.clone(), None),
    ];
    vec![
        plain("sale", sale.clone()),
        plain("sale with PIN", Wanted::new(Kind::Sale, 1250, 0)),
        plain("sale, signature, scripts", Wanted { scripts: true, ..Wanted::new(Kind::Sale, 1250, 1) }),
        plain("sale that the card refuses", Wanted { temper: Temper::DeclinesAfterApproval, ..sale.clone() }),
        plain("sale, a part is enough", Wanted { partial: true, ..sale.clone() }),
        plain("sale that may be stored", Wanted { may_store: true, ..sale.clone() }),
        plain("offline sale", offline.clone()),
        plain("balance", Wanted::new(Kind::Balance, 0, 2)),
        plain("pre-auth", pre_auth.clone()),
        after("void", sale.clone(), Wanted::new(Kind::Void, 0, 2)),
        after("void of an offline sale", offline, Wanted::new(Kind::Void, 0, 2)),
        after("refund", sale, Wanted::new(Kind::Refund, 500, 2)),
        after("pre-auth void", pre_auth.clone(), Wanted::new(Kind::PreAuthVoid, 0, 2)),
        after("completion", pre_auth.clone(), complete),
        after("completion advice", pre_auth, Wanted::new(Kind::PreAuthAdvice, 4000, 2)),
        scenario(
            "completion void",
            chain,
            Deed::Trade(Wanted::new(Kind::PreAuthCompleteVoid, 0, 2), Some(1)),
        ),
        Scenario {
            habit: Habit::BooksLate,
            ..plain("sale at a bank that books late", Wanted::new(Kind::Sale, 1250, 2))
        },
        scenario("settlement", day.clone(), Deed::Settle(false)),
        scenario("forced settlement", day, Deed::Settle(true)),
        scenario("sign-on", vec![], Deed::SignOn),
    ]
}

fn scenario(name: &'static str, before: Vec<(Wanted, Option<usize>)>, deed: Deed) -> Scenario {
    Scenario { name, before, deed, habit: Habit::Remembers }
}

/// A scenario whose past has happened, ready to go wrong.
#[derive(Clone, Debug)]
pub struct Stage {
    scenario: Scenario,
    world: World,
    deed: Deed,
}

impl Stage {
    /// Lets the past of a scenario happen.
    ///
    /// # Errors
    /// The scenario does not work even without faults.
    pub fn set(scenario: Scenario) -> Result<Self, Failure> {
        let failure =
            |what: String| Failure { scenario: scenario.name, wrong: vec![], what, trace: String::new() };
        let beginning = Beginning {
            chance: Chance::script(&[]),
            seed: 1,
            habit: scenario.habit,
            first_stan: 999_990,
            traced: false,
        };
        let mut world = World::new(beginning).ok_or_else(|| failure("no world".into()))?;
        world.calm();
        let mut done = Vec::new();
        world
            .survive(|world| {
                world.sign_on()?;
                for (wanted, follows) in &scenario.before {
                    let original = follows.and_then(|at| done.get(at).cloned());
                    match world.trade(&Wanted { original, ..wanted.clone() })? {
                        Some(id) => done.push(id),
                        None => return broken("the past is not allowed"),
                    }
                }
                Ok(())
            })
            .map_err(&failure)?;
        let deed = match &scenario.deed {
            Deed::Trade(wanted, Some(at)) => {
                let original = done.get(*at).cloned();
                Deed::Trade(Wanted { original, ..wanted.clone() }, None)
            }
            other => other.clone(),
        };
        Ok(Self { scenario, world, deed })
    }

    /// What is tried.
    #[must_use]
    pub const fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Runs one world to rest.
    ///
    /// # Errors
    /// A broken rule, with the trace of the world.
    pub fn run(&self, wrong: &[Wrong]) -> Result<World, Failure> {
        let mut world = self.world.clone();
        match self.play(&mut world, wrong) {
            Ok(()) => Ok(world),
            Err(what) => {
                let (again, trace) = self.traced(wrong);
                let what = match again {
                    Err(again) if again == what => what,
                    again => format!("{what}; and when run again: {again:?}"),
                };
                Err(Failure { scenario: self.scenario.name, wrong: wrong.to_vec(), what, trace })
            }
        }
    }

    /// Runs one world with a trace: whether a rule broke, and what happened.
    pub fn traced(&self, wrong: &[Wrong]) -> (Result<(), String>, String) {
        let mut world = self.world.clone();
        world.trace = super::Trace(Some(String::new()));
        let ended = self.play(&mut world, wrong);
        (ended, world.trace().to_owned())
    }

    fn play(&self, world: &mut World, wrong: &[Wrong]) -> Result<(), String> {
        world.chance = Chance::script(wrong);
        world.survive(|world| self.act(world))?;
        world.come_to_rest()
    }

    fn act(&self, world: &mut World) -> Flow {
        match &self.deed {
            Deed::Trade(wanted, _) => {
                if world.trade(wanted)?.is_none() {
                    return broken("the deed is not allowed");
                }
            }
            Deed::Settle(force) => return world.settle(*force),
            Deed::SignOn => return world.sign_on(),
        }
        world.idle()
    }

    /// Runs every world with up to `depth` faults.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn explore(&self, depth: u32, seen: &mut dyn FnMut(&World, &[Wrong])) -> Result<Tried, Failure> {
        let mut tried = Tried::default();
        self.deeper(&mut Vec::new(), depth, &mut tried, seen)?;
        Ok(tried)
    }

    fn deeper(
        &self,
        wrong: &mut Vec<Wrong>,
        depth: u32,
        tried: &mut Tried,
        seen: &mut dyn FnMut(&World, &[Wrong]),
    ) -> Result<(), Failure> {
        let world = self.run(wrong)?;
        tried.worlds = tried.worlds.saturating_add(1);
        tried.cut = tried.cut.saturating_add(u64::from(world.cuts() > 0));
        seen(&world, wrong);
        if depth == 0 {
            return Ok(());
        }
        let from = wrong.last().map_or(0, |(site, _)| site.saturating_add(1));
        let ways = world.chance().ways().to_vec();
        drop(world);
        for (site, ways) in (0_u32..).zip(ways).skip(usize::try_from(from).unwrap_or(usize::MAX)) {
            for way in 1..ways {
                wrong.push((site, way));
                self.deeper(wrong, depth.saturating_sub(1), tried, seen)?;
                wrong.pop();
            }
        }
        Ok(())
    }
}
