//! Contact data under the names that senders give them. They are sealed as they are read; what is not asked for goes no further.

use serde_json::value::RawValue;

use super::{loose::Fields, parameters::Parameters};
use crate::privacy::{personal::Personal, raw::RawContact};

/// Under the names of our own script's form, which are Meta's: `em`, `ph`, `fn`, `ln`, `ct`, `st`, `zp`, `co`, `fbp`, `fbc`.
pub(in crate::protocol) fn of_native(said: Option<&RawValue>) -> Option<Box<RawContact<'_>>> {
    let mut fields = Fields::of(said?)?;
    some(RawContact {
        email: fields.text("em"),
        phone: fields.text("ph"),
        first_name: fields.text("fn"),
        last_name: fields.text("ln"),
        city: fields.text("ct"),
        region: fields.text("st"),
        postcode: fields.text("zp"),
        country: fields.text("co"),
        // A page has no business with the customer system's ids.
        crm: None,
        browser_id: fields.text("fbp"),
        click_id: fields.text("fbc"),
    })
}

/// Under the names of Segment's traits, <https://www.twilio.com/docs/segment/connections/spec/identify#traits>: of the call's own, else of its
/// context's. They stay where they are, for a policy that lists one.
pub(in crate::protocol) fn of_traits<'a>(own: &Fields<'a>, context: &Fields<'a>) -> Option<Box<RawContact<'a>>> {
    let text = |name: &str| own.look(name).or_else(|| context.look(name)).map(Personal::new);
    let address = [own, context]
        .into_iter()
        .find_map(|traits| traits.rest().find(|(name, _)| *name == "address"))
        .and_then(|(_, said)| Fields::of(said));
    let of_address = |name: &str| address.as_ref().and_then(|address| address.look(name)).map(Personal::new);
    some(RawContact {
        email: text("email"),
        phone: text("phone"),
        first_name: text("firstName").or_else(|| text("first_name")),
        last_name: text("lastName").or_else(|| text("last_name")),
        city: of_address("city"),
        region: of_address("state"),
        postcode: of_address("postalCode"),
        country: of_address("country"),
        crm: text("crmId").or_else(|| text("crm_id")),
        browser_id: None,
        click_id: None,
    })
}

/// Under the names of Meta's pixel: digests in `ud[…]`, and its own ids.
pub(in crate::protocol) fn of_pixel<'a>(hit: &Parameters<'a>) -> Option<Box<RawContact<'a>>> {
    let text = |name| hit.text(name).map(Personal::new);
    some(RawContact {
        email: text("ud[em]"),
        phone: text("ud[ph]"),
        first_name: text("ud[fn]"),
        last_name: text("ud[ln]"),
        city: text("ud[ct]"),
        region: text("ud[st]"),
        postcode: text("ud[zp]"),
        country: text("ud[country]"),
        crm: None,
        browser_id: text("fbp"),
        click_id: text("fbc"),
    })
}

/// Nothing, where nothing is said.
fn some(contact: RawContact<'_>) -> Option<Box<RawContact<'_>>> {
    let RawContact { email, phone, first_name, last_name, city, region, postcode, country, crm, browser_id, click_id } = &contact;
    let said =
        [email, phone, first_name, last_name, city, region, postcode, country, crm, browser_id, click_id].into_iter().any(Option::is_some);
    said.then(|| Box::new(contact))
}
