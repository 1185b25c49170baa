//! Records for a privacy officer, made from the documents in force: the record of processing activities (Article 30 GDPR), what an impact
//! assessment needs (Article 35), and the self-assessment of exempt audience measurement. What no program can know is said to be missing,
//! with the key under which the operator writes it.
//!
//! sources (documents, history, machine) → article30 | dpia | measurement → sheet → json | csv | html
//!
//! A sheet is in one language; every text of it comes from that language's file in `words/`.

mod article30;
mod changes;
mod csv;
mod dpia;
mod flow;
mod html;
mod json;
mod measurement;
mod measures;
mod people;
mod profiles;
mod recipients;
mod retention;
mod sheet;
mod sources;
pub mod words;

pub use sheet::{Missing, Sheet};
pub use sources::{Machine, Previous, Sources};
pub use words::Language;

use words::Words;

/// Which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The record of processing activities: Article 30 GDPR.
    Article30,
    /// What a data protection impact assessment needs: Article 35(7) GDPR.
    Dpia,
    /// The self-assessment of audience measurement without consent, as the CNIL asks for it.
    Measurement,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Article30, Self::Dpia, Self::Measurement];

    /// The name on the command line and of files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Article30 => "article30",
            Self::Dpia => "dpia",
            Self::Measurement => "measurement",
        }
    }
}

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For machines: every fact with its key.
    Json,
    /// For spreadsheets: a line for every fact.
    Csv,
    /// For people, and their printer.
    Html,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Html];

    /// The name on the command line, and files' ending.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
        }
    }
}

/// Makes a record.
#[must_use]
pub fn record(kind: Kind, language: Language, sources: &Sources) -> Sheet {
    let words = Words::of(language);
    match kind {
        Kind::Article30 => article30::sheet(&words, sources),
        Kind::Dpia => dpia::sheet(&words, sources),
        Kind::Measurement => measurement::sheet(&words, sources),
    }
}

/// Puts it into a form.
#[must_use]
pub fn render(sheet: &Sheet, format: Format) -> String {
    let words = Words::of(sheet.language);
    match format {
        Format::Json => json::render(sheet),
        Format::Csv => csv::render(sheet, &words),
        Format::Html => html::render(sheet, &words),
    }
}

#[cfg(test)]
mod tests;
