//! The shape of what came in: which fields, how long. Known fields by name; a sender's own names are only counted, since a client
//! chooses names too.

use serde::Serialize;

use super::raw::{Arrival, RawEvent, Text};

/// Names and lengths, never values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Known fields that were there, and the length of each in characters (numbers and flags: 0).
    pub fields: Vec<(&'static str, usize)>,
    /// How many fields and properties we have no name for.
    pub unknown: usize,
}

impl Shape {
    /// The shape of an event and of what came with its request.
    #[must_use]
    pub fn of(event: &RawEvent<'_>, arrival: &Arrival<'_>) -> Self {
        let length = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.expose().chars().count());
        let number = |there: bool| there.then_some(0);
        let known = [
            ("client address", Some(0)),
            ("user agent", length(&arrival.user_agent)),
            ("accept-language", length(&arrival.accept_language).filter(|_| event.language.is_none())),
            ("sec-ch-ua", length(&arrival.brands)),
            ("visitor cookie", arrival.own.visitor.first().map(|value| value.expose().chars().count())),
            ("name", length(&event.name)),
            ("event id", length(&event.client_id)),
            ("time", number(event.time.is_some())),
            ("page URL", length(&event.page_url)),
            ("page title", length(&event.page_title)),
            ("referrer", length(&event.referrer)),
            ("value", number(event.value.is_some())),
            ("currency", length(&event.currency)),
            ("order id", length(&event.transaction)),
            ("tax", number(event.tax.is_some())),
            ("shipping", number(event.shipping.is_some())),
            ("coupon", length(&event.coupon)),
            ("items", number(!event.items.is_empty())),
            ("user id", length(&event.user_id)),
            ("contact data", number(event.contact.is_some())),
            ("user id's signature", length(&event.user_signature)),
            ("language", length(&event.language)),
            ("screen width", number(event.screen_width.is_some())),
            ("held copy", number(event.held)),
        ];
        Self {
            fields: known.into_iter().filter_map(|(name, length)| length.map(|length| (name, length))).collect(),
            unknown: event.unknown_fields + event.properties.len() + event.vendor_fields.len(),
        }
    }
}
