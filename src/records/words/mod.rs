//! The languages of records. Each is one file of texts beside this one, and a row of [`Language`]; the same keys are in every file, and the
//! same names in braces in every text. What the program says in English elsewhere (what becomes of a field, who receives) is not written again:
//! other languages translate it sentence by sentence, under `[said]`.

use std::collections::BTreeMap;

use crate::clock::Timestamp;

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// French.
    French,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::French];

    /// Its code, on the command line and in files' names.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    const fn file(self) -> &'static str {
        match self {
            Self::English => include_str!("en.toml"),
            Self::French => include_str!("fr.toml"),
        }
    }
}

/// The texts of a language.
pub(super) struct Words {
    pub(super) language: Language,
    texts: BTreeMap<String, String>,
    said: BTreeMap<String, String>,
}

impl Words {
    /// Those of a language.
    pub(super) fn of(language: Language) -> Self {
        let mut file: BTreeMap<String, BTreeMap<String, String>> =
            toml::from_str(language.file()).expect("a language's file is sections of texts: a test reads them all");
        let said = file.remove("said").unwrap_or_default();
        let flat =
            file.into_iter().flat_map(|(section, texts)| texts.into_iter().map(move |(key, text)| (format!("{section}.{key}"), text)));
        Self { language, texts: flat.collect(), said }
    }

    /// A text.
    pub(super) fn say(&self, key: &str) -> String {
        self.texts.get(key).expect("every key that is asked for is in every language: a test looks").clone()
    }

    /// A text whose key ends in a name of the program's own: of a field, a purpose, a column.
    pub(super) fn dynamic(&self, section: &str, name: &str) -> String {
        self.say(&format!("{section}.{name}"))
    }

    /// A text with what stands for its names in braces.
    pub(super) fn fill(&self, key: &str, values: &[(&str, &str)]) -> String {
        let text = self.say(key);
        let mut filled = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, behind)) = after.split_once('}') else { break };
            filled.push_str(before);
            let value = values.iter().find(|(known, _)| *known == name);
            filled.push_str(value.expect("every name in a text is filled in where it is said: a test looks").1);
            rest = behind;
        }
        filled.push_str(rest);
        filled
    }

    /// What the program says in English elsewhere, in this language.
    pub(super) fn said(&self, english: &str) -> String {
        self.said.get(english).map_or_else(|| english.to_owned(), Clone::clone)
    }

    /// One, or one, another and a last.
    pub(super) fn listed(&self, items: &[String]) -> String {
        match items {
            [] => self.say("list.nothing"),
            [one] => one.clone(),
            [all @ .., last] => format!("{}{}{last}", all.join(", "), self.say("list.and")),
        }
    }

    /// A moment's date, in UTC.
    pub(super) fn date(&self, moment: Timestamp) -> String {
        let iso = moment.rfc3339();
        let mut parts = iso.split('T').next().unwrap_or_default().split('-');
        let (year, month, day) = (parts.next().unwrap_or_default(), parts.next(), parts.next().unwrap_or_default());
        let month: usize = month.and_then(|month| month.parse().ok()).unwrap_or(1);
        let months = self.say("date.months");
        let name = months.split(' ').nth(month - 1).unwrap_or_default();
        let day = day.trim_start_matches('0');
        let day = if day == "1" { self.say("date.first") } else { day.to_owned() };
        self.fill("date.form", &[("day", &day), ("month", name), ("year", year)])
    }

    /// A name in this language's quotation marks.
    pub(super) fn quoted(&self, name: &str) -> String {
        self.fill("list.quoted", &[("name", name)])
    }

    /// What the operator wrote, but that their "none" is said in this language.
    pub(super) fn declared(&self, value: Option<&str>) -> Option<String> {
        value.map(|value| if value == "none" { self.say("list.none") } else { value.to_owned() })
    }

    /// A text that begins a line.
    pub(super) fn capitalised(text: &str) -> String {
        let mut characters = text.chars();
        characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
    }
}

#[cfg(test)]
mod tests;
