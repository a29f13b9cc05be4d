//! `org.posd.Pos1.Config`: the configuration in use, and changes of it behind a checkpoint.
use super::auth::Action;
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, Options, leave_only, no_options, shorten};
use crate::domain::fault::Fault;
use crate::domain::setting::Setting;
use crate::engine::handle::{Command, ConfigChange, Leave};
use std::collections::HashMap;
use std::time::Duration;
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::{OwnedValue, Value};

/// How long a change waits for its confirmation when nobody says otherwise.
const WAIT_S: u32 = 120;
/// Keys of one call.
const KEYS_MAX: usize = 64;

/// The object.
#[derive(Clone, Debug)]
pub(super) struct ConfigObject {
    pub(super) desk: Desk,
}

#[interface(name = "org.posd.Pos1.Config", introspection_docs = false)]
impl ConfigObject {
    #[zbus(out_args("values"))]
    async fn get(
        &self,
        keys: Vec<String>,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<HashMap<String, Value<'static>>, ApiError> {
        no_options(options)?;
        bounded(keys.len())?;
        self.desk.admit(&header, Action::Query).await?;
        let values = self.desk.ask(|answer| Command::ConfigGet { keys, answer }).await?;
        Ok(values.into_iter().map(|(key, value)| (key, of_setting(value))).collect())
    }

    #[zbus(out_args("checkpoint"))]
    async fn set(
        &self,
        values: Dict,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, ApiError> {
        let mut options = Options::new("option", options);
        let leave = Leave { authorization: options.authorization()? };
        let wait = options.number("timeout", 1..=3_600)?.unwrap_or(WAIT_S);
        options.finish()?;
        bounded(values.len())?;
        let caller = self.desk.admit(&header, Action::Parameters).await?;
        let values = read(values)?;
        let wait = Duration::from_secs(u64::from(wait));
        let set =
            |answer| Command::Config { change: ConfigChange::Set { values, wait, answer }, leave, caller };
        self.desk.ask_and_settle(set).await
    }

    async fn confirm(
        &self,
        checkpoint: String,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        let leave = leave_only(options)?;
        let caller = self.desk.admit(&header, Action::Parameters).await?;
        let confirm =
            |answer| Command::Config { change: ConfigChange::Confirm { checkpoint, answer }, leave, caller };
        self.desk.ask_and_settle(confirm).await
    }

    async fn rollback(
        &self,
        checkpoint: String,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        let leave = leave_only(options)?;
        let caller = self.desk.admit(&header, Action::Parameters).await?;
        let roll_back =
            |answer| Command::Config { change: ConfigChange::Rollback { checkpoint, answer }, leave, caller };
        self.desk.ask_and_settle(roll_back).await
    }
}

fn bounded(keys: usize) -> Result<(), Fault> {
    if keys > KEYS_MAX {
        return Err(invalid(format!("at most {KEYS_MAX} keys in one call, not {keys}")));
    }
    Ok(())
}

/// The values as they came, in the order of their keys.
fn read(values: Dict) -> Result<Vec<(String, Setting)>, Fault> {
    if values.is_empty() {
        return Err(invalid("values has no key; Config.Get names all"));
    }
    let one = |(key, value): (String, OwnedValue)| {
        let found = value.value_signature().to_string();
        let wrong =
            || invalid(format!("values {} must have type s, x, u, b or as, not {found}", shorten(&key)));
        Ok((key.clone(), to_setting(&value).ok_or_else(wrong)?))
    };
    let mut all = values.into_iter().map(one).collect::<Result<Vec<_>, Fault>>()?;
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}

fn to_setting(value: &Value<'_>) -> Option<Setting> {
    Some(match value {
        Value::Str(text) => Setting::Text(text.to_string()),
        Value::Bool(flag) => Setting::Flag(*flag),
        Value::U8(number) => Setting::Number((*number).into()),
        Value::I16(number) => Setting::Number((*number).into()),
        Value::U16(number) => Setting::Number((*number).into()),
        Value::I32(number) => Setting::Number((*number).into()),
        Value::U32(number) => Setting::Number((*number).into()),
        Value::I64(number) => Setting::Number(*number),
        Value::U64(number) => Setting::Number(i64::try_from(*number).ok()?),
        Value::Array(items) => {
            let text = |item: &Value<'_>| match item {
                Value::Str(text) => Some(text.to_string()),
                _ => None,
            };
            Setting::List(items.iter().map(text).collect::<Option<Vec<String>>>()?)
        }
        _ => return None,
    })
}

fn of_setting(value: Setting) -> Value<'static> {
    match value {
        Setting::Text(text) => Value::from(text),
        Setting::Number(number) => Value::from(number),
        Setting::Flag(flag) => Value::from(flag),
        Setting::List(items) => Value::from(items),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: numbers of every width and lists are taken, and what no key has is refused with its type.
    #[test]
    fn values_are_taken_by_their_types() {
        let owned = |value: Value<'static>| OwnedValue::try_from(value).unwrap();
        let one = |value| read(Dict::from([("printer.plies".to_owned(), owned(value))]));
        for value in [Value::from(2_u32), Value::from(2_i64), Value::from(2_u8), Value::from(2_u64)] {
            assert_eq!(one(value).unwrap(), [("printer.plies".to_owned(), Setting::Number(2))]);
        }
        let list = one(Value::from(vec!["sale".to_owned()])).unwrap();
        assert_eq!(list[0].1, Setting::List(vec!["sale".to_owned()]));
        assert_eq!(of_setting(list[0].1.clone()), Value::from(vec!["sale".to_owned()]));
        let empty = one(Value::from(Vec::<String>::new())).unwrap();
        assert_eq!(empty[0].1, Setting::List(Vec::new()));
        let refused = one(Value::from(1.5)).unwrap_err();
        assert_eq!(refused.text, "values printer.plies must have type s, x, u, b or as, not d");
        assert!(read(Dict::new()).is_err());
    }
}
