//! The tracking pixel: one call in the address of an image, for where no script runs (mail). `GET <prefix>/v1/pixel/<call>` says the
//! call as JSON in the parameter `data`, in base64 (padding or not, either alphabet) or as it is; or, without `data`, field by field:
//! `userId=u1&event=Email+Opened&properties.plan=gold`. The answer is an empty image, also to what cannot be read.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::protocol::{
    DecodeError,
    inbound::Inbound,
    reading::{parameters::decoded, unpack},
};

/// Why a pixel's call cannot be read. Its address is not a body, so there is no byte to name.
pub(super) const UNREADABLE: DecodeError = DecodeError { reason: "a pixel's data is a call in JSON, in base64 or not", byte: None };

/// Parameters looked at; further ones are not: a call's fields and a page's, a campaign's and a few dozen properties.
const PARAMETERS_MAX: usize = 200;
/// Names within a name: `context.consent.categoryPreferences.Analytics` has four. What is deeper keeps its dots.
const DEPTH_MAX: usize = 4;

/// The call of a pixel's request as JSON, as far as it can be read; `None` for any other request.
pub(super) fn call(request: &Inbound) -> Option<&[u8]> {
    let is_pixel = request.path().rsplit('/').nth(1) == Some("pixel");
    is_pixel.then(|| request.unpacked(|| read(request.query().unwrap_or_default())))
}

fn read(query: &str) -> Vec<u8> {
    let Some(data) = query.split('&').find_map(|pair| pair.strip_prefix("data=")) else { return from_parameters(query) };
    // In base64, a plus is a plus; in JSON that went through a form, it is a space.
    let said = percent_decode_str(data).decode_utf8_lossy();
    if said.trim_start().starts_with('{') {
        return decoded(data).into_owned().into_bytes();
    }
    unpack::base64(&said).unwrap_or_default()
}

fn from_parameters(query: &str) -> Vec<u8> {
    let mut call = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()).take(PARAMETERS_MAX) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        set(&mut call, &decoded(name), decoded(value).into_owned());
    }
    Value::Object(call).to_string().into_bytes()
}

/// Sets the field of that name, unless it is set already or stands in what is no object.
fn set(call: &mut Map<String, Value>, name: &str, said: String) {
    let mut names: Vec<&str> = name.splitn(DEPTH_MAX, '.').collect();
    let Some(last) = names.pop() else { return };
    let mut place = call;
    for name in names {
        let Value::Object(inner) = place.entry(name).or_insert_with(|| Value::Object(Map::new())) else { return };
        place = inner;
    }
    let value = match said.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Value::String(said),
    };
    place.entry(last).or_insert(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(query: &str) -> Value {
        serde_json::from_slice(&read(query)).unwrap_or(Value::Null)
    }

    #[test]
    fn a_call_is_read_however_it_is_written() {
        let expected = serde_json::json!({ "event": "Öffnen >>", "n": "~?" });
        for query in [
            "data=eyJldmVudCI6IsOWZmZuZW4gPj4iLCJuIjoifj8ifQ==",
            "data=eyJldmVudCI6IsOWZmZuZW4gPj4iLCJuIjoifj8ifQ",
            "data=eyJldmVudCI6IsOWZmZuZW4gPj4iLCJuIjoifj8ifQ%3D%3D&x=1",
            "x=1&data=%7B%22event%22:%22%C3%96ffnen+%3E%3E%22,%22n%22:%22~?%22%7D",
            "event=%C3%96ffnen+%3E%3E&n=~?",
        ] {
            assert_eq!(call(query), expected, "{query}");
        }
    }

    #[test]
    fn either_alphabet_of_base64_is_read() {
        let expected = serde_json::json!({ "n": "~~~>>>???" });
        for query in [
            "data=eyJuIjoifn5+Pj4+Pz8/In0=",
            "data=eyJuIjoifn5-Pj4-Pz8_In0",
            "data=eyJuIjoifn5%2BPj4%2BPz8%2FIn0%3D",
            "data=eyJuIjoifn5%20Pj4%20Pz8/In0=",
        ] {
            assert_eq!(call(query), expected, "{query}");
        }
    }

    #[test]
    fn dotted_parameters_are_objects_and_the_first_of_a_name_counts() {
        let query =
            "writeKey=w&context.page.url=https%3A%2F%2Fa%2F&context.page.x.y.z=1&properties.gift=true&event=a&event=b&event.c=d&=e&f&&g.=";
        let expected = serde_json::json!({
            "writeKey": "w",
            "context": { "page": { "url": "https://a/", "x": { "y.z": "1" } } },
            "properties": { "gift": true },
            "event": "a", "": "e", "f": "", "g": { "": "" },
        });
        assert_eq!(call(query), expected);
    }

    #[test]
    fn nothing_in_an_address_is_without_bound() {
        for query in ["data=", "data=!!!", "data=e30", "data=%7B", "data=AAAA"] {
            let read = call(query);
            assert!(read.is_null() || read == serde_json::json!({}), "{query}");
        }
        let many: String = (0..PARAMETERS_MAX + 7).map(|field| format!("f{field}=1&")).collect();
        assert_eq!(call(&many).as_object().map(Map::len), Some(PARAMETERS_MAX));
        let deep = format!("{}=1", vec!["a"; 4_000].join("."));
        assert!(call(&deep)["a"]["a"]["a"].as_object().is_some_and(|inner| inner.values().all(Value::is_string)), "no deeper than four");
    }
}
