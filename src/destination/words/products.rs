//! Products as objects under a vendor's names.

use serde_json::{Map, Value};

use super::figures;
use crate::{
    event::vocabulary::{CommerceWord, PRODUCT},
    privacy::clean::Item,
};

/// Which of the table's columns a vendor's names stand in.
pub(in crate::destination) type Column = fn(&CommerceWord) -> &'static str;

/// Puts the parts of a product among other properties.
pub(in crate::destination) fn put(properties: &mut Map<String, Value>, item: &Item, column: Column) {
    properties.extend(parts(item, column).into_iter().map(|(name, said)| (name.to_owned(), said)));
}

/// What is said of a product, in the order of the table.
pub(in crate::destination) fn parts(item: &Item, column: Column) -> Vec<(&'static str, Value)> {
    PRODUCT.iter().filter_map(|word| Some((column(word), part(item, word.canonical)?))).collect()
}

/// A part of a product, by its canonical word.
fn part(item: &Item, canonical: &str) -> Option<Value> {
    let text = |said: &Option<String>| said.as_deref().map(Value::from);
    match canonical {
        "id" => text(&item.id),
        "name" => text(&item.name),
        "brand" => text(&item.brand),
        "category" => text(&item.category),
        "variant" => text(&item.variant),
        "price" => item.price.map(figures::number),
        _ => item.quantity.map(figures::number),
    }
}

/// The first products for which there is room, and how many there was none for.
pub(in crate::destination) fn list(items: &[Item], column: Column, mut room: usize) -> (Vec<Value>, usize) {
    let mut said = Vec::with_capacity(items.len());
    for item in items {
        let mut product = Map::new();
        put(&mut product, item, column);
        let product = Value::from(product);
        let size = product.to_string().len() + 1;
        if size > room {
            break;
        }
        room -= size;
        said.push(product);
    }
    let left_out = items.len() - said.len();
    (said, left_out)
}
