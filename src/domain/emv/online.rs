//! Between the two cryptograms: the host's answer, and issuer authentication. EMV 4.4 Book 3 §10.9.
//!
//! Asking the host is the transaction's work; scripts are in `script.rs`. Spec: unverified.
use super::action::{Basis, Ending, ask_second_cryptogram, decide_without_host};
use super::apdu::CommandApdu;
use super::kernel::{HostAnswer, Input, Output, State, Step, response};
use super::results::{Aip, Tsi, Tvr};
use super::script::{self, Script, Stage};
use super::session::Session;
use super::tlv::Tag;

const HOST: &str = "online processing";
const AUTHENTICATION: &str = "issuer authentication";

/// The host is asked.
#[derive(Clone)]
pub(super) struct AwaitHost {
    session: Box<Session>,
}

/// The card checks the issuer's cryptogram.
#[derive(Clone)]
pub(super) struct AwaitAuthentication {
    session: Box<Session>,
    before: Vec<Script>,
    end: Ending,
}

impl AwaitHost {
    pub(super) const fn new(session: Box<Session>) -> Self {
        Self { session }
    }

    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn step(mut self, input: Input) -> Step {
        let Input::Host(answer) = input else { return Err(input.unexpected(HOST)) };
        match answer {
            HostAnswer::Unable => {
                let basis = decide_without_host(&self.session)?;
                let code = if basis == Basis::AllowedOffline { b"Y3" } else { b"Z3" };
                self.session.app.own.put(Tag::RESPONSE_CODE, code);
                ask_second_cryptogram(self.session, Ending { basis, scripts_after: Vec::new() })
            }
            HostAnswer::Answered { approved, response_code, issuer_authentication, scripts } => {
                self.session.app.own.put(Tag::RESPONSE_CODE, &response_code);
                let (before, scripts_after) = script::read_all(&mut self.session, &scripts);
                let basis = if approved { Basis::HostApproved } else { Basis::HostDeclined };
                let end = Ending { basis, scripts_after };
                authenticate(self.session, issuer_authentication, before, end)
            }
        }
    }
}

/// Gives the issuer's cryptogram to the card, once: by EXTERNAL AUTHENTICATE if the AIP says so. Otherwise
/// the card takes it from the data of the second GENERATE AC, if CDOL2 asks for tag 91.
fn authenticate(mut session: Box<Session>, data: Option<Vec<u8>>, before: Vec<Script>, end: Ending) -> Step {
    let Some(data) = data else {
        return script::run(session, Stage::BeforeSecondAc(end), before);
    };
    if !(8..=16).contains(&data.len()) {
        // Choice: a host that sends nonsense must not stop the card from deciding.
        session.tvr.set(Tvr::ISSUER_AUTHENTICATION_FAILED);
        return script::run(session, Stage::BeforeSecondAc(end), before);
    }
    session.app.own.put(Tag::ISSUER_AUTHENTICATION, &data);
    if !session.aip.has(Aip::ISSUER_AUTHENTICATION) {
        return script::run(session, Stage::BeforeSecondAc(end), before);
    }
    let command = CommandApdu { cla: 0x00, ins: 0x82, p1: 0, p2: 0, data, le: None };
    Ok((State::Authentication(AwaitAuthentication { session, before, end }), Output::Transmit(command)))
}

impl AwaitAuthentication {
    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn step(mut self, input: Input) -> Step {
        let answer = response(input, AUTHENTICATION)?;
        self.session.tsi.set(Tsi::ISSUER_AUTHENTICATION);
        if !answer.status.is_ok() {
            self.session.tvr.set(Tvr::ISSUER_AUTHENTICATION_FAILED);
        }
        script::run(self.session, Stage::BeforeSecondAc(self.end), self.before)
    }
}
