//! Static data to be authenticated: the records that the issuer signed. EMV 4.4 Book 3 §10.3.
//!
//! They are kept as they were read, because a certificate is opened only when all of them are there. Spec: unverified.
use zeroize::Zeroizing;

use super::super::tlv::{self, Tag, TagStore};
use super::Defect;

/// The last file whose records have EMV's own form.
const SFI_EMV_MAX: u8 = 10;

/// The signed records in the order of the file locator.
#[derive(Clone, Default)]
pub(in crate::domain::emv) struct StaticData {
    records: Vec<Zeroizing<Vec<u8>>>,
    /// A signed record is not template 70.
    broken: bool,
}

impl StaticData {
    /// Takes a signed record as the card gave it. Of files 1 to 10 what is inside template 70 counts, of files above
    /// the whole record.
    pub(in crate::domain::emv) fn add(&mut self, sfi: u8, record: &[u8]) {
        match tlv::single(record) {
            Ok(Some(template)) if template.tag == Tag::RECORD_TEMPLATE => {
                let counts = if sfi <= SFI_EMV_MAX { template.value } else { record };
                self.records.push(Zeroizing::new(counts.to_vec()));
            }
            _ => self.broken = true,
        }
    }

    /// The pieces in the order in which they were signed: records, then the AIP if tag 9F4A names it. That tag may name
    /// nothing else.
    pub(super) fn pieces<'a>(&'a self, card: &'a TagStore) -> Result<impl Iterator<Item = &'a [u8]>, Defect> {
        let profile = match card.value(Tag::SDA_TAG_LIST) {
            None => None,
            Some([0x82]) => card.value(Tag::AIP),
            Some(_) => return Err(Defect::Failed),
        };
        if self.broken {
            return Err(Defect::Failed);
        }
        Ok(self.records.iter().map(|record| record.as_slice()).chain(profile))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(data: &StaticData, list: Option<&[u8]>) -> Result<Vec<u8>, Defect> {
        let mut card = TagStore::default();
        card.put(Tag::AIP, &[0x7C, 0]);
        if let Some(list) = list {
            card.put(Tag::SDA_TAG_LIST, list);
        }
        Ok(data.pieces(&card)?.flatten().copied().collect())
    }

    /// The form in which a record is signed depends on its file.
    #[test]
    fn records_count_without_their_template_up_to_file_ten() {
        let mut data = StaticData::default();
        data.add(10, &[0x70, 3, 0x5F, 0x34, 0]);
        data.add(11, &[0x70, 1, 0]);
        assert_eq!(pieces(&data, None), Ok(vec![0x5F, 0x34, 0, 0x70, 1, 0]));
        assert_eq!(pieces(&data, Some(&[0x82])), Ok(vec![0x5F, 0x34, 0, 0x70, 1, 0, 0x7C, 0]));
        data.add(12, &[0x71, 1, 0]);
        assert_eq!(pieces(&data, None), Err(Defect::Failed));
    }

    /// The list of further signed objects may name the profile and nothing else.
    #[test]
    fn the_tag_list_names_the_profile_or_fails() {
        let data = StaticData::default();
        assert_eq!(pieces(&data, Some(&[])), Err(Defect::Failed));
        assert_eq!(pieces(&data, Some(&[0x95])), Err(Defect::Failed));
        assert_eq!(pieces(&data, Some(&[0x82, 0x82])), Err(Defect::Failed));
    }
}
