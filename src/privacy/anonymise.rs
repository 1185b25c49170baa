//! `anonymise`: an enriched event becomes a clean one, at the ceiling that any of its destinations may get. Built from nothing, field by
//! field; whatever is not taken over here is gone when the raw event is dropped at the end of this function.

use std::{io, time::Duration};

use super::{
    clean::{CampaignField, CleanBody, CleanEvent, Granted, Item, Page, Property},
    enrich::Enriched,
    keys::persistent::SiteKey,
    personal::Personal,
    raw::{PropertyValue, RawEvent, RawItem, Text},
    record::Header,
    scrub::{page, words},
    transform::Transform,
    visitor::Visitor,
};
use crate::{
    clock::Timestamp,
    documents::{
        Site,
        site::{Policy, PropertyKind},
    },
    event::EventId,
};

/// Without consent, times are rounded to this (PRIVACY.md §4.4).
const TIME_STEP: Duration = Duration::from_secs(5 * 60);
/// Products in one event; the rest are dropped. GA4 takes as many.
const ITEMS_MAX: usize = 200;
/// Properties in one event; the rest are dropped.
const PROPERTIES_MAX: usize = 25;
/// Numbers beyond this are somebody's own.
const NUMBER_MAX: f64 = 1e6;

/// Makes the clean event.
///
/// # Errors
/// When the system has no randomness for an id.
pub fn anonymise(
    enriched: Enriched<'_>,
    visitor: &Visitor,
    site: &Site,
    site_key: &SiteKey,
    protocol: &'static str,
    received: Timestamp,
) -> io::Result<CleanEvent> {
    let Enriched { permitted, device, country, language, screen } = enriched;
    let raw = permitted.event;
    let ceiling = permitted.ceiling;
    let client_id = raw.client_id.as_ref().map(|id| id.expose().as_ref());
    let event_id = match client_id {
        Some(id) => site_key.event_id(protocol, id, &visitor.subject_bytes()),
        None => EventId(super::keys::random_id()?),
    };
    let happened = raw.time.unwrap_or(received);
    let said = raw.name.as_ref().map_or(words::CUSTOM_EVENT, |name| name.expose());
    let address = raw.page_url.as_ref().and_then(|url| page::split(url.expose()));
    let granted = match visitor.cookie_id() {
        Some(cookie_id) if ceiling.needs_consent() => Some(Box::new(Granted {
            cookie_id,
            client_event_id: client_id.and_then(words::word).map(Into::into),
            campaign: address.as_ref().map(|address| campaign(address.query)).unwrap_or_default(),
            referrer_host: referrer_host(&raw, site),
            value: amount(raw.value.as_ref()),
            tax: amount(raw.tax.as_ref()),
            shipping: amount(raw.shipping.as_ref()),
            coupon: raw.coupon.as_ref().and_then(|coupon| words::label(coupon.expose())),
            items: raw.items.iter().take(ITEMS_MAX).map(item).collect(),
            currency: raw.currency.as_ref().and_then(|code| words::currency(code.expose())),
            transaction: raw.transaction.as_ref().and_then(|id| bounded(id.expose())),
        })),
        _ => None,
    };
    let body = CleanBody {
        name: words::event_name(said, &site.policy).to_owned(),
        time: if granted.is_some() { happened } else { happened.rounded(TIME_STEP) },
        protocol: protocol.to_owned(),
        page: address.map(|address| Page { host: own_host(address.host, site), path: page::template(address.path) }),
        device,
        country,
        language,
        screen,
        properties: properties(&raw, &site.policy),
        session: visitor.session().filter(|_| ceiling >= Transform::Measurement),
        granted,
    };
    let header = Header {
        site: site.number,
        epoch: visitor.epoch(),
        policy: site.policy.version,
        event_id,
        subject: visitor.subject(),
        audience: permitted.audience,
        purposes: permitted.purposes,
        ceiling,
        sealed: visitor.is_person(),
        received,
    };
    Ok(CleanEvent::new(header, body))
}

/// The site's own host that the page is on; a mirror's or translator's is not named.
fn own_host(said: &str, site: &Site) -> Option<String> {
    site.page_hosts.iter().find(|own| own.eq_ignore_ascii_case(said)).cloned()
}

/// The referring site's host; our own is no referrer.
fn referrer_host(raw: &RawEvent<'_>, site: &Site) -> Option<String> {
    let address = page::split(raw.referrer.as_ref()?.expose())?;
    words::host(address.host).filter(|host| !site.page_hosts.contains(host))
}

fn campaign(query: &str) -> Vec<(CampaignField, String)> {
    let mut fields: Vec<(CampaignField, String)> = Vec::new();
    for pair in query.split('&') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let Some(field) = campaign_field(name) else { continue };
        let value = value.replace('+', " ");
        if let Some(word) = words::word(&value).filter(|_| fields.iter().all(|(known, _)| *known != field)) {
            fields.push((field, word.into_owned()));
        }
    }
    fields.sort_by_key(|(field, _)| *field);
    fields
}

fn campaign_field(name: &str) -> Option<CampaignField> {
    Some(match name {
        "utm_source" => CampaignField::Source,
        "utm_medium" => CampaignField::Medium,
        "utm_campaign" => CampaignField::Name,
        "utm_term" => CampaignField::Term,
        "utm_content" => CampaignField::Content,
        "utm_id" => CampaignField::Id,
        _ => return None,
    })
}

fn properties(raw: &RawEvent<'_>, policy: &Policy) -> Vec<(String, Property)> {
    let mut kept: Vec<(String, Property)> = Vec::new();
    for (name, value) in raw.properties.iter().take(PROPERTIES_MAX) {
        let Some((name, kind)) = policy.properties.get_key_value(name.expose().as_ref()) else { continue };
        if kept.iter().any(|(known, _)| known == name) {
            continue;
        }
        kept.extend(allowed(value.expose(), *kind).map(|value| (name.clone(), value)));
    }
    kept.sort_by(|(one, _), (other, _)| one.cmp(other));
    kept
}

/// The value as a property of that kind, if it is one.
pub(super) fn allowed(value: &PropertyValue<'_>, kind: PropertyKind) -> Option<Property> {
    match (kind, value) {
        (PropertyKind::Flag, PropertyValue::Flag(flag)) => Some(Property::Flag(*flag)),
        (PropertyKind::Number, PropertyValue::Number(number)) => {
            (number.is_finite() && number.abs() <= NUMBER_MAX).then_some(Property::Number(*number))
        }
        (PropertyKind::Word, PropertyValue::Text(text)) => words::word(text).map(|word| Property::Word(word.into_owned())),
        _ => None,
    }
}

fn amount(said: Option<&Personal<f64>>) -> Option<f64> {
    said.map(|amount| *amount.expose()).filter(|amount| amount.is_finite() && amount.abs() <= NUMBER_MAX)
}

fn item(raw: &RawItem<'_>) -> Item {
    let label = |text: &Option<Text<'_>>| text.as_ref().and_then(|text| words::label(text.expose()));
    Item {
        id: label(&raw.id),
        name: label(&raw.name),
        brand: label(&raw.brand),
        category: label(&raw.category),
        variant: label(&raw.variant),
        price: amount(raw.price.as_ref()),
        quantity: amount(raw.quantity.as_ref()),
    }
}

/// A shop's own id, as it is said back to the shop's own tools under a key: bounded, else unchanged.
fn bounded(id: &str) -> Option<String> {
    (!id.is_empty() && id.len() <= 64).then(|| id.to_owned())
}
