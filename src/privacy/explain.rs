//! `explain`: what each destination would receive of one event and why, field by field. It runs the line itself, with keys that are thrown
//! away, and stores nothing. A value that would not leave is never part of an explanation: fields that are dropped have a name and a length.

use std::io;

use serde::Serialize;
use serde_json::Value;

use super::{
    anonymise::anonymise,
    consent::{self, ConsentState},
    disclose::{Discloser, Withheld, entitlement},
    enrich::{self, device::DeviceClass, place::PlaceDatabase},
    keys::persistent::PersistentKeys,
    raw::{Arrival, RawEvent},
    shape::Shape,
    visitor::Visitor,
};
use crate::{
    documents::{Basis, Destination, Documents, Site},
    event::Offset,
    state::StoreError,
};

/// What would become of one event.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// Where the visitor stands: `unknown`, `granted: analytics`, `objected`.
    pub visitor: String,
    /// What came in: names and lengths.
    pub shape: Shape,
    /// Why nothing would be recorded at all, where that is so.
    pub refused: Option<&'static str>,
    /// Each destination of the site.
    pub destinations: Vec<DestinationExplanation>,
}

/// What one destination would receive.
#[derive(Debug, Serialize)]
pub struct DestinationExplanation {
    /// Its name.
    pub name: String,
    /// On what ground it gets events, in words.
    pub basis: String,
    /// How much it may see.
    pub transform: &'static str,
    /// Why it would receive nothing, where that is so.
    pub withheld: Option<&'static str>,
    /// Field by field: what was said, what leaves, and the rule.
    pub fields: Vec<FieldExplanation>,
}

/// What becomes of one field of what came in.
#[derive(Debug, Serialize)]
pub struct FieldExplanation {
    /// What was said: the field, and how long it was.
    pub said: String,
    /// What leaves in its place: the disclosure's fields and values. Empty: nothing does.
    pub leaves: Vec<(String, Value)>,
    /// The rule.
    pub rule: &'static str,
}

/// One row: an incoming field, the disclosure's fields that can come of it, and the rule without and with consent.
struct Rule {
    field: &'static str,
    becomes: &'static [&'static str],
    without: &'static str,
    with: &'static str,
}

const RULES: [Rule; 22] = [
    Rule {
        field: "client address",
        becomes: &["country"],
        without: "looked up in memory as a country; the address itself goes no further",
        with: "looked up in memory as a country; the address itself goes no further",
    },
    Rule {
        field: "user agent",
        becomes: &["device"],
        without: "read as browser family, major version, system and form; what is on no list is \"other\"",
        with: "read as browser family, major version, system and form; what is on no list is \"other\"",
    },
    Rule {
        field: "accept-language",
        becomes: &["language"],
        without: "the primary language only, where the body says none",
        with: "the primary language only, where the body says none",
    },
    Rule {
        field: "visitor cookie",
        becomes: &[],
        without: "not used here: the ids that leave are made for this destination and live a day at most",
        with: "its id under this destination's key is the visitor id; no other cookie is read",
    },
    Rule {
        field: "name",
        becomes: &["name"],
        without: "kept where our list or the policy's `events` has it, else \"custom\"",
        with: "kept where our list or the policy's `events` has it, else \"custom\"",
    },
    Rule {
        field: "event id",
        becomes: &["event_id"],
        without: "replaced by an id under this destination's key",
        with: "replaced by an id under this destination's key",
    },
    Rule { field: "time", becomes: &["time"], without: "rounded down to 5 minutes", with: "kept, by our clock" },
    Rule {
        field: "page URL",
        becomes: &["page", "campaign"],
        without: "the site's own host and the path as a template; every parameter is dropped",
        with: "the site's own host, the path as a template, and utm_* values that name nobody; other parameters are dropped",
    },
    Rule { field: "page title", becomes: &[], without: "dropped: titles carry names", with: "dropped: titles carry names" },
    Rule { field: "referrer", becomes: &["referrer_host"], without: "dropped", with: "the host only, where it is another site's" },
    Rule { field: "value", becomes: &["value"], without: "dropped without consent", with: "kept" },
    Rule { field: "currency", becomes: &["currency"], without: "dropped without consent", with: "kept" },
    Rule {
        field: "order id",
        becomes: &["transaction_id"],
        without: "dropped without consent",
        with: "replaced by an id under this destination's key",
    },
    Rule { field: "tax", becomes: &["tax"], without: "dropped without consent", with: "kept" },
    Rule { field: "shipping", becomes: &["shipping"], without: "dropped without consent", with: "kept" },
    Rule { field: "coupon", becomes: &["coupon"], without: "dropped without consent", with: "kept where it names nobody" },
    Rule {
        field: "items",
        becomes: &["items"],
        without: "dropped without consent",
        with: "what the catalogue says of each product, where it names nobody",
    },
    Rule {
        field: "user id",
        becomes: &[],
        without: "dropped: a browser's claim",
        with: "dropped: a browser's claim, and this transform has no place for it",
    },
    Rule { field: "language", becomes: &["language"], without: "the primary language only", with: "the primary language only" },
    Rule { field: "screen width", becomes: &["screen"], without: "one of six width classes", with: "one of six width classes" },
    Rule {
        field: "held copy",
        becomes: &[],
        without: "says that this is a copy held until the choice",
        with: "says that this is a copy held until the choice",
    },
    Rule {
        field: "properties",
        becomes: &["properties"],
        without: "only those on the policy's `properties` list, of the listed kind, and naming nobody",
        with: "only those on the policy's `properties` list, of the listed kind, and naming nobody",
    },
];

/// An explanation could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// No randomness for an id.
    #[error("the system has no randomness to give: {0}")]
    System(#[from] io::Error),
    /// The passing keys' database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A disclosure cannot be written as JSON.
    #[error("a disclosure cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What an explanation is made with.
pub struct Explainer<'e> {
    /// The site that the event is sent to.
    pub site: &'e Site,
    /// Its destinations, among others.
    pub documents: &'e Documents,
    /// Where its country is looked up.
    pub places: &'e PlaceDatabase,
    /// Keys that are thrown away afterwards.
    pub keys: &'e PersistentKeys,
    /// Makes the disclosures, with the same keys.
    pub discloser: &'e Discloser,
    /// The protocol that the event came in by.
    pub protocol: &'static str,
}

/// Takes one event through the line for every destination of its site.
///
/// # Errors
/// When keys cannot be had.
pub fn explain(event: RawEvent<'_>, arrival: &Arrival<'_>, with: &Explainer<'_>) -> Result<Explanation, ExplainError> {
    let Explainer { site, documents, places, keys, discloser, protocol } = *with;
    let decision = consent::decide(arrival);
    let state = decision.state();
    let shape = Shape::of(&event, arrival);
    let addressed = documents.destinations.iter().filter(|destination| destination.sites.contains(&site.number));
    let refused = |refusal: super::refusal::Refusal, shape| Explanation {
        visitor: state.describe(),
        shape,
        refused: Some(refusal.explanation()),
        destinations: Vec::new(),
    };
    let permitted = match consent::permit(event, decision, site) {
        Ok(permitted) => permitted,
        Err(refusal) => return Ok(refused(refusal, shape)),
    };
    let visitor = Visitor::imagined(matches!(state, ConsentState::Granted(_)) && permitted.ceiling.needs_consent())?;
    let said = said(&shape, permitted.event.properties.len());
    let enriched = enrich::enrich(permitted, arrival, DeviceClass::of_arrival(arrival), places);
    let site_key = keys.site(site.number)?;
    let clean = anonymise(enriched, &visitor, site, &site_key, protocol, arrival.received)?;
    let mut destinations = Vec::new();
    for destination in addressed {
        let entitled = entitlement(clean.header(), destination);
        let received = match entitled {
            Ok(transform) => serde_json::to_value(discloser.build(Offset(0), &clean, transform, site, destination)?)?,
            Err(_) => Value::Null,
        };
        let consented = entitled.is_ok_and(super::transform::Transform::needs_consent);
        destinations.push(DestinationExplanation {
            name: destination.name.clone(),
            basis: basis(destination),
            transform: destination.transform.name(),
            withheld: entitled.err().map(|rule| match rule {
                Withheld::NoConsent => "it needs a consent that this visitor has not given",
                Withheld::HeldCopy => "it had the event when it happened; this is the copy for destinations that need consent",
                Withheld::Policy => "the policy allows it nothing",
            }),
            fields: if entitled.is_ok() { fields(&said, &received, consented) } else { Vec::new() },
        });
    }
    Ok(Explanation { visitor: state.describe(), shape, refused: None, destinations })
}

fn basis(destination: &Destination) -> String {
    match destination.basis {
        Basis::ExemptMeasurement => String::from("exempt_measurement"),
        Basis::Consent(purposes) => format!("consent to {}", purposes.names().collect::<Vec<_>>().join(" and ")),
    }
}

/// Every field that came in, with its length in words.
fn said(shape: &Shape, properties: usize) -> Vec<(&'static str, String)> {
    let in_words = |(field, length): &(&'static str, usize)| match length {
        0 => (*field, (*field).to_owned()),
        length => (*field, format!("{field}, {length} characters")),
    };
    let listed = (properties > 0).then(|| ("properties", format!("properties, {properties}")));
    shape.fields.iter().map(in_words).chain(listed).collect()
}

fn fields(said: &[(&'static str, String)], received: &Value, consented: bool) -> Vec<FieldExplanation> {
    let value_of = |name: &&'static str| received.get(*name).map(|value| ((*name).to_owned(), value.clone()));
    let mut fields = Vec::new();
    for (field, said) in said {
        let Some(rule) = RULES.iter().find(|rule| rule.field == *field) else { continue };
        let leaves = rule.becomes.iter().filter_map(value_of).collect();
        fields.push(FieldExplanation { said: said.clone(), leaves, rule: if consented { rule.with } else { rule.without } });
    }
    let explained: Vec<String> = fields.iter().flat_map(|field| field.leaves.iter().map(|(name, _)| name.clone())).collect();
    let all = received.as_object().into_iter().flatten();
    let made_here = all.filter(|(name, _)| !explained.contains(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    fields.push(FieldExplanation {
        said: String::from("(made here)"),
        leaves: made_here,
        rule: "added by us: the site, ids under this destination's key, the moment, the choice as it stands",
    });
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        privacy::{personal::Personal, raw::ClientAddress},
    };

    #[test]
    fn every_known_field_has_a_rule() {
        let text = |text: &'static str| Some(Personal::new(text.into()));
        let number = || Some(Personal::new(1.0));
        let event = RawEvent {
            name: text("page_view"),
            client_id: text("1"),
            time: Some(Timestamp(0)),
            page_url: text("https://x.example/"),
            page_title: text("x"),
            referrer: text("https://y.example/"),
            value: number(),
            currency: text("EUR"),
            transaction: text("1"),
            tax: number(),
            shipping: number(),
            coupon: text("x"),
            items: vec![crate::privacy::raw::RawItem::default()],
            user_id: text("1"),
            language: None,
            screen_width: Some(Personal::new(1)),
            properties: Vec::new(),
            unknown_fields: 0,
            held: true,
        };
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let arrival = Arrival {
            address: &address,
            user_agent: text("x"),
            accept_language: text("fr"),
            visitor_cookie: text("x"),
            opted_out: false,
            global_privacy_control: false,
            do_not_track: false,
            secure: true,
            signal: consent::ConsentSignal::Absent,
            received: Timestamp(0),
        };
        let shape = Shape::of(&event, &arrival);
        assert!(shape.fields.len() >= 20);
        for (field, _) in shape.fields {
            assert!(RULES.iter().any(|rule| rule.field == field), "{field}");
        }
    }
}
