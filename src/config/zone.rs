//! Time zones of the system's tzdata.
#![allow(clippy::disallowed_methods, reason = "configuration is files")]
use jiff::tz::TimeZone;
use std::path::Path;

/// Where Debian has the zones.
const FOLDER: &str = "/usr/share/zoneinfo";

/// A zone by its IANA name; `None`: this system has none of that name.
///
/// Its file is read: `jiff` looks a name up in a list of all zones, and to make it reads every folder of tzdata, which
/// is a noticeable part of a start. It is asked where there is no such file, for the ways it knows besides.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    let is_plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    let of_file = || {
        let bytes = std::fs::read(Path::new(FOLDER).join(name)).ok()?;
        TimeZone::tzif(name, &bytes).ok()
    };
    name.split('/').all(is_plain).then(of_file).flatten().or_else(|| TimeZone::get(name).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    /// Goal: a zone is the same by its file and by the list; what is none, or leads out of the folder, is none.
    #[test]
    fn a_zone_is_found_by_its_name_alone() {
        for name in ["Asia/Shanghai", "America/Argentina/Buenos_Aires", "Etc/GMT+8"] {
            let found = zone(name).unwrap();
            assert_eq!((found.iana_name(), &found), (Some(name), &TimeZone::get(name).unwrap()));
        }
        for name in ["Mars/Olympus", "", "Asia", "/etc/localtime", "Asia/../Asia/Shanghai", "Asia//Shanghai"]
        {
            assert_eq!(zone(name), None, "{name}");
        }
        assert!(zone("asia/shanghai").is_some(), "as the library has it");
    }
}
