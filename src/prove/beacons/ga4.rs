//! The beacon of Google's tag: an event and a purchase in one body.

use super::{GA4_KEY, NAME_SLOT, Slots, UNLISTED_PROPERTY, address_safe, nested, whole};
use crate::{
    privacy::policy::Field,
    prove::{canaries::Stand, wire::Request},
};

impl Slots<'_> {
    pub(super) fn ga4(&mut self) -> Request {
        let consent = if self.voice.stand == Stand::Unknown { "" } else { "&gcs=G111&gcd=13r3r3r3r5l1" };
        let query = [
            ("cid", format!("{}.{}", self.part("query: client id (cid)"), self.part("query: second half of cid"))),
            ("sid", self.part("query: session id")),
            ("ul", format!("fr-{}", self.part("query: language"))),
            ("sr", String::from("1440x900")),
            ("uaa", self.part("query: architecture hint")),
            ("uafvl", self.part("query: full version hint")),
            ("uam", self.part("query: model hint")),
            ("uid", address_safe(&self.passing("query: user id", Field::UserId))),
            ("dl", whole(&self.page())),
            ("dr", whole(&self.referrer())),
            ("dt", self.email_part("query: e-mail in the title")),
            ("dh", self.part("query: host")),
            ("uip", self.part("query: address override")),
            ("_uip", self.part("query: address override of the server's API")),
            ("ua", self.part("query: user agent said by the page")),
            ("unknown", self.part("query: unknown value")),
        ];
        let query: String = query.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        let unknown = self.part("query: unknown name");
        let page = 1_773_480_000 + self.number;
        let path = format!("{}/g/collect?v=2&tid={GA4_KEY}&_p={page}&_s={}{query}&{unknown}=1{consent}", self.target.prefix, self.number);
        let lines = [
            format!(
                "en={}&ep.{UNLISTED_PROPERTY}={}&ep.{}={}&up.tier={}&em={}&ep.nested={}&_et=100",
                self.part(NAME_SLOT),
                self.part("body: unlisted property"),
                self.part("body: name of a parameter"),
                self.part("body: value of a parameter"),
                self.email_part("body: user property"),
                self.part("body: hashed e-mail (em)"),
                whole(&nested(&self.word("body: eight levels down, as JSON")).to_string()),
            ),
            format!(
                "en=purchase&cu=EUR&epn.value={}&epn.tax={}&epn.shipping={}&ep.transaction_id={}&ep.coupon={}&pr1=id{}~nm{}~pr12&_et=100",
                self.canaries.amount(&self.voice, "body: amount", Field::Value),
                self.canaries.amount(&self.voice, "body: tax", Field::Tax),
                self.canaries.amount(&self.voice, "body: shipping", Field::Shipping),
                address_safe(&self.passing("body: transaction id", Field::OrderId)),
                address_safe(&self.passing("body: coupon", Field::Coupon)),
                address_safe(&self.passing("body: item id", Field::Items)),
                self.email_part("body: e-mail as item name"),
            ),
        ];
        Request::new("POST", path, &self.target.host, lines.join("\r\n").into_bytes())
    }
}
