//! The names in a disclosure as it stands, for the forms of those destinations that pass it on in its own words.

pub(in crate::destination) const ONE: &[&str] = &[
    "event_id",
    "site",
    "name",
    "time",
    "policy_version",
    "visitor_id",
    "session_id",
    "user_id",
    "user_assurance",
    "country",
    "language",
    "screen",
    "referrer_kind",
    "referrer_host",
    "value",
    "currency",
    "transaction_id",
    "tax",
    "shipping",
    "coupon",
];
pub(in crate::destination) const CONSENT: &[&str] = &["state", "purposes[]"];
pub(in crate::destination) const DEVICE: &[&str] = &["browser", "major", "system", "form"];
pub(in crate::destination) const PAGE: &[&str] = &["host", "path"];
pub(in crate::destination) const CAMPAIGN: &[&str] = &["source", "medium", "name", "term", "content", "id"];
pub(in crate::destination) const ITEM: &[&str] = &["id", "name", "brand", "category", "variant", "price", "quantity"];
pub(in crate::destination) const BOT: &[&str] = &["class", "score", "reasons[]"];
/// Properties that a policy lists, and parameters of clicks that we do.
pub(in crate::destination) const LISTED: &[&str] = &["*"];
