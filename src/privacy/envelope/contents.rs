//! What is put into an envelope beside an event, and what a destination takes out of it.

use std::{collections::BTreeMap, net::IpAddr};

use zeroize::Zeroizing;

use super::{
    digest::digest,
    part::{Dialect, Dialects, Part},
};
use crate::privacy::{
    enrich::Enriched,
    hand_over::bytes::{Unread, Written},
    personal::Personal,
    policy::{Field, Treatments},
    raw::{Arrival, RawContact, Text},
    vendor_cookies::VendorCookie,
    visitor::Visitor,
};

/// A longer user agent is no browser's.
const USER_AGENT_BYTES_MAX: usize = 512;
/// A vendor's cookie is no longer: a click id has 500 at most.
const VENDOR_ID_BYTES_MAX: usize = 600;
/// Ids of events are no longer; they are 16 to 64 in every vendor's script.
const EVENT_ID_BYTES_MAX: usize = 128;

/// What is put in. It can be filled and sealed, and not looked at.
pub struct Contents(Vec<(Part, Option<Dialect>, String)>);

impl Contents {
    /// What of an event and its request destinations of the site ask for; `None`: nothing, or there is nothing of it, or its visitor is no person to
    /// whose key it could be sealed.
    #[must_use]
    pub fn of(enriched: &Enriched<'_>, arrival: &Arrival<'_>, visitor: &Visitor) -> Option<Self> {
        let ceiling = &enriched.permitted.ceiling;
        visitor.person()?;
        let (event, wants) = (&enriched.permitted.event, |field| ceiling.rests.keeps(field));
        let mut contents = Self(Vec::new());
        // A backend's request says nothing of any visitor's machine.
        let from_their_machine = !arrival.own.by_backend && !arrival.own.named_by_library;
        if wants(Field::Address) && from_their_machine {
            contents
                .put(Part::Address, Some(arrival.address.expose().ip()).filter(|ip| !ip.is_unspecified()).map(|ip: IpAddr| ip.to_string()));
        }
        if wants(Field::UserAgent) && from_their_machine {
            contents.put(Part::UserAgent, plain(arrival.user_agent.as_ref(), USER_AGENT_BYTES_MAX));
        }
        let contact = event.contact.as_deref();
        if wants(Field::VendorIds) {
            let of = |part, said: fn(&RawContact<'_>) -> Option<String>, cookie| {
                (part, contact.and_then(said).or_else(|| the_only(arrival, cookie)).filter(|id| is_metas(id)))
            };
            let ids = [
                of(Part::BrowserId, |contact| plain(contact.browser_id.as_ref(), VENDOR_ID_BYTES_MAX), VendorCookie::Fbp),
                of(Part::ClickId, |contact| plain(contact.click_id.as_ref(), VENDOR_ID_BYTES_MAX), VendorCookie::Fbc),
                (Part::EventId, plain(event.client_id.as_ref(), EVENT_ID_BYTES_MAX)),
            ];
            ids.into_iter().for_each(|(part, id)| contents.put(part, id));
        }
        if wants(Field::Contact) {
            contents.put_digests(contact, event.user_id.as_ref(), ceiling.dialects);
        }
        (!contents.0.is_empty()).then_some(contents)
    }

    fn put(&mut self, part: Part, said: Option<String>) {
        self.0.extend(said.map(|said| (part, None, said)));
    }

    fn put_digests(&mut self, contact: Option<&RawContact<'_>>, user_id: Option<&Text<'_>>, dialects: Dialects) {
        let of_contact = contact.into_iter().flat_map(|contact| {
            let RawContact { email, phone, first_name, last_name, city, region, postcode, country, crm: _, browser_id: _, click_id: _ } =
                contact;
            [
                (Part::Email, email),
                (Part::Phone, phone),
                (Part::FirstName, first_name),
                (Part::LastName, last_name),
                (Part::City, city),
                (Part::Region, region),
                (Part::Postcode, postcode),
                (Part::Country, country),
            ]
        });
        let said = of_contact.filter_map(|(part, said)| Some((part, said.as_ref()?))).chain(user_id.map(|id| (Part::UserId, id)));
        for (part, said) in said {
            for dialect in dialects.each() {
                self.0.extend(digest(dialect, part, said.expose()).map(|digest| (part, Some(dialect), digest)));
            }
        }
    }

    /// As it is sealed. Wiped when dropped.
    pub(super) fn written(&self) -> Zeroizing<Vec<u8>> {
        let mut written = Written::default();
        written.count(self.0.len());
        for (part, dialect, said) in &self.0 {
            written.u8(*part as u8);
            written.u8(dialect.map_or(u8::MAX, |dialect| dialect as u8));
            written.block(said.as_bytes());
        }
        written.into_bytes()
    }

    /// Reads it again. `None`: it is none of ours.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut unread = Unread::of(bytes, std::time::Duration::ZERO);
        let mut contents = Self(Vec::new());
        for _ in 0..unread.count().ok()? {
            let part = *Part::ALL.get(usize::from(unread.u8().ok()?))?;
            let dialect = Dialect::ALL.get(usize::from(unread.u8().ok()?)).copied();
            contents.0.push((part, dialect, String::from_utf8(unread.block().ok()?.to_vec()).ok()?));
        }
        unread.end().ok().map(|()| contents)
    }

    /// What a destination of that vendor may take out.
    pub(super) fn envelope(self, dialect: Option<Dialect>, policy: &Treatments) -> Envelope {
        let may = |part: Part, of: Option<Dialect>| policy.keeps(part.field()) && (of.is_none() || of == dialect);
        Envelope(self.0.into_iter().filter(|(part, of, _)| may(*part, *of)).map(|(part, _, said)| (part, said)).collect())
    }
}

/// What one destination takes out of an event's envelope. It is handed on with the event's disclosure, is no part of what that serialises to, and can
/// be neither printed nor copied.
pub struct Envelope(BTreeMap<Part, String>);

impl Envelope {
    /// A part, where there is one and the policy lets it through.
    #[must_use]
    pub fn get(&self, part: Part) -> Option<&str> {
        self.0.get(&part).map(String::as_str)
    }

    /// Which parts there are.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        self.0.keys().copied()
    }

    /// One with these parts, for tests of what comes after.
    #[cfg(test)]
    pub(crate) fn for_test(parts: &serde_json::Value) -> Self {
        let of = |(name, said): (&String, &serde_json::Value)| {
            let part = Part::ALL.into_iter().find(|part| part.name().strip_prefix("envelope.") == Some(name)).expect("a part");
            (part, said.as_str().expect("a text").to_owned())
        };
        Self(parts.as_object().expect("parts of an envelope").iter().map(of).collect())
    }
}

/// A text that has nothing to hide from who reads it, and is not too long.
fn plain(said: Option<&Text<'_>>, bytes_max: usize) -> Option<String> {
    let said = said?.expose().trim();
    ((1..=bytes_max).contains(&said.len()) && !said.contains(char::is_control)).then(|| said.to_owned())
}

/// A vendor's cookie, where it came once: of two nobody knows which is which.
fn the_only(arrival: &Arrival<'_>, cookie: VendorCookie) -> Option<String> {
    let mut of_it = arrival.own.of_vendors.iter().filter(|(other, _)| *other == cookie).map(|(_, said)| said);
    let said: &Personal<_> = of_it.next().filter(|_| of_it.next().is_none())?;
    plain(Some(said), VENDOR_ID_BYTES_MAX)
}

/// Whether it has the form of Meta's cookies, `fb.1.<milliseconds>.<…>`; what is no such thing is not passed on as one.
fn is_metas(id: &str) -> bool {
    let mut parts = id.split('.');
    let number = |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    plain && parts.next() == Some("fb") && number(parts.next()) && number(parts.next()) && parts.next().is_some_and(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::policy::Treatment;

    fn contents() -> Contents {
        Contents(vec![
            (Part::Address, None, String::from("192.0.2.1")),
            (Part::UserAgent, None, String::from("Mozilla/5.0")),
            (Part::Email, Some(Dialect::Meta), String::from("m")),
            (Part::Email, Some(Dialect::TikTok), String::from("t")),
        ])
    }

    #[test]
    fn a_destination_takes_out_what_its_policy_lets_through_in_its_vendors_words() {
        let read = || Contents::read(&contents().written()).unwrap();
        let policy = Treatments::NOTHING.with(Field::Address, Treatment::Keep).with(Field::Contact, Treatment::Keep);
        for (dialect, email) in [(Dialect::Meta, "m"), (Dialect::TikTok, "t")] {
            let envelope = read().envelope(Some(dialect), &policy);
            assert_eq!(envelope.parts().collect::<Vec<_>>(), [Part::Address, Part::Email]);
            assert_eq!((envelope.get(Part::Address), envelope.get(Part::Email)), (Some("192.0.2.1"), Some(email)));
        }
        assert_eq!(read().envelope(Some(Dialect::Meta), &Treatments::NOTHING).parts().count(), 0);
    }

    #[test]
    fn what_is_none_of_ours_is_not_read() {
        let written = contents().written();
        assert!(Contents::read(&written[..written.len() - 1]).is_none());
        assert!(Contents::read(&[&written[..], b"x"].concat()).is_none() && Contents::read(b"").is_none());
    }

    #[test]
    fn metas_ids_have_metas_form() {
        for id in ["fb.1.1790000000000.123456789", "fb.2.1790000000000.IwAR2_x-Y.AQ"] {
            assert!(is_metas(id), "{id}");
        }
        for id in ["", "fb.1.x.1", "GA1.1.1.1790000000", "fb.1.1790000000000.", "fb.1.1790000000000.jane@mail.example"] {
            assert!(!is_metas(id), "{id}");
        }
    }
}
