//! Small readers of what comes from the bus.
use std::collections::HashMap;
use zbus::zvariant::OwnedValue;

/// A text of a dictionary; empty if it is not there.
pub(crate) fn dict_text(dict: &HashMap<String, OwnedValue>, key: &str) -> String {
    dict.get(key).and_then(|value| <&str>::try_from(value).ok()).unwrap_or_default().to_owned()
}

/// A number of a dictionary, whatever its width; 0 if it is not there.
pub(crate) fn number(dict: &HashMap<String, OwnedValue>, key: &str) -> i64 {
    let Some(value) = dict.get(key) else { return 0 };
    let wide = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    i64::try_from(value)
        .or_else(|_| u64::try_from(value).map(wide))
        .or_else(|_| u32::try_from(value).map(i64::from))
        .unwrap_or_default()
}

/// The last part of the error's name, such as `Busy`.
pub(crate) fn fault<T: core::fmt::Debug>(result: zbus::Result<T>) -> String {
    match result {
        Err(zbus::Error::MethodError(name, ..)) => {
            name.as_str().rsplit('.').next().unwrap_or_default().to_owned()
        }
        other => panic!("a refusal was expected, not {other:?}"),
    }
}
