//! `explain`: what each destination would receive of one event and why, field by field. It runs the line itself, with keys that are thrown
//! away, and stores nothing. A value that would not leave is never part of an explanation: fields that are dropped have a name and a length.

use std::io;

use serde::Serialize;
use serde_json::Value;

use super::{
    anonymise::anonymise,
    consent::{self, ConsentState, vendor_decisions::vendor_is_allowed},
    disclose::Discloser,
    enrich::{
        self,
        agent::Agent,
        bot::{self, Bot, network::NetworkDatabase},
        place::PlaceDatabase,
    },
    entitlement::{Withheld, entitlement, is_kept_from},
    keys::persistent::PersistentKeys,
    policy::{Field, Treatments},
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
    pub rule: String,
}

/// One row: an incoming field, the disclosure's fields that can come of it, and what decides: fields of the policy, or the program.
struct Rule {
    field: &'static str,
    becomes: &'static [&'static str],
    by: By,
}

enum By {
    Policy(&'static [Field]),
    Program(&'static str),
}

const fn rule(field: &'static str, becomes: &'static [&'static str], policy: &'static [Field]) -> Rule {
    Rule { field, becomes, by: By::Policy(policy) }
}

const fn always(field: &'static str, becomes: &'static [&'static str], what: &'static str) -> Rule {
    Rule { field, becomes, by: By::Program(what) }
}

const RULES: [Rule; 25] = [
    rule("client address", &["country", "bot"], &[Field::Place, Field::Bot, Field::Address]),
    rule("user agent", &["device", "bot"], &[Field::Device, Field::Bot, Field::UserAgent]),
    rule("accept-language", &["language"], &[Field::Language]),
    rule("sec-ch-ua", &["bot"], &[Field::Bot]),
    rule("visitor cookie", &["visitor_id", "session_id"], &[Field::Visitor, Field::Session]),
    rule("name", &["name"], &[Field::Name]),
    always("event id", &["event_id"], "replaced by an id under this destination's key"),
    rule("time", &["time"], &[Field::Time]),
    rule("page URL", &["page", "campaign", "click_ids"], &[Field::Page, Field::Campaign, Field::ClickIds]),
    always("page title", &[], "dropped: titles carry names"),
    rule("referrer", &["referrer_kind", "referrer_host", "referrer_page"], &[Field::Referrer]),
    rule("value", &["value"], &[Field::Value]),
    rule("currency", &["currency"], &[Field::Currency]),
    rule("order id", &["transaction_id"], &[Field::OrderId]),
    rule("tax", &["tax"], &[Field::Tax]),
    rule("shipping", &["shipping"], &[Field::Shipping]),
    rule("coupon", &["coupon"], &[Field::Coupon]),
    rule("items", &["items"], &[Field::Items]),
    rule("user id", &["user_id", "user_assurance"], &[Field::UserId]),
    rule("contact data", &[], &[Field::Contact, Field::VendorIds]),
    always("user id's signature", &[], "checked here, and goes no further"),
    rule("language", &["language"], &[Field::Language]),
    rule("screen width", &["screen"], &[Field::Screen]),
    always("held copy", &[], "says that this is a copy held until the choice"),
    rule("properties", &["properties"], &[Field::Properties]),
];

impl Rule {
    /// The rule in words, for one destination and this visitor.
    fn in_words(&self, treatments: &Treatments, consented: bool) -> String {
        match self.by {
            By::Program(what) => what.to_owned(),
            By::Policy([only]) => only.effect(treatments.get(*only), consented).to_owned(),
            By::Policy(fields) => {
                let effect = |field: &Field| format!("{}: {}", field.name(), field.effect(treatments.get(*field), consented));
                fields.iter().map(effect).collect::<Vec<_>>().join("; ")
            }
        }
    }
}

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
    /// Which networks rent out servers.
    pub networks: &'e NetworkDatabase,
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
    let Explainer { site, documents, places, networks, keys, discloser, protocol } = *with;
    let decision = consent::decide(arrival, &site.signals);
    let state = decision.state();
    let shape = Shape::of(&event, arrival);
    let addressed = documents.receiving(site.number);
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
    let visitor = Visitor::imagined(matches!(state, ConsentState::Granted(_)) && permitted.ceiling.breadth.needs_consent())?;
    let said = said(&shape, permitted.event.properties.len());
    let agent = Agent::of_arrival(arrival);
    // One event has no pace.
    let bot = Bot::of(bot::signs(arrival, &agent, networks));
    let enriched = enrich::enrich(permitted, arrival, (agent.device(), bot), places);
    let site_key = keys.site(site.number)?;
    let clean = anonymise(enriched, &visitor, site, &site_key, protocol, arrival.received)?;
    let mut destinations = Vec::new();
    for destination in addressed {
        let allowed = site.allowed(destination.number);
        let entitled = entitlement(clean.header(), destination, allowed).and_then(|breadth| {
            if !vendor_is_allowed(clean.body().vendors.as_ref(), destination) {
                Err(Withheld::Vendor)
            } else if is_kept_from(destination, &clean) {
                Err(Withheld::Bot)
            } else {
                Ok(breadth)
            }
        });
        let received = match entitled {
            Ok(transform) => serde_json::to_value(discloser.build(Offset(0), &clean, transform, site, destination)?)?,
            Err(_) => Value::Null,
        };
        let fields = entitled.map_or_else(
            |_| Vec::new(),
            |breadth| {
                let consented = breadth.needs_consent();
                fields(&said, &received, &allowed.treatments(breadth, consented), consented)
            },
        );
        destinations.push(DestinationExplanation {
            name: destination.name.clone(),
            basis: basis(destination),
            transform: destination.transform.name(),
            withheld: entitled.err().map(|rule| match rule {
                Withheld::NoConsent => "it needs a consent that this visitor has not given",
                Withheld::HeldCopy => "it had the event when it happened; this is the copy for destinations that need consent",
                Withheld::Policy => "the policy allows it nothing",
                Withheld::Vendor => "the visitor's TC string does not consent to this destination's vendor",
                Withheld::Bot => "it looks like a program's, and this destination is for people's events",
                Withheld::EnvelopeLost => "what this destination asks for beside it was in memory alone, and is gone",
                Withheld::Restricted => "what rests of this person is not to be used",
                Withheld::Twin => "the site's backend has told of the same order",
                Withheld::LeftToBackend => {
                    "the site's backend tells of its purchases, and without consent nothing says which of them this is"
                }
            }),
            fields,
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

fn fields(said: &[(&'static str, String)], received: &Value, treatments: &Treatments, consented: bool) -> Vec<FieldExplanation> {
    let value_of = |name: &&'static str| received.get(*name).map(|value| ((*name).to_owned(), value.clone()));
    let mut fields = Vec::new();
    for (field, said) in said {
        let Some(rule) = RULES.iter().find(|rule| rule.field == *field) else { continue };
        let leaves = rule.becomes.iter().filter_map(value_of).collect();
        fields.push(FieldExplanation { said: said.clone(), leaves, rule: rule.in_words(treatments, consented) });
    }
    let explained: Vec<String> = fields.iter().flat_map(|field| field.leaves.iter().map(|(name, _)| name.clone())).collect();
    let all = received.as_object().into_iter().flatten();
    let made_here = all.filter(|(name, _)| !explained.contains(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    fields.push(FieldExplanation {
        said: String::from("(made here)"),
        leaves: made_here,
        rule: String::from("added by us: the site, ids under this destination's key, the moment, the choice as it stands"),
    });
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        privacy::{
            personal::Personal,
            raw::{ClientAddress, OwnCookies},
        },
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
            user_signature: text("1"),
            user_signature_ends: Some(1),
            vouched: true,
            ticket: text("1"),
            contact: Some(Box::default()),
            browser_id: text("1"),
            language: None,
            screen_width: Some(Personal::new(1)),
            properties: Vec::new(),
            vendor_fields: Vec::new(),
            unknown_fields: 0,
            held: true,
        };
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let arrival = Arrival {
            address: &address,
            user_agent: text("x"),
            app: None,
            accept_language: text("fr"),
            brands: text("x"),
            prefetched: false,
            own: OwnCookies { visitor: vec![Personal::new("x".into())], ..OwnCookies::default() },
            matomo: consent::matomo::MatomoCookies::default(),
            global_privacy_control: false,
            do_not_track: false,
            secure: true,
            signal: consent::ConsentSignal::Absent,
            evidence: consent::evidence::Evidence::default(),
            received: Timestamp(0),
        };
        let shape = Shape::of(&event, &arrival);
        assert!(shape.fields.len() >= 20);
        for (field, _) in shape.fields {
            assert!(RULES.iter().any(|rule| rule.field == field), "{field}");
        }
    }
}
