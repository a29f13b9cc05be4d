//! The words of posctl in Chinese and English: labels, notices, refusals. Results and prompts of a transaction come
//! from the daemon in both languages; what stands here is only what posctl says itself.
mod labels;
mod refusals;
mod remedies;
pub(crate) mod terms;

pub(crate) use labels::*;
pub(crate) use refusals::refusal_zh;
pub(crate) use remedies::remedy;

use clap::ValueEnum;

/// The language of what people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// Chinese, simplified.
    Zh,
    /// English.
    En,
}

impl Lang {
    /// From the value of LC_ALL, LC_MESSAGES or LANG: `zh_CN.UTF-8` is Chinese, all else English.
    pub(crate) fn from_locale(locale: &str) -> Self {
        if locale.starts_with("zh") { Self::Zh } else { Self::En }
    }

    /// The key in `text` dictionaries of the bus.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// One of two texts.
    pub(crate) const fn of(self, pair: Pair) -> &'static str {
        match self {
            Self::Zh => pair.0,
            Self::En => pair.1,
        }
    }
}

/// The same in Chinese and in English.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair(pub(crate) &'static str, pub(crate) &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_chooses_the_language() {
        assert_eq!(Lang::from_locale("zh_CN.UTF-8"), Lang::Zh);
        assert_eq!(Lang::from_locale("de_DE.UTF-8"), Lang::En);
        assert_eq!(Lang::from_locale(""), Lang::En);
    }
}
