//! A page and what led to it, as addresses: the way in which every vendor's own library says them.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    event::vocabulary,
    privacy::{clean::Page, disclose::Disclosure},
};

/// What may stand in a query's value as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// What would end a path: a template has none of it but by its own letters.
const ENDS_A_PATH: &AsciiSet = &CONTROLS.add(b'?').add(b'#').add(b' ');

/// A name or value as a query has it.
pub(in crate::destination) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// The page's address, with the campaign and the click ids where a browser has them; and how many of these could not be said. A page on
/// none of the site's hosts has no address.
pub(in crate::destination) fn page(disclosure: &Disclosure) -> (Option<String>, usize) {
    let beside = disclosure.campaign().len() + disclosure.click_ids().len();
    let Some(page) = disclosure.page() else { return (None, beside) };
    let Some(mut address) = address(page) else { return (None, 1 + beside) };
    let campaign = disclosure.campaign().iter().map(|(field, value)| (vocabulary::campaign(field.name()).parameter, value));
    let clicks = disclosure.click_ids().iter().map(|(parameter, id)| (parameter.as_str(), id));
    for (number, (parameter, value)) in campaign.chain(clicks).enumerate() {
        address.push(if number == 0 { '?' } else { '&' });
        address.push_str(parameter);
        address.push('=');
        address.push_str(&encoded(value));
    }
    (Some(address), 0)
}

/// The page that led here, and whether it could not be said: a kind of site has no address.
pub(in crate::destination) fn referrer(disclosure: &Disclosure) -> (Option<String>, usize) {
    let site = disclosure.referrer_host().map(|host| format!("https://{host}/"));
    let said = site.or_else(|| disclosure.referrer_page().and_then(address));
    let unsaid = usize::from(said.is_none() && !disclosure.referrer_kind().is_none());
    (said, unsaid)
}

fn address(page: &Page) -> Option<String> {
    Some(format!("https://{}{}", page.host()?, utf8_percent_encode(page.path(), ENDS_A_PATH)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{clock::Timestamp, event::Offset};

    fn of(fields: serde_json::Value) -> Disclosure {
        Disclosure::for_test(Offset(1), 1, Timestamp(0)).saying(&fields)
    }

    #[test]
    fn a_campaign_stands_where_a_browser_has_it() {
        let said = of(json!({
            "page": { "host": "www.shop.example", "path": "/käse/{n}" },
            "campaign": { "source": "newsletter", "name": "spring sale" },
            "click_ids": { "gclid": "Cj0-A_b" },
        }));
        let expected = "https://www.shop.example/k%C3%A4se/{n}?utm_source=newsletter&utm_campaign=spring%20sale&gclid=Cj0-A_b";
        assert_eq!(page(&said), (Some(expected.to_owned()), 0));
        assert_eq!(page(&of(json!({ "page": { "path": "/a" }, "campaign": { "source": "x" } }))), (None, 2), "no host of the site's");
        assert_eq!(page(&of(json!({}))), (None, 0));
    }

    #[test]
    fn a_referrer_is_a_site_or_an_own_page_and_a_kind_has_no_address() {
        let said = |fields| referrer(&of(fields));
        assert_eq!(said(json!({ "referrer_kind": "search", "referrer_host": "a.example" })), (Some(String::from("https://a.example/")), 0));
        let own = json!({ "referrer_page": { "host": "www.shop.example", "path": "/a" } });
        assert_eq!(said(own), (Some(String::from("https://www.shop.example/a")), 0));
        assert_eq!((said(json!({ "referrer_kind": "social" })), said(json!({}))), ((None, 1), (None, 0)));
    }
}
