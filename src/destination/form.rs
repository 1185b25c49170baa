//! What a request says, name by name, and which names may stand in what a destination sends. Each row of the table declares its own; golden
//! cases and `firsthand prove` read every request back and look for names that no row declares.
//!
//! A name is a path: `events[].params.value` in JSON (also in JSON that is a text in JSON), `?tid` in an address's query, `&en` in a line of
//! form fields, and `requests[]?idsite` where a query stands in a text.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Stands for a property that the site's policy lists, at the end of a declared name: `*`, or behind a prefix, `ep.*`.
const LISTED: char = '*';
/// Stands for a number, at the end of a declared name: `pr#`.
const NUMBERED: char = '#';
/// Stands for a name that the destination's settings give.
const OF_THE_SETTINGS: &str = "{setting}";
/// JSON in JSON in JSON is as deep as any destination goes.
const TEXTS_IN_TEXTS_MAX: usize = 2;
/// `serde_json` itself ends at 128.
const DEPTH_MAX: usize = 64;

/// The names that a destination may use: for each place, the names in it. A place is what a path begins with; `""` is the body as a whole, `?`
/// the address's query, `&` a line of form fields.
pub type Form = &'static [(&'static str, &'static [&'static str])];

/// A part of what a request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'p> {
    /// A name, which stands at the end of its path.
    Name(&'p str),
    /// A value.
    Value(&'p str),
}

/// Reads the address's query (without its `?`) and the body, in whichever form a destination's is, and shows each name and value with its
/// path. What is in no such form is not shown.
pub fn read(query: &str, body: &[u8], show: &mut dyn FnMut(&str, Part<'_>)) {
    fields(query, "?", show);
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => {}
        Some(b'{' | b'[') => {
            let values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
            values.map_while(Result::ok).for_each(|value| walk(&value, "", (0, 0), show));
        }
        Some(_) => {
            let text = std::str::from_utf8(body).unwrap_or_default();
            text.lines().for_each(|line| fields(line, "&", show));
        }
    }
}

fn fields(text: &str, place: &str, show: &mut dyn FnMut(&str, Part<'_>)) {
    for field in text.split('&').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let (name, value) = (decoded(name), decoded(value));
        let path = format!("{place}{name}");
        show(&path, Part::Name(&name));
        show(&path, Part::Value(&value));
    }
}

fn walk(value: &Value, path: &str, (depth, texts): (usize, usize), show: &mut dyn FnMut(&str, Part<'_>)) {
    if depth >= DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                show(&path, Part::Name(name));
                walk(value, &path, (depth + 1, texts), show);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| walk(value, &format!("{path}[]"), (depth + 1, texts), show)),
        Value::String(text) => {
            let nested = (texts < TEXTS_IN_TEXTS_MAX && text.starts_with('{')).then(|| serde_json::from_str(text));
            match (nested, text.strip_prefix('?')) {
                (Some(Ok(value)), _) => walk(&value, path, (depth + 1, texts + 1), show),
                (_, Some(query)) if query.contains('=') => fields(query, &format!("{path}?"), show),
                _ => show(path, Part::Value(text)),
            }
        }
        Value::Number(number) => show(path, Part::Value(&number.to_string())),
        Value::Bool(flag) => show(path, Part::Value(if *flag { "true" } else { "false" })),
        Value::Null => show(path, Part::Value("null")),
    }
}

/// Whether a form declares the path of a value. `listed`: whether a policy lists a property of that name.
#[must_use]
pub fn declares(form: Form, path: &str, listed: &dyn Fn(&str) -> bool) -> bool {
    form.iter().any(|(place, names)| {
        let within = path.strip_prefix(place).and_then(|rest| match place.chars().next_back() {
            None | Some('?' | '&') => Some(rest),
            Some(_) => rest.strip_prefix('.'),
        });
        within.is_some_and(|name| names.iter().any(|declared| is_of(declared, name, listed)))
    })
}

/// Whether a name is one of these properties: whole, or without the vendor's name and the object's that it stands in. Receivers that take
/// letters and digits alone get `_` for the rest.
pub fn is_listed<S: AsRef<str>>(name: &str, properties: &[S]) -> bool {
    let plain = |text: &str| text.replace(|sign: char| !sign.is_ascii_alphanumeric() && sign != '.', "_");
    let name = plain(name);
    properties
        .iter()
        .map(|property| plain(property.as_ref()))
        .any(|property| property == name || property.strip_suffix(&*name).is_some_and(|before| before.ends_with('.')))
}

fn is_of(declared: &str, name: &str, listed: &dyn Fn(&str) -> bool) -> bool {
    if let Some(prefix) = declared.strip_suffix(LISTED) {
        name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && listed(rest))
    } else if let Some(prefix) = declared.strip_suffix(NUMBERED) {
        name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    } else {
        declared == name || (declared == OF_THE_SETTINGS && !name.contains('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(query: &str, body: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        read(query, body.as_bytes(), &mut |path, part| {
            if let Part::Value(value) = part {
                found.push((path.to_owned(), value.to_owned()));
            }
        });
        found
    }

    #[test]
    fn every_form_is_read_with_a_path_for_each_value() {
        let cases = [
            ("", r#"{"a":{"b":[1,{"c":true}]}}"#, vec![("a.b[]", "1"), ("a.b[].c", "true")]),
            ("", "{\"a\":1}\n{\"a\":2}\n", vec![("a", "1"), ("a", "2")]),
            ("", r#"[{"a":"x"}]"#, vec![("[].a", "x")]),
            ("tid=G-1&x", "en=a%20b&ep.c=d+e\n&en=z", vec![("?tid", "G-1"), ("?x", ""), ("&en", "a b"), ("&ep.c", "d e"), ("&en", "z")]),
            ("", r#"{"requests":["?idsite=1&url=%2F"]}"#, vec![("requests[]?idsite", "1"), ("requests[]?url", "/")]),
            ("", r#"{"co":"{\"data\":{\"k\":\"v\"}}","t":"{no","q":"?"}"#, vec![("co.data.k", "v"), ("t", "{no"), ("q", "?")]),
            ("", "", vec![]),
        ];
        for (query, body, expected) in cases {
            let expected: Vec<_> = expected.into_iter().map(|(path, value)| (path.to_owned(), value.to_owned())).collect();
            let mut found = values(query, body);
            found.sort();
            let mut sorted = expected.clone();
            sorted.sort();
            assert_eq!(found, sorted, "{query} {body}");
        }
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(values("", &deep), [], "what is deeper than any destination goes is not walked");
    }

    #[test]
    fn a_listed_property_is_known_without_its_vendors_name() {
        let properties = ["plan", "2nd choice", "matomo.dimension1", "amplitude.set.tier"];
        for name in ["plan", "2nd_choice", "dimension1", "set.tier", "tier"] {
            assert!(is_listed(name, &properties), "{name}");
        }
        for name in ["lan", "dimension", "1", "mail", ""] {
            assert!(!is_listed(name, &properties), "{name}");
        }
    }

    #[test]
    fn a_name_is_declared_whole_by_number_or_as_a_listed_property() {
        const FORM: Form =
            &[("", &["time"]), ("?", &["tid"]), ("&", &["en", "pr#", "ep.*"]), ("a[].b", &["c", "site_*", "*"]), ("p", &["{setting}"])];
        let listed = |name: &str| name == "plan" || name == "x.y";
        for path in ["time", "?tid", "&en", "&pr12", "&ep.plan", "a[].b.c", "a[].b.plan", "a[].b.site_plan", "a[].b.x.y", "p.any"] {
            assert!(declares(FORM, path, &listed), "{path}");
        }
        for path in [
            "tid",
            "?time",
            "&pr",
            "&prx",
            "&ep.",
            "&ep.mail",
            "a[].b",
            "a[].b.mail",
            "a[].bc",
            "a[].b.site_",
            "a.b.c",
            "xtime",
            "p.any.other",
        ] {
            assert!(!declares(FORM, path, &listed), "{path}");
        }
    }
}
