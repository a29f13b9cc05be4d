//! One value of the configuration as it travels: a text, a whole number, yes or no, a list of texts.
use core::fmt;

/// A value of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// A list of texts.
    List(Vec<String>),
}

impl fmt::Display for Setting {
    /// As TOML writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what is written is read back as the same, whatever stands in a text.
    #[test]
    fn values_are_written_as_toml_reads_them() {
        for (value, text) in [
            (Setting::Text("a \"b\"\n店".to_owned()), None),
            (Setting::Number(-5), Some("-5")),
            (Setting::Flag(true), Some("true")),
            (Setting::List(vec!["sale".to_owned(), "void".to_owned()]), Some("[\"sale\", \"void\"]")),
        ] {
            let written = value.to_string();
            assert!(text.is_none_or(|text| text == written), "{written}");
            let table: toml::Table = format!("key = {written}").parse().unwrap();
            let read = match &table["key"] {
                toml::Value::String(text) => Setting::Text(text.clone()),
                toml::Value::Integer(number) => Setting::Number(*number),
                toml::Value::Boolean(flag) => Setting::Flag(*flag),
                other => Setting::List(
                    other.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect(),
                ),
            };
            assert_eq!(read, value);
        }
    }
}
