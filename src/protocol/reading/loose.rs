//! JSON as loosely as vendors' receivers take it: any field may be missing or of another type than its documentation says, and the rest of
//! the event still counts.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::names;
use crate::privacy::{
    personal::Personal,
    raw::{PropertyValue, Text},
};

/// Fields looked at in one object; further ones are counted only. The richest e-commerce events of vendors' libraries have some sixty.
const FIELDS_MAX: usize = 100;

/// The fields of a JSON object, unread, in the sender's order.
#[derive(Default)]
pub(in crate::protocol) struct Fields<'a> {
    unread: Vec<(Cow<'a, str>, &'a RawValue)>,
    beyond: usize,
}

impl<'a> Fields<'a> {
    /// The fields of that value; none if it is no object.
    pub(in crate::protocol) fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }

    /// Takes a field out.
    pub(in crate::protocol) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.unread.iter().position(|(said, _)| said == name)?;
        Some(self.unread.remove(at).1)
    }

    /// What a field is, without taking it out.
    pub(in crate::protocol) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.unread.iter().find(|(said, _)| said == name).map(|(_, value)| *value)
    }

    /// Leaves fields out that are nobody's business here; they count as known.
    pub(in crate::protocol) fn leave(&mut self, names: &[&str]) {
        self.unread.retain(|(name, _)| !names.contains(&name.as_ref()));
    }

    /// Takes an object out; an empty one where there is none.
    pub(in crate::protocol) fn object(&mut self, name: &str) -> Self {
        self.take(name).and_then(Self::of).unwrap_or_default()
    }

    /// Takes a list out; an empty one where there is none.
    pub(in crate::protocol) fn list(&mut self, name: &str) -> Vec<&'a RawValue> {
        self.take(name).and_then(list).unwrap_or_default()
    }

    /// Takes a text out that is not empty; a number counts as its digits.
    pub(in crate::protocol) fn words(&mut self, name: &str) -> Option<Cow<'a, str>> {
        match self.take(name).and_then(flat)? {
            PropertyValue::Text(text) => Some(text).filter(|text| !text.is_empty()),
            PropertyValue::Number(number) => Some(Cow::Owned(number.to_string())),
            PropertyValue::Flag(_) => None,
        }
    }

    /// The same, but that it stays where it is.
    pub(in crate::protocol) fn look(&self, name: &str) -> Option<Cow<'a, str>> {
        let (_, value) = self.unread.iter().find(|(said, _)| said == name)?;
        match flat(value)? {
            PropertyValue::Text(text) => Some(text).filter(|text| !text.is_empty()),
            PropertyValue::Number(number) => Some(Cow::Owned(number.to_string())),
            PropertyValue::Flag(_) => None,
        }
    }

    /// The same, sealed.
    pub(in crate::protocol) fn text(&mut self, name: &str) -> Option<Text<'a>> {
        self.words(name).map(Personal::new)
    }

    /// Takes a number out; a text that reads as one counts, since many shops send their prices so.
    pub(in crate::protocol) fn number(&mut self, name: &str) -> Option<f64> {
        match self.take(name).and_then(flat)? {
            PropertyValue::Number(number) => Some(number),
            PropertyValue::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            PropertyValue::Flag(_) => None,
        }
    }

    /// The same, sealed.
    pub(in crate::protocol) fn amount(&mut self, name: &str) -> Option<Personal<f64>> {
        self.number(name).map(Personal::new)
    }

    /// What has not been taken out: names and values.
    pub(in crate::protocol) fn rest(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.unread.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// What has not been taken out, in two: those whose name it is, and the others. What was beyond the bound counts as the first.
    pub(in crate::protocol) fn parted(self, is_first: impl Fn(&str) -> bool) -> (Self, Self) {
        let (first, second) = self.unread.into_iter().partition(|(name, _)| is_first(name));
        (Self { unread: first, beyond: self.beyond }, Self { unread: second, beyond: 0 })
    }

    /// How many have not been taken out.
    pub(in crate::protocol) fn left(&self) -> usize {
        self.unread.len() + self.beyond
    }

    /// What has not been taken out, as flat properties, and how many fields are not flat or too many. A name is written as a policy would.
    pub(in crate::protocol) fn into_properties(self) -> (Vec<(Text<'a>, Personal<PropertyValue<'a>>)>, usize) {
        let all = self.left();
        let written = |name: Cow<'a, str>| {
            let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            if plain { name } else { Cow::Owned(names::property(&name)) }
        };
        let kept: Vec<_> =
            self.unread.into_iter().filter_map(|(name, value)| Some((Personal::new(written(name)), Personal::new(flat(value)?)))).collect();
        let left_out = all - kept.len();
        (kept, left_out)
    }
}

/// A value that is a list.
pub(in crate::protocol) fn list(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// A value that is a text, a number, true or false.
pub(in crate::protocol) fn flat(value: &RawValue) -> Option<PropertyValue<'_>> {
    let json = value.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok().map(|Words(text)| PropertyValue::Text(text)),
        b't' => Some(PropertyValue::Flag(true)),
        b'f' => Some(PropertyValue::Flag(false)),
        b'n' | b'{' | b'[' => None,
        _ => json.parse().ok().filter(|number: &f64| number.is_finite()).map(PropertyValue::Number),
    }
}

/// A string that is borrowed where it needs no unescaping, also as an object's key.
#[derive(Deserialize)]
struct Words<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while fields.unread.len() < FIELDS_MAX {
            let Some((Words(name), value)) = map.next_entry()? else { return Ok(fields) };
            fields.unread.push((name, value));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            fields.beyond += 1;
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields<'_> {
        serde_json::from_str(json).expect("an object")
    }

    #[test]
    fn what_is_of_another_type_is_read_as_meant_or_not_at_all() {
        let json = r#"{"a":" 12.50 ","b":7,"c":true,"d":null,"e":[1],"f":{"g":1},"h":"","i":"NaN","j":"x","k":1e999}"#;
        let number = |name| fields(json).number(name);
        assert_eq!((number("a"), number("b"), number("c"), number("i"), number("k")), (Some(12.5), Some(7.0), None, None, None));
        let words = |name| fields(json).words(name).map(Cow::into_owned);
        assert_eq!((words("b").as_deref(), words("j").as_deref()), (Some("7"), Some("x")));
        assert!(["c", "d", "e", "f", "h", "none"].into_iter().all(|name| words(name).is_none()));
        let (kept, left_out) = fields(json).into_properties();
        assert_eq!((kept.len(), left_out), (6, 4));
    }

    #[test]
    fn an_object_is_read_up_to_its_bound() {
        let many: Vec<String> = (0..FIELDS_MAX + 7).map(|field| format!("\"f{field}\":{field}")).collect();
        let json = format!("{{{}}}", many.join(","));
        let mut fields = fields(&json);
        assert_eq!((fields.left(), fields.number("f99"), fields.number("f100")), (FIELDS_MAX + 7, Some(99.0), None));
        assert_eq!(fields.into_properties().1, 7);
    }
}
