//! The decoders of consent strings against the IAB's own libraries, on strings that those make, and on the same, broken
//! (`tests/oracles/consent/`). What ours reads, the library reads, and every field is the same; what ours does not read grants nothing. Of
//! the sound strings, ours reads all.
//!
//! The other way round, ours refuses broken strings that the libraries let pass: the sums at the end say how many.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use firsthand::{
    clock::Timestamp,
    event::Purposes,
    privacy::consent::{
        ConsentSignal, Restriction, Stance, VendorSet,
        gpp::{self, Gpp},
        tcf::{self, PurposeSet, TcString},
        us_privacy::{self, Answer, UsPrivacy},
        us_sections::UsSection,
    },
};
use serde_json::{Value, json};

/// Sound strings, and as many broken ones, of each kind.
const STRINGS: usize = 1_000;
/// Any; the same one makes the same strings.
const SEED: u32 = 20_261_123;
/// 2026-03-14: within the span that the made strings come from, before its end and after.
const NOW: Timestamp = Timestamp(1_773_480_413_589);

#[derive(Default)]
struct Sum {
    strings: usize,
    read: usize,
    refused_as_well: usize,
    refused_by_us_alone: usize,
}

#[test]
#[ignore = "needs node and npm: run by tests/run"]
fn the_iabs_own_libraries_read_the_same() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/consent");
    let installed =
        Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", directory]).status().unwrap();
    assert!(installed.success());
    let mut oracle = Command::new("node")
        .args([&format!("{directory}/strings.mjs"), &SEED.to_string(), &STRINGS.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut sums: BTreeMap<(String, bool), Sum> = BTreeMap::new();
    for line in BufReader::new(oracle.stdout.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let (kind, sound, text) = (line["kind"].as_str().unwrap(), line["sound"].as_bool().unwrap(), line["text"].as_str().unwrap());
        let (library, ours) = (&line["decoded"], compare(kind, text, &line["decoded"]));
        assert!(ours || !sound, "a sound string is not read: {kind} {text}");
        let sum = sums.entry((kind.to_owned(), sound)).or_default();
        sum.strings += 1;
        sum.read += usize::from(ours);
        sum.refused_as_well += usize::from(!ours && library.is_null());
        sum.refused_by_us_alone += usize::from(!ours && !library.is_null());
    }
    assert!(oracle.wait().unwrap().success());
    for ((kind, sound), sum) in &sums {
        let what = if *sound { "sound" } else { "broken" };
        let Sum { strings, read, refused_as_well, refused_by_us_alone } = sum;
        // Past the harness, which swallows the output of tests that pass.
        let _ = writeln!(
            std::io::stderr(),
            "{kind}: {strings} {what}: {read} read alike, {refused_as_well} refused by both, {refused_by_us_alone} refused by us alone",
        );
        assert_eq!(sum.strings, STRINGS);
    }
    assert_eq!(sums.len(), 6);
}

/// Compares what ours reads with what the library does; whether ours reads it.
fn compare(kind: &str, text: &str, library: &Value) -> bool {
    let stance = match kind {
        "tcf" => tcf::stance(text, NOW),
        "gpp" => gpp::stance(text, NOW),
        _ => us_privacy::stance(text),
    };
    let read = match kind {
        "tcf" => TcString::decode(text).map(|string| same_tc_string(&string, library, text)).is_ok(),
        "gpp" => Gpp::decode(text).map(|gpp| same_gpp(&gpp, library, text)).is_ok(),
        _ => UsPrivacy::decode(text).map(|said| assert_eq!(us_privacy(said), *library, "{text}")).is_ok(),
    };
    assert!(read || stance == Stance::from(ConsentSignal::Malformed), "not read, and no no: {text}");
    read
}

fn same_tc_string(ours: &TcString<'_>, library: &Value, text: &str) {
    assert!(!library.is_null(), "the library does not read it: {text}");
    let two = |letters: [u8; 2]| letters.map(char::from).iter().collect::<String>();
    let fields = json!({
        "version": 2,
        "created": ours.created.0,
        "last_updated": ours.last_updated.0,
        "cmp_id": ours.cmp_id,
        "cmp_version": ours.cmp_version,
        "consent_screen": ours.consent_screen,
        "consent_language": two(ours.consent_language),
        "vendor_list_version": ours.vendor_list_version,
        "policy_version": ours.policy_version,
        "service_specific": ours.service_specific,
        "non_standard_texts": ours.non_standard_texts,
        "special_features": purposes(ours.special_features),
        "purpose_consents": purposes(ours.purpose_consents),
        "purpose_legitimate_interests": purposes(ours.purpose_legitimate_interests),
        "purpose_one_treatment": ours.purpose_one_treatment,
        "publisher_country": two(ours.publisher_country),
        "vendor_consents": vendors(&ours.vendor_consents, &library["vendor_consents"]),
        "vendor_legitimate_interests": vendors(&ours.vendor_legitimate_interests, &library["vendor_legitimate_interests"]),
        "restrictions": library["restrictions"],
        "vendors_disclosed": ours.vendors_disclosed.as_ref().map(|set| vendors(set, &library["vendors_disclosed"])),
    });
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(value, &library[name], "{name}: {text}");
    }
    assert_eq!(fields.as_object().unwrap().len(), library.as_object().unwrap().len(), "{text}");
    same_restrictions(ours, &library["restrictions"], text);
    never_more_than_the_purposes(ours, library, text);
}

/// For the purposes that have restrictions and for those beside them, on every vendor that has one and on the next: the library's strictest
/// is ours.
fn same_restrictions(ours: &TcString<'_>, library: &Value, text: &str) {
    let of = |kind: &Value| match kind.as_u64() {
        Some(0) => Restriction::Forbidden,
        Some(1) => Restriction::ConsentRequired,
        Some(2) => Restriction::LegitimateInterestRequired,
        _ => panic!("{kind}: {text}"),
    };
    let mut expected: BTreeMap<(u8, u16), Restriction> = BTreeMap::new();
    for one in library.as_array().unwrap() {
        let purpose = u8::try_from(one["purpose"].as_u64().unwrap()).unwrap();
        for vendor in one["vendors"].as_array().unwrap() {
            let place = expected.entry((purpose, u16::try_from(vendor.as_u64().unwrap()).unwrap())).or_insert(of(&one["kind"]));
            *place = of(&one["kind"]).min(*place);
        }
    }
    let asked: BTreeSet<u8> = expected.keys().flat_map(|(purpose, _)| [*purpose, purpose + 1]).collect();
    let vendors: BTreeSet<u16> = expected.keys().flat_map(|(_, vendor)| [*vendor, vendor.saturating_add(1)]).collect();
    for about in vendors {
        for &purpose in &asked {
            assert_eq!(ours.restrictions.on(purpose, about), expected.get(&(purpose, about)).copied(), "{purpose} {about} {text}");
        }
    }
}

/// What is granted is backed by the purposes that the library reads, one by one.
fn never_more_than_the_purposes(ours: &TcString<'_>, library: &Value, text: &str) {
    let ConsentSignal::Given { purposes, .. } = ours.stance(NOW).signal() else { return };
    let consented = |purpose: u64| library["purpose_consents"].as_array().unwrap().contains(&json!(purpose));
    for (granted, needed) in
        [(Purposes::ANALYTICS, vec![1, 8, 9]), (Purposes::PROFILE, vec![1, 5, 6]), (Purposes::ADS, vec![1, 2, 3, 4, 7])]
    {
        assert_eq!(purposes.cover(granted), needed.into_iter().all(consented), "{text}");
    }
    assert!(
        purposes.is_empty() || library["service_specific"] == true && matches!(library["policy_version"].as_u64(), Some(4 | 5)),
        "{text}"
    );
}

fn same_gpp(ours: &Gpp<'_>, library: &Value, text: &str) {
    let library = library.as_object().unwrap_or_else(|| panic!("the library does not read it: {text}"));
    if let Some(string) = &ours.tcf_eu {
        same_tc_string(string, &library["tcfeuv2"], text);
    }
    if let Some(said) = ours.us_privacy {
        assert_eq!(us_privacy(said), library["uspv1"], "{text}");
    }
    for section in &ours.us {
        same_section(section, &library[section.name()], text);
    }
    assert_eq!(library.len(), usize::from(ours.tcf_eu.is_some()) + usize::from(ours.us_privacy.is_some()) + ours.us.len(), "{text}");
    let opted_out =
        |field: &str| library.values().any(|section| section.get(field).is_some_and(|answer| *answer == json!(1) || *answer == "Y"));
    if ["SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut", "OptOutSale"].into_iter().any(opted_out) {
        let objected = ours.stance(NOW).objected();
        assert!(objected.cover(Purposes::ADS) && objected.cover(Purposes::PROFILE), "an opt-out is not heard: {text}");
    }
}

fn same_section(ours: &UsSection, library: &Value, text: &str) {
    let mut fields: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (field, answer) in ours.answers() {
        fields.entry(format!("{field:?}")).or_default().push(answer);
    }
    let mut compared = 0;
    for (name, value) in library.as_object().unwrap() {
        match name.as_str() {
            "Version" | "MspaVersion" => assert_eq!(*value, ours.version(), "{text}"),
            "GpcSegmentType" | "GpcSegmentIncluded" => {}
            "Gpc" => assert_eq!(*value, ours.global_privacy_control.unwrap_or(false), "{text}"),
            _ => {
                let answers: Vec<u8> = value.as_array().map_or_else(|| vec![answer(value)], |list| list.iter().map(answer).collect());
                match fields.get(name) {
                    Some(ours) => assert_eq!(*ours, answers, "{name}: {text}"),
                    // A part that is not there is, to the library, one of zeros.
                    None => assert!(name == "SensitiveDataProcessing" && answers.iter().all(|answer| *answer == 0), "{name}: {text}"),
                }
                compared += usize::from(fields.contains_key(name));
            }
        }
    }
    assert_eq!(compared, fields.len(), "{text}");
}

fn answer(value: &Value) -> u8 {
    u8::try_from(value.as_u64().unwrap()).unwrap()
}

fn us_privacy(said: UsPrivacy) -> Value {
    let letter = |answer| match answer {
        Answer::Yes => "Y",
        Answer::No => "N",
        Answer::NotApplicable => "-",
    };
    json!({
        "Version": 1,
        "Notice": letter(said.notice),
        "OptOutSale": letter(said.opted_out_of_sale),
        "LspaCovered": letter(said.limited_service_provider),
    })
}

fn purposes(set: PurposeSet) -> Vec<u8> {
    (0..=u8::MAX).filter(|purpose| set.has(*purpose)).collect()
}

/// The members of a set, asked one by one: all numbers that are small, those that the library has, and the ones beside those.
fn vendors(set: &VendorSet<'_>, library: &Value) -> Vec<u16> {
    let named = library.as_array().into_iter().flatten().map(|vendor| u16::try_from(vendor.as_u64().unwrap()).unwrap());
    let asked: BTreeSet<u16> = named.flat_map(|vendor| [vendor - 1, vendor, vendor.saturating_add(1)]).chain(0..500).collect();
    assert!(!set.has(set.max().saturating_add(1)) || set.max() == u16::MAX);
    asked.into_iter().filter(|vendor| set.has(*vendor)).collect()
}
