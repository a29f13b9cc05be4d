//! Reads `a{sv}` dictionaries: each key is taken once, with its type; what is left over is an error that
//! names it.
use super::error::invalid;
use crate::domain::fault::Fault;
use crate::engine::handle::Leave;
use std::collections::HashMap;
use zbus::zvariant::{OwnedValue, Signature};

/// An `a{sv}` argument as it came.
pub(super) type Dict = HashMap<String, OwnedValue>;

/// A dictionary that is being read.
pub(super) struct Options {
    what: &'static str,
    left: Dict,
}

impl Options {
    /// Begins to read. `what` names the dictionary in errors: `option` or `filter`.
    pub(super) const fn new(what: &'static str, dict: Dict) -> Self {
        Self { what, left: dict }
    }

    /// Takes the value of `key`, which must have exactly the D-Bus type `signature`.
    pub(super) fn take<T>(&mut self, key: &str, signature: &str) -> Result<Option<T>, Fault>
    where
        T: TryFrom<OwnedValue>,
    {
        let Some(value) = self.left.remove(key) else { return Ok(None) };
        let found = value.value_signature().to_string();
        let wrong = || invalid(format!("{} {key} must have type {signature}, not {found}", self.what));
        if found != signature {
            return Err(wrong());
        }
        T::try_from(value).map(Some).map_err(|_| wrong())
    }

    /// Takes a number (`u`) and checks its range.
    pub(super) fn number(
        &mut self,
        key: &str,
        range: core::ops::RangeInclusive<u32>,
    ) -> Result<Option<u32>, Fault> {
        match self.take::<u32>(key, "u")? {
            Some(number) if !range.contains(&number) => Err(invalid(format!(
                "{} {key} must be {} to {}, not {number}",
                self.what,
                range.start(),
                range.end()
            ))),
            number => Ok(number),
        }
    }

    /// Takes a text (`s`); an empty one counts as absent.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, Fault> {
        Ok(self.take::<String>(key, "s")?.filter(|text| !text.is_empty()))
    }

    /// Takes a word (`s`) and reads it.
    pub(super) fn word<T>(&mut self, key: &str, read: fn(&str) -> Option<T>) -> Result<Option<T>, Fault> {
        match self.text(key)? {
            Some(word) => read(&word).map(Some).ok_or_else(|| {
                invalid(format!("{} {key} has no value {:?}; the XML lists them", self.what, shorten(&word)))
            }),
            None => Ok(None),
        }
    }

    /// Takes words (`as`) and reads them; an empty list counts as absent.
    pub(super) fn words<T>(
        &mut self,
        key: &str,
        read: fn(&str) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Fault> {
        let words: Vec<String> = self.take(key, "as")?.unwrap_or_default();
        let one = |word: &String| {
            read(word).ok_or_else(|| {
                invalid(format!("{} {key} has no value {:?}; the XML lists them", self.what, shorten(word)))
            })
        };
        let all = words.iter().map(one).collect::<Result<Vec<T>, Fault>>()?;
        Ok(Some(all).filter(|all| !all.is_empty()))
    }

    /// Takes option `authorization`: an Authorize token.
    pub(super) fn authorization(&mut self) -> Result<Option<String>, Fault> {
        let token = self.text("authorization")?;
        match &token {
            Some(token) if !is_token(token) => Err(invalid(format!(
                "{} authorization must be a token of Operators.Authorize, 32 hex digits",
                self.what
            ))),
            _ => Ok(token),
        }
    }

    /// The type of a value that is still there.
    pub(super) fn signature_of(&self, key: &str) -> Option<&Signature> {
        self.left.get(key).map(|value| value.value_signature())
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `InvalidArgument` naming a key that nobody took.
    pub(super) fn finish(self) -> Result<(), Fault> {
        // The smallest key, so that the same call always hears the same error.
        match self.left.keys().min() {
            Some(key) => Err(invalid(format!("unknown {} {:?}; leave it out", self.what, shorten(key)))),
            None => Ok(()),
        }
    }
}

/// For methods that know no option.
pub(super) fn no_options(options: Dict) -> Result<(), Fault> {
    Options::new("option", options).finish()
}

/// For methods that know only option `authorization`.
pub(super) fn leave_only(options: Dict) -> Result<Leave, Fault> {
    let mut options = Options::new("option", options);
    let leave = Leave { authorization: options.authorization()? };
    options.finish()?;
    Ok(leave)
}

/// True for the form of a token: 128 bits in lower-case hex.
pub(super) fn is_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// At most 40 characters of something the caller sent, for an error text.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zbus::zvariant::Value;

    fn dict(pairs: Vec<(&str, Value<'static>)>) -> Dict {
        pairs.into_iter().map(|(k, v)| (k.to_owned(), OwnedValue::try_from(v).unwrap())).collect()
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = no_options(dict(vec![("colour", Value::from("red"))])).unwrap_err();
        assert_eq!(error.text, "unknown option \"colour\"; leave it out");
    }

    #[test]
    fn a_wrong_type_is_told_with_key_and_type() {
        let mut options = Options::new("option", dict(vec![("plies", Value::from("2"))]));
        let error = options.number("plies", 0..=2).unwrap_err();
        assert_eq!(error.text, "option plies must have type u, not s");
        let mut options = Options::new("option", dict(vec![("plies", Value::from(3_u32))]));
        assert_eq!(options.number("plies", 0..=2).unwrap_err().text, "option plies must be 0 to 2, not 3");
    }

    fn any_value() -> impl Strategy<Value = Value<'static>> {
        prop_oneof![
            any::<u32>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            proptest::collection::vec(".{0,5}", 0..4).prop_map(Value::from),
            proptest::collection::hash_map(".{0,5}", ".{0,5}", 0..4).prop_map(Value::from),
        ]
    }

    proptest! {
        /// Whatever a caller sends, a value is taken with its own type or refused, and nothing is lost in
        /// silence.
        #[test]
        fn a_value_is_taken_with_its_type_or_refused(key in "[a-z-]{1,10}", value in any_value()) {
            let signature = value.value_signature().to_string();
            let whole = dict(vec![(key.as_str(), value)]);
            let mut options = Options::new("option", whole);
            let taken = options.take::<u32>(&key, "u");
            prop_assert_eq!(taken.is_ok(), signature == "u");
            let mut other = Options::new("option", dict(vec![(key.as_str(), Value::from(1_u32))]));
            prop_assert_eq!(other.text("no such key"), Ok(None));
            prop_assert!(other.finish().unwrap_err().text.contains(key.as_str()));
        }
    }
}
