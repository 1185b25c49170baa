//! Products as Google's tags say them: parameters `pr1` to `pr200`, each a list of two-letter keys with their values, separated by `~`;
//! a `~` within a value is doubled.

use std::borrow::Cow;

use crate::{
    event::vocabulary::PRODUCT,
    privacy::{
        personal::Personal,
        raw::{RawItem, Text},
    },
};

/// Products of one event. The vendor takes as many.
const ITEMS_MAX: u16 = 200;
/// Keys looked at in one product: ours, and 27 of the site's own with two parts each, as the vendor's library sends at most.
const KEYS_MAX: usize = 80;

/// The number of a product parameter: `pr7` is 7.
pub(super) fn number(name: &str) -> Option<u16> {
    let digits = name.strip_prefix("pr").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|number| (1..=ITEMS_MAX).contains(number))
}

/// A product, and how many of its keys have no place in ours.
pub(super) fn item(value: &str) -> (RawItem<'static>, usize) {
    let mut item = RawItem::default();
    let mut unknown = 0;
    for (index, (key, said)) in keys(value).enumerate() {
        let word = PRODUCT.iter().find(|word| word.tag == key).map_or("", |word| word.canonical);
        let place = match word {
            _ if index >= KEYS_MAX => None,
            "id" => Some(&mut item.id),
            "name" => Some(&mut item.name),
            "brand" => Some(&mut item.brand),
            "category" => Some(&mut item.category),
            "variant" => Some(&mut item.variant),
            "price" => {
                unknown += set_number(&mut item.price, &said);
                continue;
            }
            "quantity" => {
                unknown += set_number(&mut item.quantity, &said);
                continue;
            }
            _ => None,
        };
        match place {
            Some(place @ None) => *place = sealed(said),
            _ => unknown += 1,
        }
    }
    (item, unknown)
}

fn sealed(said: Cow<'_, str>) -> Option<Text<'static>> {
    (!said.is_empty()).then(|| Personal::new(Cow::Owned(said.into_owned())))
}

/// Sets a number that is not set yet, and says how many fields could not be.
fn set_number(place: &mut Option<Personal<f64>>, said: &str) -> usize {
    match super::number(said).filter(|_| place.is_none()) {
        Some(number) => {
            *place = Some(Personal::new(number));
            0
        }
        None => 1,
    }
}

/// The keys of a product with their values.
fn keys(value: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let field = rest.take()?;
        let end = end_of_field(field);
        rest = field.get(end + 1..);
        Some(&field[..end])
    })
    .filter_map(|field| {
        let (key, value) = field.split_at_checked(2)?;
        let value = if value.contains('~') { Cow::Owned(value.replace("~~", "~")) } else { Cow::Borrowed(value) };
        Some((key, value))
    })
}

/// Where the first `~` that stands alone is, or the end.
fn end_of_field(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'~') {
        at += found;
        if bytes.get(at + 1) != Some(&b'~') {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Vec<(String, String)> {
        keys(value).map(|(key, value)| (key.to_owned(), value.into_owned())).collect()
    }

    #[test]
    fn a_doubled_tilde_is_one_within_a_value() {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
        assert_eq!(read("idA1~nm5~~7 kg~pr9.5"), pairs(&[("id", "A1"), ("nm", "5~7 kg"), ("pr", "9.5")]));
        assert_eq!(read("nm~~~~~brB"), pairs(&[("nm", "~~"), ("br", "B")]));
        assert_eq!(read(""), []);
        assert_eq!(read("x~id1~"), pairs(&[("id", "1")]), "a key has two letters");
        assert_eq!(read("é~nmü"), pairs(&[("é", ""), ("nm", "ü")]));
        assert_eq!(read("nm1~~"), pairs(&[("nm", "1~")]));
    }

    #[test]
    fn keys_without_a_place_are_counted() {
        let (item, unknown) = item("idA~nmB~brC~caD~vaE~pr9.5~qt2~c2F~k0size~v0L~idZ~prNaN");
        assert_eq!(unknown, 5);
        assert!(item.id.is_some() && item.name.is_some() && item.brand.is_some() && item.category.is_some() && item.variant.is_some());
        assert!(item.price.is_some() && item.quantity.is_some());
        let (item, unknown) = super::item("prinf~qtmany");
        assert!(item.price.is_none() && item.quantity.is_none());
        assert_eq!(unknown, 2);
    }

    #[test]
    fn products_are_numbered_from_1_to_200() {
        for (name, expected) in [
            ("pr1", Some(1)),
            ("pr200", Some(200)),
            ("pr0", None),
            ("pr201", None),
            ("pr", None),
            ("pr+1", None),
            ("pr99999", None),
            ("p1", None),
        ] {
            assert_eq!(number(name), expected, "{name}");
        }
    }
}
