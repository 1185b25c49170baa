//! Whether every language says everything, in the same terms; and whether what is asked for is there, and what is there is asked for.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::{
    destination::DESTINATIONS,
    documents::{Release, profile},
    privacy::policy::{Field, Treatment},
};

fn names(text: &str) -> Vec<&str> {
    let mut found: Vec<_> = text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
    found.sort_unstable();
    found
}

#[test]
fn every_language_has_the_same_keys_and_the_same_names_in_each_text() {
    let english = Words::of(Language::English);
    for language in Language::ALL {
        let words = Words::of(language);
        assert!(words.texts.keys().eq(english.texts.keys()), "{language:?}");
        for (key, text) in &words.texts {
            assert!(!text.trim().is_empty(), "{language:?} {key}");
            assert_eq!(names(text), names(&english.texts[key]), "{language:?} {key}");
            assert_eq!(text.matches('`').count() % 2, 0, "{language:?} {key}");
        }
    }
}

/// Everything that the program says in English elsewhere and that a record repeats.
fn said_elsewhere() -> BTreeSet<&'static str> {
    let mut said: BTreeSet<&str> = DESTINATIONS.iter().map(|row| row.receiver).collect();
    said.insert(profile::RECEIVER);
    said.extend([Release::Live, Release::Hourly, Release::Daily].map(Release::in_words));
    for field in Field::ALL {
        for consented in [false, true] {
            said.extend(field.offered().iter().map(|treatment| field.effect(*treatment, consented)));
            said.insert(field.effect(Treatment::Drop, consented));
        }
    }
    said
}

#[test]
fn every_other_language_translates_what_is_said_in_english_elsewhere_and_nothing_else() {
    let said = said_elsewhere();
    assert!(Words::of(Language::English).said.is_empty());
    for language in Language::ALL.into_iter().filter(|language| *language != Language::English) {
        let words = Words::of(language);
        let translated: BTreeSet<&str> = words.said.keys().map(String::as_str).collect();
        assert_eq!(translated, said, "{language:?}");
    }
}

#[test]
fn french_has_its_own_spaces() {
    let words = Words::of(Language::French);
    for (key, text) in words.texts.iter().chain(&words.said) {
        for wrong in [" :", " ;", " ?", " !", "« ", " »", "'", "\""] {
            assert!(!text.contains(wrong), "{key}: {text}");
        }
    }
}

#[test]
fn no_text_claims_what_only_an_authority_could_say() {
    for language in Language::ALL {
        for (key, text) in &Words::of(language).texts {
            let text = text.to_lowercase();
            for claim in
                ["compliant", "compliance", "certified", "conforme", "conformité", "certifié", "no consent needed", "sans avoir besoin de"]
            {
                assert!(!text.contains(claim), "{language:?} {key}: {claim}");
            }
        }
    }
}

#[test]
fn every_key_that_is_asked_for_is_there_and_every_key_that_is_there_is_asked_for() {
    let mut code = String::new();
    let mut open = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/records"))];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") && path.file_name() != Some(Path::new("tests.rs").as_os_str()) {
            code.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    let words = Words::of(Language::English);
    let sections: BTreeSet<&str> = words.texts.keys().filter_map(|key| key.split_once('.')).map(|(section, _)| section).collect();
    let literals: BTreeSet<&str> = code.split('"').collect();
    let keys = literals
        .iter()
        .filter(|literal| literal.split_once('.').is_some_and(|(section, key)| sections.contains(section) && !key.is_empty()));
    // Keys of facts and of documents look like those of texts.
    let of_facts = |key: &str| {
        ["purpose.proof", "purpose.objection", "purpose.security", "recipient.safeguard"].contains(&key) || key.starts_with("profile.keep_")
    };
    for key in keys.filter(|key| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) && !of_facts(key)) {
        assert!(words.texts.contains_key(*key), "{key} is asked for");
    }
    for key in words.texts.keys() {
        let (_, name) = key.split_once('.').unwrap();
        // Asked for whole, or by its last part, or with `_is` behind that.
        let plain = name.strip_suffix("_is").unwrap_or(name);
        let by_name = Field::ALL.iter().any(|field| field.name() == name);
        let by_treatment = [Treatment::Drop, Treatment::Generalise, Treatment::Pseudonymise, Treatment::Keep]
            .iter()
            .any(|treatment| treatment.name() == name);
        let by_preset = crate::privacy::transform::Transform::ALL.iter().any(|transform| transform.name() == name);
        assert!(
            literals.contains(key.as_str()) || literals.contains(name) || literals.contains(plain) || by_name || by_treatment || by_preset,
            "nobody asks for {key}"
        );
    }
}

#[test]
fn dates_and_lists_are_said_as_people_say_them() {
    let (english, french) = (Words::of(Language::English), Words::of(Language::French));
    let first = Timestamp(1_798_761_600_000);
    assert_eq!(first.rfc3339().split('T').next(), Some("2027-01-01"));
    assert_eq!((english.date(first), french.date(first)), (String::from("1 January 2027"), String::from("1er janvier 2027")));
    let items = ["a", "b", "c"].map(str::to_owned);
    assert_eq!((english.listed(&items), french.listed(&items[..2])), (String::from("a, b and c"), String::from("a et b")));
    assert_eq!(english.listed(&[]), "nothing");
    assert_eq!(english.fill("list.quoted", &[("name", "{name}")]), "“{name}”", "what is filled in is not filled again");
}
