//! Application selection where cards are odd: directories with holes, names in other alphabets, lists that go on.
use super::*;

/// A directory record of these entries.
fn record(entries: &[&[(u32, &str)]]) -> String {
    let entry = |objects: &&[(u32, &str)]| {
        tlv(0x61, &objects.iter().map(|(tag, value)| tlv(*tag, value)).collect::<String>())
    };
    tlv(0x70, &entries.iter().map(entry).collect::<String>())
}

fn offered(talk: &Talk) -> Vec<(String, String, bool)> {
    talk.choices().into_iter().map(|c| (c.aid.to_string(), c.label, c.confirm)).collect()
}

/// Entries of other directories, of other schemes, without a name and broken ones are passed over; records that cannot
/// be read or are none too; the rest is offered, each once, those without a priority last.
#[test]
fn a_directory_with_holes_is_read_to_its_end() {
    let label = hex(b"DEBIT");
    let talk = Talk::start(&config(), params())
        .line(&select_directory(), &directory())
        .line("00B2010C00", &record(&[&[(0x9D, DEBIT)], &[(0x4F, DEBIT), (0x50, &label)]]))
        .refused("00B2020C00", "", 0x6A82)
        .line("00B2030C00", "7003610100")
        .line("00B2040C00", "6100")
        .line("00B2050C00", &record(&[&[(0x4F, "A0000000031010")], &[(0x50, &label)], &[(0x4F, "A000")]]))
        .line("00B2060C00", &record(&[&[(0x4F, DEBIT)], &[(0x4F, CREDIT), (0x50, &label), (0x87, "82")]]))
        .refused("00B2070C00", "", 0x6A83);
    assert_eq!(
        offered(&talk),
        [(CREDIT.to_owned(), "DEBIT".to_owned(), true), (DEBIT.to_owned(), "DEBIT".to_owned(), false)]
    );
}

/// A directory without an end is left after its sixteenth record; a file identifier above 10 is none.
#[test]
fn a_directory_is_bounded() {
    let mut talk = Talk::start(&config(), params()).line(&select_directory(), &directory());
    for number in 1..=16 {
        talk = talk.refused(&format!("00B2{number:02X}0C00"), "", 0x6A88);
    }
    talk.expects(&select("A000000333", false));
    let far = tlv(0x6F, &(tlv(0x84, &hex(b"1PAY.SYS.DDF01")) + &tlv(0xA5, "88010B")));
    let talk = Talk::start(&config(), params()).line(&select_directory(), &far);
    talk.expects(&select("A000000333", false));
    let talk = Talk::start(&config(), params()).line(&select_directory(), "6F00");
    talk.expects(&select("A000000333", false));
}

/// The alphabet of a preferred name in the directory is the directory's; the final name is the application's own.
#[test]
fn preferred_names_need_their_alphabet() {
    let mut config = config();
    config.terminal.additional_capabilities[4] = 0x11;
    let cyrillic = tlv(0x6F, &(tlv(0x84, &hex(b"1PAY.SYS.DDF01")) + &tlv(0xA5, "880101 9F110105")));
    let named = record(&[&[(0x4F, DEBIT), (0x50, &hex(b"DEBIT")), (0x9F12, "B4D5D1D5E2"), (0x87, "81")]]);
    let talk = Talk::start(&config, params())
        .line(&select_directory(), &cyrillic)
        .line("00B2010C00", &named)
        .refused("00B2020C00", "", 0x6A83);
    assert_eq!(offered(&talk), [(DEBIT.to_owned(), "Дебет".to_owned(), true)]);
    let talk = Talk::start(&config, params())
        .line(&select_directory(), &directory())
        .line("00B2010C00", &named)
        .refused("00B2020C00", "", 0x6A83);
    assert_eq!(offered(&talk), [(DEBIT.to_owned(), "DEBIT".to_owned(), true)]);
}

/// The list: a blocked occurrence is left out, the next ones are asked for until the card has no more; a card without
/// an end is left after eight; 6A81 is a blocked card on the first question only.
#[test]
fn occurrences_are_asked_for_until_there_are_no_more() {
    let debit = TestCard::new();
    let credit = TestCard { aid: CREDIT, ..TestCard::new() };
    let next = select("A000000333", true);
    let start = || Talk::start(&config(), params()).refused(&select_directory(), "", 0x6A82);
    let talk = start()
        .refused(&select("A000000333", false), &debit.fci(), 0x6283)
        .line(&next, &credit.fci())
        .refused(&next, "", 0x6A81);
    talk.expects(&select(CREDIT, false));
    let mut talk = start().line(&select("A000000333", false), &debit.fci());
    for _ in 1..8 {
        talk = talk.line(&next, &debit.fci());
    }
    talk.expects(&select(DEBIT, false));
    let blocked = start().refused(&select("A000000333", false), "", 0x6A81);
    assert_eq!(verdict(blocked), (Verdict::Blocked, None));
}

/// An application that fails its SELECT leaves the list; the others stay. The last one gone, nothing is accepted.
#[test]
fn an_application_that_fails_leaves_the_list() {
    let debit = TestCard::new();
    let credit = TestCard { aid: CREDIT, ..TestCard::new() };
    let choosing = || {
        Talk::start(&config(), params())
            .line(&select_directory(), &directory())
            .line("00B2010C00", &debit.directory_record())
            .line("00B2020C00", &credit.directory_record())
            .refused("00B2030C00", "", 0x6A83)
            .gives(Input::Chosen(aid(CREDIT)))
    };
    for (data, status) in [("", 0x6A82), ("", 0x6999), ("6F00", 0x9000), (debit.fci().as_str(), 0x9000)] {
        let talk = choosing().refused(&select(CREDIT, false), data, status);
        let talk = talk.refused(&select(DEBIT, false), "", 0x6A82);
        assert_eq!(verdict(talk), (Verdict::NotAccepted, None), "{status:04X}");
    }
    let blocked = choosing().refused(&select(CREDIT, false), &credit.fci(), 0x6283);
    assert_eq!(verdict(blocked.refused(&select(DEBIT, false), "", 0x6A82)), (Verdict::Blocked, None));
    let card_blocked = choosing().refused(&select(CREDIT, false), "", 0x6A81);
    assert_eq!(verdict(card_blocked), (Verdict::Blocked, None));
}
