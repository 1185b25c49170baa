//! The names that a policy lists: events and properties of the site's own, and fields of vendors, `"<protocol>.<the vendor's name>"`
//! (`"matomo.dimension1" = "word"`).

use std::collections::BTreeMap;

use super::{
    compile::{DocumentError, fault, suggestion},
    parse::PolicyDocument,
    site::PropertyKind,
};
use crate::{
    privacy::scrub::parameters::{self, Meaning},
    protocol::PROTOCOLS,
};

/// No name is longer.
const NAME_BYTES_MAX: usize = 40;
/// No vendor's field has a longer name, its protocol included.
const VENDOR_NAME_BYTES_MAX: usize = 80;

/// Checks the names of a policy's `events` and `properties`.
pub(super) fn check(policy: &PolicyDocument, errors: &mut Vec<DocumentError>) {
    let document = ("policy", policy.name.as_str());
    for name in &policy.events {
        check_own(name, "events", document, errors);
    }
    for name in policy.properties.keys() {
        match name.split_once('.') {
            None => check_own(name, "properties", document, errors),
            Some((protocol, field)) => check_vendors(name, protocol, field, document, errors),
        }
        if name.split('.').any(|part| matches!(parameters::meaning(part), Some(Meaning::Click(_) | Meaning::Personal))) {
            let reason = format!("\"{name}\" is the name of somebody's: no value under it may leave");
            fault(errors, document, "properties", reason, "leave it out");
        }
    }
}

fn check_own(name: &str, key: &'static str, document: (&'static str, &str), errors: &mut Vec<DocumentError>) {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !plain || name.len() > NAME_BYTES_MAX || !name.as_bytes().first().is_some_and(u8::is_ascii_lowercase) {
        let reason = format!("\"{name}\" is no name: small letters, digits and underscores, a letter first, at most 40");
        fault(errors, document, key, reason, "newsletter_opened");
    }
}

fn check_vendors(name: &str, protocol: &str, field: &str, document: (&'static str, &str), errors: &mut Vec<DocumentError>) {
    let known: Vec<_> = PROTOCOLS.iter().map(|protocol| protocol.name()).collect();
    if !known.contains(&protocol) {
        let reason = format!("\"{name}\" begins with no protocol's name");
        fault(errors, document, "properties", reason, suggestion(protocol, &known));
        return;
    }
    let plain = field.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.$-".contains(&byte));
    if !plain || field.is_empty() || name.len() > VENDOR_NAME_BYTES_MAX {
        let reason = format!("\"{name}\" is no vendor's field: letters, digits and _.$- behind the protocol's name, at most 80 in all");
        fault(errors, document, "properties", reason, "\"matomo.dimension1\" = \"word\"");
    }
}

/// The vendors' fields among a policy's properties, by protocol and by the vendor's name of each.
pub(super) fn vendor_fields(policy: &PolicyDocument) -> BTreeMap<String, BTreeMap<String, (String, PropertyKind)>> {
    let mut fields: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
    for (name, kind) in &policy.properties {
        if let Some((protocol, field)) = name.split_once('.') {
            fields.entry(protocol.to_owned()).or_default().insert(field.to_owned(), (name.clone(), *kind));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(properties: &str) -> PolicyDocument {
        toml::from_str(&format!("name = \"shop\"\nproperties = {{ {properties} }}")).expect("a policy")
    }

    fn faults(properties: &str) -> Vec<String> {
        let mut errors = Vec::new();
        check(&policy(properties), &mut errors);
        errors.into_iter().map(|error| error.reason).collect()
    }

    #[test]
    fn a_vendors_field_is_listed_under_its_protocols_name() {
        let listed = r#"plan = "word", "matomo.dimension1" = "word", "ga4.up.tier" = "word", "ga4.upn.level" = "number""#;
        assert_eq!(faults(listed), Vec::<String>::new());
        let fields = vendor_fields(&policy(listed));
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["ga4", "matomo"]);
        assert_eq!(fields["ga4"]["upn.level"], (String::from("ga4.upn.level"), PropertyKind::Number));
    }

    #[test]
    fn what_is_no_field_or_somebodys_is_refused() {
        for (listed, reason) in [
            (r#""nobody.x" = "word""#, "begins with no protocol's name"),
            (r#""matomo." = "word""#, "is no vendor's field"),
            (r#""matomo.a b" = "word""#, "is no vendor's field"),
            (r#""ga4.up.email" = "word""#, "is the name of somebody's"),
            (r#""segment.traits.phone" = "word""#, "is the name of somebody's"),
            (r#""matomo.gclid" = "word""#, "is the name of somebody's"),
            (r#"Plan = "word""#, "is no name"),
        ] {
            assert!(faults(listed).iter().any(|fault| fault.contains(reason)), "{listed}: {:?}", faults(listed));
        }
    }
}
