//! DE 55: which chip data objects go into which message, and what comes back.
//!
//! The lists are data; order is not significant to hosts, ours is that of the list. Objects of the card that
//! have an element of their own (5A, 57, 5F24, 5F34) are never put here. Source: tag lists of two public
//! terminal applications agreeing (LiaoYang_POS, PAX `com.pax.up`); Spec: unverified. BER-TLV: EMV 4.4 Book 3
//! Annex B.
use crate::domain::emv::tlv::{Tag, TagStore};
use crate::domain::outcome::words;

/// Most bytes of DE 55.
pub const MAX: usize = 255;

/// ATC, which a reversal leaves out when the answer's MAC was wrong.
pub const ATC: Tag = Tag(0x9F36);

/// Which objects stand in DE 55, by message: data of the acquirer's profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IccLists {
    /// A request: each of these must be there.
    pub mandatory: Vec<Tag>,
    /// A request: sent where known, and dropped from the end of this list when 255 bytes do not hold them all.
    pub optional: Vec<Tag>,
    /// A reversal without a usable answer.
    pub reversal_no_answer: Vec<Tag>,
    /// A reversal of an approval that the card refused.
    pub reversal_refused: Vec<Tag>,
    /// What the card did with the issuer's scripts (0620).
    pub script_result: Vec<Tag>,
    /// Tag 8A in the upload of a sale that the chip approved because there was no line.
    pub unable_online: UnableOnline,
}

words! {
    /// How a bank wants to hear that the chip approved because the terminal was unable to go online.
    UnableOnline {
        /// As the chip was told: Y3.
        AsTold = "Y3",
        /// Like every other approval of the chip: Y1. The certificate covers 8A where CDOL2 names it, so a bank that
        /// recomputes it takes Y3 there.
        AsOffline = "Y1",
    }
}

/// What is added when a sale that the chip approved is uploaded: the response code, Y1 or Y3.
pub const RESPONSE_CODE: Tag = Tag(0x8A);

/// Script results, five bytes a script.
pub const SCRIPTS: Tag = Tag(0xDF31);

/// Why DE 55 cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum De55Error {
    /// A mandatory object is missing or empty.
    #[error("tag {0:?} is missing")]
    Missing(Tag),
    /// The mandatory objects alone are too long.
    #[error("the mandatory objects have {length} bytes, {MAX} are allowed")]
    TooLong {
        /// Their length.
        length: usize,
    },
}

impl IccLists {
    /// DE 55 of a request.
    ///
    /// # Errors
    /// [`De55Error`]: a mandatory object is missing, or 255 bytes do not hold them.
    pub fn request(&self, tags: &TagStore) -> Result<Vec<u8>, De55Error> {
        let mut out = mandatory(self.mandatory.iter(), tags)?;
        append_while_it_fits(&mut out, &self.optional, tags);
        Ok(out)
    }

    /// DE 55 of a sale that the chip approved: as [`IccLists::request`], with the TC, and tag 8A.
    ///
    /// # Errors
    /// [`De55Error`]: a mandatory object is missing, or 255 bytes do not hold them.
    pub fn upload(&self, tags: &TagStore) -> Result<Vec<u8>, De55Error> {
        let mut out = mandatory(self.mandatory.iter().chain([&RESPONSE_CODE]), tags)?;
        append_while_it_fits(&mut out, &self.optional, tags);
        match tags.value(RESPONSE_CODE) {
            Some(b"Y3") => Ok(replaced(&out, &[(RESPONSE_CODE, self.unable_online.word().into())])),
            _ => Ok(out),
        }
    }

    /// DE 55 of a script result; `None` if the card was given no script. Objects that are not there are left out.
    #[must_use]
    pub fn script_result(&self, tags: &TagStore) -> Option<Vec<u8>> {
        tags.value(SCRIPTS).filter(|results| !results.is_empty())?;
        Some(whatever_is_there(&self.script_result, tags))
    }

    /// DE 55 of a reversal when no usable answer came. Objects that are not there are left out.
    #[must_use]
    pub fn reversal_no_answer(&self, tags: &TagStore) -> Vec<u8> {
        whatever_is_there(&self.reversal_no_answer, tags)
    }

    /// DE 55 of a reversal when the host approved and the card refused. Objects that are not there are left out.
    #[must_use]
    pub fn reversal_refused(&self, tags: &TagStore) -> Vec<u8> {
        whatever_is_there(&self.reversal_refused, tags)
    }
}

fn whatever_is_there(list: &[Tag], tags: &TagStore) -> Vec<u8> {
    let mut out = Vec::new();
    append_while_it_fits(&mut out, list, tags);
    out
}

fn mandatory<'t>(list: impl Iterator<Item = &'t Tag>, tags: &TagStore) -> Result<Vec<u8>, De55Error> {
    let mut out = Vec::new();
    for tag in list {
        let value = tags.value(*tag).filter(|value| !value.is_empty()).ok_or(De55Error::Missing(*tag))?;
        append(&mut out, *tag, value);
    }
    if out.len() > MAX { Err(De55Error::TooLong { length: out.len() }) } else { Ok(out) }
}

/// The same data without one object; what cannot be read is returned as it is.
#[must_use]
pub fn without(icc: &[u8], tag: Tag) -> Vec<u8> {
    match objects(icc) {
        Ok(objects) => objects.iter().filter(|o| o.tag != tag).flat_map(|o| o.whole).copied().collect(),
        Err(_) => icc.to_vec(),
    }
}

/// The same data with other values for some of its objects; what is not there is put behind it. Data that cannot be
/// read is returned as it is.
#[must_use]
pub fn replaced(icc: &[u8], values: &[(Tag, Vec<u8>)]) -> Vec<u8> {
    let Ok(known) = objects(icc) else { return icc.to_vec() };
    let mut out = Vec::new();
    for object in &known {
        match values.iter().find(|(tag, _)| *tag == object.tag) {
            Some((tag, value)) => append(&mut out, *tag, value),
            None => out.extend_from_slice(object.whole),
        }
    }
    for (tag, value) in values.iter().filter(|(tag, _)| known.iter().all(|object| object.tag != *tag)) {
        append(&mut out, *tag, value);
    }
    out
}

/// Puts in, in order, what is known and still fits into [`MAX`]; the first that does not fit ends it.
fn append_while_it_fits(out: &mut Vec<u8>, list: &[Tag], tags: &TagStore) {
    for tag in list {
        if let Some(value) = tags.value(*tag).filter(|value| !value.is_empty()) {
            let before = out.len();
            append(out, *tag, value);
            if out.len() > MAX {
                return out.truncate(before);
            }
        }
    }
}

/// Writes one object: tag bytes, length (one byte, `81` or `82` form), value.
fn append(out: &mut Vec<u8>, tag: Tag, value: &[u8]) {
    out.extend(tag.0.to_be_bytes().into_iter().skip_while(|byte| *byte == 0));
    match (value.len(), u8::try_from(value.len())) {
        (0..0x80, Ok(short)) => out.push(short),
        (_, Ok(one)) => out.extend([0x81, one]),
        (length, Err(_)) => {
            // Longer than any caller accepts; the length is bounded so that the total shows it.
            let two = u16::try_from(length).unwrap_or(u16::MAX);
            out.push(0x82);
            out.extend(two.to_be_bytes());
        }
    }
    out.extend_from_slice(value);
}

/// The chip's part of the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Value of tag 91, 8 to 16 bytes.
    pub issuer_authentication: Option<Vec<u8>>,
    /// Templates 71 and 72, tag and length included, in the order they came.
    pub scripts: Vec<Vec<u8>>,
}

/// DE 55 of an answer is not what the card could be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IccError {
    /// A tag or length that cannot be, or a value that ends outside.
    #[error("DE 55: broken TLV")]
    Broken,
    /// Tag 91 is there twice, or not 8 to 16 bytes long.
    #[error("DE 55: tag 91 must be there once, with 8 to 16 bytes")]
    IssuerAuthentication,
}

/// Reads DE 55 of an answer. Script templates are checked inside, so that the card never gets a cut command.
///
/// # Errors
/// [`IccError`]; other objects than 91, 71 and 72 are skipped.
pub fn read_answer(icc: &[u8]) -> Result<Answer, IccError> {
    let mut answer = Answer::default();
    for object in objects(icc)? {
        match object.tag {
            Tag(0x91) => {
                let fits = (8..=16).contains(&object.value.len());
                if !fits || answer.issuer_authentication.replace(object.value.to_vec()).is_some() {
                    return Err(IccError::IssuerAuthentication);
                }
            }
            Tag(0x71 | 0x72) => {
                objects(object.value)?;
                answer.scripts.push(object.whole.to_vec());
            }
            _ => {}
        }
    }
    Ok(answer)
}

/// One BER-TLV object as it stands in its data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Object<'a> {
    /// Its tag, one to three bytes.
    pub tag: Tag,
    /// Tag, length and value.
    pub whole: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// True if the value is made of objects again.
    pub constructed: bool,
}

/// Reads objects that stand one after the other; zero bytes between them are skipped.
///
/// # Errors
/// [`IccError::Broken`]: nothing is returned of data that is broken anywhere on this level.
pub fn objects(data: &[u8]) -> Result<Vec<Object<'_>>, IccError> {
    let mut found = Vec::new();
    let mut rest = data;
    while let Some((first, tail)) = rest.split_first() {
        if *first == 0 {
            rest = tail;
            continue;
        }
        let (object, behind) = object(rest).ok_or(IccError::Broken)?;
        found.push(object);
        rest = behind;
    }
    Ok(found)
}

/// One object and what is behind it. At most three tag and three length bytes.
fn object(data: &[u8]) -> Option<(Object<'_>, &[u8])> {
    let (first, mut rest) = data.split_first()?;
    let mut tag = u32::from(*first);
    if first & 0x1F == 0x1F {
        loop {
            let (next, behind) = rest.split_first()?;
            rest = behind;
            tag = (tag << 8) | u32::from(*next);
            if next & 0x80 == 0 {
                break;
            }
            if tag > 0xFFFF {
                return None; // a fourth tag byte
            }
        }
    }
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7F => (usize::from(*length), rest),
        0x81 => rest.split_first().map(|(one, rest)| (usize::from(*one), rest))?,
        0x82 => rest.split_first_chunk().map(|(two, rest)| (usize::from(u16::from_be_bytes(*two)), rest))?,
        _ => return None,
    };
    let (value, behind) = rest.split_at_checked(length)?;
    let whole = data.get(..data.len().checked_sub(behind.len())?)?;
    Some((Object { tag: Tag(tag), whole, value, constructed: first & 0x20 != 0 }, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::Profile;

    fn lists() -> IccLists {
        Profile::unionpay().icc.clone()
    }

    fn store(tags: &[Tag], length: usize) -> TagStore {
        let mut store = TagStore::default();
        tags.iter().for_each(|tag| store.put(*tag, &vec![7; length]));
        store
    }

    #[test]
    fn a_missing_mandatory_object_is_named() {
        let mut tags = store(&lists().mandatory, 2);
        assert!(lists().request(&tags).is_ok());
        tags.put(Tag(0x9F26), &[]);
        assert_eq!(lists().request(&tags).unwrap_err().to_string(), "tag 9F26 is missing");
        assert_eq!(lists().request(&TagStore::default()), Err(De55Error::Missing(Tag(0x9F26))));
    }

    /// What the chip was told when there was no line goes up as it was told, or as any approval of the chip; Y1 stays.
    #[test]
    fn an_upload_says_what_the_bank_wants_to_hear() {
        let code = |told: &[u8], unable_online| {
            let mut tags = store(&lists().mandatory, 2);
            tags.put(RESPONSE_CODE, told);
            let icc = IccLists { unable_online, ..lists() }.upload(&tags).unwrap();
            let all = objects(&icc).unwrap();
            let codes = || all.iter().filter(|object| object.tag == RESPONSE_CODE);
            assert_eq!((codes().count(), all.len()), (1, lists().mandatory.len() + 1));
            codes().map(|object| object.value.to_vec()).collect::<Vec<_>>().concat()
        };
        assert_eq!(code(b"Y3", UnableOnline::AsTold), b"Y3");
        assert_eq!(code(b"Y3", UnableOnline::AsOffline), b"Y1");
        assert_eq!(code(b"Y1", UnableOnline::AsOffline), b"Y1");
    }

    /// 255 bytes at most: optional objects go, from the end of their list; mandatory ones never do.
    #[test]
    fn what_does_not_fit_is_dropped_from_the_end_of_the_list() {
        let mut tags = store(&lists().mandatory, 12);
        lists().optional.iter().for_each(|tag| tags.put(*tag, &[7; 12]));
        let lists = lists();
        let icc = lists.request(&tags).unwrap();
        assert!(icc.len() <= MAX);
        let sent: Vec<Tag> = objects(&icc).unwrap().iter().map(|o| o.tag).collect();
        let expected = [&lists.mandatory[..], &lists.optional[..sent.len() - lists.mandatory.len()]].concat();
        assert_eq!(sent, expected);
        let (mandatory, optional) = (lists.mandatory.len(), lists.optional.len());
        assert!(sent.len() > mandatory && sent.len() < mandatory + optional);
        assert!(matches!(lists.request(&store(&lists.mandatory, 20)), Err(De55Error::TooLong { .. })));
        assert!(matches!(lists.request(&store(&lists.mandatory, 70_000)), Err(De55Error::TooLong { .. })));
    }

    #[test]
    fn reversals_carry_what_is_there() {
        let mut tags = store(&[Tag(0x95), Tag(0x9F10)], 1);
        assert_eq!(lists().reversal_no_answer(&tags), [0x95, 1, 7, 0x9F, 0x10, 1, 7]);
        tags.put(ATC, &[0, 1]);
        tags.put(Tag(0xDF31), &[0; 5]);
        let after = [0x95, 1, 7, 0x9F, 0x10, 1, 7, 0x9F, 0x36, 2, 0, 1, 0xDF, 0x31, 5, 0, 0, 0, 0, 0];
        assert_eq!(lists().reversal_refused(&tags), after);
        assert_eq!(without(&lists().reversal_no_answer(&tags), ATC), [0x95, 1, 7, 0x9F, 0x10, 1, 7]);
        assert!(lists().reversal_no_answer(&TagStore::default()).is_empty());
    }

    /// Tag and length forms a host may use, and those that cannot be.
    #[test]
    fn objects_are_read_or_refused_whole() {
        let check = |data: &[u8], expected: Result<&[(u32, usize)], IccError>| {
            let found =
                objects(data).map(|all| all.iter().map(|o| (o.tag.0, o.value.len())).collect::<Vec<_>>());
            assert_eq!(found, expected.map(<[_]>::to_vec), "{data:02X?}");
        };
        check(&[], Ok(&[]));
        check(&[0, 0x91, 1, 9, 0, 0x8A, 0], Ok(&[(0x91, 1), (0x8A, 0)]));
        check(&[0xDF, 0x81, 0x02, 0x81, 1, 9], Ok(&[(0xDF_8102, 1)]));
        check(&[0x91, 0x82, 0, 1, 9], Ok(&[(0x91, 1)]));
        check(&[0x91, 0x83, 0, 0, 1, 9], Err(IccError::Broken));
        check(&[0x91, 0x80, 0, 0], Err(IccError::Broken));
        check(&[0xDF, 0x81, 0x82, 0x03, 0], Err(IccError::Broken));
        check(&[0x9F], Err(IccError::Broken));
        check(&[0x91, 2, 9], Err(IccError::Broken));
        check(&[0x91, 0x82, 0xFF, 0xFF, 9], Err(IccError::Broken));
    }

    /// Scripts are handed on whole and in order; other objects are nobody's business.
    #[test]
    fn answers_give_authentication_and_scripts() {
        let icc = [0x91, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x9F, 0x36, 1, 1, 0x72, 2, 0x86, 0, 0x71, 0];
        let answer = read_answer(&icc).unwrap();
        assert_eq!(answer.issuer_authentication, Some(vec![1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(answer.scripts, [vec![0x72, 2, 0x86, 0], vec![0x71, 0]]);
        assert_eq!(read_answer(&[]), Ok(Answer::default()));
        assert_eq!(read_answer(&[0x91, 7, 1, 2, 3, 4, 5, 6, 7]), Err(IccError::IssuerAuthentication));
        assert_eq!(read_answer(&[0x72, 2, 0x86, 1]), Err(IccError::Broken));
    }
}
