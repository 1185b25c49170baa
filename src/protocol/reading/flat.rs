//! Flat maps of properties, and text that is borrowed from the body where it can be: what JSON protocols of a strict form read with.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use crate::privacy::{
    personal::Personal,
    raw::{PropertyValue, Text},
};

/// Properties looked at in one event.
const PROPERTIES_MAX: usize = 64;

/// A flat map of properties, in the sender's order.
#[derive(Default)]
pub(in crate::protocol) struct Properties<'a> {
    /// Those with a value.
    pub(in crate::protocol) kept: Vec<(Text<'a>, Personal<PropertyValue<'a>>)>,
    /// How many had none, or were beyond the bound.
    pub(in crate::protocol) left_out: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Properties<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FlatMap)
    }
}

struct FlatMap;

impl<'de> Visitor<'de> for FlatMap {
    type Value = Properties<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flat map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut properties = Properties::default();
        while let Some((Borrowed(name), FlatValue(value))) = map.next_entry()? {
            match value {
                Some(value) if properties.kept.len() < PROPERTIES_MAX => {
                    properties.kept.push((Personal::new(name), Personal::new(value)));
                }
                _ => properties.left_out += 1,
            }
        }
        Ok(properties)
    }
}

/// A string that is borrowed where it needs no unescaping: serde's own `Cow` is so only as a field by itself, and owned within an `Option` or as a
/// map's key.
pub(in crate::protocol) struct Borrowed<'a>(pub(in crate::protocol) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Borrowed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Borrowed<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A property's value; `None` for null. A list or a map is an error.
struct FlatValue<'a>(Option<PropertyValue<'a>>);

impl<'de> Deserialize<'de> for FlatValue<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = FlatValue<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, true or false")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(FlatValue(Some(PropertyValue::Flag(flag))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(FlatValue(Some(PropertyValue::Number(number as f64))))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(FlatValue(Some(PropertyValue::Number(number as f64))))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(FlatValue(Some(PropertyValue::Number(number))))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(FlatValue(Some(PropertyValue::Text(Cow::Borrowed(text)))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(FlatValue(Some(PropertyValue::Text(Cow::Owned(text.to_owned())))))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(FlatValue(None))
            }
        }
        deserializer.deserialize_any(Value)
    }
}
