//! The visitor's choice as Segment's consent wrappers say it: `context.consent.categoryPreferences`, a map from the consent tool's own
//! categories to true or false. What a category is called is the site's affair; the names below are the ones that consent tools come
//! with, and each grants one purpose at most.
//!
//! - A category that is not in the table grants nothing. A functional one grants nothing either: whoever lets a site remember a language
//!   has not agreed to a profile.
//! - A choice among known categories that grants nothing is a refusal.
//! - A choice with no known category in it, or with something else than true and false, cannot be read, and counts as no.
//! - No choice is no choice: `Absent`.
//!
//! RudderStack says the same in lists, `context.consentManagement.allowedConsentIds` and `deniedConsentIds`.

use serde_json::value::RawValue;

use crate::{
    event::Purposes,
    privacy::{consent::ConsentSignal, raw::PropertyValue},
    protocol::reading::loose::{self, Fields, flat},
};

/// Names of categories in small letters and digits alone, and what a yes to each grants. `c0001` to `c0005` are OneTrust's groups as
/// they come.
#[rustfmt::skip]
const CATEGORIES: &[(&str, Purposes)] = &[
    ("analytics",           Purposes::ANALYTICS),
    ("analytical",          Purposes::ANALYTICS),
    ("analyticsstorage",    Purposes::ANALYTICS),
    ("measurement",         Purposes::ANALYTICS),
    ("performance",         Purposes::ANALYTICS),
    ("statistics",          Purposes::ANALYTICS),
    ("statistical",         Purposes::ANALYTICS),
    ("c0002",               Purposes::ANALYTICS),

    ("advertising",         Purposes::ADS),
    ("ads",                 Purposes::ADS),
    ("adstorage",           Purposes::ADS),
    ("marketing",           Purposes::ADS),
    ("targeting",           Purposes::ADS),
    ("c0004",               Purposes::ADS),

    ("profile",             Purposes::PROFILE),
    ("profiling",           Purposes::PROFILE),
    ("personalization",     Purposes::PROFILE),
    ("personalisation",     Purposes::PROFILE),

    ("essential",           Purposes::NONE),
    ("functional",          Purposes::NONE),
    ("functionality",       Purposes::NONE),
    ("necessary",           Purposes::NONE),
    ("preferences",         Purposes::NONE),
    ("required",            Purposes::NONE),
    ("socialmedia",         Purposes::NONE),
    ("strictlynecessary",   Purposes::NONE),
    ("c0001",               Purposes::NONE),
    ("c0003",               Purposes::NONE),
    ("c0005",               Purposes::NONE),
];

/// What a `context.consent` says.
pub(super) fn signal(consent: Option<&RawValue>) -> ConsentSignal {
    let Some(consent) = consent.filter(|consent| consent.get() != "null") else { return ConsentSignal::Absent };
    let Some(mut consent) = Fields::of(consent) else { return ConsentSignal::Malformed };
    let Some(preferences) = consent.take("categoryPreferences").filter(|preferences| preferences.get() != "null") else {
        return ConsentSignal::Absent;
    };
    let Some(preferences) = Fields::of(preferences) else { return ConsentSignal::Malformed };
    let mut purposes = Purposes::NONE;
    let (mut known, mut categories) = (0, 0);
    for (name, value) in preferences.rest() {
        let Some(PropertyValue::Flag(agreed)) = flat(value) else { return ConsentSignal::Malformed };
        categories += 1;
        if let Some(granted) = category(name) {
            known += 1;
            purposes = if agreed { purposes.and(granted) } else { purposes };
        }
    }
    if known == 0 && categories > 0 { ConsentSignal::Malformed } else { ConsentSignal::Given { purposes, seconds_left: None } }
}

/// What RudderStack's `context.consentManagement` says: lists of the categories that were agreed to and of those that were not. Where it has
/// neither, nothing was chosen.
pub(super) fn managed(consent: Option<&RawValue>) -> ConsentSignal {
    let Some(consent) = consent.filter(|consent| consent.get() != "null") else { return ConsentSignal::Absent };
    let Some(mut consent) = Fields::of(consent) else { return ConsentSignal::Malformed };
    let mut purposes = Purposes::NONE;
    let (mut known, mut categories) = (0, 0);
    for (list, agreed) in [("allowedConsentIds", true), ("deniedConsentIds", false)] {
        // A consent tool's own object stands there where RudderStack does not know its categories.
        for category in consent.take(list).map(|said| loose::list(said).unwrap_or_default()).unwrap_or_default() {
            let Some(PropertyValue::Text(name)) = flat(category) else { return ConsentSignal::Malformed };
            categories += 1;
            if let Some(granted) = self::category(&name) {
                known += 1;
                purposes = if agreed { purposes.and(granted) } else { purposes };
            }
        }
    }
    match (known, categories) {
        (0, 0) => ConsentSignal::Absent,
        (0, _) => ConsentSignal::Malformed,
        _ => ConsentSignal::Given { purposes, seconds_left: None },
    }
}

/// The choice of one call that says it in two ways: the stricter of both, where both say something.
pub(super) fn beside(one: ConsentSignal, other: ConsentSignal) -> ConsentSignal {
    match (one, other) {
        (ConsentSignal::Absent, said) | (said, ConsentSignal::Absent) => said,
        (one, other) => stricter(one, other),
    }
}

fn category(name: &str) -> Option<Purposes> {
    let plain: String = name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    CATEGORIES.iter().find(|(known, _)| *known == plain).map(|(_, granted)| *granted)
}

/// The choice for a whole request, whose calls may have been made before and after it: the more restrictive of two, and of two grants what
/// is in both.
pub(super) fn stricter(one: ConsentSignal, other: ConsentSignal) -> ConsentSignal {
    use ConsentSignal::{Absent, Given, Malformed};
    match (one, other) {
        (Given { purposes, .. }, no) | (no, Given { purposes, .. }) if purposes.is_empty() => match no {
            Malformed => Malformed,
            _ => Given { purposes, seconds_left: None },
        },
        (Malformed, _) | (_, Malformed) => Malformed,
        (Given { purposes: one, .. }, Given { purposes: other, .. }) => {
            let both = Purposes::from_bits(one.bits() & other.bits());
            // Two different grants are no refusal, but neither holds for both calls.
            if both.is_empty() { Absent } else { Given { purposes: both, seconds_left: None } }
        }
        _ => Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn given(purposes: Purposes) -> ConsentSignal {
        ConsentSignal::Given { purposes, seconds_left: None }
    }

    #[test]
    fn rudderstacks_lists_are_read_as_the_map_is() {
        let said = |json: &str| managed(Some(&*RawValue::from_string(json.to_owned()).expect("JSON")));
        let cases = [
            (r#"{"allowedConsentIds":["Analytics"],"deniedConsentIds":["Marketing"]}"#, given(Purposes::ANALYTICS)),
            (r#"{"allowedConsentIds":["C0001"],"deniedConsentIds":["C0002","C0004"]}"#, given(Purposes::NONE)),
            (r#"{"allowedConsentIds":["ours"],"deniedConsentIds":[]}"#, ConsentSignal::Malformed),
            (r#"{"allowedConsentIds":[7]}"#, ConsentSignal::Malformed),
            (r#"{"provider":"custom","resolutionStrategy":"and"}"#, ConsentSignal::Absent),
            ("null", ConsentSignal::Absent),
            ("7", ConsentSignal::Malformed),
        ];
        for (json, expected) in cases {
            assert_eq!(said(json), expected, "{json}");
        }
        assert_eq!(beside(given(Purposes::ANALYTICS), given(Purposes::NONE)), given(Purposes::NONE));
        assert_eq!(beside(ConsentSignal::Absent, given(Purposes::ADS)), given(Purposes::ADS));
    }

    #[test]
    fn only_a_known_category_with_a_yes_grants() {
        let all = Purposes::ANALYTICS.and(Purposes::ADS).and(Purposes::PROFILE);
        let cases = [
            ("null", ConsentSignal::Absent),
            ("{}", ConsentSignal::Absent),
            (r#"{"categoryPreferences":null}"#, ConsentSignal::Absent),
            (r#"{"categoryPreferences":{}}"#, given(Purposes::NONE)),
            (r#"{"categoryPreferences":{"Analytics":true,"Advertising":false}}"#, given(Purposes::ANALYTICS)),
            (r#"{"categoryPreferences":{"C0001":true,"C0002":true,"C0004":true}}"#, given(Purposes::ANALYTICS.and(Purposes::ADS))),
            (r#"{"categoryPreferences":{"ad_storage":true,"statistics":true,"Personalization":true}}"#, given(all)),
            (r#"{"categoryPreferences":{"Functional":true,"Marketing":false}}"#, given(Purposes::NONE)),
            (r#"{"categoryPreferences":{"Strictly Necessary":true}}"#, given(Purposes::NONE)),
            (r#"{"categoryPreferences":{"Analytics":true,"our partners":true}}"#, given(Purposes::ANALYTICS)),
            (r#"{"categoryPreferences":{"our partners":true}}"#, ConsentSignal::Malformed),
            (r#"{"categoryPreferences":{"Analytics":"true"}}"#, ConsentSignal::Malformed),
            (r#"{"categoryPreferences":{"Analytics":1}}"#, ConsentSignal::Malformed),
            (r#"{"categoryPreferences":["Analytics"]}"#, ConsentSignal::Malformed),
            (r"[]", ConsentSignal::Malformed),
        ];
        for (json, expected) in cases {
            let raw: &RawValue = serde_json::from_str(json).expect("JSON");
            assert_eq!(signal(Some(raw)), expected, "{json}");
        }
        assert_eq!(signal(None), ConsentSignal::Absent);
    }

    #[test]
    fn the_scripts_shim_knows_the_same_categories() {
        let shim = include_str!("../../../js-snippet/src/shims/segment.ts");
        let of = |purpose: &str| -> Vec<&str> {
            let row = shim.lines().find_map(|line| line.strip_prefix(&format!("list(\"{purpose}\", \"")));
            row.expect("a row of the purpose").trim_end_matches("\");").split(' ').collect()
        };
        let rows = [("analytics", Purposes::ANALYTICS), ("ads", Purposes::ADS), ("profile", Purposes::PROFILE), ("", Purposes::NONE)];
        for (purpose, granted) in rows {
            let known: Vec<_> = CATEGORIES.iter().filter(|(_, grants)| *grants == granted).map(|(name, _)| *name).collect();
            assert_eq!(of(purpose), known, "{purpose}");
        }
    }

    #[test]
    fn a_request_has_the_strictest_choice_of_its_calls() {
        let (no, analytics, ads) = (given(Purposes::NONE), given(Purposes::ANALYTICS), given(Purposes::ADS));
        let both = given(Purposes::ANALYTICS.and(Purposes::ADS));
        let (absent, malformed) = (ConsentSignal::Absent, ConsentSignal::Malformed);
        let cases = [
            (analytics, analytics, analytics),
            (analytics, both, analytics),
            (analytics, ads, absent),
            (analytics, absent, absent),
            (analytics, no, no),
            (absent, no, no),
            (analytics, malformed, malformed),
            (no, malformed, malformed),
            (no, no, no),
            (absent, absent, absent),
        ];
        for (one, other, expected) in cases {
            assert_eq!(stricter(one, other), expected, "{one:?} {other:?}");
            assert_eq!(stricter(other, one), expected, "{other:?} {one:?}");
        }
    }
}
