//! Cards that answer anything: the kernel never panics and always comes to an end.
use super::super::kernel::PinKind;
use super::*;
use crate::domain::secret::ClearPin;
use proptest::prelude::*;

/// Far above the longest conversation that the limits of the phases allow with the configuration below.
const STEPS_MAX: usize = 4000;

/// What a card does with one command.
#[derive(Clone, Debug)]
enum Reply {
    /// As a good card would.
    Good,
    /// As a good card would, with one byte changed.
    Changed(usize, u8),
    /// As a good card would, cut short.
    Cut(usize),
    /// Another status word.
    Status(u16),
    /// Any data.
    Any(Vec<u8>, u16),
}

fn status() -> impl Strategy<Value = u16> {
    let usual = prop::sample::select(vec![0x9000, 0x6283, 0x6A81, 0x6A82, 0x6A83, 0x6985, 0x6300, 0x6F00]);
    prop_oneof![4 => usual, 1 => any::<u16>()]
}

fn reply() -> impl Strategy<Value = Reply> {
    let any_data = prop::collection::vec(any::<u8>(), 0..256);
    prop_oneof![
        12 => Just(Reply::Good),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Reply::Changed(at, byte)),
        1 => any::<usize>().prop_map(Reply::Cut),
        1 => status().prop_map(Reply::Status),
        1 => (any_data, status()).prop_map(|(data, status)| Reply::Any(data, status)),
    ]
}

fn card_says(reply: &Reply, card: &TestCard, command: &CommandApdu, in_directory: bool) -> Input {
    let mut answer = card.answers(command, in_directory);
    match reply {
        Reply::Good => {}
        Reply::Changed(at, byte) => {
            if let Some(last) = answer.data.len().checked_sub(1) {
                answer.data[at % (last + 1)] = *byte;
            }
        }
        Reply::Cut(at) => {
            let length = at % (answer.data.len() + 1);
            answer.data.truncate(length);
        }
        Reply::Status(other) => answer.status = StatusWord(*other),
        Reply::Any(any, other) => {
            answer.data.clone_from(any);
            answer.status = StatusWord(*other);
        }
    }
    Input::Response(answer)
}

/// Plays a conversation to its end; the replies are used in turn.
fn play(replies: &[Reply], pin: PinResult, answer: HostAnswer) -> usize {
    let pins = Pins { list: "", verify: Vec::new(), typed: vec![pin] };
    play_with_pins(replies, &pins, answer).0
}

/// A card that checks PINs, and its holder.
#[derive(Clone, Debug)]
struct Pins {
    /// Tag 8E; empty: as the test card has it.
    list: &'static str,
    /// What VERIFY answers, in turn.
    verify: Vec<u16>,
    /// What the holder does about a PIN for the card, in turn; about one for the bank the first.
    typed: Vec<PinResult>,
}

impl Pins {
    /// What a card that checks PINs says: its tries, a challenge, a verdict.
    fn answer(&self, command: &CommandApdu, step: usize) -> Option<ResponseApdu> {
        let (data, status) = match command.ins {
            0xCA => (unhex("9F170103"), 0x9000),
            0x84 => (vec![7; 8], 0x9000),
            0x20 => (Vec::new(), *self.verify.get(step % self.verify.len().max(1))?),
            _ => return None,
        };
        Some(ResponseApdu { data, status: StatusWord(status) })
    }
}

/// The same with a card that checks PINs. Tells the steps, and how many PINs it was given.
fn play_with_pins(replies: &[Reply], pins: &Pins, answer: HostAnswer) -> (usize, usize) {
    let mut card = TestCard::new();
    let mut config = config();
    if !pins.list.is_empty() {
        card = card.with_pin_key().with(0x8E, pins.list);
        config.capks = [pin_authority()].into();
        config.terminal.capabilities[1] = 0xF8;
    }
    let (mut kernel, mut output) = Kernel::start(&config, params());
    let (mut in_directory, mut verified) = (true, 0);
    for step in 0..STEPS_MAX {
        let input = match &output {
            Output::Transmit(command) => {
                in_directory &= command.ins != 0xA8;
                verified += usize::from(command.ins == 0x20);
                let reply = &replies[step % replies.len()];
                match pins.answer(command, step).filter(|_| matches!(reply, Reply::Good)) {
                    Some(answer) => Input::Response(answer),
                    None => card_says(reply, &card, command, in_directory),
                }
            }
            Output::Choose(candidates) => Input::Chosen(candidates[step % candidates.len()].aid.clone()),
            Output::AskPin(request) if request.kind == PinKind::Online => match &pins.typed[0] {
                PinResult::Typed(_) | PinResult::Presented(_) => Input::PinDone(PinResult::Entered),
                result => Input::PinDone(result.clone()),
            },
            Output::AskPin(_) => Input::PinDone(pins.typed[step % pins.typed.len()].clone()),
            Output::GoOnline(_) => Input::Host(answer.clone()),
            Output::Done(_) => return (step, verified),
        };
        match kernel.step(input) {
            Ok(next) => (kernel, output) = next,
            Err(_) => return (step, verified),
        }
    }
    panic!("no end after {STEPS_MAX} steps");
}

/// Lists with offline PINs, plain and enciphered, with and without signature, alone and before others.
fn offline_pins() -> impl Strategy<Value = Pins> {
    let zeros = "00000000 00000000";
    let lists = vec!["0100", "0300", "0400", "0500", "4103 4403 4203 5E03 1F00", "4400 4100 4300 4500 0200"];
    let lists =
        lists.into_iter().map(|rules| &*format!("{zeros} {rules}").leak()).collect::<Vec<&'static str>>();
    let usual = prop::sample::select(vec![0x9000, 0x63C2, 0x63C1, 0x63CF, 0x63C0, 0x6983, 0x6984, 0x6985]);
    let verify = prop::collection::vec(prop_oneof![6 => usual, 1 => any::<u16>()], 1..20);
    let typed = prop_oneof![
        6 => Just(PinResult::Typed(ClearPin::new(b"1234").unwrap())),
        2 => any::<u16>().prop_map(|status| PinResult::Presented(StatusWord(status))),
        1 => Just(PinResult::Bypassed),
        1 => Just(PinResult::NotAvailable),
    ];
    let typed = prop::collection::vec(typed, 1..8);
    (prop::sample::select(lists), verify, typed).prop_map(|(list, verify, typed)| Pins {
        list,
        verify,
        typed,
    })
}

fn pin() -> impl Strategy<Value = PinResult> {
    prop::sample::select(vec![PinResult::Entered, PinResult::Bypassed, PinResult::NotAvailable])
}

fn host_answer() -> impl Strategy<Value = HostAnswer> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let script = prop_oneof![
        1 => bytes(),
        3 => (prop::sample::select(vec![0x71, 0x72]), bytes()).prop_map(|(tag, commands)| {
            encode(Tag(tag), &encode(Tag::SCRIPT_COMMAND, &commands).unwrap()).unwrap()
        }),
    ];
    let answered =
        (any::<bool>(), any::<[u8; 2]>(), prop::option::of(bytes()), prop::collection::vec(script, 0..12))
            .prop_map(|(approved, response_code, issuer_authentication, scripts)| HostAnswer::Answered {
                approved,
                response_code,
                issuer_authentication,
                scripts,
            });
    prop_oneof![1 => Just(HostAnswer::Unable), 4 => answered]
}

proptest! {
    #[test]
    fn every_conversation_ends(
        replies in prop::collection::vec(reply(), 1..40), pin in pin(), answer in host_answer()
    ) {
        play(&replies, pin, answer);
    }

    /// Goal: a card that checks PINs, plain and enciphered, and a holder who types, cancels or has no pad: it ends all
    /// the same, and no card is given more PINs than 15 under each rule of its list.
    #[test]
    fn every_conversation_about_a_pin_ends(
        replies in prop::collection::vec(reply(), 1..40), pins in offline_pins(), answer in host_answer()
    ) {
        let (_, verified) = play_with_pins(&replies, &pins, answer);
        prop_assert!(verified <= 15 * 5);
    }

    /// Each record object in turn is replaced by anything; the rest of the card is good.
    #[test]
    fn every_record_ends_in_a_verdict_or_an_error(
        at in 0..14_usize, value in prop::collection::vec(any::<u8>(), 0..40), answer in host_answer()
    ) {
        let mut card = TestCard::new();
        card.record[at].1 = hex(&value);
        let (mut kernel, mut output) = Kernel::start(&config(), params());
        let mut in_directory = true;
        for _ in 0..STEPS_MAX {
            let input = match &output {
                Output::Transmit(command) => {
                    in_directory &= command.ins != 0xA8;
                    card_says(&Reply::Good, &card, command, in_directory)
                }
                Output::AskPin(_) => Input::PinDone(PinResult::Entered),
                Output::GoOnline(_) => Input::Host(answer.clone()),
                Output::Choose(_) | Output::Done(_) => return Ok(()),
            };
            match kernel.step(input) {
                Ok(next) => (kernel, output) = next,
                Err(_) => return Ok(()),
            }
        }
        prop_assert!(false, "no end");
    }
}

/// Goal: the generator of PINs reaches a PIN in clear, one under the card's key, and a second one after a wrong one.
#[test]
fn a_good_card_is_given_its_pin() {
    let approved = || HostAnswer::Answered {
        approved: true,
        response_code: *b"00",
        issuer_authentication: None,
        scripts: Vec::new(),
    };
    let typed = vec![PinResult::Typed(ClearPin::new(b"1234").unwrap())];
    for list in ["00000000 00000000 0100", "00000000 00000000 0400"] {
        let given = |verify: &[u16]| {
            let pins = Pins { list, verify: verify.to_vec(), typed: typed.clone() };
            play_with_pins(&[Reply::Good], &pins, approved()).1
        };
        assert_eq!(given(&[0x9000]), 1, "{list}");
        assert_eq!(given(&[0x63CF]), 15, "{list}: a card that never counts down");
    }
}

/// The generator above reaches the end of a sale, not only errors.
#[test]
fn a_good_card_comes_to_the_end() {
    let answer = HostAnswer::Answered {
        approved: true,
        response_code: *b"00",
        issuer_authentication: Some(vec![0; 8]),
        scripts: Vec::new(),
    };
    assert_eq!(play(&[Reply::Good], PinResult::Entered, answer), 11);
}
