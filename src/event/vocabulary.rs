//! The translation table: canonical words and vendors' words for the same, once, for decoders and destinations alike. The canonical words
//! are GA4's. docs/translation.md shows the same tables to people; a test compares.
//!
//! What a table does not have is said as it is: a name of the site's own is the same everywhere.

use Subject::{Order, Product};

/// What an event's properties describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One product: id, name, price and so on stand beside each other.
    Product,
    /// An order, a cart, a list, or something of the sender's own; products stand in a list.
    Order,
}

/// A vendor's name of an event, the canonical one, and what the properties describe.
pub type Named = (&'static str, &'static str, Subject);

/// Segment's e-commerce and sign-up specifications, which other vendors' shops follow too. Several of Segment's names may be one canonical
/// name: the first is the one that is said. The last block is version 1 of the specification, which older shops still send.
#[rustfmt::skip]
pub const SEGMENT: &[Named] = &[
    ("Products Searched",         "search",            Order),
    ("Product List Viewed",       "view_item_list",    Order),
    ("Promotion Viewed",          "view_promotion",    Order),
    ("Promotion Clicked",         "select_promotion",  Order),
    ("Product Clicked",           "select_item",       Product),
    ("Product Viewed",            "view_item",         Product),
    ("Product Added",             "add_to_cart",       Product),
    ("Product Removed",           "remove_from_cart",  Product),
    ("Product Added to Wishlist", "add_to_wishlist",   Product),
    ("Product Shared",            "share",             Product),
    ("Cart Viewed",               "view_cart",         Order),
    ("Cart Shared",               "share",             Order),
    ("Checkout Started",          "begin_checkout",    Order),
    ("Payment Info Entered",      "add_payment_info",  Order),
    ("Order Completed",           "purchase",          Order),
    ("Order Refunded",            "refund",            Order),
    ("Signed Up",                 "sign_up",           Order),
    ("Signed In",                 "login",             Order),

    ("Viewed Product Category",   "view_item_list",    Order),
    ("Viewed Product",            "view_item",         Product),
    ("Added Product",             "add_to_cart",       Product),
    ("Removed Product",           "remove_from_cart",  Product),
    ("Completed Order",           "purchase",          Order),
];

/// Snowplow's self-describing events, by the name in their schema.
#[rustfmt::skip]
pub const SNOWPLOW: &[Named] = &[
    ("link_click",       "click",               Order),
    ("site_search",      "view_search_results", Order),
    ("focus_form",       "form_start",          Order),
    ("submit_form",      "form_submit",         Order),
    ("add_to_cart",      "add_to_cart",         Order),
    ("remove_from_cart", "remove_from_cart",    Order),
    ("screen_view",      "screen_view",         Order),
    ("file_download",    "file_download",       Order),

    ("change_form",      "form_start",          Order),
];

/// What happens in a shop, by the `type` of a `snowplow_ecommerce_action`; products are entities beside it.
#[rustfmt::skip]
pub const SNOWPLOW_SHOP: &[Named] = &[
    ("add_to_cart",      "add_to_cart",      Order),
    ("remove_from_cart", "remove_from_cart", Order),
    ("product_view",     "view_item",        Order),
    ("list_view",        "view_item_list",   Order),
    ("list_click",       "select_item",      Order),
    ("checkout_step",    "begin_checkout",   Order),
    ("transaction",      "purchase",         Order),
    ("refund",           "refund",           Order),
    ("promo_view",       "view_promotion",   Order),
    ("promo_click",      "select_promotion", Order),
];

/// PostHog's own events, exactly so written.
#[rustfmt::skip]
pub const POSTHOG: &[Named] = &[
    ("$pageview",      "page_view",       Order),
    ("$screen",        "screen_view",     Order),
    ("$pageleave",     "user_engagement", Order),
    ("$identify",      "identify",        Order),
    ("$groupidentify", "group",           Order),

    ("$set",           "identify",        Order),
];

/// Amplitude's, exactly so written.
#[rustfmt::skip]
pub const AMPLITUDE: &[Named] = &[
    ("[Amplitude] Page Viewed", "page_view", Order),
    ("$identify",               "identify",  Order),
    ("$groupidentify",          "group",     Order),

    ("revenue_amount",          "purchase",  Order),
];

/// Mixpanel's, exactly so written.
#[rustfmt::skip]
pub const MIXPANEL: &[Named] = &[
    ("$mp_web_page_view", "page_view", Order),
];

/// Meta's standard events (<https://developers.facebook.com/docs/meta-pixel/reference>) that have a name of GA4's, exactly so written.
#[rustfmt::skip]
pub const META: &[Named] = &[
    ("AddPaymentInfo",       "add_payment_info", Order),
    ("AddToCart",            "add_to_cart",      Order),
    ("AddToWishlist",        "add_to_wishlist",  Order),
    ("CompleteRegistration", "sign_up",          Order),
    ("InitiateCheckout",     "begin_checkout",   Order),
    ("Lead",                 "generate_lead",    Order),
    ("PageView",             "page_view",        Order),
    ("Purchase",             "purchase",         Order),
    ("Search",               "search",           Order),
    ("ViewContent",          "view_item",        Order),
    ("SubmitApplication",    "form_submit",      Order),
];

/// TikTok's standard events (<https://business-api.tiktok.com/portal/docs?id=1741601162187777>) that have a name of GA4's, exactly so written.
#[rustfmt::skip]
pub const TIKTOK: &[Named] = &[
    ("AddPaymentInfo",       "add_payment_info", Order),
    ("AddToCart",            "add_to_cart",      Order),
    ("AddToWishlist",        "add_to_wishlist",  Order),
    ("CompletePayment",      "purchase",         Order),
    ("CompleteRegistration", "sign_up",          Order),
    ("Download",             "file_download",    Order),
    ("InitiateCheckout",     "begin_checkout",   Order),
    ("Pageview",             "page_view",        Order),
    ("Search",               "search",           Order),
    ("SubmitForm",           "form_submit",      Order),
    ("ViewContent",          "view_item",        Order),
];

/// The canonical name of a vendor's event that is called exactly so.
#[must_use]
pub fn exactly(table: &[Named], theirs: &str) -> Option<&'static str> {
    table.iter().find(|(name, ..)| *name == theirs).map(|(_, canonical, _)| *canonical)
}

/// The canonical name of a vendor's event, and what its properties describe. Neither case nor the signs between words count.
#[must_use]
pub fn canonical(table: &[Named], theirs: &str) -> Option<(&'static str, Subject)> {
    table.iter().find(|(name, ..)| same(name, theirs)).map(|(_, canonical, subject)| (*canonical, *subject))
}

/// A vendor's name of a canonical event whose properties describe that.
#[must_use]
pub fn vendors(table: &[Named], canonical: &str, subject: Subject) -> Option<&'static str> {
    table.iter().find(|(_, name, described)| *name == canonical && *described == subject).map(|(name, ..)| *name)
}

/// The words of a campaign's part.
///
/// # Panics
/// When there is no such part: the parts are a closed list.
#[must_use]
pub fn campaign(canonical: &str) -> &'static CampaignWord {
    CAMPAIGN.iter().find(|word| word.canonical == canonical).expect("every part of a campaign has its words")
}

/// Whether two names have the same words. Those of the table are ASCII.
fn same(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (words(one), words(other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one.eq_ignore_ascii_case(other) => {}
            _ => return false,
        }
    }
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// A part of a campaign.
#[derive(Clone, Copy, Debug)]
pub struct CampaignWord {
    /// The canonical word.
    pub canonical: &'static str,
    /// The parameter of a page's address that says it.
    pub parameter: &'static str,
    /// Segment's field of `context.campaign`.
    pub segment: &'static str,
}

/// The parts of a campaign.
#[rustfmt::skip]
pub const CAMPAIGN: [CampaignWord; 6] = [
    CampaignWord { canonical: "source",  parameter: "utm_source",   segment: "source" },
    CampaignWord { canonical: "medium",  parameter: "utm_medium",   segment: "medium" },
    CampaignWord { canonical: "name",    parameter: "utm_campaign", segment: "name" },
    CampaignWord { canonical: "term",    parameter: "utm_term",     segment: "term" },
    CampaignWord { canonical: "content", parameter: "utm_content",  segment: "content" },
    CampaignWord { canonical: "id",      parameter: "utm_id",       segment: "id" },
];

/// A part of a product or of an order, under the names that shops and vendors give it.
#[derive(Clone, Copy, Debug)]
pub struct CommerceWord {
    /// The canonical word.
    pub canonical: &'static str,
    /// In GA4's recommended events and its Measurement Protocol.
    pub ga4: &'static str,
    /// In GA4's own tag (a key within `pr1`, or what is sent as `ep.` or `epn.`).
    pub tag: &'static str,
    /// In Segment's e-commerce specification.
    pub segment: &'static str,
    /// In Snowplow's entities.
    pub snowplow: &'static str,
    /// The names under which it is read where shops mix vocabularies, in the order in which they count.
    pub read: &'static [&'static str],
}

/// The parts of a product.
#[rustfmt::skip]
pub const PRODUCT: [CommerceWord; 7] = [
    CommerceWord { canonical: "id",       ga4: "item_id",       tag: "id", segment: "product_id", snowplow: "id",       read: &["product_id", "item_id", "sku", "id"] },
    CommerceWord { canonical: "name",     ga4: "item_name",     tag: "nm", segment: "name",       snowplow: "name",     read: &["name", "item_name"] },
    CommerceWord { canonical: "brand",    ga4: "item_brand",    tag: "br", segment: "brand",      snowplow: "brand",    read: &["brand", "item_brand"] },
    CommerceWord { canonical: "category", ga4: "item_category", tag: "ca", segment: "category",   snowplow: "category", read: &["category", "item_category"] },
    CommerceWord { canonical: "variant",  ga4: "item_variant",  tag: "va", segment: "variant",    snowplow: "variant",  read: &["variant", "item_variant"] },
    CommerceWord { canonical: "price",    ga4: "price",         tag: "pr", segment: "price",      snowplow: "price",    read: &["price"] },
    CommerceWord { canonical: "quantity", ga4: "quantity",      tag: "qt", segment: "quantity",   snowplow: "quantity", read: &["quantity"] },
];

/// The parts of an order. Segment calls the value of anything but an order `value`.
#[rustfmt::skip]
pub const ORDER: [CommerceWord; 6] = [
    CommerceWord { canonical: "value",       ga4: "value",          tag: "value",          segment: "revenue",  snowplow: "revenue",        read: &["revenue", "total", "value"] },
    CommerceWord { canonical: "currency",    ga4: "currency",       tag: "currency",       segment: "currency", snowplow: "currency",       read: &["currency"] },
    CommerceWord { canonical: "transaction", ga4: "transaction_id", tag: "transaction_id", segment: "order_id", snowplow: "transaction_id", read: &["order_id", "transaction_id"] },
    CommerceWord { canonical: "tax",         ga4: "tax",            tag: "tax",            segment: "tax",      snowplow: "tax",            read: &["tax"] },
    CommerceWord { canonical: "shipping",    ga4: "shipping",       tag: "shipping",       segment: "shipping", snowplow: "shipping",       read: &["shipping"] },
    CommerceWord { canonical: "coupon",      ga4: "coupon",         tag: "coupon",         segment: "coupon",   snowplow: "discount_code",  read: &["coupon"] },
];

/// What vendors call whoever is there.
#[derive(Clone, Copy, Debug)]
pub struct UserWord {
    /// The vendor.
    pub vendor: &'static str,
    /// The visitor, by this destination's id.
    pub visitor: &'static str,
    /// The person, by the site's own id.
    pub user: &'static str,
    /// The session; empty where there is no word, since the receiver makes its own.
    pub session: &'static str,
}

/// By vendor.
#[rustfmt::skip]
pub const USER: [UserWord; 5] = [
    UserWord { vendor: "ga4",       visitor: "client_id",   user: "user_id", session: "session_id" },
    UserWord { vendor: "ga4-relay", visitor: "cid",         user: "uid",     session: "sid" },
    UserWord { vendor: "matomo",    visitor: "_id",         user: "uid",     session: "" },
    UserWord { vendor: "segment",   visitor: "anonymousId", user: "userId",  session: "" },
    UserWord { vendor: "snowplow",  visitor: "duid",        user: "uid",     session: "sid" },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_that_is_said_is_read_as_what_it_was() {
        for table in [SEGMENT, SNOWPLOW, SNOWPLOW_SHOP] {
            for (theirs, ours, subject) in table {
                assert_eq!(canonical(table, theirs), Some((*ours, *subject)), "{theirs}");
                let said = vendors(table, ours, *subject).expect("what is read can be said");
                assert_eq!(canonical(table, said), Some((*ours, *subject)), "{ours}");
            }
        }
    }

    #[test]
    fn a_vendors_own_names_are_exact() {
        for table in [POSTHOG, AMPLITUDE, MIXPANEL, META, TIKTOK] {
            for (theirs, ours, subject) in table {
                assert_eq!(exactly(table, theirs), Some(*ours));
                assert_eq!(vendors(table, ours, *subject).and_then(|said| exactly(table, said)), Some(*ours));
            }
        }
        assert_eq!((exactly(POSTHOG, "pageview"), exactly(POSTHOG, "$Pageview")), (None, None));
    }

    #[test]
    fn names_are_recognised_however_they_are_written() {
        for said in ["Order Completed", "order completed", "ORDER_COMPLETED", " Order-Completed "] {
            assert_eq!(canonical(SEGMENT, said), Some(("purchase", Order)), "{said}");
        }
        assert_eq!(canonical(SEGMENT, "Product Added"), Some(("add_to_cart", Product)));
        assert_eq!((canonical(SEGMENT, "Newsletter Opened!"), canonical(SEGMENT, "purchase"), canonical(SEGMENT, "…")), (None, None, None));
        assert_eq!(vendors(SEGMENT, "purchase", Order), Some("Order Completed"), "not the older one");
        assert_eq!((vendors(SEGMENT, "purchase", Product), vendors(SEGMENT, "share", Order)), (None, Some("Cart Shared")));
    }

    #[test]
    fn no_word_of_a_vendor_has_two_meanings() {
        for table in [SEGMENT, SNOWPLOW, SNOWPLOW_SHOP] {
            let all: BTreeSet<String> = table.iter().map(|(theirs, ..)| words(theirs).collect::<String>().to_lowercase()).collect();
            assert_eq!(all.len(), table.len());
        }
        for commerce in [&PRODUCT[..], &ORDER[..]] {
            let columns: [fn(&CommerceWord) -> &str; 4] = [|word| word.ga4, |word| word.tag, |word| word.segment, |word| word.snowplow];
            for column in columns {
                assert_eq!(commerce.iter().map(column).collect::<BTreeSet<_>>().len(), commerce.len());
            }
            let read: BTreeSet<&str> = commerce.iter().flat_map(|word| word.read.iter().copied()).collect();
            assert_eq!(read.len(), commerce.iter().map(|word| word.read.len()).sum::<usize>());
            assert!(commerce.iter().all(|word| word.read.contains(&word.segment) && word.read.contains(&word.ga4)), "what is said is read");
        }
        let columns: [fn(&CampaignWord) -> &str; 3] = [|word| word.canonical, |word| word.parameter, |word| word.segment];
        for column in columns {
            assert_eq!(CAMPAIGN.iter().map(column).collect::<BTreeSet<_>>().len(), CAMPAIGN.len());
        }
    }

    #[test]
    fn the_scripts_shims_have_the_same_tables() {
        let names = include_str!("../../js-snippet/src/shims/names.ts");
        for (theirs, ours, subject) in SEGMENT {
            let describes = if *subject == Product { "PRODUCT" } else { "ORDER" };
            assert!(names.contains(&format!("[\"{theirs}\", \"{ours}\", {describes}],")), "{theirs}");
        }
        assert_eq!(names.matches(", ORDER],").count() + names.matches(", PRODUCT],").count(), SEGMENT.len());
        for word in PRODUCT.iter().chain(&ORDER) {
            let read = word.read.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            assert!(names.contains(&format!("[\"{}\", [{read}]]", word.ga4)), "{}", word.canonical);
        }
        let posthog = include_str!("../../js-snippet/src/shims/posthog.ts");
        for (theirs, ours, _) in POSTHOG {
            assert!(posthog.contains(&format!("  {theirs}: \"{ours}\",")), "{theirs}");
        }
        assert!(include_str!("../../js-snippet/src/shims/mixpanel.ts").contains(&format!("PAGE_VIEW = \"{}\"", MIXPANEL[0].0)));
    }

    #[test]
    fn people_are_shown_the_same_tables() {
        let page = include_str!("../../docs/translation.md");
        for (theirs, ours, _) in [SEGMENT, SNOWPLOW, SNOWPLOW_SHOP, POSTHOG, AMPLITUDE, MIXPANEL, META, TIKTOK].concat() {
            assert!(page.contains(&format!("| `{theirs}` | `{ours}` |")), "{theirs}");
        }
        for word in CAMPAIGN {
            assert!(page.contains(&format!("| `{}` | `{}` | `{}` |", word.canonical, word.parameter, word.segment)), "{}", word.canonical);
        }
        for word in PRODUCT.iter().chain(&ORDER) {
            let row = format!("| `{}` | `{}` | `{}` | `{}` | `{}` |", word.canonical, word.ga4, word.tag, word.segment, word.snowplow);
            assert!(page.contains(&row), "{row}");
        }
        for word in USER {
            assert!(page.contains(&format!("| `{}` | `{}` | `{}` |", word.vendor, word.visitor, word.user)), "{}", word.vendor);
        }
    }
}
