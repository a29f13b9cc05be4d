//! The sale: which event leads where. One function per state; each lists what it ignores by naming what it takes.
//!
//! Sources: EMV 4.4 Book 3 chapter 8 and Book 4 chapter 6 for the order of the card's part; the durability rules of
//! this project for the order of records and sends. Choice: without a line the sale fails and the card is not asked for
//! an offline approval, because this version has no queue that could upload it.
use super::card;
use super::{
    Answer, Ask, CardTrouble, Completed, Event, Garbled, Local, Now, Online, SaleRequest, Setup, Stage,
    State, Then, Txn, TxnEffects,
};
use crate::domain::calendar::BootTime;
use crate::domain::emv::apdu::ResponseApdu;
use crate::domain::emv::kernel::{
    CardSummary, Conclusion, HostAnswer, Input, Kernel, KernelError, Output, PinResult, Verdict,
};
use crate::domain::emv::params::TxnParams;
use crate::domain::ident::{BatchNumber, Stan};
use crate::domain::money::Amount;
use crate::domain::outcome::{Outcome, Ply, Prompt, ResultCode};
use crate::domain::record::{CardFacts, Closed, HostFacts, Record, ReversalReason, Sending, TxnStart};
use crate::domain::unionpay::answers::FinancialAnswer;
use crate::domain::unionpay::response::{self, Class};
use crate::domain::unionpay::{de55, messages};
use core::time::Duration;

/// How often a card that cannot be read may be tried again.
const CARD_TRIES: u8 = 3;
/// How often the line is opened anew when it broke before any byte left.
const REDIALS: u8 = 2;
/// How long a store that failed twice waits before it is tried again.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// How long the bank may still take when the service is to end.
const LAST_WAIT: Duration = Duration::from_secs(3);

type Step = (Txn, TxnEffects);

/// Takes one event in whatever state.
pub(super) fn step(txn: Txn, event: Event, now: Now) -> Step {
    let Txn { start, setup, state } = txn;
    let this = Base { start, setup };
    if let Event::CancelRequested(result) = event {
        return this.cancel(state, result, now);
    }
    match state {
        State::AwaitBegin => this.begin(event, now),
        State::AwaitCard { params, tries, deadline } => this.card(params, tries, deadline, event, now),
        State::AwaitPower { params, tries, deadline } => this.power(params, tries, deadline, event, now),
        State::AwaitChip { kernel, stage } => this.chip(kernel, stage, event, now),
        State::AwaitChoice { kernel, first, deadline } => this.choice(kernel, first, deadline, event, now),
        State::AwaitConfirm { kernel, card, then, deadline } => {
            this.confirm(kernel, card, then, deadline, event, now)
        }
        State::AwaitPin { kernel, card, deadline } => this.pin(kernel, card, deadline, event, now),
        State::AwaitLine(online) => this.line(online, event, now),
        State::AwaitSendingStored(online) => this.sending_stored(online, event, now),
        State::AwaitSent { online, request, redials } => this.sent(online, request, redials, event, now),
        State::AwaitRedial { online, request, redials } => this.redial(online, request, redials, event, now),
        State::AwaitHost { online, deadline } => this.host(online, deadline, event, now),
        State::AwaitCompletion { kernel, online } => this.completion(kernel, online, event, now),
        State::AwaitClosed { closed, tries, retry } => this.closed(closed, tries, retry, event, now),
        State::Ended(closed) => this.stay(State::Ended(closed)),
    }
}

/// What every state has.
struct Base {
    start: TxnStart,
    setup: Setup,
}

/// How it ends, before the card and the approved amount are filled in.
struct Ending {
    outcome: Outcome,
    result: ResultCode,
    reversal: Option<ReversalReason>,
}

impl Ending {
    const fn failed(result: ResultCode) -> Self {
        Self { outcome: Outcome::Failed, result, reversal: None }
    }

    const fn cancelled(result: ResultCode) -> Self {
        Self { outcome: Outcome::Cancelled, result, reversal: None }
    }

    const fn declined(result: ResultCode) -> Self {
        Self { outcome: Outcome::Declined, result, reversal: None }
    }

    const fn unknown(result: ResultCode, reason: ReversalReason) -> Self {
        Self { outcome: Outcome::Unknown, result, reversal: Some(reason) }
    }

    const fn reversed_by(self, reason: ReversalReason) -> Self {
        Self { reversal: Some(reason), ..self }
    }
}

impl Base {
    fn txn(self, state: State) -> Txn {
        Txn { start: self.start, setup: self.setup, state }
    }

    fn stay(self, state: State) -> Step {
        (self.txn(state), TxnEffects::none())
    }

    fn go(self, state: State, local: Vec<Local>) -> Step {
        (self.txn(state), TxnEffects::local(local))
    }

    fn patience(&self, now: Now) -> BootTime {
        now.boot.after(self.setup.customer_timeout)
    }

    /// Ends a transaction of which nothing was sent: one record makes the row and closes it.
    fn end_unsent(self, ending: Ending, card: Option<CardFacts>, mut local: Vec<Local>, now: Now) -> Step {
        local.push(Local::PowerOff);
        let start = Some(self.start.clone());
        self.end(ending, start, card, HostFacts::default(), local, now)
    }

    /// Ends it: the outcome goes to the disk, everything else waits for that.
    fn end(
        self,
        ending: Ending,
        start: Option<TxnStart>,
        card: Option<CardFacts>,
        host: HostFacts,
        local: Vec<Local>,
        now: Now,
    ) -> Step {
        let approved = ending.outcome == Outcome::Approved;
        let plies = match (approved, self.start.plies) {
            (true, 1) => vec![Ply::Merchant],
            (true, 2..) => vec![Ply::Merchant, Ply::Customer],
            _ => Vec::new(),
        };
        let closed = Closed {
            id: self.start.id.clone(),
            start,
            card,
            outcome: ending.outcome,
            result: ending.result,
            host,
            approved_amount: if approved { self.start.amount } else { Amount::ZERO },
            reversal: ending.reversal,
            reversal_icc: None,
            plies,
            finished_at: now.wall,
        };
        self.store(closed, 0, local)
    }

    fn store(self, closed: Closed, tries: u8, local: Vec<Local>) -> Step {
        let records = vec![Record::Closed(Box::new(closed.clone()))];
        let state = State::AwaitClosed { closed: Box::new(closed), tries, retry: None };
        (self.txn(state), TxnEffects::store(local, records))
    }

    fn facts(&self, summary: Option<&CardSummary>) -> Option<CardFacts> {
        summary.map(|summary| card::facts(summary, &self.setup.token_key))
    }

    /// A person stops it. The engine asked [`Txn::cancellable`] first; too late changes nothing.
    fn cancel(self, state: State, result: ResultCode, now: Now) -> Step {
        let ending = Ending::cancelled(result);
        match state {
            State::AwaitBegin | State::AwaitCard { .. } | State::AwaitPower { .. } => {
                self.end_unsent(ending, None, vec![], now)
            }
            State::AwaitChip { stage, .. } => {
                let card = self.facts(stage.card.as_deref());
                self.end_unsent(ending, card, vec![], now)
            }
            State::AwaitChoice { .. } => self.end_unsent(ending, None, vec![Local::Withdraw], now),
            State::AwaitConfirm { card, .. } | State::AwaitPin { card, .. } => {
                let card = self.facts(Some(&card));
                self.end_unsent(ending, card, vec![Local::Withdraw], now)
            }
            State::AwaitLine(online) => self.end_unsent(ending, Some(online.card), vec![], now),
            state @ (State::AwaitSendingStored(_)
            | State::AwaitSent { .. }
            | State::AwaitRedial { .. }
            | State::AwaitHost { .. }
            | State::AwaitCompletion { .. }
            | State::AwaitClosed { .. }
            | State::Ended(_)) => self.stay(state),
        }
    }

    fn begin(self, event: Event, now: Now) -> Step {
        match event {
            Event::Begun(params) => {
                let deadline = self.patience(now);
                self.go(
                    State::AwaitCard { params, tries: 0, deadline },
                    vec![Local::Prompt(Prompt::InsertCard)],
                )
            }
            Event::NotBegun(result) => self.end_unsent(Ending::failed(result), None, vec![], now),
            _ => self.stay(State::AwaitBegin),
        }
    }

    fn card(self, params: Box<TxnParams>, tries: u8, deadline: BootTime, event: Event, now: Now) -> Step {
        match event {
            Event::CardInserted => {
                let local = vec![Local::Prompt(Prompt::DoNotRemoveCard), Local::PowerOn];
                self.go(State::AwaitPower { params, tries, deadline }, local)
            }
            Event::Tick if now.boot >= deadline => {
                self.end_unsent(Ending::cancelled(ResultCode::CustomerTimeout), None, vec![], now)
            }
            _ => self.stay(State::AwaitCard { params, tries, deadline }),
        }
    }

    fn power(self, params: Box<TxnParams>, tries: u8, deadline: BootTime, event: Event, now: Now) -> Step {
        match event {
            Event::CardPowered => {
                let (kernel, output) = Kernel::start(&self.setup.emv, *params);
                let stage = Stage { pin: None, confirmed: false, risk: false, card: None };
                self.output(kernel, output, stage, now)
            }
            Event::CardFailed(_) | Event::CardRemoved => {
                let tries = tries.saturating_add(1);
                if tries >= CARD_TRIES {
                    return self.end_unsent(Ending::failed(ResultCode::CardUnreadable), None, vec![], now);
                }
                let local = vec![Local::PowerOff, Local::Prompt(Prompt::TryAgain)];
                self.go(State::AwaitCard { params, tries, deadline }, local)
            }
            Event::Tick if now.boot >= deadline => {
                self.end_unsent(Ending::cancelled(ResultCode::CustomerTimeout), None, vec![], now)
            }
            _ => self.stay(State::AwaitPower { params, tries, deadline }),
        }
    }

    fn chip(self, kernel: Box<Kernel>, stage: Stage, event: Event, now: Now) -> Step {
        match event {
            Event::CardAnswered(response) => match kernel.step(Input::Response(response)) {
                Ok((kernel, output)) => self.output(kernel, output, stage, now),
                Err(error) => {
                    let card = self.facts(stage.card.as_deref());
                    self.end_unsent(Ending::failed(broken(&error)), card, vec![], now)
                }
            },
            Event::CardRemoved | Event::CardFailed(_) => {
                let card = self.facts(stage.card.as_deref());
                self.end_unsent(Ending::failed(trouble(&event)), card, removed_prompt(&event), now)
            }
            _ => self.stay(State::AwaitChip { kernel, stage }),
        }
    }

    /// What the kernel wants, before the bank is asked.
    fn output(self, kernel: Kernel, output: Output, stage: Stage, now: Now) -> Step {
        let kernel = Box::new(kernel);
        let deadline = self.patience(now);
        match output {
            Output::Transmit(command) => {
                self.go(State::AwaitChip { kernel, stage }, vec![Local::Transmit(command)])
            }
            Output::Choose(candidates) => match candidates.first().map(|c| c.aid.clone()) {
                Some(first) => self.go(
                    State::AwaitChoice { kernel, first, deadline },
                    vec![Local::Ask(Ask::Application(candidates))],
                ),
                None => self.end_unsent(Ending::failed(ResultCode::CardNotAccepted), None, vec![], now),
            },
            Output::AskPin(card) if self.setup.confirm_card => self.go(
                State::AwaitConfirm { kernel, card, then: Then::Pin, deadline },
                vec![Local::Prompt(Prompt::ConfirmCard), Local::Ask(Ask::Card)],
            ),
            Output::AskPin(card) => self.ask_pin(kernel, card, deadline),
            Output::GoOnline(card) if self.setup.confirm_card && !stage.confirmed => self.go(
                State::AwaitConfirm { kernel, card, then: Then::Online, deadline },
                vec![Local::Prompt(Prompt::ConfirmCard), Local::Ask(Ask::Card)],
            ),
            Output::GoOnline(card) => self.go_online(*kernel, card, stage.pin, now),
            Output::Done(conclusion) => self.ended_by_card(&conclusion, now),
        }
    }

    fn ask_pin(self, kernel: Box<Kernel>, card: Box<CardSummary>, deadline: BootTime) -> Step {
        let local = vec![Local::Prompt(Prompt::EnterPin), Local::Ask(Ask::Pin)];
        self.go(State::AwaitPin { kernel, card, deadline }, local)
    }

    /// The card or the terminal ended it without the bank.
    fn ended_by_card(self, conclusion: &Conclusion, now: Now) -> Step {
        let ending = match conclusion.verdict {
            Verdict::NotAccepted => Ending::failed(ResultCode::CardNotAccepted),
            Verdict::Blocked => Ending::declined(ResultCode::CardBlocked),
            // A TC here is an offline approval, which this version cannot upload: it is not taken.
            Verdict::Approved
            | Verdict::DeclinedOffline
            | Verdict::DeclinedOnline
            | Verdict::DeclinedByCard
            | Verdict::DeclinedUnableOnline => Ending::declined(ResultCode::DeclinedOffline),
        };
        let card = self.facts(conclusion.card.as_deref());
        self.end_unsent(ending, card, vec![], now)
    }

    fn choice(
        self,
        kernel: Box<Kernel>,
        first: crate::domain::emv::params::Aid,
        deadline: BootTime,
        event: Event,
        now: Now,
    ) -> Step {
        let chosen = match event {
            Event::AgentAnswered(Answer::Application(aid)) => aid,
            // An agent that cannot choose leaves it to the card's priority.
            Event::AgentUnavailable => first,
            Event::AgentAnswered(Answer::Cancelled) => {
                return self.end_unsent(Ending::cancelled(ResultCode::CustomerCancelled), None, vec![], now);
            }
            Event::CardRemoved | Event::CardFailed(_) => {
                let local = [vec![Local::Withdraw], removed_prompt(&event)].concat();
                return self.end_unsent(Ending::failed(trouble(&event)), None, local, now);
            }
            Event::Tick if now.boot >= deadline => {
                let ending = Ending::cancelled(ResultCode::CustomerTimeout);
                return self.end_unsent(ending, None, vec![Local::Withdraw], now);
            }
            _ => return self.stay(State::AwaitChoice { kernel, first, deadline }),
        };
        let stage = Stage { pin: None, confirmed: false, risk: false, card: None };
        match kernel.step(Input::Chosen(chosen)) {
            Ok((kernel, output)) => self.output(kernel, output, stage, now),
            Err(error) => self.end_unsent(Ending::failed(broken(&error)), None, vec![], now),
        }
    }

    fn confirm(
        self,
        kernel: Box<Kernel>,
        card: Box<CardSummary>,
        then: Then,
        deadline: BootTime,
        event: Event,
        now: Now,
    ) -> Step {
        match event {
            Event::AgentAnswered(Answer::Yes(true)) | Event::AgentUnavailable => match then {
                Then::Pin => {
                    let deadline = self.patience(now);
                    self.ask_pin(kernel, card, deadline)
                }
                Then::Online => self.go_online(*kernel, card, None, now),
            },
            Event::AgentAnswered(_) => {
                let facts = self.facts(Some(&card));
                self.end_unsent(Ending::cancelled(ResultCode::CustomerCancelled), facts, vec![], now)
            }
            other => match self.interrupted(&card, deadline, &other, now) {
                Ok(step) => step,
                Err(this) => this.stay(State::AwaitConfirm { kernel, card, then, deadline }),
            },
        }
    }

    fn pin(
        self,
        kernel: Box<Kernel>,
        card: Box<CardSummary>,
        deadline: BootTime,
        event: Event,
        now: Now,
    ) -> Step {
        let (result, block) = match event {
            Event::AgentAnswered(Answer::Pin(block)) => (PinResult::Entered, Some(block)),
            Event::AgentAnswered(Answer::PinBypassed) => (PinResult::Bypassed, None),
            Event::AgentAnswered(Answer::PinNotAvailable) => (PinResult::NotAvailable, None),
            Event::AgentAnswered(_) | Event::AgentUnavailable => {
                let facts = self.facts(Some(&card));
                return self.end_unsent(Ending::cancelled(ResultCode::PinCancelled), facts, vec![], now);
            }
            other => {
                return match self.interrupted(&card, deadline, &other, now) {
                    Ok(step) => step,
                    Err(this) => this.stay(State::AwaitPin { kernel, card, deadline }),
                };
            }
        };
        let stage = Stage { pin: block, confirmed: true, risk: true, card: Some(card.clone()) };
        match kernel.step(Input::PinDone(result)) {
            Ok((kernel, output)) => self.output(kernel, output, stage, now),
            Err(error) => {
                let facts = self.facts(Some(&card));
                self.end_unsent(Ending::failed(broken(&error)), facts, vec![], now)
            }
        }
    }

    /// Card gone or patience over while a person is asked something. `Err`: neither.
    fn interrupted(
        self,
        card: &CardSummary,
        deadline: BootTime,
        event: &Event,
        now: Now,
    ) -> Result<Step, Self> {
        let facts = self.facts(Some(card));
        match event {
            Event::CardRemoved | Event::CardFailed(_) => {
                let local = [vec![Local::Withdraw], removed_prompt(event)].concat();
                Ok(self.end_unsent(Ending::failed(trouble(event)), facts, local, now))
            }
            Event::Tick if now.boot >= deadline => {
                let ending = Ending::cancelled(ResultCode::CustomerTimeout);
                Ok(self.end_unsent(ending, facts, vec![Local::Withdraw], now))
            }
            _ => Err(self),
        }
    }

    fn go_online(
        self,
        kernel: Kernel,
        summary: Box<CardSummary>,
        pin: Option<crate::domain::secret::PinBlock>,
        now: Now,
    ) -> Step {
        let card = card::facts(&summary, &self.setup.token_key);
        let icc = match de55::sale(&summary.tags) {
            Ok(icc) => icc,
            Err(_) => {
                return self.end_unsent(Ending::failed(ResultCode::CardUnreadable), Some(card), vec![], now);
            }
        };
        let reversal_icc = de55::reversal_no_answer(&summary.tags);
        let wire = messages::wire_facts(&self.setup.identity, pin.is_some(), &icc, &reversal_icc);
        let online = Online { kernel, summary, card, wire, pin };
        self.go(State::AwaitLine(Box::new(online)), vec![Local::Prompt(Prompt::Dialling), Local::OpenLine])
    }

    fn line(self, online: Box<Online>, event: Event, now: Now) -> Step {
        match event {
            Event::LineReady => {
                let sending = Sending {
                    start: self.start.clone(),
                    card: online.card.clone(),
                    wire: online.wire.clone(),
                    at: now.wall,
                };
                let records = vec![Record::Sending(Box::new(sending))];
                (self.txn(State::AwaitSendingStored(online)), TxnEffects::store(vec![], records))
            }
            Event::LineFailed(result) => {
                self.end_unsent(Ending::failed(result), Some(online.card), vec![], now)
            }
            Event::CardRemoved => {
                let local = removed_prompt(&event);
                self.end_unsent(Ending::failed(ResultCode::CardRemoved), Some(online.card), local, now)
            }
            _ => self.stay(State::AwaitLine(online)),
        }
    }

    fn sending_stored(self, online: Box<Online>, event: Event, now: Now) -> Step {
        match event {
            Event::Stored(Some((stan, batch))) => {
                let request = self.request(&online, stan, batch);
                let state = State::AwaitSent { online, request: Box::new(request.clone()), redials: 0 };
                (self.txn(state), TxnEffects::send(vec![Local::Prompt(Prompt::Processing)], request))
            }
            // Not on the disk, so nothing was sent: it ends here, and the end is tried to be stored as well.
            Event::Stored(None) | Event::StoreFailed => {
                self.end_unsent(Ending::failed(ResultCode::StorageFault), Some(online.card), vec![], now)
            }
            _ => self.stay(State::AwaitSendingStored(online)),
        }
    }

    fn request(&self, online: &Online, stan: Stan, batch: BatchNumber) -> SaleRequest {
        SaleRequest {
            stan,
            batch,
            start: self.start.clone(),
            pan: online.summary.pan.clone(),
            track2: online.summary.track2.clone(),
            expiry: online.summary.expiry.clone(),
            sequence: online.summary.sequence,
            pin: online.pin.clone(),
            icc: online.wire.icc.clone(),
        }
    }

    fn sent(
        self,
        online: Box<Online>,
        request: Box<SaleRequest>,
        redials: u8,
        event: Event,
        now: Now,
    ) -> Step {
        match event {
            Event::RequestSent => {
                let deadline = now.boot.after(self.setup.response_timeout);
                self.go(State::AwaitHost { online, deadline }, vec![Local::Prompt(Prompt::Receiving)])
            }
            Event::LineLost { wrote: false } if redials < REDIALS => {
                let redials = redials.saturating_add(1);
                let local = vec![Local::Prompt(Prompt::Dialling), Local::OpenLine];
                self.go(State::AwaitRedial { online, request, redials }, local)
            }
            Event::LineLost { wrote: false } => self.unsent(online, ResultCode::ConnectFailed, now),
            Event::LineLost { wrote: true } => self.no_answer(online, ResultCode::HostTimeout, now),
            // An answer can overtake the note that the socket took the request.
            Event::HostAnswered(answer) => self.answered(online, *answer, now),
            Event::HostGarbled(garbled) => self.garbled(online, garbled, now),
            _ => self.stay(State::AwaitSent { online, request, redials }),
        }
    }

    fn redial(
        self,
        online: Box<Online>,
        request: Box<SaleRequest>,
        redials: u8,
        event: Event,
        now: Now,
    ) -> Step {
        match event {
            Event::LineReady => {
                let send = (*request).clone();
                let state = State::AwaitSent { online, request, redials };
                (self.txn(state), TxnEffects::send(vec![Local::Prompt(Prompt::Processing)], send))
            }
            Event::LineFailed(result) => self.unsent(online, result, now),
            _ => self.stay(State::AwaitRedial { online, request, redials }),
        }
    }

    /// Nothing was written to a socket: the armed reversal is disarmed in the same commit that closes.
    fn unsent(self, online: Box<Online>, result: ResultCode, now: Now) -> Step {
        let id = self.start.id.clone();
        let (txn, mut effects) = self.end(
            Ending::failed(result),
            None,
            Some(online.card),
            HostFacts::default(),
            vec![Local::PowerOff],
            now,
        );
        if let super::Vital::Store(records) = &mut effects.vital {
            records.insert(0, Record::Unsent { id });
        }
        (txn, effects)
    }

    fn host(self, online: Box<Online>, deadline: BootTime, event: Event, now: Now) -> Step {
        match event {
            Event::HostAnswered(answer) => self.answered(online, *answer, now),
            Event::HostGarbled(garbled) => self.garbled(online, garbled, now),
            Event::LineLost { .. } => self.no_answer(online, ResultCode::HostTimeout, now),
            Event::Hurry => {
                let deadline = deadline.min(now.boot.after(LAST_WAIT));
                self.stay(State::AwaitHost { online, deadline })
            }
            Event::Tick if now.boot >= deadline => self.no_answer(online, ResultCode::HostTimeout, now),
            _ => self.stay(State::AwaitHost { online, deadline }),
        }
    }

    fn no_answer(self, online: Box<Online>, result: ResultCode, now: Now) -> Step {
        let ending = Ending::unknown(result, ReversalReason::NoAnswer);
        self.end(ending, None, Some(online.card), HostFacts::default(), vec![Local::PowerOff], now)
    }

    fn garbled(self, online: Box<Online>, garbled: Garbled, now: Now) -> Step {
        let (ending, local) = match garbled {
            Garbled::Content => {
                (Ending::unknown(ResultCode::ProtocolError, ReversalReason::NoAnswer), vec![Local::PowerOff])
            }
            Garbled::Mac => (
                Ending::unknown(ResultCode::MacError, ReversalReason::MacError),
                vec![Local::PowerOff, Local::DropSignOn],
            ),
        };
        self.end(ending, None, Some(online.card), HostFacts::default(), local, now)
    }

    /// The bank has spoken; the card hears it before anybody else does.
    fn answered(self, online: Box<Online>, answer: FinancialAnswer, now: Now) -> Step {
        let Online { kernel, card, .. } = *online;
        if answer.partial {
            // Not announced, so not allowed: declined and undone.
            let ending = Ending::declined(ResultCode::DeclinedHost).reversed_by(ReversalReason::Refused);
            return self.end(ending, None, Some(card), answer.host, vec![Local::PowerOff], now);
        }
        let code = answer.host.response_code.as_ref().map_or("", |code| code.as_str()).as_bytes();
        let host = HostAnswer::Answered {
            approved: answer.approved,
            response_code: <[u8; 2]>::try_from(code).unwrap_or(*b"05"),
            issuer_authentication: answer.issuer_authentication.clone(),
            scripts: answer.scripts.clone(),
        };
        let completed = Box::new(Completed { card, answer });
        match kernel.step(Input::Host(host)) {
            Ok((kernel, output)) => self.completing(kernel, output, completed, now),
            Err(_) => self.card_lost(completed, ResultCode::CardUnreadable, vec![], now),
        }
    }

    fn completing(self, kernel: Kernel, output: Output, online: Box<Completed>, now: Now) -> Step {
        let kernel = Box::new(kernel);
        match output {
            Output::Transmit(command) => {
                self.go(State::AwaitCompletion { kernel, online }, vec![Local::Transmit(command)])
            }
            Output::Done(conclusion) => self.concluded(*conclusion, online, now),
            Output::Choose(_) | Output::AskPin(_) | Output::GoOnline(_) => {
                self.card_lost(online, ResultCode::CardUnreadable, vec![], now)
            }
        }
    }

    fn completion(self, kernel: Box<Kernel>, online: Box<Completed>, event: Event, now: Now) -> Step {
        match event {
            Event::CardAnswered(response) => self.completion_answer(kernel, online, response, now),
            Event::CardRemoved | Event::CardFailed(_) => match kernel.gone() {
                // The second cryptogram is there; only scripts were cut short.
                Some(conclusion) => self.concluded(conclusion, online, now),
                None => self.card_lost(online, trouble(&event), removed_prompt(&event), now),
            },
            _ => self.stay(State::AwaitCompletion { kernel, online }),
        }
    }

    fn completion_answer(
        self,
        kernel: Box<Kernel>,
        online: Box<Completed>,
        response: ResponseApdu,
        now: Now,
    ) -> Step {
        match kernel.step(Input::Response(response)) {
            Ok((kernel, output)) => self.completing(kernel, output, online, now),
            Err(error) => self.card_lost(online, broken(&error), vec![], now),
        }
    }

    /// The card is gone or silent before its second cryptogram. Declined stays declined; an approval is undone.
    fn card_lost(self, online: Box<Completed>, result: ResultCode, mut local: Vec<Local>, now: Now) -> Step {
        let Completed { card, answer } = *online;
        let ending = if answer.approved {
            Ending::failed(result).reversed_by(ReversalReason::Refused)
        } else {
            Ending::declined(ResultCode::DeclinedHost)
        };
        local.push(Local::PowerOff);
        self.declined_keys(&answer, &mut local);
        self.end(ending, None, Some(card), answer.host, local, now)
    }

    fn concluded(self, conclusion: Conclusion, online: Box<Completed>, now: Now) -> Step {
        let Completed { card, answer } = *online;
        let last = self.facts(conclusion.card.as_deref());
        // The slip shows what the cardholder did, which the first part knows; the last part knows the cryptogram.
        let card = match last {
            Some(last) => CardFacts { chip: merged(&last, &card), ..last },
            None => card,
        };
        let mut local = vec![Local::PowerOff];
        self.declined_keys(&answer, &mut local);
        let ending = match conclusion.verdict {
            Verdict::Approved if answer.approved => {
                Ending { outcome: Outcome::Approved, result: ResultCode::Approved, reversal: None }
            }
            _ if answer.approved => {
                Ending::declined(ResultCode::DeclinedCard).reversed_by(ReversalReason::Refused)
            }
            _ => Ending::declined(ResultCode::DeclinedHost),
        };
        let refused = ending.reversal.is_some().then(|| conclusion.card.as_ref());
        let icc = refused.flatten().map(|card| de55::reversal_after_refusal(&card.tags));
        let (txn, mut effects) = self.end(ending, None, Some(card), answer.host, local, now);
        with_reversal_icc(txn, &mut effects, icc)
    }

    /// 77, 99 and A0 say that our keys are no good: sign on again before anything else.
    fn declined_keys(&self, answer: &FinancialAnswer, local: &mut Vec<Local>) {
        let code = answer.host.response_code.as_ref();
        if code.is_some_and(|code| response::class(code) == Class::SignOnNeeded) {
            local.push(Local::DropSignOn);
        }
    }

    fn closed(
        self,
        mut closed: Box<Closed>,
        tries: u8,
        retry: Option<BootTime>,
        event: Event,
        now: Now,
    ) -> Step {
        match event {
            Event::Stored(_) => self.go(State::Ended(closed), vec![Local::Finish]),
            Event::StoreFailed if closed.start.is_some() && tries > 0 => {
                // Nothing was ever sent, so nothing is owed; the result stands without its record.
                self.go(State::Ended(closed), vec![Local::Finish])
            }
            Event::StoreFailed if tries > 0 => {
                let retry = Some(now.boot.after(STORE_RETRY));
                self.stay(State::AwaitClosed { closed, tries, retry })
            }
            Event::StoreFailed => {
                // Nobody has heard of the outcome: what cannot be kept must not stand. The bank undoes it.
                if closed.start.is_none() && closed.outcome != Outcome::Unknown {
                    closed.outcome = Outcome::Unknown;
                    closed.result = ResultCode::StorageFault;
                    closed.approved_amount = Amount::ZERO;
                    closed.reversal = Some(ReversalReason::Refused);
                    closed.plies.clear();
                }
                self.store(*closed, 1, vec![])
            }
            Event::Tick if retry.is_some_and(|at| now.boot >= at) => self.store(*closed, tries, vec![]),
            _ => self.stay(State::AwaitClosed { closed, tries, retry }),
        }
    }
}

/// The reversal of a refused approval carries the card's last word.
fn with_reversal_icc(mut txn: Txn, effects: &mut TxnEffects, icc: Option<Vec<u8>>) -> Step {
    if let (Some(icc), super::Vital::Store(records)) = (icc, &mut effects.vital) {
        for record in records {
            if let Record::Closed(closed) = record {
                closed.reversal_icc = Some(icc.clone());
            }
        }
        if let State::AwaitClosed { closed, .. } = &mut txn.state {
            closed.reversal_icc = Some(icc);
        }
    }
    (txn, core::mem::replace(effects, TxnEffects::none()))
}

/// Chip lines of both cryptograms: the last ones, and the ARQC of the first.
fn merged(last: &CardFacts, first: &CardFacts) -> Vec<(String, String)> {
    let arqc =
        first.chip.iter().filter(|(name, _)| name == "ARQC" && !last.chip.iter().any(|(n, _)| n == name));
    last.chip.iter().chain(arqc).cloned().collect()
}

/// A protocol error on the card side, in the words of results.
fn broken(_: &KernelError) -> ResultCode {
    ResultCode::CardUnreadable
}

fn trouble(event: &Event) -> ResultCode {
    match event {
        Event::CardFailed(CardTrouble::Unreadable) => ResultCode::CardUnreadable,
        _ => ResultCode::CardRemoved,
    }
}

fn removed_prompt(event: &Event) -> Vec<Local> {
    match trouble(event) {
        ResultCode::CardRemoved => vec![Local::Prompt(Prompt::CardRemovedTooEarly)],
        _ => Vec::new(),
    }
}
