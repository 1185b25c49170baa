//! Numbers, times and widths as receivers read them.

use serde_json::{Value, json};

use crate::privacy::{clean::Property, disclose::Disclosure, enrich::ScreenClass};

/// A whole number without a decimal point: some receivers' quantities are none with one.
pub(in crate::destination) fn number(said: f64) -> Value {
    /// Beyond this, a float names no whole number for certain.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if said.fract() == 0.0 && said.abs() < WHOLE_MAX { json!(said as i64) } else { json!(said) }
}

/// A property's value in JSON.
pub(in crate::destination) fn value(property: &Property) -> Value {
    match property {
        Property::Flag(flag) => (*flag).into(),
        Property::Number(said) => number(*said),
        Property::Word(word) => word.as_str().into(),
    }
}

/// A property's value in a query; a flag as 1 or 0.
pub(in crate::destination) fn text(property: &Property) -> String {
    match property {
        Property::Flag(flag) => u8::from(*flag).to_string(),
        Property::Number(said) => said.to_string(),
        Property::Word(word) => word.to_string(),
    }
}

/// A property that is a word.
pub(in crate::destination) fn word<'d>(disclosure: &'d Disclosure, name: &str) -> Option<&'d str> {
    match disclosure.properties().get(name)? {
        Property::Word(word) => Some(word),
        _ => None,
    }
}

/// A property that is a number.
pub(in crate::destination) fn amount(disclosure: &Disclosure, name: &str) -> Option<f64> {
    match disclosure.properties().get(name)? {
        Property::Number(said) => Some(*said),
        _ => None,
    }
}

/// The time that leaves, in milliseconds since 1970.
pub(in crate::destination) fn milliseconds(disclosure: &Disclosure) -> Option<i64> {
    disclosure.time().parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// The widest screen of a class, which stands for all of it; of the class without an end, the narrowest.
pub(in crate::destination) const fn width(class: ScreenClass) -> u32 {
    match class {
        ScreenClass::Below576 => 575,
        ScreenClass::Below768 => 767,
        ScreenClass::Below992 => 991,
        ScreenClass::Below1200 => 1_199,
        ScreenClass::Below1600 => 1_599,
        ScreenClass::From1600 => 1_600,
    }
}

/// A screen as `<width>x<height>`. No height is disclosed: it is 0.
pub(in crate::destination) fn resolution(disclosure: &Disclosure) -> Option<String> {
    disclosure.screen().map(|class| format!("{}x0", width(class)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_no_point() {
        assert_eq!([5.0, -3.0, 1.25].map(number), [json!(5), json!(-3), json!(1.25)]);
        assert_eq!([Property::Flag(true), Property::Number(12.0), Property::Number(0.5)].map(|said| text(&said)), ["1", "12", "0.5"]);
    }
}
