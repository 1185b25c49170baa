//! Products as Matomo's hits say them: of a page, one by one; of an order, in a list.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{
    privacy::{
        personal::Personal,
        raw::{PropertyValue, RawItem},
    },
    protocol::reading::{
        loose::{flat, list},
        parameters::{Parameters, number},
    },
};

/// Products looked at in one hit.
const ITEMS_MAX: usize = 200;

/// The product that a page is about.
pub(super) fn product<'a>(hit: &Parameters<'a>) -> Option<RawItem<'a>> {
    let text = |name| hit.text(name).map(Personal::new);
    let (id, name) = (text("_pks"), text("_pkn"));
    (id.is_some() || name.is_some()).then(|| RawItem {
        id,
        name,
        category: hit.text("_pkc").map(|said| Personal::new(category(said))),
        price: hit.number("_pkp").map(Personal::new),
        ..RawItem::default()
    })
}

/// The first of several categories, which are said as a list in JSON.
fn category(said: Cow<'_, str>) -> Cow<'_, str> {
    match serde_json::from_str::<Vec<String>>(&said) {
        Ok(names) => Cow::Owned(names.into_iter().next().unwrap_or_default()),
        Err(_) => said,
    }
}

/// The products of an order, `[[sku, name, category, price, quantity], …]`.
pub(super) fn items(said: &str) -> Vec<RawItem<'static>> {
    let products: Vec<&RawValue> = serde_json::from_str(said).unwrap_or_default();
    products.into_iter().take(ITEMS_MAX).filter_map(list).map(|fields| item(&fields)).collect()
}

fn item(fields: &[&RawValue]) -> RawItem<'static> {
    let text = |at: usize| -> Option<String> {
        match flat(fields.get(at)?)? {
            PropertyValue::Text(text) => Some(text.into_owned()).filter(|text| !text.is_empty()),
            PropertyValue::Number(number) => Some(number.to_string()),
            PropertyValue::Flag(_) => None,
        }
    };
    let sealed = |said: Option<String>| said.map(|text| Personal::new(Cow::Owned(text)));
    let amount = |at: usize| text(at).and_then(|said| number(&said)).map(Personal::new);
    let first_category = fields.get(2).and_then(|value| list(value)).and_then(|names| names.first().and_then(|value| flat(value)));
    let category = match first_category {
        Some(PropertyValue::Text(text)) => Some(text.into_owned()),
        _ => text(2),
    };
    RawItem {
        id: sealed(text(0)),
        name: sealed(text(1)),
        category: sealed(category),
        price: amount(3),
        quantity: amount(4),
        ..RawItem::default()
    }
}
