//! One link's life: whether the acquirer answers over it, how much it is trusted, and how it is put right.
use super::{LinkFacts, LinkKind, LinkReason, LinkState, Trial};
use crate::domain::calendar::BootTime;
use core::time::Duration;

/// Silent tries in a row after which a link is dead. Choice: as many as the attempts of one sale.
const DEAD_AFTER: u8 = 3;
/// Answers in a row after which a link that was dead is alive again.
const ALIVE_AFTER: u8 = 3;
/// How long a link must have worked before it takes over from one that works. Choice, with the one above: a link that
/// comes back for a moment moves nobody.
pub(super) const STAY: Duration = Duration::from_secs(60);
/// How long a link that fell again is not trusted; doubles with each fall, up to [`HOLD_MAX`].
const HOLD: Duration = Duration::from_secs(60);
const HOLD_MAX: Duration = Duration::from_secs(3_600);
/// A link that worked for so long has forgotten its falls.
const FORGIVEN: Duration = Duration::from_secs(600);
/// How long a measure has to work before the next one.
const MEASURE: Duration = Duration::from_secs(30);
/// Pause after the last measure before the first is tried again; doubles up to [`HOLD_MAX`].
const REST: Duration = Duration::from_secs(300);
/// How often a link that does not answer is tried; metered ones pause twice as long each time, up to [`TRY_MAX`].
const TRY: Duration = Duration::from_secs(20);
const TRY_MAX: Duration = Duration::from_secs(900);

/// Whether the acquirer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not tried since it was connected.
    Untried,
    /// It answers, since then.
    Alive(BootTime),
    /// It does not.
    Dead,
}

/// What was done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repair {
    Nothing,
    Reconnected { at: BootTime },
    Reset { at: BootTime },
    Resting { until: BootTime },
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Reconnect,
    Reset,
}

/// One link's life. Its steps consume it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Health {
    connected: bool,
    pub(super) standing: Standing,
    silent: u8,
    answers: u8,
    falls: u8,
    held_until: BootTime,
    repair: Repair,
    /// How often all measures were taken in vain.
    rounds: u8,
    /// When the acquirer last answered; `None` = never.
    pub(super) verified_at: Option<BootTime>,
    tried_at: Option<BootTime>,
    tries: u8,
}

impl Health {
    pub(super) const NEW: Self = Self {
        connected: false,
        standing: Standing::Untried,
        silent: 0,
        answers: 0,
        falls: 0,
        held_until: BootTime(0),
        repair: Repair::Nothing,
        rounds: 0,
        verified_at: None,
        tried_at: None,
        tries: 0,
    };

    /// The manager has told. A link that is gone is down at once, without any tries.
    pub(super) fn seen(self, usable: bool, now: BootTime) -> Self {
        match (self.connected, usable) {
            (true, false) => Self { connected: false, ..self.fall(now) }.untried(),
            (false, true) => Self { connected: true, ..self }.untried(),
            (true, true) | (false, false) => self,
        }
    }

    fn untried(self) -> Self {
        Self { standing: Standing::Untried, silent: 0, answers: 0, tried_at: None, tries: 0, ..self }
    }

    /// It worked and does so no longer.
    fn fall(self, now: BootTime) -> Self {
        let Standing::Alive(since) = self.standing else { return self };
        let falls = if now.since(since) >= FORGIVEN { 1 } else { self.falls.saturating_add(1) };
        // The first fall is an accident, the second a habit.
        let held_until = match falls {
            0 | 1 => BootTime(0),
            more => now.after(doubled(HOLD, more.saturating_sub(2), HOLD_MAX)),
        };
        Self { falls, held_until, ..self }
    }

    /// A try over it has ended.
    pub(super) fn tried(self, trial: Trial, now: BootTime) -> Self {
        let tried = Self { tried_at: Some(now), tries: self.tries.saturating_add(1), ..self };
        match trial {
            Trial::Answered => {
                let answers = tried.answers.saturating_add(1);
                let standing = match tried.standing {
                    Standing::Dead if answers < ALIVE_AFTER => Standing::Dead,
                    Standing::Dead | Standing::Untried => Standing::Alive(now),
                    alive @ Standing::Alive(_) => alive,
                };
                let verified_at = Some(now);
                let next = Self { standing, answers, silent: 0, tries: 0, verified_at, ..tried };
                match standing {
                    Standing::Alive(_) => Self { repair: Repair::Nothing, rounds: 0, ..next },
                    Standing::Dead | Standing::Untried => next,
                }
            }
            Trial::Silent => {
                let silent = tried.silent.saturating_add(1);
                let next = Self { silent, answers: 0, ..tried };
                match silent < DEAD_AFTER {
                    true => next,
                    false => Self { standing: Standing::Dead, ..next.fall(now) },
                }
            }
        }
    }

    /// It is connected, and not known to be dead or unstable.
    pub(super) fn is_good(&self, now: BootTime) -> bool {
        self.connected && self.standing != Standing::Dead && !self.is_held(now)
    }

    /// It is not known to be dead, or has answered since.
    pub(super) fn may_answer(&self) -> bool {
        self.standing != Standing::Dead || self.answers > 0
    }

    pub(super) fn is_held(&self, now: BootTime) -> bool {
        now < self.held_until
    }

    /// It has worked for long enough to take over from one that works.
    pub(super) fn is_settled(&self, now: BootTime) -> bool {
        match self.standing {
            Standing::Alive(since) => {
                self.is_good(now) && self.answers >= ALIVE_AFTER && now.since(since) >= STAY
            }
            Standing::Untried | Standing::Dead => false,
        }
    }

    /// What the shop is told beyond what the manager says.
    pub(super) fn reason(&self, now: BootTime) -> Option<LinkReason> {
        match self.standing {
            Standing::Dead => Some(LinkReason::Silent),
            Standing::Alive(_) | Standing::Untried if self.connected && self.is_held(now) => {
                Some(LinkReason::Unstable)
            }
            Standing::Alive(_) | Standing::Untried => None,
        }
    }

    /// When the acquirer is to be tried over it although nothing else wants it. `alone`: no other link answers;
    /// `every`: how often a working one is tried.
    pub(super) fn try_at(&self, metered: bool, alone: bool, every: Option<Duration>) -> Option<BootTime> {
        let every = every.filter(|_| self.connected)?;
        let Some(tried) = self.tried_at else {
            // What costs money waits for business, unless nobody knows whether there is a way at all.
            return (alone || !metered).then_some(BootTime(0));
        };
        let proven = matches!(self.standing, Standing::Alive(_)) && self.silent == 0;
        let settling = proven && self.answers < ALIVE_AFTER;
        let pause = match (proven, metered) {
            (true, true) => return None,
            (true, false) if settling => TRY.min(every),
            (true, false) => every,
            (false, true) if !alone => return None,
            (false, true) => doubled(TRY, self.tries, TRY_MAX),
            (false, false) => TRY,
        };
        Some(tried.after(pause))
    }

    /// The next measure, if it is time for one. `blamed`: the fault is the link's and not the acquirer's.
    pub(super) fn measure(self, facts: &LinkFacts, blamed: bool, now: BootTime) -> (Self, Option<Measure>) {
        if !self.wants_measure(facts, blamed) || self.measure_at().is_some_and(|at| now < at) {
            return (self, None);
        }
        let reconnected = (Repair::Reconnected { at: now }, Some(Measure::Reconnect));
        let (repair, measure) = match self.repair {
            // The manager connects by itself what it can; it is given its time.
            Repair::Nothing if facts.state != LinkState::Connected => {
                return (Self { repair: Repair::Resting { until: now.after(MEASURE) }, ..self }, None);
            }
            Repair::Nothing | Repair::Resting { .. } => reconnected,
            Repair::Reconnected { .. } if facts.name.kind == LinkKind::Cellular => {
                (Repair::Reset { at: now }, Some(Measure::Reset))
            }
            Repair::Reconnected { .. } | Repair::Reset { .. } => {
                (Repair::Resting { until: now.after(doubled(REST, self.rounds, HOLD_MAX)) }, None)
            }
        };
        let rested = u8::from(matches!(repair, Repair::Resting { .. }));
        (Self { repair, rounds: self.rounds.saturating_add(rested), ..self }, measure)
    }

    /// It does not work, nobody is at it, and it is not for a person to put it right.
    fn wants_measure(&self, facts: &LinkFacts, blamed: bool) -> bool {
        match facts.state {
            LinkState::Connected => self.standing == Standing::Dead && blamed,
            LinkState::Disconnected => !facts.reason.is_some_and(LinkReason::needs_person),
            LinkState::Unavailable => facts.reason == Some(LinkReason::ModemFailed),
            LinkState::Connecting => false,
        }
    }

    /// Not before.
    fn measure_at(&self) -> Option<BootTime> {
        match self.repair {
            Repair::Nothing => None,
            Repair::Reconnected { at } | Repair::Reset { at } => Some(at.after(MEASURE)),
            Repair::Resting { until } => Some(until),
        }
    }

    /// When the next measure is due although nothing happens.
    pub(super) fn next_measure_at(&self, facts: &LinkFacts, blamed: bool) -> Option<BootTime> {
        self.wants_measure(facts, blamed).then(|| self.measure_at().unwrap_or_default())
    }

    /// When it is trusted again.
    pub(super) fn held_until(&self, now: BootTime) -> Option<BootTime> {
        self.is_held(now).then_some(self.held_until)
    }
}

fn doubled(first: Duration, times: u8, most: Duration) -> Duration {
    first.saturating_mul(1_u32 << times.min(10)).min(most)
}
