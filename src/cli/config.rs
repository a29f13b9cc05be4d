//! `posctl config …`: values in use, and changes that go back by themselves unless somebody confirms them.
use super::args::care::Config;
use super::client::{Terminal, plain_dict};
use super::failure::{Exit, Failure};
use super::leave::with_leave;
use super::screen::{Screen, table};
use super::till::allowed;
use super::words;
use crate::api::proxy::{ConfigProxy, Dict, Options};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use zbus::zvariant::{OwnedValue, Value};

/// The action of changes.
const ACTION: &str = "parameters";

/// `posctl config …`
pub(crate) async fn config(screen: &Screen, address: Option<&str>, verb: &Config) -> Result<Exit, Failure> {
    match verb {
        Config::Get { keys } => {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let found = proxy(&Terminal::connect(address).await?).await?.get(&keys, Options::new()).await?;
            let values = plain_dict(found);
            let mut rows: Vec<Vec<String>> =
                values.iter().map(|(key, value)| vec![key.clone(), plain(value)]).collect();
            rows.sort();
            let head = [words::KEY, words::VALUE].map(|label| screen.word(label));
            screen.answer(json!({ "values": values }), &table(&head, &rows));
        }
        Config::Set { values, timeout, leave } => {
            let (terminal, token) = allowed(screen, address, leave, ACTION).await?;
            let config = proxy(&terminal).await?;
            let typed = typed(&config, values).await?;
            let act = async |mut options: Options<'static>| {
                options.insert("timeout", Value::from(*timeout));
                let values = typed.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
                config.set(values, options).await
            };
            let checkpoint = with_leave(&terminal, screen, token, act).await?;
            let next = format!(
                "{} {timeout} s\n  posctl config confirm {checkpoint}\n  posctl config rollback {checkpoint}\n",
                screen.word(words::CHANGE_WAITS)
            );
            screen.answer(json!({ "checkpoint": checkpoint, "timeout-s": timeout }), &next);
        }
        Config::Confirm { checkpoint, leave } => {
            let (terminal, token) = allowed(screen, address, leave, ACTION).await?;
            let config = proxy(&terminal).await?;
            let act = async |options| config.confirm(checkpoint, options).await;
            with_leave(&terminal, screen, token, act).await?;
            screen.answer(json!({ "confirmed": checkpoint }), screen.word(words::CHANGE_KEPT));
        }
        Config::Rollback { checkpoint, leave } => {
            let (terminal, token) = allowed(screen, address, leave, ACTION).await?;
            let config = proxy(&terminal).await?;
            let act = async |options| config.rollback(checkpoint, options).await;
            with_leave(&terminal, screen, token, act).await?;
            screen.answer(json!({ "rolled-back": checkpoint }), screen.word(words::CHANGE_BACK));
        }
    }
    Ok(Exit::Done)
}

async fn proxy(terminal: &Terminal) -> Result<ConfigProxy<'static>, Failure> {
    let config = ConfigProxy::builder(&terminal.bus).cache_properties(zbus::proxy::CacheProperties::No);
    Ok(config.build().await?)
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// `KEY=VALUE` as the terminal has the key: its present value says the type. Keys that it does not show are sent as
/// texts; the terminal judges them.
async fn typed(
    config: &ConfigProxy<'_>,
    values: &[String],
) -> Result<HashMap<String, Value<'static>>, Failure> {
    let present: Dict = config.get(&[], Options::new()).await?;
    let one = |pair: &String| {
        let wrong = || Failure::usage(format!("{pair} has no =: write KEY=VALUE, such as printer.plies=1"));
        let (key, text) = pair.split_once('=').ok_or_else(wrong)?;
        Ok((key.to_owned(), value(key, text, present.get(key))?))
    };
    values.iter().map(one).collect()
}

fn value(key: &str, text: &str, like: Option<&OwnedValue>) -> Result<Value<'static>, Failure> {
    let signature = like.map(|like| like.value_signature().to_string()).unwrap_or_default();
    let wrong = |wanted: &str| Failure::usage(format!("{key} wants {wanted}, not {text}"));
    Ok(match signature.as_str() {
        "x" => Value::from(text.parse::<i64>().map_err(|_| wrong("a whole number"))?),
        "b" => Value::from(text.parse::<bool>().map_err(|_| wrong("true or false"))?),
        "as" if text.is_empty() => Value::from(Vec::<String>::new()),
        "as" => Value::from(text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<String>>()),
        _ => Value::from(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what is typed has the type of the key, and what has none is told before anything is asked.
    #[test]
    fn what_is_typed_has_the_type_of_its_key() {
        let like = |value: Value<'static>| OwnedValue::try_from(value).unwrap();
        assert_eq!(value("a.b", "2", Some(&like(2_i64.into()))).unwrap(), Value::from(2_i64));
        assert_eq!(value("a.b", "true", Some(&like(false.into()))).unwrap(), Value::from(true));
        assert_eq!(value("a.b", "2", Some(&like("x".into()))).unwrap(), Value::from("2"));
        let list = like(vec!["x".to_owned()].into());
        assert_eq!(
            value("a.b", "p, q", Some(&list)).unwrap(),
            Value::from(vec!["p".to_owned(), "q".to_owned()])
        );
        assert_eq!(value("a.b", "", Some(&list)).unwrap(), Value::from(Vec::<String>::new()));
        assert_eq!(value("a.b", "two", Some(&like(2_i64.into()))).unwrap_err().exit, Exit::Usage);
        assert_eq!(value("a.b", "x", None).unwrap(), Value::from("x"));
    }
}
