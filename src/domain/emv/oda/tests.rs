//! Certificate chains and signatures of cards that others made: tests/data/crypto/chains.toml. Whole conversations with
//! cards that sign, good and spoilt, are in the suite (`second_terminal`) and in `emv/tests/recorded.rs`.
use super::super::params::{Aid, Capk, EmvConfig, Revocation, TxnParams};
use super::super::results::CryptogramType;
use super::super::session::Identity;
use super::super::tests::{config, params, unhex};
use super::super::tlv::{TagStore, encode, single};
use super::signed::Recovered;
use super::*;
use crate::domain::calendar::LocalTime;
use crate::domain::secret::Pan;

const CHAINS: &str = include_str!("../../../../tests/data/crypto/chains.toml");
const CA_KEYS: &str = include_str!("../../../../tests/data/crypto/ca-keys.txt");

/// One section of the file.
struct Chain(toml::Table);

impl Chain {
    fn new(name: &str) -> Self {
        let file: toml::Table = CHAINS.parse().unwrap();
        Self(file[name].as_table().unwrap().clone())
    }

    fn bytes(&self, key: &str) -> Vec<u8> {
        self.0.get(key).map(|value| unhex(value.as_str().unwrap())).unwrap_or_default()
    }

    fn authority(&self) -> Capk {
        let name = unhex(&self.0["ca"].as_str().unwrap().replace(' ', ""));
        let (rid, index) = (name[..5].try_into().unwrap(), name[5]);
        Capk {
            rid,
            index,
            expiry: [0x20, 0x49, 0x12, 0x31],
            exponent: vec![3],
            modulus: self.bytes("modulus"),
        }
    }

    fn config(&self) -> EmvConfig {
        let mut config = config();
        config.capks = [self.authority()].into();
        config
    }

    /// A card with these certificates, on a day. What was signed is one record, and the profile at its end.
    fn session(&self, config: &EmvConfig, year: u16, month: u8) -> Session {
        let mut card = TagStore::default();
        card.put(Tag::CA_KEY_INDEX, &[self.authority().index]);
        let objects = [
            (Tag::PAN, "pan"),
            (Tag::ISSUER_CERTIFICATE, "issuer"),
            (Tag::ISSUER_REMAINDER, "issuer-remainder"),
            (Tag::ICC_CERTIFICATE, "card"),
            (Tag::ICC_REMAINDER, "card-remainder"),
            (Tag::SIGNED_STATIC_DATA, "signed"),
        ];
        objects.iter().for_each(|(tag, key)| card.put(*tag, &self.bytes(key)));
        card.put(Tag::ISSUER_EXPONENT, &[3]);
        card.put(Tag::ICC_EXPONENT, &[3]);
        let signed = self.bytes("static");
        let (record, profile) = signed.split_at(signed.len().saturating_sub(2));
        card.put(Tag::SDA_TAG_LIST, &[0x82]);
        card.put(Tag::AIP, profile);
        let number = self.bytes("cda-number").try_into().unwrap_or_default();
        let now = LocalTime { year, month, day: 25, ..params().now };
        let params = TxnParams { now, unpredictable_number: number, ..params() };
        let aid = Aid::new(&[self.authority().rid.as_slice(), &[0x10, 0x10]].concat()).unwrap();
        let mut app = App::new(config, &params, config.aids[0].clone(), aid, String::new(), card);
        app.signed.add(1, &encode(Tag::RECORD_TEMPLATE, record).unwrap());
        let pan = Pan::new("6228480000001234").unwrap();
        let identity = Identity { pan, track2: None, expiry: "2912".to_owned(), sequence: None };
        Session::new(app, identity, Aip::default())
    }
}

fn issuer(session: &Session) -> Option<usize> {
    certificates::issuer_key(&session.app).ok().map(|key| key.length())
}

/// Each CA key that somebody published with its SHA-1 has it.
#[test]
fn keys_of_authorities_have_their_checksums() {
    let lines: Vec<_> = CA_KEYS.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 45);
    for line in lines {
        let fields: Vec<_> = line.trim_end_matches(" *").split(' ').map(unhex).collect();
        let [rid, index, exponent, modulus, checksum] = fields.try_into().unwrap();
        let (rid, index, expiry) = (rid.try_into().unwrap(), index[0], [0x99; 4]);
        let key = Capk { rid, index, expiry, exponent, modulus };
        assert_eq!(key.checksum().as_slice(), checksum, "{line}");
        assert!(key.key([0x20, 0x26, 0x11, 0x22]).is_some(), "{line}");
    }
}

/// A real card's static signature is good, and gives its data authentication code; a changed record is noticed.
#[test]
fn a_static_signature_covers_the_records() {
    let chain = Chain::new("sda");
    let mut session = chain.session(&chain.config(), 2008, 6);
    assert_eq!(sda::verify(&mut session), Ok(()));
    assert_eq!(session.app.card.value(Tag::DATA_AUTHENTICATION_CODE).map(<[u8]>::len), Some(2));
    let check = |change: &dyn Fn(&mut Session), expected| {
        let mut session = chain.session(&chain.config(), 2008, 6);
        change(&mut session);
        assert_eq!(sda::verify(&mut session), expected);
        assert_eq!(session.app.card.value(Tag::DATA_AUTHENTICATION_CODE), None);
    };
    check(&|session| session.app.card.put(Tag::AIP, &[0x5C, 1]), Err(Defect::Failed));
    check(&|session| session.app.signed.add(2, &[0x70, 1, 0]), Err(Defect::Failed));
    check(&|session| session.app.card.put(Tag::SDA_TAG_LIST, &[0x95]), Err(Defect::Failed));
    check(&|session| session.app.card.put(Tag::SIGNED_STATIC_DATA, &[1; 128]), Err(Defect::Failed));
    check(&|session| session.app.card.put(Tag::SIGNED_STATIC_DATA, &[]), Err(Defect::Missing));
    check(&|session| session.app.card.remove(Tag::ISSUER_EXPONENT), Err(Defect::Missing));
}

/// The certificate of an issuer counts only for its own numbers, until its month ends, under a key that is known and
/// valid, with its whole remainder, and unless it was taken back.
#[test]
fn certificates_of_issuers_are_held_against_all_they_say() {
    let chain = Chain::new("long");
    let good = chain.config();
    assert_eq!(issuer(&chain.session(&good, 2031, 12)), Some(176));
    assert_eq!(issuer(&chain.session(&good, 2032, 1)), None, "expired");
    let check = |change: &dyn Fn(&mut EmvConfig, &mut Session)| {
        let mut config = good.clone();
        let mut session = chain.session(&good, 2022, 5);
        change(&mut config, &mut session);
        (session.app.capks, session.app.revoked) = (config.capks, config.revoked);
        issuer(&session)
    };
    assert_eq!(check(&|_, _| ()), Some(176));
    assert_eq!(check(&|_, session| session.app.card.put(Tag::PAN, &unhex("4762739001010119"))), None);
    assert_eq!(check(&|_, session| session.app.card.put(Tag::ISSUER_REMAINDER, &[1])), None);
    assert_eq!(check(&|_, session| session.app.card.put(Tag::ISSUER_EXPONENT, &[1, 0, 1])), None);
    assert_eq!(check(&|_, session| session.app.card.put(Tag::CA_KEY_INDEX, &[0x95])), None);
    assert_eq!(check(&|config, _| config.capks = [].into()), None);
    assert_eq!(check(&|config, _| config.capks = [Capk { rid: [9; 5], ..chain.authority() }].into()), None);
    let until = |expiry| [Capk { expiry, ..chain.authority() }].into();
    assert_eq!(check(&|config, _| config.capks = until([0x20, 0x22, 0x05, 0x25])), Some(176));
    assert_eq!(check(&|config, _| config.capks = until([0x20, 0x22, 0x05, 0x24])), None);
    let revoked = |serial| [Revocation { rid: chain.authority().rid, index: 0x94, serial }].into();
    assert_eq!(check(&|config, _| config.revoked = revoked([0x03, 0xDA, 0x0A])), None);
    assert_eq!(check(&|config, _| config.revoked = revoked([0x03, 0xDA, 0x0B])), Some(176));
}

/// What other implementations open opens here too, to the same keys: 1984 bits down to 768.
#[test]
fn keys_are_those_that_others_recover() {
    for name in ["long", "short"] {
        let chain = Chain::new(name);
        let session = chain.session(&chain.config(), 2022, 5);
        let key = certificates::issuer_key(&session.app).unwrap();
        let same = RsaKey::new(&chain.bytes("issuer-key"), &[3]).unwrap();
        let card = chain.bytes("card");
        assert_eq!(key.raw(&card), same.raw(&card));
        let certificate = Recovered::open(&key, &card, 0x04).unwrap();
        let first = chain.bytes("card-key").len() - chain.bytes("card-remainder").len();
        assert!(certificate.data().ends_with(&chain.bytes("card-key")[..first]), "{name}");
        let key = RsaKey::new(&chain.bytes("card-key"), &[3]).unwrap();
        let signed = Recovered::open(&key, &chain.bytes("signed"), 0x05).unwrap();
        assert!(signed.covers([chain.bytes("challenge").as_slice()]));
        let number = signed.dynamic().unwrap().0.to_vec();
        assert_eq!(number, unhex(if name == "long" { "00AE" } else { "537EB5E03CC433C8" }));
        assert!(!signed.covers([[0; 4].as_slice()]));
    }
}

/// A real card's certificate covers its records; its key checks its dynamic signature and serves for a PIN.
#[test]
fn a_card_proves_that_it_has_its_key() {
    let chain = Chain::new("dynamic");
    let session = chain.session(&chain.config(), 2014, 9);
    let key = signing_key(&session.app).unwrap();
    let signed = Recovered::open(&key, &chain.bytes("dda-signed"), 0x05).unwrap();
    assert!(signed.covers([chain.bytes("dda-challenge").as_slice()]));
    assert_eq!(signed.dynamic().unwrap().0.len(), 8);
    assert_eq!(pin_key(&session).unwrap().length(), key.length());
    let check = |change: &dyn Fn(&mut Session), expected| {
        let mut session = chain.session(&chain.config(), 2014, 9);
        change(&mut session);
        assert_eq!(signing_key(&session.app).err(), Some(expected));
        assert_eq!(pin_key(&session).err(), Some(expected));
    };
    check(&|session| session.app.card.put(Tag::PAN, &unhex("5285881254345654")), Defect::Failed);
    check(&|session| session.app.card.put(Tag::AIP, &[0x39, 1]), Defect::Failed);
    check(&|session| session.app.card.remove(Tag::ISSUER_REMAINDER), Defect::Missing);
    check(&|session| session.app.card.remove(Tag::ICC_CERTIFICATE), Defect::Missing);
    check(&|session| session.app.card.put(Tag::ISSUER_REMAINDER, &[1; 35]), Defect::Failed);
}

/// A real card's TC is believed if the signature, the number, what was said and what was answered all fit; the
/// cryptogram comes out of the signature. Otherwise CDA has failed, and no further signature is asked.
#[test]
fn a_signed_cryptogram_binds_all_that_was_said() {
    let chain = Chain::new("dynamic");
    struct Talk {
        session: Session,
        said: Vec<u8>,
        answer: Vec<u8>,
        cid: u8,
    }
    let check = |change: &dyn Fn(&mut Talk), good: bool| {
        let session = chain.session(&chain.config(), 2014, 9);
        let (said, answer) = (chain.bytes("cda-cdol1"), chain.bytes("cda-answer"));
        let mut talk = Talk { session, said, answer, cid: 0x40 };
        change(&mut talk);
        let Talk { mut session, said, mut answer, cid } = talk;
        cda::prepare(&mut session).unwrap();
        assert_eq!(cda::ask(&mut session, CryptogramType::Tc, &said), 0x10);
        assert!(cda::expected(&session, CryptogramType::Tc, CryptogramType::Tc));
        assert!(!cda::expected(&session, CryptogramType::Tc, CryptogramType::Aac));
        answer.extend(encode(Tag::SIGNED_DYNAMIC_DATA, &chain.bytes("cda-signed")).unwrap());
        let answer = encode(Tag::RESPONSE_FORMAT_2, &answer).unwrap();
        let checked = cda::check(&mut session, &single(&answer).unwrap().unwrap(), cid);
        assert_eq!((checked.authentic, checked.cid), (good, 0x40));
        assert_eq!(session.tvr.has(Tvr::CDA_FAILED), !good);
        assert!(session.tsi.has(Tsi::ODA));
        assert_eq!(session.cda.is_some(), good);
        assert_eq!(session.app.card.value(Tag::CRYPTOGRAM).is_some(), good);
        assert_eq!(session.app.card.value(Tag::ICC_DYNAMIC_NUMBER).is_some(), good);
    };
    check(&|_| (), true);
    check(&|talk| talk.session.app.params.unpredictable_number = [0; 4], false);
    check(&|talk| talk.said[5] ^= 1, false);
    check(&|talk| talk.answer[8] ^= 1, false);
    check(&|talk| talk.answer.extend([0x9F, 0x4C, 0]), false);
    check(&|talk| talk.session.app.options_data = vec![1], false);
    // The CID in the signature counts, not the one in clear.
    check(&|talk| talk.cid = 0x80, false);
}

/// A card that has not been made ready for CDA is asked for no signature, and never for one over an AAC.
#[test]
fn signatures_are_asked_where_they_can_be_checked() {
    let chain = Chain::new("dynamic");
    let mut session = chain.session(&chain.config(), 2014, 9);
    assert_eq!(cda::ask(&mut session, CryptogramType::Tc, &[]), 0);
    cda::prepare(&mut session).unwrap();
    assert_eq!(cda::ask(&mut session, CryptogramType::Arqc, &[]), 0x10);
    assert_eq!(cda::ask(&mut session, CryptogramType::Aac, &[]), 0);
    session.app.card.remove(Tag::ICC_EXPONENT);
    session.cda = None;
    assert_eq!(cda::prepare(&mut session), Err(Defect::Missing));
    assert_eq!(cda::ask(&mut session, CryptogramType::Tc, &[]), 0);
}

/// The strongest method that both have is chosen; XDA is passed over, because this terminal has it not.
#[test]
fn the_strongest_common_method_is_chosen() {
    let check = |card: u8, terminal: u8, expected| {
        assert_eq!(
            choose(Aip::new([card, 0]), Capabilities::new([0, 0, terminal])),
            expected,
            "{card:02X} {terminal:02X}"
        );
    };
    check(0xE1, 0xC8, Some(Method::Cda));
    check(0xE0, 0xCC, Some(Method::Dda));
    check(0x61, 0xC0, Some(Method::Dda));
    check(0x41, 0xC0, Some(Method::Sda));
    check(0x61, 0x80, Some(Method::Sda));
    check(0x21, 0x80, None);
    check(0x80, 0xCC, None);
    check(0x00, 0xCC, None);
    check(0x61, 0x00, None);
}
