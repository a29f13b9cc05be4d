//! Terminal action analysis, the two GENERATE AC commands, and the verdict. EMV 4.4 Book 3 §10.7, §10.8,
//! §10.11.
//!
//! What happens between the two commands is in `online.rs`. Spec: unverified.
use super::apdu::CommandApdu;
use super::kernel::{Conclusion, Input, KernelError, Output, State, Step, Verdict, response};
use super::oda::cda;
use super::online::AwaitHost;
use super::params::Purpose;
use super::results::{Cid, CryptogramType, Tsi};
use super::script::{self, Script, Stage};
use super::session::{Session, missing};
use super::tc_hash;
use super::tlv::{self, Tag};

const ANALYSIS: &str = "terminal action analysis";
const FIRST: &str = "first GENERATE AC";
const SECOND: &str = "second GENERATE AC";

/// The card makes its first cryptogram.
#[derive(Clone)]
pub(super) struct AwaitFirstAc {
    session: Box<Session>,
    asked: CryptogramType,
}

/// The card makes its second cryptogram.
#[derive(Clone)]
pub(super) struct AwaitSecondAc {
    session: Box<Session>,
    end: Ending,
}

/// What the host, or its absence, leaves to be done.
#[derive(Clone)]
pub(super) struct Ending {
    pub(super) basis: Basis,
    /// Scripts of template 72.
    pub(super) scripts_after: Vec<Script>,
}

/// What the second cryptogram is asked for, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    HostApproved,
    HostDeclined,
    /// No host, and the action codes let it pass.
    AllowedOffline,
    /// No host, and the action codes forbid it.
    ForbiddenOffline,
    /// The card wants the host, but its signature is not good: nobody is asked. EMV 4.4 Book 4 §6.3.2.1.
    NotAuthentic,
}

/// An issuer action code of the card; `default` where the card has none. EMV 4.4 Book 3 §10.7.
fn issuer_code(session: &Session, tag: Tag, default: u8) -> Result<[u8; 5], KernelError> {
    Ok(session.fixed(tag, ANALYSIS)?.unwrap_or([default; 5]))
}

/// Which cryptogram the terminal asks for. EMV 4.4 Book 3 §10.7.
fn decide(session: &Session) -> Result<CryptogramType, KernelError> {
    let entry = &session.app.entry;
    // Read even if it is not needed now: a defect must show before the host is asked, not after.
    let issuer_default = issuer_code(session, Tag::IAC_DEFAULT, 0xFF)?;
    let hits = |terminal, issuer| session.tvr.hits(terminal) || session.tvr.hits(issuer);
    if hits(entry.tac_denial, issuer_code(session, Tag::IAC_DENIAL, 0x00)?) {
        return Ok(CryptogramType::Aac);
    }
    match session.app.params.purpose {
        // Only a TC counts, so only a TC is asked for: who sells without the bank has decided that the online codes
        // do not matter. The card may still want the bank, and then it is declined. Choice.
        Purpose::PayOffline => return Ok(CryptogramType::Tc),
        Purpose::PayOnline => return Ok(CryptogramType::Arqc),
        Purpose::Pay | Purpose::Read => {}
    }
    if session.app.terminal.is_online_only() {
        return Ok(CryptogramType::Arqc);
    }
    if session.app.terminal.is_offline_only() {
        let forbidden = hits(entry.tac_default, issuer_default);
        return Ok(if forbidden { CryptogramType::Aac } else { CryptogramType::Tc });
    }
    // Choice: a PIN for the bank goes to the bank, whatever the action codes say.
    let online = session.pin_asked || hits(entry.tac_online, issuer_code(session, Tag::IAC_ONLINE, 0xFF)?);
    Ok(if online { CryptogramType::Arqc } else { CryptogramType::Tc })
}

/// The decision when the host cannot be asked: default action codes. An online-only terminal declines at
/// once.
pub(super) fn decide_without_host(session: &Session) -> Result<Basis, KernelError> {
    let issuer = issuer_code(session, Tag::IAC_DEFAULT, 0xFF)?;
    let hit = session.tvr.hits(session.app.entry.tac_default) || session.tvr.hits(issuer);
    let forbidden = hit || session.app.terminal.is_online_only();
    Ok(if forbidden { Basis::ForbiddenOffline } else { Basis::AllowedOffline })
}

fn generate(
    session: &mut Session,
    asked: CryptogramType,
    list: Tag,
    phase: &'static str,
) -> Result<CommandApdu, KernelError> {
    let list = session.app.card.value(list).ok_or_else(|| missing(list, phase))?.to_vec();
    let data = tc_hash::put(session, &list).and_then(|()| session.fill(&list));
    let data = data.map_err(|error| KernelError::Data { phase, what: error.to_string() })?;
    let p1 = asked.reference_control() | cda::ask(session, asked, &data);
    Ok(CommandApdu { cla: 0x80, ins: 0xAE, p1, p2: 0, data, le: Some(0) })
}

/// Decides and asks. The response code is the terminal's own if the host is not to be asked (EMV 4.4 Book 4
/// Annex A6).
pub(super) fn ask_first_cryptogram(mut session: Box<Session>) -> Step {
    tc_hash::prepare(&mut session);
    let asked = decide(&session)?;
    match asked {
        CryptogramType::Tc => session.app.own.put(Tag::RESPONSE_CODE, b"Y1"),
        CryptogramType::Aac => session.app.own.put(Tag::RESPONSE_CODE, b"Z1"),
        CryptogramType::Arqc => {}
    }
    let command = generate(&mut session, asked, Tag::CDOL1, FIRST)?;
    Ok((State::FirstAc(AwaitFirstAc { session, asked }), Output::Transmit(command)))
}

/// Asks for the final cryptogram.
pub(super) fn ask_second_cryptogram(mut session: Box<Session>, end: Ending) -> Step {
    let command = generate(&mut session, end.basis.asks(), Tag::CDOL2, SECOND)?;
    Ok((State::SecondAc(AwaitSecondAc { session, end }), Output::Transmit(command)))
}

impl Basis {
    const fn asks(self) -> CryptogramType {
        match self {
            Self::HostApproved | Self::AllowedOffline => CryptogramType::Tc,
            Self::HostDeclined | Self::ForbiddenOffline | Self::NotAuthentic => CryptogramType::Aac,
        }
    }

    const fn verdict(self, given: CryptogramType) -> Verdict {
        match (self, given) {
            (Self::HostApproved | Self::AllowedOffline, CryptogramType::Tc) => Verdict::Approved,
            (Self::HostApproved, _) => Verdict::DeclinedByCard,
            (Self::HostDeclined, _) => Verdict::DeclinedOnline,
            (Self::AllowedOffline | Self::ForbiddenOffline, _) => Verdict::DeclinedUnableOnline,
            (Self::NotAuthentic, _) => Verdict::DeclinedOffline,
        }
    }
}

impl AwaitFirstAc {
    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn step(mut self, input: Input) -> Step {
        let Answer { given, authentic } = cryptogram(&mut self.session, input, self.asked, FIRST)?;
        // The card may ask for the host or decline; it may not approve more than it was asked to.
        let allowed = match self.asked {
            // A wrong signature declines in any case, whatever type stands in it.
            _ if !authentic => true,
            CryptogramType::Tc => true,
            CryptogramType::Arqc => given != CryptogramType::Tc,
            CryptogramType::Aac => given == CryptogramType::Aac,
        };
        if !allowed {
            let what = format!("{:?} was asked, the card gave {given:?}", self.asked);
            return Err(KernelError::Data { phase: FIRST, what });
        }
        self.session.tsi.set(Tsi::CARD_RISK);
        match given {
            CryptogramType::Arqc if !authentic => {
                self.session.app.own.put(Tag::RESPONSE_CODE, b"Z1");
                let end = Ending { basis: Basis::NotAuthentic, scripts_after: Vec::new() };
                ask_second_cryptogram(self.session, end)
            }
            // EMV wants a second cryptogram after an ARQC; nobody is asked in between.
            CryptogramType::Arqc if self.session.app.params.purpose == Purpose::PayOffline => {
                self.session.app.own.put(Tag::RESPONSE_CODE, b"Z3");
                let end = Ending { basis: Basis::ForbiddenOffline, scripts_after: Vec::new() };
                ask_second_cryptogram(self.session, end)
            }
            CryptogramType::Arqc => {
                // The bank has the word now, even if a TC was asked for.
                self.session.app.own.remove(Tag::RESPONSE_CODE);
                let summary = self.session.summary();
                Ok((State::Host(AwaitHost::new(self.session)), Output::GoOnline(summary)))
            }
            CryptogramType::Tc if authentic => Ok(conclude(&self.session, Verdict::Approved)),
            // A TC with a wrong signature declines at once: the card has said all it has to say.
            CryptogramType::Tc | CryptogramType::Aac => {
                self.session.app.own.put(Tag::RESPONSE_CODE, b"Z1");
                Ok(conclude(&self.session, Verdict::DeclinedOffline))
            }
        }
    }
}

impl AwaitSecondAc {
    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn step(mut self, input: Input) -> Step {
        let asked = self.end.basis.asks();
        let Answer { given, authentic } = cryptogram(&mut self.session, input, asked, SECOND)?;
        if authentic && given != CryptogramType::Aac && given != asked {
            let what = format!("{asked:?} was asked, the card gave {given:?}");
            return Err(KernelError::Data { phase: SECOND, what });
        }
        // An approval that is not signed as it must be is none. EMV 4.4 Book 4 §6.3.2.1.
        let verdict = self.end.basis.verdict(if authentic { given } else { CryptogramType::Aac });
        script::run(self.session, Stage::AfterSecondAc(verdict), self.end.scripts_after)
    }
}

/// The end, with the card as it is known now.
pub(super) fn conclude(session: &Session, verdict: Verdict) -> (State, Output) {
    (State::Ended, Output::Done(Box::new(Conclusion { verdict, card: Some(session.summary()) })))
}

/// What the card answered to GENERATE AC.
struct Answer {
    given: CryptogramType,
    /// False if it should be signed and is not, or not rightly.
    authentic: bool,
}

/// Reads a cryptogram in either format and stores its objects. EMV 4.4 Book 3 §6.5.5.4.
fn cryptogram(
    session: &mut Session,
    input: Input,
    asked: CryptogramType,
    phase: &'static str,
) -> Result<Answer, KernelError> {
    let answer = response(input, phase)?;
    if !answer.status.is_ok() {
        return Err(KernelError::Status { phase, status: answer.status.0 });
    }
    let bad = |what: &str| KernelError::Data { phase, what: what.to_owned() };
    let template = tlv::single(&answer.data).map_err(|error| bad(&error.to_string()))?;
    let template = template.ok_or_else(|| bad("the answer is not one template"))?;
    let mut parts = Parts::default();
    match template.tag {
        Tag::RESPONSE_FORMAT_1 => parts.split(template.value).ok_or_else(|| bad("format 1 is too short"))?,
        Tag::RESPONSE_FORMAT_2 => {
            for object in template.children() {
                let object = object.map_err(|error| bad(&error.to_string()))?;
                parts.take(object.tag, object.value).ok_or_else(|| bad("an object appears twice"))?;
            }
        }
        _ => return Err(bad("neither template 80 nor 77")),
    }
    let (Some(&[cid]), Some([_, _])) = (parts.cid, parts.atc) else {
        return Err(bad("CID or counter is missing or has a wrong length"));
    };
    let given = Cid(cid).cryptogram().ok_or_else(|| bad("a reserved type of cryptogram"))?;
    let is_signed = cda::expected(session, asked, given);
    if parts.cryptogram.map_or(!is_signed, |cryptogram| cryptogram.len() != 8) {
        return Err(bad("the cryptogram is missing or has a wrong length"));
    }
    let issuer = parts.issuer.unwrap_or_default();
    if issuer.len() > 32 {
        return Err(bad("tag 9F10 has more than 32 bytes"));
    }
    let card = &mut session.app.card;
    card.put(Tag::ATC, parts.atc.unwrap_or_default());
    match parts.cryptogram {
        Some(cryptogram) => card.put(Tag::CRYPTOGRAM, cryptogram),
        // It is in the signature; that of the first answer does not belong to the second.
        None => card.remove(Tag::CRYPTOGRAM),
    }
    if !issuer.is_empty() {
        card.put(Tag::IAD, issuer);
    }
    let (cid, authentic) = if is_signed {
        let checked = cda::check(session, &template, cid);
        (checked.cid, checked.authentic)
    } else {
        (cid, true)
    };
    session.app.card.put(Tag::CID, &[cid]);
    // A reserved type inside the signature says nothing against the one in clear; such a signature is not authentic.
    Ok(Answer { given: Cid(cid).cryptogram().unwrap_or(given), authentic })
}

/// The objects of an answer to GENERATE AC.
#[derive(Default)]
struct Parts<'a> {
    cid: Option<&'a [u8]>,
    atc: Option<&'a [u8]>,
    cryptogram: Option<&'a [u8]>,
    issuer: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// Format 1: CID, counter, cryptogram, and perhaps issuer data, without tags.
    fn split(&mut self, value: &'a [u8]) -> Option<()> {
        let (cid, rest) = value.split_at_checked(1)?;
        let (atc, rest) = rest.split_at_checked(2)?;
        let (cryptogram, issuer) = rest.split_at_checked(8)?;
        *self = Self { cid: Some(cid), atc: Some(atc), cryptogram: Some(cryptogram), issuer: Some(issuer) };
        Some(())
    }

    /// Format 2: one object at a time; others than these are left out. `None` if one appears twice.
    fn take(&mut self, tag: Tag, value: &'a [u8]) -> Option<()> {
        let place = match tag {
            Tag::CID => &mut self.cid,
            Tag::ATC => &mut self.atc,
            Tag::CRYPTOGRAM => &mut self.cryptogram,
            Tag::IAD => &mut self.issuer,
            _ => return Some(()),
        };
        place.replace(value).is_none().then_some(())
    }
}
