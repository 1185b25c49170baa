//! The beacon of our own snippet: an event and an order.

use serde_json::json;

use super::{NAME_SLOT, Slots, UNLISTED_PROPERTY, nested};
use crate::{
    privacy::policy::Field,
    prove::{canaries::Stand, wire::Request},
};

impl Slots<'_> {
    pub(super) fn native(&mut self) -> Request {
        let mut properties = serde_json::Map::new();
        for name in self.target.words.clone() {
            properties.insert(name, json!(self.email("body: e-mail in a listed property")));
        }
        properties.insert(String::from(UNLISTED_PROPERTY), json!(self.word("body: unlisted property")));
        properties.insert(self.word("body: name of a property"), json!(self.word("body: value of a property")));
        properties.insert(String::from("email"), json!(self.email("body: property email")));
        let event = json!({
            "k": self.word(NAME_SLOT),
            "i": self.event_id(),
            "t": 4_900,
            "p": self.page(),
            "r": self.referrer(),
            "n": format!("{} {}", self.word("body: title"), self.email("body: e-mail in the title")),
            "c": {
                "em": self.email("body: contact e-mail"),
                "fn": self.word("body: contact first name"),
                "ln": self.word("body: contact last name"),
                "ct": self.word("body: contact town"),
                "fbp": format!("fb.1.1790000000000.{}", self.word("body: vendor's id")),
                (self.word("body: unknown contact field")): self.word("body: its contact value"),
            },
            "l": format!("fr-{}", self.word("body: language")),
            "w": 1440,
            "a": self.passing("body: user id", Field::UserId),
            "d": properties,
            "ip": self.word("body: address said by the page"),
            "ua": self.word("body: user agent said by the page"),
            "title": self.email("body: title under another name"),
            (self.word("body: unknown field")): { (self.word("body: nested name")): nested(&self.word("body: eight levels down")) },
        });
        let order = json!({
            "k": "purchase",
            "i": self.event_id() + "-order",
            "p": self.page(),
            "a": self.passing("body: user id", Field::UserId),
            "v": self.amount("body: amount", Field::Value),
            "m": "EUR",
            "x": self.passing("body: order id", Field::OrderId),
            "tx": self.amount("body: tax", Field::Tax),
            "sh": self.amount("body: shipping", Field::Shipping),
            "cp": self.passing("body: coupon", Field::Coupon),
            "y": [
                { "id": self.passing("body: product id", Field::Items), "name": self.passing("body: product name", Field::Items), "price": 12 },
                { "id": "cup", "name": self.email("body: e-mail as product name"), "brand": self.email("body: e-mail as brand"),
                  "category": self.email("body: e-mail as category"), "variant": self.email("body: e-mail as variant"),
                  (self.word("body: unknown field of a product")): self.word("body: unknown value of a product") },
            ],
        });
        let mut body =
            json!({ "s": 5_000, "e": [event, order], (self.word("body: unknown top-level field")): self.word("body: its value") });
        if self.voice.stand != Stand::Unknown {
            body["g"] = json!(["analytics", "profile", "ads"]);
        }
        let path = format!("{}/e?{}={}", self.target.prefix, self.part("query: name"), self.part("query: value"));
        Request::new("POST", path, &self.target.host, self.json(&body))
    }
}
