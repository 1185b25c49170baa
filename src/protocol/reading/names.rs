//! Event names as senders write them, in canonical words by the table of [`vocabulary`].

use crate::event::vocabulary;
pub(in crate::protocol) use crate::event::vocabulary::Subject;

/// A sender's event in canonical words: a name of the table, or the sender's own as a policy document would write it
/// (`Newsletter Opened` → `newsletter_opened`). A name of GA4's stays what it is.
pub(in crate::protocol) fn canonical(said: &str) -> (String, Subject) {
    match vocabulary::canonical(vocabulary::SEGMENT, said) {
        Some((canonical, subject)) => (canonical.to_owned(), subject),
        None => (snake_case(said), Subject::Order),
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
    use super::{
        Subject::{Order, Product},
        *,
    };

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
}
