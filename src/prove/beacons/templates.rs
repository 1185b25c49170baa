//! Beacons as data: for each protocol a file of JSON with its requests, and what each says, slot by slot. Where a value (or a name) holds a
//! word in braces, something of the voice's is put there:
//!
//! | in braces | |
//! |---|---|
//! | `word`, `email` | a canary that may leave nowhere; its slot is called by its place: `body: events[].ip` |
//! | `keep FIELD`, `amount FIELD` | one that may leave where a preset keeps that field: a word, a number |
//! | `name` | the event's own name |
//! | `page`, `path`, `query`, `referrer` | the page's address, its two halves, and where the visitor came from; marked in every part |
//! | `id`, `key`, `host` | the event's id, the vendor's key of the site, its host |
//! | `nested` | a canary eight levels down |
//! | `base64`, `json`, as an object's only name | what is in the object, as a text of JSON, in base64 or as it is |
//!
//! `as` says how it is carried: `json` as a body, `data` as a form with JSON in base64 under that name, `data query` as the same in the query,
//! `form` and `query` name by name.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{NAME_SLOT, Slots, address_safe, key, nested, whole};
use crate::{privacy::policy::Field, prove::wire::Request};

/// The files.
const TEMPLATES: [(&str, &str); 9] = [
    ("amplitude", include_str!("amplitude.json")),
    ("countly", include_str!("countly.json")),
    ("goatcounter", include_str!("goatcounter.json")),
    ("meta", include_str!("meta.json")),
    ("mixpanel", include_str!("mixpanel.json")),
    ("plausible", include_str!("plausible.json")),
    ("posthog", include_str!("posthog.json")),
    ("snowplow", include_str!("snowplow.json")),
    ("umami", include_str!("umami.json")),
];
const KEY: &str = "{key}";
const BASE64: &str = "{base64}";
const JSON: &str = "{json}";

/// One request of a file.
#[derive(Deserialize)]
struct Template {
    method: String,
    path: String,
    #[serde(rename = "as")]
    carried: Carried,
    says: Value,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
enum Carried {
    #[serde(rename = "json")]
    Json,
    #[serde(rename = "data")]
    Data,
    #[serde(rename = "data query")]
    DataQuery,
    #[serde(rename = "form")]
    Form,
    #[serde(rename = "query")]
    Query,
}

fn text_of(protocol: &str) -> Option<&'static str> {
    TEMPLATES.iter().find(|(name, _)| *name == protocol).map(|(_, text)| *text)
}

/// Whether a protocol's requests name the site.
pub(super) fn has_key(protocol: &str) -> bool {
    text_of(protocol).is_some_and(|text| text.contains(KEY))
}

impl Slots<'_> {
    /// The requests of a protocol's file; none where there is no file.
    pub(super) fn of_templates(&mut self, protocol: &str) -> Vec<Request> {
        let Some(text) = text_of(protocol) else { return Vec::new() };
        let templates: Vec<Template> = serde_json::from_str(text).expect("the file is a list of requests; a test reads each of them");
        templates.iter().map(|template| self.of_template(template)).collect()
    }

    fn of_template(&mut self, template: &Template) -> Request {
        let Template { method, path, carried, says } = template;
        let (path, method) = (format!("{}{path}", self.target.prefix), if method == "GET" { "GET" } else { "POST" });
        let place = if matches!(carried, Carried::Query | Carried::DataQuery) { "query:" } else { "body:" };
        let (query, body) = match carried {
            Carried::Query => (self.pairs(says, place), Vec::new()),
            Carried::Form => (self.marked_query(), self.pairs(says, place).into_bytes()),
            Carried::Json | Carried::Data | Carried::DataQuery => {
                let said = self.filled(says, place);
                let json = self.json(&said);
                let data = format!("data={}", whole(&STANDARD.encode(&json)));
                match carried {
                    Carried::DataQuery => (data, Vec::new()),
                    Carried::Data => (self.marked_query(), data.into_bytes()),
                    _ => (self.marked_query(), json),
                }
            }
        };
        Request::new(method, format!("{path}?{query}"), &self.target.host, body)
    }

    fn marked_query(&mut self) -> String {
        format!("{}={}", self.part("query: name"), self.part("query: value"))
    }

    /// An object as names and values of a query or a form.
    fn pairs(&mut self, says: &Value, place: &str) -> String {
        let pairs = says.as_object().into_iter().flatten().map(|(name, value)| {
            let below = format!("{place} {name}");
            let name = address_safe(&self.in_words(name, &format!("{place} a name")));
            // An address or JSON would end the pair; what a canary was spelt with stays as it is.
            let value = match value {
                Value::String(text) if !is_address(text) => address_safe(&self.in_words(text, &below)),
                Value::String(text) => whole(&self.in_words(text, &below)),
                value => {
                    let said = self.filled(value, &below);
                    whole(&String::from_utf8_lossy(&self.json(&said)))
                }
            };
            format!("{name}={value}")
        });
        pairs.collect::<Vec<_>>().join("&")
    }

    fn filled(&mut self, says: &Value, place: &str) -> Value {
        match says {
            Value::String(text) => match inside(text) {
                Some(("nested", _)) => nested(&self.word(place)),
                Some(("amount", field)) => self.amount(place, field_named(field)),
                _ => Value::String(self.in_words(text, place)),
            },
            Value::Array(values) => {
                let place = format!("{place}[]");
                values.iter().map(|value| self.filled(value, &place)).collect()
            }
            Value::Object(members) => match packed(members) {
                Some((how, inner)) => {
                    let said = self.filled(inner, place);
                    let json = self.json(&said);
                    Value::String(if how == BASE64 { STANDARD.encode(json) } else { String::from_utf8_lossy(&json).into_owned() })
                }
                None => Value::Object(members.iter().map(|(name, value)| self.member(name, value, place)).collect()),
            },
            other => other.clone(),
        }
    }

    fn member(&mut self, name: &str, value: &Value, place: &str) -> (String, Value) {
        let below = |name: &str| if place.ends_with(':') { format!("{place} {name}") } else { format!("{place}.{name}") };
        if name.contains('{') {
            return (self.in_words(name, &below("* (a name)")), self.filled(value, &below("*")));
        }
        (name.to_owned(), self.filled(value, &below(name)))
    }

    /// A text with everything put in.
    fn in_words(&mut self, text: &str, place: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, (inner, after))) = rest.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
            filled.push_str(before);
            let (what, more) = inner.split_once(' ').unwrap_or((inner, ""));
            let said = match what {
                "word" => self.word(place),
                "email" => self.email(place),
                "keep" => self.passing(place, field_named(more)),
                "amount" => self.amount(place, field_named(more)).to_string(),
                "nested" => nested(&self.word(place)).to_string(),
                "name" => self.word(NAME_SLOT),
                "page" => self.page(),
                "path" | "query" => {
                    let page = self.page().split_off(self.target.origin.len());
                    let (path, query) = page.split_once('?').unwrap_or((&page, ""));
                    if what == "path" { path.to_owned() } else { format!("?{query}") }
                }
                "host" => self.target.host.clone(),
                "referrer" => self.referrer(),
                "id" => self.event_id(),
                "key" => key(self.voice.protocol).unwrap_or_default(),
                other => unreachable!("{{{other}}} is none of the words of a template; a test fills each of them"),
            };
            filled.push_str(&said);
            rest = after;
        }
        filled + rest
    }
}

/// What is in the braces of a text that is nothing else.
fn inside(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    Some(inner.split_once(' ').unwrap_or((inner, "")))
}

fn is_address(text: &str) -> bool {
    ["{page}", "{path}", "{query}", "{referrer}", "{nested}"].iter().any(|part| text.contains(part))
}

/// The object whose text of JSON is meant, and how it is packed.
fn packed(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, inner) = members.iter().next()?;
    (name == BASE64 || name == JSON).then_some((name.as_str(), inner))
}

fn field_named(name: &str) -> Field {
    let field = Field::ALL.into_iter().find(|field| field.name() == name);
    field.expect("a template names a field of a policy; a test fills each of them")
}
