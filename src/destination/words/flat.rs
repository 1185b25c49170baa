//! Properties of an event in one flat object, for vendors that have no words of their own for money and products: under GA4's names, which are
//! the canonical ones.

use serde_json::{Map, Value};

use super::{figures, products};
use crate::{event::vocabulary::ORDER, privacy::disclose::Disclosure};

/// Money, order, products and the site's own properties; how many could not be said because there was something of their name already.
pub(in crate::destination) fn properties(disclosure: &Disclosure) -> (Map<String, Value>, usize) {
    let mut said = Map::new();
    for word in &ORDER {
        let value = match word.canonical {
            "value" => disclosure.value().map(figures::number),
            "currency" => disclosure.currency().map(Value::from),
            "transaction" => disclosure.transaction_id().map(Value::from),
            "tax" => disclosure.tax().map(figures::number),
            "shipping" => disclosure.shipping().map(figures::number),
            _ => disclosure.coupon().map(Value::from),
        };
        said.extend(value.map(|value| (word.ga4.to_owned(), value)));
    }
    if !disclosure.items().is_empty() {
        let (items, _) = products::list(disclosure.items(), |word| word.ga4, usize::MAX);
        said.insert(String::from("items"), items.into());
    }
    let mut unsaid = 0;
    for (name, value) in disclosure.properties() {
        if said.contains_key(name) {
            unsaid += 1;
        } else {
            said.insert(name.clone(), figures::value(value));
        }
    }
    (said, unsaid)
}

/// The campaign, under the names of a page's address.
pub(in crate::destination) fn campaign(disclosure: &Disclosure) -> impl Iterator<Item = (String, Value)> {
    let parameter = |field: crate::privacy::clean::CampaignField| crate::event::vocabulary::campaign(field.name()).parameter.to_owned();
    disclosure.campaign().iter().map(move |(field, value)| (parameter(*field), value.as_str().into()))
}

/// The names of what a commerce event says, for a destination's form.
pub(in crate::destination) const MONEY: &[&str] = &["value", "currency", "transaction_id", "tax", "shipping", "coupon"];
/// The names of what a product says.
pub(in crate::destination) const PRODUCT: &[&str] =
    &["item_id", "item_name", "item_brand", "item_category", "item_variant", "price", "quantity"];
/// The names of what a campaign says.
pub(in crate::destination) const CAMPAIGN: &[&str] = &["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id"];
