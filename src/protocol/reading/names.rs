//! Event names: Segment's e-commerce and sign-up specifications, which other vendors' shops follow too, in GA4's words, which are the
//! canonical ones here.

use Subject::{Order, Product};

/// Segment's name, the canonical one, and what the properties describe. The second block is version 1 of the specification, which
/// older shops still send.
#[rustfmt::skip]
const SPECIFIED: &[(&str, &str, Subject)] = &[
    ("products_searched",         "search",            Order),
    ("product_list_viewed",       "view_item_list",    Order),
    ("promotion_viewed",          "view_promotion",    Order),
    ("promotion_clicked",         "select_promotion",  Order),
    ("product_clicked",           "select_item",       Product),
    ("product_viewed",            "view_item",         Product),
    ("product_added",             "add_to_cart",       Product),
    ("product_removed",           "remove_from_cart",  Product),
    ("product_added_to_wishlist", "add_to_wishlist",   Product),
    ("product_shared",            "share",             Product),
    ("cart_viewed",               "view_cart",         Order),
    ("cart_shared",               "share",             Order),
    ("checkout_started",          "begin_checkout",    Order),
    ("payment_info_entered",      "add_payment_info",  Order),
    ("order_completed",           "purchase",          Order),
    ("order_refunded",            "refund",            Order),
    ("signed_up",                 "sign_up",           Order),
    ("signed_in",                 "login",             Order),

    ("viewed_product_category",   "view_item_list",    Order),
    ("viewed_product",            "view_item",         Product),
    ("added_product",             "add_to_cart",       Product),
    ("removed_product",           "remove_from_cart",  Product),
    ("completed_order",           "purchase",          Order),
];

/// What an event's properties describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Subject {
    /// One product: id, name, price and so on stand beside each other.
    Product,
    /// An order, a cart, a list, or something of the sender's own; products stand in a list.
    Order,
}

/// A sender's event in canonical words: a name of the table, or the sender's own as a policy document would write it
/// (`Newsletter Opened` → `newsletter_opened`). A name of GA4's stays what it is.
pub(in crate::protocol) fn canonical(said: &str) -> (String, Subject) {
    let own = snake_case(said);
    match SPECIFIED.iter().find(|(specified, ..)| *specified == own) {
        Some((_, canonical, subject)) => ((*canonical).to_owned(), *subject),
        None => (own, Order),
    }
}

/// A property's name as a policy document would write it (`planType`, `Plan Type`, `$plan_type` → `plan_type`).
pub(in crate::protocol) fn property(said: &str) -> String {
    let mut written = String::with_capacity(said.len() + 4);
    let mut before = ' ';
    for letter in said.chars() {
        if letter.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit()) {
            written.push('_');
        }
        if letter.is_alphanumeric() {
            written.extend(letter.to_lowercase());
        } else if !written.is_empty() && !written.ends_with('_') {
            written.push('_');
        }
        before = letter;
    }
    written.truncate(written.trim_end_matches('_').len());
    written
}

fn snake_case(said: &str) -> String {
    let words = said.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_however_they_are_written() {
        for said in ["Order Completed", "order completed", "ORDER_COMPLETED", " Order-Completed "] {
            assert_eq!(canonical(said).0, "purchase", "{said}");
        }
        assert_eq!(canonical("Product Added"), (String::from("add_to_cart"), Product));
        assert_eq!(canonical("Newsletter Opened!"), (String::from("newsletter_opened"), Order));
        assert_eq!(canonical("purchase"), (String::from("purchase"), Order));
        assert_eq!(canonical("…"), (String::new(), Order));
    }

    #[test]
    fn a_property_is_named_as_a_policy_would_write_it() {
        for said in ["plan_type", "planType", "Plan Type", "$plan_type", "plan-type ", "PlanType"] {
            assert_eq!(property(said), "plan_type", "{said}");
        }
        assert_eq!(
            (property("utm2Source"), property("SKU"), property("…")),
            (String::from("utm2_source"), String::from("sku"), String::new())
        );
    }

    #[test]
    fn the_table_is_written_as_names_are_compared() {
        for (specified, canonical, _) in SPECIFIED {
            assert_eq!(snake_case(specified), *specified);
            assert_eq!(snake_case(canonical), *canonical);
            assert_eq!(SPECIFIED.iter().filter(|(other, ..)| other == specified).count(), 1, "{specified}");
        }
    }
}
