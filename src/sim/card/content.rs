//! What the simulated card tells about itself: FCI, directory, AIP, AFL and records. EMV 4.4 Book 1 §11.3 and
//! §12.2, Book 3 §7 and §10.2. Spec: unverified.
use super::profile::{Application, IssuerAuthentication, Profile};
use crate::domain::emv::tlv::{self, Tag};

/// Name of the payment system environment (PSE): `1PAY.SYS.DDF01`.
pub(super) const PSE: &[u8] = b"1PAY.SYS.DDF01";

/// A directory definition file (DDF) that the directory may name; there is nothing in it.
const DDF: &[u8] = b"2PAY.TEST.DDF01";

/// Application file locator: SFI 1 record 1, then SFI 2 records 1 and 2; nothing is signed.
pub(super) const AFL: [u8; 8] = [0x08, 1, 1, 0, 0x10, 1, 2, 0];

/// All records of an application: file and number.
const RECORDS: [(u8, u8); 3] = [(1, 1), (2, 1), (2, 2)];
/// Where an object goes that stands in no record otherwise.
const LAST_RECORD: (u8, u8) = (2, 2);
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

/// Application interchange profile (AIP): cardholder verification and risk management, no offline
/// authentication.
pub(super) const fn aip(application: &Application) -> [u8; 2] {
    match application.issuer_authentication {
        IssuerAuthentication::ExternalAuthenticate => [0x1C, 0x00],
        IssuerAuthentication::InSecondAc => [0x18, 0x00],
    }
}

/// CDOL2 as the card gives it.
pub(super) fn cdol2(application: &Application) -> Vec<u8> {
    match application.issuer_authentication {
        IssuerAuthentication::ExternalAuthenticate => application.cdol2.clone(),
        IssuerAuthentication::InSecondAc => [&[0x91, 10], application.cdol2.as_slice()].concat(),
    }
}

/// A record of the open application, with the objects that the profile wants different.
pub(super) fn record(application: &Application, sfi: u8, record: u8) -> Option<Vec<u8>> {
    let mut objects = regular(application, sfi, record)?;
    for (tag, value) in &mut objects {
        if let Some(other) = application.objects.get(tag) {
            value.clone_from(other);
        }
    }
    if (sfi, record) == LAST_RECORD {
        let known = |tag: u32| {
            RECORDS
                .iter()
                .filter_map(|(sfi, record)| regular(application, *sfi, *record))
                .flatten()
                .any(|(t, _)| t == tag)
        };
        let more = application.objects.iter().filter(|(tag, _)| !known(**tag) && !NO_RECORD.contains(tag));
        objects.extend(more.map(|(tag, value)| (*tag, value.clone())));
    }
    let objects: Vec<_> = objects.into_iter().filter_map(|(tag, value)| Some(object(tag, &value?))).collect();
    Some(template(0x70, &objects))
}

/// A record as the rest of the profile makes it: tags and values.
fn regular(application: &Application, sfi: u8, record: u8) -> Option<Vec<(u32, Option<Vec<u8>>)>> {
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
