//! What the simulated card tells about itself: FCI, directory, AIP, AFL and records. EMV 4.4 Book 1 §11.3 and
//! §12.2, Book 3 §7 and §10.2. Spec: unverified.
use super::profile::{Application, IssuerAuthentication, Oda, Profile};
use super::signatures::SignedObject;
use crate::domain::emv::tlv::{self, Tag};

/// Name of the payment system environment (PSE): `1PAY.SYS.DDF01`.
pub(super) const PSE: &[u8] = b"1PAY.SYS.DDF01";

/// A directory definition file (DDF) that the directory may name; there is nothing in it.
const DDF: &[u8] = b"2PAY.TEST.DDF01";

/// All records of an application: file and number.
const RECORDS: [(u8, u8); 6] = [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)];
/// Where an object goes that stands in no record otherwise.
const LAST_RECORD: (u8, u8) = (2, 2);
/// Objects that only file 3 holds; where the profile has none of them, a file can still not add them elsewhere.
const CERTIFICATES: [u32; 11] =
    [0x8F, 0x90, 0x92, 0x93, 0x9F32, 0x9F46, 0x9F47, 0x9F48, 0x9F2D, 0x9F2E, 0x9F2F];
/// Objects that GET DATA, FCI or GET PROCESSING OPTIONS tell, not a record.
const NO_RECORD: [u32; 8] = [0x9F13, 0x9F17, 0x9F36, 0x9F4F, 0x82, 0x94, 0x84, 0x9F38];

/// One object. The values here are short, so nothing can fail.
pub(super) fn object(tag: u32, value: &[u8]) -> Vec<u8> {
    tlv::encode(Tag(tag), value).unwrap_or_default()
}

/// One object that holds others.
pub(super) fn template(tag: u32, children: &[Vec<u8>]) -> Vec<u8> {
    object(tag, &children.concat())
}

/// Answer to SELECT of the directory.
pub(super) fn pse_fci() -> Vec<u8> {
    let language = object(0x5F2D, b"zhen");
    template(
        0x6F,
        &[object(0x84, PSE), template(0xA5, &[object(0x88, &[1]), language, object(0x9F11, &[1])])],
    )
}

/// A record of the directory: one application each.
pub(super) fn directory_record(profile: &Profile, record: u8) -> Option<Vec<u8>> {
    let mut at = usize::from(record).checked_sub(1)?;
    if profile.ddf {
        let Some(behind) = at.checked_sub(1) else {
            let entry = [object(0x9D, DDF), object(0x50, b"MORE")];
            return Some(template(0x70, &[template(0x61, &entry)]));
        };
        at = behind;
    }
    let application = profile.applications.get(at)?;
    let entry = [vec![object(0x4F, &application.aid)], names(application)].concat();
    Some(template(0x70, &[template(0x61, &entry)]))
}

/// Answer to SELECT of an application.
pub(super) fn application_fci(application: &Application) -> Vec<u8> {
    let mut proprietary = names(application);
    if !application.pdol.is_empty() {
        proprietary.push(object(0x9F38, &application.pdol));
    }
    proprietary.push(object(0x5F2D, b"zhen"));
    if application.preferred_name.is_some() {
        proprietary.push(object(0x9F11, &[application.code_table]));
    }
    template(0x6F, &[object(0x84, &application.aid), template(0xA5, &proprietary)])
}

fn names(application: &Application) -> Vec<Vec<u8>> {
    let mut names = vec![object(0x50, application.label.as_bytes()), object(0x87, &[application.priority])];
    if let Some(name) = &application.preferred_name {
        names.push(object(0x9F12, name));
    }
    names
}

/// Application interchange profile (AIP): cardholder verification and risk management; what else, the profile says.
pub(super) fn aip(application: &Application) -> [u8; 2] {
    if let Some(Some(other)) = application.objects.get(&0x82) {
        return other.first_chunk().copied().unwrap_or_default();
    }
    let authentication = match application.oda {
        Oda::None => 0x00,
        Oda::Sda => 0x40,
        Oda::Dda => 0x20,
        Oda::Cda => 0x21, // a card that can do CDA can do DDA
    };
    let issuer = match application.issuer_authentication {
        IssuerAuthentication::ExternalAuthenticate => 0x04,
        IssuerAuthentication::InSecondAc => 0x00,
    };
    [0x18 | authentication | issuer, 0x00]
}

/// Application file locator (AFL): file 1 for people, file 2 for the decisions, file 3 for what is signed. With offline
/// data authentication the records of file 2 are marked as signed.
pub(super) fn afl(application: &Application) -> Vec<u8> {
    if let Some(Some(other)) = application.objects.get(&0x94) {
        return other.clone();
    }
    let marked = if application.oda == Oda::None { 0 } else { 2 };
    let mut locator = vec![0x08, 1, 1, 0, 0x10, 1, 2, marked];
    match (application.oda, application.pin_key) {
        (Oda::None, false) => {}
        (_, false) => locator.extend([0x18, 1, 2, 0]),
        (_, true) => locator.extend([0x18, 1, 3, 0]),
    }
    locator
}

/// What the records hold that the locator marks as signed, one after the other, without their template. Certificates
/// do not sign themselves, so file 3 is left out.
pub(super) fn marked_records(application: &Application) -> Vec<u8> {
    let locator = afl(application);
    let marked = locator.chunks_exact(4).filter_map(|entry| match entry {
        [file, first, _, marked] => Some((*file >> 3, *first, *marked)),
        _ => None,
    });
    marked
        .flat_map(|(sfi, first, marked)| {
            (first..first.saturating_add(marked)).map(move |number| (sfi, number))
        })
        .filter(|(sfi, _)| *sfi != 3)
        .filter_map(|(sfi, number)| objects(application, &[], sfi, number))
        .flatten()
        .flatten()
        .collect()
}

/// CDOL2 as the card gives it.
pub(super) fn cdol2(application: &Application) -> Vec<u8> {
    match application.issuer_authentication {
        IssuerAuthentication::ExternalAuthenticate => application.cdol2.clone(),
        IssuerAuthentication::InSecondAc => [&[0x91, 10], application.cdol2.as_slice()].concat(),
    }
}

/// A record of the open application, with the objects that the profile wants different.
pub(super) fn record(
    application: &Application,
    signed: &[SignedObject],
    sfi: u8,
    record: u8,
) -> Option<Vec<u8>> {
    Some(template(0x70, &objects(application, signed, sfi, record)?))
}

/// The objects of a record.
fn objects(application: &Application, signed: &[SignedObject], sfi: u8, record: u8) -> Option<Vec<Vec<u8>>> {
    let mut objects = regular(application, signed, sfi, record)?;
    for (tag, value) in &mut objects {
        if let Some(other) = application.objects.get(tag) {
            value.clone_from(other);
        }
    }
    if (sfi, record) == LAST_RECORD {
        let regular = |(sfi, record): &(u8, u8)| regular(application, signed, *sfi, *record);
        let known: Vec<u32> = RECORDS.iter().filter_map(regular).flatten().map(|(tag, _)| tag).collect();
        let elsewhere =
            |tag: &u32| known.contains(tag) || CERTIFICATES.contains(tag) || NO_RECORD.contains(tag);
        let more = application.objects.iter().filter(|(tag, _)| !elsewhere(tag));
        objects.extend(more.map(|(tag, value)| (*tag, value.clone())));
    }
    Some(objects.into_iter().filter_map(|(tag, value)| Some(object(tag, &value?))).collect())
}

/// A record as the rest of the profile makes it: tags and values.
fn regular(
    application: &Application,
    signed: &[SignedObject],
    sfi: u8,
    record: u8,
) -> Option<Vec<(u32, Option<Vec<u8>>)>> {
    let object = |tag: u32, value: &[u8]| (tag, Some(value.to_vec()));
    Some(match (sfi, record) {
        (1, 1) => {
            vec![object(0x57, &track2(application)), object(0x5F20, application.holder.as_bytes())]
        }
        (2, 1) => vec![
            object(0x5A, &packed(application.pan.reveal())),
            object(0x5F34, &packed(&format!("{:02}", application.sequence % 100))),
            object(0x5F24, &packed(&last_day(&application.expiry))),
            object(0x5F25, &[0x20, 0x01, 0x01]),
            object(0x5F28, &application.country),
            object(0x9F08, &application.version),
            object(0x9F07, &application.usage_control),
        ],
        (2, 2) => vec![
            object(0x8C, &application.cdol1),
            object(0x8D, &cdol2(application)),
            object(0x8E, &application.cvm_list),
            object(0x9F42, &application.country),
            object(0x9F0D, &application.iac_default),
            object(0x9F0E, &application.iac_denial),
            object(0x9F0F, &application.iac_online),
            object(0x9F4A, &[0x82]),
        ],
        (3, 1..=3) if application.oda != Oda::None || application.pin_key => signed
            .iter()
            .filter(|(at, ..)| *at == record)
            .map(|(_, tag, value)| object(*tag, value))
            .collect(),
        _ => return None,
    })
}

/// Track 2 equivalent data: PAN, D, expiry, service code 201 (chip), eleven zeros.
fn track2(application: &Application) -> Vec<u8> {
    packed(&format!("{}D{}20100000000000", application.pan.reveal(), application.expiry))
}

/// Digits (and the separator D) two a byte, filled with F on the right.
fn packed(digits: &str) -> Vec<u8> {
    let nibble = |c: u8| char::from(c).to_digit(16).and_then(|n| u8::try_from(n).ok()).unwrap_or(0xF);
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => nibble(*high) << 4 | nibble(*low),
            [high] => nibble(*high) << 4 | 0xF,
            _ => 0xFF,
        })
        .collect()
}

/// `YYMM` with the last day of the month. The century is 20.
fn last_day(expiry: &str) -> String {
    let number = |range| expiry.get(range).and_then(|text: &str| text.parse::<u32>().ok()).unwrap_or(1);
    let day = match number(2..4) {
        4 | 6 | 9 | 11 => 30,
        2 if number(0..2) % 4 == 0 => 29,
        2 => 28,
        _ => 31,
    };
    format!("{expiry}{day}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_packed_and_filled_on_the_right() {
        assert_eq!(packed("6225880012345675"), [0x62, 0x25, 0x88, 0x00, 0x12, 0x34, 0x56, 0x75]);
        assert_eq!(packed("12D"), [0x12, 0xDF]);
    }

    #[test]
    fn an_expiry_means_the_last_day_of_its_month() {
        for (expiry, day) in [("3012", "301231"), ("2802", "280229"), ("3102", "310228"), ("3004", "300430")]
        {
            assert_eq!(last_day(expiry), day);
        }
    }
}
