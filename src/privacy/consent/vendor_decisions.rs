//! What the TC strings of a request decided on single vendors: those that the site's destinations belong to.
//!
//! A vendor has a purpose of ours only where every string consents to it for all of the framework's purposes that ours needs. Legitimate
//! interest counts nothing, and so does what the global vendor list says of the vendor: where it asks for less, it gets less.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    ConsentSignal,
    evidence::{Evidence, TcText},
    gpp::Gpp,
    tcf::TcString,
};
use crate::{
    clock::Timestamp,
    documents::{Basis, Destination},
    event::Purposes,
    privacy::rules::{Rule, holds},
};

/// Vendors of one site's destinations.
pub const VENDORS_MAX: usize = 16;

/// Vendors by their numbers in the global vendor list, and what each may process for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VendorDecisions {
    decided: [(u16, Purposes); VENDORS_MAX],
    count: usize,
}

impl VendorDecisions {
    /// What was decided on these vendors; nothing, where no TC string in force came along. `now` is the time of receipt.
    pub(in crate::privacy) fn of(evidence: &Evidence<'_>, vendors: &[u16], now: Timestamp) -> Option<Self> {
        let mut decisions: Option<Self> = evidence.is_cut().then(Self::default);
        let all = Purposes::ANALYTICS.and(Purposes::PROFILE).and(Purposes::ADS);
        for text in evidence.strings() {
            let string = match text {
                TcText::Tcf(text) => TcString::decode(text.expose()).ok(),
                TcText::Gpp(text) => Gpp::decode(text.expose()).ok().and_then(|gpp| gpp.tcf_eu),
            };
            // What cannot be read is a no for all, and one that has ended is no choice.
            let Some(string) = string.filter(|string| string.stance(now).signal() != ConsentSignal::Absent) else { continue };
            let mut these = decisions.unwrap_or_else(|| Self::from_iter(vendors.iter().map(|vendor| (*vendor, all))));
            these.decided[..these.count]
                .iter_mut()
                .for_each(|(vendor, purposes)| *purposes = purposes.both(string.vendor_consents_to(*vendor)));
            decisions = Some(these);
        }
        decisions
    }

    /// Whether a vendor may have what is for these purposes. One that nothing was decided on may not.
    #[must_use]
    pub fn allow(&self, vendor: u16, needed: Purposes) -> bool {
        self.decided[..self.count].iter().any(|(decided, purposes)| *decided == vendor && purposes.cover(needed))
    }
}

/// Whether a destination may have an event as far as its vendor is concerned: it names none, the yes came without a TC string, or the string
/// consents to it.
pub(in crate::privacy) fn vendor_is_allowed(decided: Option<&VendorDecisions>, destination: &Destination) -> bool {
    match (destination.tcf_vendor, destination.basis, decided) {
        (Some(vendor), Basis::Consent(needed), Some(decided)) => decided.allow(vendor, needed) || !holds(Rule::VendorOfTheDestination),
        _ => true,
    }
}

impl FromIterator<(u16, Purposes)> for VendorDecisions {
    fn from_iter<I: IntoIterator<Item = (u16, Purposes)>>(decided: I) -> Self {
        let mut decisions = Self::default();
        for (place, one) in decisions.decided.iter_mut().zip(decided) {
            *place = one;
            decisions.count += 1;
        }
        decisions
    }
}

/// Rests as pairs of a vendor and its purposes' bits.
impl Serialize for VendorDecisions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.decided[..self.count].iter().map(|(vendor, purposes)| (vendor, purposes.bits())))
    }
}

impl<'de> Deserialize<'de> for VendorDecisions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(u16, u8)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(vendor, bits)| (vendor, Purposes::from_bits(bits))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-14; purposes 1, 7, 8, 9 and 10 and some vendors, among them 2 and 6, and not 1.
    const STRING: &str = "CQg2bYAQg2bYAEsABBFRB4FgAIGAAEPgAAqIF5wAoAAgAEAvMAAAAAAA.IF5wA4AAgAEAAoBeYAAA.YAAAAAAAAAAA";
    const NOW: Timestamp = Timestamp(1_773_480_413_589);

    fn decided(strings: &[(&str, bool)], vendors: &[u16], now: Timestamp) -> Option<Vec<(u16, u8)>> {
        let mut evidence = Evidence::default();
        for (text, gpp) in strings {
            if *gpp { evidence.keep_gpp((*text).into()) } else { evidence.keep_tcf((*text).into()) }
        }
        let decisions = VendorDecisions::of(&evidence, vendors, now)?;
        let text = serde_json::to_string(&decisions).unwrap();
        assert_eq!(serde_json::from_str::<VendorDecisions>(&text).unwrap(), decisions);
        Some(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn every_string_must_consent_and_no_string_decides_nothing() {
        let string = TcString::decode(STRING).unwrap();
        let vendors: Vec<u16> = (1..1000).filter(|vendor| string.vendor_consents.has(*vendor)).collect();
        let (yes, no) = (vendors[0], 999);
        let analytics = Purposes::ANALYTICS.bits();
        let gpp = format!("DBABMA~{STRING}");
        assert_eq!(decided(&[], &[yes], NOW), None);
        assert_eq!(decided(&[(STRING, false)], &[yes, no], NOW), Some(vec![(yes, analytics), (no, 0)]));
        assert_eq!(decided(&[(&gpp, true)], &[yes, no], NOW), Some(vec![(yes, analytics), (no, 0)]));
        assert_eq!(decided(&[("DBABLA~CAAQAAAAAABA.QA", true)], &[yes], NOW), None, "a string for the United States alone");
        assert_eq!(decided(&[(STRING, false)], &[], NOW), Some(vec![]));
        assert_eq!(decided(&[(STRING, false)], &[yes], Timestamp(NOW.0 + 400 * 86_400_000)), None, "it has ended");
        let refuses = "CQg2bYAQg2bYAEsABBFRB4FgAAAAAEPgAAqIAAAAAAAA.IF5wA4AAgAEAAoBeYAAA.YAAAAAAAAAAA";
        assert_eq!(decided(&[(STRING, false), (refuses, false)], &[yes], NOW), Some(vec![(yes, 0)]));
        assert_eq!(decided(&[(STRING, false); TOO_MANY], &[yes], NOW), Some(vec![]), "more strings than are looked at");
        let decisions = VendorDecisions::from_iter([(yes, Purposes::ANALYTICS)]);
        assert!(decisions.allow(yes, Purposes::ANALYTICS) && !decisions.allow(yes, Purposes::ADS) && !decisions.allow(no, Purposes::NONE));
    }

    const TOO_MANY: usize = 5;
}
