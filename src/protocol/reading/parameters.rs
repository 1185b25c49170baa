//! Parameters of a query or a form, as vendors' tags write them: `name=value&name=value`, percent-encoded, the first of a name counts.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Parameters looked at in one query or form: 200 products, 25 properties of the site's own, and all of a vendor's.
pub(in crate::protocol) const PARAMETERS_MAX: usize = 400;
/// Longer values are left out: tags cut a page's address at 1,000 to 2,000 characters, of up to 9 bytes each.
pub(in crate::protocol) const VALUE_BYTES_MAX: usize = 18_000;

/// Parameters as they came, still encoded; bounded in number and length.
#[derive(Default)]
pub(in crate::protocol) struct Parameters<'a> {
    pairs: Vec<(&'a str, &'a str)>,
    left_out: usize,
}

impl<'a> Parameters<'a> {
    /// Those of a query or form; a question mark in front is no part of the first name.
    pub(in crate::protocol) fn of(text: &'a str) -> Self {
        let mut parameters = Self::default();
        for pair in text.strip_prefix('?').unwrap_or(text).split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if parameters.pairs.len() < PARAMETERS_MAX && value.len() <= VALUE_BYTES_MAX {
                parameters.pairs.push((name, value));
            } else {
                parameters.left_out += 1;
            }
        }
        parameters
    }

    /// Those of a form, with those of a query behind them: of a name in both, the form's is the first.
    pub(in crate::protocol) fn and(mut self, other: Self) -> Self {
        self.left_out += other.left_out;
        for pair in other.pairs {
            if self.pairs.len() < PARAMETERS_MAX { self.pairs.push(pair) } else { self.left_out += 1 }
        }
        self
    }

    /// Names and values in their order, still encoded.
    pub(in crate::protocol) fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.pairs.iter().copied()
    }

    /// The first value of a parameter, decoded, however long it is: a body of its own that was put into a form.
    pub(in crate::protocol) fn whole(form: &'a str, name: &str) -> Option<Cow<'a, str>> {
        let value = form.split('&').find_map(|pair| pair.split_once('=').filter(|(known, _)| *known == name))?.1;
        Some(decoded(value)).filter(|value| !value.is_empty())
    }

    /// The first value of a parameter that is not empty, still encoded.
    pub(in crate::protocol) fn first(&self, name: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(known, value)| *known == name && !value.is_empty()).map(|(_, value)| *value)
    }

    /// The same, as it was before it was put into a query.
    pub(in crate::protocol) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.first(name).map(decoded)
    }

    /// The same, where it is a finite number.
    pub(in crate::protocol) fn number(&self, name: &str) -> Option<f64> {
        self.text(name).and_then(|said| number(&said))
    }

    /// How many were too many, or too long.
    pub(in crate::protocol) const fn left_out(&self) -> usize {
        self.left_out
    }
}

/// A value as it was before it was put into a query.
pub(in crate::protocol) fn decoded(value: &str) -> Cow<'_, str> {
    if value.contains('+') {
        return Cow::Owned(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(value).decode_utf8_lossy()
}

/// A finite number.
pub(in crate::protocol) fn number(said: &str) -> Option<f64> {
    said.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_name_counts_and_an_empty_one_is_none() {
        let parameters = Parameters::of("?a=&a=1&b=x%20y+z&a=2&&c&d=%ff&n=1e999&m=%201.5");
        assert_eq!((parameters.first("a"), parameters.first("c"), parameters.first("none")), (Some("1"), None, None));
        assert_eq!((parameters.text("b").as_deref(), parameters.text("d").as_deref()), (Some("x y z"), Some("\u{fffd}")));
        assert_eq!((parameters.number("a"), parameters.number("n"), parameters.number("m")), (Some(1.0), None, Some(1.5)));
        assert_eq!(parameters.pairs().count(), 8);
    }

    #[test]
    fn nothing_is_without_bound() {
        let many = "x=1&".repeat(PARAMETERS_MAX + 3);
        let long = format!("l={}", "v".repeat(VALUE_BYTES_MAX + 1));
        assert_eq!((Parameters::of(&many).left_out(), Parameters::of(&long).left_out()), (3, 1));
    }
}
