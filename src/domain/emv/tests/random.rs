//! Cards that answer anything: the kernel never panics and always comes to an end.
use super::*;
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
    let card = TestCard::new();
    let (mut kernel, mut output) = Kernel::start(&config(), params());
    let mut in_directory = true;
    for step in 0..STEPS_MAX {
        let input = match &output {
            Output::Transmit(command) => {
                in_directory &= command.ins != 0xA8;
                card_says(&replies[step % replies.len()], &card, command, in_directory)
            }
            Output::Choose(candidates) => Input::Chosen(candidates[step % candidates.len()].aid.clone()),
            Output::AskPin(_) => Input::PinDone(pin.clone()),
            Output::GoOnline(_) => Input::Host(answer.clone()),
            Output::Done(_) => return step,
        };
        match kernel.step(input) {
            Ok(next) => (kernel, output) = next,
            Err(_) => return step,
        }
    }
    panic!("no end after {STEPS_MAX} steps");
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
