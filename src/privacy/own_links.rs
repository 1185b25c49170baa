//! Links that are mailed to an address, and what they let whoever follows one do: random, of use once, for a quarter of an hour, and known in memory
//! alone. A link is a capability: 256 random bits that nobody can make up, so that no signature has to be believed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::{
    identifiers::{Identifier, IdentifierKind, identifier_of_site, normal},
    keys::{mac::Keyed, persistent::PersistentKeys, random_key},
    personal::Personal,
    profiled::PersonHandle,
};
use crate::{clock::Timestamp, documents::Destination, event::SiteNumber, state::StoreError};

/// A mail arrives, is read and followed within this.
const OPEN_FOR: Duration = Duration::from_secs(15 * 60);
/// One address is mailed to once in this time, however often somebody asks.
const MAILED_AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);
/// And no more often than this in a day: who types an address in need not have it.
const MAILS_A_DAY: usize = 3;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Links that are open at a time; beyond, nobody is mailed for a while.
const LINKS_MAX: usize = 10_000;
/// Characters of 256 bits in base64url.
const TOKEN_CHARACTERS: usize = 43;

/// Addresses that one browser asks to confirm in a day: somebody's own are a few.
const CONFIRMATIONS_A_DAY: usize = 3;
/// The same of all browsers in an hour: mails go to addresses that nobody here knows yet, which whoever has made a cookie could ask for.
const CONFIRMATIONS_AN_HOUR: usize = 500;
const HOUR: Duration = Duration::from_secs(60 * 60);
/// A form's word changes so often, and is good for as long again: somebody reads the page, and fetches their address.
const WORD_MILLIS: i64 = 60 * 60 * 1000;

/// What a link lets whoever has it do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// See what rests of whoever has the address.
    See,
    /// Erase it.
    Erase,
    /// Confirm that the address is of whoever's browser this is: in that browser, and in no other.
    Confirm(PersonHandle),
}

struct Link {
    site: SiteNumber,
    identifier: Identifier,
    may: May,
    until: Timestamp,
    /// Of one that confirms it.
    address: Option<Address>,
}

/// When an address was mailed to, within the last day.
type Mailed = Mutex<HashMap<(SiteNumber, Identifier), Vec<Timestamp>>>;

/// All that are open.
#[derive(Default)]
pub struct OwnLinks {
    links: Mutex<HashMap<[u8; 32], Link>>,
    /// Of addresses that somebody here has.
    mailed: Mailed,
    /// Of addresses that were to be confirmed: anybody's, and so they use up no room of those.
    mailed_to_confirm: Mailed,
    /// What the words of forms are made with: in memory alone, as the links are.
    words: OnceLock<Keyed>,
    /// When a browser asked to confirm an address, within the last day.
    confirming: Mutex<HashMap<PersonHandle, Vec<Timestamp>>>,
}

/// An address that somebody has typed. It can be looked for and mailed to, and not looked at.
pub struct Address(pub(in crate::privacy) Personal<String>);

impl Address {
    /// What was typed, if it has the form of an address.
    #[must_use]
    pub fn typed(said: &Personal<String>) -> Option<Self> {
        normal(IdentifierKind::Email, said.expose()).map(|address| Self(Personal::new(address)))
    }

    /// As the store of profiles knows it.
    ///
    /// # Errors
    /// When `state.db` cannot be used.
    pub fn identifier(&self, keys: &PersistentKeys, destination: &Destination) -> Result<Option<Identifier>, StoreError> {
        identifier_of_site(keys, destination, IdentifierKind::Email, &self.0)
    }

    /// The address itself, for the one place that hands a mail over.
    #[must_use]
    pub fn for_the_mail_server(&self) -> &str {
        self.0.expose()
    }
}

impl OwnLinks {
    /// Whether the address may be mailed to now; from now on it may not for a while.
    pub fn may_mail(&self, site: SiteNumber, identifier: Identifier, now: Timestamp) -> bool {
        Self::may_mail_of(&self.mailed, (site, identifier), now)
    }

    fn may_mail_of(mailed: &Mailed, whom: (SiteNumber, Identifier), now: Timestamp) -> bool {
        let mut mailed = mailed.lock().unwrap_or_else(PoisonError::into_inner);
        mailed.retain(|_, times| {
            times.retain(|at| now.since(*at) < DAY);
            !times.is_empty()
        });
        if mailed.len() >= LINKS_MAX {
            return false;
        }
        let times = mailed.entry(whom).or_default();
        if times.len() >= MAILS_A_DAY || times.last().is_some_and(|at| now.since(*at) < MAILED_AGAIN_AFTER) {
            return false;
        }
        times.push(now);
        true
    }

    /// Whether a browser may have one more address confirmed now, and this one be mailed to for it; from now on it may have one less.
    pub fn may_confirm(&self, site: SiteNumber, identifier: Identifier, person: PersonHandle, now: Timestamp) -> bool {
        self.may_ask(person, now) && Self::may_mail_of(&self.mailed_to_confirm, (site, identifier), now)
    }

    fn may_ask(&self, person: PersonHandle, now: Timestamp) -> bool {
        let mut confirming = self.confirming.lock().unwrap_or_else(PoisonError::into_inner);
        confirming.retain(|_, times| {
            times.retain(|at| now.since(*at) < DAY);
            !times.is_empty()
        });
        let within_an_hour = confirming.values().flatten().filter(|at| now.since(**at) < HOUR).count();
        if within_an_hour >= CONFIRMATIONS_AN_HOUR || confirming.len() >= LINKS_MAX {
            return false;
        }
        let times = confirming.entry(person).or_default();
        let may = times.len() < CONFIRMATIONS_A_DAY;
        times.extend(may.then_some(now));
        may
    }

    /// The word that stands in the forms by which a browser has an address confirmed: whoever sends it has seen the page, as no script can. Nothing: the
    /// system has no randomness to give.
    #[must_use]
    pub fn word(&self, person: PersonHandle, now: Timestamp) -> Option<String> {
        self.word_of(person, now.0.div_euclid(WORD_MILLIS))
    }

    /// Whether that is the word: of this hour or the one before.
    #[must_use]
    pub fn is_word(&self, said: &Personal<String>, person: PersonHandle, now: Timestamp) -> bool {
        let hour = now.0.div_euclid(WORD_MILLIS);
        // By hashes, as links are found.
        [hour, hour - 1].into_iter().filter_map(|hour| self.word_of(person, hour)).any(|word| place(&word) == place(said.expose()))
    }

    fn word_of(&self, person: PersonHandle, hour: i64) -> Option<String> {
        if self.words.get().is_none() {
            // Who comes second finds what the first has put there.
            let _ = self.words.set(Keyed::with(&random_key().ok()?));
        }
        Some(URL_SAFE_NO_PAD.encode(self.words.get()?.mac(&[person.bytes(), &hour.to_le_bytes()])))
    }

    /// Makes a link. Nothing: too many are open, or the system has no randomness to give.
    #[must_use]
    pub fn make(&self, site: SiteNumber, identifier: Identifier, may: May, now: Timestamp) -> Option<String> {
        self.make_of(site, (identifier, None), may, now)
    }

    /// The same that confirms that an address is of a browser.
    #[must_use]
    pub fn make_confirming(
        &self,
        site: SiteNumber,
        (identifier, address): (Identifier, &Address),
        person: PersonHandle,
        now: Timestamp,
    ) -> Option<String> {
        let address = Address(Personal::new(address.0.expose().clone()));
        self.make_of(site, (identifier, Some(address)), May::Confirm(person), now)
    }

    fn make_of(&self, site: SiteNumber, (identifier, address): (Identifier, Option<Address>), may: May, now: Timestamp) -> Option<String> {
        let token = URL_SAFE_NO_PAD.encode(random_key().ok()?);
        let mut links = self.links();
        links.retain(|_, link| link.until > now);
        if links.len() >= LINKS_MAX {
            return None;
        }
        links.insert(place(&token), Link { site, identifier, may, until: now.plus(OPEN_FOR), address });
        Some(token)
    }

    /// A token as it came, if it has the form of one: that is all that may stand on a page again.
    #[must_use]
    pub fn form(said: &Personal<String>) -> Option<&str> {
        let said = said.expose();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (said.len() == TOKEN_CHARACTERS && said.bytes().all(plain)).then_some(said)
    }

    /// Takes a link: whoever comes next with it has none. Nothing: it is none, is over, was taken, or is for something else.
    #[must_use]
    pub fn take(&self, said: &Personal<String>, site: SiteNumber, may: May, now: Timestamp) -> Option<Identifier> {
        self.taken(said, site, may, now).map(|link| link.identifier)
    }

    /// The same of one that confirms, with the address.
    #[must_use]
    pub fn take_confirming(
        &self,
        said: &Personal<String>,
        site: SiteNumber,
        person: PersonHandle,
        now: Timestamp,
    ) -> Option<(Identifier, Address)> {
        let link = self.taken(said, site, May::Confirm(person), now)?;
        Some((link.identifier, link.address?))
    }

    fn taken(&self, said: &Personal<String>, site: SiteNumber, may: May, now: Timestamp) -> Option<Link> {
        let place = place(Self::form(said)?);
        let mut links = self.links();
        let fits = links.get(&place).is_some_and(|link| link.site == site && link.may == may && link.until > now);
        if fits { links.remove(&place) } else { None }
    }

    fn links(&self) -> MutexGuard<'_, HashMap<[u8; 32], Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a token is found: by its hash, so that no comparison tells how much of a guess was right.
fn place(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::profiled::IdentifierKey;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    #[test]
    fn a_link_is_of_use_once_on_its_site_for_what_it_is_for_and_not_for_long() {
        let links = OwnLinks::default();
        let (site, other) = (SiteNumber(1), SiteNumber(2));
        let jane = Identifier { kind: IdentifierKind::Email, key: IdentifierKey::of_bytes([7; 16]) };
        let make = || Personal::new(links.make(site, jane, May::See, NOW).unwrap());
        let link = make();
        assert_eq!(links.take(&link, other, May::See, NOW), None, "another site's");
        assert_eq!(links.take(&link, site, May::Erase, NOW), None, "for something else");
        assert_eq!(links.take(&link, site, May::See, NOW.plus(OPEN_FOR)), None, "over");
        let mut forged = link.expose().clone();
        forged.replace_range(..1, if forged.starts_with('A') { "B" } else { "A" });
        for wrong in [forged, String::new(), "x".repeat(TOKEN_CHARACTERS), format!("{}x", link.expose())] {
            assert_eq!(links.take(&Personal::new(wrong), site, May::See, NOW), None);
        }
        assert_eq!(links.take(&link, site, May::See, NOW), Some(jane));
        assert_eq!(links.take(&link, site, May::See, NOW), None, "taken");
        assert_ne!(make().expose(), make().expose());
        assert_eq!(OwnLinks::form(&Personal::new(format!("{}\"", "x".repeat(TOKEN_CHARACTERS - 1)))), None, "no markup comes back");
    }

    #[test]
    fn a_link_that_confirms_is_of_use_in_its_browser_alone_and_few_are_made() {
        let links = OwnLinks::default();
        let (site, jane, of) =
            (SiteNumber(1), Identifier { kind: IdentifierKind::Email, key: IdentifierKey::of_bytes([7; 16]) }, PersonHandle::from_rest);
        let address = Address::typed(&Personal::new("jane@mail.example".into())).unwrap();
        let link = Personal::new(links.make_confirming(site, (jane, &address), of([1; 16]), NOW).unwrap());
        for other in [May::Confirm(of([2; 16])), May::See, May::Erase] {
            assert_eq!(links.take(&link, site, other, NOW), None);
        }
        let confirm = |person, at| links.take_confirming(&link, site, of([person; 16]), at).map(|(identifier, _)| identifier);
        assert_eq!((confirm(2, NOW), confirm(1, NOW.plus(OPEN_FOR))), (None, None), "another browser's; over");
        assert_eq!(confirm(1, NOW), Some(jane), "what others tried took nothing away");
        assert_eq!(confirm(1, NOW), None, "taken");
        let asked = |person: u8, at| (0..10).filter(|_| links.may_ask(of([person; 16]), at)).count();
        assert_eq!((asked(1, NOW), asked(1, NOW.plus(HOUR)), asked(1, NOW.plus(DAY))), (CONFIRMATIONS_A_DAY, 0, CONFIRMATIONS_A_DAY));
        let all = (0..=255_u8)
            .flat_map(|person| (0..3).map(move |_| person))
            .filter(|person| links.may_ask(of([*person; 16]), NOW.plus(DAY * 3)))
            .count();
        assert_eq!(all, CONFIRMATIONS_AN_HOUR);
    }

    #[test]
    fn a_forms_word_is_its_browsers_and_of_use_for_an_hour_or_two() {
        let links = OwnLinks::default();
        let of = PersonHandle::from_rest;
        let word = Personal::new(links.word(of([1; 16]), NOW).unwrap());
        let is = |word: &Personal<String>, person, at| links.is_word(word, of([person; 16]), at);
        assert!(is(&word, 1, NOW) && is(&word, 1, NOW.plus(HOUR)));
        assert!(!is(&word, 2, NOW) && !is(&word, 1, NOW.plus(HOUR * 2)) && !is(&Personal::new(String::new()), 1, NOW));
        let another = Personal::new(OwnLinks::default().word(of([1; 16]), NOW).unwrap());
        assert!(!is(&another, 1, NOW), "of before a restart");
    }

    #[test]
    fn who_has_addresses_confirmed_keeps_nobody_from_being_mailed_to() {
        let links = OwnLinks::default();
        let of = |number: u32| {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&number.to_le_bytes());
            Identifier { kind: IdentifierKind::Email, key: IdentifierKey::of_bytes(key) }
        };
        let (site, one) = (SiteNumber(1), PersonHandle::from_rest([1; 16]));
        let asked = (0..20_000).filter(|number| links.may_confirm(site, of(*number), one, NOW)).count();
        assert_eq!(asked, CONFIRMATIONS_A_DAY);
        assert!(links.may_mail(site, of(0), NOW) && links.may_mail(site, of(19_999), NOW));
        let (first, second) = ((2..).map(|person| PersonHandle::from_rest([person; 16])), 0..2);
        assert_eq!(
            first.zip(second).filter(|(person, _)| links.may_confirm(site, of(30_000), *person, NOW)).count(),
            1,
            "one mail in ten minutes"
        );
    }

    #[test]
    fn an_address_is_mailed_to_once_in_a_while_and_three_times_a_day() {
        let links = OwnLinks::default();
        let of = |number| Identifier { kind: IdentifierKind::Email, key: IdentifierKey::of_bytes([number; 16]) };
        assert!(links.may_mail(SiteNumber(1), of(1), NOW) && links.may_mail(SiteNumber(1), of(2), NOW));
        assert!(!links.may_mail(SiteNumber(1), of(1), NOW.plus(MAILED_AGAIN_AFTER - Duration::from_secs(1))));
        assert!(links.may_mail(SiteNumber(1), of(1), NOW.plus(MAILED_AGAIN_AFTER)));
        assert!(links.may_mail(SiteNumber(1), of(1), NOW.plus(MAILED_AGAIN_AFTER * 2)));
        assert!(!links.may_mail(SiteNumber(1), of(1), NOW.plus(MAILED_AGAIN_AFTER * 3)), "three times a day");
        assert!(links.may_mail(SiteNumber(1), of(2), NOW.plus(MAILED_AGAIN_AFTER * 3)), "each address for itself");
        assert!(links.may_mail(SiteNumber(1), of(1), NOW.plus(DAY)), "the day after");
        assert!(Address::typed(&Personal::new("jane@mail.example\r\nBcc: all@mail.example".into())).is_none());
    }
}
