//! Words that may be kept: event names, campaign values, properties, host names. Each from a closed alphabet, short, and nothing that a
//! detector knows.

use std::borrow::Cow;

use super::{
    decode,
    detect::{Class, class_of},
};
use crate::{
    documents::site::Policy,
    privacy::rules::{Rule, holds},
};

/// No word is longer, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// No label is longer, in characters (GA4 takes 100).
const LABEL_CHARS_MAX: usize = 100;

/// Names that every site may use: `page_view`, GA4's recommended events and those that its tags send by themselves, and a few of our own
/// snippet's.
const EVENT_NAMES: [&str; 38] = [
    "add_payment_info",
    "add_shipping_info",
    "add_to_cart",
    "add_to_wishlist",
    "begin_checkout",
    "click",
    "close_convert_lead",
    "close_unconvert_lead",
    "custom",
    "disqualify_lead",
    "file_download",
    "form_start",
    "form_submit",
    "generate_lead",
    "join_group",
    "login",
    "page_view",
    "purchase",
    "qualify_lead",
    "refund",
    "remove_from_cart",
    "screen_view",
    "scroll",
    "search",
    "select_content",
    "select_item",
    "select_promotion",
    "session_start",
    "share",
    "sign_up",
    "user_engagement",
    "video_complete",
    "view_cart",
    "view_item",
    "view_item_list",
    "view_promotion",
    "view_search_results",
    "working_lead",
];

/// What an event is called when its name is not on the list: a client chooses names too.
pub(in crate::privacy) const CUSTOM_EVENT: &str = "custom";

/// The event's name if it is on our list or on the site's, else `custom`.
pub(in crate::privacy) fn event_name<'p>(said: &'p str, policy: &'p Policy) -> &'p str {
    if !holds(Rule::ListedNamesOnly) {
        return said;
    }
    if let Ok(at) = EVENT_NAMES.binary_search(&said) {
        return EVENT_NAMES[at];
    }
    policy.events.get(said).map_or(CUSTOM_EVENT, String::as_str)
}

/// A word as it may be kept: letters, digits, space and `_.-`, short, and nothing that a detector knows.
pub(in crate::privacy) fn word(said: &str) -> Option<Cow<'_, str>> {
    let decoded = decode::percent(said);
    let plain = decoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" _.-".contains(&byte));
    let short = !decoded.is_empty() && decoded.len() <= WORD_BYTES_MAX;
    (plain && short && class_of(&decoded).is_none()).then_some(decoded)
}

/// An amount of money, rounded to two digits: 1,234.50 becomes 1,200.
pub(in crate::privacy) fn two_digits(amount: f64) -> f64 {
    // By way of decimal digits, so that no other digit comes from binary fractions.
    format!("{amount:.1e}").parse().unwrap_or(0.0)
}

/// A label from a shop's catalogue as it may be kept with consent: letters of any script, digits and a little punctuation, and
/// nothing that looks like an e-mail address, a network address, an encoding or a token.
pub(in crate::privacy) fn label(said: &str) -> Option<String> {
    let plain = said.chars().all(|letter| letter.is_alphanumeric() || " _.-,'’&/()+:%\"".contains(letter));
    let short = !said.is_empty() && said.chars().count() <= LABEL_CHARS_MAX;
    // Article numbers are long numbers; a catalogue's numbers name goods.
    let harmless = matches!(class_of(said), None | Some(Class::Number));
    (plain && short && harmless).then(|| said.to_owned())
}

/// A host name as it may be kept: lower case, no address, nothing that a detector knows.
pub(in crate::privacy) fn host(said: &str) -> Option<String> {
    let host = said.trim_end_matches('.').to_ascii_lowercase();
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    (plain && host.contains('.') && host.len() <= WORD_BYTES_MAX && class_of(&host).is_none()).then_some(host)
}

/// A currency's code: three capital letters.
pub(in crate::privacy) fn currency(said: &str) -> Option<String> {
    let code = said.to_ascii_uppercase();
    (code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_for_the_search() {
        assert!(EVENT_NAMES.is_sorted());
    }

    #[test]
    fn words_that_name_someone_are_none() {
        for said in ["summer sale", "newsletter_2026", "google", "blue.shoes-large"] {
            assert_eq!(word(said).as_deref(), Some(said));
        }
        for said in ["jane@example.org", "jane%40example.org", "192.0.2.1", "", "d41d8cd98f00b204e9800998ecf8427e", "<b>", "0171 1234567"] {
            assert_eq!(word(said), None, "{said}");
        }
        assert_eq!(word(&"a b ".repeat(17)), None);
    }

    #[test]
    fn labels_name_goods_and_nobody() {
        for said in ["Bücherregal 80 × 200".replace('×', "x").as_str(), "SKU-12345678", "Men's shoes, 42 (blue)", "茶碗"] {
            assert_eq!(label(said).as_deref(), Some(said));
        }
        for said in ["jane@example.org", "host 192.0.2.1", "d41d8cd98f00b204e9800998ecf8427e", "a=b", "", "<b>"] {
            assert_eq!(label(said), None, "{said}");
        }
    }

    #[test]
    fn hosts_are_names_not_addresses() {
        assert_eq!(host("Www.Search.Example.").as_deref(), Some("www.search.example"));
        for said in ["192.0.2.1", "[2001:db8::1]", "localhost", "jane@x.example", "0b0e3a4c8d0f4a529d5e1f5b4c7a9e21.example"] {
            assert_eq!(host(said), None, "{said}");
        }
    }
}
