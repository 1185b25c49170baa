//! The beacon of Matomo's tracker: an event and an order in one bulk request.

use serde_json::json;

use super::{MATOMO_KEY, NAME_SLOT, Slots, address_safe, nested, whole};
use crate::{privacy::policy::Field, prove::wire::Request};

impl Slots<'_> {
    /// Two hits in one body: an event and an order.
    pub(super) fn matomo(&mut self) -> Request {
        let event_id = self.event_id();
        let said = [
            ("url", whole(&self.page())),
            ("urlref", whole(&self.referrer())),
            ("action_name", self.email_part("body: title (action_name)")),
            ("uid", address_safe(&self.passing("body: user id", Field::UserId))),
            ("lang", format!("fr-{}", self.part("body: language"))),
            ("res", String::from("1440x900")),
            ("_id", self.part("body: visitor id (_id)")),
            ("cid", self.part("body: visitor id (cid)")),
            ("cip", self.part("body: address said by the page")),
            ("ua", self.part("body: user agent said by the page")),
            ("uadata", whole(&nested(&self.word("body: client hints, eight levels down")).to_string())),
            ("country", self.part("body: country")),
            ("region", self.part("body: region")),
            ("city", self.part("body: city")),
            ("lat", self.part("body: latitude")),
            ("token_auth", self.part("body: token_auth")),
            ("dimension1", self.email_part("body: custom dimension")),
            (
                "_cvar",
                whole(&json!({ "1": [self.word("body: name of a custom variable"), self.word("body: custom variable")] }).to_string()),
            ),
            ("pv_id", address_safe(&event_id)),
        ];
        let said: String = said.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        let unknown = format!("&{}={}", self.part("body: unknown name"), self.part("body: unknown value"));
        let event = format!(
            "?idsite={MATOMO_KEY}&rec=1&rand={}{said}{unknown}&e_c={}&e_a={}&e_n={}&search={}&link={}&c_n={}",
            2 * self.number,
            self.email_part("body: category (e_c)"),
            self.part(NAME_SLOT),
            self.email_part("body: label (e_n)"),
            self.email_part("body: search"),
            self.email_part("body: link"),
            self.email_part("body: name of content"),
        );
        let items = json!([[
            self.passing("body: product id", Field::Items),
            self.email("body: e-mail as product name"),
            [self.email("body: e-mail as category")],
            12,
            1
        ]]);
        let order = format!(
            "?idsite={MATOMO_KEY}&rec=1&rand={}{said}&idgoal=0&ec_id={}&revenue={}&ec_tx={}&ec_sh={}&ec_items={}",
            2 * self.number + 1,
            address_safe(&self.passing("body: order id", Field::OrderId)),
            self.amount("body: amount", Field::Value),
            self.amount("body: tax", Field::Tax),
            self.amount("body: shipping", Field::Shipping),
            whole(&items.to_string()),
        );
        let body = json!({ "requests": [event, order], (self.word("body: unknown field")): self.word("body: its value") });
        let path = format!("{}/matomo.php?{}={}", self.target.prefix, self.part("query: name"), self.part("query: value"));
        Request::new("POST", path, &self.target.host, self.json(&body))
    }
}
