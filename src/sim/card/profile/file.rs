//! Profiles from TOML: a preset, and what is to differ.
//!
//! Keys of the card stand beside keys that change all its applications; with `[[application]]` tables the card has
//! those instead, each with its own preset and changes. Bytes are written in hex.
use serde::Deserialize;

use super::presets::{atr, cvm_list};
use super::{
    Application, FirstAc, Format, IssuerAuthentication, Oda, OfflinePin, Profile, ProfileError, Scripts,
    SecondAc,
};
use crate::domain::emv::apdu::Protocol;
use crate::domain::secret::Pan;

/// The keys that belong to the card; all others belong to its applications.
const CARD_KEYS: [&str; 7] = ["preset", "protocol", "mute", "pse", "ddf", "card-blocked", "application"];

impl Profile {
    /// Reads a profile: a preset (key `preset`, default `unionpay`) and what is to differ.
    ///
    /// # Errors
    /// An unknown key or preset, a value of the wrong form.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        let mut of_card = toml::from_str::<toml::Table>(text)?;
        let mut of_applications = of_card.clone();
        of_card.retain(|key, _| CARD_KEYS.contains(&key));
        of_applications.retain(|key, _| !CARD_KEYS.contains(&key));
        let card = CardChanges::deserialize(of_card)?;
        let changes = ApplicationChanges::deserialize(of_applications)?;
        let mut profile = card.apply()?;
        profile.applications.iter_mut().try_for_each(|application| changes.apply(application))?;
        Ok(profile)
    }
}

/// What is to differ in the card.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CardChanges {
    preset: Option<String>,
    protocol: Option<ProtocolName>,
    mute: Option<bool>,
    pse: Option<bool>,
    ddf: Option<bool>,
    card_blocked: Option<bool>,
    #[serde(default)]
    application: Vec<toml::Table>,
}

/// What is to differ in an application.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ApplicationChanges {
    aid: Option<Hex>,
    label: Option<String>,
    preferred_name: Option<Hex>,
    code_table: Option<u8>,
    priority: Option<u8>,
    pan: Option<String>,
    sequence: Option<u8>,
    expiry: Option<String>,
    pdol: Option<Hex>,
    cdol1: Option<Hex>,
    cdol2: Option<Hex>,
    cvm_list: Option<Hex>,
    cvm_amounts: Option<Hex>,
    issuer_authentication: Option<IssuerAuthentication>,
    issuer_authentication_mandatory: Option<bool>,
    first_ac: Option<FirstAc>,
    second_ac: Option<SecondAc>,
    scripts: Option<Scripts>,
    format: Option<Format>,
    blocked: Option<bool>,
    atc: Option<u16>,
    pin: Option<String>,
    pin_tries: Option<u8>,
    pin_tries_left: Option<u8>,
    pin_key: Option<bool>,
    oda: Option<Oda>,
    spoilt: Option<String>,
    cid: Option<Hex>,
    #[serde(default)]
    objects: std::collections::BTreeMap<String, Hex>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProtocolName {
    T0,
    T1,
}

/// Bytes in hex; empty: none.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bad = "bytes are written as pairs of hex digits, 255 at most";
        if text.len() > 510 || !text.len().is_multiple_of(2) {
            return Err(bad);
        }
        let byte = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or(bad);
        (0..text.len()).step_by(2).map(byte).collect::<Result<_, _>>().map(Self)
    }
}

impl CardChanges {
    fn apply(self) -> Result<Profile, ProfileError> {
        let mut profile = Profile::preset(self.preset.as_deref().unwrap_or("unionpay"))?;
        if let Some(name) = self.protocol {
            profile.protocol = match name {
                ProtocolName::T0 => Protocol::T0,
                ProtocolName::T1 => Protocol::T1,
            };
            profile.atr = atr(profile.protocol);
        }
        if self.mute == Some(true) {
            profile.atr.clear();
        }
        set(&mut profile.pse, self.pse);
        set(&mut profile.ddf, self.ddf);
        set(&mut profile.blocked, self.card_blocked);
        if !self.application.is_empty() {
            profile.applications = self.application.into_iter().map(application).collect::<Result<_, _>>()?;
        }
        Ok(profile)
    }
}

/// One `[[application]]`: the first application of its preset, changed.
fn application(mut table: toml::Table) -> Result<Application, ProfileError> {
    let preset = table.remove("preset");
    let preset = preset.as_ref().and_then(toml::Value::as_str).unwrap_or("unionpay");
    let mut first = Profile::preset(preset)?
        .applications
        .into_iter()
        .next()
        .ok_or_else(|| ProfileError::UnknownPreset(preset.to_owned()))?;
    ApplicationChanges::deserialize(table)?.apply(&mut first)?;
    Ok(first)
}

impl ApplicationChanges {
    fn apply(&self, application: &mut Application) -> Result<(), ProfileError> {
        if let Some(Hex(aid)) = &self.aid {
            if !(5..=16).contains(&aid.len()) {
                return Err(ProfileError::Value { key: "aid", allowed: "5 to 16 bytes" });
            }
            application.aid.clone_from(aid);
        }
        if let Some(pan) = &self.pan {
            application.pan = Pan::new(pan)?;
        }
        if let Some(expiry) = &self.expiry {
            application.expiry = checked_expiry(expiry)?;
        }
        if let Some(Hex(rules)) = &self.cvm_list {
            application.cvm_list = cvm_list(rules);
        }
        if let Some(Hex(amounts)) = &self.cvm_amounts {
            let place = application.cvm_list.first_chunk_mut::<8>();
            let (Some(place), Ok(amounts)) = (place, <[u8; 8]>::try_from(amounts.as_slice())) else {
                return Err(ProfileError::Value { key: "cvm-amounts", allowed: "two amounts of 4 bytes" });
            };
            *place = amounts;
        }
        for (tag, Hex(value)) in &self.objects {
            let number = u32::from_str_radix(tag, 16)
                .map_err(|_| ProfileError::Value { key: "objects", allowed: "values by tag in hex" })?;
            application.objects.insert(number, (!value.is_empty()).then(|| value.clone()));
        }
        if let Some(name) = &self.preferred_name {
            application.preferred_name = (!name.0.is_empty()).then(|| name.0.clone());
        }
        set(&mut application.label, self.label.clone());
        set(&mut application.code_table, self.code_table);
        set(&mut application.priority, self.priority);
        set(&mut application.pdol, self.pdol.clone().map(|hex| hex.0));
        set(&mut application.cdol1, self.cdol1.clone().map(|hex| hex.0));
        set(&mut application.cdol2, self.cdol2.clone().map(|hex| hex.0));
        set(&mut application.sequence, self.sequence);
        set(&mut application.issuer_authentication, self.issuer_authentication);
        set(&mut application.issuer_authentication_mandatory, self.issuer_authentication_mandatory);
        set(&mut application.first_ac, self.first_ac);
        set(&mut application.second_ac, self.second_ac);
        set(&mut application.scripts, self.scripts);
        set(&mut application.format, self.format);
        set(&mut application.blocked, self.blocked);
        set(&mut application.atc, self.atc);
        set(&mut application.pin_key, self.pin_key);
        set(&mut application.oda, self.oda);
        if let Some(spoilt) = &self.spoilt {
            let spoilt = spoilt.parse().map_err(|allowed| ProfileError::Value { key: "spoilt", allowed })?;
            application.spoilt = Some(spoilt);
        }
        set(&mut application.cid, self.cid.as_ref().and_then(|hex| hex.0.first().copied()));
        self.apply_pin(application)
    }

    /// `pin = ""` takes the PIN away; a new limit gives all tries back, unless it is said how many are left.
    fn apply_pin(&self, application: &mut Application) -> Result<(), ProfileError> {
        if let Some(digits) = &self.pin {
            let good = (4..=12).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            if !good && !digits.is_empty() {
                return Err(ProfileError::Value { key: "pin", allowed: "4 to 12 digits, or nothing" });
            }
            application.pin = good.then(|| OfflinePin { digits: digits.clone(), limit: 3, left: 3 });
        }
        if let Some(pin) = &mut application.pin {
            set(&mut pin.limit, self.pin_tries);
            set(&mut pin.left, self.pin_tries);
            set(&mut pin.left, self.pin_tries_left);
        }
        Ok(())
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn checked_expiry(text: &str) -> Result<String, ProfileError> {
    let month = text.get(2..).and_then(|month| month.parse::<u8>().ok());
    let good = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    match month {
        Some(1..=12) if good => Ok(text.to_owned()),
        _ => Err(ProfileError::Value { key: "expiry", allowed: "YYMM" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_file_changes_a_preset() {
        let text = "preset = 'visa'\nprotocol = 't0'\nformat = 2\npan = '4000001234567899'\n\
                    first-ac = 'online'\ncvm-list = '1F00'\nexpiry = '2902'\nscripts = 'refuse'\n\
                    pin = '2580'\npin-tries-left = 1\nobjects = { 9F08 = '', 9F42 = '0840' }";
        let profile = Profile::from_toml(text).unwrap();
        assert_eq!(profile.protocol, Protocol::T0);
        let application = &profile.applications[0];
        assert_eq!(application.pan.reveal(), "4000001234567899");
        assert_eq!((application.first_ac, application.format), (FirstAc::Online, Format::Two));
        assert_eq!(application.cvm_list, [0, 0, 0, 0, 0, 0, 0, 0, 0x1F, 0]);
        assert_eq!(application.pin, Some(OfflinePin { digits: "2580".to_owned(), limit: 3, left: 1 }));
        assert_eq!(application.objects.get(&0x9F08), Some(&None));
        for wrong in [
            "colour = 1",
            "format = 3",
            "expiry = '3013'",
            "pan = 'x'",
            "cvm-list = '1'",
            "preset = 'x'",
            "pin = '12'",
            "objects = { YY = '00' }",
            "[[application]]\ncolour = 1",
        ] {
            assert!(Profile::from_toml(wrong).is_err(), "{wrong}");
        }
    }

    /// A card of several applications: each has its own preset, and what stands above changes them all.
    #[test]
    fn a_profile_file_lists_applications() {
        let text = "pse = false\nsequence = 2\n[[application]]\npreset = 'visa'\npriority = 2\n\
                    [[application]]\naid = 'A00000033301010101'\nblocked = true";
        let profile = Profile::from_toml(text).unwrap();
        let [visa, other] = profile.applications.as_slice() else { panic!("two applications") };
        assert_eq!((visa.priority, visa.sequence, visa.blocked), (2, 2, false));
        assert_eq!((other.aid.len(), other.sequence, other.blocked), (9, 2, true));
    }
}
