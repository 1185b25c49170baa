//! The beacon of Segment's library: a call, an order and an identify in one batch.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{NAME_SLOT, SEGMENT_KEY, Slots, UNLISTED_PROPERTY, nested};
use crate::{
    privacy::policy::Field,
    prove::{canaries::Stand, wire::Request},
};

impl Slots<'_> {
    pub(super) fn segment(&mut self) -> Request {
        let mut context = json!({
            "page": { "url": self.page(), "path": self.email_part("body: context.page.path"), "referrer": self.referrer(),
                      "search": format!("?{}", self.part("body: context.page.search")),
                      "title": self.email("body: context.page.title") },
            "userAgent": self.word("body: context.userAgent"),
            "locale": format!("fr-{}", self.word("body: context.locale")),
            "timezone": self.word("body: context.timezone"),
            "ip": self.word("body: context.ip"),
            "campaign": { "source": self.passing("body: context.campaign.source", Field::Campaign) },
            "device": { "id": self.word("body: context.device.id"), "model": self.word("body: context.device.model") },
            "traits": { "email": self.email("body: context.traits.email") },
            "os": { "name": self.word("body: context.os.name") },
            "more": nested(&self.word("body: eight levels down in the context")),
        });
        if self.voice.stand != Stand::Unknown {
            context["consent"] = json!({ "categoryPreferences": { "Analytics": true, "Advertising": true } });
        }
        let user = self.passing("body: userId", Field::UserId);
        let anonymous = self.named_visitor().unwrap_or_else(|| self.word("body: anonymousId"));
        let call = json!({
            "type": "track", "event": self.word(NAME_SLOT), "messageId": self.event_id(), "userId": user, "anonymousId": anonymous,
            "properties": {
                (UNLISTED_PROPERTY): self.word("body: unlisted property"),
                (self.word("body: name of a property")): self.word("body: value of a property"),
                "email": self.email("body: property email"),
                "title": self.email("body: property title"),
                "ip": self.word("body: property ip"),
                "nested": nested(&self.word("body: eight levels down in the properties")),
            },
            "context": context, "integrations": { (self.word("body: integration")): true },
        });
        let order = json!({
            "type": "track", "event": "Order Completed", "messageId": self.event_id() + "-order", "userId": user, "anonymousId": anonymous,
            "properties": {
                "order_id": self.passing("body: order id", Field::OrderId),
                "revenue": self.amount("body: revenue", Field::Value),
                "tax": self.amount("body: tax", Field::Tax),
                "shipping": self.amount("body: shipping", Field::Shipping),
                "currency": "EUR",
                "coupon": self.passing("body: coupon", Field::Coupon),
                "products": [{ "product_id": self.passing("body: product id", Field::Items), "name": self.email("body: e-mail as product name"), "price": 12 }],
            },
            "context": context,
        });
        let identify = json!({
            "type": "identify", "messageId": self.event_id() + "-identify", "userId": user, "anonymousId": anonymous,
            "traits": { "name": self.word("body: traits.name"), "email": self.email("body: traits.email"), "phone": self.word("body: traits.phone") },
            "context": context,
        });
        let body = json!({ "batch": [call, order, identify], "writeKey": SEGMENT_KEY, (self.word("body: unknown field")): self.word("body: unknown value") });
        let path = format!("{}/v1/b?{}={}", self.target.prefix, self.part("query: name"), self.part("query: value"));
        let mut request = Request::new("POST", path, &self.target.host, self.json(&body));
        request.headers.push((String::from("Authorization"), format!("Basic {}", STANDARD.encode(format!("{SEGMENT_KEY}:")))));
        request
    }
}
