//! TC strings: consent by the IAB Europe's Transparency and Consent Framework, versions 2.2 and 2.3.
//! The format: <https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework> ("Consent string and vendor list format").
//!
//! A string is a core and up to one each of three more segments, which say their type in their first bits: the vendors that the visitor was
//! shown (mandatory since 2.3), vendors allowed by the site (legacy), and the site's own purposes. Of the last two, only the form is
//! checked: the legacy one has lost its meaning, and consent tools fill the other with zeros where a site has set up nothing of its own.
//!
//! # What follows for our purposes
//!
//! | ours | needs consent (never legitimate interest) to all of |
//! |---|---|
//! | `analytics` | 1 store on the device, 8 measure content, 9 statistics about audiences |
//! | `profile` | 1, 5 create and 6 use profiles for content |
//! | `ads` | 1, 2 select advertising, 3 create and 4 use profiles for it, 7 measure it |
//!
//! Purposes 10 (develop services), 11 (limited data for content) and the special features grant nothing. None of the three granted is a
//! refusal. A string that is not specific to the service, or whose policy is of another version than 2.2's and 2.3's, cannot be valid and
//! counts as no; so does one from the future. One older than 13 months has ended: the visitor has not chosen (again) yet.

use std::time::Duration;

use super::{
    ConsentSignal, Stance,
    bits::{Bits, Unreadable},
    vendors::{Restriction, Restrictions, VendorSet},
};
use crate::{clock::Timestamp, event::Purposes};

/// Longer strings are malformed: no server takes a URL beyond 8 KiB, and they must fit into one.
pub const LENGTH_MAX: usize = 8 * 1024;
/// Policy versions whose strings are valid: 4 came with TCF 2.2, 5 with 2.3.
const POLICIES: std::ops::RangeInclusive<u8> = 4..=5;
/// The first policy whose strings must say which vendors were shown.
const POLICY_WITH_DISCLOSURE: u8 = 5;
/// A consent ends after 13 months: the framework's own bound for asking again.
const AGE_MAX: Duration = Duration::from_secs(395 * 24 * 60 * 60);
/// Clocks of terminals are wrong; a string's day may begin up to so long after ours.
const AHEAD_MAX: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// The number of purposes that a string has room for.
pub(super) const PURPOSES_MAX: u8 = 24;

/// What each of our purposes needs.
const NEEDED: [(Purposes, &[u8]); 3] =
    [(Purposes::ANALYTICS, &[1, 8, 9]), (Purposes::PROFILE, &[1, 5, 6]), (Purposes::ADS, &[1, 2, 3, 4, 7])];

/// A TC string that could be read.
#[derive(Clone, Copy, Debug)]
pub struct TcString<'a> {
    /// When it was first made, by the terminal's clock.
    pub created: Timestamp,
    /// When it was last changed, by the terminal's clock; a day's begin.
    pub last_updated: Timestamp,
    /// The consent tool.
    pub cmp_id: u16,
    /// The consent tool's version.
    pub cmp_version: u16,
    /// The tool's screen on which the choice was made.
    pub consent_screen: u8,
    /// The language of that screen: two capitals.
    pub consent_language: [u8; 2],
    /// The version of the global vendor list.
    pub vendor_list_version: u16,
    /// The version of the framework's policy.
    pub policy_version: u8,
    /// For this site alone. The framework has nothing else any more.
    pub service_specific: bool,
    /// Whether the tool used texts of its own.
    pub non_standard_texts: bool,
    /// Special features that the visitor opted in to.
    pub special_features: PurposeSet,
    /// Purposes that the visitor consented to.
    pub purpose_consents: PurposeSet,
    /// Purposes that the visitor was told of as legitimate interests, and did not object to.
    pub purpose_legitimate_interests: PurposeSet,
    /// Whether purpose 1 was not asked about.
    pub purpose_one_treatment: bool,
    /// The publisher's country: two capitals.
    pub publisher_country: [u8; 2],
    /// Vendors that the visitor consented to.
    pub vendor_consents: VendorSet<'a>,
    /// Vendors with legitimate interests that the visitor did not object to.
    pub vendor_legitimate_interests: VendorSet<'a>,
    /// What the publisher forbids single vendors.
    pub restrictions: Restrictions<'a>,
    /// The vendors that the visitor was shown, where the string says so.
    pub vendors_disclosed: Option<VendorSet<'a>>,
}

/// A set of the framework's purposes or special features, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurposeSet(u32);

impl PurposeSet {
    /// Whether that one is in it.
    #[must_use]
    pub const fn has(self, number: u8) -> bool {
        number >= 1 && number <= PURPOSES_MAX && self.0 >> (PURPOSES_MAX - number) & 1 == 1
    }

    /// Reads one of so many bits, the first of which is number 1.
    fn take(bits: &mut Bits<'_>, width: u8) -> Result<Self, Unreadable> {
        Ok(Self((bits.take(width.into())? as u32) << (PURPOSES_MAX - width)))
    }
}

impl<'a> TcString<'a> {
    /// Reads a string.
    ///
    /// # Errors
    /// It is too long, not of version 2, ends too early, goes on behind its end, or says something that cannot be.
    pub fn decode(text: &'a str) -> Result<Self, Unreadable> {
        if text.len() > LENGTH_MAX {
            return Err(Unreadable::TooLong);
        }
        let mut segments = text.split('.');
        let mut string = Self::core(Bits::of(segments.next().unwrap_or_default())?)?;
        let mut seen = [false; 8];
        for segment in segments {
            let mut bits = Bits::of(segment)?;
            let kind = bits.take_u8(3)?;
            if std::mem::replace(&mut seen[usize::from(kind)], true) {
                return Err(Unreadable::Part);
            }
            match kind {
                1 => string.vendors_disclosed = Some(VendorSet::take(&mut bits)?),
                2 => _ = VendorSet::take(&mut bits)?,
                3 => {
                    bits.skip(2 * usize::from(PURPOSES_MAX))?;
                    let own_purposes = usize::from(bits.take_u8(6)?);
                    bits.skip(2 * own_purposes)?;
                }
                _ => return Err(Unreadable::Part),
            }
            bits.end()?;
        }
        Ok(string)
    }

    fn core(mut bits: Bits<'a>) -> Result<Self, Unreadable> {
        if bits.take(6)? != 2 {
            return Err(Unreadable::Version);
        }
        let bits = &mut bits;
        // Fields stand here in the order of the wire.
        let string = Self {
            created: moment(bits)?,
            last_updated: moment(bits)?,
            cmp_id: cmp_id(bits)?,
            cmp_version: bits.take_u16(12)?,
            consent_screen: bits.take_u8(6)?,
            consent_language: letters(bits)?,
            vendor_list_version: bits.take_u16(12)?,
            policy_version: bits.take_u8(6)?,
            service_specific: bits.flag()?,
            non_standard_texts: bits.flag()?,
            special_features: PurposeSet::take(bits, 12)?,
            purpose_consents: PurposeSet::take(bits, PURPOSES_MAX)?,
            purpose_legitimate_interests: PurposeSet::take(bits, PURPOSES_MAX)?,
            purpose_one_treatment: bits.flag()?,
            publisher_country: letters(bits)?,
            vendor_consents: VendorSet::take(bits)?,
            vendor_legitimate_interests: VendorSet::take(bits)?,
            restrictions: Restrictions::take(bits)?,
            vendors_disclosed: None,
        };
        bits.end()?;
        Ok(string)
    }

    /// Whether that vendor may process for that purpose by the visitor's consent. Whether the vendor asks for consent at all stands in the
    /// global vendor list; a restriction to legitimate interest takes the consent away.
    #[must_use]
    pub fn consents_to(&self, purpose: u8, vendor: u16) -> bool {
        self.is_valid_for(vendor)
            && self.purpose_consents.has(purpose)
            && self.vendor_consents.has(vendor)
            && matches!(self.restrictions.on(purpose, vendor), None | Some(Restriction::ConsentRequired))
    }

    /// For which of our purposes that vendor may process: those for which the visitor consented to it for all that they need.
    #[must_use]
    pub fn vendor_consents_to(&self, vendor: u16) -> Purposes {
        let consented = NEEDED.iter().filter(|(_, needed)| needed.iter().all(|purpose| self.consents_to(*purpose, vendor)));
        consented.fold(Purposes::NONE, |all, (ours, _)| all.and(*ours))
    }

    /// What follows for our purposes; see the table above. `now` is the time of receipt.
    #[must_use]
    pub fn stance(&self, now: Timestamp) -> Stance {
        if !self.is_valid() || self.last_updated > now.plus(AHEAD_MAX) {
            return ConsentSignal::Malformed.into();
        }
        let Some(left) = AGE_MAX.checked_sub(now.since(self.last_updated)) else { return Stance::default() };
        let granted = NEEDED.iter().filter(|(_, needed)| needed.iter().all(|purpose| self.purpose_consents.has(*purpose)));
        let purposes = granted.fold(Purposes::NONE, |all, (ours, _)| all.and(*ours));
        ConsentSignal::Given { purposes, seconds_left: u32::try_from(left.as_secs()).ok() }.into()
    }

    fn is_valid(&self) -> bool {
        self.service_specific && POLICIES.contains(&self.policy_version)
    }

    fn is_valid_for(&self, vendor: u16) -> bool {
        let disclosed = match &self.vendors_disclosed {
            Some(disclosed) => disclosed.has(vendor),
            None => self.policy_version < POLICY_WITH_DISCLOSURE,
        };
        self.is_valid() && disclosed
    }
}

/// What a TC string says in our words; one that cannot be read is a no. `now` is the time of receipt.
#[must_use]
pub fn stance(text: &str, now: Timestamp) -> Stance {
    TcString::decode(text).map_or(ConsentSignal::Malformed.into(), |string| string.stance(now))
}

/// Tenths of a second since 1970.
fn moment(bits: &mut Bits<'_>) -> Result<Timestamp, Unreadable> {
    bits.take(36).map(|tenths| Timestamp(tenths as i64 * 100))
}

/// The consent tool's number; 0 and 1 are nobody's.
fn cmp_id(bits: &mut Bits<'_>) -> Result<u16, Unreadable> {
    match bits.take_u16(12)? {
        0 | 1 => Err(Unreadable::Value),
        number => Ok(number),
    }
}

/// Two letters of six bits each, `A` being 0.
fn letters(bits: &mut Bits<'_>) -> Result<[u8; 2], Unreadable> {
    let mut letter = || match bits.take_u8(6)? {
        number @ 0..26 => Ok(b'A' + number),
        _ => Err(Unreadable::Value),
    };
    Ok([letter()?, letter()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The format's own example: nothing granted, policy 2, vendors 1 to 5, 100 and 404 shown, and a segment of the site's own purposes.
    const EXAMPLE: &str = "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA.YAAAAAAAAAAA";
    const ISSUED: Timestamp = Timestamp(1_748_908_800_000);

    /// A core of that day. Vendors 1, 2 and 5 are consented to, 2 and 5 tolerated; 5 is restricted as said.
    fn core(policy: u64, specific: bool, consents: &[u8], interests: &[u8], restriction: Option<(u8, u64)>) -> String {
        let set = |numbers: &[u8]| numbers.iter().fold(0, |set, number| set | 1 << (24 - number));
        let mut fields = vec![(2, 6), (17_489_088_000, 36), (17_489_088_000, 36), (880, 12), (1, 12), (1, 6), (4, 6), (13, 6), (48, 12)];
        fields.extend([
            (policy, 6),
            (specific.into(), 1),
            (0, 1),
            (0, 12),
            (set(consents), 24),
            (set(interests), 24),
            (0, 1),
            (3, 6),
            (4, 6),
        ]);
        fields.extend([(5, 16), (0, 1), (0b11001, 5), (5, 16), (1, 1), (1, 12), (1, 1), (2, 16), (5, 16)]);
        match restriction {
            None => fields.push((0, 12)),
            Some((purpose, kind)) => fields.extend([(1, 12), (purpose.into(), 6), (kind, 2), (1, 12), (0, 1), (5, 16)]),
        }
        base64url(&fields)
    }

    fn base64url(fields: &[(u64, usize)]) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits: Vec<u8> = fields.iter().flat_map(|(value, width)| (0..*width).rev().map(move |at| (value >> at & 1) as u8)).collect();
        bits.chunks(6)
            .map(|chunk| {
                let digit = chunk.iter().fold(0, |digit, bit| digit << 1 | bit) << (6 - chunk.len());
                char::from(alphabet[usize::from(digit)])
            })
            .collect()
    }

    #[test]
    fn the_formats_example_is_read() {
        let string = TcString::decode(EXAMPLE).unwrap();
        assert_eq!((string.created, string.last_updated), (ISSUED, ISSUED));
        assert_eq!((string.cmp_id, string.cmp_version, string.vendor_list_version, string.policy_version), (880, 0, 48, 2));
        assert_eq!((&string.consent_language, &string.publisher_country), (b"EN", b"DE"));
        assert!(string.service_specific && !string.purpose_one_treatment);
        assert!((0..=255).all(|purpose| !string.purpose_consents.has(purpose) && !string.special_features.has(purpose)));
        let disclosed = string.vendors_disclosed.unwrap();
        assert_eq!((0..=500).filter(|vendor| disclosed.has(*vendor)).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 100, 404]);
        assert_eq!(string.stance(ISSUED).signal(), ConsentSignal::Malformed, "a policy before 2.2");
    }

    #[test]
    fn our_purposes_need_all_of_theirs() {
        let given = |purposes| ConsentSignal::Given { purposes, seconds_left: Some(395 * 86_400) };
        let (analytics, profile, ads) = (Purposes::ANALYTICS, Purposes::PROFILE, Purposes::ADS);
        let cases: [(&[u8], Purposes); 9] = [
            (&[], Purposes::NONE),
            (&[1], Purposes::NONE),
            (&[8, 9], Purposes::NONE),
            (&[1, 8, 9], analytics),
            (&[1, 5, 6], profile),
            (&[1, 2, 3, 4, 7], ads),
            (&[1, 2, 3, 7, 8, 9, 10, 11], analytics),
            (&[1, 3, 4, 5, 7, 10], Purposes::NONE),
            (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], analytics.and(profile).and(ads)),
        ];
        for (consents, expected) in cases {
            for policy in [4, 5] {
                let text = core(policy, true, consents, &[2, 7, 8, 9, 10], None);
                assert_eq!(TcString::decode(&text).unwrap().stance(ISSUED).signal(), given(expected), "{consents:?}");
            }
        }
    }

    #[test]
    fn what_is_not_valid_is_a_no_and_what_has_ended_is_no_choice() {
        let signal = |text: &str, days: i64| TcString::decode(text).unwrap().stance(Timestamp(ISSUED.0 + days * 86_400_000)).signal();
        let all: Vec<u8> = (1..=11).collect();
        let valid = core(4, true, &all, &[], None);
        let left = |days: u32| ConsentSignal::Given { purposes: Purposes::from_bits(7), seconds_left: Some(days * 86_400) };
        assert_eq!(signal(&valid, -2), left(395));
        assert_eq!(signal(&valid, 100), left(295));
        assert_eq!(signal(&valid, 395), left(0));
        assert_eq!(signal(&valid, 396), ConsentSignal::Absent);
        assert_eq!(signal(&valid, -3), ConsentSignal::Malformed, "from the future");
        assert_eq!(signal(&core(4, false, &all, &[], None), 0), ConsentSignal::Malformed, "for more than this site");
        for policy in [0, 2, 3, 6, 63] {
            assert_eq!(signal(&core(policy, true, &all, &[], None), 0), ConsentSignal::Malformed, "policy {policy}");
        }
    }

    #[test]
    fn a_vendor_needs_the_purpose_and_itself_and_no_restriction() {
        let disclosed = |vendors: u64| format!(".{}", base64url(&[(1, 3), (5, 16), (0, 1), (vendors, 5)]));
        let may = |policy, restriction, shown: &str, purpose, vendor| {
            let text = core(policy, true, &[1, 2, 7], &[2, 3, 7], restriction) + shown;
            let string = TcString::decode(&text).unwrap();
            string.consents_to(purpose, vendor)
        };
        let cases = [
            (None, 2, 1, true),
            (None, 2, 2, true),
            (None, 1, 2, true),
            (None, 2, 3, false),
            (None, 3, 2, false),
            (None, 8, 2, false),
            (None, 2, 6, false),
            (Some((2, 0)), 2, 5, false),
            (Some((2, 1)), 2, 5, true),
            (Some((2, 2)), 2, 5, false),
            (Some((2, 0)), 7, 5, true),
            (Some((2, 0)), 2, 2, true),
        ];
        for (restriction, purpose, vendor, expected) in cases {
            assert_eq!(may(4, restriction, "", purpose, vendor), expected, "{restriction:?} {purpose} {vendor}");
            assert_eq!(may(5, restriction, &disclosed(0b11111), purpose, vendor), expected, "{restriction:?} {purpose} {vendor}");
            assert!(!may(5, restriction, "", purpose, vendor), "2.3 says who was shown");
        }
        assert!(!may(4, None, &disclosed(0b10111), 2, 2), "not shown");
        assert!(!may(3, None, "", 2, 2), "a policy before 2.2");
    }

    #[test]
    fn a_vendor_has_a_purpose_of_ours_where_it_has_all_that_ours_needs() {
        let consents = |restriction, purposes: &[u8], vendor| {
            TcString::decode(&core(4, true, purposes, &[], restriction)).unwrap().vendor_consents_to(vendor)
        };
        assert_eq!(consents(None, &[1, 8, 9], 2), Purposes::ANALYTICS);
        assert_eq!(consents(None, &[1, 8, 9], 3), Purposes::NONE, "the purposes, and not the vendor");
        assert_eq!(consents(None, &[1, 8], 2), Purposes::NONE);
        assert_eq!(consents(Some((9, 0)), &[1, 2, 3, 4, 7, 8, 9], 5), Purposes::ADS, "restricted for one purpose");
        assert_eq!(consents(Some((1, 2)), &[1, 2, 3, 4, 7, 8, 9], 5), Purposes::NONE, "by legitimate interest alone");
    }

    #[test]
    fn what_is_not_a_string_of_version_2_is_unreadable() {
        let good = core(4, true, &[1], &[], None);
        let changed = |at: usize, character: char| {
            let mut text: Vec<char> = good.chars().collect();
            text[at] = character;
            text.into_iter().collect::<String>()
        };
        let cases = [
            (String::new(), Unreadable::TooShort),
            (String::from("."), Unreadable::TooShort),
            (String::from("C"), Unreadable::TooShort),
            (format!("{good}."), Unreadable::TooShort),
            (good[..good.len() - 3].to_owned(), Unreadable::TooShort),
            (changed(0, 'B'), Unreadable::Version),
            (changed(0, 'D'), Unreadable::Version),
            (changed(20, '+'), Unreadable::Alphabet),
            (changed(18, '_'), Unreadable::Value),
            (format!("{good}AAAB"), Unreadable::Trailing),
            (format!("{good}.AAAA"), Unreadable::Part),
            (format!("{good}.gAAA"), Unreadable::Part),
            (format!("{good}.IAAAAA.IAAAAA"), Unreadable::Part),
            (format!("{good}.YAAAAAAA"), Unreadable::TooShort),
            (format!("{good}.{}", "I".repeat(LENGTH_MAX)), Unreadable::TooLong),
            (format!("{good}.IAA_8"), Unreadable::TooShort),
        ];
        for (text, expected) in cases {
            assert_eq!(TcString::decode(&text).map(|_| ()), Err(expected), "{}", &text[..text.len().min(90)]);
        }
        for end in 0..good.len() - 2 {
            assert!(TcString::decode(&good[..end]).is_err(), "cut at {end}");
        }
    }
}
