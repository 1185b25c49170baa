//! Reading a destination document's `settings` table: every key is known, of the right kind and within its bounds, or the error says
//! which key, what is wrong and what to write. Values are never repeated in an error, since one of them may be a misplaced secret.

use std::{collections::BTreeMap, ops::RangeInclusive};

use http::Uri;

use super::SettingsError;
use crate::config::secret::{self, Secret};

/// No vendor's key or token is longer.
const SECRET_BYTES_MAX: usize = 512;

/// A `settings` table, all of whose keys are known.
pub struct Settings<'t> {
    table: &'t toml::Table,
}

impl<'t> Settings<'t> {
    /// Takes a table that may have these keys and no others.
    ///
    /// # Errors
    /// For the first key that is not one of them.
    pub fn read(table: &'t toml::Table, known: &[&str]) -> Result<Self, SettingsError> {
        match table.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(Self { table }),
            Some(key) => {
                let near = known.iter().max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
                let fix = match near {
                    Some(near) if strsim::jaro_winkler(near, key) > 0.8 => format!("did you mean {near:?}?"),
                    _ => format!("the keys are {}", known.join(", ")),
                };
                Err(error(key, "is not a key of this destination type", Some(fix)))
            }
        }
    }

    /// A piece of text that must be there.
    ///
    /// # Errors
    /// When it is missing, empty or no text.
    pub fn text(&self, key: &str, example: &str) -> Result<&'t str, SettingsError> {
        self.optional_text(key)?.ok_or_else(|| error(key, "is missing", Some(format!("for example {key} = {example:?}"))))
    }

    /// A piece of text that may be left out.
    ///
    /// # Errors
    /// When it is empty or no text.
    pub fn optional_text(&self, key: &str) -> Result<Option<&'t str>, SettingsError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(toml::Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(error(key, "must be a text that is not empty", None)),
        }
    }

    /// True or false; false where it is left out.
    ///
    /// # Errors
    /// When it is neither.
    pub fn flag(&self, key: &str) -> Result<bool, SettingsError> {
        match self.table.get(key) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| error(key, "must be true or false", None)),
        }
    }

    /// A secret that must be there: a key or token of visible ASCII characters, by reference. Reads a file: blocks.
    ///
    /// # Errors
    /// When it is missing, leads nowhere, or what it leads to is none.
    pub fn secret(&self, key: &str, example: &str) -> Result<Secret, SettingsError> {
        resolved(key, self.text(key, example)?)
    }

    /// The same, where it may be left out.
    ///
    /// # Errors
    /// When it leads nowhere, or what it leads to is none.
    pub fn optional_secret(&self, key: &str) -> Result<Option<Secret>, SettingsError> {
        self.optional_text(key)?.map(|reference| resolved(key, reference)).transpose()
    }

    /// An address that events are sent to, as [`check_url`] has it, without a query; `default` where it is left out. A slash at its end is
    /// no part of it.
    ///
    /// # Errors
    /// When it is missing and there is no default, or is no such address.
    pub fn url(&self, key: &str, default: Option<&str>, example: &str) -> Result<String, SettingsError> {
        let url = match (self.optional_text(key)?, default) {
            (Some(said), _) => said,
            (None, Some(default)) => default,
            (None, None) => self.text(key, example)?,
        };
        if url.contains(['?', '#']) {
            return Err(error(key, "has a query", Some(format!("end it with the path, as in {example:?}"))));
        }
        check_url(key, url)?;
        Ok(url.trim_end_matches('/').to_owned())
    }

    /// Texts by name; none where the table is left out.
    ///
    /// # Errors
    /// When it is no table, or one of its values no text.
    pub fn texts(&self, key: &str) -> Result<BTreeMap<String, String>, SettingsError> {
        let wrong = || error(key, "must be a table of texts", None);
        let Some(value) = self.table.get(key) else { return Ok(BTreeMap::new()) };
        let of_one = |(name, value): (&String, &toml::Value)| Ok((name.clone(), value.as_str().ok_or_else(wrong)?.to_owned()));
        value.as_table().ok_or_else(wrong)?.iter().map(of_one).collect()
    }

    /// Whole numbers by name; none where the table is left out.
    ///
    /// # Errors
    /// When it is no table, or one of its values no whole number within the bounds.
    pub fn numbers(&self, key: &str, bounds: RangeInclusive<u32>) -> Result<BTreeMap<String, u32>, SettingsError> {
        let wrong = || error(key, &format!("must be a table of whole numbers from {} to {}", bounds.start(), bounds.end()), None);
        let Some(value) = self.table.get(key) else { return Ok(BTreeMap::new()) };
        let of_one = |(name, value): (&String, &toml::Value)| {
            let number = value.as_integer().and_then(|number| u32::try_from(number).ok()).filter(|number| bounds.contains(number));
            Ok((name.clone(), number.ok_or_else(wrong)?))
        };
        value.as_table().ok_or_else(wrong)?.iter().map(of_one).collect()
    }

    /// A whole number that may be left out.
    ///
    /// # Errors
    /// When it is no whole number or outside the bounds.
    pub fn whole_number(&self, key: &str, bounds: RangeInclusive<u32>, default: u32) -> Result<u32, SettingsError> {
        match self.table.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_integer()
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| bounds.contains(number))
                .ok_or_else(|| error(key, &format!("must be a whole number from {} to {}", bounds.start(), bounds.end()), None)),
        }
    }
}

fn resolved(key: &str, reference: &str) -> Result<Secret, SettingsError> {
    let secret = secret::resolve(reference).map_err(|wrong| error(key, &wrong.to_string(), None))?;
    if secret.bytes().iter().all(u8::is_ascii_graphic) && secret.bytes().len() <= SECRET_BYTES_MAX {
        return Ok(secret);
    }
    let reason = format!("the secret it refers to is not 1 to {SECRET_BYTES_MAX} visible ASCII characters");
    Err(error(key, &reason, None))
}

/// Checks an address that events are to be sent to: https with a host and without a user name, or plain http on this very machine.
///
/// # Errors
/// When it is no such address.
pub fn check_url(key: &str, url: &str) -> Result<(), SettingsError> {
    let wrong = |reason: &str, fix: &str| Err(error(key, reason, Some(fix.to_owned())));
    let Ok(uri) = url.parse::<Uri>() else { return wrong("is no URL", "write it as https://host/path") };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return wrong("names no host", "write it as https://host/path");
    };
    if authority.as_str().contains('@') {
        return wrong("holds a user name", "leave it out: secrets are given by reference, in settings of their own");
    }
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback(authority.host()) => Ok(()),
        "http" => wrong("would send events unencrypted", "use https; plain http is for loopback addresses only"),
        _ => wrong("is not an https URL", "write it as https://host/path"),
    }
}

/// Whether a host is this very machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<core::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What is wrong with a key.
#[must_use]
pub fn error(key: &str, reason: &str, fix: Option<String>) -> SettingsError {
    SettingsError { key: key.to_owned(), reason: reason.to_owned(), fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> toml::Table {
        text.parse().unwrap()
    }

    #[test]
    fn errors_name_the_key_and_the_fix_and_never_the_value() {
        let unknown = table("dirctory = \"whsec_hidden\"");
        let error = Settings::read(&unknown, &["directory", "keep"]).err().unwrap();
        assert_eq!(error.to_string(), "settings.dirctory: is not a key of this destination type (did you mean \"directory\"?)");
        let unknown = table("x = 1");
        assert_eq!(Settings::read(&unknown, &["directory", "keep"]).err().unwrap().fix.unwrap(), "the keys are directory, keep");
        let table = table("directory = 4\nkeep = -1\nurl = \"\"");
        let settings = Settings::read(&table, &["directory", "keep", "url"]).unwrap();
        assert_eq!(settings.text("directory", "outbox/x").unwrap_err().to_string(), "settings.directory: must be a text that is not empty");
        assert_eq!(settings.text("url", "x").unwrap_err().key, "url");
        assert_eq!(settings.text("absent", "x").unwrap_err().to_string(), "settings.absent: is missing (for example absent = \"x\")");
        assert_eq!(settings.whole_number("keep", 1..=9, 3).unwrap_err().reason, "must be a whole number from 1 to 9");
        assert_eq!(settings.whole_number("absent", 1..=9, 3).unwrap(), 3);
    }

    #[test]
    fn addresses_and_tables_are_read_or_refused() {
        let table =
            table("a = \"https://a.example/x/\"\nb = \"https://a.example/?key=1\"\nc = { plan = 3, seats = 7 }\nd = { plan = 10 }\ne = 1");
        let settings = Settings::read(&table, &["a", "b", "c", "d", "e"]).unwrap();
        assert_eq!(settings.url("a", None, "https://b.example").unwrap(), "https://a.example/x");
        assert_eq!(settings.url("absent", Some("https://b.example"), "").unwrap(), "https://b.example");
        assert_eq!(settings.url("absent", None, "https://b.example").unwrap_err().reason, "is missing");
        let refused = settings.url("b", None, "https://b.example").unwrap_err();
        assert!(refused.reason == "has a query" && !refused.to_string().contains("key"), "{refused}");
        let numbers = settings.numbers("c", 1..=9).unwrap();
        assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [(String::from("plan"), 3), (String::from("seats"), 7)]);
        assert_eq!(settings.numbers("d", 1..=9).unwrap_err().reason, "must be a table of whole numbers from 1 to 9");
        assert!(settings.numbers("e", 1..=9).is_err() && settings.numbers("absent", 1..=9).unwrap().is_empty());
        assert_eq!((settings.flag("e").unwrap_err().reason.as_str(), settings.flag("absent").unwrap()), ("must be true or false", false));
    }
}
