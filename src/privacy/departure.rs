//! What left in a disclosure, and what of its event did not: names of fields and of what kind they are, never a value. For the ledger of
//! what left. A property is named where the site's policy lists it, and a click id's parameter where our own list has it; any other name
//! was a client's choice and is only counted.

use sha2::{Digest as _, Sha256};

use super::{
    clean::{CampaignField, CleanEvent, Item, Property},
    crowd::referrer::ReferrerClass,
    disclosure::Disclosure,
    enrich::{device::DeviceClass, place::Country},
    envelope::{Envelope, Part},
    policy::{Field, Treatment, Treatments},
    record::Subject,
    scrub::clicks,
};
use crate::documents::Documents;

type Has = fn(&Disclosure) -> bool;

/// The fields with fixed names, as they stand in a disclosure's JSON, and of what kind each is.
const FIXED: [(&str, &str, Has); 47] = [
    ("bot.class", "text", |said| said.bot.class().is_some()),
    ("bot.reasons", "list", |said| !said.bot.reasons().is_empty()),
    ("bot.score", "number", |said| said.bot.score() > 0),
    ("campaign.content", "text", |said| said.campaign.contains_key(&CampaignField::Content)),
    ("campaign.id", "text", |said| said.campaign.contains_key(&CampaignField::Id)),
    ("campaign.medium", "text", |said| said.campaign.contains_key(&CampaignField::Medium)),
    ("campaign.name", "text", |said| said.campaign.contains_key(&CampaignField::Name)),
    ("campaign.source", "text", |said| said.campaign.contains_key(&CampaignField::Source)),
    ("campaign.term", "text", |said| said.campaign.contains_key(&CampaignField::Term)),
    ("consent.purposes", "list", |_| true),
    ("consent.state", "text", |_| true),
    ("country", "text", |_| true),
    ("coupon", "text", |said| said.coupon.is_some()),
    ("currency", "text", |said| said.currency.is_some()),
    ("device.browser", "text", |_| true),
    ("device.form", "text", |_| true),
    ("device.major", "number", |_| true),
    ("device.system", "text", |_| true),
    ("event_id", "text", |_| true),
    ("items[]", "list", |said| !said.items.is_empty()),
    ("items[].brand", "text", |said| any(said, |item| item.brand.is_some())),
    ("items[].category", "text", |said| any(said, |item| item.category.is_some())),
    ("items[].id", "text", |said| any(said, |item| item.id.is_some())),
    ("items[].name", "text", |said| any(said, |item| item.name.is_some())),
    ("items[].price", "number", |said| any(said, |item| item.price.is_some())),
    ("items[].quantity", "number", |said| any(said, |item| item.quantity.is_some())),
    ("items[].variant", "text", |said| any(said, |item| item.variant.is_some())),
    ("language", "text", |said| said.language.is_some()),
    ("name", "text", |_| true),
    ("page.host", "text", |said| said.page.as_ref().is_some_and(|page| page.host.is_some())),
    ("page.path", "text", |said| said.page.is_some()),
    ("policy_version", "number", |_| true),
    ("referrer_host", "text", |said| said.referrer_host.is_some()),
    ("referrer_kind", "text", |said| said.referrer_kind != ReferrerClass::None),
    ("referrer_page.host", "text", |said| said.referrer_page.as_ref().is_some_and(|page| page.host.is_some())),
    ("referrer_page.path", "text", |said| said.referrer_page.is_some()),
    ("screen", "text", |said| said.screen.is_some()),
    ("session_id", "text", |said| said.session_id.is_some()),
    ("shipping", "number", |said| said.shipping.is_some()),
    ("site", "text", |_| true),
    ("tax", "number", |said| said.tax.is_some()),
    ("time", "text", |_| true),
    ("transaction_id", "text", |said| said.transaction_id.is_some()),
    ("user_assurance", "text", |said| said.user_assurance.is_some()),
    ("user_id", "text", |said| said.user_id.is_some()),
    ("value", "number", |said| said.value.is_some()),
    ("visitor_id", "text", |_| true),
];

fn any(said: &Disclosure, has: fn(&Item) -> bool) -> bool {
    said.items.iter().any(has)
}

/// Which fields leave in a disclosure, and of what kind each is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schema {
    /// A bit for each of [`FIXED`].
    fixed: u64,
    /// Fields with names of a list's: `click_ids.gclid:text`, `properties.plan:text`.
    listed: Vec<String>,
    /// How many have names that are on no list.
    unlisted: usize,
    /// A bit for each part of the sealed envelope.
    enveloped: u16,
}

impl Schema {
    /// The schema of a disclosure. `documents`: those that it was made under, which have the policy's list.
    #[must_use]
    pub fn of(said: &Disclosure, documents: &Documents) -> Self {
        let fixed = FIXED.iter().enumerate().fold(0, |bits, (at, (_, _, has))| bits | u64::from(has(said)) << at);
        let clicks = said.click_ids.keys().map(|parameter| clicks::known_parameter(parameter).map(|name| format!("click_ids.{name}:text")));
        let policy = documents.site(said.grounds.site).map(|site| &site.policy);
        let properties = said.properties.iter().map(|(name, value)| {
            let listed = policy.is_some_and(|policy| policy.properties.contains_key(name));
            listed.then(|| format!("properties.{name}:{}", kind(value)))
        });
        let names: Vec<Option<String>> = clicks.chain(properties).collect();
        let unlisted = names.iter().filter(|name| name.is_none()).count();
        let enveloped = said.envelope().into_iter().flat_map(Envelope::parts).fold(0, |bits, part| bits | 1 << part as u16);
        Self { fixed, listed: names.into_iter().flatten().collect(), unlisted, enveloped }
    }

    /// `name:kind` of each field, in order; those without a name that may be told at the end, by their number.
    #[must_use]
    pub fn fields(&self) -> Vec<String> {
        let fixed = FIXED.iter().enumerate().filter(|(at, _)| self.fixed & 1 << at != 0);
        let mut fields: Vec<String> = fixed.map(|(_, (name, kind, _))| format!("{name}:{kind}")).collect();
        fields.extend(self.listed.iter().cloned());
        let enveloped = Part::ALL.into_iter().filter(|part| self.enveloped & 1 << *part as u16 != 0);
        fields.extend(enveloped.map(|part| format!("{}:text", part.name())));
        fields.sort_unstable();
        if self.unlisted > 0 {
            fields.push(format!("(on no list):{}", self.unlisted));
        }
        fields
    }
}

/// Whether this is a parameter by which a vendor knows clicks, of our own list.
#[must_use]
pub fn is_click_parameter(name: &str) -> bool {
    clicks::known_parameter(name).is_some()
}

/// The hash by which a schema is known: of its fields, each by its length first, so that no two lists have the same bytes.
#[must_use]
pub fn schema_hash<S: AsRef<str>>(fields: &[S]) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"firsthand egress schema 1");
    for field in fields {
        hash.update((field.as_ref().len() as u64).to_be_bytes());
        hash.update(field.as_ref());
    }
    hash.finalize().into()
}

const fn kind(value: &Property) -> &'static str {
    match value {
        Property::Flag(_) => "flag",
        Property::Number(_) => "number",
        Property::Word(_) => "text",
    }
}

/// Fields that rest of an event and that a destination's policy drops: a bit for each [`Field`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped(u32);

impl Dropped {
    /// Those of an event under a table of treatments.
    #[must_use]
    pub(super) fn of(event: &CleanEvent, policy: &Treatments) -> Self {
        let dropped = |field: &Field| policy.get(*field) == Treatment::Drop && rests(*field, event);
        Self(Field::ALL.iter().filter(|field| dropped(field)).fold(0, |bits, field| bits | 1 << *field as u32))
    }

    /// Their names, as policies have them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Field::ALL.into_iter().filter(move |field| self.0 & 1 << *field as u32 != 0).map(Field::name)
    }
}

/// Whether there is anything of a field in what rests.
fn rests(field: Field, event: &CleanEvent) -> bool {
    let body = event.body();
    let granted = body.granted.as_deref();
    match field {
        Field::Name | Field::Time => true,
        // They rest beside it, sealed; which of them, nothing says.
        Field::Address | Field::UserAgent | Field::Contact | Field::VendorIds => false,
        Field::Page => body.page.is_some(),
        Field::Visitor => !matches!(event.header().subject, Subject::None),
        Field::Session => body.session.is_some(),
        Field::Device => body.device != DeviceClass::UNKNOWN,
        Field::Place => body.country != Country::UNKNOWN,
        Field::Language => body.language.is_some(),
        Field::Screen => body.screen.is_some(),
        Field::Properties => !body.properties.is_empty(),
        Field::Bot => !body.bot.is_nothing(),
        Field::Referrer => granted.is_some_and(|granted| granted.came_from() != ReferrerClass::None || granted.referrer_page.is_some()),
        Field::Campaign => granted.is_some_and(|granted| !granted.campaign.is_empty()),
        Field::ClickIds => granted.is_some_and(|granted| !granted.click_ids.is_empty()),
        Field::UserId => granted.is_some_and(|granted| granted.user_id.is_some()),
        Field::Value => granted.is_some_and(|granted| granted.value.is_some()),
        Field::Currency => granted.is_some_and(|granted| granted.currency.is_some()),
        Field::Tax => granted.is_some_and(|granted| granted.tax.is_some()),
        Field::Shipping => granted.is_some_and(|granted| granted.shipping.is_some()),
        Field::Coupon => granted.is_some_and(|granted| granted.coupon.is_some()),
        Field::OrderId => granted.is_some_and(|granted| granted.transaction.is_some()),
        Field::Items => granted.is_some_and(|granted| !granted.items.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path, sync::Arc};

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        clock::Timestamp,
        documents::{
            parse::DocumentFile,
            store::{Author, DocumentStore},
        },
        event::Offset,
        state::{IN_MEMORY, StateDb},
    };

    const DOCUMENTS: &str = r#"
        [[policy]]
        name = "shop"
        properties = { plan = "word", gift = "flag", seats = "number" }
        [[site]]
        name = "shop"
        hosts = ["www.shop.example"]
        origins = ["https://www.shop.example"]
        prefix = "/keso"
        policy = "shop"
    "#;

    fn documents() -> Documents {
        let store = DocumentStore::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
        let author = Author { name: "test", reason: "a test", at: Timestamp(0) };
        store.apply(DocumentFile::parse(DOCUMENTS).unwrap().into_documents(), true, false, &author).unwrap();
        store.compiled().unwrap()
    }

    fn disclosure(fields: &Value) -> Disclosure {
        Disclosure::for_test(Offset(1), 1, Timestamp(0)).saying(fields)
    }

    /// What stands in a JSON value, found without knowing of any field.
    fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| paths(value, &below(key), found)),
            Value::Array(all) if all.iter().any(Value::is_object) => {
                found.insert(format!("{path}[]:list"));
                all.iter().for_each(|one| paths(one, &format!("{path}[]"), found));
            }
            Value::Array(_) => _ = found.insert(format!("{path}:list")),
            Value::Bool(_) => _ = found.insert(format!("{path}:flag")),
            Value::Number(_) => _ = found.insert(format!("{path}:number")),
            Value::String(_) => _ = found.insert(format!("{path}:text")),
            Value::Null => panic!("{path} is null"),
        }
    }

    fn everything() -> Vec<(&'static str, Value)> {
        vec![
            ("page", json!({ "host": "www.shop.example", "path": "/" })),
            ("campaign", json!({ "source": "a", "medium": "b", "name": "c", "term": "d", "content": "e", "id": "f" })),
            ("click_ids", json!({ "gclid": "x", "fbclid": "y" })),
            ("referrer_kind", json!("search")),
            ("referrer_host", json!("search.example")),
            ("referrer_page", json!({ "path": "/a" })),
            ("value", json!(1.5)),
            ("currency", json!("EUR")),
            ("transaction_id", json!("t")),
            ("tax", json!(1.0)),
            ("shipping", json!(2.0)),
            ("coupon", json!("c")),
            (
                "items",
                json!([{ "id": "1", "name": "n" }, { "brand": "b", "category": "c", "variant": "v", "price": 1.0, "quantity": 2.0 }]),
            ),
            ("properties", json!({ "plan": "pro", "gift": true, "seats": 4.0 })),
            ("user_id", json!("u")),
            ("user_assurance", json!("claimed")),
            ("session_id", json!("0123456789abcdef")),
            ("language", json!("fr")),
            ("screen", json!("<1200")),
            ("bot", json!({ "class": "suspected", "score": 60, "reasons": ["headless"] })),
            ("purposes", json!(["analytics"])),
        ]
    }

    #[test]
    fn a_schema_has_every_field_of_the_json_that_leaves_and_no_other() {
        let (documents, all) = (documents(), everything());
        let mut cases: Vec<Value> = all.iter().map(|(name, value)| json!({ *name: value })).collect();
        cases.push(json!({}));
        cases.push(json!({ "items": [{}] }));
        cases.push(all.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<serde_json::Map<_, _>>().into());
        for case in cases {
            let said = disclosure(&case);
            let mut expected = BTreeSet::new();
            paths(&serde_json::to_value(&said).unwrap(), "", &mut expected);
            let found = Schema::of(&said, &documents).fields();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{case}");
        }
    }

    #[test]
    fn another_field_or_another_kind_is_another_hash() {
        let documents = documents();
        let hash = |fields: Value| schema_hash(&Schema::of(&disclosure(&fields), &documents).fields());
        let all = [
            json!({}),
            json!({ "value": 1.0 }),
            json!({ "language": "fr" }),
            json!({ "properties": { "plan": "a" } }),
            json!({ "properties": { "plan": 1.0 } }),
            json!({ "properties": { "seats": 1.0 } }),
        ];
        let hashes: BTreeSet<_> = all.iter().cloned().map(hash).collect();
        assert_eq!(hashes.len(), all.len());
        assert_eq!(hash(json!({ "value": 1.0 })), hash(json!({ "value": 2.0 })), "a value is no schema");
        assert_ne!(schema_hash(&["ab", "c"]), schema_hash(&["a", "bc"]));
    }

    #[test]
    fn a_name_that_is_on_no_list_is_counted_and_not_told() {
        let said =
            json!({ "properties": { "plan": "a", "jane@mail.example": true, "x": 1.0 }, "click_ids": { "jane_id": "1", "gclid": "2" } });
        let fields = Schema::of(&disclosure(&said), &documents()).fields();
        assert!(fields.contains(&String::from("properties.plan:text")) && fields.contains(&String::from("click_ids.gclid:text")));
        assert_eq!(fields.last().map(String::as_str), Some("(on no list):3"));
        assert!(!fields.concat().contains("jane"), "{fields:?}");
        let none = Schema::of(&disclosure(&json!({ "properties": { "plan": "a" } })), &Documents::default()).fields();
        assert!(!none.concat().contains("plan"), "without a policy there is no list");
    }
}
