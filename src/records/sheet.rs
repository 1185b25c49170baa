//! A record in one language, before it is JSON, CSV or HTML: sections of facts, tables and drawings. Keys are the same in every language.

use super::{Kind, Language, flow::Flow, words::Words};

/// A record.
pub struct Sheet {
    /// Which.
    pub kind: Kind,
    /// In which language.
    pub language: Language,
    /// What it is called.
    pub title: String,
    /// What it is, and what it is not.
    pub lead: Vec<String>,
    /// Its parts.
    pub sections: Vec<Section>,
}

/// A part of a record.
pub struct Section {
    /// Its key: `30.1.a`.
    pub key: &'static str,
    /// Which site it is about, where it is about one.
    pub site: Option<String>,
    /// Its heading.
    pub heading: String,
    /// What it says.
    pub parts: Vec<Part>,
}

/// What a section says.
pub enum Part {
    /// A paragraph.
    Text(String),
    /// What is said of something, line by line.
    Facts(Vec<Fact>),
    /// A table.
    Table(Table),
    /// How data flow.
    Flow(Flow),
    /// Parts about one thing: a destination.
    Group {
        /// Which.
        item: String,
        /// Its heading.
        heading: String,
        /// What is said of it.
        parts: Vec<Part>,
    },
}

/// How a value came to stand there, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It follows from the documents, the configuration or the program.
    Known,
    /// The operator declared it.
    Declared,
    /// The operator has to.
    ToFillIn,
    /// A criterion that the configuration meets.
    Met,
    /// A question to the operator.
    ToAnswer,
    /// A criterion that nobody here has read.
    NotRead,
}

impl State {
    /// The key of its words, and its name in JSON and CSV.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Declared => "declared",
            Self::ToFillIn => "to_be_filled_in",
            Self::Met => "met_by_configuration",
            Self::ToAnswer => "to_be_answered",
            Self::NotRead => "not_yet_read",
        }
    }
}

/// One thing that is said.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Its key.
    pub key: String,
    /// What it is about.
    pub label: String,
    /// What is said; empty where something is missing.
    pub value: String,
    /// The same as documents write it, where they do.
    pub code: Option<String>,
    /// How it came to stand there.
    pub state: State,
    /// The setting that says it or would say it: `site "shop": controller.name`.
    pub setting: Option<String>,
    /// Where a criterion comes from.
    pub source: Option<String>,
}

/// A table.
pub struct Table {
    /// Its key.
    pub key: &'static str,
    /// Keys and headings of its columns; the first says what a row is about.
    pub columns: Vec<(&'static str, String)>,
    /// Its rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// A value in a table.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What is said.
    pub text: String,
    /// The same as documents write it, where they do.
    pub code: Option<String>,
    /// How it came to stand there.
    pub state: State,
    /// The setting that says it or would say it.
    pub setting: Option<String>,
}

/// Something that the operator has to fill in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Where: `site "shop": controller.name`.
    pub setting: String,
}

impl Fact {
    /// What follows from the documents, the configuration or the program.
    pub(super) fn known(key: &str, label: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, label, value) = (key.to_owned(), label.into(), value.into());
        Self { key, label, value, code: None, state: State::Known, setting: None, source: None }
    }

    /// A question to the operator, with what the program knows towards an answer.
    pub(super) fn question(key: &str, label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { state: State::ToAnswer, ..Self::known(key, label, value) }
    }

    /// What the operator declared under a key of a document, or that they have to.
    pub(super) fn declared(key: &str, label: impl Into<String>, value: Option<&str>, setting: String) -> Self {
        let state = if value.is_some() { State::Declared } else { State::ToFillIn };
        Self { state, setting: Some(setting), ..Self::known(key, label, value.unwrap_or_default()) }
    }

    /// The same, said by this setting.
    pub(super) fn by(self, setting: impl Into<String>) -> Self {
        Self { setting: Some(setting.into()), ..self }
    }

    /// The same, as documents write it.
    pub(super) fn written(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }
}

impl Cell {
    /// What follows from the documents, the configuration or the program.
    pub(super) fn known(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: None, state: State::Known, setting: None }
    }

    /// The same, as documents write it.
    pub(super) fn written(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    /// What the operator declared, or that they have to.
    pub(super) fn declared(value: Option<&str>, setting: String) -> Self {
        let state = if value.is_some() { State::Declared } else { State::ToFillIn };
        Self { text: value.unwrap_or_default().to_owned(), code: None, state, setting: Some(setting) }
    }

    /// A place for the operator's answer.
    pub(super) const fn to_answer() -> Self {
        Self { text: String::new(), code: None, state: State::ToAnswer, setting: None }
    }
}

/// How a setting is named: `site "shop": controller.name`, as errors about documents name it.
pub(super) fn setting(kind: &str, name: &str, key: &str) -> String {
    format!("{kind} \"{name}\": {key}")
}

/// The columns of a table: their keys, and their words under `column.`.
pub(super) fn columns(words: &Words, keys: &[&'static str]) -> Vec<(&'static str, String)> {
    keys.iter().map(|key| (*key, words.dynamic("column", key))).collect()
}

impl Sheet {
    /// What the operator has to fill in, each once.
    #[must_use]
    pub fn missing(&self) -> Vec<Missing> {
        let mut found = Vec::new();
        self.sections.iter().for_each(|section| missing_in(&section.parts, &mut found));
        found.sort();
        found.dedup();
        found
    }

    /// How many facts and cells are in a state.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.sections.iter().map(|section| count_in(&section.parts, state)).sum()
    }
}

fn missing_in(parts: &[Part], found: &mut Vec<Missing>) {
    let mut note = |state: State, setting: &Option<String>| {
        if let (State::ToFillIn, Some(setting)) = (state, setting) {
            found.push(Missing { setting: setting.clone() });
        }
    };
    for part in parts {
        match part {
            Part::Facts(facts) => facts.iter().for_each(|fact| note(fact.state, &fact.setting)),
            Part::Table(table) => table.rows.iter().flatten().for_each(|cell| note(cell.state, &cell.setting)),
            Part::Text(_) | Part::Flow(_) | Part::Group { .. } => {}
        }
    }
    for part in parts {
        if let Part::Group { parts, .. } = part {
            missing_in(parts, found);
        }
    }
}

fn count_in(parts: &[Part], state: State) -> usize {
    let of = |part: &Part| match part {
        Part::Facts(facts) => facts.iter().filter(|fact| fact.state == state).count(),
        Part::Table(table) => table.rows.iter().flatten().filter(|cell| cell.state == state).count(),
        Part::Group { parts, .. } => count_in(parts, state),
        Part::Text(_) | Part::Flow(_) => 0,
    };
    parts.iter().map(of).sum()
}
