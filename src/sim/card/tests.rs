//! The simulated card seen from a terminal, and its bank beside it.
use super::*;
use crate::domain::emv::tlv::{Reader, Tag, TagStore};
use crate::sim::{conversation, issuer};
use sha1::Digest as _;

mod pins;
mod signing;
mod with_kernel;

/// A terminal's hand: sends commands as the reader would, follows 61xx and 6Cxx.
struct Bench(Card);

impl Bench {
    fn preset(name: &str) -> Self {
        Self(Card::new(Profile::preset(name).unwrap()))
    }

    fn changed(text: &str) -> Self {
        Self(Card::new(Profile::from_toml(text).unwrap()))
    }

    fn send(&mut self, header: [u8; 4], data: &[u8]) -> ResponseApdu {
        self.exchange(header, data, Some(0))
    }

    fn exchange(&mut self, header: [u8; 4], data: &[u8], le: Option<u8>) -> ResponseApdu {
        let [cla, ins, p1, p2] = header;
        let command = CommandApdu { cla, ins, p1, p2, data: data.to_vec(), le };
        conversation::exchange(&mut self.0, &command).expect("an answer")
    }

    fn ok(&mut self, header: [u8; 4], data: &[u8]) -> Vec<u8> {
        let response = self.send(header, data);
        assert_eq!(response.status, StatusWord::OK, "{header:02X?}");
        response.data.clone()
    }

    fn word(&mut self, header: [u8; 4], data: &[u8]) -> u16 {
        self.send(header, data).status.0
    }

    /// Selects the first application and opens it; returns AIP and AFL.
    fn open(&mut self) -> Vec<u8> {
        let aid = self.0.profile.applications[0].aid.clone();
        self.ok([0, 0xA4, 4, 0], &aid);
        let wanted = if self.0.profile.applications[0].pdol.is_empty() { 0 } else { 9 };
        let data = [&[0x83, wanted][..], &vec![0; usize::from(wanted)]].concat();
        self.ok([0x80, 0xA8, 0, 0], &data)
    }
}

/// All primitive objects below the templates of an answer.
fn flat(bytes: &[u8], into: &mut TagStore) {
    for object in Reader::new(bytes) {
        let object = object.unwrap();
        if object.tag.is_constructed() {
            flat(object.value, into)
        } else {
            into.put(object.tag, object.value)
        }
    }
}

fn objects(bytes: &[u8]) -> TagStore {
    let mut tags = TagStore::default();
    flat(bytes, &mut tags);
    tags
}

/// The terminal's data of a purchase of 12.34.
fn terminal() -> TagStore {
    let mut tags = TagStore::default();
    let values: [(u32, &[u8]); 11] = [
        (0x9F02, &[0, 0, 0, 0, 0x12, 0x34]),
        (0x9F03, &[0; 6]),
        (0x9F1A, &[0x01, 0x56]),
        (0x95, &[0x80, 0, 0, 0x80, 0]),
        (0x5F2A, &[0x01, 0x56]),
        (0x9A, &[0x26, 0x05, 0x17]),
        (0x9C, &[0]),
        (0x9F37, &[0xDE, 0xAD, 0xBE, 0xEF]),
        (0x9F21, &[0x12, 0x30, 0x59]),
        (0x9F4E, &[b' '; 20]),
        (0x8A, b"00"),
    ];
    values.into_iter().for_each(|(tag, value)| tags.put(Tag(tag), value));
    tags
}

/// Fills a list of this card with the terminal's data, zeros where it has none.
fn filled(list: &[u8], tags: &TagStore) -> Vec<u8> {
    let mut rest = list;
    let mut data = Vec::new();
    while let [a, tail @ ..] = rest {
        let two = a & 0x1F == 0x1F;
        let tag = if two { u32::from(*a) << 8 | u32::from(tail[0]) } else { u32::from(*a) };
        let length = usize::from(tail[usize::from(two)]);
        data.extend_from_slice(tags.value(Tag(tag)).unwrap_or(&vec![0; length]));
        rest = &tail[usize::from(two) + 1..];
    }
    data
}

/// Goes online: returns the terminal's tags with the card's ARQC, ATC, IAD and AIP among them.
fn go_online(bench: &mut Bench) -> TagStore {
    bench.open();
    let list = bench.0.profile.applications[0].cdol1.clone();
    let mut tags = terminal();
    let answer = bench.ok([0x80, 0xAE, 0x80, 0], &filled(&list, &tags));
    take_ac(&answer, &mut tags);
    let aip = content::aip(&bench.0.profile.applications[0]);
    tags.put(Tag(0x82), &aip);
    tags
}

/// Reads the answer of a GENERATE AC of either format.
fn take_ac(answer: &[u8], tags: &mut TagStore) {
    let read = objects(answer);
    if let Some(row) = read.value(Tag(0x80)) {
        tags.put(Tag(0x9F27), &row[..1]);
        tags.put(Tag(0x9F36), &row[1..3]);
        tags.put(Tag(0x9F26), &row[3..11]);
        tags.put(Tag(0x9F10), &row[11..]);
    } else {
        read.iter().for_each(|(tag, value)| tags.put(tag, value));
    }
}

fn bank(bench: &Bench, tags: &TagStore, arc: [u8; 2]) -> (bool, [u8; 10]) {
    let application = &bench.0.profile.applications[0];
    let (imk, pan, psn) = (&application.imk, &application.pan, application.sequence);
    let good = issuer::verify_arqc(imk, pan, psn, tags).unwrap();
    (good, issuer::authentication_data(imk, pan, psn, tags, arc).unwrap())
}

fn cid(answer: &[u8]) -> u8 {
    let mut tags = TagStore::default();
    take_ac(answer, &mut tags);
    tags.value(Tag(0x9F27)).unwrap()[0]
}

/// Second GENERATE AC asking for a TC.
fn second(bench: &mut Bench, tags: &mut TagStore, answer: Option<[u8; 10]>) -> u8 {
    if let Some(answer) = answer {
        tags.put(Tag(0x91), &answer);
    }
    let list = content::cdol2(&bench.0.profile.applications[0]);
    cid(&bench.ok([0x80, 0xAE, 0x40, 0], &filled(&list, tags)))
}

/// The directory names the application, its records hold what a terminal needs, and T=0 is spoken on the way.
#[test]
fn a_terminal_finds_the_application_and_reads_it() {
    let mut bench = Bench::preset("unionpay");
    bench.ok([0, 0xA4, 4, 0], content::PSE);
    let entry = objects(&bench.ok([0, 0xB2, 1, 0x0C], &[]));
    assert_eq!(entry.value(Tag(0x4F)), Some(&[0xA0, 0, 0, 3, 0x33, 1, 1, 1][..]));
    assert_eq!(bench.word([0, 0xB2, 2, 0x0C], &[]), 0x6A83);
    let options = objects(&bench.open());
    assert_eq!(options.value(Tag(0x94)), Some(&content::afl(&bench.0.profile.applications[0])[..]));
    let mut read = TagStore::default();
    for (record, sfi) in [(1, 0x0C), (1, 0x14), (2, 0x14)] {
        flat(&bench.ok([0, 0xB2, record, sfi], &[]), &mut read);
    }
    for tag in [0x57, 0x5A, 0x5F20, 0x5F24, 0x5F25, 0x5F28, 0x5F34, 0x8C, 0x8D, 0x8E, 0x9F07, 0x9F0D, 0x9F42]
    {
        assert!(read.contains(Tag(tag)), "{tag:X}");
    }
    assert_eq!(read.value(Tag(0x5A)).unwrap(), [0x62, 0x25, 0x88, 0, 0x12, 0x34, 0x56, 0x75]);
    assert_eq!(read.value(Tag(0x57)).unwrap()[8], 0xD3);
    assert!(bench.0.log().iter().any(|entry| entry.status.starts_with("61")), "case 4 under T=0");
    assert!(bench.0.log().iter().any(|entry| entry.status.starts_with("6C")), "case 2 under T=0");
}

/// Every preset that goes online: the bank believes the ARQC, the card believes the bank and gives a TC.
#[test]
fn card_and_bank_believe_each_other() {
    for name in PRESETS.into_iter().filter(|name| !name.starts_with("declines")) {
        let mut bench = Bench::preset(name);
        let mut tags = go_online(&mut bench);
        let (good, answer) = bank(&bench, &tags, *b"00");
        assert!(good, "{name}");
        let in_second =
            bench.0.profile.applications[0].issuer_authentication == IssuerAuthentication::InSecondAc;
        if !in_second {
            assert_eq!(bench.word([0, 0x82, 0, 0], &answer), 0x9000, "{name}");
            assert_eq!(bench.word([0, 0x82, 0, 0], &answer), 0x6985, "{name}: only once");
        }
        let given = second(&mut bench, &mut tags, in_second.then_some(answer));
        assert_eq!(given, 0x40, "{name}");
    }
}

/// A wrong ARPC ends in an AAC, by either way of issuer authentication.
#[test]
fn a_card_does_not_believe_a_wrong_bank() {
    for way in ["external-authenticate", "in-second-ac"] {
        let mut bench = Bench::changed(&format!("issuer-authentication = '{way}'"));
        let mut tags = go_online(&mut bench);
        let (_, mut answer) = bank(&bench, &tags, *b"00");
        answer[0] ^= 1;
        if way == "external-authenticate" {
            assert_eq!(bench.word([0, 0x82, 0, 0], &answer), 0x6300);
        }
        assert_eq!(second(&mut bench, &mut tags, Some(answer)), 0x00, "{way}");
    }
    let mut bench = Bench::changed("issuer-authentication-mandatory = true");
    let mut tags = go_online(&mut bench);
    assert_eq!(second(&mut bench, &mut tags, None), 0x00, "no ARPC at all");
}

#[test]
fn a_card_may_decline_at_either_cryptogram() {
    let mut bench = Bench::preset("declines-offline");
    bench.open();
    let list = bench.0.profile.applications[0].cdol1.clone();
    assert_eq!(cid(&bench.ok([0x80, 0xAE, 0x80, 0], &filled(&list, &terminal()))), 0x00);

    let mut bench = Bench::preset("declines-after-approval");
    let mut tags = go_online(&mut bench);
    let (_, answer) = bank(&bench, &tags, *b"00");
    assert_eq!(bench.word([0, 0x82, 0, 0], &answer), 0x9000);
    assert_eq!(second(&mut bench, &mut tags, None), 0x00);
}

#[test]
fn a_card_gives_no_more_than_it_is_asked_for() {
    for (profile, asked, given) in [("", 0x40, 0x40), ("first-ac = 'online'", 0x40, 0x80), ("", 0x00, 0x00)] {
        let mut bench = Bench::changed(profile);
        bench.open();
        let list = bench.0.profile.applications[0].cdol1.clone();
        let answer = bench.ok([0x80, 0xAE, asked, 0], &filled(&list, &terminal()));
        assert_eq!(cid(&answer), given, "{profile} {asked:02X}");
    }
}

#[test]
fn commands_out_of_order_answer_6985_and_power_off_forgets() {
    let mut bench = Bench::preset("visa");
    assert_eq!(bench.word([0x80, 0xA8, 0, 0], &[0x83, 0]), 0x6985);
    assert_eq!(bench.word([0, 0xB2, 1, 0x0C], &[]), 0x6985);
    let first = objects(&bench.ok([0, 0xA4, 4, 0], &[0xA0, 0, 0, 0, 3, 0x10, 0x10]));
    assert!(first.contains(Tag(0x9F12)));
    assert_eq!(bench.word([0x80, 0xAE, 0x80, 0], &[]), 0x6985, "no GPO yet");
    assert_eq!(bench.word([0x84, 0x1E, 0, 0], &[0; 8]), 0x6985, "no script yet");
    bench.open();
    assert_eq!(bench.word([0x80, 0xA8, 0, 0], &[0x83, 0]), 0x6985, "GPO twice");
    assert_eq!(bench.word([0x80, 0xAE, 0x80, 0], &[1, 2, 3]), 0x6700);
    bench.0.reset();
    assert_eq!(bench.word([0x80, 0xA8, 0, 0], &[0x83, 0]), 0x6985, "forgotten");
}

/// A partial name finds both applications in turn and then nothing.
#[test]
fn the_next_occurrence_is_found_by_a_partial_name() {
    let mut bench = Bench::preset("two-applications");
    let partial = [0xA0, 0, 0, 3, 0x33];
    let name = |bytes: &[u8]| objects(bytes).value(Tag(0x84)).unwrap().to_vec();
    assert_eq!(name(&bench.ok([0, 0xA4, 4, 0], &partial)).last(), Some(&1));
    assert_eq!(name(&bench.ok([0, 0xA4, 4, 2], &partial)).last(), Some(&2));
    assert_eq!(bench.word([0, 0xA4, 4, 2], &partial), 0x6A82);
    assert_eq!(Bench::preset("no-pse").word([0, 0xA4, 4, 0], content::PSE), 0x6A82);
}

#[test]
fn the_transaction_counter_counts_and_survives_power_off() {
    let mut bench = Bench::preset("unionpay");
    let counter =
        |bench: &mut Bench| objects(&bench.ok([0x80, 0xCA, 0x9F, 0x36], &[])).value(Tag(0x9F36)).unwrap()[1];
    bench.open();
    assert_eq!(counter(&mut bench), 0x11);
    bench.0.inserted();
    bench.open();
    assert_eq!(counter(&mut bench), 0x12);
    assert_eq!(bench.word([0x80, 0xCA, 0x9F, 0x4F], &[]), 0x6A88);
}

#[test]
fn scripts_are_taken_or_refused_as_the_profile_says() {
    for (profile, word) in [("", 0x9000), ("scripts = 'refuse'", 0x6988)] {
        let mut bench = Bench::changed(profile);
        go_online(&mut bench);
        assert_eq!(bench.word([0x04, 0xDA, 0x9F, 0x58], &[1, 2, 3, 4, 5]), word);
    }
}

/// Wrong PINs spend tries, power-off gives none back, a good one gives all; GET DATA and the CVR tell.
#[test]
fn pin_tries_are_counted_and_survive_power_off() {
    let mut bench = Bench::preset("offline-pin");
    let block = |pin: u8| [0x24, 0x12, pin, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
    let left = |bench: &mut Bench| bench.ok([0x80, 0xCA, 0x9F, 0x17], &[])[3];
    let aid = bench.0.profile.applications[0].aid.clone();
    bench.ok([0, 0xA4, 4, 0], &aid);
    assert_eq!(bench.word([0, 0x20, 0, 0x80], &block(0x34)), 0x6985, "no GPO yet");
    bench.open();
    assert_eq!(left(&mut bench), 3);
    assert_eq!(bench.word([0, 0x20, 0, 0x80], &block(0x99)), 0x63C2);
    bench.0.reset();
    bench.open();
    assert_eq!((bench.word([0, 0x20, 0, 0x80], &block(0x99)), left(&mut bench)), (0x63C1, 1));
    assert_eq!((bench.word([0, 0x20, 0, 0x80], &block(0x34)), left(&mut bench)), (0x9000, 3));
    let tags = go_online(&mut bench);
    assert_eq!(tags.value(Tag(0x9F10)).unwrap()[4] & 0x06, 0, "not yet in this transaction");
    bench.open();
    for word in [0x63C2, 0x63C1, 0x63C0, 0x6983] {
        assert_eq!(bench.word([0, 0x20, 0, 0x80], &block(0x99)), word);
    }
    assert_eq!(bench.word([0, 0x20, 0, 0x80], &block(0x34)), 0x6983, "blocked");
    assert_eq!(bench.word([0, 0x20, 0, 0x80], &[0x24, 0x12]), 0x6700);
    assert_eq!(bench.word([0, 0x20, 0, 0x81], &block(0x34)), 0x6A86);
    assert_eq!(Bench::preset("unionpay").word([0, 0x20, 0, 0x80], &block(0x34)), 0x6985);
}

/// Takes a signature apart with the signer's public key and checks what every one must have; gives what is inside.
fn recovered(signer: &keys::KeyPair, signature: &[u8], extra: &[u8]) -> Vec<u8> {
    let block = keys::power(signature, &signer.exponent, &signer.modulus);
    let [0x6A, inside @ .., 0xBC] = block.as_slice() else { panic!("header and trailer: {block:02X?}") };
    let (inside, hash) = inside.split_last_chunk::<20>().unwrap();
    assert_eq!(sha1::Sha1::digest([inside, extra].concat()).as_slice(), hash);
    inside.to_vec()
}

/// Static, dynamic and combined authentication: every signature of the chain opens with the key above it, and what is
/// signed is what the card says.
#[test]
fn the_signatures_of_a_card_open_from_the_ca_down() {
    let keys = keys::keys();
    for oda in ["sda", "dda", "cda"] {
        let mut bench = Bench::changed(&format!("oda = '{oda}'\npin-key = true"));
        let aip = objects(&bench.open()).value(Tag(0x82)).unwrap().to_vec();
        let (mut read, mut marked) = (TagStore::default(), Vec::new());
        for (record, sfi) in [(1, 0x0C), (1, 0x14), (2, 0x14), (1, 0x1C), (2, 0x1C), (3, 0x1C)] {
            let answer = bench.ok([0, 0xB2, record, sfi], &[]);
            let inside = Reader::new(&answer).next().unwrap().unwrap().value.to_vec();
            flat(&answer, &mut read);
            if sfi == 0x14 {
                marked.extend(inside);
            }
        }
        marked.extend(&aip);
        let value = |tag| read.value(Tag(tag)).unwrap_or_default();
        let issuer = recovered(&keys.ca, value(0x90), &[value(0x92), value(0x9F32)].concat());
        assert_eq!(issuer[..5], [0x02, 0x62, 0x25, 0x88, 0xFF]);
        assert_eq!([&issuer[14..], value(0x92)].concat(), keys.issuer.modulus);
        let pin = recovered(&keys.issuer, value(0x9F2D), value(0x9F2E));
        assert_eq!(pin[20..116], keys.pin.modulus);
        if oda == "sda" {
            assert_eq!(recovered(&keys.issuer, value(0x93), &marked)[..2], [0x03, 0x01]);
            continue;
        }
        let icc = recovered(&keys.issuer, value(0x9F46), &[value(0x9F48), value(0x9F47), &marked].concat());
        assert_eq!([&icc[20..], value(0x9F48)].concat(), keys.icc.modulus);
        let signed = objects(&bench.ok([0, 0x88, 0, 0], &[1, 2, 3, 4])).value(Tag(0x9F4B)).unwrap().to_vec();
        assert_eq!(recovered(&keys.icc, &signed, &[1, 2, 3, 4])[..4], [0x05, 0x01, 9, 8]);
        let list = bench.0.profile.applications[0].cdol1.clone();
        let data = filled(&list, &terminal());
        let answer = objects(&bench.ok([0x80, 0xAE, 0x90, 0], &data));
        assert_eq!(answer.contains(Tag(0x9F26)), oda == "dda");
        if oda == "cda" {
            let inside = recovered(&keys.icc, answer.value(Tag(0x9F4B)).unwrap(), &[0xDE, 0xAD, 0xBE, 0xEF]);
            assert_eq!((inside[3], inside[12]), (8, 0x80), "dynamic number, CID");
            let encoded =
                [0x9F27, 0x9F36, 0x9F10].map(|tag| content::object(tag, answer.value(Tag(tag)).unwrap()));
            let hash = sha1::Sha1::digest([vec![0; 9], data, encoded.concat()].concat());
            assert_eq!(inside[21..41], *hash);
        }
    }
}

/// An enciphered PIN is taken under either key, once for each challenge.
#[test]
fn an_enciphered_pin_needs_the_challenge_of_the_card() {
    for own in [true, false] {
        let mut bench = Bench::changed(&format!("preset = 'enciphered-pin'\npin-key = {own}"));
        bench.open();
        let key = if own { &keys::keys().pin } else { &keys::keys().icc };
        let enciphered = |challenge: &[u8], pin: u8| {
            let block = [0x24, 0x12, pin, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
            let mut clear = [&[0x7F], block.as_slice(), challenge].concat();
            clear.resize(key.modulus.len(), 0x5A);
            keys::power(&clear, &key.exponent, &key.modulus)
        };
        assert_eq!(bench.word([0, 0x20, 0, 0x88], &enciphered(&[0; 8], 0x34)), 0x6985, "no challenge");
        let challenge = bench.ok([0, 0x84, 0, 0], &[]);
        assert_eq!(bench.word([0, 0x20, 0, 0x88], &enciphered(&challenge, 0x35)), 0x63C2, "wrong PIN");
        assert_eq!(bench.word([0, 0x20, 0, 0x88], &enciphered(&challenge, 0x34)), 0x6985, "used up");
        assert_eq!(bench.ok([0, 0x84, 0, 0], &[]).len(), 8);
        assert_eq!(
            bench.word([0, 0x20, 0, 0x88], &enciphered(&challenge, 0x34)),
            0x63C1,
            "another challenge"
        );
        let challenge = bench.ok([0, 0x84, 0, 0], &[]);
        assert_eq!(bench.word([0, 0x20, 0, 0x88], &enciphered(&challenge, 0x34)), 0x9000);
    }
}

/// The profile's own objects replace, remove and add; a blocked card and a DDF entry look as they should.
#[test]
fn a_profile_may_change_any_object() {
    let mut bench = Bench::changed(
        "ddf = true\npin = '1234'\nobjects = { 9F08 = '', 9F42 = '0840', 9F14 = '03', 9F17 = '' }",
    );
    bench.ok([0, 0xA4, 4, 0], content::PSE);
    assert!(objects(&bench.ok([0, 0xB2, 1, 0x0C], &[])).contains(Tag(0x9D)));
    assert!(objects(&bench.ok([0, 0xB2, 2, 0x0C], &[])).contains(Tag(0x4F)));
    bench.open();
    let mut read = TagStore::default();
    for (record, sfi) in [(1, 0x0C), (1, 0x14), (2, 0x14)] {
        flat(&bench.ok([0, 0xB2, record, sfi], &[]), &mut read);
    }
    assert!(!read.contains(Tag(0x9F08)) && !read.contains(Tag(0x9F17)));
    assert_eq!(read.value(Tag(0x9F42)), Some(&[0x08, 0x40][..]));
    assert_eq!(read.value(Tag(0x9F14)), Some(&[3][..]));
    assert_eq!(bench.word([0x80, 0xCA, 0x9F, 0x17], &[]), 0x6A88);
    assert_eq!(Bench::changed("card-blocked = true").word([0, 0xA4, 4, 0], content::PSE), 0x6A81);
}

/// A card that checks script MACs takes its issuer's command, before and after the second cryptogram, and no other.
#[test]
fn a_script_needs_the_mac_of_its_issuer() {
    for preset in ["unionpay", "visa"] {
        let mut bench = Bench::changed(&format!("preset = '{preset}'\nscripts = 'check'"));
        let mut tags = go_online(&mut bench);
        let application = bench.0.profile.applications[0].clone();
        let header = [0x04, 0xDA, 0x9F, 0x58];
        let of = issuer::ScriptOf {
            pan: &application.pan,
            psn: application.sequence,
            atc: bench.0.atc,
            arqc: tags.array(Tag(0x9F26)).unwrap(),
        };
        let whole = [4, 0xDA, 0x9F, 0x58, 12];
        let mac = issuer::script_mac(application.cvn, &issuer::TEST_IMK_SMI, of, whole, &[1, 2, 3, 4]);
        let data = [&[1, 2, 3, 4], mac.as_slice()].concat();
        assert_eq!(bench.word(header, &data), 0x9000, "{preset}");
        assert_eq!(bench.word(header, &[&[9, 2, 3, 4], mac.as_slice()].concat()), 0x6988, "{preset}");
        assert_eq!(bench.word(header, &[1, 2]), 0x6988, "{preset}");
        second(&mut bench, &mut tags, None);
        assert_eq!(bench.word(header, &data), 0x9000, "{preset}");
    }
}

/// Each kind of fault strikes at its step, once, and then the card is well again.
#[test]
fn faults_strike_where_they_are_switched_on() {
    let mut bench = Bench::preset("visa");
    bench.0.add_fault("gpo status:6985".parse().unwrap());
    bench.0.add_fault("apdu:4 garbage".parse().unwrap());
    bench.0.add_fault("read-record remove".parse().unwrap());
    let aid = [0xA0, 0, 0, 0, 3, 0x10, 0x10];
    bench.ok([0, 0xA4, 4, 0], &aid);
    assert_eq!(bench.word([0x80, 0xA8, 0, 0], &[0x83, 0]), 0x6985);
    bench.ok([0x80, 0xA8, 0, 0], &[0x83, 0]);
    let garbage = bench.ok([0x80, 0xCA, 0x9F, 0x36], &[]);
    assert!(Reader::new(&garbage).any(|object| object.is_err()));
    assert!(bench.0.transmit(&[0, 0xB2, 1, 0x0C, 0]) == Reply::Removed);
    bench.0.add_fault("select mute always".parse().unwrap());
    assert!(bench.0.transmit(&[0, 0xA4, 4, 0, 2, 1, 2]) == Reply::Mute);
    assert!(bench.0.transmit(&[0, 0xA4, 4, 0, 2, 1, 2]) == Reply::Mute);
    bench.0.clear_faults();
    assert_eq!(bench.word([0, 0xA4, 4, 0], &[1, 2]), 0x6A82);
}

#[test]
fn the_log_keeps_no_card_data() {
    let mut bench = Bench::preset("unionpay");
    bench.open();
    bench.ok([0, 0xB2, 1, 0x14], &[]);
    bench.word([0, 0x20, 0, 0x80], &[0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    let log = format!("{:?}", bench.0.log());
    assert!(log.contains("00200080\""), "{log}");
    assert!(!log.contains("622588") && !log.contains("241234"), "{log}");
}
