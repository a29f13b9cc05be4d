//! A whole purchase with a PIN for the card, through the adapter, at a reader with a PIN pad of its own: kernel,
//! adapter and a simulated card. The pad is a fake that does what PC/SC part 10 says of the structure it is given: the
//! virtual reader of Debian's vpcd cannot show one, so nothing here proves what a real pad does.
use super::reader::{Reader, Says};
use super::{Engine, FEATURES, LONG};
use crate::domain::emv::kernel::{HostAnswer, Input, Kernel, Output, PinKind, PinResult, Verdict};
use crate::domain::emv::tlv::Tag;
use crate::ports::{CardEvent, PadAnswer, PadAsk};
use crate::sim::card::{Card, Profile, Reply};
use crate::sim::conversation::{purchase, terminal};

/// A reader with a PIN pad and this card, at which these PINs are typed.
fn reader_with(card: &str, pins: &[&str]) -> Reader {
    let mut card = Card::new(Profile::from_toml(card).unwrap());
    let reader = Reader::new();
    let atr = card.atr().to_vec();
    reader.set(|inside| {
        inside.atr = atr;
        inside.features = Says::Bytes(FEATURES.to_vec());
        inside.pad = pins.iter().map(|pin| Says::Types((*pin).to_owned())).collect();
        inside.chip = Some(Box::new(move |command| match card.transmit(command) {
            Reply::Answer(bytes) => bytes,
            Reply::Mute | Reply::Removed => panic!("this card answers"),
        }));
    });
    reader
}

/// Goal: the PIN goes from the pad to the card alone, a wrong one is asked for again, and the kernel writes down what
/// the card has checked.
#[test]
fn a_purchase_with_a_pin_typed_at_the_reader() {
    let reader = reader_with("preset = 'offline-pin'\nprotocol = 't1'\n", &["9999", "1234"]);
    let mut engine = Engine::start(&reader, LONG);
    engine.status_until(|status| status.pin_pad);
    reader.insert();
    engine.until(|event| *event == CardEvent::Inserted);
    engine.power_on().unwrap();
    let (mut kernel, mut output) = Kernel::start(&terminal(), purchase());
    let mut asked = Vec::new();
    let conclusion = loop {
        let input = match output {
            Output::Transmit(command) => Input::Response(engine.exchange(command).unwrap()),
            Output::AskPin(request) => {
                asked.push((request.kind, request.tries_left, request.again));
                engine.ask_pin(PadAsk::plain(30));
                let PadAnswer::Presented(status) = engine.pin().unwrap() else { panic!("no PIN") };
                Input::PinDone(PinResult::Presented(status))
            }
            Output::GoOnline(_) => Input::Host(HostAnswer::Answered {
                approved: true,
                response_code: *b"00",
                issuer_authentication: None,
                scripts: Vec::new(),
            }),
            Output::Choose(candidates) => Input::Chosen(candidates[0].aid.clone()),
            Output::Done(conclusion) => break conclusion,
        };
        (kernel, output) = kernel.step(input).unwrap();
    };
    assert_eq!(conclusion.verdict, Verdict::Approved);
    let card = conclusion.card.unwrap();
    assert_eq!(card.tags.value(Tag::CVM_RESULTS), Some(&[0x41, 0x03, 0x02][..]));
    assert_eq!(asked, [(PinKind::OfflinePlain, Some(3), false), (PinKind::OfflinePlain, Some(2), true)]);
    let inside = reader.inside();
    assert_eq!(inside.told_pad.len(), 2);
    assert!(inside.wire.iter().all(|command| command[1] != 0x20), "no PIN on the host's side of the reader");
}
