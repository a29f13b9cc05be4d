//! Where the objects stand: the tree below `/org/posd/Pos1`.
use super::proxy::ROOT_PATH;
use crate::domain::ident::TxnId;
use crate::domain::link::LinkName;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

/// The path that means none.
pub(super) fn none() -> OwnedObjectPath {
    ObjectPath::from_str_unchecked("/").into()
}

/// `…/transaction/<id>`.
pub(super) fn transaction(id: &TxnId) -> OwnedObjectPath {
    below("transaction", id)
}

/// The transaction of a path; `None` if it is none of ours.
pub(super) fn read_transaction(path: &str) -> Option<TxnId> {
    TxnId::parse(path.strip_prefix(ROOT_PATH)?.strip_prefix("/transaction/")?).ok()
}

/// `…/job/<n>`.
pub(super) fn job(number: u64) -> OwnedObjectPath {
    below("job", number)
}

/// `…/reader/<n>`.
pub(super) fn reader(number: usize) -> OwnedObjectPath {
    below("reader", number)
}

/// `…/printer/<n>`.
pub(super) fn printer(number: u32) -> OwnedObjectPath {
    below("printer", number)
}

/// `…/link/<name>`; a name is a kind in lower case, and a number.
pub(super) fn link(name: LinkName) -> OwnedObjectPath {
    below("link", name)
}

/// `…/printjob/<id>`; an id is made of `[0-9a-z_]`.
pub(super) fn print_job(id: &str) -> OwnedObjectPath {
    below("printjob", id)
}

/// The name is one of ours: digits, lower-case letters and underscores, which a path element may hold.
fn below(folder: &str, name: impl core::fmt::Display) -> OwnedObjectPath {
    ObjectPath::from_string_unchecked(format!("{ROOT_PATH}/{folder}/{name}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ident::RequestId;

    #[test]
    fn paths_are_valid_and_as_in_the_contract() {
        let id = TxnId::of(&RequestId::new("abc").unwrap());
        let paths = [none(), transaction(&id), job(7), reader(0), printer(0), print_job("ba78_m_0")];
        for path in &paths {
            assert!(ObjectPath::try_from(path.as_str()).is_ok(), "{path}");
        }
        assert_eq!(paths[1].as_str(), "/org/posd/Pos1/transaction/ba7816bf8f01cfea414140de5dae2223");
        assert_eq!(read_transaction(paths[1].as_str()), Some(id));
        assert_eq!(read_transaction("/org/posd/Pos1/job/7"), None);
    }
}
