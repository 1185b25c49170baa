//! `anonymise`: an enriched event becomes a clean one, at the ceiling that any of its destinations may get. Built from nothing, field by
//! field; whatever is not taken over here is gone when the raw event is dropped at the end of this function.

use std::{io, time::Duration};

use smol_str::SmolStr;

use super::{
    clean::{CampaignField, CleanBody, CleanEvent, Granted, Item, Page, Property},
    crowd::referrer::ReferrerClass,
    enrich::{Enriched, device::DeviceClass, place::Country},
    identifiers::identified,
    identity::assurance,
    keys::persistent::SiteKey,
    personal::Personal,
    policy::{Field, Treatments},
    raw::{PropertyValue, RawEvent, RawItem, Text},
    record::Header,
    rules::{Rule, holds},
    scrub::{clicks::click_ids, page, parameters, referrer, words},
    ticket::Landing,
    twin,
    visitor::Visitor,
};
use crate::{
    clock::Timestamp,
    documents::{
        Site,
        site::{Ceiling, Policy, PropertyKind},
    },
    event::EventId,
};

/// Without consent, times are rounded to this.
pub(super) const TIME_STEP: Duration = Duration::from_secs(5 * 60);
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
    // By reference: events are large, and moving them about is a tenth of this function's cost.
    let Enriched { ref permitted, device, country, bot, language, screen } = enriched;
    let raw = &permitted.event;
    let ceiling = permitted.ceiling;
    let client_id = raw.client_id.as_ref().map(|id| id.expose().as_ref());
    let happened = raw.time.unwrap_or(received);
    let rests = ceiling.rests;
    let said = raw.name.as_ref().filter(|_| rests.keeps(Field::Name)).map_or(words::CUSTOM_EVENT, |name| name.expose());
    let address = raw.page_url.as_ref().and_then(|url| page::split(url.expose()));
    let granted = match visitor.cookie_id() {
        Some(cookie_id) if ceiling.breadth.needs_consent() => {
            Some(Box::new(granted(raw, (visitor, cookie_id), client_id, address.as_ref(), (site, site_key), &ceiling, received)))
        }
        _ => None,
    };
    let order = raw.transaction.as_ref().and_then(|said| bounded(said.expose())).filter(|_| twin::is_backends(said, protocol, site));
    let event_id = match (order, client_id) {
        (Some(order), _) => site_key.order_id(&order, granted.is_some()),
        (None, Some(id)) => site_key.event_id(protocol, id, &visitor.subject_bytes()),
        (None, None) => EventId(super::keys::random_id()?),
    };
    let exact = granted.is_some() && rests.keeps(Field::Time);
    let body = CleanBody {
        name: words::event_name(said, &site.policy).into(),
        time: if exact { happened } else { happened.rounded(TIME_STEP) },
        protocol: SmolStr::new_static(protocol),
        page: address
            .filter(|_| rests.lets(Field::Page))
            .map(|address| Page { host: own_host(address.host, site), path: page::template_by(address.path, &site.policy.routes) }),
        device: if rests.lets(Field::Device) { device } else { DeviceClass::UNKNOWN },
        country: if rests.lets(Field::Place) { country } else { Country::UNKNOWN },
        language: language.filter(|_| rests.lets(Field::Language)),
        screen: screen.filter(|_| rests.lets(Field::Screen)),
        bot: bot.under(rests.get(Field::Bot)),
        properties: if rests.lets(Field::Properties) { properties(raw, protocol, &site.policy) } else { Vec::new() },
        vendors: permitted.vendors,
        session: visitor.session().filter(|_| rests.lets(Field::Session)),
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
        ceiling: ceiling.breadth,
        sealed: visitor.is_person() && holds(Rule::GrantedBodiesAreSealed),
        received,
    };
    Ok(CleanEvent::new(header, body))
}

/// What rests with consent alone.
fn granted(
    raw: &RawEvent<'_>,
    (visitor, cookie_id): (&Visitor, [u8; 16]),
    client_id: Option<&str>,
    address: Option<&page::Address<'_>>,
    (site, site_key): (&Site, &SiteKey),
    Ceiling { breadth, rests, clicks, .. }: &Ceiling,
    now: Timestamp,
) -> Granted {
    let money = |field, said: &Option<Personal<f64>>| {
        let amount = amount(said.as_ref()).filter(|_| rests.lets(field));
        if rests.keeps(field) { amount } else { amount.map(words::two_digits) }
    };
    let text = |field, said: &'_ Option<Text<'_>>, clean: fn(&str) -> Option<String>| {
        said.as_ref().filter(|_| rests.lets(field)).and_then(|said| clean(said.expose()))
    };
    let user_id = text(Field::UserId, &raw.user_id, bounded);
    let (referrer_host, referrer_kind, referrer_page) = referrer(raw, site, rests);
    let mut campaign = address.filter(|_| rests.lets(Field::Campaign)).map(|address| campaign(address.query)).unwrap_or_default();
    let mut click_ids = address.map(|address| click_ids(address.query, *clicks)).unwrap_or_default();
    if campaign.is_empty() && click_ids.is_empty() {
        // An event that says nothing of what led here has it of its visit.
        let Landing { campaign: words, click_ids: ids } = visitor.landing();
        campaign = words.iter().filter(|_| rests.lets(Field::Campaign)).cloned().collect();
        click_ids = ids.iter().filter(|click| click.issuer().is_some_and(|issuer| clicks.have(issuer))).cloned().collect();
    }
    Granted {
        user_assurance: user_id.is_some().then(|| assurance(raw, &cookie_id, site.identify_secret.as_ref(), now)),
        cookie_id,
        client_event_id: client_id.and_then(words::word).map(Into::into),
        campaign,
        click_ids,
        referrer_host,
        referrer_kind,
        referrer_page,
        value: money(Field::Value, &raw.value),
        tax: money(Field::Tax, &raw.tax),
        shipping: money(Field::Shipping, &raw.shipping),
        coupon: text(Field::Coupon, &raw.coupon, words::label),
        items: if rests.lets(Field::Items) { raw.items.iter().take(ITEMS_MAX).map(item).collect() } else { Vec::new() },
        currency: text(Field::Currency, &raw.currency, words::currency),
        transaction: text(Field::OrderId, &raw.transaction, bounded),
        user_id,
        identifiers: if breadth.has_profile() && rests.lets(Field::UserId) { identified(raw, site, site_key) } else { Vec::new() },
        // Noted where one is sealed.
        enveloped: false,
    }
}

/// The site's own host that the page is on; a mirror's or translator's is not named.
fn own_host(said: &str, site: &Site) -> Option<SmolStr> {
    site.page_hosts.iter().find(|own| own.eq_ignore_ascii_case(said)).map(SmolStr::new)
}

/// Where the visitor came from: another site, or its kind alone where no more may rest; or a page of our own.
fn referrer(raw: &RawEvent<'_>, site: &Site, rests: &Treatments) -> (Option<String>, ReferrerClass, Option<Page>) {
    let nothing = (None, ReferrerClass::None, None);
    let said = raw.referrer.as_ref().filter(|_| rests.lets(Field::Referrer)).and_then(|url| page::split(url.expose()));
    let Some(address) = said else { return nothing };
    let names = rests.keeps(Field::Referrer);
    match own_host(address.host, site) {
        Some(host) if names => {
            (None, ReferrerClass::None, Some(Page { host: Some(host), path: page::template_by(address.path, &site.policy.routes) }))
        }
        Some(_) => nothing,
        None => match referrer::site_of(address.host) {
            host if names => (host, ReferrerClass::None, None),
            host => (None, ReferrerClass::of(host.as_deref()), None),
        },
    }
}

fn campaign(query: &str) -> Vec<(CampaignField, String)> {
    let mut fields: Vec<(CampaignField, String)> = Vec::new();
    for pair in query.split('&') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let Some(field) = parameters::kept(name) else { continue };
        let value = value.replace('+', " ");
        if let Some(word) = words::word(&value).filter(|_| fields.iter().all(|(known, _)| *known != field)) {
            fields.push((field, word.into_owned()));
        }
    }
    fields.sort_by_key(|(field, _)| *field);
    fields
}

/// The site's own properties, and the vendor's fields, that the policy lists.
fn properties(raw: &RawEvent<'_>, protocol: &str, policy: &Policy) -> Vec<(SmolStr, Property)> {
    let listed_most = policy.properties.len().min(PROPERTIES_MAX);
    let mut kept: Vec<(SmolStr, Property)> = Vec::with_capacity(raw.properties.len().min(listed_most));
    let mut keep = |name: &String, value: Option<Property>| {
        if kept.len() < PROPERTIES_MAX && kept.iter().all(|(known, _)| known != name) {
            kept.extend(value.map(|value| (SmolStr::new(name), value)));
        }
    };
    if !policy.properties.is_empty() {
        for (name, value) in &raw.properties {
            if let Some((name, kind)) = policy.properties.get_key_value(name.expose().as_ref()) {
                keep(name, allowed(value.expose(), *kind));
            }
        }
    }
    if let Some(listed) = policy.vendor_fields.get(protocol) {
        for (name, value) in &raw.vendor_fields {
            if let Some((name, kind)) = listed.get(name.expose().as_ref()) {
                keep(name, allowed(value.expose(), *kind).or_else(|| as_meant(value.expose(), *kind)));
            }
        }
    }
    kept.sort_by(|(one, _), (other, _)| one.cmp(other));
    kept
}

/// A vendor's number or flag that came as text, as all in a query does.
fn as_meant(value: &PropertyValue<'_>, kind: PropertyKind) -> Option<Property> {
    match (kind, value) {
        (PropertyKind::Number, PropertyValue::Text(said)) => {
            said.trim().parse().ok().and_then(|number| allowed(&PropertyValue::Number(number), kind))
        }
        (PropertyKind::Flag, PropertyValue::Text(said)) => match said.as_ref() {
            "1" | "true" => Some(Property::Flag(true)),
            "0" | "false" => Some(Property::Flag(false)),
            _ => None,
        },
        (PropertyKind::Word, PropertyValue::Number(number)) => words::word(&number.to_string()).map(|word| Property::Word(word.into())),
        _ => None,
    }
}

/// The value as a property of that kind, if it is one.
pub(super) fn allowed(value: &PropertyValue<'_>, kind: PropertyKind) -> Option<Property> {
    match (kind, value) {
        (PropertyKind::Flag, PropertyValue::Flag(flag)) => Some(Property::Flag(*flag)),
        (PropertyKind::Number, PropertyValue::Number(number)) => {
            (number.is_finite() && number.abs() <= NUMBER_MAX).then_some(Property::Number(*number))
        }
        (PropertyKind::Word, PropertyValue::Text(text)) => words::word(text).map(|word| Property::Word(word.into())),
        _ => None,
    }
}

/// The value that a text stands for, as a property of that kind.
pub(super) fn property_of_text(said: &str, kind: PropertyKind) -> Option<Property> {
    let said = PropertyValue::Text(said.into());
    allowed(&said, kind).or_else(|| as_meant(&said, kind))
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
