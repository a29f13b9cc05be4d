//! The line between terminal and bank, and what can happen to one message and its answer.
use super::{Flow, World};
use crate::domain::txn::Garbled;

/// What goes wrong with one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Net {
    /// The power fails before it leaves.
    CutBefore,
    /// The power fails when the bank has it.
    CutSeen,
    /// The line breaks before a byte has left.
    LostBefore,
    /// The line breaks after the socket took it; the bank has not seen it.
    LostUnseen,
    /// The line breaks before the socket says so, but the bank has it.
    LostSeen,
    /// The socket and the bank have it, and the line breaks before the answer.
    LostAnswer,
    /// The bank has it, and its answer gets lost.
    Silence,
    /// It gets lost without a trace.
    Unseen,
    /// The bank's answer comes after the terminal has given up.
    Late,
    /// The answer comes twice.
    Double,
    /// The answer's MAC is wrong.
    BadMac,
    /// The answer cannot be read.
    Garbled,
    /// The bank does not want to.
    Refuses,
    /// The bank does not accept the terminal's keys.
    RefusesKeys,
    /// The bank approves a part.
    Part,
    /// It stays on its way, and arrives when nobody expects it any more.
    Floats,
}

const WAYS: [Net; 16] = [
    Net::CutBefore,
    Net::CutSeen,
    Net::LostBefore,
    Net::LostUnseen,
    Net::LostSeen,
    Net::LostAnswer,
    Net::Silence,
    Net::Unseen,
    Net::Late,
    Net::Double,
    Net::BadMac,
    Net::Garbled,
    Net::Refuses,
    Net::RefusesKeys,
    Net::Part,
    Net::Floats,
];

/// In which mood the bank answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// As it should.
    Willing,
    /// It does not want to.
    Refuses,
    /// It does not accept the terminal's keys.
    RefusesKeys,
    /// For a part only.
    Part,
}

impl Mood {
    /// Field 39 of its refusal; `None`: it does not refuse.
    pub(super) const fn refusal(self, otherwise: &'static str) -> Option<&'static str> {
        match self {
            Self::Willing | Self::Part => None,
            Self::Refuses => Some(otherwise),
            Self::RefusesKeys => Some("A0"),
        }
    }
}

/// What the terminal hears on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard<A> {
    /// The socket took it.
    Sent,
    /// A good answer.
    Answer(A),
    /// No usable answer.
    Garbled(Garbled),
    /// The line broke. True if a byte may have left.
    Lost(bool),
}

/// What one message brings.
#[derive(Clone, Debug)]
pub(super) struct Exchange<A> {
    /// At once, in order.
    pub(super) heard: Vec<Heard<A>>,
    /// After the terminal has given up.
    pub(super) late: Option<A>,
    /// The bank has not seen it yet, but will.
    pub(super) floats: bool,
}

impl World {
    /// A line is open, or is opened now. False: there is none.
    pub(super) fn open_line(&mut self) -> bool {
        if !self.memory.line {
            self.memory.line = self.fails(&[()]).is_none();
            self.memory.line_of = None;
            if !self.memory.line {
                self.note(&"no line");
            }
        }
        self.memory.line
    }

    /// Carries one message to the bank and its answer back.
    pub(super) fn exchange<A: Clone>(
        &mut self,
        what: &'static str,
        ask: impl FnOnce(&mut Self, Mood) -> A,
    ) -> Flow<Exchange<A>> {
        let way = self.fails(&WAYS);
        self.note(&format_args!("send {what}{}", way.map(|w| format!(" ({w:?})")).unwrap_or_default()));
        let mood = match way {
            Some(Net::Refuses) => Mood::Refuses,
            Some(Net::RefusesKeys) => Mood::RefusesKeys,
            Some(Net::Part) => Mood::Part,
            _ => Mood::Willing,
        };
        let unseen = matches!(
            way,
            Some(Net::CutBefore | Net::LostBefore | Net::LostUnseen | Net::Unseen | Net::Floats)
        );
        let answer = if unseen { None } else { Some(ask(self, mood)) };
        let mut exchange = Exchange { heard: vec![Heard::Sent], late: None, floats: false };
        let heard = &mut exchange.heard;
        match (way, answer) {
            (Some(Net::CutBefore), _) => return self.cut("before the first byte"),
            (Some(Net::CutSeen), _) => return self.cut("the bank has it"),
            (Some(Net::LostBefore), _) => *heard = vec![Heard::Lost(false)],
            (Some(Net::LostUnseen | Net::LostAnswer), _) => heard.push(Heard::Lost(true)),
            (Some(Net::LostSeen), _) => *heard = vec![Heard::Lost(true)],
            (Some(Net::Floats), _) => exchange.floats = true,
            (Some(Net::Late), answer) => exchange.late = answer,
            (Some(Net::Double), Some(answer)) => {
                heard.extend([Heard::Answer(answer.clone()), Heard::Answer(answer)]);
            }
            (Some(Net::BadMac), _) => heard.push(Heard::Garbled(Garbled::Mac)),
            (Some(Net::Garbled), _) => heard.push(Heard::Garbled(Garbled::Content)),
            (Some(Net::Silence | Net::Unseen), _) | (_, None) => {}
            (_, Some(answer)) => heard.push(Heard::Answer(answer)),
        }
        let dead = matches!(exchange.heard.last(), Some(Heard::Sent | Heard::Lost(_) | Heard::Garbled(_)));
        if dead {
            self.memory.line = false;
        }
        Ok(exchange)
    }

    /// Requests that were still on their way reach the bank.
    pub(super) fn land(&mut self) {
        for asked in core::mem::take(&mut self.floating) {
            let said = self.bank.ask(&asked, None, false);
            self.note(&format_args!("a request of {:?} reaches the bank late: {}", asked.name, said.code));
        }
    }
}
