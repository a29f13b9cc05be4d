//! DE 62 of a sign-on answer: working keys encrypted under the master key, each with a check value, which is compared
//! in constant time.
//!
//! Source: layouts of public terminal and host code; the 75 bytes with types are one acquirer's, with known keys; SM4
//! is one source's word and nothing more. Spec: unverified.
use super::keys::MasterKey;
use crate::domain::crypto::cipher::{BlockKey, DesKey, Sm4Key, same};
use crate::domain::keystore::{KeyBlockLayout, KeyError, KeyRules, MakLength};
use crate::domain::secret::MasterKeyMaterial;
use zeroize::Zeroizing;

/// Bytes of a record with a type: type, key, check value.
const TYPED: usize = 1 + 16 + 8;

/// What a block holds.
pub(super) struct Records {
    pub(super) pik: BlockKey,
    pub(super) mak: BlockKey,
    pub(super) tdk: Option<BlockKey>,
    /// What opens to the same keys under the master key that holds afterwards.
    pub(super) kept: Vec<u8>,
    /// A master key in place of the one that opened it.
    pub(super) new_master: Option<MasterKeyMaterial>,
}

/// Decrypts a block by the rules and compares every check value.
pub(super) fn read(tmk: &MasterKey, block: &[u8], rules: &KeyRules) -> Result<Records, KeyError> {
    match rules.key_block {
        KeyBlockLayout::UnionPay => plain(tmk, block, rules.mak, "24, 40 and 60 are known"),
        KeyBlockLayout::Sm4 => plain(tmk, block, MakLength::Double, "with SM4 40 and 60 are known"),
        KeyBlockLayout::Typed => typed(tmk, block, rules.mak),
    }
}

/// 24 bytes (60.3 = 001) PIK 8 + check 4 + MAK 8 + check 4; 40 bytes (003) PIK 16 + check 4 + MAK 16 + check 4; 60
/// bytes (004) the same and TDK 16 + check 4. SM4 (006) has the longer two.
fn plain(tmk: &MasterKey, block: &[u8], length: MakLength, known: &'static str) -> Result<Records, KeyError> {
    let unknown = KeyError::Length { length: block.len(), known };
    let key_length = match (block.len(), tmk.cipher()) {
        (24, BlockKey::Des(_)) => 8,
        (40 | 60, _) => 16,
        _ => return Err(unknown),
    };
    let mut records = block.chunks_exact(key_length + 4).map(|record| record.split_last_chunk::<4>());
    let mut next = |key, length| {
        records.next().flatten().map(|(sealed, check)| checked(key, unwrapped(tmk, sealed, length), check))
    };
    Ok(Records {
        pik: next("pik", MakLength::Double).ok_or(unknown)??,
        mak: next("mak", length).ok_or(unknown)??,
        tdk: next("tdk", MakLength::Double).transpose()?,
        kept: block.to_vec(),
        new_master: None,
    })
}

/// Records of type 1, key 16 and check value 8. 00 is a new master key under the one that is loaded; 01 the MAK and 02
/// the PIK are encrypted under the new one where there is one, wherever it stands.
fn typed(tmk: &MasterKey, block: &[u8], mak: MakLength) -> Result<Records, KeyError> {
    let records = block.chunks_exact(TYPED);
    if block.is_empty() || !records.remainder().is_empty() {
        return Err(KeyError::Length { length: block.len(), known: "records of 25 bytes are known" });
    }
    let mut found = [None; 3];
    for (kind, record) in records.filter_map(<[u8]>::split_first) {
        match found.get_mut(usize::from(*kind)) {
            Some(place @ None) => *place = record.split_last_chunk::<8>(),
            _ => return Err(KeyError::Type(*kind)),
        }
    }
    let [master, mak_record, pik_record] = found;
    let new_master = master.map(|(sealed, check)| new_master(tmk, sealed, check)).transpose()?;
    let renewed = new_master.as_ref().map(|key| MasterKey::of(key, KeyBlockLayout::Typed));
    let tmk = renewed.as_ref().unwrap_or(tmk);
    let open = |key, record: Option<(&[u8], &[u8; 8])>, length| {
        let (sealed, check) = record.ok_or(KeyError::Missing { key })?;
        checked(key, unwrapped(tmk, sealed, length), check)
    };
    Ok(Records {
        pik: open("pik", pik_record, MakLength::Double)?,
        mak: open("mak", mak_record, mak)?,
        tdk: None,
        kept: block
            .chunks_exact(TYPED)
            .filter(|record| record.first() != Some(&0))
            .flatten()
            .copied()
            .collect(),
        new_master,
    })
}

fn new_master(tmk: &MasterKey, sealed: &[u8], check: &[u8; 8]) -> Result<MasterKeyMaterial, KeyError> {
    let wrong = KeyError::CheckValue { key: "tmk" };
    let clear = decrypted(tmk, sealed);
    let key = MasterKeyMaterial::new(clear.as_slice().try_into().map_err(|_| wrong)?);
    checked("tmk", Some(MasterKey::of(&key, KeyBlockLayout::Typed).cipher().clone()), check).map(|_| key)
}

/// A key out of its ciphertext. `length` says what a second half of zeros means: of a MAK of single length they are not
/// ciphertext.
fn unwrapped(tmk: &MasterKey, sealed: &[u8], length: MakLength) -> Option<BlockKey> {
    if let BlockKey::Sm4(_) = tmk.cipher() {
        let key = decrypted(tmk, sealed).as_slice().try_into().ok()?;
        return Some(BlockKey::Sm4(Sm4Key::new(key)));
    }
    let (first, second) = sealed.split_at_checked(8)?;
    let single = match length {
        MakLength::Auto => second.iter().all(|byte| *byte == 0),
        MakLength::Single => true,
        MakLength::Double => second.is_empty(), // of the block of 24 bytes
    };
    let key = if single {
        DesKey::Single(decrypted(tmk, first).as_slice().try_into().ok()?)
    } else {
        DesKey::Double(decrypted(tmk, sealed).as_slice().try_into().ok()?)
    };
    Some(BlockKey::Des(key))
}

/// ECB under the master key; what is no whole block is left out.
fn decrypted(tmk: &MasterKey, sealed: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut clear = Zeroizing::new(Vec::with_capacity(16));
    match tmk.cipher() {
        BlockKey::Des(key) => {
            clear.extend(sealed.as_chunks().0.iter().flat_map(|block| key.decrypt(*block)));
        }
        BlockKey::Sm4(key) => {
            clear.extend(sealed.as_chunks().0.iter().flat_map(|block| key.decrypt(*block)));
        }
    }
    clear
}

/// The key, if its check value fits: the first `N` bytes of what zeros become.
fn checked<const N: usize>(
    name: &'static str,
    key: Option<BlockKey>,
    check: &[u8; N],
) -> Result<BlockKey, KeyError> {
    let wrong = KeyError::CheckValue { key: name };
    let key = key.ok_or(wrong)?;
    let fits = key.check_block().first_chunk::<N>().is_some_and(|ours| same(ours, check));
    if fits { Ok(key) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::crypto::testing::{bytes, hex};
    use crate::domain::profile::Profile;

    /// An acquirer's own block (author not recorded): 11, 55, 33 and 22 repeated 16 times are the loaded master key,
    /// the new one, MAK and PIK.
    const TYPED_BLOCK: &str = "00DD600F71D757FBACDD600F71D757FBAC0CD7DC4903A8B88B016E66ACAF9D9AFB7C6E66ACAF9D9AFB7C\
                               ADC67D8473BF2F0602AB7EE2B8674D4AB8AB7EE2B8674D4AB800962B60AA556E65";

    fn rules(key_block: KeyBlockLayout, mak: MakLength) -> KeyRules {
        KeyRules { key_block, mak, ..Profile::unionpay().keys }
    }

    fn elevens() -> MasterKey {
        MasterKey::from_bytes([0x11; 16])
    }

    fn sealed(key: &[u8], tmk: &MasterKey) -> Vec<u8> {
        match tmk.cipher() {
            BlockKey::Des(tmk) => key.as_chunks().0.iter().flat_map(|block| tmk.encrypt(*block)).collect(),
            BlockKey::Sm4(tmk) => key.as_chunks().0.iter().flat_map(|block| tmk.encrypt(*block)).collect(),
        }
    }

    fn single(byte: u8) -> BlockKey {
        BlockKey::Des(DesKey::Single([byte; 8]))
    }

    fn double(byte: u8) -> BlockKey {
        BlockKey::Des(DesKey::Double([byte; 16]))
    }

    fn record(key: &[u8], tail: &[u8], check: &BlockKey) -> Vec<u8> {
        [&sealed(key, &elevens())[..], tail, &check.check_value()].concat()
    }

    fn is_single(key: &BlockKey) -> bool {
        matches!(key, BlockKey::Des(DesKey::Single(_)))
    }

    /// The zeros behind a single-length MAK are not ciphertext; behind any other key they are.
    #[test]
    fn only_a_mak_may_have_single_length() {
        let short = record(&[0x33; 8], &[0; 8], &single(0x33));
        let pik = record(&[0x22; 16], &[], &double(0x22));
        let rules = rules(KeyBlockLayout::UnionPay, MakLength::Auto);
        let read = |block: Vec<u8>| read(&elevens(), &block, &rules);
        assert!(is_single(&read([pik.clone(), short.clone()].concat()).unwrap().mak));
        let error = read([short, pik].concat()).err();
        assert_eq!(error, Some(KeyError::CheckValue { key: "pik" }));
    }

    /// The profile may force the length either way: then the second half is not looked at, or is always ciphertext.
    #[test]
    fn the_length_of_the_mak_can_be_forced() {
        let pik = record(&[0x22; 16], &[], &double(0x22));
        let check = |mak: Vec<u8>, length, expected: Option<bool>| {
            let block = [pik.clone(), mak].concat();
            let records = read(&elevens(), &block, &rules(KeyBlockLayout::UnionPay, length)).ok();
            assert_eq!(records.map(|records| is_single(&records.mak)), expected, "{length}");
        };
        let short = record(&[0x33; 8], &[0; 8], &single(0x33));
        check(short.clone(), MakLength::Auto, Some(true));
        check(short.clone(), MakLength::Single, Some(true));
        check(short, MakLength::Double, None);
        let twice = record(&[0x33; 16], &[], &double(0x33));
        check(twice.clone(), MakLength::Auto, Some(false));
        check(twice.clone(), MakLength::Single, Some(true));
        check(twice, MakLength::Double, Some(false));
    }

    /// The oldest layout, 60.3 = 001: eight-byte keys, whatever the profile says of the MAK.
    #[test]
    fn a_single_length_block_opens() {
        let block = [record(&[0x22; 8], &[], &single(0x22)), record(&[0x33; 8], &[], &single(0x33))].concat();
        for length in MakLength::ALL {
            let records = read(&elevens(), &block, &rules(KeyBlockLayout::UnionPay, *length)).unwrap();
            assert!(is_single(&records.pik) && is_single(&records.mak) && records.tdk.is_none());
        }
    }

    /// The block with types brings a new master key, under which the others stand; what is kept opens under that one.
    #[test]
    fn a_block_with_types_may_bring_a_master_key() {
        let rules = rules(KeyBlockLayout::Typed, MakLength::Auto);
        let block: [u8; 75] = bytes(TYPED_BLOCK);
        let records = read(&elevens(), &block, &rules).unwrap();
        assert_eq!(hex(&records.mak.check_block()), "ADC67D8473BF2F06");
        assert_eq!(hex(&records.pik.check_block()), "00962B60AA556E65");
        let new = records.new_master.unwrap();
        assert_eq!(new.reveal(), &[0x55; 16]);
        assert_eq!(records.kept, block[25..]);
        let again = read(&MasterKey::from_bytes([0x55; 16]), &records.kept, &rules).unwrap();
        assert!(again.new_master.is_none());
        assert_eq!(hex(&again.mak.check_block()), "ADC67D8473BF2F06");
        // The master key may stand last.
        let turned = [&block[25..], &block[..25]].concat();
        assert_eq!(read(&elevens(), &turned, &rules).unwrap().new_master.unwrap().reveal(), &[0x55; 16]);
    }

    /// Each record is needed, known, there once, and whole.
    #[test]
    fn a_block_with_types_that_is_not_whole_is_refused() {
        let rules = rules(KeyBlockLayout::Typed, MakLength::Auto);
        let block: [u8; 75] = bytes(TYPED_BLOCK);
        let check = |block: &[u8], expected: KeyError| {
            assert_eq!(read(&elevens(), block, &rules).err(), Some(expected));
        };
        check(&block[..50], KeyError::Missing { key: "pik" });
        check(&[&block[..25], &block[50..]].concat(), KeyError::Missing { key: "mak" });
        check(&[&block[..], &block[25..50]].concat(), KeyError::Type(1));
        let mut other = block;
        other[25] = 7;
        check(&other, KeyError::Type(7));
        let known = "records of 25 bytes are known";
        check(&block[..74], KeyError::Length { length: 74, known });
        check(&[], KeyError::Length { length: 0, known });
        check(&block[25..], KeyError::CheckValue { key: "pik" });
        let mut damaged = block;
        damaged[24] ^= 1; // the last byte of the eight is compared, too
        check(&damaged, KeyError::CheckValue { key: "tmk" });
    }

    /// The SM4 form is the 40 or 60 bytes with the other cipher; no block of that kind is public.
    #[test]
    fn an_sm4_block_opens() {
        let rules = rules(KeyBlockLayout::Sm4, MakLength::Auto);
        let tmk = MasterKey::of(&MasterKeyMaterial::new([0x11; 16]), KeyBlockLayout::Sm4);
        let record = |byte| {
            let key = BlockKey::Sm4(Sm4Key::new([byte; 16]));
            [&sealed(&[byte; 16], &tmk)[..], &key.check_value()].concat()
        };
        let block = [record(0x22), record(0x33), record(0x44)].concat();
        let records = read(&tmk, &block, &rules).unwrap();
        assert!(matches!(records.mak, BlockKey::Sm4(_)) && records.tdk.is_some());
        assert!(read(&tmk, &block[..40], &rules).unwrap().tdk.is_none());
        assert!(read(&tmk, &block[..24], &rules).is_err());
        assert!(read(&elevens(), &block, &rules).is_err());
    }
}
