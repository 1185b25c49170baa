//! `recleanse`: what rests of an event, brought to what may rest under the documents of now. It takes away and never adds: fields that no
//! destination may see any more are dropped, those that may be seen as less are made less, and of an event that nobody may have any more
//! the header stays, so that its offset still comes to an end in every ledger.
//!
//! What it does to a field is what [`anonymise`](super::anonymise) does to one that comes in under those documents.

use super::{
    anonymise::TIME_STEP,
    clean::{CleanBody, CleanEvent, Granted, Opened, Page},
    crowd::referrer::ReferrerClass,
    disclose::properties,
    enrich::{device::DeviceClass, place::Country},
    keys::person::PersonKeys,
    policy::{Field, Treatment},
    record::{Audience, CorruptRecord, HEADER_BYTES, Header, Record, Subject},
    scrub::words,
    transform::Breadth,
};
use crate::{
    clock::Timestamp,
    documents::{Documents, Site, site::Ceiling},
    event_log::LogBytes,
    privacy::clean::OpenError,
    state::StoreError,
};

/// What becomes of a record that rests.
pub enum Recleansed {
    /// It holds no more than may rest.
    Same,
    /// This rests instead.
    Narrower(Record),
    /// Its header rests, and nothing else: no destination may have it, its person's key is gone, or its body cannot be read.
    Emptied(Record),
}

/// A record cannot be brought to what may rest.
#[derive(Debug, thiserror::Error)]
pub enum RecleanseError {
    /// It has not even a header that this program can read, and never will.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// `keys.db` cannot be used now.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be sealed now.
    #[error(transparent)]
    Seal(std::io::Error),
}

/// Brings one record to what may rest under these documents. Blocks where a person's key is not in RAM.
///
/// # Errors
/// See [`RecleanseError`]; all but `Corrupt` may pass.
pub fn recleanse(bytes: &LogBytes, documents: &Documents, persons: &PersonKeys, now: Timestamp) -> Result<Recleansed, RecleanseError> {
    let mut header = Header::decode(bytes.as_slice())?;
    if header.ceiling.is_nothing() {
        return Ok(Recleansed::Same);
    }
    let site = documents.site(header.site);
    let ceiling = site.and_then(|site| ceiling_of(&header, site));
    let person = match header.subject {
        Subject::Person(handle) => persons.of_handle(&handle, now)?,
        Subject::None | Subject::Token(_) => None,
    };
    if header.sealed && person.is_none() {
        // Nobody can read it. The handle stays: with it the couriers see that the key is gone.
        return Ok(emptied(header));
    }
    let Some((site, ceiling)) = site.zip(ceiling) else {
        header.subject = Subject::None;
        return Ok(emptied(header));
    };
    let event = match CleanEvent::open(bytes, persons, now) {
        Ok(Opened::Event(event)) => event,
        // What cannot be read cannot be narrowed.
        Ok(Opened::Purged) | Err(OpenError::Corrupt(_)) => return Ok(emptied(header)),
        Err(OpenError::Store(error)) => return Err(error.into()),
    };
    // Whom a TC string refused gets nothing of it, so nothing rests for them.
    let ceiling = match &event.body().vendors {
        vendors @ Some(_) => site.ceiling_of_granted(header.purposes, header.audience == Audience::ConsentBasisOnly, vendors.as_ref()),
        None => Some(ceiling),
    };
    let Some(ceiling) = ceiling else {
        header.subject = Subject::None;
        return Ok(emptied(header));
    };
    let breadth = header.ceiling.meet(ceiling.breadth);
    let body = narrowed(event.body(), breadth, &ceiling, site);
    if breadth == header.ceiling && body == *event.body() {
        return Ok(Recleansed::Same);
    }
    (header.ceiling, header.policy) = (breadth, site.policy.version);
    let record = CleanEvent::new(header, body).into_record_of(person.as_deref());
    record.map(Recleansed::Narrower).map_err(RecleanseError::Seal)
}

/// The most that any destination may get of such an event now.
fn ceiling_of(header: &Header, site: &Site) -> Option<Ceiling> {
    let held = header.audience == Audience::ConsentBasisOnly;
    if header.purposes.is_empty() { site.ceilings.unknown.filter(|_| !held) } else { site.ceilings.of_granted(header.purposes, held) }
}

/// The header alone.
fn emptied(mut header: Header) -> Recleansed {
    header.ceiling = Breadth::NOTHING;
    let bytes = header.encode().to_vec();
    debug_assert_eq!(bytes.len(), HEADER_BYTES);
    Recleansed::Emptied(Record::new(&header, bytes))
}

fn narrowed(body: &CleanBody, breadth: Breadth, ceiling: &Ceiling, site: &Site) -> CleanBody {
    let rests = &ceiling.rests;
    let granted =
        body.granted.as_deref().filter(|_| breadth.needs_consent()).map(|granted| Box::new(narrowed_granted(granted, ceiling, site)));
    let exact = granted.is_some() && rests.get(Field::Time) == Treatment::Keep;
    let said = if rests.get(Field::Name) == Treatment::Keep { body.name.as_str() } else { words::CUSTOM_EVENT };
    CleanBody {
        name: words::event_name(said, &site.policy).into(),
        time: if exact { body.time } else { body.time.rounded(TIME_STEP) },
        protocol: body.protocol.clone(),
        page: body.page.as_ref().filter(|_| rests.lets(Field::Page)).map(|page| by_routes(page, site)),
        device: if rests.lets(Field::Device) { body.device } else { DeviceClass::UNKNOWN },
        country: if rests.lets(Field::Place) { body.country } else { Country::UNKNOWN },
        language: body.language.filter(|_| rests.lets(Field::Language)),
        screen: body.screen.filter(|_| rests.lets(Field::Screen)),
        bot: body.bot.under(rests.get(Field::Bot)),
        properties: if rests.lets(Field::Properties) {
            properties(&body.properties, site).into_iter().map(|(name, value)| (name.into(), value)).collect()
        } else {
            Vec::new()
        },
        session: body.session.filter(|_| rests.lets(Field::Session)),
        vendors: body.vendors,
        granted,
    }
}

/// A route that is newer than the record makes it coarser.
fn by_routes(page: &Page, site: &Site) -> Page {
    Page { host: page.host.clone(), path: site.policy.routes.template(page.path()).unwrap_or(page.path()).to_owned() }
}

fn narrowed_granted(granted: &Granted, Ceiling { breadth, rests, clicks, .. }: &Ceiling, site: &Site) -> Granted {
    let names_referrer = rests.get(Field::Referrer) == Treatment::Keep;
    let money = |field, amount: Option<f64>| match rests.get(field) {
        Treatment::Drop => None,
        Treatment::Generalise => amount.map(words::two_digits),
        Treatment::Pseudonymise | Treatment::Keep => amount,
    };
    let text = |field, text: &Option<String>| text.clone().filter(|_| rests.lets(field));
    Granted {
        cookie_id: granted.cookie_id,
        client_event_id: granted.client_event_id.clone(),
        campaign: if rests.lets(Field::Campaign) { granted.campaign.clone() } else { Vec::new() },
        click_ids: granted.click_ids.iter().filter(|click| click.issuer().is_some_and(|issuer| clicks.have(issuer))).cloned().collect(),
        referrer_host: granted.referrer_host.clone().filter(|_| names_referrer),
        // Where it may be named again, what rests of one that was not named stays.
        referrer_kind: match rests.get(Field::Referrer) {
            Treatment::Drop => ReferrerClass::None,
            Treatment::Keep => granted.referrer_kind,
            Treatment::Generalise | Treatment::Pseudonymise => granted.came_from(),
        },
        referrer_page: granted.referrer_page.as_ref().filter(|_| names_referrer).map(|page| by_routes(page, site)),
        value: money(Field::Value, granted.value),
        currency: text(Field::Currency, &granted.currency),
        transaction: text(Field::OrderId, &granted.transaction),
        tax: money(Field::Tax, granted.tax),
        shipping: money(Field::Shipping, granted.shipping),
        coupon: text(Field::Coupon, &granted.coupon),
        items: if rests.lets(Field::Items) { granted.items.clone() } else { Vec::new() },
        user_id: text(Field::UserId, &granted.user_id),
        user_assurance: granted.user_assurance.filter(|_| rests.lets(Field::UserId)),
        identifiers: granted
            .identifiers
            .iter()
            .filter(|said| breadth.has_profile() && rests.lets(Field::UserId) && site.identified_by.contains(&said.kind))
            .cloned()
            .collect(),
        enveloped: granted.enveloped && Field::OF_THE_ENVELOPE.into_iter().any(|field| rests.lets(field)),
    }
}
