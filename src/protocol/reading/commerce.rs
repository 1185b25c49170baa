//! Money, orders and products among an event's properties, under the names of Segment's e-commerce specification and of GA4's, which shops use
//! with other vendors' libraries, too.

use super::{loose::Fields, names::Subject};
use crate::{
    event::vocabulary::{CommerceWord, ORDER, PRODUCT},
    privacy::{
        personal::Personal,
        raw::{RawEvent, RawItem, Text},
    },
};

/// Products looked at in one event.
const ITEMS_MAX: usize = 200;

/// Takes them out of the properties, into the event.
pub(in crate::protocol) fn take<'a>(event: &mut RawEvent<'a>, properties: &mut Fields<'a>, subject: Subject) {
    event.items = match subject {
        Subject::Product => vec![item(properties)],
        Subject::Order => {
            let lists = [properties.list("products"), properties.list("items")];
            lists.concat().into_iter().take(ITEMS_MAX).filter_map(Fields::of).map(|mut one| item(&mut one)).collect()
        }
    };
    let [value, currency, transaction, tax, shipping, coupon] = &ORDER;
    (event.value, event.tax, event.shipping) = (amount(properties, value), amount(properties, tax), amount(properties, shipping));
    (event.currency, event.transaction) = (text(properties, currency), text(properties, transaction));
    // A single product's coupon is not the order's.
    event.coupon = if subject == Subject::Order { text(properties, coupon) } else { None };
}

fn item<'a>(said: &mut Fields<'a>) -> RawItem<'a> {
    let [id, name, brand, category, variant, price, quantity] = &PRODUCT;
    RawItem {
        id: text(said, id),
        name: text(said, name),
        brand: text(said, brand),
        category: text(said, category),
        variant: text(said, variant),
        price: amount(said, price),
        quantity: amount(said, quantity),
    }
}

fn text<'a>(said: &mut Fields<'a>, word: &CommerceWord) -> Option<Text<'a>> {
    word.read.iter().find_map(|name| said.text(name))
}

fn amount(said: &mut Fields<'_>, word: &CommerceWord) -> Option<Personal<f64>> {
    word.read.iter().find_map(|name| said.amount(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_vocabulary_is_read() {
        for json in [
            r#"{"order_id":"A","revenue":"9.5","currency":"EUR","products":[{"product_id":"c","name":"Cup","price":4,"quantity":2}],"x":1}"#,
            r#"{"transaction_id":"A","value":9.5,"currency":"EUR","items":[{"item_id":"c","item_name":"Cup","price":4,"quantity":2}],"x":1}"#,
        ] {
            let (mut event, mut properties) = (RawEvent::default(), serde_json::from_str::<Fields<'_>>(json).expect("an object"));
            take(&mut event, &mut properties, Subject::Order);
            assert!(event.transaction.is_some() && event.value.is_some() && event.currency.is_some(), "{json}");
            assert!(event.items.len() == 1 && event.items[0].id.is_some() && event.items[0].name.is_some(), "{json}");
            assert_eq!(properties.left(), 1, "what is none of it is left");
        }
    }
}
